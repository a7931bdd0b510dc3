//! From a failing state to the fewest lost writes that still fail.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::crash::choice::Choice;
use crate::crash::layers::Layers;
use crate::history::EntrySet;

/// Looks for the fewest lost units with which a state still fails.
///
/// It proposes states that lose less; the front end [reports](Self::report) whether each still fails *in the same way*, by
/// whatever signature it compares failures. First nothing is lost, then each entry alone; then delta debugging halves what
/// is lost, first by entries and then, where entries are torn, by units.
///
/// For n lost entries it takes 1 + n tries if one of them alone is the cause, and O(n²) at worst. It can be stopped at any time:
/// [`least`](Self::least) is the best so far.
#[derive(Clone, Debug)]
pub struct Minimise {
    layers: Arc<Layers>,
    /// The units that are lost in the best state so far, by what is tried as one: entries first, then units.
    least: Vec<Vec<u32>>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is lost.
    Nothing,
    /// Only one chunk is lost.
    Alone {
        nth: usize,
    },
    /// All but one of so many parts are lost.
    Without {
        nth: usize,
        nr_parts: usize,
    },
    Done,
}

impl Minimise {
    /// From a state that fails.
    #[must_use]
    pub fn new(failing: &Choice) -> Self {
        let layers = Arc::clone(failing.layers());
        let mut least: Vec<Vec<u32>> = Vec::new();
        for unit in failing.lost() {
            let entry_of = |chunk: &Vec<u32>| chunk.first().map(|first| layers.unit(*first).entry);
            match least.last_mut() {
                Some(chunk) if entry_of(chunk) == Some(layers.unit(unit).entry) => chunk.push(unit),
                _ => least.push(Vec::from([unit])),
            }
        }
        let step = if least.is_empty() { Step::Done } else { Step::Nothing };
        Self { layers, least, step }
    }

    /// The state to try next; `None` at the end. The same until it is reported.
    #[must_use]
    pub fn next_choice(&self) -> Option<Choice> {
        let is_lost: &dyn Fn(usize) -> bool = match self.step {
            Step::Nothing => &|_| false,
            Step::Alone { nth } => &move |at| at == nth,
            Step::Without { nth, nr_parts } => {
                let part = part(self.least.len(), nr_parts, nth);
                &move |at| !part.contains(&at)
            }
            Step::Done => return None,
        };
        Some(self.choice(is_lost))
    }

    /// Says whether [the last state](Self::next_choice) fails in the same way.
    pub fn report(&mut self, is_failing: bool) {
        match (self.step, is_failing) {
            (Step::Nothing, true) => {
                self.least.clear();
                self.step = Step::Done;
            }
            (Step::Nothing, false) => self.try_alone(0),
            (Step::Alone { nth }, true) => {
                self.least = Vec::from([self.least.swap_remove(nth)]);
                self.split();
            }
            (Step::Alone { nth }, false) => self.try_alone(nth + 1),
            (Step::Without { nth, nr_parts }, true) => {
                self.least.drain(part(self.least.len(), nr_parts, nth));
                // What could not go before may go now.
                self.try_without(0, (nr_parts - 1).max(2));
            }
            (Step::Without { nth, nr_parts }, false) => self.try_without(nth + 1, nr_parts),
            (Step::Done, _) => {}
        }
    }

    /// The failing state that loses the least so far.
    #[must_use]
    pub fn least(&self) -> Choice {
        self.choice(&|_| true)
    }

    /// The entries, or parts of them, that are lost in it.
    #[must_use]
    pub fn lost(&self) -> EntrySet {
        let mut units: Vec<u32> = self.least.concat();
        units.sort_unstable();
        self.layers.entry_set(units)
    }

    /// Whether it is 1-minimal: it was tried without each single one of its units, and none of these states fails.
    #[must_use]
    pub fn is_one_minimal(&self) -> bool {
        self.step == Step::Done
    }

