//! A log that several threads write to, flush and read at once.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logwrites_core::device::{LogDevice as _, Piece};

use super::disk::{Disk, DiskError};
use super::log::LogFile;

/// A [`LogFile`] that is shared: one write at a time, beside which it is flushed and read.
#[derive(Debug)]
pub struct LiveLog {
    file: Mutex<LogFile>,
    /// The same disk, without waiting for a write.
    disk: Disk,
    is_scratch: bool,
}

impl LiveLog {
    /// Shares a log.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn new(file: LogFile) -> Result<Self, DiskError> {
        let disk = file.disk().try_clone()?;
        Ok(Self { file: Mutex::new(file), disk, is_scratch: false })
    }

    /// Shares a log that will be thrown away: nothing needs to be durable.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn scratch(file: LogFile) -> Result<Self, DiskError> {
        Ok(Self { is_scratch: true, ..Self::new(file)? })
    }

    /// The disk, to read from.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Writes pieces one behind the other, as [`LogDevice::write`](logwrites_core::device::LogDevice::write).
    ///
    /// # Errors
    /// The system's; any part may have been written.
    pub fn write(&self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        self.lock().write(offset_bytes, pieces)
    }

    /// Makes every write that has returned durable.
    ///
    /// # Errors
    /// The system's.
    pub fn flush(&self) -> io::Result<()> {
        if self.is_scratch { Ok(()) } else { self.disk.sync() }
    }

    /// Takes storage for a range that will be written, without making the file longer. False where that cannot be
    /// done ahead.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is none.
    pub fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        if self.disk.is_block_device() { Ok(false) } else { self.disk.allocate(offset_bytes, len_bytes) }
    }

    /// Gives back what was reserved and never written.
    ///
    /// # Errors
    /// The system's.
    pub fn release_reserve(&self) -> io::Result<()> {
        if self.disk.is_block_device() {
            return Ok(());
        }
        self.disk.set_len(self.disk.len_bytes()?)
    }

    fn lock(&self) -> MutexGuard<'_, LogFile> {
        // A write that panicked has left the file's own bookkeeping behind at most, never ahead.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
