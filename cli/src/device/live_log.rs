//! A log that several threads write to, flush and read at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use logwrites_core::device::{LogDevice, Piece};
use parking_lot::Mutex;

use super::disk::Disk;
use super::log::LogFile;

/// A [`LogFile`] that is shared: one write at a time, beside which it is flushed and read.
#[derive(Debug)]
pub struct LiveLog {
    file: Mutex<LogFile>,
    /// The same disk, without waiting for a write.
    disk: Arc<Disk>,
    /// Whether zeros that were written ahead make a flush cheaper.
    do_zeros_help: bool,
    /// How often it was flushed since zeros were last asked for.
    nr_flushes: AtomicU64,
}

impl LiveLog {
    /// Shares a log.
    #[must_use]
    pub fn new(file: LogFile) -> Self {
        let disk = file.shared_disk();
        let do_zeros_help = disk.writes_in_place();
        let nr_flushes = AtomicU64::new(0);
        Self { file: Mutex::new(file), disk, do_zeros_help, nr_flushes }
    }

    /// The disk, to read from.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Takes storage for a range that will be written, without making the file longer. False where that cannot be
    /// done ahead.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is none.
    pub fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        if self.disk.is_block_device() { Ok(false) } else { self.disk.allocate(offset_bytes, len_bytes) }
    }

    /// Writes zeros to a range that was reserved, just ahead of the log, if the log is flushed so often that it pays:
    /// each flush is cheaper by far where nothing but bytes changes, and the range is written twice for it.
    ///
    /// # Errors
    /// The system's.
    pub fn lay_zeros(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let nr_flushes = self.nr_flushes.swap(0, Ordering::Relaxed);
        if self.do_zeros_help && nr_flushes >= len_bytes / FEW_BYTES {
            // Nothing is written meanwhile, so that no entry is taken for what is ahead.
            self.file.lock().lay_zeros(offset_bytes..offset_bytes + len_bytes)?;
        }
        Ok(())
    }

    /// Gives back what was reserved and never written.
    ///
    /// # Errors
    /// The system's.
    pub fn release_reserve(&self) -> io::Result<()> {
        self.file.lock().trim()
    }
}

/// Several threads may use it at once.
impl LogDevice for &LiveLog {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        self.file.lock().write(offset_bytes, pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.nr_flushes.fetch_add(1, Ordering::Relaxed);
        self.disk.sync()
    }
}

/// Flushes are often where fewer bytes than this lie between one and the next.
const FEW_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::super::disk::Access;
    use super::*;

    const AHEAD_BYTES: u64 = 256 << 10;

    fn log(dir: &tempfile::TempDir) -> LiveLog {
        let disk = Disk::open(&dir.path().join("log"), Access::CreateNew).unwrap();
        // The temporary folder's file system may be one where they do not.
        LiveLog { do_zeros_help: true, ..LiveLog::new(LogFile::new(disk).unwrap()) }
    }

    #[test]
    fn zeros_are_laid_where_flushes_are_often_and_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        let mut device = &log;
        let len_bytes = || log.disk().len_bytes().unwrap();
        device.write(0, &[Piece::Bytes(&[1; 512])]).unwrap();
        for _ in 0..AHEAD_BYTES / FEW_BYTES - 1 {
            device.flush().unwrap();
        }
        log.lay_zeros(512, AHEAD_BYTES).unwrap();
        assert_eq!(len_bytes(), 512, "flushes are few");
        for _ in 0..AHEAD_BYTES / FEW_BYTES {
            device.flush().unwrap();
        }
        log.lay_zeros(512, AHEAD_BYTES).unwrap();
        assert_eq!(len_bytes(), 512 + AHEAD_BYTES);
        log.lay_zeros(512 + AHEAD_BYTES, AHEAD_BYTES).unwrap();
        assert_eq!(len_bytes(), 512 + AHEAD_BYTES, "none since");
        device.write(512, &[Piece::Bytes(&[2; 512])]).unwrap();
        log.release_reserve().unwrap();
        assert_eq!(len_bytes(), 1024);
    }

    #[test]
    fn entries_that_are_written_meanwhile_stay() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        std::thread::scope(|scope| {
            let mut device = &log;
            scope.spawn(move || {
                for at_bytes in (0..AHEAD_BYTES).step_by(512) {
                    device.write(at_bytes, &[Piece::Bytes(&[7; 512])]).unwrap();
                }
            });
            let mut device = &log;
            for _ in 0..64 {
                for _ in 0..AHEAD_BYTES / FEW_BYTES {
                    device.flush().unwrap();
                }
                log.lay_zeros(0, AHEAD_BYTES).unwrap();
            }
        });
        let mut bytes = vec![0; usize::try_from(AHEAD_BYTES).unwrap()];
        log.disk().read_at(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
}
