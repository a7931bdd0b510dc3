//! What a check says of a state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check has to say about a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::explore) struct Judgement {
    pub(in crate::explore) outcome: Outcome,
    /// The end of what it printed.
    pub(in crate::explore) output: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::explore) enum Outcome {
    Pass,
    /// It says that it cannot tell.
    Undecided,
    /// It failed, with this exit code.
    Fail(i32),
    /// A signal ended it.
    Signal(i32),
    TimedOut,
}

impl Judgement {
    /// Of a check that has nothing to add.
    pub(in crate::explore) const fn pass() -> Self {
        Self { outcome: Outcome::Pass, output: String::new() }
    }

    /// Of a check of the tool's own, which says what is wrong.
    pub(super) const fn fail(output: String) -> Self {
        Self { outcome: Outcome::Fail(1), output }
    }

    /// The last lines of what was printed.
    pub(in crate::explore) fn last_words(&self) -> String {
        let nr_lines = self.output.lines().count();
        let last: Vec<&str> = self.output.lines().skip(nr_lines.saturating_sub(MAX_LAST_LINES)).collect();
        last.join(" / ")
    }
}

impl Outcome {
    /// Whether the software did not survive.
    pub(in crate::explore) const fn is_failure(self) -> bool {
        matches!(self, Self::Fail(_) | Self::Signal(_) | Self::TimedOut)
    }

    /// Whether it depends on the disk alone. How long something takes does not.
    pub(in crate::explore) const fn is_repeatable(self) -> bool {
        !matches!(self, Self::TimedOut)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("passed"),
            Self::Undecided => f.write_str("undecided"),
            Self::Fail(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

const MAX_LAST_LINES: usize = 3;
