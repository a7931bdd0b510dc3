//! What is to be run and what is decided: groups one after the other, and what was proved in one holds in the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use logwrites_core::crash::{
    Group, Groups, Layers, Proved, Region, Search, State, StateCount, Trial, Verdict,
};
use logwrites_core::geometry::Extent;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index};

use crate::recording::Options;
use crate::run::found::Found;
use crate::run::level::{Level, rules};
use crate::run::report::Report;

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
    pub(crate) fn new(index: &'a Index, options: Options) -> Self {
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

/// A state to be run.
pub(crate) struct Job {
    /// What it is a trial of; `None` if it is decided already, and run to see that it passes.
    pub(crate) trial: Option<(u64, Trial)>,
    pub(crate) map: ExtentMap,
    pub(crate) point: u64,
    pub(crate) last_mark: LastMark,
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

/// What the verdict of a run depends on beside what it reads: the last mark, where it looked at marks.
pub(crate) type Environment = Option<LastMark>;

/// The number of the last mark's entry, if there is one.
pub(crate) type LastMark = Option<u64>;

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
