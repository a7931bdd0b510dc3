//! Where the bytes of a disk are: a persistent map from its extents to the log.
//!
//! A disk at some point of its history is a base image and what the log says to put over it. The map holds
//! the second half: each entry applied so far took its extent, and sectors that no entry took are still the base's.
//!
//! ```text
//! before   ......[ Log 512          ].....[ Zeros 8192        ]......
//! insert                     [ Log 20480       ]
//! after    ......[ Log 512  ][ Log 20480       ][ Zeros 8192  ]......
//! ```
//!
//! It is a B+ tree of shared nodes: leaves of runs, in sector order, below branches that know for each child
//! what it spans. All leaves are at one depth. A node that only one map has is changed in place, one that
//! several share is copied first.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::iter::{FusedIterator, Peekable};
use core::ops::Range;

use crate::geometry::{Extent, MAX_OFFSET_BYTES, SectorSize};

/// Where the bytes of each extent of a disk are: in the log, nowhere because they are zeros, or, where the
/// map has no run, in the base image.
///
/// With n runs in the map:
///
/// | call | cost |
/// |---|---|
/// | [`insert`](Self::insert), [`remove`](Self::remove) | O(log n), and the release of the runs that are covered, which their own insertion has paid for |
/// | [`get`](Self::get), the first item of an iterator | O(log n) |
/// | every further item of an iterator | O(1) amortised |
/// | [`clone`](Clone::clone), [`len`](Self::len), [`is_empty`](Self::is_empty), [`end_sector`](Self::end_sector) | O(1) |
///
/// A run takes 24 bytes, and with its share of half-filled nodes 28 (ascending writes) to 50 (heavy
/// overwriting). Only a map from which most runs were removed again, one by one, may reach 100.
///
/// A clone shares all nodes with the original. The first change to a part that is shared copies the nodes on
/// the way to it, one a level and at most 2 KiB each: about 5 KiB where n is a hundred thousand. Of what is
/// covered, nodes go as a whole.
#[derive(Clone)]
pub struct ExtentMap {
    sector_size: SectorSize,
    /// Empty, or an extent without sectors and a leaf without runs.
    root: Child,
}

impl ExtentMap {
    /// The map of a disk that is its base image, for a log with sectors of this size.
    #[must_use]
    pub fn new(sector_size: SectorSize) -> Self {
        Self { sector_size, root: Child::new(Node::Leaf(Vec::new())) }
    }

    /// The unit of the map's extents.
    #[must_use]
    pub const fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Whether the whole disk is its base image.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.nr_runs == 0
    }

    /// The number of runs.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.root.nr_runs
    }

    /// The first sector after the last run, 0 if there is none: from here on, everything is base.
    #[must_use]
    pub const fn end_sector(&self) -> u64 {
        self.root.extent.end()
    }

    /// From now on the bytes of `extent` come from `source`, wherever they came from before.
    ///
    /// An empty extent changes nothing. Runs that touch are not joined: in a log there is a header between any
    /// two payloads, so that none continues another.
    pub fn insert(&mut self, extent: Extent, source: Source) {
        if extent.is_empty() {
            return;
        }
        self.root.set(extent, Some(source.into()), self.sector_size);
        self.settle_root();
    }

    /// From now on the bytes of `extent` come from the base image again.
    pub fn remove(&mut self, extent: Extent) {
        // Looked up first, so that nothing shared is copied for no change.
        if self.runs_in(extent).next().is_none() {
            return;
        }
        if covers(extent, self.root.extent) {
            *self = Self::new(self.sector_size);
        } else {
            self.root.set(extent, None, self.sector_size);
            self.settle_root();
        }
    }

    /// Where the bytes of one sector are; `None` says in the base image.
    #[must_use]
    pub fn get(&self, sector: u64) -> Option<Source> {
        let extent = Extent::new(sector, 1)?;
        self.runs_in(extent).next().map(|run| run.source)
    }

    /// All runs, in the order of their sectors.
    #[must_use]
    pub const fn runs(&self) -> Runs<'_> {
        self.runs_in(self.root.extent)
    }

    /// The runs that share a sector with `extent`, clipped to it, in the order of their sectors.
    #[must_use]
    pub const fn runs_in(&self, extent: Extent) -> Runs<'_> {
        Runs { map: self, leaf: &[], rest: extent }
    }

    /// The whole of `extent` in order, without gaps: its runs, and what the base image has between them.
    #[must_use]
    pub fn pieces(&self, extent: Extent) -> Pieces<'_> {
        Pieces { runs: self.runs_in(extent).peekable(), rest: extent }
    }

    /// Gives the root the bounds of a node: an overfull one gets a parent, and a lone child is the root.
    fn settle_root(&mut self) {
        if let Some(right) = self.root.split() {
            self.root = Child::new(Node::Branch(vec![self.root.clone(), right]));
        }
        while let Node::Branch(children) = &*self.root.node
            && let [only] = children.as_slice()
        {
            self.root = only.clone();
        }
    }
}

