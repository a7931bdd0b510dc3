//! One session with a log, as a fuzzer scripts it, and the entries that must come of it.
//!
//! The blocking driver carries it out. It completes every operation before the next is submitted, so the order of the
//! log is plain enough to be said here a second time, and independently.

use core::cell::Cell;
use core::num::NonZeroU64;

use arbitrary::Arbitrary;
use embedded_io::ErrorKind;
use logwrites_core::device::{DataDevice, LogDevice, Piece, Seeking};
use logwrites_core::drive::{Driver, Event};
use logwrites_core::reader::ResumePoint;
use logwrites_core::{
    Config, Extent, Logger, Op, Ordering, Outcome, SectorSize, SuperblockPolicy, Tag, WriteFlags,
};

use crate::content::is_zero;
use crate::memory::Memory;
use crate::naive;

/// What is to happen.
#[derive(Clone, Debug, Arbitrary)]
pub(super) struct Plan {
    setup: Setup,
    steps: Vec<Step>,
    end: End,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
struct Setup {
    /// See [`Plan::sector_size`].
    size: u8,
    is_durability: bool,
    is_barrier: bool,
    /// Whether the logger has a single slot, and not 64.
    is_single: bool,
    interval: u8,
    /// How many sectors the log has beyond the least, if it is bounded.
    spare_sectors: Option<u8>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum End {
    /// As it should.
    Closed,
    /// The process is killed after the last step: what the driver has put off is lost.
    Killed,
    /// This log write is done in part and fails.
    LogWriteFails(u8),
    /// This flush of the log fails.
    LogFlushFails(u8),
}

#[derive(Clone, Debug, Arbitrary)]
enum Step {
    Write { at: Sector, nr_sectors: u8, flags: u8, is_failing: bool },
    WriteZeroes { at: Sector, nr_sectors: u8, flags: u8, is_failing: bool },
    Discard { at: Sector, nr_sectors: Sector, fate: Fate },
    Flush { is_failing: bool },
    Mark { text: Vec<u8> },
    Drain,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Sector {
    Near(u8),
    Far(u64),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Fate {
    Done,
    Ignored,
    Failed,
}

/// What a session has left.
#[derive(Debug)]
pub(super) struct Left {
    /// The log.
    pub(super) image: Vec<u8>,
    /// The entries that the session has made, in order. Not all need be in the log if it did not end well.
    pub(super) entries: Vec<Expected>,
    /// How many of them are acknowledged as durable, if anything is, be it no entry.
    pub(super) nr_durable: Option<usize>,
    /// Whether the session was closed, and the log never failed.
    pub(super) is_whole: bool,
}

/// An entry that must be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    sector: u64,
    nr_sectors: u64,
    flags: u64,
    text: Vec<u8>,
    payload: Vec<u8>,
}

impl Plan {
    /// The sector size of a new log: mostly a small one, rarely up to 64 KiB. Larger ones would only take time: they
    /// are tests of their own.
    pub(super) fn sector_size(&self) -> SectorSize {
        let shift = match self.setup.size {
            252.. => 13 + self.setup.interval % 4,
            size => SHIFTS[usize::from(size) % SHIFTS.len()],
        };
        SectorSize::new(1 << shift).expect("a power of two from 32 bytes to 64 KiB")
    }

    /// Makes a new log.
    pub(super) fn run(&self, sector_size: SectorSize) -> Left {
        let config = self.config(sector_size, 0);
        let model = Model::new(config, self.setup.is_single, false);
        if self.setup.is_single {
            self.drive::<1>(Logger::new(config).expect(HAS_ROOM), model, Vec::new())
        } else {
            self.drive::<NR_SLOTS>(Logger::new(config).expect(HAS_ROOM), model, Vec::new())
        }
    }

