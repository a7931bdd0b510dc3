//! A blocking driver: carries out a recorder's commands on a data device and a log device.
//!
//! It joins adjacent log writes into one. For that it puts them off until something needs them: so operations are
//! submitted with [`Driver::submit`], which is done as soon as the data device is, and [`Driver::drain`] writes
//! what the log still lacks.
//!
//! ```
//! use logwrites_core::device::{NoData, Seeking};
//! use logwrites_core::drive::Driver;
//! use logwrites_core::{Config, Extent, Logger, SectorSize, WriteFlags};
//! # #[derive(Default)]
//! # struct Memory { bytes: Vec<u8>, at: usize }
//! # impl embedded_io::ErrorType for Memory { type Error = core::convert::Infallible; }
//! # impl embedded_io::Write for Memory {
//! #     fn write(&mut self, buffer: &[u8]) -> Result<usize, Self::Error> {
//! #         let end = self.at + buffer.len();
//! #         self.bytes.resize(self.bytes.len().max(end), 0);
//! #         self.bytes[self.at..end].copy_from_slice(buffer);
//! #         self.at = end;
//! #         Ok(buffer.len())
//! #     }
//! #     fn flush(&mut self) -> Result<(), Self::Error> { Ok(()) }
//! # }
//! # impl embedded_io::Seek for Memory {
//! #     fn seek(&mut self, to: embedded_io::SeekFrom) -> Result<u64, Self::Error> {
//! #         if let embedded_io::SeekFrom::Start(at) = to { self.at = at as usize; }
//! #         Ok(self.at as u64)
//! #     }
//! # }
//!
//! // One operation at a time; the log goes to anything that can write and seek.
//! let logger = Logger::<1>::new(Config::new(SectorSize::B512))?;
//! let mut driver: Driver<_, _, _> = Driver::new(logger, NoData, Seeking(Memory::default()));
//! driver.write(Extent::new(7, 1).unwrap(), &[0xaa; 512], WriteFlags::empty())?;
//! driver.mark(b"written")?;
//! driver.flush()?;
//! let (_, Seeking(log)) = driver.finish()?;
//! assert_eq!(log.bytes.len(), 512 * (1 + 2 + 1 + 1));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use core::fmt;

use heapless::Vec;

use crate::command::{Command, LogId, LogWrite};
use crate::config::Config;
use crate::device::{DataDevice, LogDevice, Piece};
use crate::format::{MarkText, MarkTextError};
use crate::geometry::Extent;
use crate::logger::{Logger, NotInFlight, SubmitError};
use crate::op::{Op, OpError, Outcome, Tag, WriteFlags};
use crate::perform::{self, PerformError};
use crate::reader::Position;

/// The state machine that a driver drives: [`Logger`], or an overlay disk.
pub trait Recorder {
    /// What it was started with.
    fn config(&self) -> &Config;
    /// As [`Logger::submit`].
    ///
    /// # Errors
    /// As [`Logger::submit`].
    fn submit(&mut self, tag: Tag, op: Op) -> Result<(), SubmitError>;
    /// As [`Logger::complete`].
    ///
    /// # Errors
    /// As [`Logger::complete`].
    fn complete(&mut self, tag: Tag, outcome: Outcome) -> Result<(), NotInFlight>;
    /// As [`Logger::log_complete`].
    ///
    /// # Errors
    /// As [`Logger::log_complete`].
    fn log_complete(&mut self, id: LogId, outcome: Outcome) -> Result<(), NotInFlight>;
    /// As [`Logger::poll`].
    fn poll(&mut self) -> Option<Command>;
    /// As [`Logger::log_early`]: nothing, where nothing is held back.
    fn log_early(&mut self) {}
    /// As [`Logger::finish`].
    fn finish(&mut self);
    /// As [`Logger::logged`].
    fn logged(&self) -> Position;
    /// As [`Logger::reach_bytes`].
    fn reach_bytes(&self, op: Op) -> u64;
    /// As [`Logger::is_unflushed`].
    fn is_unflushed(&self) -> bool;
    /// As [`Logger::failure`].
    fn failure(&self) -> Option<OpError>;
}

impl<const N: usize> Recorder for Logger<N> {
    fn config(&self) -> &Config {
        self.config()
    }

    fn submit(&mut self, tag: Tag, op: Op) -> Result<(), SubmitError> {
        self.submit(tag, op)
    }

    fn complete(&mut self, tag: Tag, outcome: Outcome) -> Result<(), NotInFlight> {
        self.complete(tag, outcome)
    }

    fn log_complete(&mut self, id: LogId, outcome: Outcome) -> Result<(), NotInFlight> {
        self.log_complete(id, outcome)
    }

    fn poll(&mut self) -> Option<Command> {
        self.poll()
    }

