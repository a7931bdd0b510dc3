//! How a replay ends early: with the original's exit code and words.

use crate::error::Failure;

/// An end with the original's exit code, and its words on standard error as they are.
pub(super) fn end(code: u8, words: impl Into<String>) -> Failure {
    Failure::Peer { code, words: words.into() }
}

/// The exit code of nearly everything that goes wrong.
pub(super) const FAILED: u8 = 1;
