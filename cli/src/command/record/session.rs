//! A script, carried out: one command after another on the disk, while the log is written in larger pieces.

use std::fmt::Display;
use std::io;

use anyhow::Context as _;
use logwrites_core::device::{DataDevice, NoData};
use logwrites_core::drive::{Driver, Event, Recorder};
use logwrites_core::overlay::Overlay;
use logwrites_core::{Extent, Logger, Op, OpError, Ordering, Tag, WriteFlags};

use super::payloads::Pool;
use crate::device::{Disk, LogFile, View};
use crate::error::Failure;
use crate::interrupt;
use crate::output::progress::Progress;
use crate::script::{Script, ScriptCommand};

/// How many operations a recording may have in flight.
pub(super) const SLOTS: usize = 256;

/// What was recorded.
pub(super) struct Recorded {
    pub(super) commands: u64,
    pub(super) nr_entries: u64,
    pub(super) log_bytes: u64,
}

/// A recording under way.
pub(super) struct Session<R, D: DataDevice> {
    driver: Driver<R, D, LogFile, 64>,
    base: Option<Disk>,
    payloads: Pool,
    flight: Flight,
}

/// The tags: which are free, and what has become of the others.
struct Flight {
    free: Vec<Tag>,
    /// No longer in use; their payloads are still to be let go.
    released: Vec<Tag>,
    /// The first operation that failed.
    failed: Option<OpError>,
}

impl Flight {
    fn note(&mut self, event: Event) {
        match event {
            Event::Done { result: Err(error), .. } => {
                self.failed.get_or_insert(error);
            }
            Event::Release(tag) => self.released.push(tag),
            Event::Done { .. } | Event::Finished => {}
        }
    }
}

/// Reading back what was written.
pub(super) trait ReadBack {
    /// Reads an extent of the disk.
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()>;
    /// Makes what is on the disk durable, without a word in the log.
    fn sync(&self) -> io::Result<()>;
}

impl ReadBack for Session<Logger<SLOTS>, Disk> {
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        let sector_size = self.driver.recorder().config().sector_size;
        self.driver.data().read_at(sector_size.bytes_of(extent.sector()), buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.driver.data().sync()
    }
}

