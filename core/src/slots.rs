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
    /// Whether its acknowledgement promises that its entry is durable: a FUA or flush that has not failed.
    pub(crate) promises_durability: bool,
    /// Whether its `Done` command was given out, or will be before it ends.
    pub(crate) acked: bool,
    /// How many entries the log has with this one. For a flush that needs no entry: how many precede it.
    pub(crate) nr_entries: u64,
    /// Where the entry goes, in sectors from the start of the log, once it has a number.
    pub(crate) log_sector: u64,
    /// Behind the entry, in sectors from the start of the log.
    pub(crate) log_end: u64,
    /// How many older operations must leave the data device before this one may go there.
    pub(crate) blockers: u16,
    /// Its neighbours in a [`List`].
    prev: u16,
    next: u16,
    /// What follows it in each [`Fifo`], or [`OUT`].
    links: [u16; LINKS],
}

impl Slot {
    /// The extent on the data device; empty for a flush and a mark.
    pub(crate) fn extent(&self) -> Extent {
        self.op.extent().unwrap_or(Extent::EMPTY)
    }

    /// Whether its entry says that it failed, in place of itself: only what has an extent fails so.
    pub(crate) fn is_indeterminate(&self) -> bool {
        self.result == Err(OpError::Data)
    }

    /// How much payload its entry has, in log sectors.
    pub(crate) fn payload_sectors(&self) -> u64 {
        if self.is_indeterminate() { 0 } else { self.op.payload_sectors() }
    }

    /// Notes that the data device has failed it.
    pub(crate) fn fail(&mut self, error: OpError) {
        self.result = Err(error);
        self.promises_durability = false;
    }

    pub(crate) fn is_flush(&self) -> bool {
        matches!(self.op, Op::Flush)
    }
}

/// Where an operation is on its way through the logger.
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
        let promises_durability = op.is_fua() || matches!(op, Op::Flush);
        *self.at_mut(tag) = Slot { op, phase, promises_durability, ..FREE };
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

/// A queue of slots; a slot is in at most one of each `LINK`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo<const LINK: usize> {
    head: u16,
    tail: u16,
}

/// The link of the queues that an operation goes through one after the other.
pub(crate) const PATH: usize = 0;
/// The link of the queues that it is in besides.
pub(crate) const BESIDE: usize = 1;
const LINKS: usize = 2;

impl<const LINK: usize> Fifo<LINK> {
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.head == NIL
    }

    pub(crate) const fn front(self) -> Option<Tag> {
        tag_of(self.head)
    }

    #[inline]
    pub(crate) fn push<const N: usize>(&mut self, slots: &mut Slots<N>, tag: Tag) {
        debug_assert_eq!(*Self::link(slots, tag), OUT, "a slot is in one queue of a link, once");
        *Self::link(slots, tag) = NIL;
        match self.front() {
            Some(_) => *Self::link(slots, Tag::new(self.tail)) = tag.get(),
            None => self.head = tag.get(),
        }
        self.tail = tag.get();
    }

    #[inline]
    pub(crate) fn pop<const N: usize>(&mut self, slots: &mut Slots<N>) -> Option<Tag> {
        let tag = self.front()?;
        self.head = core::mem::replace(Self::link(slots, tag), OUT);
        Some(tag)
    }

    /// What follows one that is in the queue.
    pub(crate) fn next<const N: usize>(slots: &mut Slots<N>, tag: Tag) -> Option<Tag> {
        tag_of(*Self::link(slots, tag))
    }

    #[expect(clippy::indexing_slicing, reason = "LINK is PATH or BESIDE")]
    fn link<const N: usize>(slots: &mut Slots<N>, tag: Tag) -> &mut u16 {
        &mut slots.at_mut(tag).links[LINK]
    }
}

const fn tag_of(link: u16) -> Option<Tag> {
    if link == NIL { None } else { Some(Tag::new(link)) }
}

/// No slot. [`Logger`](crate::Logger) asserts that `N` does not reach it.
pub(crate) const NIL: u16 = u16::MAX;

/// In no queue. Nor does `N` reach it.
const OUT: u16 = NIL - 1;

const FREE: Slot = Slot {
    op: Op::Flush,
    phase: Phase::Free,
    result: Ok(()),
    promises_durability: false,
    acked: false,
    nr_entries: 0,
    log_sector: 0,
    log_end: 0,
    blockers: 0,
    prev: NIL,
    next: NIL,
    links: [OUT; LINKS],
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_queue_keeps_its_order() {
        let mut slots = Slots::<3>::new();
        let (mut path, mut beside) = (Fifo::<PATH>::new(), Fifo::<BESIDE>::new());
        let [a, b, c] = [0, 1, 2].map(Tag::new);
        assert_eq!((path.pop(&mut slots), path.front(), path.is_empty()), (None, None, true));
        for tag in [a, b, c] {
            path.push(&mut slots, tag);
        }
        beside.push(&mut slots, c);
        beside.push(&mut slots, a);
        assert_eq!(path.pop(&mut slots), Some(a));
        path.push(&mut slots, a);
        assert_eq!([b, c, a].map(|tag| Fifo::<PATH>::next(&mut slots, tag)), [Some(c), Some(a), None]);
        assert_eq!([(); 4].map(|()| path.pop(&mut slots)), [Some(b), Some(c), Some(a), None]);
        assert_eq!([(); 3].map(|()| beside.pop(&mut slots)), [Some(c), Some(a), None]);
        path.push(&mut slots, b);
        assert_eq!((path.front(), path.is_empty()), (Some(b), false));
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
