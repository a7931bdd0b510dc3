//! Where logical addresses of btrfs are on its devices.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::super::fields::Fields;
use super::node::Key;

/// The chunks of a file system, by their logical addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    list: BTreeMap<u64, Chunk>,
    is_complete: bool,
}

/// Where a chunk is.
#[derive(Clone, Debug)]
struct Chunk {
    len_bytes: u64,
    /// Where its copies begin on this device, in bytes.
    copies: Vec<u64>,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { list: BTreeMap::new(), is_complete: true }
    }

    /// Takes in a chunk, and of its stripes those of a device. Where they are not copies of each other, it is not mapped.
    pub(super) fn add(&mut self, key: Key, item: Fields<'_>, device: u64) {
        if self.list.len() >= MAX_CHUNKS || item.le64(24) & STRIPED != 0 {
            self.is_complete = false;
            return;
        }
        let stripes = item.from(STRIPES).chunks_exact(STRIPE_BYTES).take(item.le16(44).into()).map(Fields);
        let ours = stripes.filter(|stripe| stripe.le64(0) == device).take(MAX_COPIES);
        let len_bytes = item.le64(0).min(u64::MAX - key.offset);
        let copies = ours.map(|stripe| stripe.le64(8)).filter(|at| at.checked_add(len_bytes).is_some());
        self.list.entry(key.offset).or_insert(Chunk { len_bytes, copies: copies.collect() });
    }

    /// Takes in those of a superblock.
    pub(super) fn add_system(&mut self, mut array: Fields<'_>, device: u64) {
        while let Some(key) = Key::parse(array) {
            let item = Fields(array.from(Key::BYTES));
            self.add(key, item, device);
            array = Fields(item.from(STRIPES + usize::from(item.le16(44)) * STRIPE_BYTES));
        }
    }

    /// Where some bytes are on this device, once for each copy; nowhere if they are not all in one chunk.
    pub(super) fn places(&self, at: u64, len_bytes: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let chunk = self.list.range(..=at).next_back().filter(|(start, chunk)| {
            at.checked_add(len_bytes).is_some_and(|end| end <= *start + chunk.len_bytes)
        });
        chunk.into_iter().flat_map(move |(start, chunk)| {
            chunk.copies.iter().map(move |copy| copy + (at - start)..copy + (at - start) + len_bytes)
        })
    }

    /// The logical addresses of all of them.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.list.iter().map(|(start, chunk)| *start..start + chunk.len_bytes)
    }

    /// Whether all of them are mapped.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// Where the stripes of a chunk begin.
const STRIPES: usize = 48;
const STRIPE_BYTES: usize = 32;

/// RAID 0, 10, 5 and 6.
const STRIPED: u64 = 0x8 | 0x40 | 0x80 | 0x100;

/// How many copies of a chunk one device has at most.
const MAX_COPIES: usize = 4;

/// How many chunks are looked at: those of 64 TiB, if they are of 1 GiB.
const MAX_CHUNKS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// A chunk of 4096 bytes with stripes on devices.
    fn item(kind: u8, stripes: &[(u8, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; STRIPES + stripes.len() * STRIPE_BYTES];
        bytes[1] = 0x10;
        bytes[24] = kind;
        bytes[44] = u8::try_from(stripes.len()).unwrap();
        for (stripe, (device, at)) in bytes[STRIPES..].chunks_mut(STRIPE_BYTES).zip(stripes) {
            stripe[0] = *device;
            stripe[8..16].copy_from_slice(zerocopy::byteorder::U64::<zerocopy::LE>::new(*at).as_ref());
        }
        bytes
    }

    fn key(offset: u64) -> Key {
        Key { object: 256, kind: 228, offset }
    }

    #[test]
    fn addresses_are_at_each_stripe_of_the_device() {
        let mut chunks = Chunks::new();
        chunks.add(key(8192), Fields(&item(0x11, &[(1, 100_000), (2, 300_000), (1, 200_000)])), 1);
        let places = |at, len| chunks.places(at, len).collect::<Vec<_>>();
        assert_eq!(places(8192, 4096), [100_000..104_096, 200_000..204_096]);
        assert_eq!(places(12_000, 288), [103_808..104_096, 203_808..204_096]);
        // Before it, and over its end.
        assert_eq!((places(8191, 1), places(12_000, 289), places(12_288, 1)), (vec![], vec![], vec![]));
        assert_eq!(places(u64::MAX, 2), []);
        assert!(chunks.is_complete());
    }

    #[test]
    fn what_makes_no_sense_is_nowhere() {
        let mut chunks = Chunks::new();
        chunks.add(key(0), Fields(&item(1, &[(1, u64::MAX - 100)])), 1);
        chunks.add(key(u64::MAX - 10), Fields(&item(1, &[(1, 0)])), 1);
        chunks.add(key(4096), Fields(&item(1, &[(1, 0)])[..60]), 1);
        let nowhere = [0, 4096].map(|at| chunks.places(at, 1).count());
        assert_eq!((nowhere, chunks.places(u64::MAX - 10, 10).count()), ([0, 0], 1));
        assert!(chunks.is_complete());
        chunks.add(key(8192), Fields(&item(0x9, &[(1, 0)])), 1);
        assert!(!chunks.is_complete(), "RAID 0 is not mapped");
        assert_eq!(chunks.places(8192, 1).count(), 0);
    }

    #[test]
    fn a_superblock_has_keys_and_chunks_in_turn() {
        let key = [&[0; 8][..], &[228, 0, 0x20], &[0; 6]].concat();
        let array = [key.clone(), item(2, &[(1, 0), (1, 4096)]), key, vec![0; 20]].concat();
        let mut chunks = Chunks::new();
        chunks.add_system(Fields(&array), 1);
        assert_eq!(chunks.places(8192, 1).count(), 2);
        assert!(chunks.ranges().eq(core::iter::once(8192..12_288)));
    }
}
