//! The extents that the data device works on, to find what overlaps one of them.

use crate::geometry::Extent;
use crate::num::narrow;
use crate::op::Tag;
use crate::slots::{List, Slots};

/// The extents of the operations that the data device has. They are disjoint, since one that overlaps another
/// is withheld.
///
/// A grid at each of 64 levels: the cells of level `l` are `2^l` sectors wide, and an extent is in the cell
/// in which it starts, at the lowest level whose cells are as wide as it is long. It is longer than half of such a
/// cell, and so no more than two of one level start in the same one. What overlaps an extent starts less than a
/// cell before it, or in it; so a search looks at a few cells of each level in use, however many operations
/// are in flight. The cells are hashed into buckets, which are lists of slots.
#[derive(Clone, Debug)]
pub(crate) struct InFlight<const N: usize> {
    /// The only one, if it is not in the grid; then the grid is empty.
    alone: Option<Tag>,
    buckets: [[List; BUCKETS_PER_SLOT]; N],
    /// How many extents each level has.
    nr_extents: [u16; LEVELS],
    /// Bit `l` says whether level `l` has any.
    levels_in_use: u64,
}

impl<const N: usize> InFlight<N> {
    pub(crate) const fn new() -> Self {
        Self {
            alone: None,
            buckets: [[List::new(); BUCKETS_PER_SLOT]; N],
            nr_extents: [0; LEVELS],
            levels_in_use: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.alone.is_none() && self.levels_in_use == 0
    }

    /// Takes in an operation whose extent is not empty, unless it has to wait: for `nr_withheld` that wait themselves,
    /// or for those here that share a sector with it. Gives how many these are together.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        slots: &mut Slots<N>,
        tag: Tag,
        extent: Extent,
        nr_withheld: usize,
    ) -> usize {
        if self.is_empty() && nr_withheld == 0 {
            self.alone = Some(tag);
            return 0;
        }
        self.admit_beside(slots, tag, extent, nr_withheld)
    }

    #[inline(never)] // so that the other case is short
    fn admit_beside(&mut self, slots: &mut Slots<N>, tag: Tag, extent: Extent, nr_withheld: usize) -> usize {
        if let Some(first) = self.alone.take() {
            self.enter(slots, first, slots.at(first).extent());
        }
        let nr_blockers = nr_withheld + self.nr_overlapping(slots, extent);
        if nr_blockers == 0 {
            self.enter(slots, tag, extent);
        }
        nr_blockers
    }

    #[inline]
    pub(crate) fn remove(&mut self, slots: &mut Slots<N>, tag: Tag) {
        if self.alone == Some(tag) {
            self.alone = None;
        } else {
            self.leave(slots, tag);
        }
    }

    #[inline]
    fn enter(&mut self, slots: &mut Slots<N>, tag: Tag, extent: Extent) {
        let cell = Cell::of(extent);
        self.bucket_mut(cell).push_back(slots, tag);
        let nr_extents = self.nr_extents_mut(cell);
        *nr_extents += 1;
        if *nr_extents == 1 {
            self.levels_in_use |= 1 << cell.level;
        }
    }

    fn leave(&mut self, slots: &mut Slots<N>, tag: Tag) {
        debug_assert!(self.alone.is_none(), "where there is one alone, the grid is empty");
        let cell = Cell::of(slots.at(tag).extent());
        self.bucket_mut(cell).remove(slots, tag);
        let nr_extents = self.nr_extents_mut(cell);
        *nr_extents -= 1;
        if *nr_extents == 0 {
            self.levels_in_use &= !(1 << cell.level);
        }
    }

    /// How many of those in the grid share a sector with `extent`, which is not empty.
    fn nr_overlapping(&self, slots: &Slots<N>, extent: Extent) -> usize {
        let mut nr_overlapping = 0;
        let mut levels = self.levels_in_use;
        while levels != 0 {
            let level = levels.trailing_zeros();
            levels &= levels - 1;
            let first = extent.sector().saturating_sub((1 << level) - 1) >> level;
            let end = ((extent.end() - 1) >> level) + 1;
            if end - first > Self::NR_BUCKETS {
                // A long extent over short ones: there are fewer buckets than cells.
                let all = self.buckets.as_flattened().iter().flat_map(|bucket| bucket.iter(slots));
                return all.filter(|tag| slots.at(*tag).extent().overlaps(extent)).count();
            }
            for index in first..end {
                let cell = Cell { level, index };
                for tag in self.bucket(cell).iter(slots) {
                    let other = slots.at(tag).extent();
                    // An extent of the same bucket may be in another cell that is looked at, and is counted there.
                    nr_overlapping += usize::from(other.overlaps(extent) && Cell::of(other) == cell);
                }
            }
        }
        nr_overlapping
    }

    const NR_BUCKETS: u64 = Self::nr_buckets();