impl fmt::Debug for ExtentMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.runs()).finish()
    }
}

/// Where bytes are that are not in the base image.
///
/// Offsets beyond [`MAX_OFFSET_BYTES`], where no log has a byte, are kept as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the log.
    Log {
        /// Where the first byte of the extent is in the log, in bytes. The others follow.
        offset_bytes: u64,
    },
    /// Nowhere: they are zeros.
    Zeros {
        /// Where the header of the entry that made them zeros is in the log, in bytes: the same for every
        /// sector of the extent.
        entry_offset_bytes: u64,
    },
}

impl Source {
    /// The source of what lies so many bytes further on in the extent.
    #[must_use]
    pub const fn skip(self, skipped_bytes: u64) -> Self {
        match self {
            Self::Log { offset_bytes } => {
                Self::Log { offset_bytes: offset_bytes.saturating_add(skipped_bytes) }
            }
            zeros @ Self::Zeros { .. } => zeros,
        }
    }
}

/// An extent whose bytes are not in the base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Where on the disk; never empty.
    pub extent: Extent,
    /// Where its bytes are.
    pub source: Source,
}

/// An extent whose bytes are all in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Where on the disk; never empty.
    pub extent: Extent,
    /// Where its bytes are; `None` says in the base image.
    pub source: Option<Source>,
}

/// The runs in an extent: [`ExtentMap::runs`], [`ExtentMap::runs_in`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    map: &'a ExtentMap,
    /// The runs at hand that come next; when they are used up, the next leaf is looked up.
    leaf: &'a [StoredRun],
    /// The part of the extent after what was returned.
    rest: Extent,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.leaf.is_empty() && !self.rest.is_empty() {
            self.leaf = self.map.root.runs_from(self.rest.sector());
        }
        let clipped = self.leaf.split_off_first()?.clip(self.rest, self.map.sector_size);
        let rest_sector = clipped.map_or(u64::MAX, |run| run.extent.end());
        self.rest = Extent::between(rest_sector, self.rest.end());
        clipped.map(Run::from)
    }
}

impl FusedIterator for Runs<'_> {}

/// The pieces of an extent: [`ExtentMap::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    runs: Peekable<Runs<'a>>,
    /// The part of the extent after what was returned.
    rest: Extent,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.rest.is_empty() {
            return None;
        }
        let base_end = self.runs.peek().map_or(self.rest.end(), |run| run.extent.sector());
        let base = Extent::between(self.rest.sector(), base_end);
        let piece = if base.is_empty() {
            let run = self.runs.next()?;
            Piece { extent: run.extent, source: Some(run.source) }
        } else {
            Piece { extent: base, source: None }
        };
        self.rest = Extent::between(piece.extent.end(), self.rest.end());
        Some(piece)
    }
}

impl FusedIterator for Pieces<'_> {}

