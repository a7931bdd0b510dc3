//! A crash as a person names it, which may be one of a recovery, too.

use core::fmt;
use core::str::FromStr;

use logwrites_core::crash::{ParseStateError, State};

use super::state::{can_be_lost, is_mark};
use super::{PointError, StateArg};

/// A state that a crash can leave; and perhaps one that a second crash leaves, while a check recovers the first. It is
/// spelled `STATE[/STATE]`: in `117^103/5^3` the check was run on state `117^103`, had written five entries, writes and
/// flushes, and the disk has lost number 3 of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Crash<S = State> {
    /// The state that the log leaves.
    pub state: S,
    /// The state in what the check writes to it.
    pub recovery: Option<State>,
}

impl<S> From<S> for Crash<S> {
    fn from(state: S) -> Self {
        Self { state, recovery: None }
    }
}

/// As it is parsed.
impl<S: fmt::Display> fmt::Display for Crash<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)?;
        self.recovery.as_ref().map_or(Ok(()), |recovery| write!(f, "/{recovery}"))
    }
}

impl FromStr for Crash<StateArg> {
    type Err = ParseCrashError;

    fn from_str(text: &str) -> Result<Self, ParseCrashError> {
        match text.rsplit_once('/') {
            Some((state, recovery)) if !is_mark(state) || is_state(recovery) => {
                Ok(Self { state: state.parse()?, recovery: Some(recovery.parse()?) })
            }
            _ => Ok(Self::from(text.parse::<StateArg>()?)),
        }
    }
}

/// Whether a text can be meant as a state in what a check writes, and not as the end of a mark's name.
fn is_state(text: &str) -> bool {
    text.split('^').all(can_be_lost)
}

/// A text that is not the name of a [`Crash`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCrashError {
    /// The state of the log is not one.
    #[error(transparent)]
    State(#[from] PointError),
    /// The state after the `/` is not one.
    #[error("after the /, in the check's own writes: {0}")]
    Recovery(#[from] ParseStateError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_may_be_one_of_a_recovery() {
        for (text, state, recovery) in [
            ("117", "117", None),
            ("117^103/5^3", "117^103", Some("5^3")),
            ("end~2^103/0", "end~2^103", Some("0")),
            ("mark:stored^0/5^3,4:0-1", "mark:stored^0", Some("5^3,4:0-1")),
            ("mark:a/b", "mark:a/b", None),
            ("mark:a/b/7", "mark:a/b", Some("7")),
            // In a name it is written %2F where it could be meant otherwise.
            ("mark:a%2F7", "mark:a/7", None),
        ] {
            let crash: Crash<StateArg> = text.parse().unwrap();
            let shown = crash.recovery.as_ref().map(ToString::to_string);
            assert_eq!((crash.state.to_string().as_str(), shown.as_deref()), (state, recovery), "{text}");
        }
        let crash: Crash<StateArg> = "117^103/5^3".parse().unwrap();
        assert_eq!(crash.to_string(), "117^103/5^3");
    }

    #[test]
    fn what_is_not_a_crash_is_told() {
        for (text, message) in [
            ("117^x/5", "column 5: expected the entries that a crash has lost"),
            ("117/", "after the /, in the check's own writes: expected a point and what was lost"),
            ("117/5^", "after the /, in the check's own writes: "),
            ("117/end", "after the /, in the check's own writes: expected a point"),
        ] {
            let error = text.parse::<Crash<StateArg>>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
