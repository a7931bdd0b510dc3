//! One file under two names.

use std::path::{Path, PathBuf};

/// The refusal to read and write one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} and {} are the same file", one.display(), other.display())]
pub struct SameFile {
    one: PathBuf,
    other: PathBuf,
}

impl SameFile {
    /// Of a file that has these two names.
    #[must_use]
    pub fn new(one: &Path, other: &Path) -> Self {
        Self { one: one.to_owned(), other: other.to_owned() }
    }
}
