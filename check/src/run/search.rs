//! All states of a recording, decided: groups one after the other, and what was proved in one holds in the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use logwrites_core::crash::{
    Choice, Group, Groups, Layers, Proved, Region, Search, State, StateCount, Trial, Verdict,
};
use logwrites_core::geometry::Extent;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index};

use crate::device::Device;
use crate::recording::Options;
use crate::run::checker::{Failure, Runner};
use crate::run::level::{Level, StatePath, rules};
use crate::run::report::Report;
use crate::run::worker::{self, Job};
use crate::run::{checker, whole};

/// How a search ends.
pub(crate) enum End<S> {
    Decided(Report),
    Failed(Found<S>, Report),
    Undecided(String, Report),
}

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

/// Why a search stops before all is decided.
#[derive(Debug)]
pub(crate) enum Stop<S> {
    Failed(Box<Found<S>>),
    /// It cannot go on, and why.
    Stuck(String),
    /// As many runs as there may be.
    Limit,
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
    let map = checker::map_of(&level.index, point, &whole(point).lost);
    worker::watched(runner.timeout(), |clock, since| runner.run(level, point, map, clock, since).outcome)
}

/// What the verdict of a run depends on beside what it reads: the last mark, where it looked at marks.
pub(crate) type Environment = Option<LastMark>;

/// The number of the last mark's entry, if there is one.
pub(crate) type LastMark = Option<u64>;

/// What is to be done, for all workers.
pub(crate) struct Work<'a> {
    index: &'a Index,
    groups: Groups<'a>,
    checkpoints: Checkpoints,
    /// Groups that are being decided.
    active: BTreeMap<u64, Active>,
    /// Decided states that are run all the same.
    samples: VecDeque<Job>,
    pub(crate) proved: Proved<Environment, ()>,
    pub(crate) report: Report,
    /// Whether no more groups are begun.
    is_ending: bool,
    max_runs: u64,
    random: Random,
}

struct Active {
    search: Search,
    layers: Arc<Layers>,
    last_mark: LastMark,
}

impl<'a> Work<'a> {
    fn new(index: &'a Index, options: Options) -> Self {
        let groups = Groups::new(index, rules(options, index.sector_size()), 0..index.nr_entries());
        let mut total = StateCount::zero();
        for group in groups.clone() {
            total += &group.nr_states();
        }
        Self {
            index,
            groups,
            checkpoints: Checkpoints::new(Discards::Zero),
            active: BTreeMap::new(),
            samples: VecDeque::new(),
            proved: Proved::new(),
            report: Report { total, ..Report::default() },
            is_ending: false,
            max_runs: options.max_runs.unwrap_or(MAX_RUNS),
            random: Random(SEED),
        }
    }

    /// The next state to run: none if all that is open is being run. What earlier runs have proved is decided on the way.
    pub(crate) fn next_job<S>(&mut self, level: &Level<S>) -> Result<Option<Job>, Stop<S>> {
        loop {
            self.check_limit()?;
            if let Some(sample) = self.samples.pop_front() {
                self.report.nr_sampled += 1;
                self.report.nr_runs += 1;
                return Ok(Some(sample));
            }
            if let Some(job) = self.next_trial(level) {
                self.report.nr_runs += 1;
                return Ok(Some(job));
            }
            if self.samples.is_empty() {
                if self.is_ending {
                    return Ok(None);
                }
                let Some(group) = self.groups.next() else { return Ok(None) };
                self.open(&group).map_err(Stop::Stuck)?;
            }
        }
    }

    /// Begins no more groups, and leaves off those from this one on.
    pub(crate) fn end_before(&mut self, group: u64) {
        self.is_ending = true;
        self.samples.clear();
        for active in self.active.split_off(&group).into_values() {
            self.report.decided += active.search.decided();
        }
    }

    /// Whether there may be another run.
    pub(crate) fn check_limit<S>(&self) -> Result<(), Stop<S>> {
        if self.report.nr_runs >= self.max_runs { Err(Stop::Limit) } else { Ok(()) }
    }

