//! The prefixes of a search that nothing has decided, and the order in which they are taken.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::crash::chain::Chain;

/// Open prefixes, to be taken by turns: one that loses the fewest, then one that keeps the fewest.
///
/// It holds at most as many as it is told. Beyond that it forgets those that would be taken last, and remembers how few
/// they lose and keep.
#[derive(Clone, Debug)]
pub(super) struct Open {
    chains: BTreeMap<u64, Chain>,
    next_number: u64,
    /// The number of units that are lost, and of the prefix.
    by_lost: BTreeSet<(u32, u64)>,
    by_kept: BTreeSet<(u32, u64)>,
    /// By what matters to the order that takes it first.
    by_either: BTreeSet<(u32, u64)>,
    max: usize,
    forgotten: Option<Fewest>,
}

/// The least that any of some prefixes lose, and keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fewest {
    pub(super) lost: u32,
    pub(super) kept: u32,
}

impl Open {
    /// None yet, and never more than `max`.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            chains: BTreeMap::new(),
            next_number: 0,
            by_lost: BTreeSet::new(),
            by_kept: BTreeSet::new(),
            by_either: BTreeSet::new(),
            max,
            forgotten: None,
        }
    }

    /// Adds one. O(log n) for n that are open.
    pub(super) fn push(&mut self, chain: Chain) {
        let number = self.next_number;
        self.next_number += 1;
        let (lost, kept) = (chain.nr_lost(), chain.nr_kept());
        self.by_lost.insert((lost, number));
        self.by_kept.insert((kept, number));
        self.by_either.insert((lost.min(kept), number));
        self.chains.insert(number, chain);
        self.keep_to_max();
    }

    /// From now on it holds at most `max`.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.keep_to_max();
    }

    /// Takes the one that loses the fewest, or the one that keeps the fewest; of several, the oldest. O(log n).
    pub(super) fn pop(&mut self, by_lost: bool) -> Option<Chain> {
        let (_, number) = if by_lost { self.by_lost.first() } else { self.by_kept.first() }?;
        let number = *number;
        Some(self.remove(number))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// All of them, the oldest first.
    pub(super) fn chains(&self) -> impl ExactSizeIterator<Item = &Chain> {
        self.chains.values()
    }

    /// The least that those lose and keep that were forgotten, if any was.
    pub(super) const fn forgotten(&self) -> Option<Fewest> {
        self.forgotten
    }

    /// The least that any loses and keeps, those among them that were forgotten; `None` if there is none.
    pub(super) fn fewest(&self) -> Option<Fewest> {
        let open = self.by_lost.first().zip(self.by_kept.first());
        Fewest::of(open.map(|((lost, _), (kept, _))| Fewest { lost: *lost, kept: *kept }), self.forgotten)
    }

    fn keep_to_max(&mut self) {
        while self.chains.len() > self.max
            && let Some((_, last)) = self.by_either.last()
        {
            let chain = self.remove(*last);
            self.forgotten = Fewest::of(self.forgotten, Some(Fewest::from(&chain)));
        }
    }

    fn remove(&mut self, number: u64) -> Chain {
        let chain = self.chains.remove(&number).expect("the orders have what is open");
        let (lost, kept) = (chain.nr_lost(), chain.nr_kept());
        self.by_lost.remove(&(lost, number));
        self.by_kept.remove(&(kept, number));
        self.by_either.remove(&(lost.min(kept), number));
        chain
    }
}

impl Fewest {
    /// The least of both.
    pub(super) fn of(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, two) else { return one.or(two) };
        Some(Self { lost: a.lost.min(b.lost), kept: a.kept.min(b.kept) })
    }
}

impl From<&Chain> for Fewest {
    fn from(chain: &Chain) -> Self {
        Self { lost: chain.nr_lost(), kept: chain.nr_kept() }
    }
}
