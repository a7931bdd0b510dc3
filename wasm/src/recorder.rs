//! A disk that lives in its log: core's overlay, with a log device that JavaScript implements.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::rc::Rc;

use logwrites_core::config::SuperblockPolicy;
use logwrites_core::drive::Recorder as _;
use logwrites_core::format::{Flags, HEADER_LEN, MarkText, Superblock};
use logwrites_core::history::{EntrySet, Index};
use logwrites_core::logger::SubmitError;
use logwrites_core::overlay::Overlay;
use logwrites_core::reader::Walk;
use logwrites_core::{
    Command, Config, Extent, LogId, LogWrite, Op, OpError, Outcome, SectorSize, Segment, Tag, WriteFlags,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::disk_map::pieces;
use crate::error::Error;
use crate::history::History;
use crate::number::{to_f64, to_u64};
use crate::past::Past;

#[wasm_bindgen]
extern "C" {
    /// Where the log goes. It takes everything at once, into memory; what becomes of it later it reports by
    /// [`Recorder::flushed`] and [`Recorder::fail`], and never from within one of these calls.
    pub type Device;

    /// A log write: at `offset`, a sector that begins with `head`, and after it a body of `body_bytes` bytes: zeros, or
    /// the payload of the operation that is being submitted.
    #[wasm_bindgen(method)]
    fn record(this: &Device, offset: f64, head: &[u8], sector_bytes: u32, body_bytes: f64, is_payload: bool);

    /// Everything recorded so far is to become durable, before anything recorded later reaches the log; then, if
    /// `is_awaited`, [`Recorder::flushed`] is to be called.
    #[wasm_bindgen(method)]
    fn flush(this: &Device, is_awaited: bool);

    /// The operation with this tag is done: 0 well, 1 since the log failed, 2 since a flush did.
    #[wasm_bindgen(method)]
    fn done(this: &Device, tag: u16, failure: u8);
}

/// Core's overlay over a device.
///
/// A log write is complete as soon as the device has it in its memory, as one that a system has in its page cache;
/// only a flush of the log takes time. So at most flushes and FUAs are in flight between two calls.
///
/// The flush that opens a log is not waited for: what it is to come before cannot overtake it in the device, and a
/// payload that had to wait for it would have to be kept.
#[wasm_bindgen]
pub struct Recorder {
    overlay: Box<Overlay<SLOTS>>,
    device: Device,
    past: Rc<RefCell<Past>>,
    /// The entries as a reader would walk over them.
    walk: Walk,
    free: Vec<Tag>,
    flush_in_flight: Option<LogId>,
    is_open: bool,
    /// The text of the mark that is being submitted.
    text: Vec<u8>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("walk", &self.walk).finish_non_exhaustive()
    }
}

#[wasm_bindgen]
impl Recorder {
    /// A new log.
    ///
    /// # Errors
    /// `BAD_SECTOR_SIZE`, `NO_SPACE` if the capacity is too small for any log, `UNSAFE_NUMBER`.
    #[wasm_bindgen(constructor)]
    pub fn new(device: Device, options: &RecorderOptions) -> Result<Self, Error> {
        let config = options.config()?;
        let superblock = Superblock { nr_entries: 0, sector_size: config.sector_size };
        let past = Rc::new(RefCell::new(Past::new(Index::new(superblock))));
        let overlay = Box::new(Overlay::new(config)?);
        Ok(Self::open(overlay, device, past, Walk::new(superblock, None)))
    }

