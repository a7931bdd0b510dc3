//! A state that fails.

use std::sync::Arc;

use logwrites_core::crash::Choice;

use crate::run::level::{Level, StatePath};
use crate::run::ran::Failure;

/// A state that fails.
#[derive(Debug)]
pub(crate) struct Found<S> {
    /// What was crashed.
    pub(crate) level: Arc<Level<S>>,
    pub(crate) path: StatePath,
    /// What it loses; `None` if that is nothing, at the end of the recording.
    pub(crate) choice: Option<Choice>,
    pub(crate) failure: Failure,
    /// Whether each state that loses one write less was tried, and passes.
    pub(crate) is_minimal: bool,
}

impl<S> Found<S> {
    /// How many writes it loses.
    pub(crate) fn nr_lost(&self) -> u64 {
        let lost = self.path.0.last().into_iter().flat_map(|state| state.lost.ranges());
        lost.map(|(entries, _)| entries.end() - entries.start() + 1).sum()
    }
}