    fn choice(&self, is_lost: &dyn Fn(usize) -> bool) -> Choice {
        let chunks = self.least.iter().enumerate().filter(|(at, _)| is_lost(*at));
        let mut lost: Vec<u32> = chunks.flat_map(|(_, chunk)| chunk.iter().copied()).collect();
        lost.sort_unstable();
        Choice::new(Arc::clone(&self.layers), true, lost)
    }

    /// Each alone, from one on. A single one is all that is lost.
    fn try_alone(&mut self, nth: usize) {
        if self.least.len() > 1 && nth < self.least.len() {
            self.step = Step::Alone { nth };
        } else if self.least.len() > 1 {
            self.try_without(0, 2);
        } else {
            self.split();
        }
    }

    /// All but each of so many parts, from one on. Once none of them can go, the parts are halved.
    fn try_without(&mut self, nth: usize, nr_parts: usize) {
        let nr_chunks = self.least.len();
        if nr_chunks < 2 {
            return self.split();
        }
        let nr_parts = nr_parts.min(nr_chunks);
        self.step = match () {
            () if nth < nr_parts => Step::Without { nth, nr_parts },
            () if nr_parts < nr_chunks => Step::Without { nth: 0, nr_parts: (nr_parts * 2).min(nr_chunks) },
            () => return self.split(),
        };
    }

    /// Goes on by units, if it did not yet.
    fn split(&mut self) {
        if self.least.iter().all(|chunk| chunk.len() == 1) {
            self.step = Step::Done;
            return;
        }
        let units = core::mem::take(&mut self.least).concat();
        self.least = units.into_iter().map(|unit| Vec::from([unit])).collect();
        self.try_alone(0);
    }
}

/// The `nth` of `nr_parts` parts of so many, whose lengths differ by one at most.
const fn part(len: usize, nr_parts: usize, nth: usize) -> Range<usize> {
    len * nth / nr_parts..len * (nth + 1) / nr_parts
}

/// Looks for the first point at which the disk fails with nothing lost, after one at which it does not.
///
/// It halves what lies between. Failure need not begin only once: what it finds is a point that fails, and the point
/// before it that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bisect {
    good: u64,
    bad: u64,
}

impl Bisect {
    /// Between a point that passes and a later one that fails; `None` if it is not later.
    #[must_use]
    pub const fn new(good: u64, bad: u64) -> Option<Self> {
        if good < bad { Some(Self { good, bad }) } else { None }
    }

    /// The point to try next; `None` at the end. The same until it is reported.
    #[must_use]
    pub const fn next_point(&self) -> Option<u64> {
        let between = self.bad - self.good;
        if between > 1 { Some(self.good + between / 2) } else { None }
    }

    /// Says whether [the last point](Self::next_point) fails in the same way.
    pub const fn report(&mut self, is_failing: bool) {
        let Some(point) = self.next_point() else { return };
        if is_failing {
            self.bad = point;
        } else {
            self.good = point;
        }
    }

    /// The last point that is known to pass.
    #[must_use]
    pub const fn last_good(&self) -> u64 {
        self.good
    }

    /// The first point that is known to fail.
    #[must_use]
    pub const fn first_bad(&self) -> u64 {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_point_that_fails_after_one_that_does_not_is_found(
            points in proptest::collection::vec(any::<bool>(), 2..40),
        ) {
            let mut points = points;
            let last = points.len() - 1;
            (points[0], points[last]) = (false, true);
            let is_failing = |point: u64| points[usize::try_from(point).unwrap()];
            let mut bisect = Bisect::new(0, u64::try_from(last).unwrap()).unwrap();
            let mut nr_tries = 0;
            while let Some(point) = bisect.next_point() {
                bisect.report(is_failing(point));
                nr_tries += 1;
            }
            let (good, bad) = (bisect.last_good(), bisect.first_bad());
            prop_assert!(good + 1 == bad && is_failing(bad) && !is_failing(good));
            prop_assert!(nr_tries <= 6);
        }
    }

    #[test]
    fn there_is_nothing_between_a_point_and_itself() {
        assert_eq!((Bisect::new(3, 3), Bisect::new(4, 3)), (None, None));
    }
}
