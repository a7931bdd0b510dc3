//! What one run of a checker came to.

use std::time::Duration;

use logwrites_core::geometry::Extent;

use crate::media::Recorded;
use crate::run::panics::Panic;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran<S> {
    pub(crate) outcome: Result<(), Failure>,
    /// What it read that it had not written, in order.
    pub(crate) reads: Vec<Extent>,
    pub(crate) has_looked_at_marks: bool,
    /// What it wrote, if that is to be crashed.
    pub(crate) recorded: Option<Recorded>,
    /// What is to be known to read what it wrote.
    pub(crate) setup: S,
}

/// Why a state fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Panic(Panic),
    Error(String),
    Overdue(Duration),
}

impl Failure {
    /// Whether it fails in the same way: at the same place, or with the same words but for the numbers.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        match (self, other) {
            (Self::Panic(a), Self::Panic(b)) => a.place == b.place,
            (Self::Error(a), Self::Error(b)) => words(a) == words(b),
            (Self::Overdue(_), Self::Overdue(_)) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Panic(Panic { message, place }) if place.is_empty() => f.write_str(message),
            Self::Panic(Panic { message, place }) => write!(f, "{message}\n  (panicked at {place})"),
            Self::Error(message) => f.write_str(message),
            Self::Overdue(timeout) => write!(f, "the checker ran for more than {} s", timeout.as_secs_f64()),
        }
    }
}
