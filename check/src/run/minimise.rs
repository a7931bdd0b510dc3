//! From a state that fails to one that loses as little as possible, as early as possible.

use std::time::{Duration, Instant};

use logwrites_core::crash::{Bisect, Minimise, State};
use logwrites_core::history::{EntrySet, ExtentMap};

use crate::device::Device;
use crate::run::checker::{Clock, Runner, map_of};
use crate::run::found::Found;
use crate::run::worker;

/// The same failure with as few writes lost as there is time to find, after as few entries of the log.
pub(crate) fn minimise<D: Device>(
    runner: &Runner<'_, D>,
    found: Found<D::Setup>,
    ordering: logwrites_core::Ordering,
) -> Found<D::Setup> {
    if found.choice.is_none() {
        return found;
    }
    worker::watched(runner.timeout(), |clock, since| {
        let mut tries = Tries { runner, found, clock, since };
        tries.lose_less();
        // In durability order a state of a point need not be one of an earlier point.
        if ordering == logwrites_core::Ordering::Completion {
            tries.crash_earlier();
            tries.keep_one_more();
        }
        tries.found
    })
}

struct Tries<'a, 'r, D: Device> {
    runner: &'a Runner<'r, D>,
    found: Found<D::Setup>,
    clock: &'a Clock,
    since: Instant,
}

impl<D: Device> Tries<'_, '_, D> {
    fn lose_less(&mut self) {
        let Some(choice) = self.found.choice.take() else { return };
        let mut minimise = Minimise::new(&choice);
        let point = choice.layers().group().point();
        while self.has_time()
            && let Some(choice) = minimise.next_choice()
        {
            let is_failing = self.is_failing(point, choice.map());
            minimise.report(is_failing);
        }
        self.found.is_minimal = minimise.is_one_minimal();
        let least = minimise.least();
        self.found.path = self.found.level.path_to(least.state());
        self.found.choice = Some(least);
    }

    /// Moves the crash to the first point, after the last mark, at which the same writes are missed.
    fn crash_earlier(&mut self) {
        let state = self.state();
        let index = &self.found.level.index;
        let after_mark = index.last_mark(state.point).map_or(0, |mark| mark.entry + 1);
        let first = index.epoch_at(state.point).range().start.max(after_mark);
        // The point before the first counts as one that passes: it is not tried.
        let Some(mut bisect) = first
            .checked_sub(1)
            .map_or_else(|| Bisect::new(0, state.point), |before| Bisect::new(before, state.point))
        else {
            return;
        };
        while self.has_time()
            && let Some(point) = bisect.next_point()
        {
            let earlier = State { point, lost: before(&state.lost, point) };
            let is_failing = self.is_state_failing(&earlier);
            bisect.report(is_failing);
        }
        let point = bisect.first_bad();
        self.set_state(State { point, lost: before(&state.lost, point) });
    }

    /// Keeps each entry that need not be lost, now that the crash is earlier.
    fn keep_one_more(&mut self) {
        let entries =
            |state: &State| state.lost.ranges().flat_map(|(entries, _)| entries).collect::<Vec<u64>>();
        let mut untried = entries(&self.state());
        while let Some(entry) = untried.pop() {
            if !self.has_time() {
                self.found.is_minimal = false;
                return;
            }
            let State { point, lost } = self.state();
            let fewer = State { point, lost: without(&lost, entry) };
            if self.is_state_failing(&fewer) {
                untried = entries(&fewer);
                self.set_state(fewer);
            }
        }
    }

    fn state(&self) -> State {
        self.found.path.0.last().cloned().expect("a state that was found has a name")
    }

    fn set_state(&mut self, state: State) {
        self.found.path = self.found.level.path_to(state);
    }

    fn is_state_failing(&mut self, state: &State) -> bool {
        let map = map_of(&self.found.level.index, state.point, &state.lost);
        self.is_failing(state.point, map)
    }

    /// Whether a state fails in the same way; then its words are those that are shown.
    fn is_failing(&mut self, point: u64, map: ExtentMap) -> bool {
        let ran = self.runner.run(&self.found.level, point, map, self.clock, self.since);
        match ran.outcome {
            Err(failure) if failure.is_like(&self.found.failure) => {
                self.found.failure = failure;
                true
            }
            Ok(()) | Err(_) => false,
        }
    }

    fn has_time(&self) -> bool {
        self.since.elapsed() < MAX_TIME
    }
}

/// What is lost of the entries before a point.
fn before(lost: &EntrySet, point: u64) -> EntrySet {
    filtered(lost, |entry| entry < point)
}

fn without(lost: &EntrySet, entry: u64) -> EntrySet {
    filtered(lost, |other| other != entry)
}

fn filtered(lost: &EntrySet, is_in: impl Fn(u64) -> bool) -> EntrySet {
    let mut set = EntrySet::empty();
    for (entries, sectors) in lost.ranges() {
        for entry in entries.filter(|entry| is_in(*entry)) {
            match &sectors {
                Some(sectors) => set.push_sectors(entry, sectors.clone()),
                None => set.push_entry(entry),
            }
        }
    }
    set
}

const MAX_TIME: Duration = Duration::from_secs(20);
