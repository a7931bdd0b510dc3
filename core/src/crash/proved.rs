//! What earlier runs have proved, by the contents that they read.

use alloc::vec::Vec;

use std_shims::collections::HashMap;

use crate::geometry::Extent;
use crate::history::{ExtentMap, Piece};
use crate::num::narrow;

/// Runs of checkers, to be found again by what they read.
///
/// A deterministic checker that finds on a disk what it has found before, read after read, comes to the same verdict, whatever
/// log, point or group the disk is of. So what is proved in one group holds in the next. `K` is what else the verdict may
/// depend on: which checker it is, and the last mark. `V` is the verdict, with whatever belongs to it.
///
/// The runs are a tree: below each read there is a branch for each content that it had. A look-up follows one path of it,
/// and so costs what the earlier run has read, whatever the number of runs and the size of the disk.
///
/// It takes about 100 bytes for each read that no earlier run with the same beginning had, and takes in no more runs once
/// it has [`MAX_READS`](Self::MAX_READS) of them.
#[derive(Clone, Debug)]
pub struct Proved<K, V> {
    roots: Vec<(K, u32)>,
    nodes: Vec<Node<V>>,
    /// From a node, by which of its reads that was done next and what it had found, to the next.
    branches: HashMap<(u32, Extent, u128), u32>,
}

#[derive(Clone, Debug)]
struct Node<V> {
    /// What a run does next: one read, unless the order of reads is up to chance.
    reads: Vec<Extent>,
    /// Where a run ends.
    verdict: Option<V>,
}

/// A run that decides a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<'a, V> {
    /// What the run read, in order.
    pub reads: Vec<Extent>,
    /// Its verdict.
    pub verdict: &'a V,
}

impl<K: Eq, V: Eq> Proved<K, V> {
    /// How many reads are kept at most.
    pub const MAX_READS: usize = 1 << 22;

    /// Nothing is proved yet.
    #[must_use]
    pub fn new() -> Self {
        Self { roots: Vec::new(), nodes: Vec::new(), branches: HashMap::new() }
    }

    /// Takes in a run: what it read, in order, with the hash of what it found there, as [`look_up`](Self::look_up) will be
    /// given it. O(r) for r reads.
    ///
    /// # Errors
    /// [`NotDeterministic`] if an earlier run has read the same, and came to another verdict or read on.
    pub fn add(
        &mut self,
        key: K,
        reads: impl IntoIterator<Item = (Extent, u128)>,
        verdict: V,
    ) -> Result<(), NotDeterministic> {
        let mut at = self.root(key);
        for (extent, content) in reads {
            if self.nodes[narrow(at.into())].verdict.is_some() {
                return Err(NotDeterministic);
            }
            if self.branches.len() >= Self::MAX_READS {
                return Ok(());
            }
            at = self.branch(at, extent, content);
        }
        let node = &mut self.nodes[narrow(at.into())];
        if !node.reads.is_empty() || node.verdict.as_ref().is_some_and(|known| *known != verdict) {
            return Err(NotDeterministic);
        }
        node.verdict = Some(verdict);
        Ok(())
    }

    /// The earlier run that decides a disk, if there is one: had the checker run on this disk, it would have read the same.
    /// `fingerprint` gives the hash of the bytes of some pieces, one after the other; `None` where they are not at hand.
    ///
    /// O(r log n) for r reads and n runs of the map, and r hashes.
    pub fn look_up(
        &self,
        key: &K,
        map: &ExtentMap,
        mut fingerprint: impl FnMut(&[Piece]) -> Option<u128>,
    ) -> Option<Proof<'_, V>> {
        let (_, root) = self.roots.iter().find(|(known, _)| known == key)?;
        let mut pieces = Vec::new();
        let mut next = |at: u32, extent: Extent| {
            pieces.clear();
            pieces.extend(map.pieces(extent));
            let content = fingerprint(&pieces)?;
            self.branches.get(&(at, extent, content)).copied()
        };
        // Where a run could have done one of several reads, they are tried one after the other.
        let mut path = Vec::from([(*root, 0)]);
        while let Some((at, nth)) = path.last_mut() {
            let node = &self.nodes[narrow((*at).into())];
            if let Some(verdict) = &node.verdict {
                return Some(Proof { reads: self.reads_of(&path), verdict });
            }
            match node.reads.get(*nth) {
                None => _ = path.pop(),
                Some(extent) => {
                    *nth += 1;
                    let branch = next(*at, *extent);
                    path.extend(branch.map(|node| (node, 0)));
                }
            }
        }
        None
    }

    /// How many reads are kept.
    #[must_use]
    pub fn nr_reads(&self) -> usize {
        self.branches.len()
    }

    fn reads_of(&self, path: &[(u32, usize)]) -> Vec<Extent> {
        let steps = path.iter().filter_map(|(at, nth)| Some((at, nth.checked_sub(1)?)));
        steps.map(|(at, nth)| self.nodes[narrow((*at).into())].reads[nth]).collect()
    }

    fn root(&mut self, key: K) -> u32 {
        if let Some((_, root)) = self.roots.iter().find(|(known, _)| *known == key) {
            return *root;
        }
        let root = self.push_node();
        self.roots.push((key, root));
        root
    }

    fn branch(&mut self, at: u32, extent: Extent, content: u128) -> u32 {
        if let Some(next) = self.branches.get(&(at, extent, content)) {
            return *next;
        }
        let next = self.push_node();
        self.branches.insert((at, extent, content), next);
        let reads = &mut self.nodes[narrow(at.into())].reads;
        if !reads.contains(&extent) {
            reads.push(extent);
        }
        next
    }

    fn push_node(&mut self) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("the reads are limited");
        self.nodes.push(Node { reads: Vec::new(), verdict: None });
        number
    }
}

