//! From the data device into the queue of what may be logged, and what is let go there by it.

use super::Logger;
use crate::command::OwnMark;
use crate::config::Ordering;
use crate::geometry::Extent;
use crate::op::{Op, OpError, Outcome, Tag};
use crate::slots::{List, Phase};

impl<const N: usize> Logger<N> {
    pub(super) fn complete_flush(&mut self, tag: Tag, outcome: Outcome) {
        let slot = self.slots.at_mut(tag);
        slot.phase = Phase::Queued;
        if outcome != Outcome::Ok {
            slot.fail(OpError::Flush);
        }
    }

    pub(super) fn complete_mutation(&mut self, tag: Tag, outcome: Outcome) {
        self.in_flight.remove(&mut self.slots, tag);
        if !self.withheld.is_empty() {
            self.unblock(self.extent(tag));
        }
        let op = self.slots.at(tag).op;
        let is_ignored = outcome == Outcome::Ignored && matches!(op, Op::Discard { .. });
        let is_failed = outcome != Outcome::Ok && !is_ignored;
        if self.failed_at.is_some() || is_ignored {
            self.space.give_back(op.payload_sectors());
            let log_result = if is_ignored { Ok(()) } else { Err(OpError::Log) };
            self.end(tag, if is_failed { Err(OpError::Data) } else { log_result });
            return;
        }
        if is_failed {
            self.slots.at_mut(tag).fail(OpError::Data);
            let mark = OwnMark::Indeterminate(self.extent(tag));
            if mark.len_bytes_in(self.config.sector_size).is_none() {
                self.space.give_back(op.payload_sectors());
                self.end(tag, Err(OpError::Data));
                return;
            }
            self.space.shrink(op.payload_sectors());
        }
        self.enqueue(tag);
    }

    /// Lets go what waited for an operation on `extent` to leave the data device.
    fn unblock(&mut self, extent: Extent) {
        let mut cursor = self.withheld.front();
        while let Some(tag) = cursor {
            cursor = List::next(&self.slots, tag);
            let slot = self.slots.at_mut(tag);
            if !slot.extent().overlaps(extent) {
                continue;
            }
            slot.blockers -= 1;
            if slot.blockers == 0 {
                self.withheld.remove(&mut self.slots, tag);
                let own = self.extent(tag);
                let nr_blockers = self.in_flight.admit(&mut self.slots, tag, own, 0);
                debug_assert_eq!(nr_blockers, 0, "all that it overlaps has left the data device");
                self.issue(tag);
            }
        }
    }

    /// Takes an operation that changed the data device into the queue; a FUA overtakes it unless it overlaps
    /// something there.
    fn enqueue(&mut self, tag: Tag) {
        let slot = self.slots.at_mut(tag);
        slot.phase = Phase::Queued;
        let is_fua = slot.promises_durability;
        if self.config.ordering == Ordering::Durability && !is_fua {
            slot.acked = true;
            self.early_acks.push(&mut self.slots, tag);
        }
        let needs_no_queue = match self.config.ordering {
            Ordering::Completion if self.queue.is_empty() => true,
            Ordering::Completion | Ordering::Durability => is_fua && !self.overlaps_queue(self.extent(tag)),
        };
        if needs_no_queue {
            self.place(tag);
            return;
        }
        self.queued_fuas += usize::from(is_fua);
        self.queue.push_back(&mut self.slots, tag);
    }

    fn overlaps_queue(&self, extent: Extent) -> bool {
        self.queue.iter(&self.slots).any(|tag| self.extent(tag).overlaps(extent))
    }
}
