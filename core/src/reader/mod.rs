//! The walk over a log: bytes in, entries out.
//!
//! Nothing that a log says is believed before it is checked: a length that reaches beyond the log, a header
//! of zeros, a mark without end is an error that names the entry and its byte offset. A step looks at one
//! header, whatever the header claims, so that the work is bounded by the log's real length and the memory by
//! a few dozen bytes.
//!
//! | type | the log is |
//! |---|---|
//! | [`LogSlice`] | a slice of bytes |
//! | [`Reader`] | anything with [`embedded_io::Read`] and [`embedded_io::Seek`] |
//! | [`Chunks`] | pushed a chunk at a time: a pipe, a download |
//! | [`Walk`] | elsewhere: the rules alone, without any I/O; the three above are built on it |

mod chunks;
mod seek;
mod slice;

pub use chunks::{ChunkError, Chunks, Event};
pub use seek::{OpenError, ReadError, Reader, Tail};
pub use slice::LogSlice;

use crate::format::{EntryHeader, Flags, HEADER_LEN, Superblock};
use crate::geometry::{Extent, MAX_OFFSET_BYTES, SectorSize};
use crate::num::{clip, widen};

/// One entry of a log, checked: its extent and its payload lie below [`MAX_OFFSET_BYTES`], and the payload
/// inside the log where the log's length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its number, from 0.
    pub index: u64,
    /// Where its header is, in bytes from the start of the log.
    pub offset_bytes: u64,
    /// Its header.
    pub header: EntryHeader,
    pub(crate) sector_size: SectorSize,
}

impl Entry {
    /// What it is.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        self.header.flags
    }

    /// Whether it says that everything before it is durable, and nothing else.
    #[must_use]
    pub fn is_bare_flush(&self) -> bool {
        self.flags().contains(Flags::FLUSH) && self.extent().is_empty()
    }

    /// Where on the data device it belongs, in log sectors. Empty for a mark and for a bare flush, whose
    /// sector may still be set.
    ///
    /// # Panics
    /// If its header was changed so that the end passes `u64::MAX` sectors.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent::new(self.header.sector, self.header.nr_sectors).expect("a reader has checked its end")
    }

    /// The bytes of the log that hold its payload: empty for a discard, a mark and a bare flush.
    #[must_use]
    pub fn payload(&self) -> core::ops::Range<u64> {
        let start = self.offset_bytes + self.sector_size.bytes();
        let nr_sectors = if self.header.flags.contains(Flags::DISCARD) { 0 } else { self.header.nr_sectors };
        start..start + self.sector_size.bytes_of(nr_sectors)
    }

    /// The first byte after it, where the next entry starts.
    #[must_use]
    pub fn end_bytes(&self) -> u64 {
        self.payload().end
    }

    /// The bytes of the log that hold a mark's text, without its NUL; `None` for any other entry.
    #[must_use]
    pub fn mark_text(&self) -> Option<core::ops::Range<u64>> {
        let start = self.offset_bytes + HEADER_BYTES;
        self.flags().contains(Flags::MARK).then(|| start..start + self.header.data_len)
    }

    /// The bytes of the log after the header that [`Walk::check_text`] is to see: a mark's text and its NUL;
    /// of anything else one byte, which must be zero, or none where a header fills the sector or where an old
    /// kernel says in `data_len` that it stored inline data there.
    #[must_use]
    pub fn text_check(&self) -> core::ops::Range<u64> {
        let start = self.offset_bytes + HEADER_BYTES;
        match self.mark_text() {
            Some(text) => text.start..text.end + 1,
            None if self.header.data_len == 0 && self.sector_size.bytes() > HEADER_BYTES => start..start + 1,
            None => start..start,
        }
    }
}

/// A place between two entries: before entry `index`, or at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// How many entries are before it.
    pub index: u64,
    /// Where the next entry's header would start, in bytes from the start of the log.
    pub offset_bytes: u64,
}

/// The rules of the walk, without any I/O: give [`step`](Self::step) the header at
/// [`position`](Self::position) until [`is_done`](Self::is_done).
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    superblock: Superblock,
    len_bytes: Option<u64>,
    position: Position,
}

