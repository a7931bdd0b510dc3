//! The bounded set of operations in flight: a slot for each tag, and lists of slots.
//!
//! A [`Tag`] is an index below `N`, so every look-up is O(1), and nothing is ever allocated.

use crate::geometry::Extent;
use crate::op::{Op, OpError, Tag};

/// What the logger knows of one operation in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) op: Op,
    pub(crate) phase: Phase,
    /// How the operation will be, or was, acknowledged.
    pub(crate) result: Result<(), OpError>,
    /// Whether its `Done` command was given out, or will be before it ends.
    pub(crate) acked: bool,
    /// How many entries the log has with this one. For a flush that needs no entry: how many it stands behind.
    pub(crate) nr_entries: u64,
    /// Where the entry goes, in bytes from the start of the log, once it has a number.
    pub(crate) offset_bytes: u64,
    /// How many older operations must leave the data device before this one may go there.
    pub(crate) blockers: u16,
    prev: u16,
    next: u16,
}

impl Slot {
    /// The extent on the data device; empty for a flush and a mark.
    pub(crate) fn extent(&self) -> Extent {
        self.op.extent().unwrap_or(Extent::between(0, 0))
    }

    /// Whether its entry says that a write failed, in place of the write.
    pub(crate) fn is_indeterminate(&self) -> bool {
        self.op.extent().is_some() && self.result == Err(OpError::Data)
    }

    /// Whether its acknowledgement promises that its entry is durable.
    pub(crate) fn promises_durability(&self) -> bool {
        self.result.is_ok() && (self.op.is_fua() || self.is_flush())
    }

    pub(crate) fn is_flush(&self) -> bool {
        self.op == Op::Flush
    }
}

/// Where an operation stands on its way through the logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The tag is not in use.
    Free,
    /// It overlaps an older operation that the data device has not finished.
    Withheld,
    /// Its `Data` command is to be given out.
    Issuable,
    /// The data device has it.
    Issued,
    /// It has completed and its entry has no place in the log yet; or it is a flush that has completed.
    Queued,
    /// Its entry has a place in the log, and its `Log` command is to be given out.
    Writable,
    /// The log device has its entry.
    Writing,
    /// Its entry's write has completed, but an earlier entry's has not.
    Written,
    /// Its entry is in the log, and must become durable before it is acknowledged.
    Volatile,
    /// It only remains to be acknowledged and released.
    Ending,
}

/// The slots of all tags.
#[derive(Clone, Debug)]
pub(crate) struct Slots<const N: usize> {
    slots: [Slot; N],
    occupied: usize,
}

impl<const N: usize> Slots<N> {
    pub(crate) const fn new() -> Self {
        Self { slots: [FREE; N], occupied: 0 }
    }

    pub(crate) const fn occupied(&self) -> usize {
        self.occupied
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.occupied == N
    }

    /// The slot of a tag that is in use.
    pub(crate) fn find(&self, tag: Tag) -> Option<&Slot> {
        self.slots.get(tag.index()).filter(|slot| slot.phase != Phase::Free)
    }

    /// The slot of a tag that one of the lists holds, and that is therefore below `N`.
    #[expect(clippy::indexing_slicing, reason = "submit has checked the tag")]
    pub(crate) fn at(&self, tag: Tag) -> &Slot {
        &self.slots[tag.index()]
    }

    /// As [`at`](Self::at).
    #[expect(clippy::indexing_slicing, reason = "submit has checked the tag")]
    pub(crate) fn at_mut(&mut self, tag: Tag) -> &mut Slot {
        &mut self.slots[tag.index()]
    }

    pub(crate) fn occupy(&mut self, tag: Tag, op: Op, phase: Phase) {
        debug_assert_eq!(self.at(tag).phase, Phase::Free, "a tag in use is refused by submit");
        self.occupied += 1;
        *self.at_mut(tag) = Slot { op, phase, ..FREE };
    }

    pub(crate) fn release(&mut self, tag: Tag) {
        debug_assert_eq!(self.at(tag).phase, Phase::Ending, "a tag is released once, at its end");
        self.occupied -= 1;
        self.at_mut(tag).phase = Phase::Free;
    }
}

