//! A log on a disk, written by a driver.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use logwrites_core::device::{LogDevice, Piece};
use logwrites_core::num::widen;

use super::disk::{Disk, DiskError, ZEROS};

/// A log that is being written.
///
/// The old contents never show through: a file is truncated first, so that everything after its end is zero,
/// and on a block device the area ahead of the log is zeroed a stretch at a time, so that a reader that looks
/// beyond the last entry does not take a stale one for new.
#[derive(Debug)]
pub struct LogFile {
    disk: Arc<Disk>,
    /// Everything after it is zero: there a hole can replace zeros.
    written_bytes: u64,
    /// Up to where zeros may have been written ahead of the log.
    zeroed_bytes: u64,
}

impl LogFile {
    /// A new log on a disk that holds nothing of value.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn new(disk: Disk) -> Result<Self, DiskError> {
        if !disk.is_block_device() {
            disk.set_len(0).map_err(|error| DiskError::new("truncate", disk.path(), error))?;
        }
        Ok(Self { disk: Arc::new(disk), written_bytes: 0, zeroed_bytes: 0 })
    }

    /// A log to append to at its byte `end_bytes`. Anything after it is lost.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn resume(disk: Disk, end_bytes: u64) -> Result<Self, DiskError> {
        if !disk.is_block_device() {
            disk.set_len(end_bytes).map_err(|error| DiskError::new("truncate", disk.path(), error))?;
        }
        Ok(Self { disk: Arc::new(disk), written_bytes: end_bytes, zeroed_bytes: end_bytes })
    }

    /// The disk, to read from.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The disk, to be read and flushed beside this.
    pub(super) fn shared_disk(&self) -> Arc<Disk> {
        Arc::clone(&self.disk)
    }

    /// Writes zeros to what is not yet written of a range ahead of the log. A write there then changes nothing of a file
    /// but its bytes: to make it durable, a file system has neither a length nor an extent to note.
    ///
    /// # Errors
    /// The system's; any part may have been written.
    pub fn lay_zeros(&mut self, range_bytes: Range<u64>) -> io::Result<()> {
        let start_bytes = range_bytes.start.max(self.written_bytes);
        if start_bytes < range_bytes.end {
            // If this fails, any part of them may be there.
            self.zeroed_bytes = self.zeroed_bytes.max(range_bytes.end);
            self.disk.write_zeros(start_bytes, range_bytes.end - start_bytes)?;
        }
        Ok(())
    }

    /// Gives back the storage of a file after the log, with the zeros that were written there.
    ///
    /// # Errors
    /// The system's.
    pub fn trim(&self) -> io::Result<()> {
        if self.disk.is_block_device() {
            return Ok(());
        }
        self.disk.set_len(self.disk.len_bytes()?.min(self.written_bytes))
    }

    /// Writes pieces one after the other, in order.
    fn write_pieces(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        let len_bytes: u64 = pieces.iter().map(Piece::len_bytes).sum();
        let end_bytes = offset_bytes + len_bytes;
        let mut slices = Vec::with_capacity(pieces.len());
        let (mut start_bytes, mut at_bytes) = (offset_bytes, offset_bytes);
        // If this fails, any part of it may have been written.
        let written_bytes = self.written_bytes;
        self.written_bytes = written_bytes.max(end_bytes);
        for piece in pieces {
            match *piece {
                Piece::Bytes(bytes) => slices.push(IoSlice::new(bytes)),
                Piece::Zeros { len_bytes } => {
                    match usize::try_from(len_bytes).ok().and_then(|len| ZEROS.get(..len)) {
                        Some(zeros) => slices.push(IoSlice::new(zeros)),
                        None => {
                            start_bytes += self.write_slices(start_bytes, &mut slices)?;
                            self.leave_hole(start_bytes..start_bytes + len_bytes, written_bytes)?;
                            start_bytes += len_bytes;
                        }
                    }
                }
            }
            at_bytes += piece.len_bytes();
        }
        debug_assert_eq!(at_bytes, end_bytes, "every piece was taken");
        self.write_slices(start_bytes, &mut slices).map(drop)
    }

    /// Makes a range zeros that take no storage. Everything after `written_bytes` is zero already.
    fn leave_hole(&self, range_bytes: Range<u64>, written_bytes: u64) -> io::Result<()> {
        let len_bytes = range_bytes.end - range_bytes.start;
        let is_file = !self.disk.is_block_device();
        // Behind the end of a file, some file systems punch nothing.
        if is_file && self.disk.len_bytes()? < range_bytes.end {
            self.disk.set_len(range_bytes.end)?;
        }
        if range_bytes.start < written_bytes {
            self.disk.zero_range(range_bytes.start, len_bytes, true)?;
        } else if is_file {
            // What may have been reserved here is needed elsewhere.
            self.disk.punch_hole(range_bytes.start, len_bytes)?;
        }
        Ok(())
    }

    /// Writes the slices collected so far.
    fn write_slices(&self, offset_bytes: u64, slices: &mut Vec<IoSlice<'_>>) -> io::Result<u64> {
        let len_bytes = slices.iter().map(|slice| widen(slice.len())).sum();
        self.disk.write_vectored_at(offset_bytes, slices)?;
        slices.clear();
        Ok(len_bytes)
    }

    /// Zeros a block device up to a stretch beyond `end_bytes`, before anything is written there.
    fn zero_ahead(&mut self, end_bytes: u64) -> io::Result<()> {
        // The sector after the end must be zero too, however large it is.
        let wanted = end_bytes.saturating_add(AHEAD_BYTES / 2).min(self.disk.len_bytes()?);
        if self.disk.is_block_device() && wanted > self.zeroed_bytes {
            let to_bytes =
                self.zeroed_bytes.saturating_add(AHEAD_BYTES).max(wanted).min(self.disk.len_bytes()?);
            self.disk.zero_range(self.zeroed_bytes, to_bytes - self.zeroed_bytes, false)?;
            self.zeroed_bytes = to_bytes;
        }
        Ok(())
    }
}

