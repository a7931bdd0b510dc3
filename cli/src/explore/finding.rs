//! The ways in which states fail, and the least that each takes.

use logwrites_core::crash::{Bisect, Choice, Minimise, State};

use super::check::{Judgement, Outcome};

/// One way to fail.
#[derive(Clone, Debug)]
pub struct Finding {
    outcome: Outcome,
    signature: String,
    /// The first state that failed so; the one that loses the least once it is minimised.
    choice: Choice,
    output: String,
    nr_runs: u64,
    is_one_minimal: bool,
    first: Option<FirstPoint>,
}

/// Where a disk that has lost nothing begins to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPoint {
    /// The last point that passes.
    pub last_good: u64,
    /// The point after it, which fails.
    pub first_bad: u64,
}

/// All ways to fail, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Takes in a state that fails.
    pub(super) fn add(&mut self, choice: &Choice, judgement: &Judgement) {
        let signature = signature(&judgement.output);
        let is_same =
            |finding: &&mut Finding| finding.outcome == judgement.outcome && finding.signature == signature;
        if let Some(known) = self.0.iter_mut().find(is_same) {
            known.nr_runs += 1;
            return;
        }
        self.0.push(Finding {
            outcome: judgement.outcome,
            signature,
            choice: choice.clone(),
            output: judgement.output.clone(),
            nr_runs: 1,
            is_one_minimal: false,
            first: None,
        });
    }

    /// Whether a run has ended so.
    pub(super) fn has(&self, outcome: Outcome) -> bool {
        self.0.iter().any(|finding| finding.outcome == outcome)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Finding> {
        self.0.iter_mut()
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

impl Finding {
    /// A state that fails so: the one that loses the least of those that were tried.
    #[must_use]
    pub fn state(&self) -> State {
        self.choice.state()
    }

    /// How the check ended, as in "exit code 4".
    #[must_use]
    pub fn outcome(&self) -> String {
        self.outcome.to_string()
    }

    /// The end of what the check printed.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// How many runs have failed so.
    #[must_use]
    pub const fn nr_runs(&self) -> u64 {
        self.nr_runs
    }

    /// Whether every state that loses one of the writes less passes, or fails in another way.
    #[must_use]
    pub const fn is_one_minimal(&self) -> bool {
        self.is_one_minimal
    }

    /// Looks for the fewest lost writes that fail so, until it must stop. `judge` gives the judgement of a state, `None` if it
    /// is known to pass.
    pub(super) fn minimise<E>(
        &mut self,
        mut judge: impl FnMut(&Choice) -> Result<Option<Judgement>, E>,
        must_stop: impl Fn() -> bool,
    ) -> Result<(), E> {
        let mut minimise = Minimise::new(&self.choice);
        while !must_stop()
            && let Some(choice) = minimise.next_choice()
        {
            let judgement = judge(&choice)?.filter(|judgement| self.is_same(judgement));
            if let Some(judgement) = &judgement {
                self.output.clone_from(&judgement.output);
            }
            minimise.report(judgement.is_some());
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

    /// Looks for the first point that fails so with nothing lost, from a point on, until it must stop.
    pub(super) fn find_first<E>(
        &mut self,
        from: u64,
        mut judge: impl FnMut(u64) -> Result<Option<Judgement>, E>,
        must_stop: impl Fn() -> bool,
    ) -> Result<(), E> {
        let State { point, lost } = self.choice.state();
        let Some(mut bisect) = Bisect::new(from, point).filter(|_| lost.is_empty()) else { return Ok(()) };
        let mut fails = |point| Ok(judge(point)?.is_some_and(|judgement| self.is_same(&judgement)));
        if fails(from)? {
            return Ok(());
        }
        while let Some(point) = bisect.next_point() {
            if must_stop() {
                return Ok(());
            }
            bisect.report(fails(point)?);
        }
        self.first = Some(FirstPoint { last_good: bisect.last_good(), first_bad: bisect.first_bad() });
        Ok(())
    }

    fn is_same(&self, judgement: &Judgement) -> bool {
        self.outcome == judgement.outcome && self.signature == signature(&judgement.output)
    }
}

/// What two failures of one kind have in common: the words that were printed, without numbers, addresses and names.
fn signature(output: &str) -> String {
    let lines = output.lines().map(|line| {
        let words =
            line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '/'));
        words.collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    // How often a line comes depends on how much is broken.
    lines.sort_unstable();
    lines.dedup();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_paths_make_no_new_failure() {
        let one = "/tmp/a/0: Inode 12 has wrong size 7\n/tmp/a/0: Inode 13 has wrong size 9\n";
        let two = "/tmp/a/1: Inode 15 has wrong size 7\n";
        assert_eq!(signature(one), signature(two));
        assert_ne!(signature(one), signature("Inode 12 has a wrong block\n"));
    }
}
