//! A log that will be thrown away.

use std::io;
use std::sync::OnceLock;

use logwrites_core::SectorSize;
use logwrites_core::device::{LogDevice, Piece};

use super::disk::Disk;
use super::live_log::LiveLog;
use super::log::LogFile;

/// A log whose payloads are read back, and nothing else of it: nothing needs to be durable. It has a file without a name
/// from the first entry on.
#[derive(Debug)]
pub struct ScratchLog {
    sector_size: SectorSize,
    log: OnceLock<LiveLog>,
}

impl ScratchLog {
    /// An empty log.
    #[must_use]
    pub const fn new(sector_size: SectorSize) -> Self {
        Self { sector_size, log: OnceLock::new() }
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.log()?.disk().read_at(offset_bytes, buffer)
    }

    /// Takes storage for a range that will be written; as [`LiveLog::reserve`].
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is none.
    pub fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        self.log()?.reserve(offset_bytes, len_bytes)
    }

    /// Gives back what was reserved and never written.
    ///
    /// # Errors
    /// The system's.
    pub fn release_reserve(&self) -> io::Result<()> {
        self.log.get().map_or(Ok(()), LiveLog::release_reserve)
    }

    fn log(&self) -> io::Result<&LiveLog> {
        if let Some(log) = self.log.get() {
            return Ok(log);
        }
        let log = LiveLog::new(LogFile::new(Disk::nameless()?).map_err(io::Error::other)?);
        // If another thread was faster, its file is the one.
        Ok(self.log.get_or_init(|| log))
    }
}

impl LogDevice for &ScratchLog {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        let len_bytes: u64 = pieces.iter().map(Piece::len_bytes).sum();
        if offset_bytes == 0 && len_bytes == self.sector_size.bytes() && self.log.get().is_none() {
            // Only the superblock, which is never read.
            return Ok(());
        }
        let mut log = self.log()?;
        log.write(offset_bytes, pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_file_once_there_is_an_entry() {
        let log = ScratchLog::new(SectorSize::B512);
        let mut device = &log;
        device.write(0, &[Piece::Bytes(&[1; 512])]).unwrap();
        device.flush().unwrap();
        log.release_reserve().unwrap();
        assert!(log.log.get().is_none());
        device.write(512, &[Piece::Bytes(&[2; 512])]).unwrap();
        let mut bytes = [0; 512];
        log.read(512, &mut bytes).unwrap();
        assert_eq!(bytes, [2; 512]);
    }
}
