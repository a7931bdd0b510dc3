//! The engine of a live disk: one state machine, and the threads of all clients that do its work.
//!
//! Whoever submits operations then [runs](Engine::run) the engine: it takes work under the lock, does it without, and
//! reports. Nobody waits for a thread of another kind as long as syncs are quick; slow ones are left to a few threads of
//! the engine's own, so that a flush holds up no client that does not wait for it.
//!
//! The log has one writer at a time. What becomes ready meanwhile it writes next, all in one, so that the busier the
//! log is the fewer writes it takes. Flushes that are submitted while one is under way share the next.

mod devices;
mod jobs;
mod machine;
mod payload;
mod state;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use logwrites_core::logger::SubmitError;
use logwrites_core::reader::Position;
use logwrites_core::{Extent, Op, OpError, Ordering, SectorSize};

pub use self::devices::{Base, Data, Log};
use self::jobs::Job;
pub use self::machine::{Machine, SLOTS};
pub use self::payload::{Buffer, Payload, Pool};
pub use self::state::Waiter;
use self::state::{InFlight, News, State, is_full};

/// A disk in use: a state machine, the two devices, and threads.
pub struct Engine<M, D, L> {
    core: Arc<Core<M, D, L>>,
    syncers: Mutex<Vec<JoinHandle<()>>>,
}

struct Core<M, D, L> {
    state: Mutex<State<M>>,
    /// Slots have become free, or all is finished.
    freed: Condvar,
    /// There is something to sync, or the end has come.
    sync_wanted: Condvar,
    data: D,
    log: L,
    sector_size: SectorSize,
    /// How long a sync has lately taken.
    sync_micros: AtomicU64,
    nr_reads: AtomicU64,
    read_bytes: AtomicU64,
    nr_writes: AtomicU64,
    written_bytes: AtomicU64,
    is_closing: AtomicBool,
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
    /// How many operations are in flight.
    pub nr_in_flight: usize,
    /// The end of the log: how many entries it has, and where it ends.
    pub logged: Position,
    /// How many runs the map of an overlay has.
    pub nr_runs: usize,
}

/// The part of an engine that does not depend on what it is made of.
pub trait LiveDisk: Send + Sync {
    /// The unit of all extents.
    fn sector_size(&self) -> SectorSize;

    /// Reads an extent, whose length `buffer` has: at least what was acknowledged before.
    ///
    /// # Errors
    /// A device's.
    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()>;

    /// Says that an extent will be read.
    fn will_read(&self, extent: Extent);

    /// Takes an operation; `waiter` is told when it is done. Waits while too many are in flight. It may be left lying
    /// until somebody [runs](Self::run) the engine.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has changed.
    fn submit(&self, op: Op, payload: Payload, waiter: Arc<dyn Waiter>, cookie: u64) -> Result<(), Refusal>;

    /// Does what there is to do.
    fn run(&self);

    /// The first of the runs that an extent consists of, as its length in sectors and whether it is known to be zero:
    /// at least one if the extent is not empty, at most `max`.
    ///
    /// # Errors
    /// A device's.
    fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>>;

    /// What it has done so far.
    fn counters(&self) -> Counters;

    /// Ends the log in good order. Operations that come later are refused.
    ///
    /// # Errors
    /// What has gone wrong, now or before.
    fn finish(&self) -> anyhow::Result<Position>;

    /// Submits an operation and waits until it is done.
    ///
    /// # Errors
    /// [`CallError`].
    fn call(&self, op: Op, payload: Payload) -> Result<(), CallError> {
        let waiting = Arc::new(Waiting::default());
        let waiter: Arc<dyn Waiter> = Arc::<Waiting>::clone(&waiting);
        self.submit(op, payload, waiter, 0)?;
        self.run();
        waiting.wait().map_err(CallError::Failed)
    }
}

impl<M, D, L> Engine<M, D, L>
where
    M: Machine + 'static,
    D: Data + 'static,
    L: Log + 'static,
{
    /// Starts an engine.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn start(machine: M, data: D, log: L) -> io::Result<Self> {
        let sector_size = machine.config().sector_size;
        let core = Arc::new(Core {
            state: Mutex::new(State::new(machine)),
            freed: Condvar::new(),
            sync_wanted: Condvar::new(),
            data,
            log,
            sector_size,
            sync_micros: AtomicU64::new(0),
            nr_reads: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            nr_writes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
        });
        let engine = Self { core: Arc::clone(&core), syncers: Mutex::default() };
        let mut syncers = Vec::with_capacity(NR_SYNCERS);
        for _ in 0..NR_SYNCERS {
            let core = Arc::clone(&core);
            syncers.push(
                std::thread::Builder::new().name("sync".to_owned()).spawn(move || core.sync_until_end())?,
            );
        }
        *engine.syncers.lock().unwrap_or_else(PoisonError::into_inner) = syncers;
        // The log begins with a superblock: now, not with the first client.
        core.run(Role::Client);
        Ok(engine)
    }

    /// The data device.
    pub fn data(&self) -> &D {
        &self.core.data
    }

    /// The log device.
    pub fn log(&self) -> &L {
        &self.core.log
    }
}

