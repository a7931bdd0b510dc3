//! A log as a command finds it: its index, as far as it can be read.

mod error;
mod filter;
mod fit;
mod open_end;
mod place;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::error::{LogError, PlaceError};
pub use self::filter::{EntryFilter, EntryKind};
pub(crate) use self::fit::check_alignment;
pub use self::fit::{FitError, TooShort};
pub(crate) use self::open_end::OpenEnd;
pub use self::open_end::Tail;
pub(crate) use self::place::LogPlace;
pub use self::place::{Existing, LogOptions};
pub use self::summary::LogSummary;

use logwrites_core::crash::State;
use logwrites_core::format::Flags;
use logwrites_core::history::{EntrySet, Index};
use logwrites_core::reader;
use logwrites_core::reader::{Malformed, OpenError, ReadError, Reader, ResumePoint};

use crate::device::{Disk, LogSource};
use crate::interrupt;
use crate::output::progress::Progress;
use crate::point::{Anchors, Point, StateArg};

/// A log, read as far as was asked for: at most up to its end, or to the first entry that cannot be read.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    reader: Reader<LogSource>,
    index: Index,
    broken: Option<Malformed>,
}

impl Log {
    /// Opens a log and reads all of its headers.
    ///
    /// # Errors
    /// If it cannot be read or is not a log. A malformed entry is not an error yet; see
    /// [`check_whole`](Self::check_whole).
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let mut log = Self::begin(path)?;
        log.read_up_to(u64::MAX)?;
        Ok(log)
    }

    /// Opens a log and reads its superblock only: [`resolve`](Self::resolve) reads as far as it must.
    ///
    /// # Errors
    /// If it cannot be read or is not a log.
    pub fn begin(path: &Path) -> Result<Self, LogError> {
        let reader = open(path)?;
        let index = Index::new(reader.superblock());
        Ok(Self { path: path.to_owned(), reader, index, broken: None })
    }

    /// Opens a log that is still being written and reads its first `nr_entries` entries, which its writer says are there,
    /// whatever the superblock counts.
    ///
    /// # Errors
    /// If it cannot be read or is not a log, or has fewer entries.
    pub fn open_first(path: &Path, nr_entries: u64) -> Result<Self, LogError> {
        let mut log = Self::begin(path)?;
        log.read_up_to(nr_entries)?;
        log.check_whole()?;
        if log.index.nr_entries() < nr_entries {
            let tail = log.tail()?;
            log.reader.count(tail);
            log.read_up_to(nr_entries)?;
        }
        let nr_found = log.index.nr_entries();
        if nr_found < nr_entries {
            return Err(LogError::Shorter { path: path.to_owned(), nr_entries, nr_found });
        }
        Ok(log)
    }

    /// Its path, as given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its entries and marks, as far as they can be read.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// What ended the reading before the end.
    #[must_use]
    pub const fn broken(&self) -> Option<Malformed> {
        self.broken
    }

    /// The point that `point` means, `default` if it is `None`. The log is read as far as that needs.
    ///
    /// # Errors
    /// If the log has no such point, or cannot be read up to it.
    pub fn resolve(&mut self, point: Option<&Point>, default: Edge) -> Result<u64, LogError> {
        let Some(point) = point else {
            if default == Edge::Start {
                return Ok(0);
            }
            self.read_up_to(u64::MAX)?;
            self.check_whole()?;
            return Ok(self.index.nr_entries());
        };
        let anchor = &point.anchor;
        if anchor.counts_from_end() || anchor.must_be_unique() {
            self.read_up_to(u64::MAX)?;
        }
        if anchor.counts_from_end() {
            self.check_whole()?;
        }
        loop {
            match point.resolve(&self.index) {
                Ok(resolved) => return Ok(resolved),
                Err(_) if !self.is_read() => {
                    // Each time twice as much, so that all the tries together cost as much as the last one.
                    let nr_entries = self.index.nr_entries();
                    self.read_up_to(nr_entries.saturating_mul(2).max(FIRST_ENTRIES))?;
                }
                Err(error) => {
                    // The part that cannot be read may have it.
                    self.check_whole()?;
                    return Err(LogError::NoPoint { path: self.path.clone(), source: error });
                }
            }
        }
    }

    /// The state that `state` means, `default` without anything lost if it is `None`. The log is read as far as that needs.
    ///
    /// # Errors
    /// If the log has no such point, or cannot be read up to it, or if a crash there cannot lose what is to be lost.
    pub fn resolve_state(&mut self, state: Option<&StateArg>, default: Edge) -> Result<State, LogError> {
        let point = self.resolve(state.map(|state| &state.point), default)?;
        let lost = state.map_or(EntrySet::empty(), |state| state.lost.clone());
        check_state(State { point, lost }, &self.index, &self.path)
    }

    /// Whether there is nothing more to be read.
    fn is_read(&self) -> bool {
        self.broken.is_some() || self.index.nr_entries() >= self.reader.superblock().nr_entries
    }

    /// Reads the headers of the first `nr_entries` entries, as far as they have not been read.
    fn read_up_to(&mut self, nr_entries: u64) -> Result<(), LogError> {
        if self.broken.is_none() {
            let index = &mut self.index;
            self.broken = walk(&self.path, &mut self.reader, nr_entries, |reader, entry, text| {
                index.push_from(reader, entry, text)
            })?;
        }
        Ok(())
    }

    /// Nothing, if the whole log could be read.
    ///
    /// # Errors
    /// Which entry could not, and what can be done without it.
    pub fn check_whole(&self) -> Result<(), LogError> {
        let Some(broken) = self.broken else {
            return Ok(());
        };
        Err(LogError::Broken {
            path: self.path.clone(),
            nr_readable: self.index.nr_entries(),
            nr_counted: self.index.superblock().nr_entries,
            source: broken,
        })
    }

    /// Looks for entries after those that the superblock counts. The log must be whole.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn tail(&mut self) -> Result<reader::Tail, LogError> {
        self.reader.tail().map_err(|source| LogError::Read { path: self.path.clone(), source })
    }

    /// Takes the entries after those that the superblock counts as part of the log.
    ///
    /// # Errors
    /// If the log cannot be read, or was changed meanwhile.
    pub fn take_tail(&mut self, tail: reader::Tail) -> Result<(), LogError> {
        self.reader.count(tail);
        self.read_up_to(u64::MAX)?;
        self.check_whole()
    }

    /// The log's disk, to read payloads from.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        self.reader.source().disk()
    }

    /// Its index and its disk, for those who read no more of the index.
    #[must_use]
    pub fn into_parts(self) -> (Index, Arc<Disk>) {
        (self.index, self.reader.source().shared_disk())
    }

    /// Where a logger that appends continues.
    #[must_use]
    pub const fn resume_point(&self) -> ResumePoint {
        self.reader.resume_point()
    }

    /// Checks that the entries up to `point` stay on a disk of `len_bytes`.
    ///
    /// # Errors
    /// Which entry does not, and how large the disk must be.
    pub fn check_fits(&self, point: u64, len_bytes: u64, disk: &Path) -> Result<(), FitError> {
        let entries = self.index.entries(0..point);
        fit::check_fits(entries, self.index.sector_size(), len_bytes, disk)
    }
}

