//! The logger: block operations in, commands for the data device and the log device out.
//!
//! | part | what it does |
//! |---|---|
//! | [`Logger`] | what a front end calls |
//! | `submit` | from there to the data device; what overlaps something that is `in_flight` is withheld |
//! | `complete` | from the data device into the queue |
//! | `order` | from the queue to a place in the log, for which there is `space` |
//! | `acknowledge` | from the log to the acknowledgement |
//! | `commit` | when a superblock is written, and when the log is flushed |
//! | `commands` | what the log device is asked to do |

mod acknowledge;
mod commands;
mod commit;
mod complete;
mod in_flight;
mod order;
mod space;
mod submit;

use core::num::NonZeroU64;

use self::commit::Commit;
use self::in_flight::InFlight;
use self::space::Space;
use crate::command::{Command, LogId, LogTarget};
use crate::config::{Config, ConfigError, Ordering};
use crate::geometry::Extent;
use crate::op::{Op, OpError, Outcome, ShortPayload, Tag};
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
    /// operation after a flush has completed too late to be covered by it.
    queue: List,
    /// The flushes in the queue, in its order.
    flushes: Fifo<BESIDE>,
    /// How many FUAs wait in the queue.
    queued_fuas: usize,
    /// Entries that have a place, in log order, from the first whose write has not completed.
    log_order: Fifo<PATH>,
    /// The first of them that is still to be given out as a `Log` command, as are all after it.
    writable: Option<Tag>,
    /// In the log, and to be acknowledged once durable.
    volatile: Fifo<PATH>,
    /// To be acknowledged now, and to continue through the logger.
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
    /// The first entry that never got into the log: it and all after it have failed.
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

    /// A logger that continues a log after its entries, as
    /// [`Reader::resume_point`](crate::reader::Reader::resume_point) gives it at the end of its walk. Anything after
    /// them is overwritten. Its first commands make the existing entries durable, with a superblock that counts them:
    /// the process that wrote them may have been killed before that.
    ///
    /// # Errors
    /// [`ConfigError`] if the point is not a sector boundary, or there is no room after it.
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

    /// Up to where the log may reach once `op` is accepted too, in bytes: with all that is in flight, a FLUSH after it,
    /// and the entries that close it. A front end whose storage may run out takes it up to there before it submits
    /// `op`, so that no write reaches the disk and not the log.
    #[must_use]
    pub const fn reach_bytes(&self, op: Op) -> u64 {
        self.space.reach_bytes(op.payload_sectors())
    }

    /// Whether anything that changes the disk is in flight or was logged after the last FLUSH. A front end whose
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

    /// Logs the oldest quarter of the entries that wait for a flush that was not submitted, as when slots run out: for a front
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

const _: () = assert!(size_of::<Logger<1000>>() < 80 * 1000 + 600, "as the documentation says");

/// The first multiple of `interval` beyond `nr_entries`; if there is none, a number that no log reaches.
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
    /// Where the entry's header is, in bytes from the start of the log. The payload starts one sector later.
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
    /// The log has no room for the entry and a FLUSH after it. The data device was not touched.
    #[error("the log is full: {needed_bytes} bytes are needed, {free_bytes} are free")]
    NoSpace {
        /// What the operation needs, in bytes.
        needed_bytes: u64,
        /// What is free, in bytes.
        free_bytes: u64,
    },
    /// The payload is too short. A driver, which has the payloads, says so; a logger never sees one.
    #[error(transparent)]
    Payload(#[from] ShortPayload),
    /// The tag has not been released.
    #[error("tag {tag} is in use")]
    TagInUse {
        /// The tag.
        tag: Tag,
    },
    /// The tag is not an index below `N`.
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
