//! Which state of a group to run next, and what each run decides.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::crash::chain::Chain;
use crate::crash::choice::Choice;
use crate::crash::layers::{Layers, Stack, StackRoom};
use crate::crash::open::{Fewest, Open};
use crate::crash::{Prefix, State, StateCount, UnknownUnit};
use crate::geometry::Extent;
use crate::history::{ExtentMap, Piece};
use crate::num::narrow;

/// A search that decides all states of a group by runs of a checker.
///
/// It keeps the states that nothing has decided as *prefixes*: conjunctions of units that are kept or lost. Each run takes
/// one, decides the part of it that has the same bytes where the checker has read, and leaves the rest as further
/// prefixes. What the runs decide is disjoint, and together with what is open it is the whole group.
///
/// Several trials can be out at once, for as many checkers; their reports can come in any order. Each trial is
/// [reported](Self::report), or [given back](Self::give_back).
///
/// Prefixes are taken by turns: one that loses the fewest units, with all others kept, and one that keeps the fewest, with
/// all others lost. So also a search that ends early has decided something that can be said: see
/// [`guarantee`](Self::guarantee).
#[derive(Clone, Debug)]
pub struct Search {
    layers: Arc<Layers>,
    open: Open,
    /// What is being tried.
    out: BTreeMap<u64, Chain>,
    next_number: u64,
    is_keepers_turn: bool,
    total: StateCount,
    decided: StateCount,
    failing: StateCount,
    known: Known,
    room: StackRoom,
}

/// A state to be run. It holds on to the layers, and makes its disk without the search: on another thread, for one.
#[derive(Debug)]
#[must_use = "a trial is reported or given back: until then its states are not decided"]
pub struct Trial {
    number: u64,
    prefix: Chain,
    choice: Choice,
}

impl Trial {
    /// The state as a choice of units.
    #[must_use]
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Where the bytes of its disk are; see [`Choice::map`].
    #[must_use]
    pub fn map(&self) -> ExtentMap {
        self.choice.map()
    }

    /// The name of the state; see [`Choice::state`].
    #[must_use]
    pub fn state(&self) -> State {
        self.choice.state()
    }
}

/// What a checker says about a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The software survives.
    Pass,
    /// It does not.
    Fail,
}

/// The states that a run has decided.
#[derive(Clone, Debug)]
pub struct Region {
    layers: Arc<Layers>,
    chain: Chain,
}

impl Region {
    /// How many states there are in it.
    #[must_use]
    pub fn nr_states(&self) -> StateCount {
        StateCount::power_of_two(nr_states_log2(&self.layers, &self.chain))
    }

    /// The states, as a value. O(n log n) for n units that it fixes.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        Prefix::new(&self.layers, &self.chain)
    }
}

/// What is decided of a group whose search has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guarantee {
    /// Every state that loses at most so many units is decided; `None`: not even the one that loses none.
    pub loses_at_most: Option<u64>,
    /// Every state that keeps at most so many units is decided; `None`: not even the one that keeps none.
    pub keeps_at_most: Option<u64>,
}

impl Search {
    /// How many open prefixes a search holds unless it is told otherwise. They take some 200 bytes each, and as much again
    /// for each four literals that they do not share.
    pub const MAX_OPEN: usize = 1 << 18;

    /// A search of the whole group.
    #[must_use]
    pub fn new(layers: Arc<Layers>) -> Self {
        Self::of([Chain::default()], layers)
    }

    /// A search of a part of the group: what is [`open`](Self::open) in another search of the same group, of the same log, or
    /// some of it. The prefixes must not share a state, which those of one search do not.
    ///
    /// # Errors
    /// [`UnknownUnit`] if a prefix is not one of the group.
    pub fn of_prefixes(
        layers: Arc<Layers>,
        prefixes: impl IntoIterator<Item = Prefix>,
    ) -> Result<Self, UnknownUnit> {
        let chains: Vec<Chain> =
            prefixes.into_iter().map(|prefix| prefix.chain(&layers)).collect::<Result<_, _>>()?;
        Ok(Self::of(chains, layers))
    }