    /// Goes on with the log whose entries are `history`, cut at `point`. The history is the recorder's from now on.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn resume(
        device: Device,
        options: &RecorderOptions,
        history: &History,
        point: f64,
    ) -> Result<Self, Error> {
        let past = Rc::clone(history.past());
        let sector_size = past.borrow().index().sector_size();
        let config = Config { sector_size, ..options.config()? };
        past.borrow_mut().truncate(to_u64(point)?);
        let resume_point = past.borrow().index().resume_point();
        let map = past.borrow_mut().map_at(resume_point.position.index, &EntrySet::empty());
        let overlay = Box::new(Overlay::resume(config, resume_point, map)?);
        let superblock = Superblock { nr_entries: u64::MAX, sector_size };
        let walk = Walk::new(superblock, None).at(resume_point.position);
        Ok(Self::open(overlay, device, past, walk))
    }

    /// Logs a write. The device takes the payload from where JavaScript has put it. Gives the operation's tag, to be
    /// told of by the device's `done`.
    ///
    /// # Errors
    /// `UNALIGNED`, `OUT_OF_RANGE`, `NO_SPACE`, `CLOSED`, `BUSY`, `UNSAFE_NUMBER`; then nothing has changed.
    pub fn write(&mut self, offset: f64, length: f64, fua: bool) -> Result<u16, Error> {
        let extent = self.extent(offset, length)?;
        let flags = if fua { WriteFlags::FUA } else { WriteFlags::empty() };
        self.submit(Op::Write { extent, flags })
    }

    /// Logs a write of zeros.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[wasm_bindgen(js_name = writeZeroes)]
    pub fn write_zeroes(&mut self, offset: f64, length: f64, fua: bool) -> Result<u16, Error> {
        let extent = self.extent(offset, length)?;
        let flags = if fua { WriteFlags::FUA } else { WriteFlags::empty() };
        self.submit(Op::WriteZeroes { extent, flags })
    }

    /// Logs a discard, which makes zeros.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn discard(&mut self, offset: f64, length: f64) -> Result<u16, Error> {
        let extent = self.extent(offset, length)?;
        self.submit(Op::Discard { extent })
    }

    /// Logs a flush, if anything was logged since the last one.
    ///
    /// # Errors
    /// `BUSY`, `CLOSED`.
    pub fn flush(&mut self) -> Result<u16, Error> {
        self.submit(Op::Flush)
    }

    /// Logs a mark.
    ///
    /// # Errors
    /// `BAD_MARK`, and as [`write`](Self::write).
    pub fn mark(&mut self, text: &[u8]) -> Result<u16, Error> {
        let op = Op::mark(MarkText::new(text, self.sector_size())?);
        let tag = self.take_tag(op)?;
        self.text.clear();
        self.text.extend_from_slice(text);
        self.submit_as(tag, op)
    }

    /// Records a superblock that counts the entries so far.
    pub fn count(&mut self) {
        let superblock =
            Superblock { nr_entries: self.overlay.logged().index, sector_size: self.sector_size() };
        self.device.record(0.0, &superblock.emit(), self.sector_size().bytes_u32(), 0.0, false);
    }

    /// Closes the log.
    pub fn finish(&mut self) {
        self.overlay.finish();
        self.run();
    }

    /// Says that the device's flush has ended.
    pub fn flushed(&mut self, ok: bool) {
        let outcome = if ok { Outcome::Ok } else { Outcome::Failed };
        if let Some(id) = self.flush_in_flight.take() {
            let reported = self.overlay.log_complete(id, outcome);
            debug_assert_eq!(reported, Ok(()), "it was given out");
        }
        self.run();
    }

    /// Says that the device has failed, and only the first `readable` bytes of the log are there: forgets the
    /// entries after them, and returns the superblock that counts the others. Nothing can be submitted any more.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn fail(&mut self, readable: f64) -> Result<Vec<u8>, Error> {
        let readable = to_u64(readable)?;
        let mut past = self.past.borrow_mut();
        let mut nr_entries = past.index().nr_entries();
        while nr_entries > 0
            && past.index().entry(nr_entries - 1).is_some_and(|entry| entry.end_bytes() > readable)
        {
            nr_entries -= 1;
        }
        past.truncate(nr_entries);
        drop(past);
        self.overlay.finish();
        self.flushed(false);
        Ok(Superblock { nr_entries, sector_size: self.sector_size() }.emit().to_vec())
    }

    /// Where a range of the disk is now, as [`DiskMap::pieces`](crate::DiskMap::pieces).
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn pieces(&self, offset: f64, length: f64) -> Result<Vec<f64>, Error> {
        pieces(self.overlay.map(), offset, length)
    }

    /// The entries so far, and from now on.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn history(&self) -> History {
        History::new(Rc::clone(&self.past))
    }

    /// Where the next entry goes, in bytes from the start of the log.
    #[wasm_bindgen(getter, js_name = endBytes)]
    #[must_use]
    pub fn end_bytes(&self) -> f64 {
        to_f64(self.overlay.logger().end_bytes())
    }
}

impl Recorder {
    fn open(overlay: Box<Overlay<SLOTS>>, device: Device, past: Rc<RefCell<Past>>, walk: Walk) -> Self {
        let free = (0..).map(Tag::new).take(SLOTS).collect();
        let text = Vec::new();
        let mut recorder =
            Self { overlay, device, past, walk, free, flush_in_flight: None, is_open: false, text };
        recorder.run();
        while recorder.flush_in_flight.is_some() {
            recorder.flushed(true);
        }
        recorder.is_open = true;
        recorder
    }

    fn sector_size(&self) -> SectorSize {
        self.overlay.config().sector_size
    }

