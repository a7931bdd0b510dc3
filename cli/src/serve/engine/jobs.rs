//! What an engine's threads do outside its lock.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use logwrites_core::command::Segments;
use logwrites_core::device::{DataDevice as _, LogDevice as _};
use logwrites_core::perform::{self, PerformError};
use logwrites_core::{LogId, LogWrite, Op, Outcome, SectorSize, Tag};

use super::devices::{Data, Log};
use super::payload::Payload;
use crate::device::is_full;

/// Work that needs no lock.
#[derive(Debug)]
pub(super) enum Job {
    /// Operations for the data device, none of which syncs.
    Data(Vec<DataOp>),
    /// A FUA write for the data device.
    DurableData(DataOp),
    /// One flush of the data device for all of these.
    FlushData(Vec<Tag>),
    /// Log writes, each with the payload that it may have. If there is no storage for them, the reserved storage after
    /// them is given back for them.
    Log(Vec<LogEntry>),
    /// One flush of the log.
    FlushLog(LogId),
    /// Storage for the log, from one offset to another.
    Reserve(u64, u64),
}

/// An operation for the data device.
#[derive(Clone, Debug)]
pub(super) struct DataOp {
    pub(super) tag: Tag,
    pub(super) op: Op,
    pub(super) payload: Payload,
}

/// A write to the log device.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    pub(super) id: LogId,
    pub(super) write: LogWrite,
    pub(super) payload: Payload,
}

/// How a job went.
#[derive(Debug)]
pub(super) enum Report {
    /// Of the data device, whose operations these were.
    Data(Vec<(Tag, Outcome)>, Option<io::Error>),
    /// Of the data device, whose FUA write it was.
    DurableData(Tag, io::Result<Outcome>),
    /// Of the data device's flush.
    FlushData(Vec<Tag>, io::Result<()>),
    /// Of the log device, whose writes these were.
    Log { outcomes: Vec<(LogId, Outcome)>, error: Option<io::Error>, is_reserve_given_back: bool },
    /// Of the log device's flush.
    FlushLog(LogId, io::Result<()>),
    /// Up to where the log has storage; whether it can be told at all.
    Reserve(u64, io::Result<bool>),
}

impl Job {
    /// Whether it waits for a disk to make something durable.
    pub(super) const fn is_sync(&self) -> bool {
        matches!(self, Self::DurableData(_) | Self::FlushData(_) | Self::FlushLog(_))
    }

    pub(super) fn carry_out(self, sector_size: SectorSize, data: &impl Data, log: &impl Log) -> Report {
        match self {
            Self::Data(ops) => run_data(&ops, sector_size, data),
            Self::DurableData(op) => Report::DurableData(op.tag, caught(|| run_one(&op, sector_size, data))),
            Self::FlushData(tags) => Report::FlushData(tags, caught(|| data.device().flush())),
            Self::Log(entries) => write_log(&entries, log),
            Self::FlushLog(id) => Report::FlushLog(id, caught(|| log.device().flush())),
            Self::Reserve(from_bytes, to_bytes) => {
                Report::Reserve(to_bytes, caught(|| take_ahead(from_bytes, to_bytes - from_bytes, log)))
            }
        }
    }
}

/// A panic as a failure of the device: a thread that takes a job must report it, or all others wait for it forever.
fn caught<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // What a call was about is given up for failed, so that nothing half done is gone on with.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

fn take_ahead(offset_bytes: u64, len_bytes: u64, log: &impl Log) -> io::Result<bool> {
    let is_taken = log.reserve(offset_bytes, len_bytes)?;
    if is_taken {
        log.lay_zeros(offset_bytes, len_bytes)?;
    }
    Ok(is_taken)
}

fn run_data(ops: &[DataOp], sector_size: SectorSize, data: &impl Data) -> Report {
    let mut first_error = None;
    let mut outcomes = Vec::with_capacity(ops.len());
    for op in ops {
        let outcome = match caught(|| run_one(op, sector_size, data)) {
            Ok(outcome) => outcome,
            Err(error) => {
                first_error.get_or_insert(error);
                Outcome::Failed
            }
        };
        outcomes.push((op.tag, outcome));
    }
    Report::Data(outcomes, first_error)
}

fn run_one(op: &DataOp, sector_size: SectorSize, data: &impl Data) -> io::Result<Outcome> {
    perform::data(&mut data.device(), op.op, op.payload.bytes(), sector_size).map_err(|error| match error {
        PerformError::Device(error) => error,
        PerformError::Payload(short) => io::Error::other(short),
    })
}

/// Writes entries, each run of adjacent ones in one.
fn write_log(entries: &[LogEntry], log: &impl Log) -> Report {
    let (mut first_error, mut is_reserve_given_back) = (None, false);
    let mut outcomes = Vec::with_capacity(entries.len());
    for run in entries.chunk_by(|a, b| a.write.is_followed_by(&b.write)) {
        let mut result = caught(|| write_run(run, log));
        if result.as_ref().is_err_and(is_full) {
            // There is as much as was reserved, but elsewhere: zeros that were to be a hole here come later.
            is_reserve_given_back = true;
            result = caught(|| log.release_reserve().and_then(|()| write_run(run, log)));
        }
        let outcome = match result {
            Ok(()) => Outcome::Ok,
            Err(error) => {
                first_error.get_or_insert(error);
                Outcome::Failed
            }
        };
        outcomes.extend(run.iter().map(|entry| (entry.id, outcome)));
    }
    Report::Log { outcomes, error: first_error, is_reserve_given_back }
}

fn write_run(run: &[LogEntry], log: &impl Log) -> io::Result<()> {
    let Some(first) = run.first() else {
        return Ok(());
    };
    let segments: Vec<Segments> = run.iter().map(|entry| entry.write.segments()).collect();
    let mut pieces = Vec::with_capacity(run.len() * 3);
    for (segments, entry) in segments.iter().zip(run) {
        for piece in perform::pieces(segments, entry.payload.bytes()) {
            pieces.push(piece.map_err(io::Error::other)?);
        }
    }
    log.device().write(first.write.offset_bytes(), &pieces)
}
