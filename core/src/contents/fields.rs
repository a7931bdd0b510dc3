//! Numbers at byte offsets of a structure on a disk.

use alloc::vec::Vec;

use zerocopy::FromBytes as _;
use zerocopy::byteorder::{BE, LE, U16, U32, U64};

use crate::num::{clip, narrow, widen};

/// The bytes of a structure. What it is too short for reads as zero: nothing that a hostile image has makes this panic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn le16(self, at: usize) -> u16 {
        U16::<LE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    pub(super) fn le32(self, at: usize) -> u32 {
        U32::<LE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    pub(super) fn le64(self, at: usize) -> u64 {
        U64::<LE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    pub(super) fn be16(self, at: usize) -> u16 {
        U16::<BE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    pub(super) fn be32(self, at: usize) -> u32 {
        U32::<BE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    pub(super) fn be64(self, at: usize) -> u64 {
        U64::<BE>::read_from_prefix(self.from(at)).map_or(0, |(number, _)| number.get())
    }

    /// A number in two parts: its low and its high half.
    pub(super) fn le_halves(self, low: usize, high: usize) -> u64 {
        u64::from(self.le32(low)) | u64::from(self.le32(high)) << 32
    }

    /// Whether these bytes are there.
    pub(super) fn has(self, at: usize, bytes: &[u8]) -> bool {
        self.from(at).starts_with(bytes)
    }

    /// The rest from an offset on.
    pub(super) fn from(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or_default()
    }

    /// As many of these bytes as there are.
    pub(super) fn part(self, at: usize, len: usize) -> &'a [u8] {
        let rest = self.from(at);
        rest.get(..len).unwrap_or(rest)
    }
}

/// Which records of a table differ in two versions of some of its bytes, which are at an offset in it; none if there is nothing
/// of the other version. What is longer than the other differs.
pub(super) fn changed_records(offset: u64, record_bytes: usize, (now, before): (&[u8], &[u8])) -> Vec<u64> {
    let skipped = narrow(offset % widen(record_bytes));
    let first = offset / widen(record_bytes);
    let mut changed = Vec::new();
    let mut at = 0;
    for nth in first.. {
        let end = (nth - first + 1).saturating_mul(widen(record_bytes)).saturating_sub(widen(skipped));
        let range = at..clip(end, now.len());
        if range.is_empty() || before.is_empty() {
            break;
        }
        at = range.end;
        if now.get(range.clone()) != before.get(range) {
            changed.push(nth);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compared_one_by_one() {
        let changed = |now: &[u8], before: &[u8]| changed_records(6, 4, (now, before));
        // Half of record 1, records 2 and 3, and some of record 4.
        assert_eq!(changed(b"aabbbbccccd", b"aabbbbccccd"), []);
        assert_eq!(changed(b"aXbbbbccccX", b"aabbbbccccd"), [1, 4]);
        assert_eq!(changed(b"aabbbbcccc", b"aabb"), [2, 3]);
        assert_eq!(changed(b"aabb", b""), []);
    }
}
