//! A conjunction of literals that shares its beginning with others.

use alloc::sync::Arc;

/// Some units of a group, each kept or lost: all states that agree are meant. It shares with the chains that were made from
/// it, and takes 48 bytes for each literal of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    last: Option<Arc<Link>>,
}

#[derive(Debug)]
struct Link {
    unit: u32,
    is_kept: bool,
    nr_lost: u32,
    nr_kept: u32,
    before: Chain,
}

impl Chain {
    /// The states of this one in which a unit is kept, or lost. The unit must be a new one.
    pub(super) fn and(&self, unit: u32, is_kept: bool) -> Self {
        let nr_lost = self.nr_lost() + u32::from(!is_kept);
        let nr_kept = self.nr_kept() + u32::from(is_kept);
        Self { last: Some(Arc::new(Link { unit, is_kept, nr_lost, nr_kept, before: self.clone() })) }
    }

    /// How many units are lost.
    pub(super) fn nr_lost(&self) -> u32 {
        self.last.as_ref().map_or(0, |link| link.nr_lost)
    }

    /// How many units are kept.
    pub(super) fn nr_kept(&self) -> u32 {
        self.last.as_ref().map_or(0, |link| link.nr_kept)
    }

    /// How many units are one or the other.
    pub(super) fn len(&self) -> u64 {
        u64::from(self.nr_lost()) + u64::from(self.nr_kept())
    }

    /// The units, and whether they are kept; the last one first.
    pub(super) fn literals(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        let links = core::iter::successors(self.last.as_deref(), |link| link.before.last.as_deref());
        links.map(|link| (link.unit, link.is_kept))
    }
}

impl Drop for Chain {
    /// One link after the other: a chain is longer than a stack is deep.
    fn drop(&mut self) {
        let mut last = self.last.take();
        while let Some(mut link) = last.and_then(Arc::into_inner) {
            last = link.before.last.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn chains_share_what_they_begin_with() {
        let base = Chain::default().and(7, true).and(3, false);
        let (one, two) = (base.and(5, true), base.and(5, false));
        assert_eq!(one.literals().collect::<Vec<_>>(), [(5, true), (3, false), (7, true)]);
        assert_eq!((two.nr_lost(), two.nr_kept(), two.len()), (2, 1, 3));
        drop((one, base));
        assert_eq!(two.literals().collect::<Vec<_>>(), [(5, false), (3, false), (7, true)]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it makes too many steps for an interpreter")]
    fn a_long_chain_is_let_go_without_recursion() {
        let mut chain = Chain::default();
        for unit in 0..1_000_000 {
            chain = chain.and(unit, unit % 2 == 0);
        }
        assert_eq!(chain.len(), 1_000_000);
    }
}
