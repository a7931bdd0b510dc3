//! What a part of a disk is.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// What a part of a disk is to its file system, as a short phrase: "block bitmap of group 0", "data of /t.db at 8 KiB".
///
/// A path in it is as the image has it, also with characters that could steer a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role {
    class: Class,
    phrase: Cow<'static, str>,
}

/// Roles that all file systems have in common.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What says how the file system is laid out: boot sectors, superblocks, group descriptors.
    Superblock,
    /// What says which space and which inodes are in use.
    Allocation,
    /// Inodes, and what says where a file is.
    Inode,
    /// Names of files.
    Directory,
    /// A journal or a log.
    Journal,
    /// Metadata of other kinds.
    Metadata,
    /// The contents of a file.
    Data,
    /// Nothing uses it.
    Free,
    /// It is not known.
    Unknown,
}

impl Role {
    pub(super) fn new(class: Class, phrase: impl Into<Cow<'static, str>>) -> Self {
        Self { class, phrase: phrase.into() }
    }

    pub(super) fn free() -> Self {
        Self::new(Class::Free, "free")
    }

    pub(super) fn unknown() -> Self {
        Self::new(Class::Unknown, "unknown")
    }

    /// What kind of role it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The phrase.
    #[must_use]
    pub fn phrase(&self) -> &str {
        &self.phrase
    }

    /// Whether the file system is known to use it for something.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        !matches!(self.class, Class::Free | Class::Unknown)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase.fmt(f)
    }
}

/// A number of bytes in the largest unit that it is a multiple of: "8 KiB".
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units.iter().find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match whole {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "byte {}", self.0),
        }
    }
}

/// Some of many things: the first few, and how many more there are.
pub(super) fn listed(all: &[String]) -> String {
    let shown = if all.len() > MAX_LISTED { MAX_LISTED - 1 } else { all.len() };
    let text = all[..shown].join(", ");
    if all.len() == shown { text } else { format!("{text} and {} more", all.len() - shown) }
}

/// How many things are listed.
const MAX_LISTED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;
    use std::vec::Vec;

    #[test]
    fn bytes_are_in_units_that_fit() {
        let said = [0, 512, 8192, 8704, 3 << 20, 5 << 30].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(said, ["byte 0", "byte 512", "8 KiB", "byte 8704", "3 MiB", "5 GiB"]);
    }

    #[test]
    fn lists_are_short() {
        let all: Vec<String> = (0..7).map(|number| number.to_string()).collect();
        assert_eq!(listed(&all), "0, 1, 2, 3 and 3 more");
        assert_eq!(listed(&all[..5]), "0, 1, 2, 3, 4");
    }
}
