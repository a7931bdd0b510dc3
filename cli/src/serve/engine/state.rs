//! What an engine's lock protects: the state machine, and the work that it has given out.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use logwrites_core::history::Epochs;
use logwrites_core::{Command, LogId, LogWrite, Op, OpError, Outcome, Tag};

use super::jobs::{DataOp, Job, LogEntry, Report};
use super::live_disk::Waiter;
use super::machine::{Machine, SLOTS};
use super::payload::Payload;
use super::reserve::Reserve;

/// An operation on its way.
pub(super) struct InFlight {
    pub(super) waiter: Option<Arc<dyn Waiter>>,
    pub(super) cookie: u64,
    pub(super) payload: Payload,
    /// What it may take of the log.
    pub(super) log_bytes: u64,
}

/// What is to be told once the lock is free.
#[derive(Default)]
pub(super) struct News {
    done: Vec<Done>,
    /// Their payloads are freed outside the lock.
    released: Vec<InFlight>,
}

struct Done {
    waiter: Arc<dyn Waiter>,
    cookie: u64,
    result: Result<(), OpError>,
}

impl News {
    pub(super) fn tell(&mut self) {
        for done in self.done.drain(..) {
            done.waiter.done(done.cookie, done.result);
        }
        self.released.clear();
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is about another thing that may be under way")]
pub(super) struct State<M> {
    pub(super) machine: Box<M>,
    flight: Vec<Option<InFlight>>,
    free: Vec<Tag>,
    data: VecDeque<(Tag, Op)>,
    /// Whether it is of no use to have several threads write data.
    is_data_serial: bool,
    nr_writing_data: usize,
    durable_data: VecDeque<(Tag, Op)>,
    data_flushes: Vec<Tag>,
    is_data_flushing: bool,
    log: Vec<(LogId, LogWrite)>,
    is_log_busy: bool,
    log_flush: Option<LogId>,
    pub(super) reserve: Reserve,
    pub(super) in_flight_bytes: u64,
    pub(super) is_finished: bool,
    pub(super) is_stopped: bool,
    /// A client's thread has left work to others, to look after its client.
    pub(super) is_help_wanted: bool,
    /// How many threads of the engine's own have nothing to do.
    pub(super) nr_idle: usize,
    /// The first error of each device, in its own words.
    pub(super) data_error: Option<io::Error>,
    pub(super) log_error: Option<io::Error>,
    pub(super) nr_flushes: u64,
    pub(super) epochs: Epochs,
}

impl<M: Machine> State<M> {
    pub(super) fn new(machine: Box<M>, is_data_serial: bool) -> Self {
        Self {
            machine,
            flight: (0..SLOTS).map(|_| None).collect(),
            free: (0..).map(Tag::new).take(SLOTS).collect(),
            data: VecDeque::new(),
            is_data_serial,
            nr_writing_data: 0,
            durable_data: VecDeque::new(),
            data_flushes: Vec::new(),
            is_data_flushing: false,
            log: Vec::new(),
            is_log_busy: false,
            log_flush: None,
            reserve: Reserve::default(),
            in_flight_bytes: 0,
            is_finished: false,
            is_stopped: false,
            is_help_wanted: false,
            nr_idle: 0,
            data_error: None,
            log_error: None,
            nr_flushes: 0,
            epochs: Epochs::default(),
        }
    }

    pub(super) fn free_tag(&mut self) -> Option<Tag> {
        self.free.pop()
    }

    /// Takes back a tag that was not used.
    pub(super) fn return_tag(&mut self, tag: Tag) {
        self.free.push(tag);
    }

    pub(super) fn nr_in_flight(&self) -> usize {
        SLOTS - self.free.len()
    }

    /// Up to where the log has storage: what was taken, or else what is written.
    pub(super) fn storage_bytes(&self) -> u64 {
        self.reserve.storage.end_bytes(self.machine.logged().offset_bytes)
    }

    pub(super) fn add(&mut self, tag: Tag, op: InFlight) {
        self.in_flight_bytes += op.log_bytes;
        if let Some(slot) = self.flight.get_mut(tag.index()) {
            *slot = Some(op);
        }
    }

    /// Sorts what the machine asks for by who does it. True if slots became free, or all is finished.
    pub(super) fn poll(&mut self, news: &mut News) -> bool {
        let mut is_freed = false;
        if self.in_flight_bytes > HELD_BYTES {
            // Who waits for memory submits no flush that would free some.
            self.machine.log_early();
        }
        while let Some(command) = self.machine.poll() {
            match command {
                Command::Data { tag, op: Op::Flush } => self.data_flushes.push(tag),
                Command::Data { tag, op } if op.is_fua() => self.durable_data.push_back((tag, op)),
                Command::Data { tag, op } => self.data.push_back((tag, op)),
                Command::Log { id, write } => {
                    if let Some(header) = write.entry_header() {
                        self.epochs.add(&header);
                    }
                    self.log.push((id, write));
                }
                Command::FlushLog { id } => self.log_flush = Some(id),
                Command::Done { tag, result } => self.note_done(tag, result, news),
                Command::Release(tag) => {
                    if let Some(op) = self.flight.get_mut(tag.index()).and_then(Option::take) {
                        self.in_flight_bytes -= op.log_bytes;
                        news.released.push(op);
                    }
                    self.free.push(tag);
                    is_freed = true;
                }
                Command::Finished => {
                    self.is_finished = true;
                    is_freed = true;
                }
            }
        }
        is_freed
    }

    fn note_done(&mut self, tag: Tag, result: Result<(), OpError>, news: &mut News) {
        if let Some(Some(op)) = self.flight.get_mut(tag.index())
            && let Some(waiter) = op.waiter.take()
        {
            news.done.push(Done { waiter, cookie: op.cookie, result });
        }
    }

    /// The next thing to do for a thread that does everything, or leaves `syncs` to others.
    pub(super) fn next_job(&mut self, takes_syncs: bool) -> Option<Job> {
        if !self.data.is_empty() && (self.nr_writing_data == 0 || !self.is_data_serial) {
            self.nr_writing_data += 1;
            let nr_ops = self.data.len().min(MAX_DATA_OPS);
            let ops: Vec<_> = self.data.drain(..nr_ops).collect();
            return Some(Job::Data(ops.into_iter().map(|(tag, op)| self.data_op(tag, op)).collect()));
        }
        if !self.is_log_busy
            && let Some(job) = self.next_log_job()
        {
            self.is_log_busy = true;
            return Some(job);
        }
        if takes_syncs { self.next_sync() } else { None }
    }

    /// One at a time: a file has one lock, for which the writer and the thread that takes storage would wait by turns, each on
    /// a processor.
    fn next_log_job(&mut self) -> Option<Job> {
        if let Some((from_bytes, to_bytes)) = self.reserve.take_wanted() {
            return Some(Job::Reserve(from_bytes, to_bytes));
        }
        if self.log.is_empty() {
            return None;
        }
        let log = std::mem::take(&mut self.log);
        Some(Job::Log(log.into_iter().map(|(id, write)| self.log_entry(id, write)).collect()))
    }

    /// Whether something waits to be made durable.
    pub(super) fn has_sync(&self) -> bool {
        self.log_flush.is_some()
            || !self.durable_data.is_empty()
            || (!self.is_data_flushing && !self.data_flushes.is_empty())
    }

    fn next_sync(&mut self) -> Option<Job> {
        if let Some(id) = self.log_flush.take() {
            return Some(Job::FlushLog(id));
        }
        if let Some((tag, op)) = self.durable_data.pop_front() {
            return Some(Job::DurableData(self.data_op(tag, op)));
        }
        // One at a time: those that come meanwhile share the next.
        if !self.is_data_flushing && !self.data_flushes.is_empty() {
            self.is_data_flushing = true;
            return Some(Job::FlushData(std::mem::take(&mut self.data_flushes)));
        }
        None
    }

    fn data_op(&self, tag: Tag, op: Op) -> DataOp {
        DataOp { tag, op, payload: self.payload(tag) }
    }

    fn log_entry(&self, id: LogId, write: LogWrite) -> LogEntry {
        let payload = write.payload_tag().map_or(Payload::NONE, |tag| self.payload(tag));
        LogEntry { id, write, payload }
    }

    fn payload(&self, tag: Tag) -> Payload {
        let op = self.flight.get(tag.index()).and_then(Option::as_ref);
        op.expect("the machine names only what is in flight").payload.clone()
    }

    /// Tells the machine how a job went.
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Data(outcomes, error) => {
                self.nr_writing_data -= 1;
                note_error(&mut self.data_error, error, "the data device failed");
                for (tag, outcome) in outcomes {
                    self.complete(tag, outcome);
                }
            }
            Report::DurableData(tag, result) => {
                let outcome = *result.as_ref().unwrap_or(&Outcome::Failed);
                note_error(&mut self.data_error, result.err(), "the data device failed");
                self.complete(tag, outcome);
            }
            Report::FlushData(tags, result) => {
                self.is_data_flushing = false;
                let outcome = outcome_of(&result);
                note_error(&mut self.data_error, result.err(), "the data device failed to flush");
                for tag in tags {
                    self.complete(tag, outcome);
                }
            }
            Report::Log { outcomes, error, is_reserve_given_back } => {
                self.is_log_busy = false;
                if is_reserve_given_back {
                    self.reserve.note_given_back();
                }
                note_error(&mut self.log_error, error, "the log device failed");
                for (id, outcome) in outcomes {
                    self.log_complete(id, outcome);
                }
            }
            Report::FlushLog(id, result) => {
                let outcome = outcome_of(&result);
                note_error(&mut self.log_error, result.err(), "the log device failed to flush");
                self.log_complete(id, outcome);
            }
            Report::Reserve(to_bytes, result) => {
                self.is_log_busy = false;
                self.reserve.is_busy = false;
                self.reserve.note(to_bytes, &result);
            }
        }
    }

    fn complete(&mut self, tag: Tag, outcome: Outcome) {
        let completed = self.machine.complete(tag, outcome);
        debug_assert_eq!(completed, Ok(()), "the machine gave it out");
    }

    fn log_complete(&mut self, id: LogId, outcome: Outcome) {
        let completed = self.machine.log_complete(id, outcome);
        debug_assert_eq!(completed, Ok(()), "the machine gave it out");
    }
}

impl<M> fmt::Debug for State<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("nr_free", &self.free.len()).finish_non_exhaustive()
    }
}

fn note_error(first: &mut Option<io::Error>, error: Option<io::Error>, what: &str) {
    if let Some(error) = error {
        tracing::error!(%error, "{what}");
        first.get_or_insert(error);
    }
}

fn outcome_of(result: &io::Result<()>) -> Outcome {
    if result.is_ok() { Outcome::Ok } else { Outcome::Failed }
}

/// How much may be in flight before what waits for a flush is logged without one, in bytes: a quarter of what long
/// payloads may take, since a payload's buffer may be nearly twice as long.
const HELD_BYTES: u64 = 64 << 20;

/// How many operations on the data device a thread takes at once, so that others have some too.
const MAX_DATA_OPS: usize = 16;