impl Walk {
    /// A walk from the first entry on. `len_bytes` is the log's real length, if known; it bounds what an entry
    /// may claim.
    #[must_use]
    pub const fn new(superblock: Superblock, len_bytes: Option<u64>) -> Self {
        let position = Position { index: 0, offset_bytes: superblock.sector_size.bytes() };
        Self { superblock, len_bytes, position }
    }

    /// The walk that continues at `position`, where a walk over the same log has been.
    #[must_use]
    pub const fn at(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// The log's superblock.
    #[must_use]
    pub const fn superblock(&self) -> Superblock {
        self.superblock
    }

    /// Where the next entry starts.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether every entry that the superblock counts has been walked over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.position.index >= self.superblock.nr_entries
    }

    /// Takes the entry at the current position, whose header is `bytes`, and moves after it. The bytes after the
    /// header are still to be checked with [`check_text`](Self::check_text).
    ///
    /// # Errors
    /// [`Malformed`] if the entry is malformed. The position stays.
    pub fn step(&mut self, bytes: &[u8; HEADER_LEN]) -> Result<Entry, Malformed> {
        let Position { index, offset_bytes } = self.position;
        let header = EntryHeader::parse(bytes);
        self.check(header).map_err(|reason| Malformed { entry: index, offset_bytes, reason })?;
        let entry = Entry { index, offset_bytes, header, sector_size: self.superblock.sector_size };
        self.position = Position { index: index + 1, offset_bytes: entry.end_bytes() };
        Ok(entry)
    }

    /// The error for a log that ends in or before the entry at the current position.
    #[must_use]
    pub const fn truncated(&self) -> Malformed {
        let Position { index, offset_bytes } = self.position;
        let reason = Malformation::Truncated { nr_entries: self.superblock.nr_entries };
        Malformed { entry: index, offset_bytes, reason }
    }

    /// Checks the bytes after an entry's header: `piece` is the part of [`Entry::text_check`] from its byte
    /// `at_bytes` on. A mark's text must be without a NUL and end with one, or a reader of C strings would read
    /// another name. Anything else must have no text: one that has is most likely a payload, and the walk lost.
    ///
    /// # Errors
    /// [`Malformed`], naming the entry.
    pub fn check_text(entry: &Entry, at_bytes: u64, piece: &[u8]) -> Result<(), Malformed> {
        let malformed =
            |reason| Err(Malformed { entry: entry.index, offset_bytes: entry.offset_bytes, reason });
        let check = entry.text_check();
        // Empty if the piece begins after the text.
        let rest_bytes = (check.end - check.start).saturating_sub(at_bytes);
        let piece = &piece[..clip(rest_bytes, piece.len())];
        let is_end = widen(piece.len()) == rest_bytes;
        let (end, text) = match piece.split_last() {
            Some((end, text)) if is_end => (*end, text),
            _ => (0, piece),
        };
        if text.contains(&0) {
            malformed(Malformation::MarkHasNul)
        } else if end == 0 {
            Ok(())
        } else if entry.mark_text().is_some() {
            malformed(Malformation::MarkUnterminated)
        } else {
            malformed(Malformation::TextWithoutMark)
        }
    }

    /// Continues after the entries that the superblock counts, as if it counted `nr_entries`.
    #[must_use]
    pub(crate) const fn counting(mut self, nr_entries: u64) -> Self {
        self.superblock.nr_entries = nr_entries;
        self
    }

