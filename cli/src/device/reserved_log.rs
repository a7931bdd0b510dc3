//! A log whose storage is taken before an operation is accepted, so that no write reaches the disk and not the log.

use std::io;
use std::ops::Range;

use logwrites_core::device::{LogDevice, Piece};

use super::disk::Disk;
use super::log::LogFile;
use super::storage::{Full, Storage, is_full, stretch_bytes};

/// A [`LogFile`] with the storage for what comes next.
#[derive(Debug)]
pub struct ReservedLog {
    file: LogFile,
    storage: Storage,
}

impl ReservedLog {
    /// A log for which nothing has been taken yet.
    #[must_use]
    pub const fn new(file: LogFile) -> Self {
        Self { file, storage: Storage::NONE }
    }

    /// The disk, to read from.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        self.file.disk()
    }

    /// Takes storage up to `reach_bytes`, and for some more if there is as much. What lies before `logged_bytes` is
    /// written. Does nothing on a block device, and where a file system cannot take storage ahead.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::QuotaExceeded`] if there is not as much; what was taken before
    /// stays.
    pub fn reserve(&mut self, logged_bytes: u64, reach_bytes: u64) -> io::Result<()> {
        let from_bytes = self.storage.end_bytes(logged_bytes);
        if reach_bytes <= from_bytes {
            return Ok(());
        }
        let most_bytes = reach_bytes.saturating_add(stretch_bytes(reach_bytes));
        self.take(from_bytes..most_bytes).or_else(|_| self.take(from_bytes..reach_bytes))
    }

    /// The same for an operation whose `hole_bytes` zeros are to be a hole of the log: takes storage only for what may
    /// come before and after them. What is in flight may be on either side.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_around_hole(
        &mut self,
        logged_bytes: u64,
        hole_bytes: u64,
        reach_bytes: u64,
    ) -> io::Result<()> {
        let from_bytes = self.storage.end_bytes(logged_bytes);
        if reach_bytes <= from_bytes {
            return Ok(());
        }
        let front_bytes = (reach_bytes - hole_bytes).saturating_add(MARGIN_BYTES).min(reach_bytes);
        let behind_bytes = logged_bytes.saturating_add(hole_bytes).max(front_bytes).max(from_bytes);
        self.take(from_bytes..front_bytes)?;
        self.take(behind_bytes..reach_bytes)
    }

    /// Gives back the storage that was not needed.
    ///
    /// # Errors
    /// The system's.
    pub fn release(&mut self) -> io::Result<()> {
        self.storage = Storage::NONE;
        self.file.trim()
    }

    /// Takes storage for a range, up to whose end there is some then.
    fn take(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.disk().is_block_device() {
            return Ok(());
        }
        let result = self.disk().allocate(range.start, range.end.saturating_sub(range.start));
        match self.storage.note(range.end, &result) {
            Ok(()) => Ok(()),
            Err(Full) => result.map(|_| ()),
        }
    }
}

impl LogDevice for ReservedLog {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        match self.file.write(offset_bytes, pieces) {
            // There is as much as was taken, but elsewhere: where a hole was to be, something else has come.
            Err(error) if is_full(&error) && self.storage.is_taken() => {
                self.release()?;
                self.file.write(offset_bytes, pieces)
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What is taken before a hole beyond its header, in bytes: file systems take storage in blocks.
const MARGIN_BYTES: u64 = 8 << 10;
