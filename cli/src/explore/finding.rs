//! The ways in which states fail, and the least that each takes.

use std::sync::Arc;

use logwrites_core::crash::{Bisect, Choice, Minimise, State};

use super::check::{Judgement, Outcome};
use super::recording::Recording;
use super::way::Way;
use super::written::{Writes, Written};
use crate::point::Crash;

/// One way to fail.
#[derive(Clone, Debug)]
pub struct Finding {
    way: Way,
    /// The first state in the log that fails so, of those that were tried; the one that loses the least once it is
    /// minimised.
    choice: Choice,
    output: String,
    nr_tried: u64,
    is_one_minimal: bool,
    first: Option<FirstPoint>,
    passing: Option<State>,
    /// If it is not too much.
    written: Option<Written>,
    in_recovery: Option<Box<InRecovery>>,
}

/// The least crash of a recovery that fails.
#[derive(Clone, Debug)]
pub struct InRecovery {
    /// What the check has written, with the disk that it recovers as the base.
    pub recording: Arc<Recording<Writes>>,
    /// The same as a log.
    pub written: Written,
    /// The crash of that.
    pub finding: Finding,
}

/// Where a disk that has lost nothing begins to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPoint {
    /// The last point that passes.
    pub last_good: u64,
    /// The point after it, which fails.
    pub first_bad: u64,
}

/// All ways to fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Takes in a state that fails, with what was printed, if it was run.
    ///
    /// Whatever the order in which states come, the same of them is kept for each way.
    pub(super) fn add(&mut self, choice: &Choice, way: Way, output: Option<&str>) {
        let Some(known) = self.0.iter_mut().find(|finding| finding.way == way) else {
            return self.0.push(Finding::new(choice.clone(), way, output.unwrap_or_default()));
        };
        known.nr_tried += 1;
        if let Some(output) = output.filter(|_| known.output.is_empty()) {
            output.clone_into(&mut known.output);
        }
        if choice.state() < known.choice.state() {
            known.choice = choice.clone();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of the log.
    pub(super) fn into_sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_cached_key(|finding| (finding.choice.state(), finding.way));
        self.0
    }
}

impl Finding {
    /// A state that fails so, with what was printed.
    pub(super) fn new(choice: Choice, way: Way, output: &str) -> Self {
        Self {
            way,
            choice,
            output: output.to_owned(),
            nr_tried: 1,
            is_one_minimal: false,
            first: None,
            passing: None,
            written: None,
            in_recovery: None,
        }
    }

    /// A state that fails so: the one that loses the least of those that were tried.
    #[must_use]
    pub fn state(&self) -> State {
        self.choice.state()
    }

    /// The same, with the crash of the recovery that fails, if it is that.
    #[must_use]
    pub fn crash(&self) -> Crash {
        let recovery = self.in_recovery.as_ref().map(|found| found.finding.state());
        Crash { state: self.state(), recovery }
    }

    /// How the check ended, as in "exit code 4".
    #[must_use]
    pub fn ended(&self) -> String {
        self.way.outcome().to_string()
    }

    /// What makes it another way to fail than the others.
    pub(super) const fn way(&self) -> Way {
        self.way
    }

    /// The end of what the check printed.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// How many of the states that were tried have failed so.
    #[must_use]
    pub const fn nr_tried(&self) -> u64 {
        self.nr_tried
    }

    /// Whether every state that loses one of the writes less passes, or fails in another way.
    #[must_use]
    pub const fn is_one_minimal(&self) -> bool {
        self.is_one_minimal
    }

    /// Looks for the fewest lost writes that fail so. `judge` says how a state ends, or nothing if it is time to stop.
    pub(super) fn minimise<E>(
        &mut self,
        mut judge: impl FnMut(&Choice) -> Result<Option<Way>, E>,
    ) -> Result<(), E> {
        let mut minimise = Minimise::new(&self.choice);
        while let Some(choice) = minimise.next_choice()
            && let Some(way) = judge(&choice)?
        {
            minimise.report(way == self.way);
        }
        self.choice = minimise.least();
        self.is_one_minimal = minimise.is_one_minimal();
        Ok(())
    }

    /// Where the disk begins to fail with nothing lost, if the least that fails has lost nothing, and a point before it
    /// passes.
    #[must_use]
    pub const fn first(&self) -> Option<FirstPoint> {
        self.first
    }

    /// The nearest state that passes, as far as one was found: it loses one unit less, or is of the last point that passes.
    #[must_use]
    pub const fn passing(&self) -> Option<&State> {
        self.passing.as_ref()
    }

    /// What the check has written to the disk, if that is known and not too much.
    #[must_use]
    pub const fn written(&self) -> Option<&Written> {
        self.written.as_ref()
    }

    /// The crash of the recovery that fails, if it is that, once it was looked for.
    #[must_use]
    pub fn in_recovery(&self) -> Option<&InRecovery> {
        self.in_recovery.as_deref()
    }

    /// The crash of the recovery was looked for.
    pub(super) fn set_in_recovery(&mut self, found: InRecovery) {
        self.in_recovery = Some(Box::new(found));
    }

    /// Looks for the first point that fails so with nothing lost, from a point on. `judge` says how a point ends, or nothing
    /// if it is time to stop.
    pub(super) fn find_first<E>(
        &mut self,
        from: u64,
        mut judge: impl FnMut(u64) -> Result<Option<Way>, E>,
    ) -> Result<(), E> {
        let State { point, lost } = self.choice.state();
        let Some(mut bisect) = Bisect::new(from, point).filter(|_| lost.is_empty()) else { return Ok(()) };
        let mut fails = |point| Ok(judge(point)?.map(|way| way == self.way));
        if fails(from)? != Some(false) {
            return Ok(());
        }
        while let Some(point) = bisect.next_point() {
            let Some(is_failing) = fails(point)? else { return Ok(()) };
            bisect.report(is_failing);
        }
        self.first = Some(FirstPoint { last_good: bisect.last_good(), first_bad: bisect.first_bad() });
        Ok(())
    }

    /// Looks for the nearest state that passes. `judge` says how a state ends, or nothing if it is time to stop.
    pub(super) fn find_passing<E>(
        &mut self,
        mut judge: impl FnMut(&Choice) -> Result<Option<Way>, E>,
    ) -> Result<(), E> {
        self.passing = self.first.map(|first| State::from(first.last_good));
        for choice in self.choice.losing_one_less().take(MAX_NEIGHBOURS) {
            if self.passing.is_some() {
                break;
            }
            let Some(way) = judge(&choice)? else { break };
            if way.outcome() == Outcome::Pass {
                self.passing = Some(choice.state());
            }
        }
        Ok(())
    }

    /// The least that fails so.
    pub(super) const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Takes in what was printed, and written to the disk, in a run of the least that fails so.
    pub(super) fn show(&mut self, judgement: &Judgement, written: &Written) {
        self.print(judgement);
        self.written = Some(written.clone()).filter(|written| written.len_bytes() <= MAX_WRITTEN_BYTES);
    }

    /// Takes in what was printed in a run of the least that fails so.
    pub(super) fn print(&mut self, judgement: &Judgement) {
        self.output.clone_from(&judgement.output);
    }
}

/// How many states that lose one unit less are tried.
const MAX_NEIGHBOURS: usize = 64;

/// How much of what a check has written is kept.
const MAX_WRITTEN_BYTES: usize = 64 << 20;
