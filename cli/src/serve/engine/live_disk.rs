//! A disk in use, as its clients see it.

use std::fmt;
use std::io;
use std::sync::Arc;

use logwrites_core::logger::SubmitError;
use logwrites_core::reader::Position;
use logwrites_core::{Extent, Op, OpError, SectorSize};
use parking_lot::{Condvar, Mutex};

use super::payload::Payload;

/// A disk for clients, whatever it is made of.
pub trait BlockDevice: Send + Sync {
    /// The unit of all extents.
    fn sector_size(&self) -> SectorSize;

    /// Reads an extent, whose length `buffer` has: at least what was acknowledged before.
    ///
    /// # Errors
    /// A device's.
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()>;

    /// Says that an extent will be read.
    fn will_read(&self, extent: Extent);

    /// Operations that are submitted together.
    fn batch(&self) -> Batch<'_>;

    /// The first of the runs that an extent consists of, as its length in sectors and whether it is known to be zero:
    /// at least one if the extent is not empty, at most `max`.
    ///
    /// # Errors
    /// A device's.
    fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>>;

    /// Submits an operation and waits until it is done.
    ///
    /// # Errors
    /// [`CallError`].
    fn call(&self, op: Op, payload: Payload) -> Result<(), CallError> {
        let waiting = Arc::new(Waiting::default());
        let waiter: Arc<dyn Waiter> = Arc::<Waiting>::clone(&waiting);
        self.batch().submit(op, payload, waiter, 0)?;
        waiting.wait().map_err(CallError::Failed)
    }
}

/// A disk in use, whose writes are logged.
pub trait LiveDisk: BlockDevice {
    /// What it has done so far.
    fn counters(&self) -> Counters;

    /// Ends the log in good order. Operations that come later are refused.
    ///
    /// # Errors
    /// [`FinishError`], which may have happened earlier.
    fn finish(&self) -> Result<Position, FinishError>;
}

/// Operations that a client submits together. They may lie until the batch is [run](Self::run), which its end does too.
#[must_use]
pub struct Batch<'a> {
    work: &'a dyn Work,
    is_left: bool,
}

impl<'a> Batch<'a> {
    pub(crate) const fn new(work: &'a dyn Work) -> Self {
        Self { work, is_left: false }
    }

    /// Takes an operation; `waiter` is told when it is done. Waits while too many are in flight.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has changed.
    pub fn submit(
        &mut self,
        op: Op,
        payload: Payload,
        waiter: Arc<dyn Waiter>,
        cookie: u64,
    ) -> Result<(), Refusal> {
        self.is_left = true;
        self.work.submit(op, payload, waiter, cookie)
    }

    /// Does what there is to do, in the thread that submitted it.
    pub fn run(&mut self) {
        self.is_left = false;
        self.work.run();
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("is_left", &self.is_left).finish_non_exhaustive()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.is_left {
            self.work.run();
        }
    }
}

/// What a [`Batch`] is done by.
pub(crate) trait Work {
    /// As [`Batch::submit`].
    fn submit(&self, op: Op, payload: Payload, waiter: Arc<dyn Waiter>, cookie: u64) -> Result<(), Refusal>;
    /// As [`Batch::run`].
    fn run(&self);
}

/// Who is told that an operation is done.
pub trait Waiter: Send + Sync {
    /// The operation that was submitted with this `cookie` is done. Must not block.
    fn done(&self, cookie: u64, result: Result<(), OpError>);
}

/// Why an operation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The log has no room for it.
    #[error("the log is full")]
    NoSpace,
    /// The log has failed.
    #[error("the log device failed; nothing more is logged")]
    LogFailed,
    /// The engine is about to end.
    #[error("the log is being closed")]
    Closed,
    /// It makes no sense.
    #[error(transparent)]
    Invalid(SubmitError),
}

/// Why an operation that was waited for is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It failed.
    #[error(transparent)]
    Failed(#[from] OpError),
}

/// Why a disk did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The log is not whole.
    #[error("the log device failed")]
    Log(#[source] io::Error),
    /// The disk is not what the log says.
    #[error("the data device failed")]
    Data(#[source] io::Error),
    /// An operation has failed without an error of a device.
    #[error(transparent)]
    Operation(OpError),
}

/// What a live disk has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// How many reads.
    pub nr_reads: u64,
    /// How much was read, in bytes.
    pub read_bytes: u64,
    /// How many writes, write-zeroes and discards were submitted.
    pub nr_writes: u64,
    /// What the writes among them wrote, in bytes.
    pub written_bytes: u64,
    /// How many flushes were submitted.
    pub nr_flushes: u64,
    /// In which epoch the log is, from 0: how many entries of flushes went into it. Several flushes may share one, and an
    /// empty epoch needs none.
    pub epoch: u64,
    /// How many operations were refused since the log had no room.
    pub nr_refused: u64,
    /// How many operations are in flight.
    pub nr_in_flight: usize,
    /// The end of the log: how many entries it has, and where it ends.
    pub logged: Position,
    /// How many runs the map of an overlay has.
    pub nr_runs: usize,
}

/// A thread that waits for one operation.
#[derive(Default)]
struct Waiting {
    result: Mutex<Option<Result<(), OpError>>>,
    told: Condvar,
}

impl Waiting {
    fn wait(&self) -> Result<(), OpError> {
        let mut result = self.result.lock();
        loop {
            if let Some(result) = *result {
                return result;
            }
            self.told.wait(&mut result);
        }
    }
}

impl Waiter for Waiting {
    fn done(&self, _cookie: u64, result: Result<(), OpError>) {
        *self.result.lock() = Some(result);
        self.told.notify_one();
    }
}
