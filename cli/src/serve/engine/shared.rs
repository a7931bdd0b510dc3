//! The work of an engine: operations are taken under the lock, carried out without, and reported.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as Atomic};
use std::time::Instant;

use logwrites_core::device::DataDevice as _;
use logwrites_core::logger::SubmitError;
use logwrites_core::reader::Position;
use logwrites_core::{Op, Ordering, SectorSize};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::devices::{Data, Log};
use super::jobs::{self, Job};
use super::live_disk::{Counters, FinishError, Refusal, Waiter};
use super::machine::{Machine, SLOTS};
use super::payload::Payload;
use super::state::{InFlight, News, State};
use crate::device::{is_full, stretch_bytes};

/// What the threads of an engine share.
pub(super) struct Shared<M, D, L> {
    pub(super) state: Mutex<State<M>>,
    /// Slots have become free, or all is finished.
    freed: Condvar,
    /// Storage was taken for the log, or there was none.
    reserved: Condvar,
    /// There is something to sync, or the end has come.
    pub(super) sync_wanted: Condvar,
    pub(super) data: D,
    pub(super) log: L,
    pub(super) sector_size: SectorSize,
    /// Whether there are threads that wait for what takes long; else clients do all.
    has_syncers: bool,
    /// How long a sync has lately taken.
    sync_micros: AtomicU64,
    pub(super) nr_reads: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    nr_writes: AtomicU64,
    written_bytes: AtomicU64,
    /// How many operations the log had no room for.
    nr_refused: AtomicU64,
    is_closing: AtomicBool,
}

/// Which work a thread takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A client's: no syncs that take long.
    Client,
    /// One of the engine's own: everything.
    Syncer,
}

impl<M: Machine, D: Data, L: Log> Shared<M, D, L> {
    pub(super) fn new(machine: Box<M>, data: D, log: L, has_syncers: bool) -> Self {
        let sector_size = machine.config().sector_size;
        Self {
            state: Mutex::new(State::new(machine, data.is_serial())),
            freed: Condvar::new(),
            reserved: Condvar::new(),
            sync_wanted: Condvar::new(),
            data,
            log,
            sector_size,
            has_syncers,
            sync_micros: AtomicU64::new(0),
            nr_reads: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            nr_writes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            nr_refused: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
        }
    }

    pub(super) fn submit(
        &self,
        op: Op,
        payload: Payload,
        waiter: Option<Arc<dyn Waiter>>,
        cookie: u64,
    ) -> Result<(), Refusal> {
        let result = self.take(op, payload, waiter, cookie);
        if result == Err(Refusal::NoSpace) && self.nr_refused.fetch_add(1, Atomic::Relaxed) == 0 {
            tracing::warn!("the log is full; further writes are refused, as if the disk were full");
        }
        result
    }