    /// Goes on with the log in `image`.
    pub(super) fn resume(&self, sector_size: SectorSize, point: ResumePoint, image: Vec<u8>) -> Left {
        let config = self.config(sector_size, point.position.offset_bytes);
        let model = Model::new(config, self.setup.is_single, point.unflushed);
        if self.setup.is_single {
            self.drive::<1>(Logger::resume(config, point).expect(HAS_ROOM), model, image)
        } else {
            self.drive::<NR_SLOTS>(Logger::resume(config, point).expect(HAS_ROOM), model, image)
        }
    }

    fn config(&self, sector_size: SectorSize, used_bytes: u64) -> Config {
        let setup = self.setup;
        let mut config = Config::new(sector_size);
        if setup.is_durability {
            config.ordering = Ordering::Durability;
        }
        if setup.is_barrier {
            config.superblock_policy = SuperblockPolicy::Barrier;
        }
        if let Some(interval) = NonZeroU64::new(setup.interval.into()) {
            config.superblock_interval = interval;
        }
        if let Some(spare_sectors) = setup.spare_sectors {
            let spare_bytes = sector_size.bytes_of(spare_sectors.into());
            config.capacity_bytes = used_bytes + config.min_capacity_bytes() + spare_bytes;
        }
        config
    }

    fn drive<const N: usize>(&self, logger: Logger<N>, mut model: Model, image: Vec<u8>) -> Left {
        let outcome = Cell::new(Outcome::Ok);
        let log = FailingLog::new(image, self.end);
        // So large a batch has more pieces than one write.
        let mut driver: Driver<_, _, _, 32> = Driver::new(logger, Told { outcome: &outcome }, log);
        let mut payloads = vec![Vec::new(); NR_STEPS_MAX];
        // A large sector makes a long log of few steps.
        let nr_steps = LOG_BYTES / usize::try_from(model.config.sector_size.bytes()).expect("at most 8 MiB");
        for (index, step) in self.steps.iter().take(nr_steps.clamp(2, NR_STEPS_MAX)).enumerate() {
            let tag = if N == 1 { 0 } else { index };
            let Some((op, payload)) = step.op(index, model.config.sector_size) else {
                driver.drain(&payloads[..], |_| {});
                continue;
            };
            payloads[tag].clone_from(&payload);
            outcome.set(step.outcome());
            let had_failed = driver.recorder().failure().is_some();
            let nr_before = driver.recorder().nr_entries();
            let tag = Tag::new(u16::try_from(tag).expect("below 64"));
            let mut is_acknowledged = false;
            let mut events = |event| is_acknowledged |= event == (Event::Done { tag, result: Ok(()) });
            if driver.submit(tag, op, &payloads[..], &mut events).is_err() {
                continue;
            }
            let has_room = driver.recorder().nr_entries() > nr_before;
            model.take(op, payload, step.outcome(), had_failed || !has_room && model.is_clean());
            if N == 1 {
                driver.drain(&payloads[..], events);
            }
            // A FUA of nothing is acknowledged without a word to anyone.
            let is_fua = op.is_fua() && op.extent().is_some_and(|extent| !extent.is_empty());
            if is_acknowledged && (op == Op::Flush || is_fua) {
                model.nr_durable = Some(model.logged.len());
            }
        }
        if !matches!(self.end, End::Killed) {
            driver.close(&payloads[..], |_| {});
            model.close();
        }
        let is_whole = !matches!(self.end, End::Killed) && !driver.log().has_failed;
        let (_, log) = driver.into_devices();
        Left {
            image: log.memory.0.into_bytes(),
            entries: model.logged,
            nr_durable: model.nr_durable,
            is_whole,
        }
    }
}

impl Step {
    /// The operation and its payload; none if only what was put off is to be done, or there is no such operation.
    fn op(&self, index: usize, sector_size: SectorSize) -> Option<(Op, Vec<u8>)> {
        // No payload is longer than 1 KiB, unless a sector is.
        let nr_sectors_max = (1024 / sector_size.bytes()).max(1);
        let extent = |at: Sector, nr_sectors: u8| {
            Extent::new(at.number(), u64::from(nr_sectors) % (nr_sectors_max + 1))
        };
        Some(match self {
            Self::Write { at, nr_sectors, flags, .. } => {
                let extent = extent(*at, *nr_sectors)?;
                let len = usize::try_from(sector_size.bytes_of(extent.nr_sectors())).expect("at most 8 MiB");
                let flags = WriteFlags::from_bits_truncate(*flags);
                (Op::Write { extent, flags }, payload(index, len))
            }
            Self::WriteZeroes { at, nr_sectors, flags, .. } => {
                let flags = WriteFlags::from_bits_truncate(*flags);
                (Op::WriteZeroes { extent: extent(*at, *nr_sectors)?, flags }, Vec::new())
            }
            Self::Discard { at, nr_sectors, .. } => {
                let extent = Extent::new(at.number(), nr_sectors.number())?;
                (Op::Discard { extent }, Vec::new())
            }
            Self::Flush { .. } => (Op::Flush, Vec::new()),
            Self::Mark { text } => {
                let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
                (Op::Mark { len_bytes: u32::try_from(text.len()).ok()? }, text)
            }
            Self::Drain => return None,
        })
    }

