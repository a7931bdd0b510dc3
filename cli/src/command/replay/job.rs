//! The pieces of a disk, made one after another.

use std::io;

use anyhow::Context as _;
use logwrites_core::SectorSize;
use logwrites_core::crash::State;
use logwrites_core::history::{Index, Piece, Source};
use serde::Serialize;

use super::batch::Batch;
use crate::device::{Disk, SyncBehind};
use crate::interrupt;
use crate::output::progress::Progress;

/// What `replay` did.
#[derive(Clone, Debug, Serialize)]
pub(in crate::command) struct Replayed {
    /// How many entries the disk now has.
    pub(in crate::command) point: u64,
    /// What it lost of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::command) lost: Option<String>,
    /// How many entries the superblock of the log counts.
    pub(in crate::command) nr_entries: u64,
    /// The last mark at or before the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::command) last_mark: Option<String>,
    /// How many entries are between that mark and the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::command) entries_after_mark: Option<u64>,
    /// What was written from the log.
    pub(in crate::command) log_bytes: u64,
    /// What was zeroed or discarded.
    pub(in crate::command) zero_bytes: u64,
    /// What was copied from the base.
    pub(in crate::command) base_bytes: u64,
}

/// A replay: pieces of a disk to be made.
pub(super) struct Job<'a> {
    pub(super) target: &'a Disk,
    pub(super) log: &'a Disk,
    pub(super) base: Option<&'a Disk>,
    pub(super) sector_size: SectorSize,
    pub(super) zeros: Zeros,
    /// Whether the target is a new file that nothing shows through.
    pub(super) is_blank: bool,
}

/// How zeros are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// As holes, in a file of our own.
    Hole,
    /// As zeros that keep their storage.
    Zero,
    /// By discarding: what the device leaves then is its own business.
    Discard,
}

impl Job<'_> {
    /// Makes the pieces, in their order, and makes them durable.
    pub(super) fn run(&self, pieces: &[Piece], index: &Index, at: &State) -> anyhow::Result<Replayed> {
        let State { point, ref lost } = *at;
        let last_mark = index.last_mark(point);
        let done = Replayed {
            point,
            lost: (!lost.is_empty()).then(|| lost.to_string()),
            nr_entries: index.superblock().nr_entries,
            last_mark: last_mark.map(|mark| String::from_utf8_lossy(mark.text).into_owned()),
            entries_after_mark: last_mark.map(|mark| point - (mark.entry + 1)),
            log_bytes: 0,
            zero_bytes: 0,
            base_bytes: 0,
        };
        let (batch, behind) = (Batch::new(self.target, self.is_blank), SyncBehind::new(self.target));
        let mut work = Work { job: self, batch, behind, done };
        let len_of = |piece: &Piece| self.sector_size.bytes_of(piece.extent.nr_sectors());
        let mut progress = Progress::bytes("replaying", pieces.iter().map(len_of).sum());
        let mut position_bytes = 0;
        for piece in pieces {
            interrupt::check("; the disk is between two points now; replay it again from a base")?;
            let len_bytes = len_of(piece);
            let offset_bytes = self.sector_size.bytes_of(piece.extent.sector());
            work.make(piece.source, offset_bytes, len_bytes)
                .with_context(|| self.cannot_write(offset_bytes, len_bytes))?;
            position_bytes += len_bytes;
            progress.set(position_bytes);
        }
        work.finish()
    }

    fn cannot_write(&self, offset_bytes: u64, len_bytes: u64) -> String {
        format!("cannot write {len_bytes} bytes at byte {offset_bytes} of {}", self.target.path().display())
    }
}

/// A job that is being done.
struct Work<'a> {
    job: &'a Job<'a>,
    batch: Batch<'a>,
    behind: SyncBehind<'a>,
    done: Replayed,
}

impl Work<'_> {
    /// Makes a piece that comes from `source`, or from the base.
    fn make(&mut self, source: Option<Source>, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let Job { log, base, .. } = *self.job;
        match (source, base) {
            (Some(Source::Log { offset_bytes: log_offset_bytes }), _) => {
                self.done.log_bytes += self.copy(log, log_offset_bytes, offset_bytes, len_bytes)?;
            }
            (Some(Source::Zeros { .. }), _) => {
                self.zero(offset_bytes, len_bytes)?;
                self.done.zero_bytes += len_bytes;
            }
            (None, Some(base)) => {
                self.done.base_bytes += self.copy(base, offset_bytes, offset_bytes, len_bytes)?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn zero(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        self.batch.flush()?;
        let Job { target, zeros, .. } = *self.job;
        match zeros {
            Zeros::Hole => target.zero_range(offset_bytes, len_bytes, true),
            Zeros::Zero => target.zero_range(offset_bytes, len_bytes, false),
            Zeros::Discard => target.punch_hole(offset_bytes, len_bytes).map(|_| ()),
        }
    }

    /// Copies a range, and gives how many bytes that were; holes of the source stay holes in a target that is blank.
    fn copy(
        &mut self,
        source: &Disk,
        source_offset_bytes: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> io::Result<u64> {
        let Job { target, is_blank, .. } = *self.job;
        if len_bytes < SMALL_BYTES {
            self.batch.copy(source, source_offset_bytes, offset_bytes, len_bytes)?;
            self.behind.wrote(len_bytes);
            return Ok(len_bytes);
        }
        self.batch.flush()?;
        let mut copied_bytes = 0;
        if is_blank {
            let end_bytes = source_offset_bytes + len_bytes;
            let mut at_bytes = source_offset_bytes;
            while at_bytes < end_bytes
                && let Some(data) = source.next_data(at_bytes)?.filter(|data| data.start < end_bytes)
            {
                at_bytes = data.end.min(end_bytes);
                let to_bytes = offset_bytes + (data.start - source_offset_bytes);
                target.copy_from(source, data.start, to_bytes, at_bytes - data.start)?;
                copied_bytes += at_bytes - data.start;
            }
        } else {
            target.copy_from(source, source_offset_bytes, offset_bytes, len_bytes)?;
            copied_bytes = len_bytes;
        }
        self.behind.wrote(copied_bytes);
        Ok(copied_bytes)
    }

    /// Makes all of it durable.
    fn finish(mut self) -> anyhow::Result<Replayed> {
        let path = self.job.target.path().display();
        self.batch.flush().with_context(|| format!("cannot write the last bytes of {path}"))?;
        self.behind.finish().with_context(|| format!("cannot sync {path}"))?;
        Ok(self.done)
    }
}

/// Pieces below this size are copied through memory, and joined to larger writes. The kernel copies larger ones by itself,
/// and may share their storage; for a small one that costs several times as much as the copy. Looking for a hole
/// costs as much as copying so much, too.
const SMALL_BYTES: u64 = 64 << 10;
