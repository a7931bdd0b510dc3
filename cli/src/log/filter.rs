//! Which entries of a log are wanted: of `ls`, `find` and `cut`.

use logwrites_core::Extent;
use logwrites_core::format::Flags;
use logwrites_core::reader::Entry;

/// A choice of entries. The default takes all of them.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Only entries with all of these flags.
    pub flags: Flags,
    /// Only entries of one of these kinds; of any, where none is named.
    pub kinds: Vec<EntryKind>,
    /// Only entries that touch these sectors of the disk.
    pub touching: Option<Extent>,
}

/// A kind of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Writes with no flag other than metadata.
    Write,
    /// Entries with these flags, whatever others they have.
    With(Flags),
}

impl EntryFilter {
    /// Whether an entry is wanted.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        entry.flags().contains(self.flags)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.is_of(entry.flags())))
            && self.touching.is_none_or(|extent| extent.overlaps(entry.extent()))
    }
}

impl EntryKind {
    const fn is_of(self, flags: Flags) -> bool {
        match self {
            Self::Write => flags.is_plain_write(),
            Self::With(wanted) => flags.contains(wanted),
        }
    }
}