/// A node as its parent sees it.
#[derive(Clone, Debug)]
struct Child {
    /// From the first sector of the node's first run to the end of its last.
    extent: Extent,
    /// The runs in all leaves below.
    nr_runs: usize,
    node: Arc<Node>,
}

/// 1 to [`MAX_ENTRIES`] entries, disjoint and in the order of their sectors. Only the root may be a leaf
/// without runs.
///
/// Two neighbours below one branch have more than [`JOIN_ENTRIES`] together, so that each level has a
/// fraction of the nodes of the one below: the depth is O(log n), and recursion that follows it is bounded.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<StoredRun>),
    Branch(Vec<Child>),
}

impl Child {
    fn new(node: Node) -> Self {
        Self { extent: node.extent(), nr_runs: node.nr_runs(), node: Arc::new(node) }
    }

    /// The rest of a leaf from the first run on that ends after `sector`; empty if no run does.
    fn runs_from(&self, sector: u64) -> &[StoredRun] {
        let mut node = &*self.node;
        loop {
            match node {
                Node::Leaf(runs) => {
                    return &runs[count(runs, |run| run.extent.end() <= sector)..];
                }
                Node::Branch(children) => {
                    match children.get(count(children, |child| child.extent.end() <= sector)) {
                        Some(child) => node = &child.node,
                        None => return &[],
                    }
                }
            }
        }
    }

    /// Cuts `extent`, which is not empty, out of the runs, and if there is a source puts a run in its place.
    ///
    /// A run must be left. The node may be left overfull, a leaf by two runs or a branch by one child;
    /// its holder then has to [split](Self::split) it.
    fn set(&mut self, extent: Extent, source: Option<PackedSource>, sector_size: SectorSize) {
        let node = Arc::make_mut(&mut self.node);
        match node {
            Node::Leaf(runs) => set_in_leaf(runs, extent, source, sector_size),
            Node::Branch(children) => set_in_branch(children, extent, source, sector_size),
        }
        (self.extent, self.nr_runs) = (node.extent(), node.nr_runs());
    }

    /// Moves the second half of an overfull node into a new one, the neighbour to its right.
    fn split(&mut self) -> Option<Self> {
        if self.node.nr_entries() <= MAX_ENTRIES {
            return None;
        }
        let node = Arc::make_mut(&mut self.node);
        let right = match node {
            Node::Leaf(runs) => {
                let right = runs.split_off(runs.len() / 2);
                // Ascending writes would never fill the room.
                runs.shrink_to_fit();
                Node::Leaf(right)
            }
            Node::Branch(children) => Node::Branch(children.split_off(children.len() / 2)),
        };
        (self.extent, self.nr_runs) = (node.extent(), node.nr_runs());
        Some(Self::new(right))
    }

    /// Appends the entries of the neighbour to the right.
    fn join(&mut self, right: Self) {
        match (Arc::make_mut(&mut self.node), Arc::unwrap_or_clone(right.node)) {
            (Node::Leaf(runs), Node::Leaf(mut after)) => runs.append(&mut after),
            (Node::Branch(children), Node::Branch(mut after)) => {
                let seam = children.len();
                children.append(&mut after);
                // Two that were no siblings before are now.
                join_small(children, seam..seam);
            }
            (Node::Leaf(_), Node::Branch(_)) | (Node::Branch(_), Node::Leaf(_)) => {
                unreachable!("neighbours are at one depth")
            }
        }
        self.extent = self.extent.hull(right.extent);
        self.nr_runs += right.nr_runs;
    }
}

impl Node {
    fn nr_entries(&self) -> usize {
        match self {
            Self::Leaf(runs) => runs.len(),
            Self::Branch(children) => children.len(),
        }
    }

    fn nr_runs(&self) -> usize {
        match self {
            Self::Leaf(runs) => runs.len(),
            Self::Branch(children) => children.iter().map(|child| child.nr_runs).sum(),
        }
    }