    /// No more than 2^18, since a logger has fewer than 2^16 slots.
    #[expect(clippy::as_conversions, reason = "From is not const yet")]
    const fn nr_buckets() -> u64 {
        (N * BUCKETS_PER_SLOT) as u64
    }

    #[expect(clippy::indexing_slicing, reason = "place_of stays below the number of buckets")]
    fn bucket(&self, cell: Cell) -> List {
        self.buckets.as_flattened()[Self::place_of(cell)]
    }

    #[expect(clippy::indexing_slicing, reason = "place_of stays below the number of buckets")]
    fn bucket_mut(&mut self, cell: Cell) -> &mut List {
        &mut self.buckets.as_flattened_mut()[Self::place_of(cell)]
    }

    #[expect(clippy::indexing_slicing, reason = "a level is below LEVELS")]
    fn nr_extents_mut(&mut self, cell: Cell) -> &mut u16 {
        &mut self.nr_extents[narrow(cell.level.into())]
    }

    /// Which bucket a cell has: the upper half of its hash, a fraction of 2^32, of the number of buckets.
    fn place_of(cell: Cell) -> usize {
        let key = (cell.index << LEVELS.trailing_zeros()) | u64::from(cell.level);
        let hash = key.wrapping_mul(GOLDEN_RATIO);
        narrow(((hash >> 32) * Self::NR_BUCKETS) >> 32)
    }
}

/// Where an extent is in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    level: u32,
    index: u64,
}

impl Cell {
    /// The cell of an extent that is not empty.
    fn of(extent: Extent) -> Self {
        let level = u64::BITS - (extent.nr_sectors() - 1).leading_zeros();
        debug_assert!(level < 64, "an extent that was accepted ends below 2^58 sectors");
        Self { level, index: extent.sector() >> level }
    }
}

/// Few enough to be small, and enough that most of what is looked at is empty.
const BUCKETS_PER_SLOT: usize = 4;

const LEVELS: usize = 64;

/// 2^64 over the golden ratio, which spreads neighbours far from each other.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Op, WriteFlags};
    use crate::slots::Phase;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Short ones side by side, and some so long that they cover more cells than there are buckets.
    fn extents() -> impl Strategy<Value = (u64, u64)> {
        let short = (0u64..60, 1u64..9);
        let long = (0u64..1000, 1u64..100_000);
        let far = ((1u64 << 57)..(1 << 57) + 60, 1u64..40);
        prop_oneof![4 => short, 1 => long, 1 => far]
    }

    proptest! {
        #[test]
        fn overlaps_in_flight_are_found(
            ops in proptest::collection::vec(extents(), 1..16), probe in extents(),
        ) {
            let mut slots = Slots::<16>::new();
            let mut in_flight = InFlight::new();
            let mut model: Vec<(Tag, Extent)> = vec![];
            for (index, (sector, nr_sectors)) in (0..).zip(ops) {
                let extent = Extent::new(sector, nr_sectors).unwrap();
                let nr_overlapping = model.iter().filter(|(_, other)| other.overlaps(extent)).count();
                let tag = Tag::new(index);
                slots.occupy(tag, Op::Write { extent, flags: WriteFlags::empty() }, Phase::Issued);
                prop_assert_eq!(in_flight.admit(&mut slots, tag, extent, 1), 1 + nr_overlapping);
                prop_assert_eq!(in_flight.admit(&mut slots, tag, extent, 0), nr_overlapping);
                if nr_overlapping > 0 {
                    continue;
                }
                model.push((tag, extent));
                if model.len() > 5 {
                    let (gone, _) = model.remove(2);
                    in_flight.remove(&mut slots, gone);
                }
            }
            let probe = Extent::new(probe.0, probe.1).unwrap();
            let nr_overlapping = model.iter().filter(|(_, extent)| extent.overlaps(probe)).count();
            prop_assert_eq!(in_flight.admit(&mut slots, Tag::new(15), probe, 1), 1 + nr_overlapping);
            for (tag, _) in model {
                in_flight.remove(&mut slots, tag);
            }
            prop_assert!(in_flight.is_empty());
        }
    }

    #[test]
    fn what_shares_a_bucket_is_counted_once() {
        // Two slots have eight buckets, and two cells are looked at: sooner or later both have the same one.
        for sector in 0..64 {
            let mut slots = Slots::<2>::new();
            let mut in_flight = InFlight::new();
            let extent = Extent::new(sector, 7).unwrap();
            for (tag, extent) in [(Tag::new(0), extent), (Tag::new(1), Extent::new(1 << 40, 7).unwrap())] {
                slots.occupy(tag, Op::Discard { extent }, Phase::Issued);
                assert_eq!(in_flight.admit(&mut slots, tag, extent, 0), 0);
            }
            for probe in 0..80 {
                let probe = Extent::new(probe, 7).unwrap();
                assert_eq!(in_flight.nr_overlapping(&slots, probe), usize::from(probe.overlaps(extent)));
            }
        }
    }
}
