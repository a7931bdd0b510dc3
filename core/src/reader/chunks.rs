//! A log that comes a chunk at a time.

use crate::format::{HEADER_LEN, Superblock, SuperblockError};
use crate::num::{clip, widen};
use crate::reader::{Entry, Malformed, Walk};

/// A log that is pushed in chunks of any size, from a pipe or a download.
///
/// ```
/// use logwrites_core::reader::{Chunks, Event};
/// # use logwrites_core::{format::{EntryHeader, Superblock}, SectorSize};
/// # let mut log = vec![0; 3 * 512];
/// # log[..32].copy_from_slice(&Superblock { nr_entries: 1, sector_size: SectorSize::B512 }.emit());
/// # log[512..544].copy_from_slice(&EntryHeader { nr_sectors: 1, ..EntryHeader::default() }.emit());
///
/// let (mut chunks, mut entries) = (Chunks::new(), 0);
/// for mut chunk in log.chunks(100) {
///     while !chunk.is_empty() {
///         let (used, event) = chunks.push(chunk)?;
///         if let Some(Event::Entry(_)) = event {
///             entries += 1;
///         }
///         chunk = &chunk[used..];
///     }
/// }
/// chunks.end()?;
/// assert_eq!(entries, 1);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    /// The bytes so far of the superblock or the header that is being collected.
    head: heapless::Vec<u8, HEADER_LEN>,
    offset_bytes: u64,
    state: State,
}

impl Chunks {
    /// At the first byte of a log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `chunk` up to the next event, and gives how many it took: at least one,
    /// unless `chunk` is empty. The rest is to be pushed again.
    ///
    /// # Errors
    /// [`ChunkError`]; nothing can be pushed after it.
    pub fn push<'a>(&mut self, chunk: &'a [u8]) -> Result<(usize, Option<Event<'a>>), ChunkError> {
        let (used, event) = match self.state {
            State::Superblock => self.push_superblock(chunk)?,
            State::Header(walk) => self.push_header(walk, chunk)?,
            State::Text { entry, .. } => self.push_text(entry, chunk)?,
            State::Padding { end_bytes, .. } => (self.take(chunk, end_bytes).len(), None),
            State::Payload { entry, .. } => {
                let at_bytes = self.offset_bytes - entry.payload().start;
                let bytes = self.take(chunk, entry.payload().end);
                (bytes.len(), Some(Event::Payload { entry, at_bytes, bytes }))
            }
            // Bytes after the last entry that is counted are not part of the log.
            State::Done => (chunk.len(), None),
        };
        self.state = self.state.settled(self.offset_bytes);
        Ok((used, event))
    }

    /// Says that the log has ended.
    ///
    /// # Errors
    /// [`ChunkError`] if the superblock counts more than was pushed.
    pub fn end(&self) -> Result<(), ChunkError> {
        match self.state {
            State::Done => Ok(()),
            State::Superblock => Err(SuperblockError::Magic { found: 0 }.into()),
            // Nothing is missing but zeros.
            State::Padding { walk, entry: None, .. } if walk.is_done() => Ok(()),
            State::Padding { walk, entry: None, .. } | State::Header(walk) => Err(walk.truncated().into()),
            State::Padding { walk, entry: Some(entry), .. }
            | State::Text { walk, entry }
            | State::Payload { walk, entry } => {
                Err(Malformed { entry: entry.index, offset_bytes: entry.offset_bytes, ..walk.truncated() }
                    .into())
            }
        }
    }

    fn push_superblock<'a>(&mut self, chunk: &'a [u8]) -> Result<(usize, Option<Event<'a>>), ChunkError> {
        let used = self.collect(chunk);
        let Some(bytes) = self.head.first_chunk() else {
            return Ok((used, None));
        };
        let superblock = Superblock::parse(bytes)?;
        let walk = Walk::new(superblock, None);
        self.head.clear();
        self.state = State::Padding { walk, entry: None, end_bytes: superblock.sector_size.bytes() };
        Ok((used, Some(Event::Superblock(superblock))))
    }

    fn push_header<'a>(
        &mut self,
        mut walk: Walk,
        chunk: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), ChunkError> {
        let used = self.collect(chunk);
        let Some(bytes) = self.head.first_chunk() else {
            return Ok((used, None));
        };
        let entry = walk.step(bytes)?;
        self.head.clear();
        self.state = State::Text { walk, entry };
        Ok((used, Some(Event::Entry(entry))))
    }

    fn push_text<'a>(
        &mut self,
        entry: Entry,
        chunk: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), ChunkError> {
        let check = entry.text_check();
        let at_bytes = self.offset_bytes - check.start;
        let bytes = self.take(chunk, check.end);
        Walk::check_text(&entry, at_bytes, bytes)?;
        let is_end = self.offset_bytes == check.end;
        let text = if is_end { bytes.split_last().map_or(bytes, |(_nul, text)| text) } else { bytes };
        let event = Event::Text { entry, at_bytes, bytes: text };
        Ok((bytes.len(), entry.mark_text().is_some().then_some(event)))
    }

    /// Takes what `chunk` has of the bytes up to the log's byte `end_bytes`.
    fn take<'a>(&mut self, chunk: &'a [u8], end_bytes: u64) -> &'a [u8] {
        let taken = &chunk[..clip(end_bytes - self.offset_bytes, chunk.len())];
        self.advance(taken.len());
        taken
    }

    /// Collects what `chunk` has of a header.
    fn collect(&mut self, chunk: &[u8]) -> usize {
        let taken = &chunk[..chunk.len().min(HEADER_LEN - self.head.len())];
        let fits = self.head.extend_from_slice(taken);
        debug_assert!(fits.is_ok(), "no more is taken than there is room for");
        self.advance(taken.len());
        taken.len()
    }

    fn advance(&mut self, len: usize) {
        self.offset_bytes += widen(len);
    }
}

