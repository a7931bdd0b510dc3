//! Which part of an exploration one of several machines does.

use core::fmt;
use core::num::NonZeroUsize;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the parts of an exploration, spelled `M/N`: the M-th of N, from 1. The parts are disjoint, and together the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(usize, usize)", into = "(usize, usize)")]
pub struct Partition {
    /// Counted from 0.
    nth: usize,
    nr_parts: NonZeroUsize,
}

impl Partition {
    /// All of it.
    pub const WHOLE: Self = Self { nth: 0, nr_parts: NonZeroUsize::MIN };

    /// The `nth` of `nr_parts`, counted from 1, if there is one.
    #[must_use]
    pub const fn new(nth: usize, nr_parts: usize) -> Option<Self> {
        match (nth.checked_sub(1), NonZeroUsize::new(nr_parts)) {
            (Some(before), Some(nr_parts)) if nth <= nr_parts.get() => Some(Self { nth: before, nr_parts }),
            _ => None,
        }
    }

    /// Which one it is, counted from 1.
    #[must_use]
    pub const fn nth(self) -> usize {
        self.nth + 1
    }

    /// Of how many.
    #[must_use]
    pub const fn nr_parts(self) -> usize {
        self.nr_parts.get()
    }

    /// Its share of what all parts go through in the same order: every so many-th.
    pub(super) fn share<T>(self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.skip(self.nth).step_by(self.nr_parts.get())
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// As it is parsed.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.nth(), self.nr_parts())
    }
}

impl FromStr for Partition {
    type Err = ParsePartitionError;

    fn from_str(text: &str) -> Result<Self, ParsePartitionError> {
        let numbers = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
        numbers.ok_or(ParsePartitionError)?.try_into()
    }
}

impl TryFrom<(usize, usize)> for Partition {
    type Error = ParsePartitionError;

    fn try_from((nth, nr_parts): (usize, usize)) -> Result<Self, ParsePartitionError> {
        Self::new(nth, nr_parts).ok_or(ParsePartitionError)
    }
}

impl From<Partition> for (usize, usize) {
    fn from(partition: Partition) -> Self {
        (partition.nth(), partition.nr_parts())
    }
}

/// What is not a [`Partition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected M/N, M from 1 to N, such as 1/4")]
pub struct ParsePartitionError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_the_whole() {
        for nr_parts in 1..6 {
            let parts = (1..=nr_parts).map(|nth| Partition::new(nth, nr_parts).unwrap());
            let mut all: Vec<u32> = parts.flat_map(|part| part.share(0..17)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..17), "{nr_parts}");
        }
    }

    #[test]
    fn a_partition_is_read_as_it_is_shown() {
        for text in ["1/1", "1/4", "4/4"] {
            assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
        }
        for text in ["", "1", "0/4", "5/4", "0/0", "-1/4", "1/4/2", "a/b"] {
            assert_eq!(text.parse::<Partition>(), Err(ParsePartitionError), "{text}");
        }
        let json = serde_json::to_string(&Partition::new(2, 3).unwrap()).unwrap();
        assert_eq!(json, "[2,3]");
        assert!(serde_json::from_str::<Partition>("[4,3]").is_err());
    }
}
