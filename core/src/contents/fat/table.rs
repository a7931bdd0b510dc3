//! The file allocation table: which cluster comes after which.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::super::disk::Disk;
use super::super::fields::Fields;
use super::geometry::{FIRST_CLUSTER, Geometry};
use crate::num::{clip, narrow, widen};

/// How long the table's entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Bits12,
    Bits16,
    Bits32,
}

/// The table of a disk, and which of its clusters were followed.
#[derive(Clone, Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    width: Width,
    /// The cluster after the last one.
    end: u32,
    is_followed: Vec<bool>,
    is_complete: bool,
}

/// What the table says of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Free,
    Bad,
    /// In use, and followed by the cluster of this number if there is one.
    Used(u32),
}

impl Width {
    const fn nibbles(self) -> u64 {
        match self {
            Self::Bits12 => 3,
            Self::Bits16 => 4,
            Self::Bits32 => 8,
        }
    }

    /// How many entries there are in so many bytes.
    pub(super) const fn nr_entries(self, len_bytes: u64) -> u64 {
        len_bytes * 2 / self.nibbles()
    }

    /// The entries that have something in some bytes of the table.
    pub(super) const fn entries(self, offset: u64, len_bytes: u64) -> RangeInclusive<u64> {
        let last_nibble = (offset + len_bytes) * 2 - 1;
        offset * 2 / self.nibbles()..=last_nibble / self.nibbles()
    }

    /// Whether an entry differs in two versions of some bytes of the table, as far as both have it.
    pub(super) fn differs(self, entry: u64, offset: u64, (one, other): (&[u8], &[u8])) -> bool {
        let nibble = |bytes: &[u8], at: u64| {
            let byte = bytes.get(usize::try_from((at / 2).checked_sub(offset)?).ok()?)?;
            Some(if at.is_multiple_of(2) { byte & 0xf } else { byte >> 4 })
        };
        (entry * self.nibbles()..(entry + 1) * self.nibbles()).any(|at| nibble(one, at) != nibble(other, at))
    }
}

impl Table {
    /// Reads the table, as far as it is not too long.
    pub(super) fn read<E>(disk: &mut Disk<'_, E>, geometry: &Geometry) -> Result<Self, E> {
        let (width, range) = (geometry.width, geometry.active_fat());
        let nr_entries = u64::from(geometry.nr_clusters()) + u64::from(FIRST_CLUSTER);
        let len_bytes = (nr_entries * width.nibbles()).div_ceil(2).min(range.end - range.start);
        let len = clip(len_bytes, MAX_BYTES);
        let bytes = disk.read(range.start, len)?.unwrap_or_default();
        let is_complete = widen(bytes.len()) == len_bytes;
        let end = width.nr_entries(widen(bytes.len())).min(nr_entries);
        // A number of clusters has 28 bits.
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        Ok(Self { bytes, width, end, is_followed: vec![false; narrow(end.into())], is_complete })
    }

    /// What it says of a cluster; `None` if it does not have it.
    pub(super) fn entry(&self, cluster: u32) -> Option<Entry> {
        if !(FIRST_CLUSTER..self.end).contains(&cluster) {
            return None;
        }
        let (fields, nth) = (Fields(&self.bytes), narrow(cluster.into()));
        let (next, bad) = match self.width {
            Width::Bits12 => {
                let pair = u32::from(fields.le16(nth / 2 * 3 + nth % 2));
                (if nth.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }, 0xff7)
            }
            Width::Bits16 => (u32::from(fields.le16(nth * 2)), 0xfff7),
            Width::Bits32 => (fields.le32(nth * 4) & 0x0fff_ffff, 0x0fff_fff7),
        };
        Some(match next {
            0 => Entry::Free,
            next if next == bad => Entry::Bad,
            next => Entry::Used(next),
        })
    }

    /// Follows a chain of clusters as far as no other one had them: runs of neighbours, the first of each and how many. Over all
    /// calls it looks at each cluster once.
    pub(super) fn follow(&mut self, first: u32) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let mut next = first;
        while let Some(entry) = self.entry(next)
            && let Some(is_followed) = self.is_followed.get_mut(narrow(next.into()))
            && !core::mem::replace(is_followed, true)
        {
            match runs.last_mut() {
                Some((first, nr)) if *first + *nr == next => *nr += 1,
                _ => runs.push((next, 1)),
            }
            let Entry::Used(after) = entry else { break };
            next = after;
        }
        runs
    }

    /// Runs of neighbours of which it says the same that is not that they are in use.
    pub(super) fn unused(&self) -> impl Iterator<Item = (u32, u32, Entry)> + '_ {
        let mut at = FIRST_CLUSTER;
        core::iter::from_fn(move || {
            while let Some(Entry::Used(_)) = self.entry(at) {
                at += 1;
            }
            let (first, entry) = (at, self.entry(at)?);
            while self.entry(at) == Some(entry) {
                at += 1;
            }
            Some((first, at - first, entry))
        })
    }

    /// Whether all of it was read.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// How much of the table is looked at, in bytes: 16 million clusters, of 512 GiB if they are of 32 KiB.
const MAX_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: &[u8], width: Width, end: u32) -> Table {
        Table {
            bytes: bytes.to_vec(),
            width,
            end,
            is_followed: vec![false; narrow(end.into())],
            is_complete: true,
        }
    }

    #[test]
    fn entries_of_12_bits_share_bytes() {
        let table = table(&[0xf8, 0xff, 0xff, 0x03, 0x70, 0xff, 0xff, 0x0f, 0x00], Width::Bits12, 6);
        let entries = [1, 2, 3, 4, 5, 6].map(|cluster| table.entry(cluster));
        let used = |next| Some(Entry::Used(next));
        assert_eq!(entries, [None, used(3), Some(Entry::Bad), used(0xfff), Some(Entry::Free), None]);
    }

    #[test]
    fn a_chain_ends_where_it_meets_another_or_itself() {
        // 2, 3, 5 and then 3 again; 4 leads to 5.
        let mut table = table(&[0, 0, 0, 0, 3, 0, 5, 0, 5, 0, 3, 0], Width::Bits16, 6);
        assert_eq!(table.follow(2), [(2, 2), (5, 1)]);
        assert_eq!(table.follow(4), [(4, 1)]);
        assert_eq!((table.follow(5), table.follow(0), table.follow(99)), (vec![], vec![], vec![]));
    }

    #[test]
    fn only_entries_that_change_differ() {
        let (one, other) = (&[0x11, 0x22, 0x33][..], &[0x11, 0x32, 0x33][..]);
        // The fourth nibble of three bytes from byte 3 on is entry 3's first.
        let differing = |width: Width| -> Vec<u64> {
            width.entries(3, 3).filter(|entry| width.differs(*entry, 3, (one, other))).collect()
        };
        assert_eq!((differing(Width::Bits12), differing(Width::Bits16)), (vec![3], vec![2]));
        assert_eq!(Width::Bits12.entries(3, 1), 2..=2);
        assert_eq!(Width::Bits12.entries(3, 2), 2..=3);
    }
}