/// What a chunk brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The log's superblock, once.
    Superblock(Superblock),
    /// The next entry. Its text or payload follows.
    Entry(Entry),
    /// A piece of a mark's text.
    Text {
        /// The mark.
        entry: Entry,
        /// Where in the text the piece belongs, in bytes.
        at_bytes: u64,
        /// The piece.
        bytes: &'a [u8],
    },
    /// A piece of an entry's payload.
    Payload {
        /// The entry.
        entry: Entry,
        /// Where in the payload the piece belongs, in bytes.
        at_bytes: u64,
        /// The piece.
        bytes: &'a [u8],
    },
}

/// Why a log that is pushed could not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// What was pushed is not a log.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    /// An entry is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Superblock,
    Header(Walk),
    /// What [`Walk::check_text`] is to see.
    Text {
        walk: Walk,
        entry: Entry,
    },
    /// Zeros up to the end of a sector.
    Padding {
        walk: Walk,
        entry: Option<Entry>,
        end_bytes: u64,
    },
    Payload {
        walk: Walk,
        entry: Entry,
    },
    /// Behind the last entry that the superblock counts.
    Done,
}

impl State {
    /// The state at byte `offset_bytes`: moves on once nothing of the current one is left.
    fn settled(self, offset_bytes: u64) -> Self {
        let mut state = self;
        loop {
            state = match state {
                Self::Text { walk, entry } if offset_bytes >= entry.text_check().end => {
                    Self::Padding { walk, entry: Some(entry), end_bytes: entry.payload().start }
                }
                Self::Padding { walk, entry, end_bytes } if offset_bytes >= end_bytes => match entry {
                    Some(entry) => Self::Payload { walk, entry },
                    None => Self::Header(walk),
                },
                Self::Payload { walk, entry } if offset_bytes >= entry.payload().end => Self::Header(walk),
                Self::Header(walk) if walk.is_done() => Self::Done,
                _ => return state,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{EntryHeader, Flags};
    use crate::geometry::SectorSize;
    use crate::reader::{LogSlice, Malformation};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// A write of two sectors, a mark, a discard, a flush.
    fn log(sector_size: SectorSize) -> Vec<u8> {
        let sector = usize::try_from(sector_size.bytes()).unwrap();
        let mut log = vec![0; sector * 7];
        log[..32].copy_from_slice(&Superblock { nr_entries: 4, sector_size }.emit());
        let base = EntryHeader::default();
        let headers = [
            (1, EntryHeader { nr_sectors: 2, ..base }),
            (4, EntryHeader { flags: Flags::MARK, data_len: 5, ..base }),
            (5, EntryHeader { flags: Flags::DISCARD, nr_sectors: 9, ..base }),
            (6, EntryHeader { flags: Flags::FLUSH, ..base }),
        ];
        for (at, header) in headers {
            log[at * sector..at * sector + 32].copy_from_slice(&header.emit());
        }
        log[2 * sector..4 * sector].fill(0xaa);
        log[4 * sector + 32..4 * sector + 37].copy_from_slice(b"hello");
        log
    }

    #[derive(Default)]
    struct Pushed {
        entries: Vec<Entry>,
        text: Vec<u8>,
        payload: Vec<u8>,
    }

    fn push_all(log: &[u8], sizes: &[usize]) -> Result<Pushed, ChunkError> {
        let mut chunks = Chunks::new();
        let mut pushed = Pushed::default();
        let (mut rest, mut sizes) = (log, sizes.iter().cycle());
        while !rest.is_empty() {
            let (mut chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            rest = after;
            while !chunk.is_empty() {
                let (used, event) = chunks.push(chunk)?;
                assert!(used > 0, "every push takes something");
                match event {
                    Some(Event::Entry(entry)) => pushed.entries.push(entry),
                    Some(Event::Text { at_bytes, bytes, .. }) => {
                        assert_eq!(at_bytes, u64::try_from(pushed.text.len()).unwrap());
                        pushed.text.extend(bytes);
                    }
                    Some(Event::Payload { bytes, .. }) => pushed.payload.extend(bytes),
                    Some(Event::Superblock(_)) | None => {}
                }
                chunk = &chunk[used..];
            }
        }
        chunks.end().map(|()| pushed)
    }

    proptest! {
        #[test]
        fn the_size_of_chunks_does_not_matter(
            sizes in proptest::collection::vec(1usize..700, 1..9), shift in 6u32..=10,
        ) {
            let sector_size = SectorSize::new(1 << shift).unwrap();
            let log = log(sector_size);
            let Pushed { entries, text, payload } = push_all(&log, &sizes).unwrap();
            let expected: Vec<Entry> = LogSlice::open(&log).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(entries, expected);
            prop_assert_eq!(text, b"hello");
            prop_assert_eq!(payload, vec![0xaa; usize::try_from(sector_size.bytes() * 2).unwrap()]);
        }
    }

    #[test]
    fn a_log_that_ends_early_is_an_error() {
        let log = log(SectorSize::B512);
        // An interpreter is slow.
        for len in (0..log.len()).step_by(if cfg!(miri) { 331 } else { 1 }) {
            assert!(push_all(&log[..len], &[64]).is_err(), "{len} bytes of the log are not the whole");
        }
        assert!(push_all(&log, &[64]).is_ok());
        let error = push_all(&log[..2000], &[64]).err().unwrap();
        let reason = Malformation::Truncated { nr_entries: 4 };
        assert_eq!(error, Malformed { entry: 0, offset_bytes: 512, reason }.into());
    }
}
