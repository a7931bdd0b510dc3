//! A logger under a test's hand, step by step.

use core::error::Error;

use logwrites_core::config::ConfigError;
use logwrites_core::format::{Flags, Superblock};
use logwrites_core::logger::{NotInFlight, SubmitError};
use logwrites_core::num::narrow;
use logwrites_core::reader::{LogSlice, Position, ResumePoint};
use logwrites_core::{
    Command, Config, Extent, LogId, LogWrite, Logger, Op, OpError, Outcome, Tag, WriteFlags,
};
use logwrites_core::{SectorSize, Segment};

use crate::choices::Seeded;
use crate::content::{Stamp, mark_text, payload};
use crate::fault_device::LogDevice;
use crate::model::OpId;

/// A logger whose log device obeys at once, unless it is told to [hold](Self::hold_log) or [fail](Self::fail_log),
/// and whose data device is the test. The payload of a tag names the tag, or what [`name`](Self::name) said.
#[derive(Clone, Debug)]
pub struct Rig<const N: usize> {
    /// The logger.
    pub logger: Logger<N>,
    /// The log device.
    pub log: LogDevice,
    /// What the data device was asked to do and has not finished.
    pub issued: Vec<usize>,
    /// The acknowledgements, in order.
    pub done: Vec<(usize, Result<(), OpError>)>,
    /// The tags released, in order.
    pub released: Vec<usize>,
    /// Whether the logger has finished.
    pub is_finished: bool,
    sector_size: SectorSize,
    names: Vec<OpId>,
    is_held: bool,
    is_failing: bool,
}

impl<const N: usize> Rig<N> {
    /// A new log, opened.
    ///
    /// # Errors
    /// [`ConfigError`] as the logger's.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self::with(Logger::new(config)?, Vec::new()))
    }

    /// Goes on with the log in `image`.
    ///
    /// # Errors
    /// The reader's or the logger's.
    pub fn resume(config: Config, image: Vec<u8>) -> Result<Self, Box<dyn Error>> {
        let point = resume_point(&image)?;
        Ok(Self::with(Logger::resume(config, point)?, image))
    }

    fn with(logger: Logger<N>, image: Vec<u8>) -> Self {
        let sector_size = logger.config().sector_size;
        let mut rig = Self {
            logger,
            log: LogDevice::new(sector_size, image),
            issued: Vec::new(),
            done: Vec::new(),
            released: Vec::new(),
            is_finished: false,
            sector_size,
            names: (0..N).map(OpId).collect(),
            is_held: false,
            is_failing: false,
        };
        rig.poll();
        rig
    }

    /// From now on the payload of `tag` names `id`.
    pub fn name(&mut self, tag: usize, id: OpId) {
        self.names[tag] = id;
    }

    /// From now on log writes and flushes stay in flight; or no longer, and those that do complete.
    pub fn hold_log(&mut self, is_held: bool) {
        self.is_held = is_held;
        self.poll();
    }

    /// From now on log writes and flushes fail, or no longer.
    pub const fn fail_log(&mut self, is_failing: bool) {
        self.is_failing = is_failing;
    }

    /// Submits, and carries out what the logger asks for.
    ///
    /// # Errors
    /// The logger's.
    pub fn submit(&mut self, tag: usize, op: Op) -> Result<(), SubmitError> {
        self.logger.submit(tag_of(tag), op)?;
        self.poll();
        Ok(())
    }

    /// Submits a write.
    ///
    /// # Errors
    /// The logger's.
    pub fn write(&mut self, tag: usize, extent: Extent, flags: WriteFlags) -> Result<(), SubmitError> {
        self.submit(tag, Op::Write { extent, flags })
    }

    /// The data device has finished.
    ///
    /// # Errors
    /// [`NotInFlight`] as the logger's.
    pub fn complete(&mut self, tag: usize, outcome: Outcome) -> Result<(), NotInFlight> {
        self.logger.complete(tag_of(tag), outcome)?;
        self.issued.retain(|other| *other != tag);
        self.poll();
        Ok(())
    }

    /// The log device finishes what it was asked first, or second, and so on, of all that it has not finished.
    ///
    /// # Errors
    /// [`NotInFlight`] as the logger's, or if there is not so much.
    pub fn log_complete(&mut self, at: usize, outcome: Outcome) -> Result<(), NotInFlight> {
        let id = self.log.in_flight().nth(at).ok_or(NotInFlight)?;
        self.finish_log(id, outcome)?;
        self.poll();
        Ok(())
    }

    /// Closes the log.
    pub fn finish(&mut self) {
        self.logger.finish();
        self.poll();
    }

    /// Whether the operation was acknowledged as done.
    #[must_use]
    pub fn is_done(&self, tag: usize) -> bool {
        self.done.contains(&(tag, Ok(())))
    }

    /// The contents of the log, whatever the superblock counts: `W3` for a write of tag 3, `FUA3`, `zeroes 0+4`,
    /// `discard 0+4`, `FLUSH`, `mark TEXT`.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        let mut image = self.log.seen().to_vec();
        let superblock = Superblock { nr_entries: u64::MAX, sector_size: self.sector_size };
        let header = superblock.emit();
        if let Some(head) = image.get_mut(..header.len()) {
            head.copy_from_slice(&header);
        }
        read_entries(&image)
    }

    /// What the superblock counts of it.
    #[must_use]
    pub fn counted(&self) -> Vec<String> {
        read_entries(self.log.seen())
    }

    fn poll(&mut self) {
        loop {
            while let Some(command) = self.logger.poll() {
                self.carry_out(command);
            }
            let Some(id) = self.log.in_flight().next().filter(|_| !self.is_held) else { break };
            let outcome = if self.is_failing { Outcome::Failed } else { Outcome::Ok };
            assert!(self.finish_log(id, outcome).is_ok(), "what the log device has is in flight");
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Data { tag, .. } => self.issued.push(tag.index()),
            Command::Log { id, write } => {
                let bytes = bytes_of(&write, |tag, len| self.payload(tag, len));
                let started = self.log.start_write(id, write.offset_bytes(), bytes);
                assert!(started.is_ok(), "{started:?}");
            }
            Command::FlushLog { id } => self.log.start_flush(id),
            Command::Done { tag, result } => self.done.push((tag.index(), result)),
            Command::Release(tag) => self.released.push(tag.index()),
            Command::Finished => self.is_finished = true,
        }
    }

    fn finish_log(&mut self, id: LogId, outcome: Outcome) -> Result<(), NotInFlight> {
        self.log.finish(id, outcome == Outcome::Ok, &mut Seeded::new(0, 0));
        self.logger.log_complete(id, outcome)
    }

    /// A mark's text is shorter than a sector; a payload is whole sectors.
    fn payload(&self, tag: Tag, len_bytes: u64) -> Vec<u8> {
        let id = self.names[tag.index()];
        if self.sector_size.is_aligned(len_bytes) {
            payload(id, len_bytes / self.sector_size.bytes(), self.sector_size)
        } else {
            mark_text(id, u32::try_from(len_bytes).unwrap_or(u32::MAX))
        }
    }
}