impl ReadBack for Session<Overlay<SLOTS>, NoData> {
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        let map = self.driver.recorder().map();
        View { base: self.base.as_ref(), log: self.driver.log().disk(), map }.read(extent, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Recorder, D: DataDevice<Error: Display>> Session<R, D>
where
    Self: ReadBack,
{
    pub(super) fn new(recorder: R, data: D, log: LogFile, base: Option<Disk>) -> Self {
        let free = (0..).map(Tag::new).take(SLOTS).collect();
        Self {
            driver: Driver::new(recorder, data, log),
            base,
            payloads: Pool::default(),
            flight: Flight { free, released: Vec::new(), failed: None },
        }
    }

    /// Carries out a script and closes the log, whatever happens; the log tells what was done.
    pub(super) fn run(mut self, script: &Script) -> (Recorded, anyhow::Result<()>) {
        let mut progress =
            Progress::count("recording", u64::try_from(script.commands().len()).unwrap_or(u64::MAX));
        let mut commands = 0;
        let mut result = Ok(());
        for (line, command) in script.iter() {
            result = interrupt::check(&format!(" before line {line}; the log holds everything up to there"))
                .map_err(anyhow::Error::new)
                .and_then(|()| self.carry_out(command).with_context(|| format!("line {line}: {command}")));
            if result.is_err() {
                break;
            }
            commands += 1;
            progress.set(commands);
        }
        let closed = self.close();
        let log = self.driver.recorder();
        let recorded = Recorded { commands, nr_entries: log.nr_entries(), log_bytes: log.end_bytes() };
        (recorded, result.and(closed))
    }

    fn carry_out(&mut self, command: &ScriptCommand) -> anyhow::Result<()> {
        let sector_size = self.driver.recorder().config().sector_size;
        let fua = |fua: bool| if fua { WriteFlags::FUA } else { WriteFlags::empty() };
        match *command {
            ScriptCommand::Write { offset_bytes, len_bytes, pattern, fua: is_fua } => {
                let extent = sector_size.extent(offset_bytes, len_bytes)?;
                let tag = self.free_tag()?;
                self.payloads.set_pattern(tag, pattern, usize::try_from(len_bytes)?);
                self.submit(tag, Op::Write { extent, flags: fua(is_fua) }, is_fua)
            }
            ScriptCommand::WriteZeroes { offset_bytes, len_bytes, unmap, fua: is_fua } => {
                let extent = sector_size.extent(offset_bytes, len_bytes)?;
                let unmap = if unmap { WriteFlags::UNMAP } else { WriteFlags::empty() };
                let tag = self.free_tag()?;
                self.submit(tag, Op::WriteZeroes { extent, flags: fua(is_fua) | unmap }, is_fua)
            }
            ScriptCommand::Discard { offset_bytes, len_bytes } => {
                let extent = sector_size.extent(offset_bytes, len_bytes)?;
                let tag = self.free_tag()?;
                self.submit(tag, Op::Discard { extent }, false)
            }
            ScriptCommand::Flush => self.flush(),
            ScriptCommand::Mark { ref text } => {
                let tag = self.free_tag()?;
                self.payloads.set_own(tag, text.to_vec());
                self.submit(tag, Op::Mark { len_bytes: u32::try_from(text.len())? }, false)
            }
            ScriptCommand::Read { offset_bytes, len_bytes, pattern } => {
                self.check_read(sector_size.extent(offset_bytes, len_bytes)?, pattern)
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let tag = self.free_tag()?;
        self.submit(tag, Op::Flush, true)
    }

    /// Reads what the disk has, and compares it with a pattern if there is one.
    fn check_read(&mut self, extent: Extent, pattern: Option<u8>) -> anyhow::Result<()> {
        self.drain()?;
        let sector_size = self.driver.recorder().config().sector_size;
        let step_sectors = (READ_BYTES / sector_size.bytes()).max(1);
        let mut buffer = Vec::new();
        let mut sector = extent.sector();
        while sector < extent.end() {
            let step = Extent::between(sector, extent.end().min(sector + step_sectors));
            buffer.resize(usize::try_from(sector_size.bytes_of(step.nr_sectors()))?, 0);
            self.read(step, &mut buffer).context("cannot read the disk")?;
            if let Some(pattern) = pattern
                && let Some((at, byte)) = buffer.iter().enumerate().find(|(_, byte)| **byte != pattern)
            {
                let at_bytes = sector_size.bytes_of(sector) + u64::try_from(at)?;
                let message = format!("byte {at_bytes} of the disk is {byte:#04x}, not {pattern:#04x}");
                return Err(Failure::Check(message).into());
            }
            sector = step.end();
        }
        Ok(())
    }

    /// A tag that is not in use; waits for one if need be.
    fn free_tag(&mut self) -> anyhow::Result<Tag> {
        if self.flight.free.is_empty() || self.payloads.is_large() {
            self.drain()?;
        }
        self.flight.free.pop().context("every operation in flight waits for another one")
    }

    /// Submits an operation; with `wait` returns when it is acknowledged.
    fn submit(&mut self, tag: Tag, op: Op, wait: bool) -> anyhow::Result<()> {
        let flight = &mut self.flight;
        let submitted = self.driver.submit(tag, op, &self.payloads, |event| flight.note(event));
        if let Err(error) = submitted {
            self.flight.released.push(tag);
            self.release();
            return Err(error.into());
        }
        self.release();
        if wait { self.drain() } else { self.check() }
    }

    /// Carries out all that was put off.
    fn drain(&mut self) -> anyhow::Result<()> {
        let flight = &mut self.flight;
        self.driver.drain(&self.payloads, |event| flight.note(event));
        self.release();
        self.check()
    }

    /// Ends the log as its ordering wants it, and closes it.
    fn close(&mut self) -> anyhow::Result<()> {
        let ordering = self.driver.recorder().config().ordering;
        let flushed = match ordering {
            Ordering::Completion if self.driver.recorder().is_unflushed() => self.flush(),
            Ordering::Completion => Ok(()),
            Ordering::Durability => self.sync().context("cannot sync the disk"),
        };
        let flight = &mut self.flight;
        self.driver.close(&self.payloads, |event| flight.note(event));
        self.release();
        flushed.and_then(|()| self.check())
    }

    /// Frees the tags that are no longer in use, and their payloads.
    fn release(&mut self) {
        for tag in self.flight.released.drain(..) {
            self.payloads.release(tag);
            self.flight.free.push(tag);
        }
    }

    /// The first thing that has gone wrong, with the device's own words.
    fn check(&mut self) -> anyhow::Result<()> {
        let Some(error) = self.flight.failed.take().or(self.driver.recorder().failure()) else {
            return Ok(());
        };
        let log_error =
            self.driver.take_log_error().map(|error| anyhow::Error::new(error).context("the log"));
        let data_error = self.driver.take_data_error().map(|error| anyhow::anyhow!("the disk: {error}"));
        let cause = log_error.or(data_error).unwrap_or_else(|| anyhow::anyhow!("an earlier failure"));
        Err(cause.context(error.to_string()))
    }
}

/// How much is read at a time, in bytes.
const READ_BYTES: u64 = 1 << 20;