    fn take(
        &self,
        op: Op,
        payload: Payload,
        waiter: Option<Arc<dyn Waiter>>,
        cookie: u64,
    ) -> Result<(), Refusal> {
        if let Err(short) = op.payload(payload.bytes(), self.sector_size) {
            return Err(Refusal::Invalid(short.into()));
        }
        let log_bytes = self.sector_size.bytes_of(op.payload_sectors().saturating_add(ENTRY_SECTORS));
        let mut state = self.state.lock();
        let (tag, storage_bytes) = loop {
            self.wait_for_a_slot(&mut state);
            if let Some(storage_bytes) = self.reserve(&mut state, op, log_bytes)?
                && let Some(tag) = state.free_tag()
            {
                break (tag, storage_bytes);
            }
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
        state.reserve.storage.extend(storage_bytes);
        state.add(tag, InFlight { waiter, cookie, payload, log_bytes });
        Ok(())
    }

    /// Does what there is to do, and if that frees no slot, waits for another thread to free one.
    fn wait_for_a_slot(&self, state: &mut MutexGuard<'_, State<M>>) {
        while state.nr_in_flight() == SLOTS {
            MutexGuard::unlocked(state, || self.run(Role::Client));
            if state.nr_in_flight() == SLOTS {
                self.freed.wait(state);
            }
        }
    }

    fn count(&self, op: Op) {
        let Some(extent) = op.extent() else { return };
        self.nr_writes.fetch_add(1, Atomic::Relaxed);
        if matches!(op, Op::Write { .. }) {
            let len_bytes = self.sector_size.bytes_of(extent.nr_sectors());
            self.written_bytes.fetch_add(len_bytes, Atomic::Relaxed);
        }
    }

    /// Makes sure that the log has storage for one more operation, before anything is touched. Tells up to where it has,
    /// once the operation is in flight; none if others may have come in between, so that all is to be looked at again.
    fn reserve(
        &self,
        state: &mut MutexGuard<'_, State<M>>,
        op: Op,
        log_bytes: u64,
    ) -> Result<Option<u64>, Refusal> {
        let capacity_bytes = state.machine.config().capacity_bytes;
        let end_bytes = state.machine.logged().offset_bytes.saturating_add(state.in_flight_bytes);
        let needed_bytes = end_bytes.saturating_add(log_bytes);
        let from_bytes = state.storage_bytes();
        // What came before a flush has taken room for it.
        let is_never_refused = matches!(op, Op::Flush);
        if is_never_refused || state.reserve.storage.is_everywhere() || needed_bytes > capacity_bytes {
            return Ok(Some(from_bytes));
        }
        if matches!(op, Op::WriteZeroes { .. }) && log_bytes > LARGE_ZEROES_BYTES {
            return self.reserve_around_hole(state, end_bytes, needed_bytes).map(Some);
        }
        let stretch_bytes = stretch_bytes(end_bytes);
        if needed_bytes + stretch_bytes / 2 > from_bytes {
            state.reserve.want(from_bytes, needed_bytes.saturating_add(stretch_bytes).min(capacity_bytes));
        }
        if needed_bytes <= from_bytes {
            return Ok(Some(from_bytes));
        }
        self.wait_for_storage(state);
        if state.reserve.is_short {
            self.reserve_the_rest(state, needed_bytes)?;
        }
        Ok(None)
    }

    /// Takes what was wanted, or waits for the writer of the log, which will.
    fn wait_for_storage(&self, state: &mut MutexGuard<'_, State<M>>) {
        MutexGuard::unlocked(state, || self.run(Role::Client));
        while state.reserve.is_busy {
            self.reserved.wait(state);
        }
    }

    /// Takes no more than what is needed, since there is not as much as was wanted.
    fn reserve_the_rest(&self, state: &mut State<M>, needed_bytes: u64) -> Result<(), Refusal> {
        let from_bytes = state.storage_bytes();
        let result = self.log.reserve(from_bytes, needed_bytes.saturating_sub(from_bytes));
        state.reserve.note(needed_bytes, &result);
        refused_if_full(&result)
    }

    /// The same for zeros that are to be a hole of the log, for which no storage is taken: only for what may come
    /// before and after them, including their own entry. It counts once they are in flight, since until then
    /// there is no hole, but storage that is missing.
    ///
    /// What overtakes them may come to the place of the hole; for that, the storage kept after it is given back
    /// ([`Job::Log`]).
    fn reserve_around_hole(
        &self,
        state: &mut State<M>,
        end_bytes: u64,
        needed_bytes: u64,
    ) -> Result<u64, Refusal> {
        let capacity_bytes = state.machine.config().capacity_bytes;
        let from_bytes = state.storage_bytes();
        if needed_bytes <= from_bytes {
            return Ok(from_bytes);
        }
        let entry_bytes = self.sector_size.bytes_of(ENTRY_SECTORS);
        let movable_bytes = state.in_flight_bytes.saturating_add(entry_bytes);
        let reserve = |margin_bytes: u64| {
            let front_bytes = end_bytes.saturating_add(entry_bytes + margin_bytes).min(needed_bytes);
            let behind_bytes = needed_bytes.saturating_sub(movable_bytes).max(front_bytes).max(from_bytes);
            let to_bytes = needed_bytes.saturating_add(margin_bytes).min(capacity_bytes);
            let front = self.log.reserve(from_bytes, front_bytes.saturating_sub(from_bytes));
            let result =
                front.and_then(|_| self.log.reserve(behind_bytes, to_bytes.saturating_sub(behind_bytes)));
            (to_bytes, result)
        };
        let (mut to_bytes, mut result) = reserve(HOLE_MARGIN_BYTES);
        if result.as_ref().is_err_and(is_full) {
            (to_bytes, result) = reserve(LEAST_MARGIN_BYTES);
        }
        state.reserve.note(from_bytes, &result);
        refused_if_full(&result).map(|()| to_bytes)
    }

    pub(super) fn run(&self, role: Role) {
        let mut news = News::default();
        let mut state = self.state.lock();
        let mut nr_jobs = 0;
        loop {
            if state.poll(&mut news) {
                self.freed.notify_all();
            }
            let takes_syncs = role == Role::Syncer
                || !self.has_syncers
                || self.sync_micros.load(Atomic::Relaxed) < QUICK_SYNC_MICROS;
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
            state = self.state.lock();
            let was_reserving = state.reserve.is_busy;
            state.report(report);
            if was_reserving && !state.reserve.is_busy {
                self.reserved.notify_all();
            }
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
    pub(super) fn sync_until_end(&self) {
        loop {
            let mut state = self.state.lock();
            state.nr_idle += 1;
            while !state.has_sync() && !state.is_help_wanted && !state.is_stopped {
                self.sync_wanted.wait(&mut state);
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

    pub(super) fn counters(&self) -> Counters {
        let state = self.state.lock();
        Counters {
            nr_reads: self.nr_reads.load(Atomic::Relaxed),
            read_bytes: self.read_bytes.load(Atomic::Relaxed),
            nr_writes: self.nr_writes.load(Atomic::Relaxed),
            written_bytes: self.written_bytes.load(Atomic::Relaxed),
            nr_flushes: state.nr_flushes,
            epoch: state.epochs.nr_flushes(),
            nr_refused: self.nr_refused.load(Atomic::Relaxed),
            nr_in_flight: state.nr_in_flight(),
            logged: state.machine.logged(),
            nr_runs: state.machine.nr_runs(),
        }
    }

    pub(super) fn finish(&self) -> Result<Position, FinishError> {
        if !self.is_closing.swap(true, Atomic::Relaxed) {
            self.close();
        }
        let mut state = self.state.lock();
        state.is_stopped = true;
        self.sync_wanted.notify_all();
        let logged = state.machine.logged();
        let (data_error, log_error, failure) =
            (state.data_error.take(), state.log_error.take(), state.machine.failure());
        drop(state);
        if let Err(error) = self.log.release_reserve() {
            tracing::warn!(%error, "the storage reserved for the log could not be given back");
        }
        let nr_refused = self.nr_refused.load(Atomic::Relaxed);
        if nr_refused > 0 {
            tracing::warn!("the log had no room for {nr_refused} requests, which were refused");
        }
        match (log_error, data_error, failure) {
            (Some(error), _, _) => Err(FinishError::Log(error)),
            (None, Some(error), _) => Err(FinishError::Data(error)),
            (None, None, Some(failure)) => Err(FinishError::Operation(failure)),
            (None, None, None) => Ok(logged),
        }
    }

    /// Ends the log as its ordering wants it. What is in flight completes.
    fn close(&self) {
        let is_unflushed = self.state.lock().machine.is_unflushed();
        let ordering = self.state.lock().machine.config().ordering;
        if ordering == Ordering::Completion && is_unflushed {
            // If it fails, the machine says so at the end.
            let _ = self.submit(Op::Flush, Payload::NONE, None, 0);
        } else if ordering == Ordering::Durability
            && let Err(error) = self.data.device().flush()
        {
            self.state.lock().data_error.get_or_insert(error);
        }
        self.state.lock().machine.finish();
        loop {
            self.run(Role::Syncer);
            let mut state = self.state.lock();
            if state.is_finished {
                return;
            }
            // Other threads have taken the rest, and the one that does the last of it reports it.
            self.freed.wait(&mut state);
        }
    }
}

fn refused_if_full(reserved: &io::Result<bool>) -> Result<(), Refusal> {
    if reserved.as_ref().is_err_and(is_full) { Err(Refusal::NoSpace) } else { Ok(()) }
}

/// What an operation may take beside its payload: its entry, a flush after it, and the closing entry.
const ENTRY_SECTORS: u64 = 3;

/// Zeros that are longer become a hole of the log.
const LARGE_ZEROES_BYTES: u64 = 64 << 10;

/// How much storage is taken on either side of a hole beyond what is needed. It stays, so it is little beside the hole.
const HOLE_MARGIN_BYTES: u64 = 16 << 10;

/// The least of that: on either side of a hole, a block of the file system is begun that is in use only in part.
const LEAST_MARGIN_BYTES: u64 = 4 << 10;

/// After so many jobs, most of them for others by then, a client's thread looks after its own client again.
const MAX_JOBS: usize = 32;

/// A sync that takes less is done by the thread at hand: to hand it over costs as much.
const QUICK_SYNC_MICROS: u64 = 200;
