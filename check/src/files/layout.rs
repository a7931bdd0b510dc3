//! Where on the disk the parts of a folder are.

/// Where it is said where the journal is.
pub(crate) const HEAD_SECTOR: u64 = 0;

/// Where the lengths are, where they have a sector each.
pub(crate) const LENGTHS_SECTOR: u64 = 1 << 20;

/// Each area of the disk: the bytes of a file, or a journal.
pub(crate) const AREA_BYTES: u64 = 1 << 40;

/// Areas 0 and 1 are the lengths and the first journal.
pub(crate) const FIRST_NUMBER: u64 = 2;
