//! What an engine reads and writes, from several threads at once. Offsets and lengths are in bytes.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use logwrites_core::device::{DataDevice, LogDevice};
use logwrites_core::history::ExtentMap;
use logwrites_core::{Outcome, WriteFlags};

use crate::device::{Disk, LiveLog, ScratchLog, View};

/// A disk under the log: it is read, and written unless the log alone holds what changes.
pub trait Data: Send + Sync {
    /// Reads exactly as much as `buffer` holds.
    ///
    /// # Errors
    /// The device's.
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The next range at or after `offset_bytes` that may hold anything but zeros.
    ///
    /// # Errors
    /// The device's.
    fn next_data(&self, offset_bytes: u64) -> io::Result<Option<Range<u64>>>;

    /// Says that a range will be read.
    fn will_read(&self, _offset_bytes: u64, _len_bytes: u64) {}

    /// Whether it lets only one of several concurrent writers proceed, so that the others had better do something else.
    fn is_serial(&self) -> bool {
        false
    }

    /// What it is written through, by several threads at once.
    fn device(&self) -> impl DataDevice<Error = io::Error>;
}

/// Where the entries go.
pub trait Log: Send + Sync {
    /// Reads exactly as much as `buffer` holds, of what a write that has returned has written.
    ///
    /// # Errors
    /// The device's.
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// What it is written through, by one thread at a time, and flushed meanwhile.
    fn device(&self) -> impl LogDevice<Error = io::Error>;

    /// Whether it will be thrown away: nothing waits for it to become durable.
    fn is_scratch(&self) -> bool {
        false
    }

    /// Takes storage ahead of the log. False where that cannot be done.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is none.
    fn reserve(&self, _offset_bytes: u64, _len_bytes: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Makes flushes of a range cheaper that was reserved and comes next, if that pays.
    ///
    /// # Errors
    /// The device's.
    fn lay_zeros(&self, _offset_bytes: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Gives back what was reserved and is not yet written. Nothing is written meanwhile.
    ///
    /// # Errors
    /// The device's.
    fn release_reserve(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Data for Disk {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_at(offset_bytes, buffer)
    }

    fn next_data(&self, offset_bytes: u64) -> io::Result<Option<Range<u64>>> {
        self.next_data(offset_bytes)
    }

    fn will_read(&self, offset_bytes: u64, len_bytes: u64) {
        self.will_read(offset_bytes, len_bytes);
    }

    fn is_serial(&self) -> bool {
        // A file has one lock in the kernel.
        !self.is_block_device()
    }

    fn device(&self) -> impl DataDevice<Error = io::Error> {
        self
    }
}

impl Log for LiveLog {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk().read_at(offset_bytes, buffer)
    }

    fn device(&self) -> impl LogDevice<Error = io::Error> {
        self
    }

    fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        self.reserve(offset_bytes, len_bytes)
    }

    fn lay_zeros(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        self.lay_zeros(offset_bytes, len_bytes)
    }

    fn release_reserve(&self) -> io::Result<()> {
        self.release_reserve()
    }
}

impl Log for ScratchLog {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read(offset_bytes, buffer)
    }

    fn device(&self) -> impl LogDevice<Error = io::Error> {
        self
    }

    fn is_scratch(&self) -> bool {
        true
    }

    fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        self.reserve(offset_bytes, len_bytes)
    }

    fn release_reserve(&self) -> io::Result<()> {
        self.release_reserve()
    }
}

/// What is under an overlay, and stays as it is.
#[derive(Debug)]
pub enum Base {
    /// An image.
    Image(Disk),
    /// Nothing but zeros.
    Zeros,
    /// The disk as of a point of another log, which is shared with others.
    Past {
        /// Under that log; zeros, if there is none.
        base: Option<Arc<Disk>>,
        /// That log.
        log: Arc<Disk>,
        /// Where its bytes are at the point.
        map: ExtentMap,
    },
}

impl Data for Base {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Image(disk) => disk.read_at(offset_bytes, buffer),
            Self::Zeros => {
                buffer.fill(0);
                Ok(())
            }
            Self::Past { base, log, map } => {
                let len_bytes = u64::try_from(buffer.len()).map_err(io::Error::other)?;
                let extent = map.sector_size().extent(offset_bytes, len_bytes).map_err(io::Error::other)?;
                View { base: base.as_deref(), log, map }.read(extent, buffer)
            }
        }
    }

    fn next_data(&self, offset_bytes: u64) -> io::Result<Option<Range<u64>>> {
        match self {
            Self::Image(disk) => disk.next_data(offset_bytes),
            Self::Zeros => Ok(None),
            // What the log says of it is finer than what a base is asked for.
            Self::Past { .. } => Ok(Some(offset_bytes..u64::MAX)),
        }
    }

    fn will_read(&self, offset_bytes: u64, len_bytes: u64) {
        if let Self::Image(disk) = self {
            disk.will_read(offset_bytes, len_bytes);
        }
    }

    fn device(&self) -> impl DataDevice<Error = io::Error> {
        NeverWritten
    }
}

/// An overlay writes to its log alone.
struct NeverWritten;

impl NeverWritten {
    fn refuse<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the base of an overlay is never written"))
    }
}

impl DataDevice for NeverWritten {
    type Error = io::Error;

    fn write(&mut self, _offset_bytes: u64, _bytes: &[u8], _flags: WriteFlags) -> io::Result<()> {
        Self::refuse()
    }

    fn write_zeroes(&mut self, _offset_bytes: u64, _len_bytes: u64, _flags: WriteFlags) -> io::Result<()> {
        Self::refuse()
    }

    fn discard(&mut self, _offset_bytes: u64, _len_bytes: u64) -> io::Result<Outcome> {
        Self::refuse()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
