//! From submission to the data device: which operations are accepted, with room in the log, and which must wait.

use super::{Logger, Stage, SubmitError};
use crate::config::Ordering;
use crate::geometry::Extent;
use crate::op::{Op, OpError, Tag};
use crate::slots::Phase;

impl<const N: usize> Logger<N> {
    pub(super) fn check_tag(&self, tag: Tag) -> Result<(), SubmitError> {
        if self.stage != Stage::Open {
            Err(SubmitError::Closed)
        } else if self.failed_at.is_some() {
            Err(SubmitError::LogFailed)
        } else if tag.index() >= N {
            Err(SubmitError::TagOutOfRange { tag, slots: N })
        } else if self.slots.find(tag).is_some() {
            Err(if self.slots.is_full() { SubmitError::Full } else { SubmitError::TagInUse { tag } })
        } else {
            Ok(())
        }
    }

    pub(super) fn submit_flush(&mut self, tag: Tag) {
        if self.data_flush_failed || self.commit.is_broken() {
            self.slots.occupy(tag, Op::Flush, Phase::Ending);
            self.end(tag, Err(OpError::Flush));
            return;
        }
        self.slots.occupy(tag, Op::Flush, Phase::Issuable);
        self.issuable.push(&mut self.slots, tag);
        self.queue.push_back(&mut self.slots, tag);
        self.flushes.push(&mut self.slots, tag);
    }

    pub(super) fn submit_mark(&mut self, tag: Tag, len_bytes: u32) -> Result<(), SubmitError> {
        let max_bytes = self.config.sector_size.max_mark_len();
        if max_bytes.is_none_or(|max_bytes| len_bytes > max_bytes) {
            return Err(SubmitError::MarkTooLong { len_bytes, max_bytes: max_bytes.unwrap_or(0) });
        }
        self.reserve(0)?;
        self.slots.occupy(tag, Op::Mark { len_bytes }, Phase::Queued);
        match self.config.ordering {
            Ordering::Completion => self.queue.push_back(&mut self.slots, tag),
            Ordering::Durability => self.place(tag),
        }
        Ok(())
    }

    pub(super) fn submit_mutation(&mut self, tag: Tag, op: Op, extent: Extent) -> Result<(), SubmitError> {
        if extent.is_empty() {
            self.slots.occupy(tag, op, Phase::Ending);
            self.end(tag, Ok(()));
            return Ok(());
        }
        if self.config.sector_size.byte_range(extent).is_none() {
            return Err(SubmitError::ExtentTooFar { extent });
        }
        self.reserve(op.payload_sectors())?;
        self.slots.occupy(tag, op, Phase::Withheld);
        let mut nr_withheld = 0;
        for older in self.withheld.iter(&self.slots) {
            nr_withheld += usize::from(self.extent(older).overlaps(extent));
        }
        let nr_blockers = self.in_flight.admit(&mut self.slots, tag, extent, nr_withheld);
        if nr_blockers == 0 {
            self.issue(tag);
        } else {
            self.slots.at_mut(tag).blockers = u16::try_from(nr_blockers).expect("there are fewer slots");
            self.withheld.push_back(&mut self.slots, tag);
        }
        Ok(())
    }

    fn reserve(&mut self, payload_sectors: u64) -> Result<(), SubmitError> {
        if self.space.reserve(payload_sectors) {
            return Ok(());
        }
        let needed_bytes = self.space.needed_bytes(payload_sectors);
        Err(SubmitError::NoSpace { needed_bytes, free_bytes: self.space.free_bytes() })
    }

    #[inline]
    pub(super) fn issue(&mut self, tag: Tag) {
        self.slots.at_mut(tag).phase = Phase::Issuable;
        self.issuable.push(&mut self.slots, tag);
    }

    pub(super) fn extent(&self, tag: Tag) -> Extent {
        self.slots.at(tag).extent()
    }
}