    fn open(&mut self, group: &Group) -> Result<(), String> {
        let layers =
            Layers::new(self.index, group, &mut self.checkpoints).map_err(|error| error.to_string())?;
        let layers = Arc::new(layers);
        let search = Search::new(Arc::clone(&layers));
        let last_mark = self.index.last_mark(group.point()).map(|mark| mark.entry);
        self.report.nr_groups += 1;
        self.active.insert(self.report.nr_groups, Active { search, layers, last_mark });
        Ok(())
    }

    /// A state of an open group that nothing has proved.
    fn next_trial<S>(&mut self, level: &Level<S>) -> Option<Job> {
        let numbers: Vec<u64> = self.active.keys().copied().collect();
        for number in numbers {
            while let Some(active) = self.active.get_mut(&number)
                && let Some(trial) = active.search.next_trial()
            {
                let (point, map) = (active.layers.group().point(), trial.map());
                let Some(reads) = look_up(&self.proved, level, &map, active.last_mark) else {
                    return Some(Job {
                        trial: Some((number, trial)),
                        map,
                        point,
                        last_mark: active.last_mark,
                    });
                };
                self.report_trial(level, number, trial, &reads);
            }
        }
        None
    }

    /// Reports a trial that passes.
    pub(crate) fn report_trial<S>(&mut self, level: &Level<S>, number: u64, trial: Trial, reads: &[Extent]) {
        let Some(active) = self.active.get_mut(&number) else { return };
        let sampled = self.random.is_one_in(SAMPLED_ONE_IN).then(|| trial.state());
        let fingerprint =
            |pieces: &[_]| Some(level.below.fingerprint(pieces, &level.log, level.sector_size()));
        let region = active.search.report(trial, reads, Verdict::Pass, fingerprint);
        if let Some(state) = sampled {
            self.samples.extend(other_state(active, &region, &state));
        }
        if active.search.is_decided() {
            self.report.decided += active.search.decided();
            self.active.remove(&number);
        }
    }

    /// The report, also of a search that was stopped.
    pub(crate) fn into_report(mut self) -> Report {
        for active in self.active.values() {
            self.report.decided += active.search.decided();
        }
        if self.report.decided != self.report.total {
            let guarantee = self.active.values().find_map(|active| {
                let guarantee = active.search.guarantee()?;
                let (loses, keeps) = (guarantee.loses_at_most?, guarantee.keeps_at_most?);
                let point = active.layers.group().point();
                Some(format!(
                    "of the crash at point {point}, every state that loses at most {loses} writes or keeps at most {keeps}"
                ))
            });
            self.report.unfinished =
                Some(guarantee.unwrap_or_else(|| "the other groups were not begun".into()));
        }
        self.report
    }
}

/// The reads of an earlier run that decides a disk.
pub(crate) fn look_up<S>(
    proved: &Proved<Environment, ()>,
    level: &Level<S>,
    map: &ExtentMap,
    last_mark: LastMark,
) -> Option<Vec<Extent>> {
    let fingerprint = |pieces: &[_]| Some(level.below.fingerprint(pieces, &level.log, level.sector_size()));
    [None, Some(last_mark)].iter().find_map(|key| Some(proved.look_up(key, map, fingerprint)?.reads))
}

/// A state among those that a run has decided: all that is open there is kept, or all is lost, but not as in the state that
/// was run, if there is another.
fn other_state(active: &Active, region: &Region, run: &State) -> Option<Job> {
    let mut search = Search::of_prefixes(Arc::clone(&active.layers), [region.prefix()]).ok()?;
    let mut trial = search.next_trial()?;
    if trial.state() == *run {
        search.give_back(trial);
        trial = search.next_trial()?;
    }
    let point = active.layers.group().point();
    Some(Job { map: trial.map(), trial: None, point, last_mark: active.last_mark })
}

/// Chance that is the same each time.
struct Random(u64);

impl Random {
    fn is_one_in(&mut self, of: u64) -> bool {
        // Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(of)
    }
}

const SEED: u64 = 0x1099_7717_e5e5_d15c;

/// Of the decided states, one in so many is run.
const SAMPLED_ONE_IN: u64 = 100;

/// Where no limit was set, a search that needs more fails.
const MAX_RUNS: u64 = 100_000;