    fn extent(&self, offset: f64, length: f64) -> Result<Extent, Error> {
        Ok(self.sector_size().extent(to_u64(offset)?, to_u64(length)?)?)
    }

    fn submit(&mut self, op: Op) -> Result<u16, Error> {
        let tag = self.take_tag(op)?;
        self.submit_as(tag, op)
    }

    /// A free tag. The last few are kept from what waits for the log's flush, so that a plain write always has one.
    fn take_tag(&mut self, op: Op) -> Result<Tag, Error> {
        let is_slow = op == Op::Flush || op.is_fua();
        if is_slow && self.free.len() <= KEPT {
            return Err(Error::Busy { max: SLOTS - KEPT });
        }
        self.free.pop().ok_or(Error::Submit(SubmitError::Full))
    }

    fn submit_as(&mut self, tag: Tag, op: Op) -> Result<u16, Error> {
        if let Err(error) = self.overlay.submit(tag, op) {
            self.free.push(tag);
            return Err(error.into());
        }
        self.run();
        Ok(index_of(tag))
    }

    fn run(&mut self) {
        while let Some(command) = self.overlay.poll() {
            match command {
                Command::Log { id, write } => {
                    self.record(&write);
                    let reported = self.overlay.log_complete(id, Outcome::Ok);
                    debug_assert_eq!(reported, Ok(()), "it was given out");
                }
                Command::FlushLog { id } => {
                    self.flush_in_flight = Some(id);
                    self.device.flush(self.is_open);
                }
                Command::Done { tag, result } => self.device.done(index_of(tag), failure(result)),
                Command::Release(tag) => self.free.push(tag),
                // The overlay does its own; and after finish JavaScript waits for the last flush.
                Command::Data { .. } | Command::Finished => {}
            }
        }
    }

    /// Gives a log write to the device, and if it is an entry adds that to the history.
    fn record(&mut self, write: &LogWrite) {
        let sector_bytes = self.sector_size().bytes_u32();
        let body_bytes = to_f64(write.len_bytes() - u64::from(sector_bytes));
        let segments = write.segments();
        let Some(Segment::Header(header)) = segments.first() else {
            return;
        };
        let is_payload = matches!(segments.last(), Some(Segment::Payload { .. }));
        let entry = (write.offset_bytes() > 0).then(|| self.walk.step(header).ok()).flatten();
        match entry {
            Some(entry) if entry.flags().contains(Flags::MARK) => {
                let text = std::mem::take(&mut self.text);
                self.past.borrow_mut().index_mut().push(&entry, &text);
                let head = [header, text.as_slice()].concat();
                self.device.record(to_f64(write.offset_bytes()), &head, sector_bytes, 0.0, false);
                self.text = text;
            }
            _ => {
                if let Some(entry) = entry {
                    self.past.borrow_mut().index_mut().push(&entry, &[]);
                }
                self.device.record(
                    to_f64(write.offset_bytes()),
                    header,
                    sector_bytes,
                    body_bytes,
                    is_payload,
                );
            }
        }
    }
}

/// How a log is to be written.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub struct RecorderOptions {
    sector_size: u32,
    capacity: f64,
    barrier: bool,
    superblock_interval: f64,
}

#[wasm_bindgen]
impl RecorderOptions {
    /// `capacity` is in bytes; a negative one is none.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(sector_size: u32, capacity: f64, barrier: bool, superblock_interval: f64) -> Self {
        Self { sector_size, capacity, barrier, superblock_interval }
    }
}

impl RecorderOptions {
    fn config(self) -> Result<Config, Error> {
        let mut config = Config::new(SectorSize::try_from(self.sector_size)?);
        if self.capacity >= 0.0 {
            config.capacity_bytes = to_u64(self.capacity)?;
        }
        if self.barrier {
            config.superblock_policy = SuperblockPolicy::Barrier;
        }
        let interval = NonZeroU64::new(to_u64(self.superblock_interval)?);
        config.superblock_interval = interval.ok_or(Error::NoInterval)?;
        Ok(config)
    }
}

fn index_of(tag: Tag) -> u16 {
    u16::try_from(tag.index()).expect("it is below SLOTS")
}

const fn failure(result: Result<(), OpError>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(OpError::Data | OpError::Log) => 1,
        Err(OpError::Flush) => 2,
    }
}

/// Flushes that may wait for the sink, and [`KEPT`] tags more.
const SLOTS: usize = 512;

const KEPT: usize = 12;

const _: () = assert!(HEADER_LEN == 32, "the smallest sector holds a header");
