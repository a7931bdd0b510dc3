//! A log, an entry after another.

use std::error::Error as _;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use logwrites_core::format::{Superblock, SuperblockError};
use logwrites_core::reader::{Entry, OpenError, ReadError, Reader};

use super::super::end::{FAILED, end};
use super::super::options::invalid_entry;
use super::lines::Lines;
use crate::device::{Access, Disk, DiskError, LogSource};
use crate::error::Failure;
use crate::interrupt;

/// A place between two entries of a log.
pub(super) struct Cursor {
    path: PathBuf,
    reader: Reader<LogSource>,
}

impl Cursor {
    /// In front of the first entry.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let source = LogSource::open(path).map_err(|error| {
            end(FAILED, format!("Couldn't open log {}: {}", path.display(), errno(&error)))
        })?;
        let reader = Reader::open(source).map_err(|error| match error {
            OpenError::Superblock(error @ SuperblockError::Magic { .. }) => {
                end(FAILED, format!("Magic doesn't match\n{}: {error}", path.display()))
            }
            OpenError::Superblock(error) => end(FAILED, format!("{}: {error}", path.display())),
            OpenError::Io(error) => unreadable(path, &error),
        })?;
        Ok(Self { path: path.to_owned(), reader })
    }

    /// Another opening of the log's file, to read payloads from.
    pub(super) fn open_disk(&self) -> Result<Disk, Failure> {
        Disk::open(&self.path, Access::Read).map_err(|error| end(FAILED, error.to_string()))
    }

    pub(super) const fn superblock(&self) -> Superblock {
        self.reader.superblock()
    }

    /// Goes from the start to the front of this entry, which must exist.
    pub(super) fn seek(&mut self, entry: u64, lines: &mut Lines) -> Result<(), Failure> {
        if entry >= self.superblock().nr_entries {
            return Err(invalid_entry());
        }
        for _ in 0..entry {
            if let Some(passed) = self.next()? {
                lines.passed(&passed);
            }
        }
        Ok(())
    }

    /// The next entry, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let entry = self.reader.next_entry().map_err(|error| self.failure(error))?;
        if entry.is_some_and(|entry| entry.index.is_multiple_of(4096)) {
            interrupt::check("")?;
        }
        Ok(entry)
    }

    /// Whether this entry, which the cursor has just given, is the mark with this text.
    pub(super) fn is_mark(&mut self, entry: &Entry, text: &[u8]) -> Result<bool, Failure> {
        let len = entry.mark_text().map(|text| text.end - text.start);
        if len.is_none() || len != u64::try_from(text.len()).ok() {
            return Ok(false);
        }
        let mut found = vec![0; text.len()];
        self.reader.read_mark(entry, &mut found).map_err(|error| self.failure(error))?;
        Ok(found == text)
    }

    fn failure(&self, error: ReadError<io::Error>) -> Failure {
        match error {
            ReadError::Malformed(malformed) => {
                let sector = malformed.offset_bytes / self.superblock().sector_size.bytes();
                end(FAILED, format!("Malformed entry @{sector}\n{}: {malformed}", self.path.display()))
            }
            other => unreadable(&self.path, &other),
        }
    }
}

/// The system's number for what went wrong.
pub(super) fn errno(error: &DiskError) -> i32 {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::raw_os_error).unwrap_or(EINVAL)
}

fn unreadable(path: &Path, error: &impl Display) -> Failure {
    end(FAILED, format!("cannot read {}: {error}", path.display()))
}

/// What the system says of something that is neither a file nor a block device.
const EINVAL: i32 = 22;
