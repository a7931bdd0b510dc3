//! How far an exploration is, while it runs.

use std::time::Duration;

use indicatif::HumanDuration;
use logwrites_core::num::widen;

use crate::explore::{Budget, Check, Progress, Standing};
use crate::output::live_line::LiveLine;
use crate::output::printable::Printable;
use crate::output::style::count;

/// How far an exploration is, on standard error.
pub(super) struct StatusLine {
    line: LiveLine,
    budget: Budget,
}

impl StatusLine {
    pub(super) fn new(check: &Check, budget: Budget) -> Self {
        let name = Printable(check.label().as_bytes()).to_string();
        Self { line: LiveLine::stderr(name), budget }
    }
}

impl Progress for StatusLine {
    fn show(&self, standing: Standing) {
        self.line.show(standing.elapsed, || words(&standing, self.budget));
    }
}

/// What the line says. What matters most comes first: a narrow terminal cuts the end.
fn words(standing: &Standing, budget: Budget) -> String {
    let mut words = vec![
        format!("{}{}", count(standing.runs, "run", "runs"), rate(standing)),
        format!("{} of {} groups", standing.groups_decided, standing.groups),
        states(standing),
    ];
    if standing.ways_to_fail > 0 {
        words.push(count(widen(standing.ways_to_fail), "way to fail", "ways to fail"));
    }
    if standing.flaky > 0 {
        words.push(format!("{} flaky", standing.flaky));
    }
    words.push(match Left::of(standing, budget) {
        None => "– left".to_owned(),
        Some(Left::About(time)) => format!("about {} left", HumanDuration(time)),
        Some(Left::AtMost(time)) => format!("at most {} left", HumanDuration(time)),
    });
    if standing.reused > 0 {
        words.push(format!("{} reused", standing.reused));
    }
    words.join(", ")
}

/// How many runs there are in a second, once there is ground to say so.
fn rate(standing: &Standing) -> String {
    if standing.elapsed < GROUND {
        return String::new();
    }
    let millis = standing.elapsed.as_millis();
    format!(" ({}/s)", u128::from(standing.runs) * 1000 / millis)
}

/// How many states are decided: as a share, or, where that would be nothing, as powers of two.
fn states(standing: &Standing) -> String {
    let Standing { states_log2, decided_log2, .. } = *standing;
    let all = power(states_log2);
    let percent = (decided_log2 - states_log2).exp2() * 100.0;
    if standing.groups_decided == standing.groups {
        format!("all of {all} states")
    } else if percent >= 1.0 {
        format!("{:.0} % of {all} states", percent.floor().min(99.0))
    } else {
        format!("{} of {all} states", power(decided_log2))
    }
}

/// A number of which the binary logarithm is known.
fn power(log2: f64) -> String {
    if log2 < EXACT_BELOW_LOG2 { format!("{:.0}", log2.exp2()) } else { format!("2^{:.0}", log2.floor()) }
}

/// How long it will take from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// If the groups to come take as long as those before.
    About(Duration),
    /// The budget ends it then; nothing can be said of the groups yet.
    AtMost(Duration),
}

impl Left {
    /// `None` as long as there is no ground to say.
    fn of(standing: &Standing, budget: Budget) -> Option<Self> {
        let by_groups =
            is_grounded(standing).then(|| rest(standing.elapsed, standing.groups_decided, standing.groups));
        let by_runs = budget.runs.filter(|_| standing.runs > 0 && standing.elapsed >= GROUND);
        let by_runs = by_runs.map(|max| rest(standing.elapsed, standing.runs, max));
        let by_time = budget.time.map(|max| max.saturating_sub(standing.elapsed));
        let by_budget = by_runs.into_iter().chain(by_time).min();
        match (by_groups, by_budget) {
            (Some(groups), Some(budget)) => Some(Self::About(groups.min(budget))),
            (Some(groups), None) => Some(Self::About(groups)),
            (None, Some(budget)) => Some(Self::AtMost(budget)),
            (None, None) => None,
        }
    }
}

