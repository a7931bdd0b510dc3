//! A log on a disk: written by a driver, read by a reader.

use std::io::{self, IoSlice};
use std::path::Path;

use logwrites_core::device::{LogDevice, Piece};

use super::disk::{Access, Disk, DiskError, ZEROS, widen};

/// A log that is being written.
///
/// What stood on the disk before never shows through: a file is truncated first, so that all behind its end is zero,
/// and on a block device the area ahead of the log is zeroed a stretch at a time, so that nobody who looks behind the
/// last entry takes a stale one for new.
#[derive(Debug)]
pub struct LogFile {
    disk: Disk,
    /// What lies behind it is zero: there a hole does for zeros.
    written_bytes: u64,
    /// On a block device: up to where it has been zeroed.
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
        Ok(Self { disk, written_bytes: 0, zeroed_bytes: 0 })
    }

    /// A log to be gone on with behind its byte `end_bytes`. What stands there is no more.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn resume(disk: Disk, end_bytes: u64) -> Result<Self, DiskError> {
        if !disk.is_block_device() {
            disk.set_len(end_bytes).map_err(|error| DiskError::new("truncate", disk.path(), error))?;
        }
        Ok(Self { disk, written_bytes: end_bytes, zeroed_bytes: end_bytes })
    }

    /// The disk, to read from.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
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
        // The sector behind the end must be zero too, however large it is.
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
        let len_bytes: u64 = pieces.iter().map(len_of).sum();
        let end_bytes = offset_bytes + len_bytes;
        if self.disk.is_block_device() {
            self.zero_ahead(end_bytes)?;
        }
        let mut slices = Vec::with_capacity(pieces.len());
        let (mut start_bytes, mut at_bytes) = (offset_bytes, offset_bytes);
        for piece in pieces {
            match *piece {
                Piece::Bytes(bytes) => slices.push(IoSlice::new(bytes)),
                Piece::Zeros { len_bytes } => {
                    match usize::try_from(len_bytes).ok().and_then(|len| ZEROS.get(..len)) {
                        Some(zeros) => slices.push(IoSlice::new(zeros)),
                        None => {
                            start_bytes += self.write_slices(start_bytes, &mut slices)?;
                            if start_bytes < self.written_bytes {
                                self.disk.zero_range(start_bytes, len_bytes, false)?;
                            }
                            start_bytes += len_bytes;
                        }
                    }
                }
            }
            at_bytes += len_of(piece);
        }
        debug_assert_eq!(at_bytes, end_bytes, "every piece was taken");
        self.write_slices(start_bytes, &mut slices)?;
        let ends_in_hole = start_bytes == end_bytes && len_bytes > 0;
        if ends_in_hole && !self.disk.is_block_device() && end_bytes > self.disk.len_bytes()? {
            self.disk.set_len(end_bytes)?;
        }
        self.written_bytes = self.written_bytes.max(end_bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.disk.sync()
    }
}

fn len_of(piece: &Piece<'_>) -> u64 {
    match piece {
        Piece::Bytes(bytes) => widen(bytes.len()),
        Piece::Zeros { len_bytes } => *len_bytes,
    }
}

/// How far ahead of the log a block device is zeroed at a time, in bytes.
const AHEAD_BYTES: u64 = 32 << 20;

/// A log that is being read: `embedded-io`'s Read and Seek over a disk, with a buffer that follows the reader. Reading
/// on from where the last read ended costs no system call as long as the buffer lasts; jumping over a large payload
/// costs none either.
#[derive(Debug)]
pub struct LogSource {
    disk: Disk,
    len_bytes: u64,
    position_bytes: u64,
    buffer: Vec<u8>,
    /// Where in the log the buffer starts.
    buffer_bytes: u64,
}

impl LogSource {
    /// Opens a log for reading.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let disk = Disk::open(path, Access::Read)?;
        disk.will_read_sequentially();
        let len_bytes = disk.len_bytes().map_err(|error| DiskError::new("find the size of", path, error))?;
        Ok(Self { disk, len_bytes, position_bytes: 0, buffer: Vec::new(), buffer_bytes: 0 })
    }

    /// The disk, to read payloads from.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The length of the log's file or device when it was last asked for, in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// What the buffer holds from the position on.
    fn buffered(&self) -> &[u8] {
        let skip =
            self.position_bytes.checked_sub(self.buffer_bytes).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        let is_next =
            self.position_bytes.wrapping_sub(self.buffer_bytes) <= widen(self.buffer.len()) + NEAR_BYTES;
        let len = if is_next { FAR_READ } else { NEAR_READ };
        self.buffer.resize(len, 0);
        let got = self.disk.read_up_to(self.position_bytes, &mut self.buffer)?;
        self.buffer.truncate(got);
        self.buffer_bytes = self.position_bytes;
        Ok(())
    }
}

impl embedded_io::ErrorType for LogSource {
    type Error = io::Error;
}

impl embedded_io::Read for LogSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() {
            self.fill()?;
        }
        let buffered = self.buffered();
        let len = buffered.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), buffered.get(..len)) {
            to.copy_from_slice(from);
        }
        self.position_bytes += widen(len);
        Ok(len)
    }
}

impl embedded_io::Seek for LogSource {
    fn seek(&mut self, to: embedded_io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            embedded_io::SeekFrom::Start(offset_bytes) => Some(offset_bytes),
            embedded_io::SeekFrom::End(back) => {
                self.len_bytes = self.disk.len_bytes()?;
                self.len_bytes.checked_add_signed(back)
            }
            embedded_io::SeekFrom::Current(on) => self.position_bytes.checked_add_signed(on),
        };
        self.position_bytes = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position_bytes)
    }
}

/// How much is read where headers are far apart: one page.
const NEAR_READ: usize = 4096;

/// How much is read where one header follows close behind another.
const FAR_READ: usize = 1 << 20;

/// How large a gap between two headers is read rather than jumped over.
const NEAR_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_io::{Read, Seek, SeekFrom};

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

    #[test]
    fn a_source_reads_what_is_there_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| i.to_string().len().try_into().unwrap_or(0)).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut source = LogSource::open(&path).unwrap();
        assert_eq!(source.seek(SeekFrom::End(0)).unwrap(), 3_000_000);
        for at in [0, 33, 40, 2_999_000, 5, 1_000_000, 1_048_570, 1_048_580, 2_000_000] {
            source.seek(SeekFrom::Start(at)).unwrap();
            let mut got = [0; 33];
            source.read_exact(&mut got).unwrap();
            let start = usize::try_from(at).unwrap();
            assert_eq!(got, bytes[start..start + 33]);
        }
        source.seek(SeekFrom::Start(3_000_000)).unwrap();
        assert_eq!(source.read(&mut [0; 4]).unwrap(), 0);
    }
}