    fn check(&self, header: EntryHeader) -> Result<(), Malformation> {
        let sector_size = self.superblock.sector_size;
        let EntryHeader { nr_sectors, flags, data_len, .. } = header;
        if flags.is_empty() && nr_sectors == 0 {
            let all_zero = header == EntryHeader::default();
            return Err(if all_zero { Malformation::Zeros } else { Malformation::Nothing });
        }
        if flags.contains(Flags::MARK) {
            if nr_sectors != 0 {
                return Err(Malformation::MarkWithSectors { nr_sectors });
            }
            if sector_size.max_mark_len().is_none_or(|max| data_len > u64::from(max)) {
                return Err(Malformation::MarkTooLong { data_len, sector_size });
            }
        }
        let sector = header.sector;
        let extent = Extent::new(sector, nr_sectors);
        if extent.and_then(|extent| sector_size.byte_range(extent)).is_none() {
            return Err(Malformation::ExtentTooFar { sector, nr_sectors });
        }
        let payload_sectors = if flags.contains(Flags::DISCARD) { 0 } else { nr_sectors };
        let end_bytes = sector_size
            .checked_bytes_of(payload_sectors)
            .and_then(|bytes| bytes.checked_add(sector_size.bytes()))
            .and_then(|bytes| bytes.checked_add(self.position.offset_bytes))
            .filter(|end| *end <= MAX_OFFSET_BYTES)
            .ok_or(Malformation::PayloadTooFar { nr_sectors, len_bytes: self.len_bytes })?;
        match self.len_bytes {
            Some(len_bytes) if end_bytes > len_bytes => {
                Err(Malformation::PayloadTooFar { nr_sectors, len_bytes: Some(len_bytes) })
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with an entry, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} at byte {offset_bytes} of the log: {reason}")]
pub struct Malformed {
    /// The entry's number, from 0.
    pub entry: u64,
    /// Where its header is, in bytes from the start of the log.
    pub offset_bytes: u64,
    /// What is wrong.
    pub reason: Malformation,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// The log ends in or before the entry.
    #[error("the log ends here, though its superblock counts {nr_entries} entries")]
    Truncated {
        /// What the superblock counts.
        nr_entries: u64,
    },
    /// The header is all zeros: a hole that a failed log write left, or a zero-length write of QEMU's.
    #[error("its header is all zeros (a log write that failed, or a zero-length write that QEMU logged)")]
    Zeros,
    /// It has neither flags nor sectors.
    #[error("it has neither flags nor sectors")]
    Nothing,
    /// Its extent reaches beyond 2^63 - 1 bytes.
    #[error("its {nr_sectors} sectors at sector {sector} reach beyond 2^63 - 1 bytes of the disk")]
    ExtentTooFar {
        /// Where it says it belongs, in log sectors.
        sector: u64,
        /// How long it says it is, in log sectors.
        nr_sectors: u64,
    },
    /// Its payload reaches beyond the end of the log.
    #[error("its payload of {nr_sectors} sectors reaches beyond the end of the log{}", AtByte(*len_bytes))]
    PayloadTooFar {
        /// How long it says it is, in log sectors.
        nr_sectors: u64,
        /// Where the log ends, in bytes, if known.
        len_bytes: Option<u64>,
    },
    /// A mark with sectors.
    #[error("it is a mark, and yet has {nr_sectors} sectors")]
    MarkWithSectors {
        /// How many, in log sectors.
        nr_sectors: u64,
    },
    /// A mark whose text does not fit into the entry's sector.
    #[error("its mark of {data_len} bytes does not fit into a sector of {sector_size} bytes")]
    MarkTooLong {
        /// The length that the header gives, in bytes.
        data_len: u64,
        /// The sector that should hold it.
        sector_size: SectorSize,
    },
    /// A mark whose text has no NUL after it.
    #[error("its mark does not end where the header says")]
    MarkUnterminated,
    /// A mark whose text has a NUL in it.
    #[error("its mark has a NUL byte in it")]
    MarkHasNul,
    /// An entry other than a mark has a text: the walk has most likely lost its way.
    #[error("text follows its header, but it is not a mark")]
    TextWithoutMark,
}

struct AtByte(Option<u64>);

impl core::fmt::Display for AtByte {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(len_bytes) => write!(f, " at byte {len_bytes}"),
            None => Ok(()),
        }
    }
}

/// [`HEADER_LEN`] in the width of offsets.
const HEADER_BYTES: u64 = 32;

/// Where a log continues; see `Logger::resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// Behind the last entry to keep.
    pub position: Position,
    /// Whether something follows the last flush.
    pub unflushed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(nr_entries: u64, len_bytes: Option<u64>) -> Walk {
        Walk::new(Superblock { nr_entries, sector_size: SectorSize::B512 }, len_bytes)
    }

    fn reason(header: EntryHeader) -> Malformation {
        walk(9, Some(1 << 20)).step(&header.emit()).unwrap_err().reason
    }

