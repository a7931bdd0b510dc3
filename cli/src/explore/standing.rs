//! How far an exploration is, while it runs.

use std::time::Duration;

/// What is told while an exploration runs.
pub trait Progress: Sync {
    /// So much is done by now. It is called after each state, from any of the jobs, and must not take long.
    fn show(&self, standing: Standing);
}

/// How far an exploration by one check is.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// How many times the checker was run.
    pub runs: u64,
    /// How many runs were spared since an earlier one had read the same.
    pub reused: u64,
    /// How many groups of states there are.
    pub groups: u64,
    /// How many of them are decided.
    pub groups_decided: u64,
    /// The binary logarithm of how many states there are.
    pub states_log2: f64,
    /// The same of those that are decided; negative infinity if none is.
    pub decided_log2: f64,
    /// How many ways to fail were found.
    pub ways_to_fail: usize,
    /// States that came to something else the second time.
    pub flaky: u64,
    /// How long it takes by now.
    pub elapsed: Duration,
}
