//! What an exploration has come to.

use serde::{Deserialize, Serialize};

use crate::explore::report::{Report, Summary};

/// What an exploration has come to: one report for each check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// All checks together.
    pub summary: Summary,
    /// Whether it ended before each check had its turn.
    pub ended_early: bool,
    /// Each check.
    pub checks: Vec<Report>,
}

impl Results {
    /// Of these reports.
    #[must_use]
    pub fn new(checks: Vec<Report>, ended_early: bool) -> Self {
        Self { summary: Summary::new(&checks), ended_early, checks }
    }
}
