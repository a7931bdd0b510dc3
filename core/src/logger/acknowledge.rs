//! From the log to the acknowledgement: what has become part of the log, what is durable, and what has failed.

use super::{Logged, Logger, NotInFlight, Stage};
use crate::command::LogTarget;
use crate::op::{OpError, Tag};
use crate::slots::{Fifo, List, Phase};

impl<const N: usize> Logger<N> {
    /// The log device has finished a write that is not the entry of an operation.
    #[inline(never)] // so that what is one is short
    pub(super) fn complete_commit(&mut self, target: LogTarget, ok: bool) -> Result<(), NotInFlight> {
        let was_in_flight = match target {
            LogTarget::Entry(_) => false,
            LogTarget::EndMark => self.stage == Stage::EndMark,
            LogTarget::Superblock => self.commit.superblock_ended(ok),
            LogTarget::Flush => self.commit.flush_ended(ok),
        };
        if !was_in_flight {
            return Err(NotInFlight);
        }
        if target == LogTarget::EndMark {
            self.complete_end_mark(ok);
        } else if !ok && (target == LogTarget::Superblock || !self.commit.is_open()) {
            // If the first flush fails, the old contents may come back: our log has not begun.
            self.fail_log(self.commit.written());
        }
        Ok(())
    }

    /// Goes over the entries whose writes have completed, up to the first that has not.
    pub(super) fn advance_log(&mut self, mut logged: impl FnMut(Logged)) {
        while let Some(tag) = self.log_order.front()
            && self.slots.at(tag).phase == Phase::Written
        {
            self.log_order.pop(&mut self.slots);
            self.enter_log(tag, &mut logged);
        }
    }

    /// An entry has become part of the log, unless that has failed.
    fn enter_log(&mut self, tag: Tag, logged: &mut impl FnMut(Logged)) {
        let slot = self.slots.at_mut(tag);
        if self.failed_at.is_some_and(|failed_at| slot.nr_entries > failed_at) {
            self.end(tag, Err(OpError::Log));
            return;
        }
        self.commit.entries_written(slot.nr_entries);
        self.logged_sectors = slot.log_end;
        let op = (!slot.is_indeterminate()).then_some(slot.op);
        logged(Logged { tag, op, offset_bytes: self.config.sector_size.bytes_of(slot.log_sector) });
        if slot.promises_durability {
            slot.phase = Phase::Volatile;
            self.volatile.push(&mut self.slots, tag);
        } else {
            let result = slot.result;
            self.end(tag, result);
        }
    }

    /// Ends what has become durable, or never will.
    pub(super) fn acknowledge_durable(&mut self) {
        while let Some(tag) = self.volatile.front() {
            let nr_entries = self.slots.at(tag).nr_entries;
            let result = if self.commit.is_durable(nr_entries) {
                Ok(())
            } else if self.failed_at.is_some_and(|failed_at| nr_entries > failed_at) {
                Err(OpError::Log)
            } else if self.commit.is_broken() {
                Err(OpError::Flush)
            } else {
                return;
            };
            self.volatile.pop(&mut self.slots);
            self.end(tag, result);
        }
    }

    /// Lets an operation go: acknowledges it, if that was not done before, and releases its tag. An operation
    /// that the data device has failed keeps that result.
    pub(super) fn end(&mut self, tag: Tag, result: Result<(), OpError>) {
        let slot = self.slots.at_mut(tag);
        slot.phase = Phase::Ending;
        if slot.result != Err(OpError::Data) {
            slot.result = result;
        }
        self.endings.push(&mut self.slots, tag);
    }

    /// Gives up on entry `index` and all after it.
    pub(super) fn fail_log(&mut self, index: u64) {
        let failed_at = self.failed_at.map_or(index, |failed_at| failed_at.min(index));
        self.failed_at = Some(failed_at);
        self.commit.limit(failed_at);
        self.writable = None;
        let mut at_log = Fifo::new();
        while let Some(tag) = self.log_order.pop(&mut self.slots) {
            if self.slots.at(tag).phase == Phase::Writable {
                self.end(tag, Err(OpError::Log));
            } else {
                at_log.push(&mut self.slots, tag);
            }
        }
        self.log_order = at_log;
        while let Some(tag) = self.withheld.pop_front(&mut self.slots) {
            self.end(tag, Err(OpError::Log));
        }
        let mut flushes = Fifo::new();
        while let Some(tag) = self.issuable.pop(&mut self.slots) {
            if self.slots.at(tag).is_flush() {
                flushes.push(&mut self.slots, tag);
            } else {
                self.in_flight.remove(&mut self.slots, tag);
                self.end(tag, Err(OpError::Log));
            }
        }
        self.issuable = flushes;
        let mut cursor = self.queue.front();
        while let Some(tag) = cursor {
            cursor = List::next(&self.slots, tag);
            if !self.slots.at(tag).is_flush() {
                self.queue.remove(&mut self.slots, tag);
                self.end(tag, Err(OpError::Log));
            }
        }
        self.queued_fuas = 0;
    }
}
