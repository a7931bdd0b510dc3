//! Making durable what was written, while more is being written.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::disk::Disk;

/// Writes a disk's data back while it is being written, in a second thread: by default the system keeps a long write in
/// memory, and begins to write to the disk when it is told to sync, so that one waits for the other.
#[derive(Debug)]
pub struct SyncBehind<'a> {
    disk: &'a Disk,
    /// None before enough was written, or if the system has no thread to give.
    worker: Option<Worker>,
    unsynced_bytes: u64,
}

/// A thread that syncs.
#[derive(Debug)]
struct Worker {
    /// When this goes, the thread ends.
    requests: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl<'a> SyncBehind<'a> {
    /// For a disk that will be written to.
    #[must_use]
    pub const fn new(disk: &'a Disk) -> Self {
        Self { disk, worker: None, unsynced_bytes: 0 }
    }

    /// So much more was written, in bytes.
    pub fn wrote(&mut self, len_bytes: u64) {
        self.unsynced_bytes += len_bytes;
        if self.unsynced_bytes < STEP_BYTES {
            return;
        }
        self.unsynced_bytes = 0;
        if self.worker.is_none() {
            self.worker = Worker::start(self.disk);
        }
        if let Some(worker) = &self.worker {
            // If it is late, the next sync makes up for this one.
            let _ = worker.requests.try_send(());
        }
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    /// The system's, from any of the syncs.
    pub fn finish(self) -> io::Result<()> {
        if let Some(Worker { requests, thread }) = self.worker {
            drop(requests);
            // An error is told to the first who asks, and not again.
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        }
        self.disk.sync()
    }
}

impl Worker {
    fn start(disk: &Disk) -> Option<Self> {
        let (requests, asked) = sync_channel(1);
        let disk = disk.try_clone().ok()?;
        let work = move || asked.iter().try_for_each(|()| disk.sync());
        let thread = thread::Builder::new().name("write back".to_owned()).spawn(work).ok()?;
        Some(Self { requests, thread })
    }
}

/// How much is written before it is worth a sync.
const STEP_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::super::disk::Access;
    use super::*;

    #[test]
    fn it_syncs_as_much_as_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("disk"), Access::CreateNew).unwrap();
        let mut behind = SyncBehind::new(&disk);
        behind.wrote(STEP_BYTES - 1);
        assert!(behind.worker.is_none());
        for _ in 0..10 {
            disk.write_at(0, b"something").unwrap();
            behind.wrote(STEP_BYTES);
        }
        assert!(behind.worker.is_some());
        behind.finish().unwrap();
    }
}
