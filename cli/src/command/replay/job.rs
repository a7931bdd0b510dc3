//! The pieces of a disk, made one after another.

use std::io;

use anyhow::Context as _;
use logwrites_core::SectorSize;
use logwrites_core::history::{Index, Piece, Source};

use crate::device::Disk;
use crate::interrupt;
use crate::output::json::ReplayJson;
use crate::output::progress::Progress;
use crate::output::style::Printable;

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
    pub(super) fn run(&self, pieces: &[Piece], index: &Index, at: u64) -> anyhow::Result<ReplayJson> {
        let last_mark = index.last_mark(at).map(|mark| Printable(mark.text).to_string());
        let mut done = ReplayJson { point: at, last_mark, log_bytes: 0, zero_bytes: 0, base_bytes: 0 };
        let len_of = |piece: &Piece| self.sector_size.bytes_of(piece.extent.nr_sectors());
        let mut progress = Progress::bytes("replaying", pieces.iter().map(len_of).sum());
        let mut position_bytes = 0;
        for piece in pieces {
            interrupt::check("; the disk is between two points: replay it again from a base")?;
            let len_bytes = len_of(piece);
            let offset_bytes = self.sector_size.bytes_of(piece.extent.sector());
            self.write(piece, offset_bytes, len_bytes, &mut done).with_context(|| {
                format!(
                    "cannot write {len_bytes} bytes at byte {offset_bytes} of {}",
                    self.target.path().display()
                )
            })?;
            position_bytes += len_bytes;
            progress.set(position_bytes);
        }
        self.target.sync().with_context(|| format!("cannot sync {}", self.target.path().display()))?;
        Ok(done)
    }

    fn write(
        &self,
        piece: &Piece,
        offset_bytes: u64,
        len_bytes: u64,
        done: &mut ReplayJson,
    ) -> io::Result<()> {
        match (piece.source, self.base) {
            (Some(Source::Log { offset_bytes: log_offset_bytes }), _) => {
                done.log_bytes += self.copy(self.log, log_offset_bytes, offset_bytes, len_bytes)?;
                Ok(())
            }
            (Some(Source::Zeros { .. }), _) => {
                done.zero_bytes += len_bytes;
                self.zero(offset_bytes, len_bytes)
            }
            (None, Some(base)) => {
                done.base_bytes += self.copy(base, offset_bytes, offset_bytes, len_bytes)?;
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    fn zero(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        match self.zeros {
            Zeros::Hole => self.target.zero_range(offset_bytes, len_bytes, true),
            Zeros::Zero => self.target.zero_range(offset_bytes, len_bytes, false),
            Zeros::Discard => self.target.punch_hole(offset_bytes, len_bytes).map(|_| ()),
        }
    }

    /// Copies a range, and gives how many bytes that were; holes of the source stay holes in a target that is blank.
    fn copy(
        &self,
        source: &Disk,
        source_offset_bytes: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> io::Result<u64> {
        if !self.is_blank || len_bytes < HOLE_BYTES {
            self.target.copy_from(source, source_offset_bytes, offset_bytes, len_bytes)?;
            return Ok(len_bytes);
        }
        let end_bytes = source_offset_bytes + len_bytes;
        let (mut at_bytes, mut copied_bytes) = (source_offset_bytes, 0);
        while at_bytes < end_bytes
            && let Some(data) = source.next_data(at_bytes)?.filter(|data| data.start < end_bytes)
        {
            at_bytes = data.end.min(end_bytes);
            let to_bytes = offset_bytes + (data.start - source_offset_bytes);
            self.target.copy_from(source, data.start, to_bytes, at_bytes - data.start)?;
            copied_bytes += at_bytes - data.start;
        }
        Ok(copied_bytes)
    }
}

/// Looking for a hole costs as much as copying so much, in bytes.
const HOLE_BYTES: u64 = 64 << 10;