impl<M, D, L> LiveDisk for Engine<M, D, L>
where
    M: Machine + 'static,
    D: Data + 'static,
    L: Log + 'static,
{
    fn sector_size(&self) -> SectorSize {
        self.core.sector_size
    }

    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.core.read(extent, buffer)
    }

    fn will_read(&self, extent: Extent) {
        if let Some(range) = self.core.sector_size.byte_range(extent) {
            self.core.data.will_read(range.start, range.end - range.start);
        }
    }

    fn submit(&self, op: Op, payload: Payload, waiter: Arc<dyn Waiter>, cookie: u64) -> Result<(), Refusal> {
        self.core.submit(op, payload, Some(waiter), cookie)
    }

    fn run(&self) {
        self.core.run(Role::Client);
    }

    fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>> {
        self.core.allocation(extent, max)
    }

    fn counters(&self) -> Counters {
        self.core.counters()
    }

    fn finish(&self) -> anyhow::Result<Position> {
        let result = self.core.finish();
        for syncer in self.syncers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
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
        self.core.state.lock().unwrap_or_else(PoisonError::into_inner).is_stopped = true;
        self.core.sync_wanted.notify_all();
    }
}

/// Which work a thread takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A client's: no syncs that take long.
    Client,
    /// One of the engine's own: everything.
    Syncer,
}