/// A list of slots that can be taken out of its middle; a slot is in at most one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u16,
    tail: u16,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.head == NIL
    }

    pub(crate) const fn front(self) -> Option<Tag> {
        tag_of(self.head)
    }

    pub(crate) fn push_back<const N: usize>(&mut self, slots: &mut Slots<N>, tag: Tag) {
        let slot = slots.at_mut(tag);
        (slot.prev, slot.next) = (self.tail, NIL);
        match tag_of(self.tail) {
            Some(tail) => slots.at_mut(tail).next = tag.get(),
            None => self.head = tag.get(),
        }
        self.tail = tag.get();
    }

    pub(crate) fn remove<const N: usize>(&mut self, slots: &mut Slots<N>, tag: Tag) {
        let Slot { prev, next, .. } = *slots.at(tag);
        match tag_of(prev) {
            Some(prev) => slots.at_mut(prev).next = next,
            None => self.head = next,
        }
        match tag_of(next) {
            Some(next) => slots.at_mut(next).prev = prev,
            None => self.tail = prev,
        }
    }

    pub(crate) fn pop_front<const N: usize>(&mut self, slots: &mut Slots<N>) -> Option<Tag> {
        let tag = self.front()?;
        self.remove(slots, tag);
        Some(tag)
    }

    pub(crate) fn next<const N: usize>(slots: &Slots<N>, tag: Tag) -> Option<Tag> {
        tag_of(slots.at(tag).next)
    }

    pub(crate) fn prev<const N: usize>(slots: &Slots<N>, tag: Tag) -> Option<Tag> {
        tag_of(slots.at(tag).prev)
    }

    pub(crate) fn iter<const N: usize>(self, slots: &Slots<N>) -> impl Iterator<Item = Tag> {
        core::iter::successors(self.front(), |tag| Self::next(slots, *tag))
    }
}

/// A queue of tags. It holds each at most once, and so never overflows.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<const N: usize> {
    tags: heapless::Deque<Tag, N>,
}

impl<const N: usize> Fifo<N> {
    pub(crate) const fn new() -> Self {
        Self { tags: heapless::Deque::new() }
    }

    pub(crate) fn push(&mut self, tag: Tag) {
        let pushed = self.tags.push_back(tag);
        debug_assert!(pushed.is_ok(), "there are N tags, and each is in the queue at most once");
    }

    pub(crate) fn pop(&mut self) -> Option<Tag> {
        self.tags.pop_front()
    }

    /// Takes the last one out again.
    pub(crate) fn pop_last(&mut self) -> Option<Tag> {
        self.tags.pop_back()
    }

    pub(crate) fn front(&self) -> Option<Tag> {
        self.tags.front().copied()
    }

    /// The one that has `n - 1` behind it; `None` for the one behind the last, which is `n` = 0.
    pub(crate) fn nth_last(&self, n: usize) -> Option<Tag> {
        self.tags.get(self.tags.len().wrapping_sub(n)).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
}

const fn tag_of(link: u16) -> Option<Tag> {
    if link == NIL { None } else { Some(Tag::new(link)) }
}

/// No slot. [`Logger`](crate::Logger) asserts that `N` does not reach it.
pub(crate) const NIL: u16 = u16::MAX;

const FREE: Slot = Slot {
    op: Op::Flush,
    phase: Phase::Free,
    result: Ok(()),
    acked: false,
    nr_entries: 0,
    offset_bytes: 0,
    blockers: 0,
    prev: NIL,
    next: NIL,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_list_gives_up_any_of_its_slots() {
        let mut slots = Slots::<4>::new();
        let mut list = List::new();
        for index in 0..4 {
            slots.occupy(Tag::new(index), Op::Flush, Phase::Queued);
            list.push_back(&mut slots, Tag::new(index));
        }
        list.remove(&mut slots, Tag::new(2));
        list.remove(&mut slots, Tag::new(0));
        list.remove(&mut slots, Tag::new(3));
        assert_eq!(list.iter(&slots).collect::<Vec<_>>(), vec![Tag::new(1)]);
        assert_eq!(list.pop_front(&mut slots), Some(Tag::new(1)));
        assert!(list.is_empty());
    }
}