    fn log_early(&mut self) {
        self.log_early();
    }

    fn finish(&mut self) {
        self.finish();
    }

    fn logged(&self) -> Position {
        self.logged()
    }

    fn reach_bytes(&self, op: Op) -> u64 {
        self.reach_bytes(op)
    }

    fn is_unflushed(&self) -> bool {
        self.is_unflushed()
    }

    fn failure(&self) -> Option<OpError> {
        self.failure()
    }
}

/// Where the payloads are that the front end keeps under its tags.
pub trait Payloads {
    /// The payload of an operation in flight: at least as long as its extent, or as the text of its mark.
    fn payload(&self, tag: Tag) -> &[u8];
}

/// Payloads by the index of their tag; one that is missing is empty.
impl<T: AsRef<[u8]>> Payloads for [T] {
    fn payload(&self, tag: Tag) -> &[u8] {
        self.get(tag.index()).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// What a driver tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// See [`Command::Done`].
    Done {
        /// The operation's handle.
        tag: Tag,
        /// How it went.
        result: Result<(), OpError>,
    },
    /// See [`Command::Release`].
    Release(Tag),
    /// See [`Command::Finished`].
    Finished,
}

/// A recorder and its two devices. `BATCH` is how many log writes it may put off and join; it takes about 350 bytes
/// of stack for each of them while it writes.
#[derive(Debug)]
pub struct Driver<R, D, L, const BATCH: usize = 8>
where
    D: DataDevice,
    L: LogDevice,
{
    recorder: R,
    data: D,
    log: L,
    batch: Vec<(LogId, LogWrite), BATCH>,
    data_error: Option<D::Error>,
    log_error: Option<L::Error>,
}

impl<R: Recorder, D: DataDevice, L: LogDevice, const BATCH: usize> Driver<R, D, L, BATCH> {
    /// A driver of these devices. It does nothing before the first call.
    pub const fn new(recorder: R, data: D, log: L) -> Self {
        Self { recorder, data, log, batch: Vec::new(), data_error: None, log_error: None }
    }

    /// The recorder.
    pub const fn recorder(&self) -> &R {
        &self.recorder
    }

    /// The data device, to read from. What is in flight may not be there yet: [`drain`](Self::drain) first.
    pub const fn data(&self) -> &D {
        &self.data
    }

    /// The log device, to read from. What is in flight may not be there yet: [`drain`](Self::drain) first.
    pub const fn log(&self) -> &L {
        &self.log
    }

    /// The log device, to make ready for what comes, as by taking storage. It is not to be written through this.
    pub const fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// Whether the data device has failed since the last [`take_data_error`](Self::take_data_error): before the log has
    /// been told, and so before the operation is acknowledged.
    pub const fn has_data_error(&self) -> bool {
        self.data_error.is_some()
    }

    /// The first error of the data device since the last call.
    pub const fn take_data_error(&mut self) -> Option<D::Error> {
        self.data_error.take()
    }

    /// The first error of the log device since the last call.
    pub const fn take_log_error(&mut self) -> Option<L::Error> {
        self.log_error.take()
    }

    /// Submits an operation, carries it out on the data device, and puts off its log write. An operation that must
    /// wait for another one does so.
    ///
    /// # Errors
    /// [`SubmitError`]; then nothing has changed. On [`SubmitError::Full`], [`drain`](Self::drain) and try again.
    pub fn submit(
        &mut self,
        tag: Tag,
        op: Op,
        payloads: &(impl Payloads + ?Sized),
        events: impl FnMut(Event),
    ) -> Result<(), SubmitError> {
        op.payload(payloads.payload(tag), self.recorder.config().sector_size)?;
        self.recorder.submit(tag, op)?;
        self.advance(payloads, events);
        Ok(())
    }

    /// Carries out everything there is to do; nothing is in flight afterwards.
    pub fn drain(&mut self, payloads: &(impl Payloads + ?Sized), mut events: impl FnMut(Event)) {
        loop {
            self.advance(payloads, &mut events);
            if self.batch.is_empty() {
                return;
            }
            self.write_batch(payloads);
        }
    }

    /// Closes the log: [`Event::Finished`] is the last event.
    pub fn close(&mut self, payloads: &(impl Payloads + ?Sized), events: impl FnMut(Event)) {
        self.recorder.finish();
        self.drain(payloads, events);
    }

    /// The two devices, for what comes after the log was closed.
    pub fn into_devices(self) -> (D, L) {
        (self.data, self.log)
    }

