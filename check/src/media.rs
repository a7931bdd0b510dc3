//! A disk in whole sectors: an image that stays as it is, and a log of what was written over it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use logwrites_core::device::{LogDevice, NoData, Piece};
use logwrites_core::drive::{Driver, Event, Payloads, Recorder as _};
use logwrites_core::format::MarkText;
use logwrites_core::geometry::{Extent, SectorSize};
use logwrites_core::num::{narrow, widen};
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Op, Tag};

use crate::image::{Image, read_over};
use crate::origin::Origin;

/// What is below, and what was written since. Each write is an entry of a log, in the order of the calls.
#[derive(Debug)]
pub(crate) struct Media {
    below: Image,
    own: Driver<Overlay<1>, NoData, Memory>,
    notes: Vec<Note>,
    reads: Reads,
}

/// What is said of an entry in a message.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Where it came from.
    pub(crate) origin: Origin,
    /// What it means; nothing if it is a plain write to a disk.
    pub(crate) meaning: Option<Box<str>>,
}

impl Media {
    pub(crate) fn new(below: Image, sector_size: SectorSize) -> Self {
        let overlay = Overlay::new(Config::new(sector_size)).expect("a log without a limit has room");
        let own = Driver::new(overlay, NoData, Memory::default());
        Self { below, own, notes: Vec::new(), reads: Reads::default() }
    }

    fn sector_size(&self) -> SectorSize {
        self.own.recorder().config().sector_size
    }

    /// Reads an extent into `buffer`, which is as long. What of it was not written here is noted as read.
    pub(crate) fn read(&mut self, extent: Extent, buffer: &mut [u8]) {
        let (map, sector_size) = (self.own.recorder().map(), self.sector_size());
        if map.is_empty() {
            self.reads.add(extent);
            self.below.read(extent, buffer, sector_size);
            return;
        }
        for piece in map.pieces(extent).filter(|piece| piece.source.is_none()) {
            self.reads.add(piece.extent);
        }
        read_over(map.pieces(extent), &self.own.log().0, &self.below, buffer, sector_size);
    }

    /// Does and logs an operation; `payload` is what a write writes, or the text of a mark.
    pub(crate) fn submit(&mut self, op: Op, payload: &[u8], note: Note) -> io::Result<()> {
        let mut result = Ok(());
        let payloads = One(payload);
        let mut events = |event| {
            if let Event::Done { result: done, .. } = event {
                result = done;
            }
        };
        self.own.submit(Tag::new(0), op, &payloads, &mut events).map_err(io::Error::other)?;
        self.own.drain(&payloads, &mut events);
        result.map_err(io::Error::other)?;
        self.notes.resize(narrow(self.nr_entries()), note);
        Ok(())
    }

    pub(crate) fn mark(&mut self, name: &str, note: Note) -> io::Result<()> {
        let text = MarkText::new(name.as_bytes(), self.sector_size()).map_err(io::Error::other)?;
        self.submit(Op::mark(text), text.bytes(), note)
    }

    /// How many entries were logged.
    pub(crate) fn nr_entries(&self) -> u64 {
        self.own.recorder().logged().index
    }

    /// The extents that were read and not written here, in order, none twice.
    pub(crate) fn take_reads(&mut self) -> Vec<Extent> {
        self.reads.seen.clear();
        std::mem::take(&mut self.reads.extents)
    }

    /// Closes the log.
    pub(crate) fn finish(self) -> Recorded {
        let Self { mut own, below, notes, .. } = self;
        own.close(&One(&[]), |_| {});
        let (_, Memory(log)) = own.into_devices();
        Recorded { log: Arc::new(log), notes, below }
    }
}

/// What was written, as a log, and what it was written over.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) log: Arc<Vec<u8>>,
    pub(crate) notes: Vec<Note>,
    pub(crate) below: Image,
}

/// Extents in the order in which they were first read.
#[derive(Debug, Default)]
struct Reads {
    extents: Vec<Extent>,
    seen: HashSet<u64>,
}

