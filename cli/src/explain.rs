//! What an error knows of the end of a command: its exit code, and what to do about it.

use std::error::Error;
use std::iter;

/// How a command ends because of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was to be checked is not so.
    CheckFailed,
    /// The command cannot be meant like that, or what was read cannot be used.
    Malformed,
    /// As another tool, which this one replaces, or the command that was run.
    Peer(u8),
    /// The person, or the system, asked to stop.
    Interrupted,
}

/// An error that knows how a command ends with it. Each must be in the list of
/// [`error::exit_code`](crate::error::exit_code), which finds it among causes.
pub trait Explain: Error + 'static {
    /// How the command ends; `None` if the cause decides that.
    fn end(&self) -> Option<End>;

    /// What to do about it, which is told after the error.
    fn hint(&self) -> Option<String> {
        None
    }
}

impl End {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::CheckFailed => 1,
            Self::Malformed => 2,
            Self::Peer(code) => code,
            Self::Interrupted => 130,
        }
    }
}

/// An error and its causes.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes, where there is one line for all of it.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = chain(error).map(ToString::to_string).collect();
    causes.join(": ")
}
