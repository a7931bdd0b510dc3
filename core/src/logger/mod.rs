//! The logger: block operations in, commands for the data device and the log device out.

mod commit;
mod in_flight;
mod space;

use core::num::NonZeroU64;

use heapless::Vec;

use self::commit::{Commit, Step};
use self::in_flight::InFlight;
use self::space::Space;
use crate::command::{Command, LogId, LogTarget, LogWrite, OwnMark, Record};
use crate::config::{Config, ConfigError, Ordering};
use crate::geometry::Extent;
use crate::op::{Op, OpError, Outcome, Tag};
use crate::reader::{Position, ResumePoint};
use crate::slots::{BESIDE, Fifo, List, NIL, PATH, Phase, Slots};

/// Turns block operations into a log. See the [crate's documentation](crate) for the contract.
///
/// `N` is how many operations can be in flight, from 1 to 65,534; tags are the indices below it. A logger takes
/// 80 bytes for each of them and less than 600 more, and allocates nothing. In [`Ordering::Durability`] a tag stays in
/// use until its entry is logged, so the front end should use all `N`.
///
/// Every call is O(1) but for these: a submit looks at a few places for each size, as a power of two, of the extents
/// at the data device, and at all of these if its own extent is very much longer; while operations are withheld for
/// an overlap, each submit and complete looks at all of those; a FUA looks at all that wait for a flush.
#[derive(Clone, Debug)]
pub struct Logger<const N: usize> {
    config: Config,
    slots: Slots<N>,
    /// At the data device, or about to be.
    in_flight: InFlight<N>,
    /// Waiting for something in flight that they overlap, in the order of submission.
    withheld: List,
    /// `Data` commands to be given out.
    issuable: Fifo<PATH>,
    /// What has completed and has no place in the log yet, and between it the flushes that were submitted: an
    /// operation behind a flush has completed too late to be covered by it.
    queue: List,
    /// The flushes in the queue, in its order.
    flushes: Fifo<BESIDE>,
    /// How many FUAs wait in the queue.
    queued_fuas: usize,
    /// Entries that have a place, in log order, from the first whose write has not completed.
    log_order: Fifo<PATH>,
    /// The first of them that is still to be given out as a `Log` command, as are all behind it.
    writable: Option<Tag>,
    /// In the log, and to be acknowledged once durable.
    volatile: Fifo<PATH>,
    /// To be acknowledged now, and to go on through the logger.
    early_acks: Fifo<BESIDE>,
    /// To be acknowledged, unless they were before, and released.
    endings: Fifo<PATH>,
    space: Space,
    commit: Commit,
    /// Entries that have a place in the log.
    nr_entries: u64,
    /// The next multiple of the superblock interval: that entry asks for a superblock.
    next_superblock: u64,
    /// Where the last entry that is in the log ends, in sectors.
    logged_sectors: u64,
    /// The first entry that never got into the log: it and all behind it have failed.
    failed_at: Option<u64>,
    data_flush_failed: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// No more is submitted; operations in flight complete.
    Finishing,
    /// The log device has the end mark.
    EndMark,
    /// Only a superblock and a flush of the log are missing.
    Committing,
    Finished,
}

impl<const N: usize> Logger<N> {
    const N_IS_IN_RANGE: () = assert!(N > 0 && N < 0xffff, "a logger has 1 to 65,534 slots");

