//! Which state is next, over all groups, for several jobs.

use std::collections::VecDeque;
use std::sync::Arc;

use logwrites_core::Extent;
use logwrites_core::crash::{Group, Guarantee, Layers, Search, StateCount, TooManyUnits, Trial, Verdict};
use logwrites_core::history::{Checkpoints, Index, Piece};
use logwrites_core::num::narrow;

use super::report::GroupReport;

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
    /// The first groups, one by one, in log order.
    pub(super) by_group: Vec<GroupReport>,
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
        let by_group = groups.iter().take(MAX_REPORTED).map(GroupReport::untried).collect();
        let tally = Tally { by_group, ..Tally::default() };
        Self { waiting: groups, active: Vec::new(), next_number: 0, checkpoints, tally }
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

    /// Takes back a state that was not decided, and is open again.
    pub(super) fn give_back(&mut self, task: Task) {
        let at = self.position_of(task.number);
        let active = &mut self.active[at];
        active.search.give_back(task.trial);
        active.nr_out -= 1;
    }

    /// Takes in a report, and gives the layers of its group if it is decided by now.
    fn take_in(
        &mut self,
        number: u64,
        verdict: Verdict,
        report: impl FnOnce(&mut Search),
    ) -> Option<Arc<Layers>> {
        let at = self.position_of(number);
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
        self.tally.add(number, &search);
        search.is_decided().then(|| Arc::clone(search.layers()))
    }

    fn position_of(&self, number: u64) -> usize {
        let at = self.active.iter().position(|active| active.number == number);
        at.expect("a group is active while one of its states is out")
    }

    /// How many groups are decided.
    pub(super) const fn groups_decided(&self) -> u64 {
        self.tally.groups_decided
    }

    /// How many states are decided, without the rest of the tally: in no time, however many groups there are.
    pub(super) fn states_decided(&self) -> StateCount {
        let mut decided = self.tally.decided.clone();
        self.active.iter().for_each(|active| decided += active.search.decided());
        decided
    }

    /// What is decided, those groups among it whose search has not ended.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        self.active.iter().for_each(|active| tally.add(active.number, &active.search));
        tally
    }
}

impl Tally {
    fn add(&mut self, number: u64, search: &Search) {
        if let Some(group) = self.by_group.get_mut(narrow(number)) {
            *group = GroupReport::of(search);
        }
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

/// How many groups are told one by one: a page has no room for more, and a log can have one for each of its entries.
pub(super) const MAX_REPORTED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::crash::{Groups, Model, Rules};
    use logwrites_core::format::{EntryHeader, Flags, Superblock};
    use logwrites_core::history::Discards;
    use logwrites_core::reader::Walk;
    use logwrites_core::{Ordering, SectorSize};

    /// Two writes and a flush, three times.
    fn index() -> Index {
        let superblock = Superblock { nr_entries: 9, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        for number in 0..9 {
            let (nr_sectors, flags) = if number % 3 == 2 { (0, Flags::FLUSH) } else { (1, Flags::empty()) };
            let header = EntryHeader { sector: number, nr_sectors, flags, data_len: 0 };
            index.push(&walk.step(&header.emit()).expect("an entry"), b"");
        }
        index
    }

    #[test]
    fn each_group_is_told_with_what_is_decided_of_it() {
        let index = index();
        let rules = Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Ignore };
        let groups: VecDeque<Group> = Groups::new(&index, rules, 0..9).collect();
        let mut schedule = Schedule::new(groups, Checkpoints::new(Discards::Ignore));
        // The first group passes as a whole, of the second one state fails, and of the third nothing is tried.
        let next = |schedule: &mut Schedule| match schedule.next(&index) {
            Ok(Next::Task(task)) => *task,
            _ => panic!("there is a state left"),
        };
        let task = next(&mut schedule);
        schedule.report(task, &[], Verdict::Pass, |_| Some(0));
        let task = next(&mut schedule);
        schedule.report_alone(task, Verdict::Fail);
        let by_group = schedule.tally().by_group;
        let told = by_group.iter().map(|group| (group.units, group.is_decided, group.failing_log2));
        assert_eq!(told.collect::<Vec<_>>(), [(2, true, None), (2, false, Some(0.0)), (2, false, None)]);
        let shares: Vec<f64> = by_group.iter().map(|group| group.decided_share).collect();
        assert!(shares.iter().zip([1.0, 0.25, 0.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{shares:?}");
        assert!(by_group.is_sorted_by_key(|group| group.point));
    }
}