    fn extent(&self) -> Extent {
        let ends = match self {
            Self::Leaf(runs) => runs.first().zip(runs.last()).map(|(a, b)| (a.extent, b.extent)),
            Self::Branch(children) => {
                children.first().zip(children.last()).map(|(a, b)| (a.extent, b.extent))
            }
        };
        ends.map_or(Extent::EMPTY, |(first, last)| first.hull(last))
    }
}

/// [`Child::set`] in a leaf.
fn set_in_leaf(
    runs: &mut Vec<StoredRun>,
    extent: Extent,
    source: Option<PackedSource>,
    sector_size: SectorSize,
) {
    let hit = overlapping(runs, |run| run.extent, extent);
    let before = Extent::between(0, extent.sector());
    let after = Extent::between(extent.end(), u64::MAX);
    let head = runs[hit.clone()].first().and_then(|run| run.clip(before, sector_size));
    let run = source.map(|source| StoredRun { extent, source });
    let tail = runs[hit.clone()].last().and_then(|run| run.clip(after, sector_size));
    runs.splice(hit, head.into_iter().chain(run).chain(tail));
}

/// [`Child::set`] in a branch.
fn set_in_branch(
    children: &mut Vec<Child>,
    extent: Extent,
    source: Option<PackedSource>,
    sector_size: SectorSize,
) {
    let mut hit = overlapping(children, |child| child.extent, extent);
    if hit.is_empty() && source.is_some() {
        // It lies between two children, and goes to the one before.
        hit = hit.start.saturating_sub(1)..hit.start.max(1);
    }
    // The first takes the run. It and the last may reach beyond the extent; all others go as a whole.
    let mut gone = hit.clone();
    if !gone.is_empty() && (source.is_some() || !covers(extent, children[gone.start].extent)) {
        children[gone.start].set(extent, source, sector_size);
        gone.start += 1;
    }
    if !gone.is_empty() && !covers(extent, children[gone.end - 1].extent) {
        children[gone.end - 1].set(extent, None, sector_size);
        gone.end -= 1;
    }
    let mut changed = hit.start..hit.end - gone.len();
    children.drain(gone);
    if !changed.is_empty()
        && let Some(right) = children[changed.start].split()
    {
        children.insert(changed.start + 1, right);
        changed.end += 1;
    }
    join_small(children, changed);
}

/// Joins those that are small together, of the `changed` ones and the neighbour to either side.
fn join_small(children: &mut Vec<Child>, changed: Range<usize>) {
    let mut at = changed.start.saturating_sub(1);
    while at < changed.end && at + 1 < children.len() {
        if children[at].node.nr_entries() + children[at + 1].node.nr_entries() > JOIN_ENTRIES {
            at += 1;
        } else {
            let right = children.remove(at + 1);
            children[at].join(right);
        }
    }
}

/// Which of `items`, ordered and disjoint, share a sector with `extent`.
fn overlapping<T>(items: &[T], extent_of: impl Fn(&T) -> Extent, extent: Extent) -> Range<usize> {
    let start = count(items, |item| extent_of(item).end() <= extent.sector());
    let len = items[start..].iter().take_while(|item| extent_of(item).sector() < extent.end()).count();
    start..start + len
}

/// How many of `items`, the first ones, are `before` some place.
///
/// It looks at all, and so takes half the time of a binary search: no load has to wait for another.
fn count<T>(items: &[T], before: impl Fn(&T) -> bool) -> usize {
    items.iter().filter(|&item| before(item)).count()
}

/// Whether `outer` has every sector of `inner`.
fn covers(outer: Extent, inner: Extent) -> bool {
    outer.hull(inner) == outer
}

/// A run in the 24 bytes in which the map keeps it.
#[derive(Clone, Copy, Debug)]
struct StoredRun {
    extent: Extent,
    source: PackedSource,
}

