//! How a command ends: its exit code, and what an error says to people.

use std::error::Error;
use std::io;

use logwrites_core::config::ConfigError;
use logwrites_core::crash::StateError;
use logwrites_core::format::SuperblockError;
use logwrites_core::reader::Malformed;

use crate::device::{ImageError, SameFile};
use crate::disk::OpenError;
use crate::explain::{self, End, Explain, chain};
#[cfg(target_os = "linux")]
use crate::explore::{ExploreError, MergeError, OutDirError};
#[cfg(target_os = "linux")]
use crate::host::error::MountingError;
use crate::interrupt::Interrupted;
use crate::log::{FitError, LogError, PlaceError};
use crate::point::{PointError, ResolveError};
use crate::script::ScriptError;
#[cfg(unix)]
use crate::serve::control::AskError;
#[cfg(target_os = "linux")]
use crate::serve::fuse::{Hidden, MountpointError};
use crate::serve::listen::ListenError;

/// The end of a command that no other error describes.
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
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for Failure {
    fn end(&self) -> Option<End> {
        Some(match self {
            Self::Check(_) => End::CheckFailed,
            Self::Peer { code, .. } => End::Peer(*code),
            Self::Usage(_) | Self::Malformed(_) => End::Malformed,
            Self::Interrupted(_) => End::Interrupted,
        })
    }
}

/// A hint that only the command can give, since it depends on its options: the context of an error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Hint(pub String);

/// The exit code of a command that ended with `error`: 1 a check failed, 2 wrong usage or malformed input, 3 an I/O
/// error, 130 interrupted. A pipe that is no longer read is not an error.
#[must_use]
pub fn exit_code(error: &(dyn Error + 'static)) -> u8 {
    chain(error).find_map(code_of).unwrap_or(IO)
}

/// What to do about an error, as the error or a cause of it says.
#[must_use]
pub fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    chain(error).find_map(|error| explained(error)?.hint())
}

/// An error, its causes and its hint, where there is one line for all of it.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let hint = hint(error).map(|hint| format!("; {hint}"));
    explain::in_one_line(error) + &hint.unwrap_or_default()
}

fn code_of(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(explained) = explained(error) {
        return explained.end().map(End::code);
    }
    let io_error = error.downcast_ref::<io::Error>()?;
    Some(if io_error.kind() == io::ErrorKind::BrokenPipe { DONE } else { IO })
}

/// An error as what it knows of a command's end.
fn explained<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Explain> {
    fn of<'a, E: Explain>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Explain> {
        let error: &E = error.downcast_ref()?;
        Some(error)
    }
    let kinds = [
        #[cfg(unix)]
        of::<AskError>,
        of::<ConfigError>,
        #[cfg(target_os = "linux")]
        of::<ExploreError>,
        of::<Failure>,
        of::<FitError>,
        #[cfg(target_os = "linux")]
        of::<Hidden>,
        of::<ImageError>,
        of::<Interrupted>,
        of::<ListenError>,
        of::<LogError>,
        of::<Malformed>,
        #[cfg(target_os = "linux")]
        of::<MergeError>,
        #[cfg(target_os = "linux")]
        of::<MountingError>,
        #[cfg(target_os = "linux")]
        of::<MountpointError>,
        #[cfg(target_os = "linux")]
        of::<OutDirError>,
        of::<OpenError>,
        of::<PlaceError>,
        of::<PointError>,
        of::<ResolveError>,
        of::<SameFile>,
        of::<ScriptError>,
        of::<StateError>,
        of::<SuperblockError>,
    ];
    kinds.iter().find_map(|of| of(error))
}

macro_rules! malformed_input {
    ($($error:ty),*) => {
        $(impl Explain for $error {
            fn end(&self) -> Option<End> {
                Some(End::Malformed)
            }
        })*
    };
}

malformed_input!(
    ConfigError,
    Malformed,
    PointError,
    ResolveError,
    SameFile,
    ScriptError,
    StateError,
    SuperblockError
);

const DONE: u8 = 0;
const IO: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::reader::Malformation;

    #[test]
    fn the_code_is_found_below_any_context() {
        let code = |error: anyhow::Error| exit_code(error.context("a").context("b").as_ref());
        assert_eq!(code(Failure::Check(String::new()).into()), 1);
        assert_eq!(code(Failure::Usage(String::new()).into()), 2);
        assert_eq!(code(SuperblockError::Version { found: 7 }.into()), 2);
        assert_eq!(code(io::Error::other("broken").into()), 3);
        assert_eq!(code(Interrupted::new("").into()), 130);
        assert_eq!(code(io::Error::from(io::ErrorKind::BrokenPipe).into()), 0);
    }

    #[test]
    fn a_wrapped_error_keeps_its_code_and_its_hint() {
        let broken = || {
            let reason = Malformation::Truncated { nr_entries: 3 };
            let source = Malformed { entry: 1, offset_bytes: 1024, reason };
            LogError::Broken { path: "log".into(), nr_readable: 1, nr_counted: 3, source }
        };
        let alone = broken();
        let handed_on = OpenError::from(PlaceError::from(broken()));
        let errors: [&(dyn Error + 'static); 2] = [&alone, &handed_on];
        for error in errors {
            assert_eq!(exit_code(error), 2);
            assert_eq!(
                in_one_line(error),
                "log: 1 of 3 entries can be read: entry 1 at byte 1024 of the log: the log ends here, though its \
                 superblock counts 3 entries; name a point up to 1 to use those"
            );
        }
    }
}
