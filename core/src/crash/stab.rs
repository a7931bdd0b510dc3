//! Which of many extents have a sector: an interval tree that does not change.

use alloc::vec::Vec;

use crate::geometry::Extent;

/// Extents by number, to look up which ones share a sector with another. O(n) in memory, O(n log n) to make.
///
/// The extents are sorted by their first sector. They are a balanced tree as they lie there: the root of a slice is
/// its middle, and knows the last sector that the slice reaches.
#[derive(Clone, Debug)]
pub(super) struct Stabs {
    sorted: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    extent: Extent,
    number: u32,
    /// The end of what reaches farthest in the slice of which this is the middle.
    reach: u64,
}

impl Stabs {
    /// The extents are numbered as they come.
    ///
    /// # Panics
    /// If there are 2^32 of them.
    pub(super) fn new(extents: impl Iterator<Item = Extent>) -> Self {
        let node = |(number, extent): (u32, Extent)| Node { extent, number, reach: extent.end() };
        let mut sorted: Vec<Node> = (0..u32::MAX).zip(extents).map(node).collect();
        sorted.sort_unstable_by_key(|node| (node.extent.sector(), node.number));
        set_reach(&mut sorted);
        Self { sorted }
    }

    /// Adds the numbers of those that share a sector with `extent` to `found`, by their first sector. O(log n) and O(1) for
    /// each that is found, where few contain many others.
    pub(super) fn find(&self, extent: Extent, found: &mut Vec<u32>) {
        find_in(&self.sorted, extent, found);
    }
}

/// Sets what the slice and all below reach, and gives it. The recursion is as deep as the tree.
fn set_reach(nodes: &mut [Node]) -> u64 {
    if nodes.is_empty() {
        return 0;
    }
    let middle = nodes.len() / 2;
    let (left, rest) = nodes.split_at_mut(middle);
    let Some((root, right)) = rest.split_first_mut() else { return 0 };
    root.reach = root.extent.end().max(set_reach(left)).max(set_reach(right));
    root.reach
}

fn find_in(nodes: &[Node], extent: Extent, found: &mut Vec<u32>) {
    let (left, rest) = nodes.split_at(nodes.len() / 2);
    let Some((root, right)) = rest.split_first() else { return };
    if root.reach <= extent.sector() {
        return;
    }
    find_in(left, extent, found);
    if root.extent.sector() < extent.end() {
        if root.extent.end() > extent.sector() {
            found.push(root.number);
        }
        find_in(right, extent, found);
    }
}
