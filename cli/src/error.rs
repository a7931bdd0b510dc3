//! What a command ends with: exit codes, and the words for people.

use std::io;
use std::path::Path;

use logwrites_core::config::ConfigError;
use logwrites_core::format::SuperblockError;
use logwrites_core::reader::Malformed;

use crate::device::ImageError;
use crate::point::{PointError, ResolveError};
use crate::script::ScriptError;

/// An end that no other error describes.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was to be checked is not so.
    #[error("{0}")]
    Check(String),
    /// The command cannot be meant like that.
    #[error("{0}")]
    Usage(String),
    /// What another tool would say, in its words and with its exit code, if this one replaces it.
    #[error("{words}")]
    Peer {
        /// The exit code.
        code: u8,
        /// The words; none for a tool that says nothing.
        words: String,
    },
    /// What was read cannot be used.
    #[error("{0}")]
    Malformed(String),
    /// The person, or the system, asked to stop.
    #[error("interrupted{0}")]
    Interrupted(String),
}

/// The refusal to read and write one file.
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> Failure {
    Failure::Usage(format!("{} and {} are the same file", a.display(), b.display()))
}

/// What to do about an error, as its context. It is printed after the error, on a line of its own.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Hint(pub String);

/// The exit code of a command that ended with `error`: 1 a check failed, 2 wrong usage or malformed input, 3 an I/O
/// error, 130 interrupted. A pipe that is no longer read is not an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(IO)
}

fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(match failure {
            Failure::Check(_) => CHECK_FAILED,
            Failure::Peer { code, .. } => *code,
            Failure::Usage(_) | Failure::Malformed(_) => MALFORMED,
            Failure::Interrupted(_) => INTERRUPTED,
        });
    }
    let is_malformed = error.is::<Malformed>()
        || error.is::<SuperblockError>()
        || error.is::<ConfigError>()
        || error.is::<ScriptError>()
        || error.is::<PointError>()
        || error.is::<ResolveError>()
        || matches!(error.downcast_ref(), Some(ImageError::Container { .. }));
    if is_malformed {
        return Some(MALFORMED);
    }
    let io_error = error.downcast_ref::<io::Error>()?;
    Some(if io_error.kind() == io::ErrorKind::BrokenPipe { DONE } else { IO })
}

const DONE: u8 = 0;
const CHECK_FAILED: u8 = 1;
const MALFORMED: u8 = 2;
const IO: u8 = 3;
const INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_code_is_found_below_any_context() {
        let code = |error: anyhow::Error| exit_code(&error.context("a").context("b"));
        assert_eq!(code(Failure::Check(String::new()).into()), 1);
        assert_eq!(code(Failure::Usage(String::new()).into()), 2);
        assert_eq!(code(SuperblockError::Version { found: 7 }.into()), 2);
        assert_eq!(code(io::Error::other("broken").into()), 3);
        assert_eq!(code(Failure::Interrupted(String::new()).into()), 130);
        let gone: Result<(), _> = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(code(gone.context("print").unwrap_err()), 0);
    }
}