    /// From now on the search holds at most `max` open prefixes, and at least 1. Beyond that it forgets those that it would
    /// come to last, and so may end without having decided all: see [`is_bounded`](Self::is_bounded).
    pub fn set_max_open(&mut self, max: usize) {
        self.open.set_max(max.max(1));
    }

    fn of(chains: impl IntoIterator<Item = Chain>, layers: Arc<Layers>) -> Self {
        let (mut open, mut total) = (Open::new(Self::MAX_OPEN), StateCount::zero());
        for chain in chains {
            total.add_power_of_two(nr_states_log2(&layers, &chain));
            open.push(chain);
        }
        Self {
            known: Known::new(layers.nr_units()),
            layers,
            open,
            out: BTreeMap::new(),
            next_number: 0,
            is_keepers_turn: true,
            total,
            decided: StateCount::zero(),
            failing: StateCount::zero(),
            room: StackRoom::default(),
        }
    }

    /// The layers of the group.
    #[must_use]
    pub const fn layers(&self) -> &Arc<Layers> {
        &self.layers
    }

    /// The next state to run; `None` while all that is open is being tried, and at the end. O(log n) for n open prefixes,
    /// and O(k log k) for k literals of the one that is taken.
    pub fn next_trial(&mut self) -> Option<Trial> {
        let is_kept = self.is_keepers_turn;
        let prefix = self.open.pop(is_kept)?;
        self.is_keepers_turn = !is_kept;
        let number = self.next_number;
        self.next_number += 1;
        self.out.insert(number, prefix.clone());
        let except = prefix.literals().filter(|literal| literal.1 != is_kept).map(|literal| literal.0);
        let mut except: Vec<u32> = except.collect();
        except.sort_unstable();
        Some(Trial { number, prefix, choice: Choice::new(Arc::clone(&self.layers), is_kept, except) })
    }

    /// Reports a run whose verdict depends on nothing but what it read: on `reads`, sectors of the disk that the checker had
    /// not itself written, in the order in which it read them; several times what was read several times, or once. Gives
    /// the states that are decided by it.
    ///
    /// `fingerprint` gives a hash of the bytes of some pieces, one after the other, so that what is written again
    /// with the same bytes makes no difference. The hash must be one that does not collide; where the bytes are not at
    /// hand, `None` says so, and they count as different from all others.
    ///
    /// O(log n + k log k) for each read of n units in the group and k that share a sector with it.
    ///
    /// # Panics
    /// If the trial is another search's.
    pub fn report(
        &mut self,
        trial: Trial,
        reads: &[Extent],
        verdict: Verdict,
        mut fingerprint: impl FnMut(&[Piece]) -> Option<u128>,
    ) -> Region {
        self.known.begin(&trial);
        let layers = Arc::clone(&self.layers);
        let mut seen = Sight { layers: &layers, pieces: Vec::new(), fingerprint: &mut fingerprint };
        for read in reads {
            let known = &mut self.known;
            layers.stacks(*read, &mut self.room, |stack| seen.literals(stack, known));
        }
        self.decide(trial, verdict)
    }

    /// Reports a run whose verdict may depend on anything, such as a timeout: it decides its own state alone, and leaves one
    /// more prefix for each unit that its prefix leaves open.
    ///
    /// # Panics
    /// If the trial is another search's.
    pub fn report_alone(&mut self, trial: Trial, verdict: Verdict) -> Region {
        self.known.begin(&trial);
        for unit in (0u32..).take(self.layers.nr_units()) {
            self.known.add(unit, self.known.is_kept(unit));
        }
        self.decide(trial, verdict)
    }

