//! Reading a disk that is not trusted.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::num::widen;

/// A disk, and how much of it may still be read.
pub(super) struct Disk<'a, E> {
    read: &'a mut Read<'a, E>,
    len_bytes: u64,
    left_bytes: u64,
}

impl<'a, E> Disk<'a, E> {
    pub(super) fn new(len_bytes: u64, read: &'a mut Read<'a, E>) -> Self {
        Self { read, len_bytes, left_bytes: MAX_READ_BYTES }
    }

    /// Some bytes; `None` if the disk ends before them, or if too much was read by now.
    pub(super) fn read(&mut self, offset_bytes: u64, len: usize) -> Result<Option<Vec<u8>>, E> {
        let len_bytes = widen(len).max(MIN_READ_BYTES);
        let is_within = offset_bytes.checked_add(widen(len)).is_some_and(|end| end <= self.len_bytes);
        if !is_within || self.is_exhausted() {
            return Ok(None);
        }
        self.left_bytes = self.left_bytes.saturating_sub(len_bytes);
        let mut bytes = vec![0; len];
        (self.read)(offset_bytes, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether nothing more will be read.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.left_bytes == 0
    }
}

impl<E> fmt::Debug for Disk<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

/// Fills a buffer from an offset in bytes.
type Read<'a, E> = dyn FnMut(u64, &mut [u8]) -> Result<(), E> + 'a;

/// How much is read of a disk at most, in bytes.
const MAX_READ_BYTES: u64 = 256 << 20;

/// What a read counts at least, in bytes.
const MIN_READ_BYTES: u64 = 256;