impl<M: Machine, D: Data, L: Log> Core<M, D, L> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // A panic inside the lock is a bug that was told; the log says what is in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.nr_reads.fetch_add(1, Atomic::Relaxed);
        self.read_bytes.fetch_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX), Atomic::Relaxed);
        if M::IS_ALL_DATA {
            return self.data.read(self.sector_size.bytes_of(extent.sector()), buffer);
        }
        // What a piece names stays as it is: the log only grows, and the base is never written.
        let pieces = self.lock().machine.pieces(extent, usize::MAX);
        devices::read_pieces(self.sector_size, pieces.into_iter(), buffer, |from, offset_bytes, buffer| {
            match from {
                devices::From::Log => self.log.read(offset_bytes, buffer),
                devices::From::Base => self.data.read(offset_bytes, buffer),
            }
        })
    }

    fn submit(
        &self,
        op: Op,
        payload: Payload,
        waiter: Option<Arc<dyn Waiter>>,
        cookie: u64,
    ) -> Result<(), Refusal> {
        let log_bytes = self.sector_size.bytes_of(op.payload_sectors().saturating_add(ENTRY_SECTORS));
        let mut state = self.lock();
        let tag = loop {
            state = self.reserve(state, op, log_bytes)?;
            if let Some(tag) = state.free_tag() {
                break tag;
            }
            state = self.wait_for_slots(state);
        };
        match state.machine.submit(tag, op) {
            Ok(()) => {}
            Err(error) => {
                state.return_tag(tag);
                return Err(match error {
                    SubmitError::NoSpace { .. } => Refusal::NoSpace,
                    SubmitError::LogFailed => Refusal::LogFailed,
                    SubmitError::Closed => Refusal::Closed,
                    error => Refusal::Invalid(error),
                });
            }
        }
        self.count(op);
        state.nr_flushes += u64::from(matches!(op, Op::Flush));
        state.add(tag, InFlight { waiter, cookie, payload, log_bytes });
        Ok(())
    }

    /// Does what there is to do, and if that frees no slot, waits for somebody else to free one.
    fn wait_for_slots<'a>(&'a self, state: MutexGuard<'a, State<M>>) -> MutexGuard<'a, State<M>> {
        drop(state);
        self.run(Role::Client);
        let state = self.lock();
        if state.nr_in_flight() < SLOTS {
            return state;
        }
        self.freed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, op: Op) {
        let Some(extent) = op.extent() else { return };
        self.nr_writes.fetch_add(1, Atomic::Relaxed);
        if matches!(op, Op::Write { .. }) {
            let len_bytes = self.sector_size.bytes_of(extent.nr_sectors());
            self.written_bytes.fetch_add(len_bytes, Atomic::Relaxed);
        }
    }

    /// Makes sure that the log has storage for one more operation, before anything is touched.
    fn reserve<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<M>>,
        op: Op,
        log_bytes: u64,
    ) -> Result<MutexGuard<'a, State<M>>, Refusal> {
        let capacity_bytes = state.machine.config().capacity_bytes;
        let end_bytes = state.machine.logged().offset_bytes.saturating_add(state.in_flight_bytes);
        let needed_bytes = end_bytes.saturating_add(log_bytes);
        // What came before a flush has taken room for it.
        let is_never_refused = matches!(op, Op::Flush);
        if is_never_refused || state.reserve.to_bytes == u64::MAX || needed_bytes > capacity_bytes {
            return Ok(state);
        }
        if matches!(op, Op::WriteZeroes { .. }) && log_bytes > LARGE_ZEROES_BYTES {
            // They are to be a hole.
            state.reserve.to_bytes = state.reserve.to_bytes.max(needed_bytes);
            return Ok(state);
        }
        let ahead_bytes = needed_bytes.saturating_add(AHEAD_BYTES).min(capacity_bytes);
        let from_bytes = state.reserve.to_bytes.max(state.machine.logged().offset_bytes);
        if needed_bytes + AHEAD_BYTES / 2 > from_bytes && !state.reserve.is_busy && from_bytes < ahead_bytes {
            state.reserve.is_busy = true;
            if needed_bytes <= from_bytes {
                state.reserve.wanted = Some((from_bytes, ahead_bytes));
                self.sync_wanted.notify_one();
                return Ok(state);
            }
        } else if needed_bytes <= from_bytes {
            return Ok(state);
        }
        drop(state);
        let mut to_bytes = ahead_bytes;
        let mut result = self.log.reserve(from_bytes, to_bytes.saturating_sub(from_bytes));
        if result.as_ref().is_err_and(is_full) {
            to_bytes = needed_bytes;
            result = self.log.reserve(from_bytes, to_bytes.saturating_sub(from_bytes));
        }
        let mut state = self.lock();
        state.reserved(to_bytes, &result);
        if result.is_err_and(|error| is_full(&error)) { Err(Refusal::NoSpace) } else { Ok(state) }
    }

    fn run(&self, role: Role) {
        let mut news = News::default();
        let mut state = self.lock();
        let mut nr_jobs = 0;
        loop {
            if state.poll(&mut news) {
                self.freed.notify_all();
            }
            let takes_syncs =
                role == Role::Syncer || self.sync_micros.load(Atomic::Relaxed) < QUICK_SYNC_MICROS;
            let Some(job) = state.next_job(takes_syncs) else {
                let is_left = state.has_sync();
                drop(state);
                if is_left {
                    self.sync_wanted.notify_one();
                }
                news.tell();
                return;
            };
            drop(state);
            news.tell();
            let report = self.carry_out(job);
            state = self.lock();
            state.report(report);
            nr_jobs += 1;
            if role == Role::Client && nr_jobs >= MAX_JOBS && state.nr_idle > 0 {
                state.is_help_wanted = true;
                drop(state);
                self.sync_wanted.notify_one();
                return;
            }
        }
    }

    fn carry_out(&self, job: Job) -> jobs::Report {
        if !job.is_sync() {
            return job.carry_out(self.sector_size, &self.data, &self.log);
        }
        let start = Instant::now();
        let report = job.carry_out(self.sector_size, &self.data, &self.log);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        // The last eight count, roughly: one slow sync among quick ones changes nothing for long.
        let average = self.sync_micros.load(Atomic::Relaxed);
        self.sync_micros.store((average.saturating_mul(7).saturating_add(micros)) / 8, Atomic::Relaxed);
        report
    }

    /// The life of a thread of the engine's own.
    fn sync_until_end(&self) {
        loop {
            let mut state = self.lock();
            state.nr_idle += 1;
            while !state.has_sync() && !state.is_help_wanted && !state.is_stopped {
                state = self.sync_wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.nr_idle -= 1;
            state.is_help_wanted = false;
            if state.is_stopped {
                return;
            }
            drop(state);
            self.run(Role::Syncer);
        }
    }

    fn allocation(&self, extent: Extent, max: usize) -> io::Result<Vec<(u64, bool)>> {
        let pieces = self.lock().machine.pieces(extent, MAX_PIECES);
        let mut runs = Runs { runs: Vec::new(), max };
        for piece in pieces {
            match piece.source {
                Some(logwrites_core::history::Source::Log { .. }) => {
                    runs.push(piece.extent.nr_sectors(), false);
                }
                Some(logwrites_core::history::Source::Zeros { .. }) => {
                    runs.push(piece.extent.nr_sectors(), true);
                }
                None => self.allocation_of_base(piece.extent, &mut runs)?,
            }
            if runs.is_full() {
                break;
            }
        }
        Ok(runs.runs)
    }

    fn allocation_of_base(&self, extent: Extent, runs: &mut Runs) -> io::Result<()> {
        let mut sector = extent.sector();
        while sector < extent.end() && !runs.is_full() {
            let offset_bytes = self.sector_size.bytes_of(sector);
            let data = self.data.next_data(offset_bytes)?;
            let data = data.map_or(extent.end()..extent.end(), |data| {
                data.start / self.sector_size.bytes()..self.sector_size.sectors_for(data.end)
            });
            let start = data.start.clamp(sector, extent.end());
            let end = data.end.clamp(start, extent.end());
            runs.push(start - sector, true);
            runs.push(end - start, false);
            sector = end.max(sector + 1);
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        let state = self.lock();
        Counters {
            nr_reads: self.nr_reads.load(Atomic::Relaxed),
            read_bytes: self.read_bytes.load(Atomic::Relaxed),
            nr_writes: self.nr_writes.load(Atomic::Relaxed),
            written_bytes: self.written_bytes.load(Atomic::Relaxed),
            nr_flushes: state.nr_flushes,
            nr_in_flight: state.nr_in_flight(),
            logged: state.machine.logged(),
            nr_runs: state.machine.nr_runs(),
        }
    }

    fn finish(&self) -> anyhow::Result<Position> {
        if !self.is_closing.swap(true, Atomic::Relaxed) {
            self.close();
        }
        let mut state = self.lock();
        state.is_stopped = true;
        self.sync_wanted.notify_all();
        let logged = state.machine.logged();
        let (data_error, log_error, failure) =
            (state.data_error.take(), state.log_error.take(), state.machine.failure());
        drop(state);
        if let Err(error) = self.log.release_reserve() {
            tracing::warn!(%error, "what was reserved for the log could not be given back");
        }
        match (log_error, data_error, failure) {
            (Some(error), _, _) => Err(anyhow::Error::new(error).context("the log device failed")),
            (None, Some(error), _) => Err(anyhow::Error::new(error).context("the data device failed")),
            (None, None, Some(failure)) => Err(anyhow::Error::msg(failure.to_string())),
            (None, None, None) => Ok(logged),
        }
    }

    /// Ends the log as its ordering wants it. What is in flight completes.
    fn close(&self) {
        let is_unflushed = self.lock().machine.is_unflushed();
        let ordering = self.lock().machine.config().ordering;
        if ordering == Ordering::Completion && is_unflushed {
            // If it fails, the machine says so at the end.
            let _ = self.submit(Op::Flush, Payload::None, None, 0);
        } else if ordering == Ordering::Durability
            && let Err(error) = self.data.flush()
        {
            self.lock().data_error.get_or_insert(error);
        }
        self.lock().machine.finish();
        loop {
            self.run(Role::Syncer);
            let state = self.lock();
            if state.is_finished {
                return;
            }
            // Whoever does the rest may be about to say so.
            drop(self.freed.wait_timeout(state, CLOSING_PAUSE).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Runs that are collected, equal neighbours joined.
struct Runs {
    runs: Vec<(u64, bool)>,
    max: usize,
}

impl Runs {
    fn push(&mut self, nr_sectors: u64, is_zero: bool) {
        if nr_sectors == 0 {
            return;
        }
        let is_full = self.is_full();
        match self.runs.last_mut() {
            Some((last, was_zero)) if *was_zero == is_zero => *last += nr_sectors,
            _ if is_full => {}
            _ => self.runs.push((nr_sectors, is_zero)),
        }
    }

    const fn is_full(&self) -> bool {
        self.runs.len() >= self.max
    }
}

/// Somebody who waits for one operation.
#[derive(Default)]
struct Waiting {
    result: Mutex<Option<Result<(), OpError>>>,
    told: Condvar,
}

impl Waiting {
    fn wait(&self) -> Result<(), OpError> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = *result {
                return result;
            }
            result = self.told.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiter for Waiting {
    fn done(&self, _cookie: u64, result: Result<(), OpError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.told.notify_one();
    }
}

/// What an operation may take beside its payload: its entry, a flush behind it, and the closing entry.
const ENTRY_SECTORS: u64 = 3;

/// How much storage is taken ahead of the log, in bytes.
const AHEAD_BYTES: u64 = 32 << 20;

/// Zeros that are longer become a hole of the log, for which no storage is taken.
const LARGE_ZEROES_BYTES: u64 = 64 << 10;

/// After so many jobs, most of them for others by then, a client's thread looks after its own client again.
const MAX_JOBS: usize = 32;

/// How many pieces of the map are looked at to tell the first runs of an extent, which may be the whole disk.
const MAX_PIECES: usize = 1 << 16;

/// Two: one may flush the data while the other flushes the log.
const NR_SYNCERS: usize = 2;

/// A sync that takes less is done where it stands: to hand it over costs as much.
const QUICK_SYNC_MICROS: u64 = 200;

const CLOSING_PAUSE: Duration = Duration::from_millis(20);