    const fn outcome(&self) -> Outcome {
        match self {
            Self::Write { is_failing: true, .. }
            | Self::WriteZeroes { is_failing: true, .. }
            | Self::Flush { is_failing: true }
            | Self::Discard { fate: Fate::Failed, .. } => Outcome::Failed,
            Self::Discard { fate: Fate::Ignored, .. } => Outcome::Ignored,
            _ => Outcome::Ok,
        }
    }
}

impl Sector {
    fn number(self) -> u64 {
        match self {
            Self::Near(number) => u64::from(number) % 32,
            Self::Far(number) => number,
        }
    }
}

impl Expected {
    /// Whether it is this entry of a log, with nothing but zeros where nothing belongs.
    pub(super) fn is(&self, entry: &naive::Entry<'_>) -> bool {
        let text_len = u64::try_from(self.text.len()).unwrap_or(u64::MAX);
        (self.sector, self.nr_sectors, self.flags, text_len)
            == (entry.sector, entry.nr_sectors, entry.flags, entry.data_len)
            && (&self.text[..], &self.payload[..]) == (entry.text, entry.payload)
            && is_zero(entry.padding)
    }

    const fn of(extent: Extent, flags: u64, payload: Vec<u8>) -> Self {
        Self { sector: extent.sector(), nr_sectors: extent.nr_sectors(), flags, text: Vec::new(), payload }
    }

    const fn mark(text: Vec<u8>) -> Self {
        Self { sector: 0, nr_sectors: 0, flags: naive::MARK, text, payload: Vec::new() }
    }
}

/// The log as it should become.
struct Model {
    config: Config,
    is_single: bool,
    logged: Vec<Expected>,
    /// In durability order: what waits for a flush, with its extent.
    held: Vec<(Extent, Expected)>,
    /// Whether anything is logged after the last FLUSH.
    is_dirty: bool,
    has_flush_failed: bool,
    nr_durable: Option<usize>,
}

impl Model {
    const fn new(config: Config, is_single: bool, is_dirty: bool) -> Self {
        Self {
            config,
            is_single,
            logged: Vec::new(),
            held: Vec::new(),
            is_dirty,
            has_flush_failed: false,
            nr_durable: None,
        }
    }

    /// Whether a FLUSH would say nothing that the log does not.
    const fn is_clean(&self) -> bool {
        !self.is_dirty && self.held.is_empty()
    }

    /// An operation was accepted, and the data device did this with it. A flush is not logged where the log has
    /// failed, nor where there is no room for one that says nothing new.
    fn take(&mut self, op: Op, payload: Vec<u8>, outcome: Outcome, is_refused: bool) {
        match op {
            Op::Mark { .. } => self.log(Expected::mark(payload)),
            Op::Flush if outcome != Outcome::Ok => self.has_flush_failed = true,
            Op::Flush if is_refused || self.has_flush_failed => {}
            Op::Flush => self.flush(),
            Op::Write { extent, .. } | Op::WriteZeroes { extent, .. } | Op::Discard { extent } => {
                if !extent.is_empty() && outcome != Outcome::Ignored {
                    self.mutate(op, extent, payload, outcome);
                }
            }
        }
    }

