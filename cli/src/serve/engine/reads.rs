//! What an engine reads: bytes, and where there are only zeros.

use std::io;
use std::sync::atomic::Ordering as Atomic;

use logwrites_core::Extent;
use logwrites_core::history::{Place, Source, read_pieces};
use logwrites_core::num::widen;

use super::devices::{Data, Log};
use super::machine::Machine;
use super::shared::Shared;

impl<M: Machine, D: Data, L: Log> Shared<M, D, L> {
    pub(super) fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.nr_reads.fetch_add(1, Atomic::Relaxed);
        self.read_bytes.fetch_add(widen(buffer.len()), Atomic::Relaxed);
        if M::IS_ALL_DATA {
            return self.data.read(self.sector_size.bytes_of(extent.sector()), buffer);
        }
        // What a piece names stays as it is: the log only grows, and the base is never written.
        let pieces = self.state.lock().machine.pieces(extent, usize::MAX);
        read_pieces(self.sector_size, pieces, buffer, |place, offset_bytes, part| match place {
            Place::Base => self.data.read(offset_bytes, part),
            Place::Log => self.log.read(offset_bytes, part),
        })
    }

    pub(super) fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>> {
        let pieces = self.state.lock().machine.pieces(extent, MAX_PIECES);
        let mut runs = Runs { runs: Vec::new(), max };
        for piece in pieces {
            match piece.source {
                Some(Source::Log { .. }) => {
                    runs.push(piece.extent.nr_sectors(), false);
                }
                Some(Source::Zeros { .. }) => {
                    runs.push(piece.extent.nr_sectors(), true);
                }
                None => self.allocation_of_base(piece.extent, &mut runs)?,
            }
            if runs.is_full() {
                break;
            }
        }
        Ok(runs.runs)
    }

    fn allocation_of_base(&self, extent: Extent, runs: &mut Runs) -> io::Result<()> {
        let mut sector = extent.sector();
        while sector < extent.end() && !runs.is_full() {
            let offset_bytes = self.sector_size.bytes_of(sector);
            let data = self.data.next_data(offset_bytes)?;
            let data = data.map_or(extent.end()..extent.end(), |data| {
                data.start / self.sector_size.bytes()..self.sector_size.sectors_for(data.end)
            });
            let start = data.start.clamp(sector, extent.end());
            let end = data.end.clamp(start, extent.end());
            runs.push(start - sector, true);
            runs.push(end - start, false);
            sector = end.max(sector + 1);
        }
        Ok(())
    }
}

/// Runs that are collected, equal neighbours joined.
struct Runs {
    runs: Vec<(u64, bool)>,
    max: usize,
}

impl Runs {
    fn push(&mut self, nr_sectors: u64, is_zero: bool) {
        if nr_sectors == 0 {
            return;
        }
        let is_full = self.is_full();
        match self.runs.last_mut() {
            Some((last, was_zero)) if *was_zero == is_zero => *last += nr_sectors,
            _ if is_full => {}
            _ => self.runs.push((nr_sectors, is_zero)),
        }
    }

    const fn is_full(&self) -> bool {
        self.runs.len() >= self.max
    }
}

/// How many pieces of the map are looked at to tell the first runs of an extent, which may be the whole disk.
const MAX_PIECES: usize = 1 << 16;
