//! Maps at some points of a log, to go to any other point from.

use alloc::vec::Vec;

use crate::history::{Discards, EntrySet, ExtentMap, Index};

/// Maps of one log at some points, so that the map at any point, and what a crash there could leave, is not made from the
/// first entry on each time.
///
/// There are at most 16 of them, about an eighth of the log apart. They share their parts with each other
/// and with the maps that were made from them.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    discards: Discards,
    /// In the order of their points.
    maps: Vec<(u64, ExtentMap)>,
    /// Where the last one was without losses, so that points that are asked for in order cost what lies between them.
    recent: Option<(u64, ExtentMap)>,
    /// How many entries lie between two of them at least.
    min_stride: u64,
}

impl Checkpoints {
    /// None yet.
    #[must_use]
    pub const fn new(discards: Discards) -> Self {
        Self { discards, maps: Vec::new(), recent: None, min_stride: MIN_STRIDE }
    }

    /// Forgets the maps after `point`: for a log whose entries from there on have changed.
    pub fn truncate(&mut self, point: u64) {
        self.maps.retain(|(at, _)| *at <= point);
        self.recent.take_if(|(at, _)| *at > point);
    }

    /// Where the bytes of the disk are at `point`, or at the end of the log if that comes first, without what a crash there
    /// has `lost`. `index` must be that of the same log each time, which may have grown.
    ///
    /// O(log n) for each entry from the last map on that is of use; no more than an eighth of the log once the maps are
    /// there.
    #[must_use]
    pub fn map_at(&mut self, index: &Index, point: u64, lost: &EntrySet) -> ExtentMap {
        let point = point.min(index.nr_entries());
        // Up to here nothing is lost.
        let whole = lost.first().map_or(point, |first| point.min(first));
        let (mut at, mut map) = self.last_before(whole).unwrap_or((0, ExtentMap::new(index.sector_size())));
        let stride = (index.nr_entries() / NR_USUAL).max(self.min_stride);
        while whole - at >= stride {
            for entry in index.entries(at..at + stride) {
                map.apply(&entry, self.discards);
            }
            at += stride;
            self.keep(at, &map);
        }
        for entry in index.entries(at..whole) {
            map.apply(&entry, self.discards);
        }
        // Also where many small steps have led away from the last one.
        if whole >= self.maps.last().map_or(0, |(last, _)| *last) + stride {
            self.keep(whole, &map);
        }
        self.recent = Some((whole, map.clone()));
        for entry in index.entries(whole..point) {
            map.apply_kept(&entry, lost, self.discards);
        }
        map
    }

    fn last_before(&self, point: u64) -> Option<(u64, ExtentMap)> {
        let after = self.maps.partition_point(|(at, _)| *at <= point);
        let kept = after.checked_sub(1).and_then(|last| self.maps.get(last));
        let recent = self.recent.as_ref().filter(|(at, _)| *at <= point);
        let nearest = kept.into_iter().chain(recent).max_by_key(|(at, _)| *at);
        nearest.cloned()
    }

    /// Keeps a map, after all others. A log that grows gets some when it is short: where they become too many,
    /// every other one goes.
    fn keep(&mut self, point: u64, map: &ExtentMap) {
        if self.maps.last().is_some_and(|(last, _)| *last >= point) {
            return;
        }
        if self.maps.len() == NR_MAX {
            let mut is_kept = true;
            self.maps.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.maps.push((point, map.clone()));
    }
}

/// How many maps a log that does not grow has.
const NR_USUAL: u64 = 8;

/// How many maps any log has.
const NR_MAX: usize = 16;

/// As many entries are applied in a few milliseconds.
const MIN_STRIDE: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{EntryHeader, Flags, Superblock};
    use crate::geometry::SectorSize;
    use crate::history::Source;
    use crate::reader::Walk;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const SUPERBLOCK: Superblock = Superblock { nr_entries: u64::MAX, sector_size: SectorSize::B512 };