const _: () = assert!(size_of::<StoredRun>() == 24);

impl StoredRun {
    /// The part of the run within `extent`, if there is one.
    fn clip(self, extent: Extent, sector_size: SectorSize) -> Option<Self> {
        let extent = self.extent.intersection(extent);
        if extent.is_empty() {
            return None;
        }
        let skipped_bytes = sector_size.bytes_of(extent.sector() - self.extent.sector());
        Some(Self { extent, source: self.source.skip(skipped_bytes) })
    }
}

impl From<StoredRun> for Run {
    fn from(run: StoredRun) -> Self {
        Self { extent: run.extent, source: run.source.into() }
    }
}

/// A [`Source`] in eight bytes: its offset, and [`ZEROS`](Self::ZEROS).
#[derive(Clone, Copy, Debug)]
struct PackedSource(u64);

impl PackedSource {
    /// The bit that no offset has.
    const ZEROS: u64 = MAX_OFFSET_BYTES + 1;

    /// [`Source::skip`].
    fn skip(self, skipped_bytes: u64) -> Self {
        Source::from(self).skip(skipped_bytes).into()
    }
}

impl From<Source> for PackedSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Log { offset_bytes } => Self(offset_bytes.min(MAX_OFFSET_BYTES)),
            Source::Zeros { entry_offset_bytes } => {
                Self(entry_offset_bytes.min(MAX_OFFSET_BYTES) | Self::ZEROS)
            }
        }
    }
}

impl From<PackedSource> for Source {
    fn from(PackedSource(packed): PackedSource) -> Self {
        if packed & PackedSource::ZEROS == 0 {
            Self::Log { offset_bytes: packed }
        } else {
            Self::Zeros { entry_offset_bytes: packed & MAX_OFFSET_BYTES }
        }
    }
}

/// The most entries of a node. For a moment it has two more, which makes 64.
///
/// The unit tests have small nodes, so that a small disk grows a high tree.
const MAX_ENTRIES: usize = if cfg!(test) { 5 } else { 62 };

