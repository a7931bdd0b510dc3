//! Which state is next, over all groups, for several jobs.

use std::collections::VecDeque;
use std::sync::Arc;

use logwrites_core::Extent;
use logwrites_core::crash::{Group, Guarantee, Layers, Search, StateCount, TooManyUnits, Trial, Verdict};
use logwrites_core::history::{Checkpoints, Index, Piece};

/// The groups of one check, taken in log order. As many are open as there is work for.
pub(super) struct Schedule {
    waiting: VecDeque<Group>,
    active: Vec<Active>,
    next_number: u64,
    checkpoints: Checkpoints,
    tally: Tally,
}

/// What was decided so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) groups_decided: u64,
    /// Groups that were left since so many of their states fail.
    pub(super) groups_given_up: u64,
    pub(super) decided: StateCount,
    pub(super) failing: StateCount,
    /// The weakest of the groups that were begun and not decided.
    pub(super) guarantee: Option<Guarantee>,
}

struct Active {
    number: u64,
    search: Search,
    /// How many of its trials are out.
    nr_out: usize,
    nr_failed: u64,
}

impl Active {
    /// Whether so much fails that more runs would tell nothing new.
    const fn is_given_up(&self) -> bool {
        self.nr_failed >= MAX_FAILED
    }
}

/// A state to run, and whose group it is of.
pub(super) struct Task {
    number: u64,
    pub(super) trial: Trial,
}

/// What there is to do.
pub(super) enum Next {
    Task(Box<Task>),
    /// What is out may open more.
    Wait,
    Done,
}

impl Schedule {
    pub(super) fn new(groups: VecDeque<Group>, checkpoints: Checkpoints) -> Self {
        Self { waiting: groups, active: Vec::new(), next_number: 0, checkpoints, tally: Tally::default() }
    }

    /// The next state to run: of the oldest group that has one, or of another group.
    pub(super) fn next(&mut self, index: &Index) -> Result<Next, TooManyUnits> {
        loop {
            for active in &mut self.active {
                if !active.is_given_up()
                    && let Some(trial) = active.search.next_trial()
                {
                    active.nr_out += 1;
                    return Ok(Next::Task(Box::new(Task { number: active.number, trial })));
                }
            }
            let Some(group) = self.waiting.pop_front() else {
                return Ok(if self.active.is_empty() { Next::Done } else { Next::Wait });
            };
            let layers = Layers::new(index, &group, &mut self.checkpoints)?;
            let number = self.next_number;
            self.next_number += 1;
            self.active.push(Active {
                number,
                search: Search::new(Arc::new(layers)),
                nr_out: 0,
                nr_failed: 0,
            });
        }
    }

    /// Takes in a run that has decided whatever has the bytes that it read.
    pub(super) fn report(
        &mut self,
        task: Task,
        reads: &[Extent],
        verdict: Verdict,
        fingerprint: impl FnMut(&[Piece]) -> Option<u128>,
    ) -> Option<Arc<Layers>> {
        let report = |search: &mut Search| _ = search.report(task.trial, reads, verdict, fingerprint);
        self.take_in(task.number, verdict, report)
    }

    /// Takes in a run that has decided its own state, and no other.
    pub(super) fn report_alone(&mut self, task: Task, verdict: Verdict) -> Option<Arc<Layers>> {
        self.take_in(task.number, verdict, |search| _ = search.report_alone(task.trial, verdict))
    }

    /// Takes in a report, and gives the layers of its group if it is decided by now.
    fn take_in(
        &mut self,
        number: u64,
        verdict: Verdict,
        report: impl FnOnce(&mut Search),
    ) -> Option<Arc<Layers>> {
        let at = self.active.iter().position(|active| active.number == number);
        let at = at.expect("a group is active while one of its states is out");
        let active = &mut self.active[at];
        report(&mut active.search);
        active.nr_out -= 1;
        active.nr_failed += u64::from(verdict == Verdict::Fail);
        let is_over = active.search.nr_open() == 0 || (active.is_given_up() && active.nr_out == 0);
        if !is_over {
            return None;
        }
        let search = self.active.remove(at).search;
        self.tally.groups_given_up += u64::from(!search.is_decided());
        self.tally.add(&search);
        search.is_decided().then(|| Arc::clone(search.layers()))
    }

    /// How many groups are decided.
    pub(super) const fn groups_decided(&self) -> u64 {
        self.tally.groups_decided
    }

    /// What is decided, those groups among it whose search has not ended.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        self.active.iter().for_each(|active| tally.add(&active.search));
        tally
    }
}

impl Tally {
    fn add(&mut self, search: &Search) {
        self.decided += search.decided();
        self.failing += search.failing();
        self.groups_decided += u64::from(search.is_decided());
        if let Some(guarantee) = search.guarantee() {
            let weaker = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.min(b));
            self.guarantee = Some(match self.guarantee {
                None => guarantee,
                Some(known) => Guarantee {
                    loses_at_most: weaker(known.loses_at_most, guarantee.loses_at_most),
                    keeps_at_most: weaker(known.keeps_at_most, guarantee.keeps_at_most),
                },
            });
        }
    }
}

/// After so many failing runs a group is left: its failures are known by then, and there can be one for each of its states.
const MAX_FAILED: u64 = 200;
