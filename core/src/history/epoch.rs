//! Epochs: what lies between two flushes, and what a crash may lose of it.
//!
//! A flush makes everything before it durable. A write that is a flush too covers what is before it, and belongs to the
//! epoch that it begins.
//!
//! An entry is *volatile* at a point if a crash there may lose it: it changes the disk, and neither a flush between it
//! and the point nor its own FUA has made it durable. What a crash leaves is the disk at the point without any of the
//! volatile entries; see [`Checkpoints`](crate::history::Checkpoints).

use core::ops::Range;

use crate::format::{EntryHeader, Flags};
use crate::history::Index;
use crate::reader::Entry;

/// The epochs of a log, counted as its entries go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    nr_flushes: u64,
    is_open: bool,
}

impl Epochs {
    /// Takes in the next entry, of which the header is enough.
    pub fn add(&mut self, header: &EntryHeader) {
        if header.flags.contains(Flags::FLUSH) {
            self.nr_flushes += 1;
            self.is_open = false;
        }
        self.is_open |= header.nr_sectors > 0;
    }

    /// How many flushes there were, and so the number, from 0, of the epoch that the next entry belongs to.
    #[must_use]
    pub const fn nr_flushes(&self) -> u64 {
        self.nr_flushes
    }

    /// How many epochs there are: one for each flush, and one more if the disk was changed after the last.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nr_flushes + u64::from(self.is_open)
    }
}

/// The epoch that has not ended at a point of a log: no flush before the point covers what is in it.
#[derive(Clone, Debug)]
pub struct Epoch<'a> {
    index: &'a Index,
    range: Range<u64>,
}

impl Epoch<'_> {
    /// The numbers of its entries, up to the point.
    #[must_use]
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Whether a crash at the point may lose entry number `entry`. O(1).
    #[must_use]
    pub fn is_volatile(&self, entry: u64) -> bool {
        self.range.contains(&entry)
            && self
                .index
                .entry(entry)
                .is_some_and(|entry| is_volatile(entry.header.nr_sectors, entry.flags()))
    }

    /// The numbers of the entries that a crash at the point may lose, in log order. O(1) for each entry of the epoch.
    #[must_use]
    pub fn volatile(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let records = self.index.records(self.range.clone());
        let volatile = records.filter(|(_, record)| is_volatile(record.nr_sectors, record.flags));
        volatile.map(|(index, _)| index)
    }
}

/// Epochs.
impl Index {
    /// The epoch that has not ended at `point`. O(1) for each entry of it.
    #[must_use]
    pub fn epoch_at(&self, point: u64) -> Epoch<'_> {
        let start = self.previous_flush(point).map_or(0, |flush| {
            let is_bare = self.entry(flush).is_some_and(|entry| !entry.changes_disk());
            flush + u64::from(is_bare)
        });
        Epoch { index: self, range: start..point }
    }

    /// The number of the last flush before `point`. O(1) for each entry passed.
    #[must_use]
    pub fn previous_flush(&self, point: u64) -> Option<u64> {
        let mut records = self.records(0..point).rev();
        records.find(|(_, record)| record.flags.contains(Flags::FLUSH)).map(|(index, _)| index)
    }

    /// The number of the first flush from entry number `from` on. O(1) for each entry passed.
    #[must_use]
    pub fn next_flush(&self, from: u64) -> Option<u64> {
        let mut records = self.records(from..u64::MAX);
        records.find(|(_, record)| record.flags.contains(Flags::FLUSH)).map(|(index, _)| index)
    }
}

impl Entry {
    /// Whether the disk may be another one after it.
    #[must_use]
    pub const fn changes_disk(&self) -> bool {
        self.header.nr_sectors > 0
    }
}

/// Whether a crash may lose an entry until a flush: it changes the disk, and is not a FUA write. A discard is not durable
/// by itself, whatever it says.
pub(crate) const fn is_volatile(nr_sectors: u64, flags: Flags) -> bool {
    let is_durable = flags.contains(Flags::FUA) && !flags.contains(Flags::DISCARD);
    nr_sectors > 0 && !is_durable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Superblock;
    use crate::geometry::SectorSize;
    use crate::reader::Walk;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn index(headers: &[EntryHeader]) -> Index {
        let superblock = Superblock { nr_entries: u64::MAX, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        for header in headers {
            index.push(&walk.step(&header.emit()).unwrap(), b"");
        }
        index
    }

    /// Whatever an entry can be, more often than in real logs what is rare there.
    fn header() -> impl Strategy<Value = EntryHeader> {
        let flags = prop_oneof![
            2 => Just(Flags::empty()),
            1 => Just(Flags::MARK),
            1 => Just(Flags::DISCARD),
            1 => Just(Flags::DISCARD | Flags::FUA),
            1 => Just(Flags::FUA | Flags::METADATA),
            1 => Just(Flags::FLUSH),
            1 => Just(Flags::FLUSH | Flags::FUA),
        ];
        (flags, 0u64..3).prop_map(|(flags, nr_sectors)| {
            let nr_sectors = match flags {
                Flags::MARK => 0,
                // Without flags and sectors it would not be an entry.
                _ if flags.is_empty() => nr_sectors + 1,
                _ => nr_sectors,
            };
            EntryHeader { sector: 1, nr_sectors, flags, data_len: 0 }
        })
    }

    proptest! {
        /// Word by word: what lies between an entry and the point says whether the entry is durable.
        #[test]
        fn what_is_volatile_is_what_nothing_has_made_durable(
            headers in proptest::collection::vec(header(), 0..12),
        ) {
            let index = index(&headers);
            let is_flush = |header: &EntryHeader| header.flags.contains(Flags::FLUSH);
            for point in 0..=headers.len() {
                let expected: Vec<u64> = (0..point)
                    .filter(|entry| {
                        let header = headers[*entry];
                        let is_fua_write = header.flags & (Flags::FUA | Flags::DISCARD) == Flags::FUA;
                        let is_flushed = headers[entry + 1..point].iter().any(is_flush);
                        header.nr_sectors > 0 && !is_fua_write && !is_flushed
                    })
                    .map(|entry| u64::try_from(entry).unwrap())
                    .collect();
                let point = u64::try_from(point).unwrap();
                prop_assert_eq!(&index.epoch_at(point).volatile().collect::<Vec<_>>(), &expected);
                for entry in 0..=index.nr_entries() {
                    prop_assert_eq!(index.epoch_at(point).is_volatile(entry), expected.contains(&entry));
                }
            }
        }

        /// Counted as a person would: cut after each flush, but before what the flush itself writes.
        #[test]
        fn an_epoch_ends_with_its_flush(headers in proptest::collection::vec(header(), 0..12)) {
            let mut epochs = Epochs::default();
            let (mut ended, mut open) = (0, 0);
            for header in &headers {
                epochs.add(header);
                if header.flags.contains(Flags::FLUSH) {
                    (ended, open) = (ended + 1, 0);
                }
                open += header.nr_sectors;
                prop_assert_eq!((epochs.nr_flushes(), epochs.count()), (ended, ended + open.min(1)));
            }
        }

        #[test]
        fn flushes_are_found_in_both_directions(headers in proptest::collection::vec(header(), 0..12)) {
            let index = index(&headers);
            let flushes: Vec<u64> = index.flagged(Flags::FLUSH).collect();
            for at in 0..=index.nr_entries() {
                let previous = flushes.iter().copied().rfind(|flush| *flush < at);
                prop_assert_eq!(index.previous_flush(at), previous);
                prop_assert_eq!(index.next_flush(at), flushes.iter().copied().find(|flush| *flush >= at));
            }
        }
    }
}