impl Reads {
    fn add(&mut self, extent: Extent) {
        let mut new = Extent::between(extent.sector(), extent.sector());
        for sector in extent.sector()..extent.end() {
            if self.seen.insert(sector) {
                new = Extent::between(if new.is_empty() { sector } else { new.sector() }, sector + 1);
            } else {
                self.extents.extend((!new.is_empty()).then_some(new));
                new = Extent::EMPTY;
            }
        }
        self.extents.extend((!new.is_empty()).then_some(new));
    }
}

/// A log in memory.
#[derive(Debug, Default)]
struct Memory(Vec<u8>);

impl LogDevice for Memory {
    type Error = Infallible;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), Infallible> {
        let mut at = narrow(offset_bytes);
        for piece in pieces {
            let len = narrow(piece.len_bytes());
            if at == self.0.len() {
                match piece {
                    Piece::Bytes(bytes) => self.0.extend_from_slice(bytes),
                    Piece::Zeros { .. } => self.0.resize(at + len, 0),
                }
            } else {
                self.0.resize(self.0.len().max(at + len), 0);
                match piece {
                    Piece::Bytes(bytes) => self.0[at..at + len].copy_from_slice(bytes),
                    Piece::Zeros { .. } => self.0[at..at + len].fill(0),
                }
            }
            at += len;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct One<'a>(&'a [u8]);

impl Payloads for One<'_> {
    fn payload(&self, _tag: Tag) -> &[u8] {
        self.0
    }
}

/// The extent of a range of bytes, widened to whole sectors.
pub(crate) fn widened(offset_bytes: u64, len: usize, sector_size: SectorSize) -> Extent {
    let end = sector_size.sectors_for(offset_bytes + widen(len));
    Extent::between(offset_bytes / sector_size.bytes(), end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::WriteFlags;
    use logwrites_core::reader::LogSlice;

    fn extent(sector: u64, nr_sectors: u64) -> Extent {
        Extent::new(sector, nr_sectors).unwrap()
    }

    fn note() -> Note {
        Note { origin: Origin::caller(), meaning: None }
    }

    fn write(media: &mut Media, sector: u64, bytes: &[u8]) {
        let extent = extent(sector, widen(bytes.len()) / 512);
        media.submit(Op::Write { extent, flags: WriteFlags::empty() }, bytes, note()).unwrap();
    }

    #[test]
    fn what_was_written_here_is_not_read_from_below() {
        let mut media = Media::new(Image::Base(vec![1; 10 * 512].into()), SectorSize::B512);
        let mut buffer = [0; 4 * 512];
        media.read(extent(0, 4), &mut buffer);
        write(&mut media, 5, &[2; 512]);
        media.read(extent(3, 4), &mut buffer);
        assert_eq!(buffer.iter().step_by(512).copied().collect::<Vec<_>>(), [1, 1, 2, 1]);
        media.read(extent(0, 4), &mut buffer);
        assert_eq!(media.take_reads(), [extent(0, 4), extent(4, 1), extent(6, 1)]);
    }

    #[test]
    fn the_log_holds_what_was_done_in_order_with_a_note_for_each() {
        let mut media = Media::new(Image::Base(Arc::default()), SectorSize::B512);
        write(&mut media, 5, &[2; 1024]);
        media.mark("m", note()).unwrap();
        media.submit(Op::Flush, &[], note()).unwrap();
        media.submit(Op::Flush, &[], note()).unwrap();
        let recorded = media.finish();
        let mut log = LogSlice::open(&recorded.log).unwrap();
        let entries: Vec<_> = log.by_ref().map(Result::unwrap).collect();
        assert_eq!(entries.len(), 3, "nothing was to be flushed the second time");
        assert_eq!(recorded.notes.len(), 3);
        assert_eq!(entries[0].extent(), extent(5, 2));
        assert_eq!(log.payload(&entries[0]), [2; 1024]);
        assert_eq!(log.mark_text(&entries[1]), Some(&b"m"[..]));
    }
}
