//! A log that is read through `embedded-io`'s Read and Seek.

use embedded_io::{Read, ReadExactError, Seek, SeekFrom};

use crate::format::{Flags, HEADER_LEN, Superblock, SuperblockError};
use crate::num::{clip, widen};
use crate::reader::{Entry, Malformed, Position, ResumePoint, Walk};

/// A log that can be read and sought: a file, a device, a card.
///
/// It reads 33 bytes of each entry, and a mark's text; payloads only when asked. Where seeking is cheap and
/// reading is not, give it a source with a buffer.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    walk: Walk,
    /// Whether a [`Flags::FLUSH`] entry was the last thing that was walked over, or nothing was at all.
    flushed: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the superblock and finds the length of the source.
    ///
    /// # Errors
    /// [`OpenError`] if the source fails or is not a log.
    pub fn open(mut source: R) -> Result<Self, OpenError<R::Error>> {
        source.seek(SeekFrom::Start(0)).map_err(OpenError::Io)?;
        let mut bytes = [0; HEADER_LEN];
        source.read_exact(&mut bytes).map_err(|error| match error {
            ReadExactError::UnexpectedEof => OpenError::Superblock(SuperblockError::Magic { found: 0 }),
            ReadExactError::Other(error) => OpenError::Io(error),
        })?;
        let superblock = Superblock::parse(&bytes)?;
        // After the superblock: a log that grows has all that its superblock counts.
        let len_bytes = source.seek(SeekFrom::End(0)).map_err(OpenError::Io)?;
        Ok(Self { source, walk: Walk::new(superblock, Some(len_bytes)), flushed: true })
    }

    /// Takes a source for a log whose superblock was lost, and should have been `superblock`.
    ///
    /// # Errors
    /// The source's.
    pub fn with_superblock(mut source: R, superblock: Superblock) -> Result<Self, R::Error> {
        let len_bytes = source.seek(SeekFrom::End(0))?;
        Ok(Self { source, walk: Walk::new(superblock, Some(len_bytes)), flushed: true })
    }

    /// The log's superblock.
    pub const fn superblock(&self) -> Superblock {
        self.walk.superblock()
    }

    /// Where the next entry starts.
    pub const fn position(&self) -> Position {
        self.walk.position()
    }

    /// Where a logger that appends continues: at the position of the walk, so to be called at its end.
    pub const fn resume_point(&self) -> ResumePoint {
        ResumePoint { position: self.walk.position(), unflushed: !self.flushed }
    }

    /// The next entry that the superblock counts, or `None` after the last.
    ///
    /// # Errors
    /// [`ReadError`]; the position stays, and another call tries again.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError<R::Error>> {
        if self.walk.is_done() { Ok(None) } else { self.step().map(Some) }
    }

    /// Reads the text of a mark into `buffer`, which it fills as far as both reach, and gives the length of
    /// the whole text in bytes; 0 for any other entry.
    ///
    /// # Errors
    /// The source's.
    pub fn read_mark(&mut self, entry: &Entry, buffer: &mut [u8]) -> Result<u64, ReadError<R::Error>> {
        let text = entry.mark_text().unwrap_or(0..0);
        self.read_range(text.start, text.end - text.start, buffer)?;
        Ok(text.end - text.start)
    }

    /// Reads the payload of an entry from its byte `skip_bytes` on into `buffer`, as far as both reach, and
    /// gives how many bytes that were.
    ///
    /// # Errors
    /// The source's.
    pub fn read_payload(
        &mut self,
        entry: &Entry,
        skip_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError<R::Error>> {
        let payload = entry.payload();
        let start = payload.start.saturating_add(skip_bytes).min(payload.end);
        self.read_range(start, payload.end - start, buffer)
    }

    /// Looks after the last entry that the superblock counts, where a recorder that was stopped may have left
    /// more, and returns how many whole entries seem to be there. To be called at the end of the walk, whose
    /// position it leaves alone.
    ///
    /// The format has no checksum: a stale entry of an older log looks like a new one. What is found here is
    /// salvage, not truth.
    ///
    /// # Errors
    /// The source's.
    pub fn tail(&mut self) -> Result<Tail, ReadError<R::Error>> {
        let end = self.walk;
        let flushed = self.flushed;
        self.walk = end.counting(u64::MAX);
        let result = self.walk_tail(end.position());
        self.walk = end;
        self.flushed = flushed;
        result
    }

    /// Goes on over a tail that [`tail`](Self::tail) has found, as if the superblock counted it.
    pub const fn count(&mut self, tail: Tail) {
        self.walk = self.walk.counting(tail.end.index);
    }

    /// The source, which is anywhere.
    pub const fn source(&self) -> &R {
        &self.source
    }

    /// Gives the source back.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn walk_tail(&mut self, start: Position) -> Result<Tail, ReadError<R::Error>> {
        loop {
            let end = self.walk.position();
            match self.step() {
                // No known recorder writes unknown flags, or data_len without a mark; payload taken for a header
                // has them almost always.
                Ok(entry) if looks_written(&entry) => {}
                Ok(_) | Err(ReadError::Malformed(_)) => return Ok(Tail { start, end }),
                Err(error) => return Err(error),
            }
        }
    }

    fn step(&mut self) -> Result<Entry, ReadError<R::Error>> {
        let before = self.walk;
        let mut head = [0; HEADER_LEN + 1];
        let got = self.read_up_to(before.position().offset_bytes, &mut head)?;
        let header = head.first_chunk().filter(|_| got >= HEADER_LEN).ok_or(before.truncated())?;
        let entry = self.walk.step(header)?;
        if let Err(error) = self.check_text(&entry, &head[HEADER_LEN..got]) {
            self.walk = before;
            return Err(error);
        }
        self.flushed = entry.is_bare_flush();
        Ok(entry)
    }

    /// Checks what follows the header, the first of it being `after`, a piece at a time, however long it is.
    fn check_text(&mut self, entry: &Entry, after: &[u8]) -> Result<(), ReadError<R::Error>> {
        Walk::check_text(entry, 0, after)?;
        let check = entry.text_check();
        let mut offset_bytes = check.start + 1;
        while offset_bytes < check.end {
            let mut buffer = [0; 64];
            let got = self.read_range(offset_bytes, check.end - offset_bytes, &mut buffer)?;
            Walk::check_text(entry, offset_bytes - check.start, &buffer[..got])?;
            offset_bytes += widen(got);
        }
        Ok(())
    }

    fn read_range(
        &mut self,
        offset_bytes: u64,
        len_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError<R::Error>> {
        let len = clip(len_bytes, buffer.len());
        if len > 0 {
            self.read_all(offset_bytes, &mut buffer[..len])?;
        }
        Ok(len)
    }

    fn read_all(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> Result<(), ReadError<R::Error>> {
        self.source.seek(SeekFrom::Start(offset_bytes)).map_err(ReadError::Io)?;
        self.source.read_exact(buffer).map_err(|error| match error {
            ReadExactError::UnexpectedEof => ReadError::Shrunk { offset_bytes },
            ReadExactError::Other(error) => ReadError::Io(error),
        })
    }

    /// Reads as much of `buffer` as the source has.
    fn read_up_to(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> Result<usize, ReadError<R::Error>> {
        self.source.seek(SeekFrom::Start(offset_bytes)).map_err(ReadError::Io)?;
        let mut got = 0;
        while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest).map_err(ReadError::Io)? {
                0 => break,
                more => got += more,
            }
        }
        Ok(got)
    }
}

