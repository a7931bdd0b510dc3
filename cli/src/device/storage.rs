//! The storage that is taken ahead of a log, so that what was accepted can be written.

use std::io;

/// Up to where a log has storage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Storage {
    /// `u64::MAX` where storage cannot be taken ahead.
    to_bytes: u64,
}

impl Storage {
    /// None was taken.
    pub const NONE: Self = Self { to_bytes: 0 };

    /// Where the storage ends that was taken, or, where none was, what is written.
    #[must_use]
    pub fn end_bytes(self, written_bytes: u64) -> u64 {
        self.to_bytes.max(written_bytes)
    }

    /// Whether some was taken.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        self.to_bytes > 0
    }

    /// Whether it cannot be taken ahead, so that nothing has to be.
    #[must_use]
    pub const fn is_everywhere(self) -> bool {
        self.to_bytes == u64::MAX
    }

    /// Notes that there is storage up to there.
    pub const fn extend(&mut self, to_bytes: u64) {
        if to_bytes > self.to_bytes {
            self.to_bytes = to_bytes;
        }
    }

    /// Notes how taking storage up to there went: false if it cannot be taken ahead.
    ///
    /// # Errors
    /// [`Full`] if there was not as much.
    pub fn note(&mut self, to_bytes: u64, result: &io::Result<bool>) -> Result<(), Full> {
        match result {
            Ok(true) => self.extend(to_bytes),
            Err(error) if is_full(error) => return Err(Full),
            Ok(false) | Err(_) => self.to_bytes = u64::MAX,
        }
        Ok(())
    }
}

/// There was less storage than was to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How much is taken beyond what a log needs that ends there: most logs stay short, and what a short one is used for
/// will only be seen.
#[must_use]
pub fn stretch_bytes(end_bytes: u64) -> u64 {
    end_bytes.clamp(MIN_AHEAD_BYTES, MAX_AHEAD_BYTES)
}

/// Whether there is no storage left.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How much storage is taken ahead at least, in bytes.
const MIN_AHEAD_BYTES: u64 = 128 << 10;

/// How much is taken at most. A log that is served cannot be written meanwhile, so it is little.
const MAX_AHEAD_BYTES: u64 = 4 << 20;