/// Whether enough groups are decided to tell from them how long the others take.
const fn is_grounded(standing: &Standing) -> bool {
    standing.elapsed.as_millis() >= GROUND.as_millis()
        && standing.groups_decided >= MIN_DECIDED
        && standing.groups_decided >= standing.groups / MIN_PART
}

/// How long the rest of `all` takes if `done` of them, at least one, have taken `elapsed`.
fn rest(elapsed: Duration, done: u64, all: u64) -> Duration {
    let millis = elapsed.as_millis() * u128::from(all.saturating_sub(done)) / u128::from(done);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// What is sooner may be chance.
const GROUND: Duration = Duration::from_secs(2);

/// How many groups must be decided before the others are judged by them.
const MIN_DECIDED: u64 = 3;

/// And which part of all groups, one of so many.
const MIN_PART: u64 = 20;

/// Numbers below two to the power of this are printed as they are.
const EXACT_BELOW_LOG2: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Standing = Standing {
        runs: 400,
        reused: 0,
        groups: 113,
        groups_decided: 40,
        states_log2: 517.6,
        decided_log2: 120.3,
        ways_to_fail: 0,
        flaky: 0,
        elapsed: Duration::from_secs(8),
    };

    #[test]
    fn the_line_says_what_is_done_and_what_was_found() {
        let none = Budget::default();
        assert_eq!(
            words(&SOME, none),
            "400 runs (50/s), 40 of 113 groups, 2^120 of 2^517 states, about 15 seconds left"
        );
        let bad = Standing { ways_to_fail: 2, flaky: 1, reused: 7, decided_log2: 517.5, ..SOME };
        assert_eq!(
            words(&bad, none),
            "400 runs (50/s), 40 of 113 groups, 93 % of 2^517 states, 2 ways to fail, 1 flaky, \
             about 15 seconds left, 7 reused"
        );
    }

    #[test]
    fn nothing_is_said_without_ground() {
        let begun = Standing {
            runs: 1,
            groups_decided: 0,
            decided_log2: f64::NEG_INFINITY,
            elapsed: Duration::from_millis(90),
            ..SOME
        };
        assert_eq!(words(&begun, Budget::default()), "1 run, 0 of 113 groups, 0 of 2^517 states, – left");
        let slow = Standing { groups_decided: 4, ..SOME };
        assert_eq!(Left::of(&slow, Budget::default()), None, "4 of 113 groups tell nothing of the others");
    }

    #[test]
    fn all_states_are_told_only_if_they_are_decided() {
        let nearly = Standing { decided_log2: SOME.states_log2, ..SOME };
        assert_eq!(states(&nearly), "99 % of 2^517 states");
        assert_eq!(states(&Standing { groups_decided: 113, ..nearly }), "all of 2^517 states");
        let few = Standing { states_log2: 10.0, decided_log2: 0.0, ..SOME };
        assert_eq!(states(&few), "1 of 1024 states");
    }

    #[test]
    fn the_time_left_is_what_comes_first() {
        let left = |standing: &Standing, runs, seconds: Option<u64>| {
            Left::of(standing, Budget { runs, time: seconds.map(Duration::from_secs) })
        };
        let seconds = Duration::from_secs;
        assert_eq!(left(&SOME, None, None), Some(Left::About(Duration::from_millis(14_600))));
        assert_eq!(left(&SOME, Some(500), None), Some(Left::About(seconds(2))));
        assert_eq!(left(&SOME, Some(500), Some(9)), Some(Left::About(seconds(1))));
        assert_eq!(left(&SOME, None, Some(5)), Some(Left::About(seconds(0))), "it is over");
        let begun = Standing { groups_decided: 0, ..SOME };
        assert_eq!(left(&begun, Some(1000), Some(60)), Some(Left::AtMost(seconds(12))));
        assert_eq!(left(&Standing { runs: 0, ..begun }, Some(1000), None), None);
        let done = Standing { groups_decided: 113, ..SOME };
        assert_eq!(left(&done, None, None), Some(Left::About(seconds(0))));
    }
}
