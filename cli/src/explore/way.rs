//! How a run ended, as far as it matters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::check::{Judgement, Outcome};
use super::digest;

/// How a run ended, and for a failure what it said, so that one way to fail is told from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    outcome: Outcome,
    /// Of a failure only.
    signature: Option<Signature>,
    /// Whether the disk passes, and one that a crash of the recovery has left does not.
    is_in_recovery: bool,
}

/// What failures of one kind have in common: a hash of the words that were printed, without numbers, addresses and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature(u128);

impl Way {
    pub(super) fn of(judgement: &Judgement, is_in_recovery: bool) -> Self {
        let outcome = judgement.outcome;
        let signature = outcome.is_failure().then(|| Signature::of(&judgement.output));
        Self { outcome, signature, is_in_recovery }
    }

    /// A way that was written down; `None` where a failure has no signature, or what is none has failed in a recovery.
    pub(super) fn known(
        outcome: Outcome,
        signature: Option<Signature>,
        is_in_recovery: bool,
    ) -> Option<Self> {
        let is_failure = outcome.is_failure();
        let is_known = is_failure == signature.is_some() && (is_failure || !is_in_recovery);
        is_known.then_some(Self { outcome, signature, is_in_recovery })
    }

    pub(super) const fn outcome(self) -> Outcome {
        self.outcome
    }

    /// Whether the disk passes, and one that a crash of the recovery has left does not.
    pub(super) const fn is_in_recovery(self) -> bool {
        self.is_in_recovery
    }

    /// The same by itself: how the check ends on the disk that the crash of the recovery has left.
    pub(super) const fn of_itself(self) -> Self {
        Self { is_in_recovery: false, ..self }
    }

    pub(super) const fn signature(self) -> Option<Signature> {
        self.signature
    }
}

impl Signature {
    fn of(output: &str) -> Self {
        let mut hasher = Sha256::new();
        for line in words(output) {
            hasher.update(line);
            hasher.update("\n");
        }
        Self(digest::half(hasher))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Signature {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

impl TryFrom<String> for Signature {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The lines of an output, each once and in order, without what differs from failure to failure.
fn words(output: &str) -> Vec<String> {
    let lines = output.lines().map(|line| {
        let words =
            line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '/'));
        words.collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    // How often a line comes depends on how much is broken.
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_paths_make_no_new_failure() {
        let one = "/tmp/a/0: Inode 12 has wrong size 7\n/tmp/a/0: Inode 13 has wrong size 9\n";
        let two = "/tmp/a/1: Inode 15 has wrong size 7\n";
        assert_eq!(Signature::of(one), Signature::of(two));
        assert_ne!(Signature::of(one), Signature::of("Inode 12 has a wrong block\n"));
    }

    #[test]
    fn a_signature_survives_its_text() {
        let signature = Signature::of("Inode has wrong size");
        assert_eq!(signature.to_string().parse(), Ok(signature));
        assert!("xyz".parse::<Signature>().is_err());
        assert_eq!(Way::known(Outcome::Fail(4), None, false), None);
        assert_eq!(Way::known(Outcome::Pass, Some(signature), false), None);
        assert_eq!(Way::known(Outcome::Pass, None, true), None);
    }
}