/// The bytes of a log write.
pub fn bytes_of(write: &LogWrite, mut payload: impl FnMut(Tag, u64) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(narrow(write.len_bytes()));
    for segment in write.segments() {
        match segment {
            Segment::Header(header) => bytes.extend_from_slice(&header),
            Segment::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Segment::Payload { tag, len_bytes } => bytes.extend(payload(tag, len_bytes)),
            Segment::Zeros { len_bytes } => {
                bytes.resize(bytes.len() + narrow(len_bytes), 0);
            }
        }
    }
    bytes
}

fn tag_of(index: usize) -> Tag {
    Tag::new(u16::try_from(index).unwrap_or(u16::MAX))
}

/// The entries that a log's superblock counts, up to the first that is none.
fn read_entries(log: &[u8]) -> Vec<String> {
    let Ok(mut slice) = LogSlice::open(log) else { return Vec::new() };
    let sector_bytes = narrow(slice.superblock().sector_size.bytes());
    let mut entries = Vec::new();
    while let Some(Ok(entry)) = slice.next() {
        let stamp = slice.payload(&entry).get(..sector_bytes).and_then(Stamp::read);
        let writer = stamp.and_then(Stamp::writer).map(|(id, _)| id.0);
        let extent = entry.extent();
        entries.push(match (slice.mark_text(&entry), writer) {
            (Some(text), _) => format!("mark {}", String::from_utf8_lossy(text)),
            (None, Some(id)) if entry.flags().contains(Flags::FUA) => format!("FUA{id}"),
            (None, Some(id)) => format!("W{id}"),
            (None, None) if entry.flags() == Flags::FLUSH => "FLUSH".into(),
            (None, None) if entry.flags() == Flags::DISCARD => format!("discard {extent}"),
            (None, None) => format!("zeroes {extent}"),
        });
    }
    entries
}

/// Where a logger continues a log.
///
/// # Errors
/// The reader's.
pub fn resume_point(log: &[u8]) -> Result<ResumePoint, Box<dyn Error>> {
    let slice = LogSlice::open(log)?;
    let mut position = Position { index: 0, offset_bytes: slice.superblock().sector_size.bytes() };
    let mut unflushed = false;
    for entry in slice {
        let entry = entry?;
        position = Position { index: entry.index + 1, offset_bytes: entry.end_bytes() };
        unflushed = !entry.flags().contains(Flags::FLUSH);
    }
    Ok(ResumePoint { position, unflushed })
}