    fn advance(&mut self, payloads: &(impl Payloads + ?Sized), mut events: impl FnMut(Event)) {
        while let Some(command) = self.recorder.poll() {
            match command {
                Command::Data { tag, op } => {
                    let outcome = self.run_data(op, payloads.payload(tag));
                    self.completed(|recorder| recorder.complete(tag, outcome));
                }
                Command::Log { id, write } => {
                    let pushed = self.batch.push((id, write));
                    debug_assert!(pushed.is_ok(), "a full batch is written at once");
                    if self.batch.is_full() {
                        self.write_batch(payloads);
                    }
                }
                Command::FlushLog { id } => {
                    self.write_batch(payloads);
                    let outcome = keep_first(self.log.flush(), &mut self.log_error);
                    self.completed(|recorder| recorder.log_complete(id, outcome));
                }
                Command::Done { tag, result } => events(Event::Done { tag, result }),
                Command::Release(tag) => events(Event::Release(tag)),
                Command::Finished => events(Event::Finished),
            }
        }
    }

    fn run_data(&mut self, op: Op, kept: &[u8]) -> Outcome {
        let sector_size = self.recorder.config().sector_size;
        match perform::data(&mut self.data, op, kept, sector_size) {
            Ok(outcome) => outcome,
            Err(PerformError::Device(error)) => keep_first(Err(error), &mut self.data_error),
            // It has become shorter since it was submitted.
            Err(PerformError::Payload(_)) => Outcome::Failed,
        }
    }

    /// Writes what was put off, each run of adjacent writes in one.
    fn write_batch(&mut self, payloads: &(impl Payloads + ?Sized)) {
        let batch = core::mem::take(&mut self.batch);
        for run in batch.chunk_by(|(_, a), (_, b)| a.is_followed_by(b)) {
            let outcome = self.write_run(run, payloads);
            for (id, _) in run {
                self.completed(|recorder| recorder.log_complete(*id, outcome));
            }
        }
    }

    fn write_run(&mut self, run: &[(LogId, LogWrite)], payloads: &(impl Payloads + ?Sized)) -> Outcome {
        let Some((_, first)) = run.first() else {
            return Outcome::Ok;
        };
        let segments: Vec<_, BATCH> = run.iter().map(|(_, write)| write.segments()).collect();
        let mut offset_bytes = first.offset_bytes();
        let mut pieces = Vec::<Piece<'_>, MAX_PIECES>::new();
        let mut pieces_bytes = 0;
        for ((_, write), segments) in run.iter().zip(&segments) {
            let kept = write.payload_tag().map_or(&[][..], |tag| payloads.payload(tag));
            for piece in perform::pieces(segments, kept) {
                // It has become shorter since it was submitted.
                let Ok(piece) = piece else {
                    return Outcome::Failed;
                };
                let pushed = pieces.push(piece);
                debug_assert!(pushed.is_ok(), "full pieces are written at once");
                pieces_bytes += piece.len_bytes();
                if pieces.is_full() {
                    if keep_first(self.log.write(offset_bytes, &pieces), &mut self.log_error) != Outcome::Ok {
                        return Outcome::Failed;
                    }
                    offset_bytes += pieces_bytes;
                    pieces_bytes = 0;
                    pieces.clear();
                }
            }
        }
        if pieces.is_empty() {
            return Outcome::Ok;
        }
        keep_first(self.log.write(offset_bytes, &pieces), &mut self.log_error)
    }

    fn completed(&mut self, report: impl FnOnce(&mut R) -> Result<(), NotInFlight>) {
        let reported = report(&mut self.recorder);
        debug_assert_eq!(reported, Ok(()), "each command is reported once");
    }
}

/// One operation at a time: each call returns when the operation is acknowledged and its entry written.
impl<D: DataDevice, L: LogDevice, const BATCH: usize> Driver<Logger<1>, D, L, BATCH> {
    /// Writes `bytes`, as long as the extent.
    ///
    /// # Errors
    /// [`DriveError`].
    pub fn write(
        &mut self,
        extent: Extent,
        bytes: &[u8],
        flags: WriteFlags,
    ) -> Result<(), DriveError<D::Error, L::Error>> {
        self.one(Op::Write { extent, flags }, bytes)
    }

    /// Makes an extent read as zeros.
    ///
    /// # Errors
    /// [`DriveError`].
    pub fn write_zeroes(
        &mut self,
        extent: Extent,
        flags: WriteFlags,
    ) -> Result<(), DriveError<D::Error, L::Error>> {
        self.one(Op::WriteZeroes { extent, flags }, &[])
    }

    /// Discards an extent.
    ///
    /// # Errors
    /// [`DriveError`].
    pub fn discard(&mut self, extent: Extent) -> Result<(), DriveError<D::Error, L::Error>> {
        self.one(Op::Discard { extent }, &[])
    }

    /// Makes everything durable, in the data and in the log.
    ///
    /// # Errors
    /// [`DriveError`].
    pub fn flush(&mut self) -> Result<(), DriveError<D::Error, L::Error>> {
        self.one(Op::Flush, &[])
    }