impl LogDevice for LogFile {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        if self.disk.is_block_device() {
            self.zero_ahead(offset_bytes + pieces.iter().map(Piece::len_bytes).sum::<u64>())?;
        }
        let is_amid_zeros = (self.written_bytes..self.zeroed_bytes).contains(&offset_bytes);
        match pieces {
            // A kill may end a write in its midst. Behind the end of a file that shows, amid zeros it would not: there the
            // first header comes last.
            [header, rest @ ..] if is_amid_zeros => {
                self.write_pieces(offset_bytes + header.len_bytes(), rest)?;
                self.write_pieces(offset_bytes, std::slice::from_ref(header))
            }
            pieces => self.write_pieces(offset_bytes, pieces),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.disk.sync()
    }
}

/// How far ahead of the log a block device is zeroed at a time, in bytes.
const AHEAD_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::super::disk::Access;
    use super::*;

    #[test]
    fn long_zeros_become_holes_and_count_for_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("log"), Access::CreateNew).unwrap();
        disk.write_at(0, &[0xff; 4096]).unwrap();
        let mut log = LogFile::new(disk).unwrap();
        let pieces =
            [Piece::Bytes(b"head"), Piece::Zeros { len_bytes: 508 }, Piece::Zeros { len_bytes: 8 << 20 }];
        log.write(512, &pieces).unwrap();
        assert_eq!(log.disk().len_bytes().unwrap(), 512 + 512 + (8 << 20));
        let mut bytes = [1; 1024];
        log.disk().read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes[512..516], *b"head");
        assert!(bytes[..512].iter().chain(&bytes[516..]).all(|byte| *byte == 0));
        // Where something was written before, zeros are zeros.
        log.write(512, &[Piece::Bytes(&[7; 512]), Piece::Bytes(&vec![7; 200_000])]).unwrap();
        log.write(512, &[Piece::Bytes(b"x"), Piece::Zeros { len_bytes: 150_000 }]).unwrap();
        let mut bytes = vec![1; 150_002];
        log.disk().read_at(512, &mut bytes).unwrap();
        assert_eq!((bytes[0], bytes[1], bytes[150_000], bytes[150_001]), (b'x', 0, 0, 7));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_reserved_under_a_hole_is_given_back() {
        use std::os::unix::fs::MetadataExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::new(Disk::open(&path, Access::CreateNew).unwrap()).unwrap();
        let taken_bytes = || std::fs::metadata(&path).unwrap().blocks() * 512;
        assert!(
            log.disk().allocate(0, 16 << 20).unwrap(),
            "the temporary folder's file system cannot do this"
        );
        assert!(taken_bytes() >= 16 << 20);
        log.write(512, &[Piece::Bytes(b"head"), Piece::Zeros { len_bytes: 8 << 20 }]).unwrap();
        assert!((8 << 20..9 << 20).contains(&taken_bytes()), "{}", taken_bytes());
        log.trim().unwrap();
        assert!(taken_bytes() < 1 << 20, "{}", taken_bytes());
    }

    #[test]
    fn zeros_ahead_touch_no_entry_and_go_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::new(Disk::open(&dir.path().join("log"), Access::CreateNew).unwrap()).unwrap();
        log.write(0, &[Piece::Bytes(&[7; 1000])]).unwrap();
        log.lay_zeros(500..200_000).unwrap();
        assert_eq!(log.disk().len_bytes().unwrap(), 200_000);
        // Into them, as a hole across their end, and a range that all is written of.
        log.write(1000, &[Piece::Bytes(&[8; 1000])]).unwrap();
        log.write(2000, &[Piece::Bytes(b"x"), Piece::Zeros { len_bytes: 300_000 }]).unwrap();
        log.lay_zeros(0..302_001).unwrap();
        log.lay_zeros(302_001..400_000).unwrap();
        log.trim().unwrap();
        assert_eq!(log.disk().len_bytes().unwrap(), 302_001);
        let mut bytes = vec![1; 302_001];
        log.disk().read_at(0, &mut bytes).unwrap();
        assert!(bytes[..1000].iter().all(|byte| *byte == 7));
        assert!(bytes[1000..2000].iter().all(|byte| *byte == 8));
        assert_eq!(bytes[2000], b'x');
        assert!(bytes[2001..].iter().all(|byte| *byte == 0));
    }
}
