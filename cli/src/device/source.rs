//! A log on a disk, read by a reader.

use std::io;
use std::path::Path;
use std::sync::Arc;

use logwrites_core::num::widen;

use super::ahead::{Ahead, Chunk};
use super::disk::{Access, Disk, DiskError};

/// A log that is being read: `embedded-io`'s Read and Seek over a disk, with a buffer that follows the reader. Reading
/// on from where the last read ended costs no system call as long as the buffer lasts; jumping over a large payload
/// costs none either. If headers are close to each other, a second thread reads ahead.
#[derive(Debug)]
pub struct LogSource {
    disk: Arc<Disk>,
    len_bytes: u64,
    position_bytes: u64,
    buffer: Chunk,
    ahead: Ahead,
}

impl LogSource {
    /// Opens a log for reading.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let disk = Arc::new(Disk::open(path, Access::Read)?);
        disk.will_read_sequentially();
        let len_bytes = disk.len_bytes().map_err(|error| DiskError::new("find the size of", path, error))?;
        let ahead = Ahead::new(Arc::clone(&disk));
        Ok(Self { disk, len_bytes, position_bytes: 0, buffer: Chunk::default(), ahead })
    }

    /// The disk, to read payloads from.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The disk, to be read after this has gone.
    #[must_use]
    pub fn shared_disk(&self) -> Arc<Disk> {
        Arc::clone(&self.disk)
    }

    /// The length of the log's file or device when it was last asked for, in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn fill(&mut self) -> io::Result<()> {
        let position_bytes = self.position_bytes;
        let is_next = position_bytes.wrapping_sub(self.buffer.offset_bytes())
            <= widen(self.buffer.bytes().len()) + NEAR_BYTES;
        if is_next {
            return self.ahead.read(position_bytes, self.len_bytes, &mut self.buffer);
        }
        self.buffer.fill(&self.disk, position_bytes, NEAR_READ)
    }
}

impl embedded_io::ErrorType for LogSource {
    type Error = io::Error;
}

impl embedded_io::Read for LogSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffer.from(self.position_bytes).is_empty() {
            self.fill()?;
        }
        let buffered = self.buffer.from(self.position_bytes);
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

/// How large a gap between two headers is read rather than jumped over.
const NEAR_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_io::{Read, Seek, SeekFrom};

    #[test]
    fn a_source_reads_from_any_offset() {
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