/// What a point means where none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Before the first entry.
    Start,
    /// Behind the last.
    End,
}

impl Anchors for Index {
    fn nr_entries(&self) -> u64 {
        self.nr_entries()
    }

    fn flushes(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.flagged(Flags::FLUSH)
    }

    fn fuas(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.flagged(Flags::FUA)
    }

    fn marks_named(&self, name: &[u8]) -> impl Iterator<Item = u64> {
        self.marks_named(name)
    }

    fn mark_names(&self) -> impl Iterator<Item = &[u8]> {
        self.marks().map(|mark| mark.text)
    }
}

/// A state, if a crash of the log can leave it.
pub(crate) fn check_state(state: State, index: &Index, path: &Path) -> Result<State, LogError> {
    match state.check(index) {
        Ok(()) => Ok(state),
        Err(source) => Err(LogError::NoState { path: path.to_owned(), state, source }),
    }
}

/// Opens a log and reads its superblock.
///
/// # Errors
/// If it cannot be read or is not a log.
pub fn open(path: &Path) -> Result<Reader<LogSource>, LogError> {
    let source = LogSource::open(path)?;
    let is_empty = source.len_bytes() == 0;
    Reader::open(source).map_err(|error| match error {
        OpenError::Superblock(_) if is_empty => LogError::Empty { path: path.to_owned() },
        OpenError::Superblock(source) => LogError::Superblock { path: path.to_owned(), source },
        OpenError::Io(source) => LogError::Unreadable { path: path.to_owned(), source },
    })
}

/// Walks over the entries of a log, up to `nr_entries` of them, with a progress bar, and gives the entry that ended the
/// walk because it is malformed.
///
/// # Errors
/// If the log cannot be read, or the person interrupts.
pub fn walk(
    path: &Path,
    reader: &mut Reader<LogSource>,
    nr_entries: u64,
    mut visit: impl FnMut(
        &mut Reader<LogSource>,
        &reader::Entry,
        &mut Vec<u8>,
    ) -> Result<(), ReadError<std::io::Error>>,
) -> Result<Option<Malformed>, LogError> {
    let nr_entries = nr_entries.min(reader.superblock().nr_entries);
    let mut progress = Progress::count("reading", nr_entries);
    let mut text = Vec::new();
    while reader.position().index < nr_entries {
        let step = reader.next_entry().and_then(|entry| match entry {
            Some(entry) => visit(reader, &entry, &mut text).map(|()| Some(entry)),
            None => Ok(None),
        });
        match step {
            Ok(Some(entry)) if entry.index.is_multiple_of(4096) => {
                interrupt::check("")?;
                progress.set(entry.index);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(ReadError::Malformed(malformed)) => return Ok(Some(malformed)),
            Err(source) => return Err(LogError::Read { path: path.to_owned(), source }),
        }
    }
    Ok(None)
}

/// How much of a log is read at first where it is not known how much is needed.
const FIRST_ENTRIES: u64 = 4096;
