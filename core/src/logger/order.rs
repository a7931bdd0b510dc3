//! From the queue into the log: what may be logged now, in which order, and where.

use heapless::Vec;

use super::{Logger, Stage, next_multiple};
use crate::config::Ordering;
use crate::op::{Op, OpError, Tag};
use crate::slots::{List, Phase};

impl<const N: usize> Logger<N> {
    /// Gives places to whatever the ordering lets into the log now.
    #[inline]
    pub(super) fn settle(&mut self) {
        if !self.queue.is_empty() && !self.holds_all() {
            self.settle_queue();
        }
    }

    #[inline(never)] // most calls end before
    fn settle_queue(&mut self) {
        match self.config.ordering {
            Ordering::Completion => self.log_completed(),
            Ordering::Durability => self.log_durable(),
        }
    }

    /// Whether it is certain that nothing in the queue may be logged now, as is the case with most calls in durability
    /// order.
    #[inline]
    fn holds_all(&self) -> bool {
        let is_held = match self.flushes.front() {
            Some(flush) => self.slots.at(flush).phase != Phase::Queued,
            None => {
                self.config.ordering == Ordering::Durability
                    && self.stage == Stage::Open
                    && !self.slots.is_full()
            }
        };
        is_held && self.queued_fuas == 0
    }

    /// Logs the queue up to the first flush in flight.
    fn log_completed(&mut self) {
        while let Some(tag) = self.queue.front() {
            let slot = self.slots.at(tag);
            if slot.phase != Phase::Queued {
                debug_assert!(slot.is_flush(), "only a flush is queued before it has completed");
                return;
            }
            self.log_queued(tag);
        }
    }

    /// Logs the epochs whose flush has completed, the FUAs that wait only for older entries, and the oldest
    /// entries where slots run out or nothing more will come.
    fn log_durable(&mut self) {
        while let Some(flush) = self.flushes.front()
            && self.slots.at(flush).phase == Phase::Queued
        {
            if self.slots.at(flush).result.is_ok() && !self.data_flush_failed {
                while let Some(tag) = self.queue.front().filter(|tag| *tag != flush) {
                    self.log_queued(tag);
                }
            }
            self.log_queued(flush);
        }
        if self.queued_fuas > 0 {
            self.log_queued_fuas();
        }
        if self.flushes.is_empty() {
            let is_last =
                self.stage == Stage::Finishing && self.in_flight.is_empty() && self.withheld.is_empty();
            let nr_early = if is_last { N } else { self.nr_early() };
            self.log_oldest(nr_early);
        }
    }

    /// Logs so many of the oldest in the queue, in which no flush is.
    pub(super) fn log_oldest(&mut self, nr_entries: usize) {
        for _ in 0..nr_entries {
            let Some(tag) = self.queue.front() else { break };
            self.log_queued(tag);
        }
    }

    /// How many of the oldest entries must be logged early, so that slots become free: a quarter, where none is
    /// free and none will be by itself.
    fn nr_early(&self) -> usize {
        let is_freeing = !self.log_order.is_empty() || !self.volatile.is_empty() || !self.endings.is_empty();
        if self.slots.is_full() && !is_freeing { N.div_ceil(4) } else { 0 }
    }

    /// Logs the FUAs in the queue that are before every flush in flight, each after the older entries that
    /// it overlaps.
    #[inline(never)] // so that the other cases are short
    fn log_queued_fuas(&mut self) {
        let mut cursor = self.queue.front();
        while let Some(tag) = cursor {
            let slot = self.slots.at(tag);
            if slot.is_flush() {
                return;
            }
            cursor = List::next(&self.slots, tag);
            if slot.promises_durability {
                self.log_behind_overlaps(tag);
            }
        }
    }

    /// Logs the older entries in the queue that `fua` overlaps, or that these overlap in turn, then `fua`.
    fn log_behind_overlaps(&mut self, fua: Tag) {
        let mut older = Vec::<Tag, N>::new();
        // The hull may draw in an entry too many, which is harmless, and never leaves one out.
        let mut hull = self.extent(fua);
        let mut cursor = List::prev(&self.slots, fua);
        while let Some(tag) = cursor {
            if self.extent(tag).overlaps(hull) {
                hull = hull.hull(self.extent(tag));
                let pushed = older.push(tag);
                debug_assert!(pushed.is_ok(), "the queue holds at most N");
            }
            cursor = List::prev(&self.slots, tag);
        }
        while let Some(tag) = older.pop() {
            self.log_queued(tag);
        }
        self.log_queued(fua);
    }

    /// Takes something out of the queue and gives it its place in the log.
    fn log_queued(&mut self, tag: Tag) {
        self.queue.remove(&mut self.slots, tag);
        let slot = self.slots.at(tag);
        if slot.is_flush() {
            let flush = self.flushes.pop(&mut self.slots);
            debug_assert_eq!(flush, Some(tag), "flushes leave in the order of submission");
            self.log_flush(tag);
        } else {
            self.queued_fuas -= usize::from(slot.promises_durability);
            self.place(tag);
        }
    }

    /// Logs a flush that has completed, unless the log says the same without it.
    fn log_flush(&mut self, tag: Tag) {
        if self.slots.at(tag).result.is_err() || self.data_flush_failed {
            self.data_flush_failed = true;
            self.end(tag, Err(OpError::Flush));
            return;
        }
        if self.failed_at.is_some() {
            self.end(tag, Err(OpError::Log));
            return;
        }
        let is_wanted = match self.config.ordering {
            Ordering::Completion => self.space.is_dirty(),
            Ordering::Durability => self.space.has_room_for_flush(),
        };
        if is_wanted {
            self.place(tag);
        } else {
            let slot = self.slots.at_mut(tag);
            slot.nr_entries = self.nr_entries;
            slot.phase = Phase::Volatile;
            self.volatile.push(&mut self.slots, tag);
            self.commit.request_durable(self.nr_entries);
            self.acknowledge_durable();
        }
    }

    /// Gives an entry its place at the end of the log and its number, and asks for the superblock that it brings about.
    pub(super) fn place(&mut self, tag: Tag) {
        debug_assert!(self.failed_at.is_none(), "nothing is placed after a failed entry");
        self.nr_entries += 1;
        let nr_entries = self.nr_entries;
        let slot = self.slots.at_mut(tag);
        slot.log_sector =
            if slot.is_flush() { self.space.place_flush() } else { self.space.place(slot.payload_sectors()) };
        slot.log_end = self.space.end_sector();
        slot.nr_entries = nr_entries;
        slot.phase = Phase::Writable;
        let is_mark = matches!(slot.op, Op::Mark { .. }) || slot.is_indeterminate();
        let wants_superblock = slot.promises_durability || is_mark || nr_entries == self.next_superblock;
        self.log_order.push(&mut self.slots, tag);
        self.writable = self.writable.or(Some(tag));
        if wants_superblock {
            self.request_superblock(tag);
        }
    }

    /// Asks for the superblock that an entry with a place brings about.
    #[inline(never)] // few entries do
    fn request_superblock(&mut self, tag: Tag) {
        let slot = self.slots.at(tag);
        if slot.promises_durability {
            self.commit.request_durable(slot.nr_entries);
        } else {
            self.commit.request_count(slot.nr_entries);
        }
        if slot.nr_entries == self.next_superblock {
            self.next_superblock = next_multiple(slot.nr_entries, self.config.superblock_interval);
        }
    }
}
