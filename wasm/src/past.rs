//! The entries of a log, and the disk at any point of them without starting from the first each time.

use logwrites_core::history::{Discards, ExtentMap, Index};

/// An index, and maps at a few points on the way.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    index: Index,
    /// Maps at ascending points, to start from.
    stops: Vec<(u64, ExtentMap)>,
}

impl Past {
    pub(crate) const fn new(index: Index) -> Self {
        Self { index, stops: Vec::new() }
    }

    pub(crate) const fn index(&self) -> &Index {
        &self.index
    }

    /// The index, to add entries to.
    pub(crate) const fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Forgets the entries from number `point` on.
    pub(crate) fn truncate(&mut self, point: u64) {
        self.index.truncate(point);
        self.stops.retain(|(stop, _)| *stop <= point);
    }

    /// Where the bytes of the disk are at `point`, had the entries `without`, which are sorted, been lost.
    ///
    /// O(log n) for each entry behind the last stop; stops lie an eighth of the log apart, so that going to any
    /// point costs at most that once the first of them was made.
    pub(crate) fn map_at(&mut self, point: u64, without: &[u64]) -> ExtentMap {
        let point = point.min(self.index.nr_entries());
        let clean = without.first().map_or(point, |first| point.min(*first));
        let stride = (self.index.nr_entries() / NR_STOPS).max(MIN_STRIDE);
        let behind = self.stops.partition_point(|(stop, _)| *stop <= clean);
        let (mut at, mut map) = match self.stops.get(..behind).and_then(<[_]>::last) {
            Some((stop, map)) => (*stop, map.clone()),
            None => (0, ExtentMap::new(self.index.sector_size())),
        };
        while at + stride <= clean {
            self.apply(&mut map, at, at + stride, &[]);
            at += stride;
            if self.stops.last().is_none_or(|(last, _)| *last < at) {
                self.stops.push((at, map.clone()));
            }
        }
        self.apply(&mut map, at, point, without);
        self.thin_out();
        map
    }

    /// Of the stops that a growing log has made too many of, keeps every other one.
    fn thin_out(&mut self) {
        if self.stops.len() > NR_STOPS_MAX {
            let mut index = 0;
            self.stops.retain(|_| {
                index += 1;
                index % 2 == 0
            });
        }
    }

    fn apply(&self, map: &mut ExtentMap, from: u64, to: u64, without: &[u64]) {
        for entry in self.index.entries(from..to) {
            if without.binary_search(&entry.index).is_err() {
                map.apply(&entry, Discards::Zero);
            }
        }
    }
}

/// How many stops a log has. Each may take as much memory as its map: up to 50 bytes a run.
const NR_STOPS: u64 = 8;

/// A log that grows gets some when it is short, too.
const NR_STOPS_MAX: usize = 16;

/// Entries that are applied in a few milliseconds.
const MIN_STRIDE: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use logwrites_core::format::{EntryHeader, Flags, Superblock};
    use logwrites_core::reader::Walk;

    fn past(nr_entries: u64) -> Past {
        let superblock = Superblock { nr_entries, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        for entry in 0..nr_entries {
            let flags = if entry % 7 == 3 { Flags::DISCARD } else { Flags::empty() };
            let header = EntryHeader { sector: entry * 31 % 97, nr_sectors: 3, flags, data_len: 0 };
            index.push(&walk.step(&header.emit()).unwrap(), &[]);
        }
        Past::new(index)
    }

    fn runs(map: &ExtentMap) -> String {
        format!("{map:?}")
    }

    #[test]
    fn the_map_does_not_depend_on_where_it_started() {
        let nr_entries = MIN_STRIDE * 3 + 100;
        let mut past = past(nr_entries);
        for point in [nr_entries, 5, MIN_STRIDE, MIN_STRIDE * 2 + 1, 0, nr_entries + 9, MIN_STRIDE - 1] {
            let expected = past.index().map_at(point, Discards::Zero);
            assert_eq!(runs(&past.map_at(point, &[])), runs(&expected), "point {point}");
        }
        assert_eq!(past.stops.len(), 3);
    }

    #[test]
    fn entries_can_be_lost() {
        let mut past = past(MIN_STRIDE + 200);
        let without = [10, MIN_STRIDE + 190, MIN_STRIDE + 199];
        let mut expected = ExtentMap::new(SectorSize::B512);
        for entry in past.index().entries(0..MIN_STRIDE + 200) {
            if !without.contains(&entry.index) {
                expected.apply(&entry, Discards::Zero);
            }
        }
        past.map_at(MIN_STRIDE + 200, &[]);
        assert_eq!(runs(&past.map_at(MIN_STRIDE + 200, &without)), runs(&expected));
    }

    #[test]
    fn a_cut_log_has_no_stop_behind_its_end() {
        let mut past = past(MIN_STRIDE * 2);
        past.map_at(MIN_STRIDE * 2, &[]);
        past.truncate(MIN_STRIDE + 5);
        assert_eq!(past.stops.len(), 1);
        let expected = past.index().map_at(MIN_STRIDE + 5, Discards::Zero);
        assert_eq!(runs(&past.map_at(MIN_STRIDE * 2, &[])), runs(&expected));
    }
}