    fn push(index: &mut Index, walk: &mut Walk, (sector, nr_sectors, is_discard): (u64, u64, bool)) {
        let flags = if is_discard { Flags::DISCARD } else { Flags::empty() };
        let header = EntryHeader { sector, nr_sectors, flags, data_len: 0 };
        index.push(&walk.step(&header.emit()).unwrap(), &[]);
    }

    /// The writer of each sector at a point, found by applying all entries before it.
    fn writers(index: &Index, point: u64, without: &BTreeSet<u64>, discards: Discards) -> BTreeMap<u64, u64> {
        let mut writers = BTreeMap::new();
        for entry in index.entries(0..point).filter(|entry| !without.contains(&entry.index)) {
            if discards == Discards::Zero || !entry.flags().contains(Flags::DISCARD) {
                writers.extend(
                    (entry.extent().sector()..entry.extent().end()).map(|sector| (sector, entry.index)),
                );
            }
        }
        writers
    }

    fn writers_in(map: &ExtentMap, index: &Index) -> BTreeMap<u64, u64> {
        let sectors = map.runs().flat_map(|run| run.extent.sector()..run.extent.end());
        sectors.map(|sector| (sector, index.writer_of(map.get(sector).unwrap()).unwrap())).collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<(u64, u64, bool)>),
        MapAt(u64, BTreeSet<u64>),
        Truncate(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let entry = (0u64..20, 1u64..6, any::<bool>());
        let step = prop_oneof![
            2 => proptest::collection::vec(entry, 0..40).prop_map(Step::Push),
            4 => (0u64..200, proptest::collection::btree_set(0u64..200, 0..4))
                .prop_map(|(point, without)| Step::MapAt(point, without)),
            1 => (0u64..200).prop_map(Step::Truncate),
        ];
        proptest::collection::vec(step, 1..30)
    }

    proptest! {
        #[test]
        fn a_map_does_not_depend_on_where_it_was_started(steps in steps(), ignore in any::<bool>()) {
            let discards = if ignore { Discards::Ignore } else { Discards::Zero };
            let (mut walk, mut index) = (Walk::new(SUPERBLOCK, None), Index::new(SUPERBLOCK));
            let mut checkpoints = Checkpoints { min_stride: 4, ..Checkpoints::new(discards) };
            for step in steps {
                match step {
                    Step::Push(entries) => {
                        for entry in entries {
                            push(&mut index, &mut walk, entry);
                        }
                    }
                    Step::MapAt(point, without) => {
                        let lost = without.iter().copied().collect();
                        let map = checkpoints.map_at(&index, point, &lost);
                        let expected = writers(&index, point, &without, discards);
                        prop_assert_eq!(writers_in(&map, &index), expected);
                    }
                    Step::Truncate(point) => {
                        index.truncate(point);
                        checkpoints.truncate(point);
                        walk = Walk::new(SUPERBLOCK, None).at(index.resume_point().position);
                    }
                }
                prop_assert!(checkpoints.maps.len() <= NR_MAX);
                prop_assert!(checkpoints.maps.is_sorted_by(|(a, _), (b, _)| a < b));
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it makes too many steps for an interpreter")]
    fn a_log_has_a_few_however_long_it_is() {
        let (mut walk, mut index) = (Walk::new(SUPERBLOCK, None), Index::new(SUPERBLOCK));
        let mut checkpoints = Checkpoints { min_stride: 4, ..Checkpoints::new(Discards::Zero) };
        for nr_entries in 1..=800 {
            push(&mut index, &mut walk, (nr_entries % 7 + 1, 1, false));
            let map = checkpoints.map_at(&index, u64::MAX, &EntrySet::empty());
            assert_eq!(map.get(nr_entries % 7 + 1), Some(Source::Log { offset_bytes: nr_entries * 1024 }));
        }
        assert!((8..=NR_MAX).contains(&checkpoints.maps.len()), "{}", checkpoints.maps.len());
    }
}