impl<K: Eq, V: Eq> Default for Proved<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A run found all that an earlier run had found, and came to something else. So its checker depends on more than what it
/// reads, and what its runs have decided is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the checker is not deterministic: on the same contents it read something else, or came to another verdict"
)]
pub struct NotDeterministic;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::SectorSize;
    use crate::history::Source;
    use std::vec;

    fn extent(sector: u64) -> Extent {
        Extent::new(sector, 1).unwrap()
    }

    /// Sectors that hold the byte 1; all others hold 0.
    fn disk(ones: &[u64]) -> ExtentMap {
        let mut map = ExtentMap::new(SectorSize::B512);
        for one in ones {
            map.insert(extent(*one), Source::Log { offset_bytes: 512 });
        }
        map
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is called")]
    fn fingerprint(pieces: &[Piece]) -> Option<u128> {
        Some(u128::from(pieces[0].source.is_some()))
    }

    #[test]
    fn a_run_is_found_again_by_what_it_read() {
        let mut proved = Proved::new();
        proved.add("a", [(extent(1), 1), (extent(2), 0)], true).unwrap();
        proved.add("a", [(extent(1), 0), (extent(3), 0)], false).unwrap();
        let look_up = |key, ones: &[u64]| {
            let map = disk(ones);
            proved.look_up(&key, &map, fingerprint).map(|proof| (proof.reads, *proof.verdict))
        };
        assert_eq!(look_up("a", &[1, 7]), Some((vec![extent(1), extent(2)], true)));
        assert_eq!(look_up("a", &[2]), Some((vec![extent(1), extent(3)], false)));
        assert_eq!((look_up("a", &[1, 2]), look_up("a", &[3]), look_up("b", &[1])), (None, None, None));
        assert_eq!(proved.look_up(&"a", &disk(&[1]), |_| None), None, "what is not known is not equal");
        assert_eq!(proved.nr_reads(), 4);
    }

    #[test]
    fn reads_in_an_order_of_chance_are_all_followed() {
        let mut proved = Proved::new();
        proved.add((), [(extent(1), 0), (extent(2), 1)], 1).unwrap();
        proved.add((), [(extent(2), 0), (extent(1), 0)], 2).unwrap();
        let verdict =
            |ones: &[u64]| proved.look_up(&(), &disk(ones), fingerprint).map(|proof| *proof.verdict);
        assert_eq!((verdict(&[2]), verdict(&[]), verdict(&[1])), (Some(1), Some(2), None));
    }

    #[test]
    fn a_checker_that_changes_its_mind_is_caught() {
        let mut proved = Proved::new();
        proved.add((), [(extent(1), 0), (extent(2), 0)], true).unwrap();
        assert_eq!(proved.add((), [(extent(1), 0), (extent(2), 0)], true), Ok(()));
        assert_eq!(proved.add((), [(extent(1), 0), (extent(2), 0)], false), Err(NotDeterministic));
        assert_eq!(proved.add((), [(extent(1), 0)], true), Err(NotDeterministic));
        let longer = [(extent(1), 0), (extent(2), 0), (extent(3), 0)];
        assert_eq!(proved.add((), longer, true), Err(NotDeterministic));
        assert_eq!(proved.add((), [(extent(1), 1)], false), Ok(()));
    }
}
