//! Numbers at byte offsets of a structure on a disk.

use zerocopy::FromBytes as _;
use zerocopy::byteorder::{BE, LE, U16, U32, U64};

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