    #[test]
    fn an_entry_leads_to_the_next() {
        let mut walk = walk(3, Some(1 << 20));
        let write = EntryHeader { sector: 8, nr_sectors: 3, ..EntryHeader::default() };
        let entry = walk.step(&write.emit()).unwrap();
        assert_eq!((entry.index, entry.offset_bytes, entry.payload()), (0, 512, 1024..2560));
        let discard = EntryHeader { flags: Flags::DISCARD, nr_sectors: 1 << 40, ..write };
        let entry = walk.step(&discard.emit()).unwrap();
        assert_eq!((entry.index, entry.payload()), (1, 3072..3072));
        let mark = EntryHeader { flags: Flags::MARK, data_len: 4, ..EntryHeader::default() };
        let entry = walk.step(&mark.emit()).unwrap();
        assert_eq!(entry.mark_text(), Some(3104..3108));
        assert!(walk.is_done());
        assert_eq!(walk.position(), Position { index: 3, offset_bytes: 3584 });
    }

    #[test]
    fn no_length_is_believed() {
        let base = EntryHeader::default();
        assert_eq!(reason(base), Malformation::Zeros);
        assert_eq!(reason(EntryHeader { sector: 1, ..base }), Malformation::Nothing);
        assert!(matches!(
            reason(EntryHeader { nr_sectors: 1 << 62, ..base }),
            Malformation::ExtentTooFar { .. }
        ));
        assert!(matches!(
            reason(EntryHeader { sector: u64::MAX, nr_sectors: 2, ..base }),
            Malformation::ExtentTooFar { .. }
        ));
        assert!(matches!(
            reason(EntryHeader { nr_sectors: 1 << 12, ..base }),
            Malformation::PayloadTooFar { .. }
        ));
        let mark = EntryHeader { flags: Flags::MARK, ..base };
        assert!(matches!(
            reason(EntryHeader { nr_sectors: 1, ..mark }),
            Malformation::MarkWithSectors { .. }
        ));
        assert!(matches!(reason(EntryHeader { data_len: 480, ..mark }), Malformation::MarkTooLong { .. }));
    }

    #[test]
    fn a_failed_step_stays_and_says_where() {
        let mut walk = walk(1 << 40, None);
        let error = walk.step(&[0; 32]).unwrap_err();
        assert_eq!(error, Malformed { entry: 0, offset_bytes: 512, reason: Malformation::Zeros });
        assert_eq!(walk.truncated().reason, Malformation::Truncated { nr_entries: 1 << 40 });
        assert_eq!(walk.position(), Position { index: 0, offset_bytes: 512 });
    }

    #[test]
    fn a_mark_ends_where_it_says() {
        let header = EntryHeader { flags: Flags::MARK, data_len: 2, ..EntryHeader::default() };
        let entry = walk(1, None).step(&header.emit()).unwrap();
        let reason =
            |at_bytes, piece| Walk::check_text(&entry, at_bytes, piece).map_err(|error| error.reason);
        assert_eq!(entry.text_check(), 544..547);
        assert_eq!(reason(0, b"ab\0"), Ok(()));
        assert_eq!(reason(0, b"ab"), Ok(()));
        assert_eq!(reason(0, b"ab\0rest"), Ok(()));
        assert_eq!(reason(1, b"b\0"), Ok(()));
        assert_eq!(reason(0, b"abc"), Err(Malformation::MarkUnterminated));
        assert_eq!(reason(0, b"\0b\0"), Err(Malformation::MarkHasNul));
        assert_eq!(reason(0, b"a\0"), Err(Malformation::MarkHasNul));
        assert_eq!(reason(2, b"c"), Err(Malformation::MarkUnterminated));
    }

    #[test]
    fn only_a_mark_has_text() {
        let header = EntryHeader { nr_sectors: 1, ..EntryHeader::default() };
        let entry = walk(1, None).step(&header.emit()).unwrap();
        assert_eq!(Walk::check_text(&entry, 0, &[0]), Ok(()));
        assert_eq!(Walk::check_text(&entry, 0, &[1]).unwrap_err().reason, Malformation::TextWithoutMark);
        let inline = walk(1, None).step(&EntryHeader { data_len: 7, ..header }.emit()).unwrap();
        assert_eq!(Walk::check_text(&inline, 0, &[1]), Ok(()));
    }
}