    fn mutate(&mut self, op: Op, extent: Extent, payload: Vec<u8>, outcome: Outcome) {
        let flags = if op.is_fua() { naive::FUA } else { 0 };
        let expected = match op {
            _ if outcome == Outcome::Failed => {
                let text = format!("logwrites-indeterminate {}+{}", extent.sector(), extent.nr_sectors());
                if !self.has_room_for(text.len()) {
                    return;
                }
                Expected::mark(text.into_bytes())
            }
            Op::Discard { .. } => Expected::of(extent, naive::DISCARD, Vec::new()),
            Op::WriteZeroes { .. } => {
                let len_bytes = self.config.sector_size.bytes_of(extent.nr_sectors());
                Expected::of(extent, flags, vec![0; usize::try_from(len_bytes).expect("at most 8 MiB")])
            }
            _ => Expected::of(extent, flags, payload),
        };
        let is_fua = op.is_fua() && outcome == Outcome::Ok;
        if self.config.ordering == Ordering::Completion || self.is_single {
            self.log(expected);
        } else if is_fua {
            self.log_overlapping(extent);
            self.log(expected);
        } else {
            self.held.push((extent, expected));
        }
    }

    /// Logs what is held and overlaps this, or what lies between two things that do.
    fn log_overlapping(&mut self, extent: Extent) {
        let (mut hull, mut chosen) = (extent, Vec::new());
        for (held, _) in self.held.iter().rev() {
            let is_chosen = held.sector() < hull.end() && hull.sector() < held.end();
            if is_chosen {
                hull = Extent::between(hull.sector().min(held.sector()), hull.end().max(held.end()));
            }
            chosen.push(is_chosen);
        }
        for (held, expected) in core::mem::take(&mut self.held) {
            if chosen.pop() == Some(true) {
                self.log(expected);
            } else {
                self.held.push((held, expected));
            }
        }
    }

    fn flush(&mut self) {
        self.log_held();
        if self.is_dirty || self.config.ordering == Ordering::Durability {
            self.log(Expected::of(Extent::between(0, 0), naive::FLUSH, Vec::new()));
            self.is_dirty = false;
        }
    }

    fn close(&mut self) {
        self.log_held();
        if self.config.ordering == Ordering::Durability && self.has_room_for(END.len()) {
            self.log(Expected::mark(END.to_vec()));
        }
    }

    fn log_held(&mut self) {
        for (_, expected) in core::mem::take(&mut self.held) {
            self.log(expected);
        }
    }

    fn log(&mut self, expected: Expected) {
        self.is_dirty = true;
        self.logged.push(expected);
    }

    /// Whether an entry's own sector has room for a text, its NUL and the header.
    fn has_room_for(&self, text_len: usize) -> bool {
        usize::try_from(self.config.sector_size.bytes()).is_ok_and(|bytes| text_len + 33 <= bytes)
    }
}

/// A data device that does what it is told to.
struct Told<'a> {
    outcome: &'a Cell<Outcome>,
}

impl Told<'_> {
    fn obey(&self) -> Result<(), ErrorKind> {
        if self.outcome.get() == Outcome::Failed { Err(ErrorKind::Other) } else { Ok(()) }
    }
}

impl DataDevice for Told<'_> {
    type Error = ErrorKind;

    fn write(&mut self, _: u64, _: &[u8], _: WriteFlags) -> Result<(), ErrorKind> {
        self.obey()
    }

    fn write_zeroes(&mut self, _: u64, _: u64, _: WriteFlags) -> Result<(), ErrorKind> {
        self.obey()
    }

    fn discard(&mut self, _: u64, _: u64) -> Result<Outcome, ErrorKind> {
        self.obey().map(|()| self.outcome.get())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.obey()
    }
}

/// A log in memory, of which one write or flush may fail.
struct FailingLog {
    memory: Seeking<Memory>,
    /// How many succeed before the one that fails.
    good_writes: Option<u8>,
    good_flushes: Option<u8>,
    has_failed: bool,
}