    /// Takes back a trial that was not run: its states are open again.
    ///
    /// # Panics
    /// If the trial is another search's.
    pub fn give_back(&mut self, trial: Trial) {
        self.take_in(&trial);
        self.open.push(trial.prefix);
    }

    /// Whether every state is decided.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.open.is_empty() && self.out.is_empty() && !self.is_bounded()
    }

    /// Whether some of the states that are not decided were forgotten for want of room, and will not be tried.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.open.forgotten().is_some()
    }

    /// How many states are decided.
    #[must_use]
    pub const fn decided(&self) -> &StateCount {
        &self.decided
    }

    /// How many states were decided to fail.
    #[must_use]
    pub const fn failing(&self) -> &StateCount {
        &self.failing
    }

    /// How many states there are to decide: all of the group, or of the prefixes that it was made of.
    #[must_use]
    pub const fn total(&self) -> &StateCount {
        &self.total
    }

    /// What is decided of the states that it was made of, in words for people: all that lose or keep few. `None` if every
    /// state is. O(n) for n trials that are out.
    #[must_use]
    pub fn guarantee(&self) -> Option<Guarantee> {
        let out = self.out.values().map(Fewest::from).map(Some).fold(None, Fewest::of);
        let fewest = Fewest::of(self.open.fewest(), out)?;
        let up_to = |fewest: u32| fewest.checked_sub(1).map(u64::from);
        Some(Guarantee { loses_at_most: up_to(fewest.lost), keeps_at_most: up_to(fewest.kept) })
    }

    /// How many prefixes are not decided: those that are open, and those that are being tried.
    #[must_use]
    pub fn nr_open(&self) -> usize {
        self.open.chains().len() + self.out.len()
    }

    /// Everything that is not decided, as values: also what is being tried, but not what was forgotten. Another search, on
    /// another machine, can go on from [any share of them](Self::of_prefixes).
    pub fn open(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.open.chains().chain(self.out.values()).map(|chain| Prefix::new(&self.layers, chain))
    }

    /// Decides the part of a trial's prefix in which the units are as the run has found them, and opens the rest.
    fn decide(&mut self, trial: Trial, verdict: Verdict) -> Region {
        self.take_in(&trial);
        let mut chain = trial.prefix;
        for (unit, is_kept) in self.known.added.drain(..) {
            self.open.push(chain.and(unit, !is_kept));
            chain = chain.and(unit, is_kept);
        }
        let exponent = nr_states_log2(&self.layers, &chain);
        self.decided.add_power_of_two(exponent);
        if verdict == Verdict::Fail {
            self.failing.add_power_of_two(exponent);
        }
        Region { layers: Arc::clone(&self.layers), chain }
    }

    fn take_in(&mut self, trial: &Trial) {
        let is_ours = Arc::ptr_eq(trial.choice.layers(), &self.layers);
        assert!(is_ours && self.out.remove(&trial.number).is_some(), "a trial of this search, which is out");
    }
}

fn nr_states_log2(layers: &Layers, chain: &Chain) -> u64 {
    layers.group().nr_units() - chain.len()
}

/// What is known of each unit during a report: what the trial's state has, and whether that is fixed.
#[derive(Clone, Debug)]
struct Known {
    /// For each unit, when it was fixed last, and as what.
    fixed: Vec<(u32, bool)>,
    /// Of this report.
    now: u32,
    /// What the units are that are not fixed.
    is_kept: bool,
    /// What was fixed during the report, in order.
    added: Vec<(u32, bool)>,
}

impl Known {
    fn new(nr_units: usize) -> Self {
        Self { fixed: vec![(0, false); nr_units], now: 0, is_kept: false, added: Vec::new() }
    }