    /// A logger for a new log. Its first commands replace whatever the log device holds by an empty log.
    ///
    /// # Errors
    /// [`ConfigError`] if the capacity is below [`Config::min_capacity_bytes`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let (capacity_bytes, min_bytes) = (config.capacity_bytes, config.min_capacity_bytes());
        if capacity_bytes < min_bytes {
            return Err(ConfigError::TooSmall { capacity_bytes, min_bytes });
        }
        let space = Space::new(&config, config.sector_size.bytes(), false);
        Ok(Self::with(config, space, Commit::new(config.superblock_policy), 0))
    }

    /// A logger that goes on with a log behind the entries that stand there, as
    /// [`Reader::resume_point`](crate::reader::Reader::resume_point) gives it at the end of its walk. What stands
    /// behind is overwritten. Its first commands make what is there durable, with a superblock that counts it: who
    /// wrote it may have been killed before that.
    ///
    /// # Errors
    /// [`ConfigError`] if the point is no sector boundary, or there is no room behind it.
    pub fn resume(config: Config, point: ResumePoint) -> Result<Self, ConfigError> {
        let offset_bytes = point.position.offset_bytes;
        let sector_bytes = config.sector_size.bytes();
        if !config.sector_size.is_aligned(offset_bytes) || offset_bytes < sector_bytes {
            return Err(ConfigError::ResumeOffset { offset_bytes });
        }
        let capacity_bytes = config.capacity_bytes;
        let min_bytes = (offset_bytes - sector_bytes).saturating_add(config.min_capacity_bytes());
        if capacity_bytes < min_bytes {
            return Err(ConfigError::TooSmall { capacity_bytes, min_bytes });
        }
        let nr_entries = point.position.index;
        let space = Space::new(&config, offset_bytes, point.unflushed);
        Ok(Self::with(config, space, Commit::resume(config.superblock_policy, nr_entries), nr_entries))
    }

    fn with(config: Config, space: Space, commit: Commit, nr_entries: u64) -> Self {
        const { Self::N_IS_IN_RANGE };
        debug_assert!(N < usize::from(NIL), "asserted above");
        Self {
            config,
            slots: Slots::new(),
            in_flight: InFlight::new(),
            withheld: List::new(),
            issuable: Fifo::new(),
            queue: List::new(),
            flushes: Fifo::new(),
            queued_fuas: 0,
            log_order: Fifo::new(),
            writable: None,
            volatile: Fifo::new(),
            early_acks: Fifo::new(),
            endings: Fifo::new(),
            logged_sectors: space.end_sector(),
            space,
            commit,
            nr_entries,
            next_superblock: next_multiple(nr_entries, config.superblock_interval),
            failed_at: None,
            data_flush_failed: false,
            stage: Stage::Open,
        }
    }

    /// What it was started with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// How many entries have a place in the log; their writes may still be in flight.
    #[must_use]
    pub const fn nr_entries(&self) -> u64 {
        self.nr_entries
    }

    /// Behind the last entry that is in the log: its write and those of all before it have completed.
    #[must_use]
    pub const fn logged(&self) -> Position {
        let offset_bytes = self.config.sector_size.bytes_of(self.logged_sectors);
        Position { index: self.commit.written(), offset_bytes }
    }

    /// Where the next entry goes, in bytes from the start of the log.
    #[must_use]
    pub const fn end_bytes(&self) -> u64 {
        self.config.sector_size.bytes_of(self.space.end_sector())
    }

    /// Whether anything that changes the disk is in flight or was logged behind the last FLUSH. A front end whose
    /// users expect a log to end with a flush, as QEMU's does, submits one before it finishes if so.
    #[must_use]
    pub fn is_unflushed(&self) -> bool {
        self.space.is_dirty()
            || !self.in_flight.is_empty()
            || !self.withheld.is_empty()
            || !self.queue.is_empty()
    }

    /// Whether no tag is free.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// What has gone wrong for good, if anything: [`OpError::Log`] when entries could not be written,
    /// [`OpError::Flush`] when nothing more can be called durable.
    #[must_use]
    pub fn failure(&self) -> Option<OpError> {
        if self.failed_at.is_some() {
            Some(OpError::Log)
        } else {
            (self.data_flush_failed || self.commit.is_broken()).then_some(OpError::Flush)
        }
    }

    /// Takes a new operation.
    ///
    /// # Errors
    /// [`SubmitError`]; then nothing has changed, and the tag is not in use.
    pub fn submit(&mut self, tag: Tag, op: Op) -> Result<(), SubmitError> {
        self.check_tag(tag)?;
        match op {
            Op::Flush => self.submit_flush(tag),
            Op::Mark { len_bytes } => self.submit_mark(tag, len_bytes)?,
            Op::Write { extent, .. } | Op::WriteZeroes { extent, .. } | Op::Discard { extent } => {
                self.submit_mutation(tag, op, extent)?;
            }
        }
        self.settle();
        Ok(())
    }

    /// Says that the data device has finished an operation.
    ///
    /// # Errors
    /// [`NotInFlight`] if the data device does not have the operation; then nothing has changed.
    #[inline]
    pub fn complete(&mut self, tag: Tag, outcome: Outcome) -> Result<(), NotInFlight> {
        let slot = self.slots.find(tag).filter(|slot| slot.phase == Phase::Issued).ok_or(NotInFlight)?;
        if slot.is_flush() {
            self.complete_flush(tag, outcome);
        } else {
            self.complete_mutation(tag, outcome);
        }
        self.settle();
        Ok(())
    }

    /// Says that the log device has finished a write or a flush.
    ///
    /// # Errors
    /// [`NotInFlight`] if the log device does not have it; then nothing has changed.
    pub fn log_complete(&mut self, id: LogId, outcome: Outcome) -> Result<(), NotInFlight> {
        self.log_complete_with(id, outcome, |_| {})
    }

    /// As [`log_complete`](Self::log_complete), and calls `logged` for each entry that has thereby become part of
    /// the log, in log order: its own write and those of all entries before it have completed. The overlay disk
    /// is built on it.
    ///
    /// # Errors
    /// As [`log_complete`](Self::log_complete).
    pub fn log_complete_with(
        &mut self,
        id: LogId,
        outcome: Outcome,
        logged: impl FnMut(Logged),
    ) -> Result<(), NotInFlight> {
        let ok = outcome == Outcome::Ok;
        match id.0 {
            LogTarget::Entry(tag) => {
                let slot =
                    self.slots.find(tag).filter(|slot| slot.phase == Phase::Writing).ok_or(NotInFlight)?;
                let nr_entries = slot.nr_entries;
                self.slots.at_mut(tag).phase = Phase::Written;
                if !ok {
                    self.fail_log(nr_entries - 1);
                }
                self.advance_log(logged);
            }
            LogTarget::EndMark | LogTarget::Superblock | LogTarget::Flush => {
                self.complete_commit(id.0, ok)?;
            }
        }
        if !self.volatile.is_empty() {
            self.acknowledge_durable();
        }
        self.settle();
        Ok(())
    }

    /// The next thing to do, or `None` until something completes or is submitted.
    pub fn poll(&mut self) -> Option<Command> {
        if let Some(tag) = self.early_acks.pop(&mut self.slots) {
            return Some(Command::Done { tag, result: self.slots.at(tag).result });
        }
        if let Some(tag) = self.endings.front() {
            let slot = self.slots.at_mut(tag);
            if !slot.acked {
                slot.acked = true;
                return Some(Command::Done { tag, result: slot.result });
            }
            self.endings.pop(&mut self.slots);
            self.slots.release(tag);
            return Some(Command::Release(tag));
        }
        if let Some(tag) = self.issuable.pop(&mut self.slots) {
            let slot = self.slots.at_mut(tag);
            slot.phase = Phase::Issued;
            return Some(Command::Data { tag, op: slot.op });
        }
        if self.commit.is_open()
            && let Some(tag) = self.writable
        {
            self.writable = Fifo::<PATH>::next(&mut self.slots, tag);
            self.slots.at_mut(tag).phase = Phase::Writing;
            let write = self.entry_write(tag);
            return Some(Command::Log { id: LogId(LogTarget::Entry(tag)), write });
        }
        if self.stage == Stage::Open && !self.commit.has_goal() {
            return None;
        }
        self.poll_commit()
    }

    /// Logs the oldest quarter of what waits for a flush that nobody has submitted, as when slots run out: for a front
    /// end whose memory for payloads runs out first. Does nothing while a flush is in flight, which will free some,
    /// and in [`Ordering::Completion`], where nothing waits for one.
    pub fn log_early(&mut self) {
        if self.config.ordering == Ordering::Durability && self.flushes.is_empty() {
            self.log_oldest(N.div_ceil(4));
        }
    }

    /// Takes no more operations: those in flight complete, then come the closing entry, a superblock, a flush of
    /// the log and [`Command::Finished`]. To be called once; more calls do nothing.
    pub fn finish(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Finishing;
            self.settle();
        }
    }
}

