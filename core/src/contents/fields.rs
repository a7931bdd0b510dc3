//! Numbers at byte offsets of a structure on a disk.

use zerocopy::FromBytes as _;
use zerocopy::byteorder::{LE, U16, U32};

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

    /// Whether these bytes are there.
    pub(super) fn has(self, at: usize, bytes: &[u8]) -> bool {
        self.from(at).starts_with(bytes)
    }

    /// The rest from an offset on.
    pub(super) fn from(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or_default()
    }
}