    /// Begins with what the trial's prefix fixes.
    fn begin(&mut self, trial: &Trial) {
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.fixed.fill((0, false));
            self.now = 1;
        }
        self.is_kept = trial.choice.is_kept_by_default();
        for (unit, is_kept) in trial.prefix.literals() {
            self.fixed[narrow(unit.into())] = (self.now, is_kept);
        }
    }

    /// Whether the state has the unit.
    fn is_kept(&self, unit: u32) -> bool {
        self.fixed(unit).unwrap_or(self.is_kept)
    }

    fn fixed(&self, unit: u32) -> Option<bool> {
        let (when, is_kept) = self.fixed[narrow(unit.into())];
        (when == self.now).then_some(is_kept)
    }

    /// Fixes a unit, if it is not.
    fn add(&mut self, unit: u32, is_kept: bool) {
        if self.fixed(unit).is_none() {
            self.fixed[narrow(unit.into())] = (self.now, is_kept);
            self.added.push((unit, is_kept));
        }
    }
}

/// What a run has seen of a part of the disk.
struct Sight<'a> {
    layers: &'a Layers,
    /// Kept from call to call.
    pieces: Vec<Piece>,
    fingerprint: &'a mut dyn FnMut(&[Piece]) -> Option<u128>,
}

impl Sight<'_> {
    /// Fixes as few units as it takes for these bytes to be the same in every state that agrees.
    ///
    /// Of the layers from the newest down, one is seen; those above are lost. A layer above with the same bytes, and
    /// without others between, may be kept as well. The one that is seen may be lost as well if what is then seen has the
    /// same bytes, whatever is kept.
    fn literals(&mut self, stack: Stack<'_>, known: &mut Known) {
        let layers = self.layers;
        let unit_of = |number: &u32| layers.layer(*number).unit;
        let is_seen = |number: &u32| unit_of(number).is_none_or(|unit| known.is_kept(unit));
        let at = stack.layers.iter().position(is_seen).unwrap_or(stack.layers.len());
        let (above, seen) = stack.layers.split_at(at);
        let is_open =
            |number: &u32, known: &Known| unit_of(number).is_some_and(|unit| known.fixed(unit).is_none());
        let is_any_above_open = above.iter().any(|number| is_open(number, known));
        let is_seen_open = seen.first().is_some_and(|number| is_open(number, known));
        if !is_any_above_open && !is_seen_open {
            return;
        }
        let content = self.content(stack.extent, seen.first().copied());
        let mut is_same_above = true;
        // The newest first: what is read tells most by its newest writer.
        let nr_same = above.iter().rev().take_while(|number| {
            let is_transparent = !is_open(number, known);
            is_same_above &= is_transparent || self.is_content(content, stack.extent, Some(**number));
            is_same_above
        });
        let nr_same = nr_same.count();
        for number in &above[..above.len() - nr_same] {
            if let Some(unit) = unit_of(number) {
                known.add(unit, false);
            }
        }
        if is_seen_open
            && !self.is_same_below(content, stack.extent, &seen[1..], known)
            && let Some(unit) = unit_of(&seen[0])
        {
            known.add(unit, true);
        }
    }

    /// Whether these bytes are seen with the layers `below` alone, whichever of them are kept.
    fn is_same_below(&mut self, content: Option<u128>, extent: Extent, below: &[u32], known: &Known) -> bool {
        for number in below {
            let fixed = self.layers.layer(*number).unit.map_or(Some(true), |unit| known.fixed(unit));
            if fixed == Some(false) {
                continue;
            }
            if !self.is_content(content, extent, Some(*number)) {
                return false;
            }
            if fixed == Some(true) {
                return true;
            }
        }
        self.is_content(content, extent, None)
    }

    fn is_content(&mut self, content: Option<u128>, extent: Extent, seen: Option<u32>) -> bool {
        content.is_some() && self.content(extent, seen) == content
    }

    /// The hash of what is there if a layer is seen, or the durable disk.
    fn content(&mut self, extent: Extent, seen: Option<u32>) -> Option<u128> {
        self.pieces.clear();
        self.layers.pieces(extent, seen, &mut self.pieces);
        (self.fingerprint)(&self.pieces)
    }
}
