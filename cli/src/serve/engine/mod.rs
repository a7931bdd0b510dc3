//! The engine of a live disk: one state machine, and the threads of all clients that do its work.
//!
//! A thread that submits a [batch](Batch) of operations then runs the engine: it takes work under the lock, does it without
//! the lock, and reports. No client waits for another kind of thread as long as syncs are quick; slow syncs are left to a
//! few threads of the engine, so that a flush delays only the clients that wait for it.
//!
//! The log has one writer at a time. It writes everything that became ready meanwhile in one go, so that the busier the
//! log is, the fewer writes it takes. Flushes that are submitted during a flush share the next one.

mod devices;
mod jobs;
mod live_disk;
mod machine;
mod payload;
mod reads;
mod reserve;
mod shared;
mod state;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use logwrites_core::reader::Position;
use logwrites_core::{Extent, Op, SectorSize};
use parking_lot::Mutex;

pub use self::devices::{Base, Data, Log};
pub(crate) use self::live_disk::Work;
pub use self::live_disk::{Batch, BlockDevice, CallError, Counters, FinishError, LiveDisk, Refusal, Waiter};
pub use self::machine::{Machine, SLOTS};
pub use self::payload::{Buffer, Payload, Pool};
use self::shared::{Role, Shared};

/// A disk in use: a state machine, the two devices, and threads.
pub struct Engine<M, D, L> {
    shared: Arc<Shared<M, D, L>>,
    syncers: Mutex<Vec<JoinHandle<()>>>,
}

impl<M: Machine, D: Data, L: Log> Work for Shared<M, D, L> {
    fn submit(&self, op: Op, payload: Payload, waiter: Arc<dyn Waiter>, cookie: u64) -> Result<(), Refusal> {
        self.submit(op, payload, Some(waiter), cookie)
    }

    fn run(&self) {
        self.run(Role::Client);
    }
}

impl<M, D, L> Engine<M, D, L>
where
    M: Machine + 'static,
    D: Data + 'static,
    L: Log + 'static,
{
    /// Starts an engine, which has threads of its own only where a sync may take long.
    ///
    /// # Errors
    /// The system's, if it has no more threads; the log device's, if the log cannot be begun.
    pub fn start(machine: M, data: D, log: L) -> io::Result<Self> {
        let nr_syncers = if log.is_scratch() { 0 } else { NR_SYNCERS };
        let shared = Arc::new(Shared::new(Box::new(machine), data, log, nr_syncers > 0));
        let engine = Self { shared: Arc::clone(&shared), syncers: Mutex::default() };
        let mut syncers = Vec::with_capacity(nr_syncers);
        for _ in 0..nr_syncers {
            let shared = Arc::clone(&shared);
            syncers.push(
                std::thread::Builder::new().name("sync".to_owned()).spawn(move || shared.sync_until_end())?,
            );
        }
        *engine.syncers.lock() = syncers;
        // The log begins with a superblock: now, not with the first client.
        shared.run(Role::Client);
        let failed = shared.state.lock().log_error.take();
        failed.map_or(Ok(engine), Err)
    }

    /// The data device.
    pub fn data(&self) -> &D {
        &self.shared.data
    }

    /// The log device.
    pub fn log(&self) -> &L {
        &self.shared.log
    }
}

impl<M, D, L> BlockDevice for Engine<M, D, L>
where
    M: Machine + 'static,
    D: Data + 'static,
    L: Log + 'static,
{
    fn sector_size(&self) -> SectorSize {
        self.shared.sector_size
    }

    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.shared.read(extent, buffer)
    }

    fn will_read(&self, extent: Extent) {
        if let Some(range) = self.shared.sector_size.byte_range(extent) {
            self.shared.data.will_read(range.start, range.end - range.start);
        }
    }

    fn batch(&self) -> Batch<'_> {
        Batch::new(&*self.shared)
    }

    fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>> {
        self.shared.allocation(extent, max)
    }
}

impl<M, D, L> LiveDisk for Engine<M, D, L>
where
    M: Machine + 'static,
    D: Data + 'static,
    L: Log + 'static,
{
    fn counters(&self) -> Counters {
        self.shared.counters()
    }

    fn finish(&self) -> Result<Position, FinishError> {
        let result = self.shared.finish();
        for syncer in self.syncers.lock().drain(..) {
            // It ends by itself; if it has panicked that was told.
            let _ = syncer.join();
        }
        result
    }
}

impl<M, D, L> fmt::Debug for Engine<M, D, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// An engine that was not finished lets its threads go; the log is as a kill leaves it.
impl<M, D, L> Drop for Engine<M, D, L> {
    fn drop(&mut self) {
        self.shared.state.lock().is_stopped = true;
        self.shared.sync_wanted.notify_all();
    }
}

/// Two: one may flush the data while the other flushes the log.
const NR_SYNCERS: usize = 2;