impl FailingLog {
    const fn new(image: Vec<u8>, end: End) -> Self {
        let (good_writes, good_flushes) = match end {
            End::Closed | End::Killed => (None, None),
            End::LogWriteFails(good) => (Some(good), None),
            End::LogFlushFails(good) => (None, Some(good)),
        };
        Self { memory: Seeking(Memory::new(image)), good_writes, good_flushes, has_failed: false }
    }

    fn is_failing(&mut self, good: fn(&mut Self) -> &mut Option<u8>) -> bool {
        let Some(left) = good(self) else { return false };
        let is_failing = *left == 0;
        *good(self) = left.checked_sub(1);
        self.has_failed |= is_failing;
        is_failing
    }
}

impl LogDevice for FailingLog {
    type Error = ErrorKind;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), ErrorKind> {
        if self.is_failing(|log| &mut log.good_writes) {
            let first = &pieces[..pieces.len().min(1)];
            LogDevice::write(&mut self.memory, offset_bytes, first)?;
            return Err(ErrorKind::Other);
        }
        LogDevice::write(&mut self.memory, offset_bytes, pieces)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        if self.is_failing(|log| &mut log.good_flushes) { Err(ErrorKind::Other) } else { Ok(()) }
    }
}

/// Bytes as no other step's payload begins with, and whose order shows.
fn payload(index: usize, len: usize) -> Vec<u8> {
    // A period of its own in each page, so that no piece of it is in another place.
    let mut bytes = Vec::with_capacity(len);
    for page in 0..len.div_ceil(PAGE) {
        let first = (index * 37 + page * 101) % PERIOD;
        bytes.extend_from_slice(&PATTERN[first..first + PAGE.min(len - bytes.len())]);
    }
    bytes
}

/// How often each sector size is chosen, as a shift: what is small is as good, and faster.
const SHIFTS: [u8; 16] = [9, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9, 6, 10, 11, 12, 9];

/// About how long the log of a session becomes, in bytes, if its sectors are large.
const LOG_BYTES: usize = 1 << 16;

/// At most so many steps, so that a logger of [`NR_SLOTS`] never runs out of them.
const NR_STEPS_MAX: usize = 48;

const NR_SLOTS: usize = 64;

/// So many bytes of a payload follow each other in the pattern.
const PAGE: usize = 512;

/// A prime, so that the places of all steps and pages differ.
const PERIOD: usize = 251;

/// Bytes of which no two pieces, at most a period apart, are alike. None is zero.
static PATTERN: [u8; PAGE + PERIOD] = pattern();

const fn pattern() -> [u8; PAGE + PERIOD] {
    let mut bytes = [0; PAGE + PERIOD];
    let (mut at, mut value) = (0, 1);
    while at < bytes.len() {
        bytes[at] = value;
        value = if value == 251 { 1 } else { value + 1 };
        at += 1;
    }
    bytes
}

const END: &[u8] = b"dm-log-writes-end";

const HAS_ROOM: &str = "the capacity is at least the least";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::encode::assert_counted;

    /// A batch of many small writes has more pieces than a system takes at once.
    #[test]
    fn a_batch_of_many_pieces_is_written_in_turns() {
        for is_durability in [false, true] {
            let (is_barrier, is_single, interval, spare_sectors) = (false, false, 255, None);
            let setup = Setup { size: 0, is_durability, is_barrier, is_single, interval, spare_sectors };
            let write = |at| Step::Write { at: Sector::Near(at), nr_sectors: 1, flags: 0, is_failing: false };
            let mut steps: Vec<Step> = (0..40).map(|at| write(2 * (at % 16))).collect();
            steps.push(Step::Flush { is_failing: false });
            let plan = Plan { setup, steps, end: End::Closed };
            let left = plan.run(plan.sector_size());
            assert!(left.is_whole && left.entries.len() >= 41);
            assert_counted(&left, 512);
        }
    }
}
