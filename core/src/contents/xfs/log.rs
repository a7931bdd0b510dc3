//! The log of XFS, its journal: what the sectors that are written to it say.

use core::fmt;

use super::super::fields::Fields;

/// A place in the log, and the n-th time that the log was written from its start, as each record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lsn {
    cycle: u32,
    sector: u32,
}

impl Lsn {
    /// That of the record that begins with a sector; `None` if none does.
    pub(super) fn of_record(sector: &[u8]) -> Option<Self> {
        let fields = Fields(sector);
        let lsn = Self { cycle: fields.be32(16), sector: fields.be32(20) };
        (fields.has(0, MAGIC) && fields.be32(4) == lsn.cycle).then_some(lsn)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cycle, self.sector)
    }
}

/// How long a sector of the log is, in bytes, whatever those of the disk are.
pub(super) const SECTOR_BYTES: usize = 512;

const MAGIC: &[u8] = b"\xfe\xed\xba\xbe";
