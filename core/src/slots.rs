//! The bounded set of operations in flight: a slot for each tag, and lists of slots.
//!
//! A [`Tag`] is an index below `N`, so every look-up is O(1), and nothing is ever allocated.

use crate::geometry::Extent;
use crate::op::{Op, OpError, Tag};

/// What the logger knows of one operation in flight.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))] // in one cache line, and found by a shift
pub(crate) struct Slot {
    pub(crate) op: Op,
    pub(crate) phase: Phase,
    /// How the operation will be, or was, acknowledged.
    pub(crate) result: Result<(), OpError>,
    /// Whether its `Done` command was given out, or will be before it ends.
    pub(crate) acked: bool,
    /// How many entries the log has with this one. For a flush that needs no entry: how many it stands behind.
    pub(crate) nr_entries: u64,
    /// Where the entry goes, in sectors from the start of the log, once it has a number.
    pub(crate) log_sector: u64,
    /// Behind the entry, in sectors from the start of the log.
    pub(crate) log_end: u64,
    /// How many older operations must leave the data device before this one may go there.
    pub(crate) blockers: u16,
    prev: u16,
    next: u16,
}

impl Slot {
    /// The extent on the data device; empty for a flush and a mark.
    pub(crate) fn extent(&self) -> Extent {
        self.op.extent().unwrap_or(Extent::EMPTY)
    }

    /// Whether its entry says that a write failed, in place of the write.
    pub(crate) fn is_indeterminate(&self) -> bool {
        self.result == Err(OpError::Data) && self.op.extent().is_some()
    }

    /// How much payload its entry has, in log sectors.
    pub(crate) fn payload_sectors(&self) -> u64 {
        if self.is_indeterminate() { 0 } else { self.op.payload_sectors() }
    }

    /// Whether its acknowledgement promises that its entry is durable.
    pub(crate) fn promises_durability(&self) -> bool {
        self.result.is_ok() && (self.op.is_fua() || self.is_flush())
    }

    pub(crate) fn is_flush(&self) -> bool {
        matches!(self.op, Op::Flush)
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

/// A queue of tags. It holds each at most once, and so never overflows. Every operation goes through several, which
/// is why it is no more than a ring and two numbers.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<const N: usize> {
    ring: [Tag; N],
    /// Where the first one stands.
    front: usize,
    len: usize,
}

impl<const N: usize> Fifo<N> {
    pub(crate) const fn new() -> Self {
        Self { ring: [Tag::new(NIL); N], front: 0, len: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[expect(clippy::indexing_slicing, reason = "place_of stays below N")]
    #[inline]
    pub(crate) fn push(&mut self, tag: Tag) {
        debug_assert!(self.len < N, "there are N tags, and each is in the queue at most once");
        self.ring[self.place_of(self.len)] = tag;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Tag> {
        let tag = self.front()?;
        self.front = self.place_of(1);
        self.len -= 1;
        Some(tag)
    }

    /// Takes the last one out again.
    pub(crate) fn pop_last(&mut self) -> Option<Tag> {
        let tag = self.nth_last(1)?;
        self.len -= 1;
        Some(tag)
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "place_of stays below N")]
    pub(crate) fn front(&self) -> Option<Tag> {
        if self.len == 0 { None } else { Some(self.ring[self.front]) }
    }

    /// The one that has `n - 1` behind it; `None` for `n` = 0, and where there are fewer.
    #[expect(clippy::indexing_slicing, reason = "place_of stays below N")]
    pub(crate) fn nth_last(&self, n: usize) -> Option<Tag> {
        if n == 0 || n > self.len { None } else { Some(self.ring[self.place_of(self.len - n)]) }
    }

    /// Where in the ring the one stands that has `n`, at most `N`, in front of it.
    const fn place_of(&self, n: usize) -> usize {
        let place = self.front + n;
        if place < N { place } else { place - N }
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
    log_sector: 0,
    log_end: 0,
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
    fn a_queue_goes_round() {
        let mut fifo = Fifo::<3>::new();
        let tags: Vec<_> = (0..7).map(Tag::new).collect();
        assert_eq!((fifo.pop(), fifo.pop_last(), fifo.front(), fifo.nth_last(1)), (None, None, None, None));
        fifo.push(tags[0]);
        for pair in tags.windows(2) {
            fifo.push(pair[1]);
            assert_eq!(fifo.front(), Some(pair[0]));
            assert_eq!([0, 1, 2, 3].map(|n| fifo.nth_last(n)), [None, Some(pair[1]), Some(pair[0]), None]);
            assert_eq!(fifo.pop(), Some(pair[0]));
        }
        assert_eq!(fifo.pop_last(), Some(tags[6]));
        assert!(fifo.is_empty());
    }

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