/// Neighbours with so few entries together are joined: half a node, so that the next split is far away.
const JOIN_ENTRIES: usize = MAX_ENTRIES / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use std::format;

    #[test]
    fn an_overwrite_cuts_what_was_there() {
        let old = (10, 8, log(10_000));
        let cases = [
            (
                "middle",
                extent(12, 3),
                vec![(10, 2, log(10_000)), (12, 3, log(0)), (15, 3, log(10_000 + 5 * 512))],
            ),
            ("head", extent(10, 3), vec![(10, 3, log(0)), (13, 5, log(10_000 + 3 * 512))]),
            ("tail", extent(15, 3), vec![(10, 5, log(10_000)), (15, 3, log(0))]),
            ("all of it", extent(10, 8), vec![(10, 8, log(0))]),
            ("more than it", extent(9, 10), vec![(9, 10, log(0))]),
            ("over its start", extent(5, 6), vec![(5, 6, log(0)), (11, 7, log(10_000 + 512))]),
            ("over its end", extent(17, 6), vec![(10, 7, log(10_000)), (17, 6, log(0))]),
            ("beside it", extent(18, 1), vec![(10, 8, log(10_000)), (18, 1, log(0))]),
        ];
        for (name, extent, expected) in cases {
            let mut map = map_of(&[old]);
            map.insert(extent, log(0));
            assert_eq!(runs_of(&map), expected, "{name}");
        }
    }

    #[test]
    fn an_overwrite_of_several_runs_keeps_both_ends() {
        let mut map = map_of(&[(0, 4, log(1 << 20)), (4, 4, zeros(2 << 20)), (10, 4, log(3 << 20))]);
        map.insert(extent(2, 10), zeros(4 << 20));
        assert_eq!(
            runs_of(&map),
            [(0, 2, log(1 << 20)), (2, 10, zeros(4 << 20)), (12, 2, log((3 << 20) + 1024))]
        );
        map.remove(extent(1, 12));
        assert_eq!(runs_of(&map), [(0, 1, log(1 << 20)), (13, 1, log((3 << 20) + 1536))]);
        assert_eq!(map.end_sector(), 14);
    }

    #[test]
    fn zeros_do_not_advance() {
        let mut map = map_of(&[(0, 9, zeros(512))]);
        map.remove(extent(3, 3));
        assert_eq!(runs_of(&map), [(0, 3, zeros(512)), (6, 3, zeros(512))]);
        assert_eq!((map.get(2), map.get(3), map.get(8)), (Some(zeros(512)), None, Some(zeros(512))));
    }

    #[test]
    fn bytes_advance_by_the_sector_size() {
        let mut map = ExtentMap::new(SectorSize::B4096);
        map.insert(extent(0, 9), log(4096));
        assert_eq!(map.get(8), Some(log(9 * 4096)));
        let clipped: Vec<Run> = map.runs_in(extent(7, 100)).collect();
        assert_eq!(clipped, [Run { extent: extent(7, 2), source: log(8 * 4096) }]);
    }

    #[test]
    fn pieces_fill_the_gaps_with_the_base() {
        let map = map_of(&[(2, 2, log(512)), (4, 1, zeros(2048)), (8, 4, log(4096))]);
        let pieces: Vec<_> = map.pieces(extent(0, 10)).map(|piece| (piece.extent, piece.source)).collect();
        assert_eq!(
            pieces,
            [
                (extent(0, 2), None),
                (extent(2, 2), Some(log(512))),
                (extent(4, 1), Some(zeros(2048))),
                (extent(5, 3), None),
                (extent(8, 2), Some(log(4096))),
            ]
        );
        assert_eq!(map.pieces(extent(3, 0)).next(), None);
        let whole: Vec<_> = map.pieces(extent(12, u64::MAX - 12)).collect();
        assert_eq!(whole, [Piece { extent: extent(12, u64::MAX - 12), source: None }]);
    }

    #[test]
    fn an_empty_extent_changes_nothing() {
        let mut map = map_of(&[(2, 2, log(512))]);
        map.insert(extent(3, 0), log(0));
        map.remove(extent(3, 0));
        assert_eq!(runs_of(&map), [(2, 2, log(512))]);
        assert!(map_of(&[(0, 0, log(0)), (u64::MAX, 0, log(0))]).is_empty());
    }

    #[test]
    fn the_farthest_sectors_and_offsets_are_like_others() {
        let mut map = map_of(&[(0, u64::MAX, log(u64::MAX)), (u64::MAX - 1, 1, zeros(u64::MAX))]);
        map.remove(extent(1, u64::MAX - 3));
        let farthest = [
            (0, 1, log(MAX_OFFSET_BYTES)),
            (u64::MAX - 2, 1, log(MAX_OFFSET_BYTES)),
            (u64::MAX - 1, 1, zeros(MAX_OFFSET_BYTES)),
        ];
        assert_eq!(runs_of(&map), farthest);
        assert_eq!((map.get(u64::MAX), map.end_sector()), (None, u64::MAX));
        map.remove(extent(0, u64::MAX));
        assert!(map.is_empty());
        assert_eq!((map.len(), map.end_sector(), map.get(0)), (0, 0, None));
    }

    #[test]
    #[cfg_attr(miri, ignore = "it makes too many steps for an interpreter")]
    fn ascending_and_descending_runs_fill_a_tree() {
        let ascending: Vec<_> = (0..1000).map(|at| (at * 3, 2, log(at * 512))).collect();
        let mut descending = ascending.clone();
        descending.reverse();
        for runs in [&ascending, &descending] {
            let map = map_of(runs);
            assert_eq!(runs_of(&map), ascending);
            // 1000 runs with at least 3 entries a node: ceil(log3(1000)) levels.
            assert!(check_node(&map.root) <= 7);
        }
    }

    #[test]
    fn a_clone_shares_what_neither_changes() {
        let runs: Vec<_> = (0..100).map(|at| (at * 10, 5, log(at * 4096))).collect();
        let original = map_of(&runs);
        let mut clone = original.clone();
        assert!(Arc::ptr_eq(&original.root.node, &clone.root.node));

        clone.remove(extent(7, 2));
        assert!(Arc::ptr_eq(&original.root.node, &clone.root.node), "nothing to remove, nothing copied");

        clone.insert(extent(501, 1), zeros(512));
        assert_eq!(runs_of(&original), runs);
        assert_eq!(clone.len(), 102);
        let (kept, changed) = (leaves(&original.root), leaves(&clone.root));
        let nr_copied = kept.iter().filter(|leaf| !changed.contains(leaf)).count();
        assert_eq!(nr_copied, 1);
    }

    #[test]
    fn a_map_is_shown_as_its_runs() {
        let map = map_of(&[(2, 2, log(512))]);
        assert_eq!(format!("{map:?}"), "[Run { extent: Extent(2+2), source: Log { offset_bytes: 512 } }]");
    }

    proptest! {
        // So many meet the rare cases too, such as a first child that splits while the last one shrinks.
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        #[cfg_attr(miri, ignore = "it makes too many steps for an interpreter")]
        fn a_map_is_its_model(steps in proptest::collection::vec(step(), 1..200)) {
            let mut disks = vec![(ExtentMap::new(SectorSize::B512), Model::new())];
            for step in steps {
                let at = step.disk.index(disks.len());
                let (map, model) = &mut disks[at];
                match step.change {
                    Change::Insert(source) => {
                        map.insert(step.extent, source);
                        model.set(step.extent, Some(source));
                    }
                    Change::Remove => {
                        map.remove(step.extent);
                        model.set(step.extent, None);
                    }
                    Change::Clone => {
                        let copy = (map.clone(), model.clone());
                        disks.push(copy);
                        continue;
                    }
                }
                check_map(map, model, step.extent);
            }
            for (map, model) in &disks {
                check_map(map, model, extent(0, NR_SECTORS));
            }
        }
    }

    #[derive(Clone, Debug)]
    struct Step {
        disk: Index,
        extent: Extent,
        change: Change,
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(Source),
        Remove,
        Clone,
    }

    fn step() -> impl Strategy<Value = Step> {
        let nr_sectors = prop_oneof![8 => 0u64..6, 1 => 0..NR_SECTORS];
        let extent = (0..NR_SECTORS, nr_sectors)
            .prop_map(|(start, nr)| Extent::between(start, NR_SECTORS.min(start + nr)));
        let offset = (1u64..1 << 20).prop_map(|sector| sector * 512);
        let change = prop_oneof![
            12 => offset.clone().prop_map(|offset_bytes| Change::Insert(log(offset_bytes))),
            4 => offset.prop_map(|offset_bytes| Change::Insert(zeros(offset_bytes))),
            4 => Just(Change::Remove),
            1 => Just(Change::Clone),
        ];
        (any::<Index>(), extent, change).prop_map(|(disk, extent, change)| Step { disk, extent, change })
    }

    /// The source of every single sector.
    #[derive(Clone)]
    struct Model(Vec<Option<Source>>);

    impl Model {
        fn new() -> Self {
            Self(vec![None; usize::try_from(NR_SECTORS).unwrap()])
        }

        fn set(&mut self, extent: Extent, source: Option<Source>) {
            for (skipped, sector) in (extent.sector()..extent.end()).enumerate() {
                self.0[usize::try_from(sector).unwrap()] = source.map(|source| advanced(source, skipped));
            }
        }

        fn of(&self, extent: Extent) -> &[Option<Source>] {
            &self.0[usize::try_from(extent.sector()).unwrap()..usize::try_from(extent.end()).unwrap()]
        }
    }

    fn check_map(map: &ExtentMap, model: &Model, window: Extent) {
        // Two small nodes have three entries together, so that a level has two thirds of the one below.
        assert!(check_node(&map.root) <= 2 * map.len().max(1).ilog2() + 1);
        let disk = extent(0, NR_SECTORS);
        for extent in [disk, window] {
            let mut sources = Vec::new();
            for piece in map.pieces(extent) {
                assert_eq!(piece.extent.sector(), extent.sector() + u64::try_from(sources.len()).unwrap());
                assert!(!piece.extent.is_empty());
                for skipped in 0..usize::try_from(piece.extent.nr_sectors()).unwrap() {
                    sources.push(piece.source.map(|source| advanced(source, skipped)));
                }
            }
            assert_eq!(sources, model.of(extent));
            let of_pieces = map.pieces(extent).filter_map(|piece| Some((piece.extent, piece.source?)));
            assert!(map.runs_in(extent).map(|run| (run.extent, run.source)).eq(of_pieces));
        }
        let gets: Vec<_> = (0..NR_SECTORS).map(|sector| map.get(sector)).collect();
        assert_eq!(gets, model.of(disk));
        assert_eq!(map.len(), map.runs().count());
        assert_eq!(map.is_empty(), map.runs().next().is_none());
        assert_eq!(map.end_sector(), map.runs().last().map_or(0, |run| run.extent.end()));
    }

    /// Asserts what [`Node`] and [`Child`] promise, and returns the depth.
    fn check_node(child: &Child) -> u32 {
        let node = &*child.node;
        assert_eq!((child.extent, child.nr_runs), (node.extent(), node.nr_runs()));
        assert!(node.nr_entries() <= MAX_ENTRIES);
        match node {
            Node::Leaf(runs) => {
                assert!(runs.iter().all(|run| !run.extent.is_empty()));
                assert!(runs.windows(2).all(|pair| pair[0].extent.end() <= pair[1].extent.sector()));
                1
            }
            Node::Branch(children) => {
                for pair in children.windows(2) {
                    assert!(pair[0].extent.end() <= pair[1].extent.sector());
                    assert!(pair[0].node.nr_entries() + pair[1].node.nr_entries() > JOIN_ENTRIES);
                }
                assert!(children.iter().all(|child| child.nr_runs > 0));
                let depths: Vec<u32> = children.iter().map(check_node).collect();
                assert!(depths.iter().all(|&depth| depth == depths[0]));
                depths[0] + 1
            }
        }
    }

    fn leaves(child: &Child) -> Vec<*const Node> {
        match &*child.node {
            Node::Leaf(_) => vec![Arc::as_ptr(&child.node)],
            Node::Branch(children) => children.iter().flat_map(leaves).collect(),
        }
    }

    fn map_of(runs: &[(u64, u64, Source)]) -> ExtentMap {
        let mut map = ExtentMap::new(SectorSize::B512);
        for &(sector, nr_sectors, source) in runs {
            map.insert(extent(sector, nr_sectors), source);
        }
        map
    }

    fn runs_of(map: &ExtentMap) -> Vec<(u64, u64, Source)> {
        map.runs().map(|run| (run.extent.sector(), run.extent.nr_sectors(), run.source)).collect()
    }

    fn extent(sector: u64, nr_sectors: u64) -> Extent {
        Extent::new(sector, nr_sectors).unwrap()
    }

    fn log(offset_bytes: u64) -> Source {
        Source::Log { offset_bytes }
    }

    fn zeros(entry_offset_bytes: u64) -> Source {
        Source::Zeros { entry_offset_bytes }
    }

    fn advanced(source: Source, nr_sectors: usize) -> Source {
        match source {
            Source::Log { offset_bytes } => log(offset_bytes + u64::try_from(nr_sectors).unwrap() * 512),
            Source::Zeros { .. } => source,
        }
    }

    const NR_SECTORS: u64 = 300;
}