/// Whole entries that seem to follow those that the superblock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Behind the last entry that the superblock counts.
    pub start: Position,
    /// Behind the last entry that seems to be one.
    pub end: Position,
}

impl Tail {
    /// How many entries that are.
    #[must_use]
    pub const fn nr_entries(&self) -> u64 {
        self.end.index - self.start.index
    }
}

/// Why a log could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError<E> {
    /// The source failed.
    #[error("cannot read the superblock")]
    Io(#[source] E),
    /// The source is not a log.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
}

/// Why a log could not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// The source failed.
    #[error("cannot read the log")]
    Io(#[source] E),
    /// An entry is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The source ends earlier than it did when it was opened.
    #[error("the log was truncated at or before byte {offset_bytes} while it was read")]
    Shrunk {
        /// What was to be read, in bytes from the start of the log.
        offset_bytes: u64,
    },
}

fn looks_written(entry: &Entry) -> bool {
    let flags = entry.flags();
    let named = flags.unnamed().is_empty();
    named && (flags.contains(Flags::MARK) || entry.header.data_len == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EntryHeader;
    use crate::geometry::SectorSize;
    use crate::reader::Malformation;
    use std::rc::Rc;
    use std::vec;
    use std::vec::Vec;

    /// A file that others can truncate.
    #[derive(Clone, Debug)]
    struct Shared {
        bytes: Rc<core::cell::RefCell<Vec<u8>>>,
        at: usize,
    }

    impl embedded_io::ErrorType for Shared {
        type Error = core::convert::Infallible;
    }

    impl Read for Shared {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            let bytes = self.bytes.borrow();
            let rest = bytes.get(self.at..).unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            self.at += len;
            Ok(len)
        }
    }

    impl Seek for Shared {
        fn seek(&mut self, to: SeekFrom) -> Result<u64, Self::Error> {
            self.at = match to {
                SeekFrom::Start(at) => usize::try_from(at).unwrap_or(usize::MAX),
                SeekFrom::End(_) | SeekFrom::Current(_) => self.bytes.borrow().len(),
            };
            Ok(u64::try_from(self.at).unwrap())
        }
    }

    /// A write of a sector, a mark, a flush, and after what is counted a flush and a write.
    fn log() -> Shared {
        let base = EntryHeader::default();
        let write = EntryHeader { nr_sectors: 1, ..base };
        let flush = EntryHeader { flags: Flags::FLUSH, ..base };
        let mark = EntryHeader { flags: Flags::MARK, data_len: 100, ..base };
        let mut bytes = vec![0; 512 * 8];
        bytes[..32].copy_from_slice(&Superblock { nr_entries: 3, sector_size: SectorSize::B512 }.emit());
        for (sector, header) in [(1, write), (3, mark), (4, flush), (5, flush), (6, write)] {
            bytes[sector * 512..sector * 512 + 32].copy_from_slice(&header.emit());
        }
        bytes[3 * 512 + 32..3 * 512 + 132].fill(b'm');
        Shared { bytes: Rc::new(bytes.into()), at: 0 }
    }

    #[test]
    fn a_log_is_read_and_its_tail_found() {
        let mut reader = Reader::open(log()).unwrap();
        let write = reader.next_entry().unwrap().unwrap();
        assert!(reader.resume_point().unflushed);
        let mark = reader.next_entry().unwrap().unwrap();
        let mut text = [0; 200];
        assert_eq!(reader.read_mark(&mark, &mut text), Ok(100));
        assert_eq!((text[99], text[100]), (b'm', 0));
        assert_eq!(reader.read_payload(&write, 500, &mut text), Ok(12));
        assert!(reader.next_entry().unwrap().is_some());
        assert_eq!(reader.next_entry(), Ok(None));
        let point = reader.resume_point();
        assert_eq!((point.position.index, point.unflushed), (3, false));
        let tail = reader.tail().unwrap();
        assert_eq!((tail.nr_entries(), tail.end.offset_bytes), (2, 512 * 8));
        assert_eq!(reader.resume_point(), point, "looking does not move");
        reader.count(tail);
        assert!(reader.next_entry().unwrap().is_some());
        assert!(reader.next_entry().unwrap().is_some());
        assert_eq!(reader.next_entry(), Ok(None));
        assert!(reader.resume_point().unflushed);
    }

    #[test]
    fn a_log_that_is_truncated_while_it_is_read_is_an_error() {
        let source = log();
        let mut reader = Reader::open(source.clone()).unwrap();
        let write = reader.next_entry().unwrap().unwrap();
        source.bytes.borrow_mut().truncate(512 * 3 + 60);
        // The mark's header is there still, its text is not.
        assert_eq!(reader.next_entry(), Err(ReadError::Shrunk { offset_bytes: 512 * 3 + 33 }));
        assert_eq!(reader.position().index, 1, "another call tries again");
        source.bytes.borrow_mut().truncate(512 * 2);
        assert_eq!(
            reader.read_payload(&write, 0, &mut [0; 8]),
            Err(ReadError::Shrunk { offset_bytes: 1024 })
        );
        let error = reader.next_entry().unwrap_err();
        let ReadError::Malformed(malformed) = error else { panic!("{error:?}") };
        assert_eq!(malformed.reason, Malformation::Truncated { nr_entries: 3 });
    }

    #[test]
    fn a_lost_superblock_can_be_given() {
        let source = log();
        source.bytes.borrow_mut()[..512].fill(0);
        assert!(matches!(Reader::open(source.clone()), Err(OpenError::Superblock(_))));
        let superblock = Superblock { nr_entries: 0, sector_size: SectorSize::B512 };
        let mut reader = Reader::with_superblock(source, superblock).unwrap();
        assert_eq!(reader.tail().unwrap().nr_entries(), 5);
    }
}
