//! All states of a recording, decided.

use std::sync::Arc;

use logwrites_core::crash::State;
use logwrites_core::history::EntrySet;

use crate::device::Device;
use crate::recording::Options;
use crate::run::checker::{Runner, map_of};
use crate::run::found::Found;
use crate::run::level::Level;
use crate::run::ran::Failure;
use crate::run::report::Report;
use crate::run::work::{Stop, Work};
use crate::run::worker;

/// How a search ends.
pub(crate) enum End<S> {
    Decided(Report),
    Failed(Found<S>, Report),
    Undecided(String, Report),
}

/// Decides all states, or finds one that fails.
pub(crate) fn search<D: Device<Setup: Send + Sync> + Send + Sync>(
    runner: &Runner<'_, D>,
    level: &Arc<Level<D::Setup>>,
    options: Options,
) -> End<D::Setup> {
    let mut work = Work::new(&level.index, options);
    if let Err(failure) = run_whole(runner, level) {
        work.report.nr_runs += 1;
        let path = level.path_to(whole(level.index.nr_entries()));
        let found = Found { level: Arc::clone(level), path, choice: None, failure, is_minimal: true };
        return End::Failed(found, work.report);
    }
    work.report.nr_runs += 1;
    let (stop, report) = worker::run_all(runner, level, options, work);
    match stop {
        Some(Stop::Failed(found)) => End::Failed(*found, report),
        Some(Stop::Stuck(message)) => End::Undecided(message, report),
        None | Some(Stop::Limit) if options.max_runs.is_some() || report.is_decided() => End::Decided(report),
        None | Some(Stop::Limit) => {
            let message = format!(
                "not decided: {report}\nThe checker reads too much at once. Check one thing at a time, each with a \
                 `survives` of its own, or accept an unfinished search with `limit`."
            );
            End::Undecided(message, report)
        }
    }
}

/// The state at the end of the recording, with nothing lost: if that fails, no crash is to blame.
fn run_whole<D: Device>(runner: &Runner<'_, D>, level: &Level<D::Setup>) -> Result<(), Failure> {
    let point = level.index.nr_entries();
    let map = map_of(&level.index, point, &whole(point).lost);
    worker::watched(runner.timeout(), |clock, since| runner.run(level, point, map, clock, since).outcome)
}

/// The state in which nothing is lost, at a point.
fn whole(point: u64) -> State {
    State { point, lost: EntrySet::empty() }
}