    /// Puts a mark into the log.
    ///
    /// # Errors
    /// [`DriveError`].
    pub fn mark(&mut self, text: &[u8]) -> Result<(), DriveError<D::Error, L::Error>> {
        let text = MarkText::new(text, self.recorder.config().sector_size)?;
        self.one(Op::mark(text), text.bytes())
    }

    /// Closes the log and gives the devices back.
    ///
    /// # Errors
    /// [`DriveError`] if the log could not be completed.
    pub fn finish(mut self) -> Result<(D, L), DriveError<D::Error, L::Error>> {
        self.close(&One(&[]), |_| {});
        match self.recorder.failure() {
            Some(error) => Err(self.error(error)),
            None => Ok((self.data, self.log)),
        }
    }

    fn one(&mut self, op: Op, payload: &[u8]) -> Result<(), DriveError<D::Error, L::Error>> {
        let payloads = One(payload);
        let (mut result, mut is_released) = (Ok(()), false);
        let mut events = |event| match event {
            Event::Done { result: done, .. } => result = done,
            Event::Release(_) => is_released = true,
            Event::Finished => {}
        };
        self.submit(Tag::new(0), op, &payloads, &mut events)?;
        self.drain(&payloads, &mut events);
        debug_assert!(is_released, "the only slot is logged at once in either ordering");
        result.map_err(|error| self.error(error))
    }

    fn error(&mut self, error: OpError) -> DriveError<D::Error, L::Error> {
        match (self.data_error.take(), self.log_error.take()) {
            (Some(data), _) => DriveError::Data(data),
            (None, Some(log)) => DriveError::Log(log),
            (None, None) => DriveError::Earlier(error),
        }
    }
}

/// Why an operation of a driver that does one at a time failed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<D: fmt::Debug, L: fmt::Debug> {
    /// The logger did not take it; nothing has changed.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The text of a mark is not valid; nothing has changed.
    #[error(transparent)]
    Mark(#[from] MarkTextError),
    /// The data device failed.
    #[error("the data device failed: {0:?}")]
    Data(D),
    /// The log device failed.
    #[error("the log device failed: {0:?}")]
    Log(L),
    /// An earlier failure prevents it.
    #[error("an earlier failure: {0}")]
    Earlier(OpError),
}

/// The payload of the only operation.
struct One<'a>(&'a [u8]);

impl Payloads for One<'_> {
    fn payload(&self, _tag: Tag) -> &[u8] {
        self.0
    }
}

fn keep_first<E>(result: Result<(), E>, first: &mut Option<E>) -> Outcome {
    match result {
        Ok(()) => Outcome::Ok,
        Err(error) => {
            first.get_or_insert(error);
            Outcome::Failed
        }
    }
}

/// The most pieces that one log write is made of. Systems take at least 1024 (`IOV_MAX`).
const MAX_PIECES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::NoData;
    use crate::geometry::SectorSize;
    use crate::op::ShortPayload;
    use crate::reader::LogSlice;

    #[test]
    fn a_payload_that_is_too_short_is_refused_before_anything_is_written() {
        let logger = Logger::<1>::new(Config::new(SectorSize::B512)).unwrap();
        let mut driver: Driver<_, _, _> = Driver::new(logger, NoData, Memory([0; 512 * 16]));
        let extent = Extent::new(7, 2).unwrap();
        let error = driver.write(extent, &[0xaa; 1023], WriteFlags::empty()).unwrap_err();
        let short = ShortPayload { kept_bytes: 1023, needed_bytes: 1024 };
        assert!(matches!(error, DriveError::Submit(SubmitError::Payload(error)) if error == short));
        driver.write(extent, &[0xbb; 1024], WriteFlags::empty()).unwrap();
        let (_, Memory(log)) = driver.finish().unwrap();
        let mut entries = LogSlice::open(&log).unwrap();
        let entry = entries.next().unwrap().unwrap();
        assert_eq!(entries.payload(&entry), [0xbb; 1024], "and there is no mark of a write that failed");
        assert!(entries.next().is_none());
    }

    #[derive(Debug)]
    struct Memory([u8; 512 * 16]);

    impl LogDevice for Memory {
        type Error = core::convert::Infallible;

        fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), Self::Error> {
            let mut at = usize::try_from(offset_bytes).unwrap();
            for piece in pieces {
                let len = usize::try_from(piece.len_bytes()).unwrap();
                match piece {
                    Piece::Bytes(bytes) => self.0[at..at + len].copy_from_slice(bytes),
                    Piece::Zeros { .. } => self.0[at..at + len].fill(0),
                }
                at += len;
            }
            Ok(())
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
}
