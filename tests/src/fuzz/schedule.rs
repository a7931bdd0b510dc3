//! Arbitrary bytes as everything that can happen to a logger, in any order.

use crate::choices::Bytes;
use crate::schedule;

/// Runs the schedule whose choices are `bytes`: submissions, completions and failures, polls, a full log, a crash,
/// the end, in both orderings and every configuration.
///
/// # Panics
/// If a rule is broken, with all that led to it.
pub fn schedule(bytes: &[u8]) {
    if let Err(failure) = schedule::run(&mut Bytes::new(bytes)) {
        panic!("{failure}");
    }
}