/// Submission.
impl<const N: usize> Logger<N> {
    fn check_tag(&self, tag: Tag) -> Result<(), SubmitError> {
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

    fn submit_flush(&mut self, tag: Tag) {
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

    fn submit_mark(&mut self, tag: Tag, len_bytes: u32) -> Result<(), SubmitError> {
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

    fn submit_mutation(&mut self, tag: Tag, op: Op, extent: Extent) -> Result<(), SubmitError> {
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
            self.slots.at_mut(tag).blockers = u16::try_from(nr_blockers).unwrap_or(u16::MAX);
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
    fn issue(&mut self, tag: Tag) {
        self.slots.at_mut(tag).phase = Phase::Issuable;
        self.issuable.push(&mut self.slots, tag);
    }

    fn extent(&self, tag: Tag) -> Extent {
        self.slots.at(tag).extent()
    }
}

/// Completion of data operations.
impl<const N: usize> Logger<N> {
    fn complete_flush(&mut self, tag: Tag, outcome: Outcome) {
        let slot = self.slots.at_mut(tag);
        slot.phase = Phase::Queued;
        if outcome != Outcome::Ok {
            slot.fail(OpError::Flush);
        }
    }

    fn complete_mutation(&mut self, tag: Tag, outcome: Outcome) {
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

/// From the queue into the log.
impl<const N: usize> Logger<N> {
    /// Gives places to whatever the ordering lets into the log now.
    #[inline]
    fn settle(&mut self) {
        if !self.queue.is_empty() {
            self.settle_queue();
        }
    }

    fn settle_queue(&mut self) {
        match self.config.ordering {
            Ordering::Completion => self.log_completed(),
            Ordering::Durability => self.log_durable(),
        }
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
    fn log_oldest(&mut self, nr_entries: usize) {
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

    /// Logs the FUAs in the queue that are in front of every flush in flight, each behind the older entries that
    /// it overlaps.
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
    fn place(&mut self, tag: Tag) {
        debug_assert!(self.failed_at.is_none(), "nothing is placed behind a failed entry");
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

/// From the log to the acknowledgement.
impl<const N: usize> Logger<N> {
    /// The log device has finished something that is no operation's entry.
    #[inline(never)] // so that what is one is short
    fn complete_commit(&mut self, target: LogTarget, ok: bool) -> Result<(), NotInFlight> {
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
            // Where the first flush fails, what stood there before may come back: nothing of ours has begun.
            self.fail_log(self.commit.written());
        }
        Ok(())
    }

    /// Goes over the entries whose writes have completed, up to the first that has not.
    fn advance_log(&mut self, mut logged: impl FnMut(Logged)) {
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
    fn acknowledge_durable(&mut self) {
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
    fn end(&mut self, tag: Tag, result: Result<(), OpError>) {
        let slot = self.slots.at_mut(tag);
        slot.phase = Phase::Ending;
        if slot.result != Err(OpError::Data) {
            slot.result = result;
        }
        self.endings.push(&mut self.slots, tag);
    }

    /// Gives up on entry `index` and all behind it.
    fn fail_log(&mut self, index: u64) {
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

/// Commands.
impl<const N: usize> Logger<N> {
    fn entry_write(&self, tag: Tag) -> LogWrite {
        let slot = self.slots.at(tag);
        let record = if slot.is_indeterminate() {
            Record::OwnMark(OwnMark::Indeterminate(slot.extent()))
        } else {
            Record::Op { tag, op: slot.op }
        };
        let sector_size = self.config.sector_size;
        LogWrite { offset_bytes: sector_size.bytes_of(slot.log_sector), record, sector_size }
    }

    /// What is to be done once nothing else is: apart, so that it costs the commands of every operation nothing.
    #[inline(never)]
    fn poll_commit(&mut self) -> Option<Command> {
        match self.commit.next() {
            Some(step) => Some(self.commit_command(step)),
            None => self.close(),
        }
    }

    fn commit_command(&self, step: Step) -> Command {
        match step {
            Step::Flush => Command::FlushLog { id: LogId(LogTarget::Flush) },
            Step::Superblock { nr_entries } => {
                assert!(nr_entries <= self.nr_entries, "a superblock counts only entries that exist");
                let sector_size = self.config.sector_size;
                let write =
                    LogWrite { offset_bytes: 0, record: Record::Superblock { nr_entries }, sector_size };
                Command::Log { id: LogId(LogTarget::Superblock), write }
            }
        }
    }

    /// The commands of a logger that has nothing else to do.
    fn close(&mut self) -> Option<Command> {
        match self.stage {
            Stage::Finishing if self.slots.occupied() == 0 && self.is_usable() => {
                if self.config.closing_bytes() > 0 && self.failed_at.is_none() {
                    return Some(self.end_mark());
                }
                self.commit_all();
                self.poll()
            }
            Stage::Committing if self.commit.is_idle() => {
                self.stage = Stage::Finished;
                Some(Command::Finished)
            }
            Stage::Open | Stage::Finishing | Stage::EndMark | Stage::Committing | Stage::Finished => None,
        }
    }

    /// Whether the log has been opened, or never will be.
    fn is_usable(&self) -> bool {
        self.commit.is_open() || self.failed_at.is_some()
    }

    fn end_mark(&mut self) -> Command {
        self.stage = Stage::EndMark;
        self.nr_entries += 1;
        let sector_size = self.config.sector_size;
        let offset_bytes = sector_size.bytes_of(self.space.place_closing());
        let write = LogWrite { offset_bytes, record: Record::OwnMark(OwnMark::End), sector_size };
        Command::Log { id: LogId(LogTarget::EndMark), write }
    }

    fn complete_end_mark(&mut self, ok: bool) {
        if ok {
            self.commit.entries_written(self.nr_entries);
            self.logged_sectors = self.space.end_sector();
        } else {
            self.fail_log(self.nr_entries - 1);
        }
        self.commit_all();
    }

    /// Makes all that is in the log durable, as the last step.
    fn commit_all(&mut self) {
        self.stage = Stage::Committing;
        self.commit.request_durable(self.failed_at.unwrap_or(self.nr_entries));
    }
}

const _: () = assert!(size_of::<Logger<1000>>() < 80 * 1000 + 600, "as the documentation says");

/// The first multiple of `interval` beyond `nr_entries`; a number that no log reaches, where there is none.
fn next_multiple(nr_entries: u64, interval: NonZeroU64) -> u64 {
    (nr_entries / interval + 1).saturating_mul(interval.get())
}

/// An entry that has become part of the log; see [`Logger::log_complete_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The operation's handle; its payload is still to be kept.
    pub tag: Tag,
    /// What was logged: `None` for the logger's own mark that the operation failed.
    pub op: Option<Op>,
    /// Where the entry's header stands, in bytes from the start of the log. The payload starts one sector behind.
    pub offset_bytes: u64,
}

/// Why an operation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// [`Logger::finish`] was called.
    #[error("the log is being closed")]
    Closed,
    /// A byte of the extent lies beyond [`MAX_OFFSET_BYTES`](crate::geometry::MAX_OFFSET_BYTES).
    #[error("the extent {extent} reaches beyond 2^63 - 1 bytes")]
    ExtentTooFar {
        /// The extent, in log sectors.
        extent: Extent,
    },
    /// No tag is free: wait for a [`Command::Release`].
    #[error("too many operations are in flight")]
    Full,
    /// The log device has failed; nothing more can be logged.
    #[error("the log device failed; nothing more is logged")]
    LogFailed,
    /// The mark does not fit into an entry's sector.
    #[error("a mark of {len_bytes} bytes: the sector size allows at most {max_bytes}")]
    MarkTooLong {
        /// The length of the text, in bytes.
        len_bytes: u32,
        /// The longest that fits, in bytes.
        max_bytes: u32,
    },
    /// The log has no room for the entry and a FLUSH behind it. The data device was not touched.
    #[error("the log is full: {needed_bytes} bytes are needed, {free_bytes} are free")]
    NoSpace {
        /// What the operation needs, in bytes.
        needed_bytes: u64,
        /// What is free, in bytes.
        free_bytes: u64,
    },
    /// The tag has not been released.
    #[error("tag {tag} is in use")]
    TagInUse {
        /// The tag.
        tag: Tag,
    },
    /// The tag is no index below `N`.
    #[error("tag {tag} is out of range: there are {slots}")]
    TagOutOfRange {
        /// The tag.
        tag: Tag,
        /// `N`.
        slots: usize,
    },
}

/// What was reported as completed is not in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was reported as completed is not in flight")]
pub struct NotInFlight;
