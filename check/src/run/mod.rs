//! The search over a recording: checkers are run on crash states until all are decided.

mod checker;
mod explain;
mod found;
mod level;
mod minimise;
mod panics;
mod ran;
mod report;
mod search;
mod work;
mod worker;

pub use report::Report;

use std::sync::Arc;

use crate::crash::Crash;
use crate::device::Device;
use crate::recording::{Outcome, Recording};
use crate::run::checker::Runner;
use crate::run::explain::Message;
use crate::run::level::{Level, STATE_VARIABLE, StatePath};
use crate::run::search::End;

impl<D: Device + Send + Sync> Recording<D> {
    /// Decides every state that a crash of the workload can leave: the checker recovers what it is given, looks at it, and
    /// returns an error or panics if the software has not survived.
    ///
    /// The checker is run on as few states as it takes, on all processors at a time. It must be deterministic, and depend on
    /// nothing but what it reads of the crash.
    ///
    /// What was decided is printed, which tests show with `--nocapture`, and returned. With `LOGWRITES_STATE` in the
    /// environment, the checker is run on the state of that name alone.
    ///
    /// # Panics
    /// If a state fails, with a message that says which writes it lost; and if the states cannot be decided: since the
    /// checker is not deterministic, or needs more than a hundred thousand runs where no [`limit`](Self::limit) was set.
    pub fn survives(&self, checker: impl Fn(&Crash<D>) -> Outcome + Sync) -> Report {
        if let Ok(name) = std::env::var(STATE_VARIABLE) {
            return self.repeat(&name, checker);
        }
        match self.search(&checker) {
            Ok(report) => {
                println!("{}: {report}", self.name.file);
                report
            }
            Err(failure) => panic!("{failure}"),
        }
    }

    /// As [`survives`](Self::survives), for a test that expects a failure: the message is returned.
    ///
    /// # Errors
    /// The message with which `survives` panics.
    pub fn search(&self, checker: impl Fn(&Crash<D>) -> Outcome + Sync) -> Result<Report, Box<CrashFailure>> {
        panics::set_hook();
        let level = Arc::new(Level::of(self));
        let runner = Runner::new(self, &checker);
        let end = search::search(&runner, &level, self.options);
        match end {
            End::Decided(report) => Ok(report),
            End::Failed(found, report) => {
                let found = minimise::minimise(&runner, found, self.options.ordering);
                let message = Message { recording: self, found: &found, report: &report }.to_string();
                let state = found.path.to_string();
                Err(Box::new(CrashFailure {
                    message,
                    state,
                    nr_runs: report.nr_runs,
                    nr_lost: found.nr_lost(),
                }))
            }
            End::Undecided(message, report) => {
                let (state, nr_runs) = (String::new(), report.nr_runs);
                Err(Box::new(CrashFailure { message, state, nr_runs, nr_lost: 0 }))
            }
        }
    }

    /// Runs the checker on one state, with all that it prints.
    fn repeat(&self, name: &str, checker: impl Fn(&Crash<D>) -> Outcome + Sync) -> Report {
        let path: StatePath = name.parse().unwrap_or_else(|error| panic!("{STATE_VARIABLE}={name}: {error}"));
        let runner = Runner::new(self, &checker);
        match runner.repeat(&Arc::new(Level::of(self)), &path) {
            Ok(Ok(())) => eprintln!("the check passes on state {name}"),
            Ok(Err(failure)) => panic!("the check fails on state {name}: {failure}"),
            // A test may have several recordings.
            Err(message) => eprintln!("no state {name} in {}: {message}", self.name.file),
        }
        Report::one_run()
    }
}

/// A state that fails, with what it lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashFailure {
    message: String,
    state: String,
    nr_runs: u64,
    nr_lost: u64,
}

impl CrashFailure {
    /// The name of the state that loses the least and still fails; empty if none was found to fail, and the states could
    /// not be decided.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// How many runs it took to find it.
    #[must_use]
    pub const fn nr_runs(&self) -> u64 {
        self.nr_runs
    }

    /// How many writes it lost, after it was minimised.
    #[must_use]
    pub const fn nr_lost(&self) -> u64 {
        self.nr_lost
    }
}

impl std::fmt::Display for CrashFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.message.fmt(f)
    }
}

impl std::error::Error for CrashFailure {}
