//! A script, carried out: one command after another on the disk, while the log is written in larger pieces.

use std::fmt::Display;
use std::io;

use anyhow::Context as _;
use logwrites_core::device::{DataDevice, NoData};
use logwrites_core::drive::{Driver, Event, Recorder};
use logwrites_core::num::widen;
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Extent, Logger, Op, OpError, Ordering, Tag, WriteFlags};

use super::payloads::Pool;
use crate::device::{Disk, LogFile, ReservedLog, View};
use crate::error::Failure;
use crate::interrupt::{self, Interrupted};
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
    driver: Driver<R, D, ReservedLog, 64>,
    base: Option<Disk>,
    payloads: Pool,
    flight: Flight,
    /// The command of the script that is being carried out.
    command: usize,
}

/// The tags: which are free, and what has become of the others.
struct Flight {
    free: Vec<Tag>,
    /// No longer in use; their payloads are still to be let go.
    released: Vec<Tag>,
    /// The command of the script that each tag is for.
    commands: Vec<usize>,
    /// The first operation that failed.
    failed: Option<(Tag, OpError)>,
}

impl Flight {
    fn note(&mut self, event: Event) {
        match event {
            Event::Done { tag, result: Err(error) } => {
                self.failed.get_or_insert((tag, error));
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
    /// What the disk is called.
    fn disk_name(&self) -> String;
}

impl ReadBack for Session<Logger<SLOTS>, Disk> {
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        let sector_size = self.driver.recorder().config().sector_size;
        self.driver.data().read_at(sector_size.bytes_of(extent.sector()), buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.driver.data().sync()
    }

    fn disk_name(&self) -> String {
        self.driver.data().path().display().to_string()
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

    fn disk_name(&self) -> String {
        "the overlay".to_owned()
    }
}

impl<R: Recorder, D: DataDevice<Error: Display>> Session<R, D>
where
    Self: ReadBack,
{
    pub(super) fn new(recorder: R, data: D, log: LogFile, base: Option<Disk>) -> Self {
        let free = (0..).map(Tag::new).take(SLOTS).collect();
        Self {
            driver: Driver::new(recorder, data, ReservedLog::new(log)),
            base,
            payloads: Pool::default(),
            flight: Flight { free, released: Vec::new(), commands: vec![0; SLOTS], failed: None },
            command: 0,
        }
    }

    /// Carries out a script and closes the log, whatever happens; the log tells what was done.
    pub(super) fn run(mut self, script: &Script) -> (Recorded, anyhow::Result<()>) {
        let nr_commands = script.commands().len();
        let mut progress = Progress::count("recording", widen(nr_commands));
        let mut result = Ok(());
        for (index, (line, command)) in script.iter().enumerate() {
            self.command = index;
            result = interrupt::check(&format!(" before line {line}; the log holds everything up to there"))
                .map_err(anyhow::Error::new)
                .and_then(|()| self.carry_out(command));
            if result.is_err() {
                break;
            }
            self.command = index + 1;
            progress.set(widen(index));
        }
        let result = result.and(self.close()).map_err(|error| match script.iter().nth(self.command) {
            Some(_) if error.is::<Interrupted>() => error,
            Some((line, command)) => error.context(format!("line {line}: {command}")),
            None => error,
        });
        let logged = self.driver.recorder().logged();
        let recorded = Recorded {
            commands: widen(self.command),
            nr_entries: logged.index,
            log_bytes: logged.offset_bytes,
        };
        (recorded, result)
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
        self.flight.free.pop().context("every operation in flight is waiting for another one")
    }

    /// Submits an operation; with `wait` returns when it is acknowledged.
    fn submit(&mut self, tag: Tag, op: Op, wait: bool) -> anyhow::Result<()> {
        if let Some(command) = self.flight.commands.get_mut(tag.index()) {
            *command = self.command;
        }
        let submitted = self.reserve(op).and_then(|()| {
            let flight = &mut self.flight;
            Ok(self.driver.submit(tag, op, &self.payloads, |event| flight.note(event))?)
        });
        if submitted.is_err() {
            self.flight.released.push(tag);
        }
        self.release();
        submitted?;
        if wait { self.drain() } else { self.check() }
    }

    /// Takes storage for the log before anything is touched: an operation without storage is refused.
    fn reserve(&mut self, op: Op) -> anyhow::Result<()> {
        let mut result = self.try_reserve(op);
        if result.is_err() && self.is_hole(op) {
            // What is in flight may come before the hole or after it, and needs room in both places until it is logged.
            self.drain()?;
            result = self.try_reserve(op);
        }
        result.map_err(|error| {
            let path = self.driver.log().disk().path().display().to_string();
            let error = anyhow::Error::new(error).context(path);
            error.context("the file system of the log is full, and nothing of this line was done")
        })
    }

    fn try_reserve(&mut self, op: Op) -> io::Result<()> {
        let is_hole = self.is_hole(op);
        let recorder = self.driver.recorder();
        let Config { sector_size, capacity_bytes, .. } = *recorder.config();
        let (logged_bytes, reach_bytes) = (recorder.logged().offset_bytes, recorder.reach_bytes(op));
        // A flush has its room since what came before it, and where the log ends the recorder refuses.
        if matches!(op, Op::Flush) || reach_bytes > capacity_bytes {
            return Ok(());
        }
        let log = self.driver.log_mut();
        if is_hole {
            log.reserve_around_hole(logged_bytes, sector_size.bytes_of(op.payload_sectors()), reach_bytes)
        } else {
            log.reserve(logged_bytes, reach_bytes)
        }
    }

    /// Whether the operation leaves a hole in the log.
    fn is_hole(&self, op: Op) -> bool {
        let payload_bytes = self.driver.recorder().config().sector_size.bytes_of(op.payload_sectors());
        matches!(op, Op::WriteZeroes { .. }) && payload_bytes > LARGE_ZEROES_BYTES
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
        let trimmed = self
            .driver
            .log_mut()
            .release()
            .context("cannot give back the storage that the log does not need");
        flushed.and_then(|()| self.check()).and(trimmed)
    }

    /// Frees the tags that are no longer in use, and their payloads.
    fn release(&mut self) {
        for tag in self.flight.released.drain(..) {
            self.payloads.release(tag);
            self.flight.free.push(tag);
        }
    }

    /// The first thing that has gone wrong, with the device's own words. It is about the command that failed, which may
    /// be an earlier one: what was put off shows later.
    fn check(&mut self) -> anyhow::Result<()> {
        let recorder_error = self.driver.recorder().failure();
        let data_error = self.driver.has_data_error().then_some(OpError::Data);
        let failed = self.flight.failed.take();
        let Some(error) = failed.map(|(_, error)| error).or(data_error).or(recorder_error) else {
            return Ok(());
        };
        if let Some((tag, _)) = failed {
            self.command = self.flight.commands.get(tag.index()).copied().unwrap_or(self.command);
        }
        let log = self.driver.log().disk().path().display().to_string();
        let log_error = self.driver.take_log_error().map(|error| anyhow::Error::new(error).context(log));
        let disk = self.disk_name();
        let data_error = self.driver.take_data_error().map(|error| anyhow::anyhow!("{disk}: {error}"));
        let cause = log_error.or(data_error).unwrap_or_else(|| anyhow::anyhow!("an earlier failure"));
        Err(cause.context(error.to_string()))
    }
}

/// Zeros that are longer, in bytes, are a hole of the log.
const LARGE_ZEROES_BYTES: u64 = 64 << 10;

/// How much is read at a time, in bytes.
const READ_BYTES: u64 = 1 << 20;
