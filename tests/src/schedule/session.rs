//! One session of a logger, from its start to its end, and every rule that holds in between.

use core::fmt::Write as _;

use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::logger::{Logged, NotInFlight, SubmitError};
use logwrites_core::num::widen;
use logwrites_core::{
    Command, Extent, LogId, Logger, Op, OpError, Ordering, Outcome, SuperblockPolicy, Tag, WriteFlags,
};

use super::Stats;
use super::book::Book;
use super::setup::Setup;
use crate::checker::{self, Evidence, What, wants_indeterminate};
use crate::choices::Choices;
use crate::content::Stamp;
use crate::fault_device::FaultDevice;
use crate::model::{Model, OpId, Record};
use crate::rule::{Rule, Violation, ensure};

/// A logger between its devices and its client.
pub(super) struct Session<'a, C, const N: usize> {
    setup: &'a Setup,
    choices: &'a mut C,
    stats: &'a mut Stats,
    logger: Logger<N>,
    model: Model,
    book: Book,
    device: FaultDevice,
    base: Vec<Stamp>,
    /// Whose each tag is.
    tags: Vec<Option<OpId>>,
    /// The last entry that was acknowledged in log order.
    last_acked: Option<usize>,
    /// When the first flush was submitted that the data device has failed.
    failed_flush: Option<u64>,
    stage: Stage,
    stale_ids: Vec<LogId>,
    /// Whether the capacity is known to be too small to matter.
    is_roomy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Finished,
}

/// How a session ended, and what it left of the log.
pub(super) enum End {
    Closed,
    Killed(Vec<u8>),
    Cut(Vec<u8>),
}

impl<'a, C: Choices, const N: usize> Session<'a, C, N> {
    pub(super) fn new(
        setup: &'a Setup,
        choices: &'a mut C,
        logger: Logger<N>,
        book: Book,
        device: FaultDevice,
        stats: &'a mut Stats,
    ) -> Self {
        stats.sessions += 1;
        Self {
            setup,
            choices,
            stats,
            logger,
            model: Model::default(),
            base: device.data.sectors().to_vec(),
            book,
            device,
            tags: vec![None; N],
            last_acked: None,
            failed_flush: None,
            stage: Stage::Open,
            stale_ids: Vec::new(),
            is_roomy: setup.config.capacity_bytes == MAX_OFFSET_BYTES,
        }
    }

    pub(super) fn into_device(self) -> FaultDevice {
        self.device
    }

    /// Everything that happened, to read.
    pub(super) fn history(&self) -> String {
        let mut text = self.model.to_string();
        for (index, entry) in (self.book.first..).zip(&self.book.entries) {
            let _ = writeln!(text, "entry {index} at {}: {:?} {:?}", entry.offset, entry.what, entry.outcome);
        }
        text
    }

    /// The whole session.
    pub(super) fn run(&mut self) -> Result<End, Violation> {
        let mut left = self.setup.max_steps;
        while left > 0 && !self.choices.is_exhausted() {
            // Once the log has failed, little can happen that has not.
            left = if self.book.failed_at.is_some() { left.min(20) } else { left } - 1;
            self.stats.steps += 1;
            self.step()?;
        }
        match self.choices.below(8) {
            1 => self.book.check_killed(&self.device.log, self.choices).map(End::Killed),
            2 => self.book.check_cut(&self.device.log, self.choices).map(End::Cut),
            _ => self.close().map(|()| End::Closed),
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let weights = self.setup.weights;
        let kinds = [
            weights.submit,
            weights.poll,
            weights.drain,
            weights.data,
            weights.log,
            weights.wrong,
            weights.crash,
        ];
        let mut at = self.choices.below(kinds.iter().sum());
        let kind = kinds.iter().position(|weight| match at.checked_sub(*weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        match kind {
            Some(0) => self.submit(),
            Some(1) => self.poll().map(|_| ()),
            Some(2) => self.drain(),
            Some(3) => self.complete_data(),
            Some(4) => self.complete_log(),
            Some(5) => self.call_wrongly(),
            _ => self.crash(),
        }
    }

    /// Finishes: everything in flight completes, in some order.
    fn close(&mut self) -> Result<(), Violation> {
        self.logger.finish();
        self.stage = Stage::Closing;
        let bound = 40 * (N + 4);
        for _ in 0..bound {
            self.drain()?;
            if self.stage == Stage::Finished {
                return self.check_closed();
            }
            let (data, log) = (self.device.data.in_flight().len(), self.device.log.nr_in_flight());
            ensure!(data + log > 0, Liveness, "nothing is in flight, and the logger does not finish");
            if self.choices.below(widen(data + log)) < widen(data) {
                self.complete_data()?;
            } else {
                self.complete_log()?;
            }
            if self.choices.one_in(8) {
                self.logger.finish();
            }
        }
        Err(Violation::new(Rule::Liveness, "the logger does not finish".into()))
    }

    fn nr_used(&self) -> usize {
        self.tags.iter().flatten().count()
    }

    fn op_of(&self, tag: Tag) -> Result<OpId, Violation> {
        let id = self.tags.get(tag.index()).copied().flatten();
        id.ok_or_else(|| Violation::new(Rule::Release, format!("tag {tag} is named, which is free")))
    }
}

/// Submission.
impl<C: Choices, const N: usize> Session<'_, C, N> {
    fn submit(&mut self) -> Result<(), Violation> {
        let free: Vec<usize> = (0..N).filter(|tag| self.tags[*tag].is_none()).collect();
        if free.is_empty() && !self.choices.one_in(20) {
            return self.make_room();
        }
        let tag = if free.is_empty() { self.choices.index(N) } else { free[self.choices.index(free.len())] };
        let op = self.choose_op();
        self.submit_as(tag_of(tag), op)
    }

    /// Something that may free a tag.
    fn make_room(&mut self) -> Result<(), Violation> {
        match self.choices.below(4) {
            0 | 1 => self.poll().map(|_| ()),
            2 => self.complete_data(),
            _ => self.complete_log(),
        }
    }

    fn choose_op(&mut self) -> Op {
        let flags = if self.choices.one_in(5) { WriteFlags::FUA } else { WriteFlags::empty() };
        match self.choices.below(20) {
            0..8 => Op::Write { extent: self.choose_extent(), flags },
            8..10 => {
                let unmap = if self.choices.one_in(2) { WriteFlags::UNMAP } else { WriteFlags::empty() };
                Op::WriteZeroes { extent: self.choose_extent(), flags: flags | unmap }
            }
            10..12 => Op::Discard { extent: self.choose_extent() },
            12..17 => Op::Flush,
            _ => {
                let max_bytes = self.setup.config.sector_size.max_mark_len().unwrap_or(0);
                Op::Mark { len_bytes: self.choices.pick(&[max_bytes.min(4), max_bytes, max_bytes.min(9), 0]) }
            }
        }
    }

    fn choose_extent(&mut self) -> Extent {
        let nr_sectors = widen(self.setup.nr_sectors);
        let start = self.choices.below(nr_sectors);
        let longest = if self.choices.one_in(6) { nr_sectors } else { 4 };
        let len = match self.choices.below(12) {
            0 => 0,
            _ => 1 + self.choices.below(longest.min(nr_sectors - start)),
        };
        let sector = self.setup.first_sector + start;
        Extent::between(sector, sector + len)
    }

    fn submit_as(&mut self, tag: Tag, op: Op) -> Result<(), Violation> {
        let expected = self.expect_submit(tag, op);
        let before = self.rarely_debug();
        let result = self.logger.submit(tag, op);
        let is_no_space =
            |result: &Result<(), SubmitError>| matches!(result, Err(SubmitError::NoSpace { .. }));
        match expected {
            Some(expected) => {
                ensure!(result == expected, Refusal, "{op:?} as {tag}: {result:?}, expected {expected:?}");
            }
            None => ensure!(
                result.is_ok() || is_no_space(&result) && op != Op::Flush && !self.is_roomy,
                Refusal,
                "{op:?} as {tag}: {result:?}",
            ),
        }
        if result.is_ok() {
            self.stats.ops += 1;
            self.tags[tag.index()] = Some(self.model.submit(op));
        } else {
            self.stats.refused += 1;
            self.stats.no_space += u64::from(is_no_space(&result));
            self.stats.full += u64::from(result == Err(SubmitError::Full));
            self.ensure_unchanged(before)?;
        }
        ensure!(self.logger.is_full() == (self.nr_used() == N), Refusal, "is_full with {}", self.nr_used());
        Ok(())
    }

    /// What a submission must give, where it can be told: room is exactly known only when every entry that has a
    /// place was given to the log device.
    fn expect_submit(&self, tag: Tag, op: Op) -> Option<Result<(), SubmitError>> {
        if self.stage != Stage::Open {
            return Some(Err(SubmitError::Closed));
        } else if self.book.failed_at.is_some() {
            return Some(Err(SubmitError::LogFailed));
        } else if tag.index() >= N {
            return Some(Err(SubmitError::TagOutOfRange { tag, slots: N }));
        } else if self.nr_used() == N {
            return Some(Err(SubmitError::Full));
        } else if self.tags[tag.index()].is_some() {
            return Some(Err(SubmitError::TagInUse { tag }));
        }
        let sector_size = self.setup.config.sector_size;
        let nr_sectors = match op {
            Op::Flush => return Some(Ok(())),
            Op::Mark { len_bytes } => match sector_size.max_mark_len() {
                Some(max_bytes) if len_bytes <= max_bytes => 2,
                max_bytes => {
                    let max_bytes = max_bytes.unwrap_or(0);
                    return Some(Err(SubmitError::MarkTooLong { len_bytes, max_bytes }));
                }
            },
            Op::Write { extent, .. } | Op::WriteZeroes { extent, .. } | Op::Discard { extent } => {
                if extent.is_empty() {
                    return Some(Ok(()));
                } else if sector_size.byte_range(extent).is_none() {
                    return Some(Err(SubmitError::ExtentTooFar { extent }));
                }
                if matches!(op, Op::Discard { .. }) { 2 } else { extent.nr_sectors() + 2 }
            }
        };
        if self.logger.end_bytes() != widen(self.book.bytes.len()) {
            return None;
        }
        let free_bytes = self.book.free_bytes(&self.model, self.tags.iter().flatten().copied());
        let needed_bytes = sector_size.bytes_of(nr_sectors);
        let fits = needed_bytes <= free_bytes;
        Some(if fits { Ok(()) } else { Err(SubmitError::NoSpace { needed_bytes, free_bytes }) })
    }

    fn call_wrongly(&mut self) -> Result<(), Violation> {
        let sector_size = self.setup.config.sector_size;
        let write = Op::Write { extent: self.choose_extent(), flags: WriteFlags::empty() };
        match self.choices.below(7) {
            0 => {
                let tag = N + self.choices.index(3);
                self.submit_as(tag_of(tag), write)
            }
            1 => {
                let used = (0..N).find(|tag| self.tags[*tag].is_some());
                self.submit_as(tag_of(used.unwrap_or(N)), write)
            }
            2 => {
                let tag = self.choices.index(N);
                let len_bytes = sector_size.max_mark_len().map_or(0, |max| max + 1);
                self.submit_as(tag_of(tag), Op::Mark { len_bytes })
            }
            3 => {
                let end = MAX_OFFSET_BYTES / sector_size.bytes();
                let extent = Extent::between(end - 1, end + 1);
                let tag = self.choices.index(N);
                self.submit_as(tag_of(tag), Op::Write { extent, flags: WriteFlags::empty() })
            }
            4 | 5 => {
                let tag = self.choices.index(N + 1);
                let is_there = |id: OpId| self.device.data.in_flight().iter().any(|(other, _)| *other == id);
                if self.tags.get(tag).copied().flatten().is_some_and(is_there) {
                    return Ok(());
                }
                let before = self.rarely_debug();
                let result = self.logger.complete(tag_of(tag), Outcome::Ok);
                ensure!(
                    result == Err(NotInFlight),
                    Refusal,
                    "{tag} completes, which is not at the data device"
                );
                self.stats.refused += 1;
                self.ensure_unchanged(before)
            }
            _ => {
                let Some(id) = (!self.stale_ids.is_empty()).then(|| self.choices.pick(&self.stale_ids))
                else {
                    return Ok(());
                };
                if self.device.log.in_flight().any(|other| other == id) {
                    return Ok(());
                }
                let before = self.rarely_debug();
                let outcome = self.choices.pick(&[Outcome::Ok, Outcome::Failed]);
                let result = self.logger.log_complete(id, outcome);
                ensure!(result == Err(NotInFlight), Refusal, "{id:?} completes, which is not in flight");
                self.stats.refused += 1;
                self.ensure_unchanged(before)
            }
        }
    }

    /// The logger's state, to compare: rarely, since that is slow.
    fn rarely_debug(&mut self) -> Option<String> {
        (N <= 8 && self.choices.one_in(16)).then(|| format!("{:?}", self.logger))
    }

    fn ensure_unchanged(&self, before: Option<String>) -> Result<(), Violation> {
        if let Some(before) = before {
            ensure!(before == format!("{:?}", self.logger), Refusal, "a refused call has changed the logger");
        }
        Ok(())
    }
}

/// Commands.
impl<C: Choices, const N: usize> Session<'_, C, N> {
    fn drain(&mut self) -> Result<(), Violation> {
        for _ in 0..8 * N + 16 {
            if !self.poll()? {
                return Ok(());
            }
        }
        Err(Violation::new(Rule::Liveness, "the logger does not stop to ask".into()))
    }

    /// Carries out one command; whether there was one.
    fn poll(&mut self) -> Result<bool, Violation> {
        let Some(command) = self.logger.poll() else {
            self.check_quiet()?;
            return Ok(false);
        };
        self.stats.commands += 1;
        ensure!(self.stage != Stage::Finished, Liveness, "{command:?} after the end");
        match command {
            Command::Data { tag, op } => {
                let id = self.op_of(tag)?;
                ensure!(self.model.record(id).op == op, Done, "{id} goes to the data device as {op:?}");
                self.model.issue(id)?;
                self.device.data.start(id, op);
            }
            Command::Log { id, write } => {
                self.ensure_new(id)?;
                let bytes = self.book.write(id, &write, &self.model, &self.tags)?;
                self.device.log.start_write(id, write.offset_bytes(), bytes)?;
                self.stats.entries += u64::from(write.offset_bytes() > 0);
            }
            Command::FlushLog { id } => {
                self.ensure_new(id)?;
                self.device.log.start_flush(id);
            }
            Command::Done { tag, result } => self.acknowledge(tag, result)?,
            Command::Release(tag) => self.release(tag)?,
            Command::Finished => {
                ensure!(self.stage == Stage::Closing, Liveness, "finished without being asked to");
                self.stage = Stage::Finished;
            }
        }
        Ok(true)
    }

    fn ensure_new(&mut self, id: LogId) -> Result<(), Violation> {
        let is_new = !self.device.log.in_flight().any(|other| other == id);
        ensure!(is_new, Refusal, "{id:?} is the handle of two things in flight");
        if self.stale_ids.len() < 40 {
            self.stale_ids.push(id);
        }
        Ok(())
    }

    fn acknowledge(&mut self, tag: Tag, result: Result<(), OpError>) -> Result<(), Violation> {
        let id = self.op_of(tag)?;
        self.model.done(id, result)?;
        let record = *self.model.record(id);
        let promises = record.is_flush() || record.op.is_fua() && record.is_mutation();
        match result {
            Ok(()) if promises => self.check_promise(id, &record)?,
            Ok(()) => self.check_done(id, &record)?,
            Err(OpError::Data) => {}
            Err(OpError::Log) => {
                ensure!(self.book.failed_at.is_some(), Done, "{id}: the log has not failed");
            }
            Err(OpError::Flush) => {
                let is_broken = self.book.broken.flush || self.book.broken.superblock;
                let has_failed =
                    self.failed_flush.is_some_and(|at| at <= record.submitted) && record.is_flush();
                ensure!(promises && (is_broken || has_failed), Done, "{id}: no flush has failed");
            }
        }
        self.check_ack_order(id, &record)
    }

    /// An operation that promises nothing is done: it is in the log, or need not be.
    fn check_done(&self, id: OpId, record: &Record) -> Result<(), Violation> {
        let is_mark = matches!(record.op, Op::Mark { .. });
        let leaves_no_trace = !is_mark && !record.has_changed();
        let is_logged = self.book.index_of(id).is_some_and(|index| index < self.book.written);
        let may_be_held = !is_mark && self.setup.config.ordering == Ordering::Durability;
        if self.book.failed_at.is_some() {
            ensure!(leaves_no_trace || is_logged, AfterLogFailure, "{id} is done, after a failed log write");
        }
        ensure!(leaves_no_trace || is_logged || may_be_held, Done, "{id} is done before it is in the log");
        Ok(())
    }

    /// A flush or FUA is done: it is durable in the log, with all that it promises.
    fn check_promise(&mut self, id: OpId, record: &Record) -> Result<(), Violation> {
        let is_late = self.failed_flush.is_some_and(|at| at < record.submitted);
        ensure!(!record.is_flush() || !is_late, AfterFlushFailure, "{id} is done, after a flush that failed");
        let covered: Vec<OpId> =
            if record.is_flush() { self.model.covered_by(id).collect() } else { Vec::new() };
        let last =
            covered.iter().map(|id| self.book.index_of(*id).map_or(usize::MAX, |index| index + 1)).max();
        let last = last.unwrap_or(0);
        let own = self.book.index_of(id);
        let entry = match own {
            Some(index) => Some(index),
            None if record.op.is_fua() => {
                return Err(Violation::new(Rule::DurableAck, format!("{id} is done, and not in the log")));
            }
            None => {
                self.stats.elided += 1;
                let flush = |index: &usize| self.book.entry(*index).is_some_and(|at| at.what == What::Flush);
                let behind = (last.max(self.book.first)..self.book.logged).find(flush);
                ensure!(
                    behind.is_some() || covered.is_empty(),
                    UnderClaim,
                    "no FLUSH after what {id} covers"
                );
                let is_redundant = self.setup.config.ordering == Ordering::Completion || !self.is_roomy;
                ensure!(is_redundant, RedundantFlush, "{id} has no entry");
                behind
            }
        };
        let Some(index) = entry else { return Ok(()) };
        ensure!(last <= index, UnderClaim, "{id} is in entry {index}, before something that it covers");
        self.book.check_durable(&self.device.log, index + 1)?;
        self.book.promised = self.book.promised.max(index + 1);
        Ok(())
    }

    /// What is acknowledged once it is in the log is acknowledged in log order.
    fn check_ack_order(&mut self, id: OpId, record: &Record) -> Result<(), Violation> {
        let is_mark = matches!(record.op, Op::Mark { .. });
        let is_in_order = match self.setup.config.ordering {
            Ordering::Completion => !record.is_flush() && (!record.op.is_fua() || record.has_failed()),
            Ordering::Durability => is_mark,
        };
        let index = self.book.index_of(id).filter(|index| is_in_order && *index < self.book.written);
        if let Some(index) = index {
            ensure!(
                self.last_acked.is_none_or(|last| last < index),
                AckOrder,
                "{id} is acknowledged too late"
            );
            self.last_acked = Some(index);
        }
        Ok(())
    }

    fn release(&mut self, tag: Tag) -> Result<(), Violation> {
        let id = self.op_of(tag)?;
        self.model.release(id)?;
        let is_at_data = self.device.data.in_flight().iter().any(|(other, _)| *other == id);
        ensure!(!is_at_data, Release, "{id} is released while at the data device");
        let is_at_log =
            self.book.entries.iter().any(|entry| entry.tag == Some(tag) && entry.outcome.is_none());
        ensure!(!is_at_log, Release, "{id} is released while its payload is being logged");
        let record = self.model.record(id);
        let needs_entry = record.has_changed() || wants_indeterminate(record, self.setup.config.sector_size);
        let is_logged = self.book.index_of(id).is_some_and(|index| index < self.book.written);
        ensure!(
            is_logged || !needs_entry || self.book.failed_at.is_some(),
            Release,
            "{id} is released before it is in the log",
        );
        self.tags[tag.index()] = None;
        Ok(())
    }
}

/// Completions.
impl<C: Choices, const N: usize> Session<'_, C, N> {
    fn complete_data(&mut self) -> Result<(), Violation> {
        let in_flight = self.device.data.in_flight();
        if in_flight.is_empty() {
            return Ok(());
        }
        let (id, op) = in_flight[self.choices.index(in_flight.len())];
        let outcome = self.choose_outcome(op);
        self.stats.faults += u64::from(outcome != Outcome::Ok);
        self.device.data.finish(id, outcome, self.choices);
        self.model.complete(id, outcome)?;
        if op == Op::Flush && outcome != Outcome::Ok {
            let submitted = self.model.record(id).submitted;
            self.failed_flush = Some(self.failed_flush.map_or(submitted, |at| at.min(submitted)));
        }
        let tag = self.tags.iter().position(|other| *other == Some(id)).unwrap_or(N);
        let result = self.logger.complete(tag_of(tag), outcome);
        ensure!(result.is_ok(), Refusal, "{id} has completed, and the logger does not take it");
        Ok(())
    }

    fn choose_outcome(&mut self, op: Op) -> Outcome {
        let faults = self.setup.faults;
        let mut fails = |one_in: u64| one_in > 0 && (one_in == 1 || self.choices.one_in(one_in));
        match op {
            Op::Flush if fails(faults.data_flush) => Outcome::Failed,
            Op::Discard { .. } if fails(faults.discard) => Outcome::Ignored,
            Op::Write { .. } | Op::WriteZeroes { .. } | Op::Discard { .. } if fails(faults.data) => {
                if matches!(op, Op::Discard { .. }) || !fails(8) { Outcome::Failed } else { Outcome::Ignored }
            }
            _ => Outcome::Ok,
        }
    }

    fn complete_log(&mut self) -> Result<(), Violation> {
        let in_flight: Vec<LogId> = self.device.log.in_flight().collect();
        if in_flight.is_empty() {
            return Ok(());
        }
        let at = self.choices.index(in_flight.len());
        let id = in_flight[at];
        let nr_writes = self.device.log.nr_writes_in_flight();
        let (is_write, faults) = (at < nr_writes, self.setup.faults);
        let one_in = if is_write { faults.log_write } else { faults.log_flush };
        let is_ok = one_in == 0 || !self.choices.one_in(one_in);
        self.stats.faults += u64::from(!is_ok);
        self.device.log.finish(id, is_ok, self.choices);
        if is_write {
            self.book.write_ended(id, is_ok);
        } else {
            self.book.flush_ended(is_ok, &self.device.log);
        }
        let outcome = match (is_ok, self.choices.below(2)) {
            (true, _) => Outcome::Ok,
            (false, 0) => Outcome::Failed,
            (false, _) => Outcome::Ignored,
        };
        let mut logged = Vec::new();
        let result = self.logger.log_complete_with(id, outcome, |entry| logged.push(entry));
        ensure!(result.is_ok(), Refusal, "{id:?} has completed, and the logger does not take it");
        for entry in logged {
            self.take_logged(entry)?;
        }
        self.check_logged()
    }

    /// An entry has become part of the log.
    fn take_logged(&mut self, logged: Logged) -> Result<(), Violation> {
        let id = self.op_of(logged.tag)?;
        let what = self.book.call_logged(id, logged.offset_bytes)?;
        let expected = (!matches!(what, What::Indeterminate(_))).then_some(self.model.record(id).op);
        ensure!(logged.op == expected, LoggedOnce, "{id} is called logged as {:?}", logged.op);
        match what {
            What::Flush => self.check_flush(id),
            What::Mark(_) if self.setup.config.ordering == Ordering::Completion => self.check_mark(id),
            _ => Ok(()),
        }
    }

    /// In completion order a mark is after everything that had completed before it was submitted.
    fn check_mark(&self, mark: OpId) -> Result<(), Violation> {
        let submitted = self.model.record(mark).submitted;
        let index = self.book.index_of(mark);
        for (id, _) in self.model.records().filter(|(_, record)| record.had_changed_before(submitted)) {
            let is_before = self.book.index_of(id).is_some_and(|at| Some(at) < index);
            ensure!(is_before, Order, "{id} had completed before the mark {mark}, and is after it");
        }
        Ok(())
    }

    /// A FLUSH is after everything that its flush covers, and after nothing else but FUAs.
    fn check_flush(&self, flush: OpId) -> Result<(), Violation> {
        let index = self.book.logged - 1;
        let submitted = self.model.record(flush).submitted;
        ensure!(
            self.model.record(flush).is_completed_ok(),
            OverClaim,
            "{flush} is logged, and has not succeeded"
        );
        for entry in &self.book.entries[..index - self.book.first] {
            let (What::Mutation(id) | What::Indeterminate(id)) = entry.what else { continue };
            let record = self.model.record(id);
            let is_covered = record.completed_at().is_some_and(|at| at < submitted);
            ensure!(
                is_covered || record.op.is_fua(),
                OverClaim,
                "{flush} does not cover {id}, and claims it"
            );
        }
        for (id, record) in self.model.records() {
            let has_entry =
                record.has_changed() || wants_indeterminate(record, self.setup.config.sector_size);
            let is_covered = has_entry && record.completed_at().is_some_and(|at| at < submitted);
            let is_before = self.book.index_of(id).is_some_and(|at| at < index);
            ensure!(is_before || !is_covered, UnderClaim, "{flush} covers {id}, which is after it");
        }
        Ok(())
    }

    /// Every entry whose write and those of all before it have completed was called logged, and no other.
    fn check_logged(&self) -> Result<(), Violation> {
        let is_end = |index: usize| self.book.entry(index).is_some_and(|entry| entry.what == What::EndMark);
        let has_end = (self.book.first..self.book.written).any(is_end);
        let expected = self.book.written - usize::from(has_end);
        ensure!(
            self.book.logged == expected,
            LoggedOnce,
            "{} entries are logged: {expected}",
            self.book.logged
        );
        let failure = self.logger.failure();
        ensure!(
            (failure == Some(OpError::Log)) == self.book.failed_at.is_some(),
            AfterLogFailure,
            "the logger says {failure:?}",
        );
        ensure!(failure.is_some() || !self.book.broken.flush, AfterFlushFailure, "the logger says nothing");
        Ok(())
    }
}

/// States.
impl<C: Choices, const N: usize> Session<'_, C, N> {
    fn crash(&mut self) -> Result<(), Violation> {
        if self.choices.one_in(2) {
            self.stats.kills += 1;
            self.book.check_killed(&self.device.log, self.choices).map(|_| ())
        } else {
            self.stats.power_cuts += 1;
            self.book.check_cut(&self.device.log, self.choices).map(|_| ())
        }
    }

    /// The logger has nothing to do: whatever is in use waits for a device, or is held on purpose.
    fn check_quiet(&self) -> Result<(), Violation> {
        let has_failed = self.book.failed_at.is_some();
        let is_durability = self.setup.config.ordering == Ordering::Durability;
        for id in self.tags.iter().flatten() {
            let record = self.model.record(*id);
            let is_plain = record.is_mutation() && (!record.op.is_fua() || record.has_failed());
            let is_late = is_durability && is_plain && record.completed.is_some() && record.done.is_none();
            ensure!(!is_late || has_failed, Done, "{id} has completed, and is not acknowledged");
        }
        if self.book.is_open && !has_failed {
            self.check_waiting()?;
        }
        if !self.device.data.in_flight().is_empty() || self.device.log.nr_in_flight() > 0 {
            return Ok(());
        }
        for id in self.tags.iter().flatten() {
            let record = self.model.record(*id);
            let is_held = record.done.is_some() && record.completed.is_some() && record.is_mutation();
            ensure!(
                is_held && is_durability && self.stage == Stage::Open && !has_failed,
                Liveness,
                "{id} waits for nothing",
            );
        }
        ensure!(!self.logger.is_full(), Liveness, "all tags are in use, and none will be free");
        ensure!(self.stage != Stage::Closing, Liveness, "the logger does not finish");
        ensure!(
            has_failed || self.logger.nr_entries() == widen(self.book.nr_entries()),
            Liveness,
            "{} entries have a place, {} were written",
            self.logger.nr_entries(),
            self.book.nr_entries(),
        );
        if self.stage == Stage::Open && !has_failed {
            let expected = self.nr_used() > 0 || !self.book.is_flushed();
            ensure!(self.logger.is_unflushed() == expected, Liveness, "is_unflushed is not {expected}");
        }
        self.book.check_due()
    }

    /// What has completed and is not in the log waits for a flush in flight, or is held on purpose; a FUA only for
    /// what it overlaps.
    fn check_waiting(&self) -> Result<(), Violation> {
        let flushes =
            || self.model.records().filter(|(_, record)| record.is_flush() && record.done.is_none());
        let is_waiting = |id: OpId| self.book.index_of(id).is_none();
        for id in self.tags.iter().flatten().copied().filter(|id| is_waiting(*id)) {
            let record = self.model.record(id);
            let since = match record.op {
                Op::Mark { .. } => record.submitted,
                _ if record.has_changed() => record.completed_at().unwrap_or(0),
                _ => continue,
            };
            let is_behind_flush =
                flushes().any(|(_, flush)| flush.submitted < since && flush.completed.is_none());
            let may_be_held = match record.op {
                Op::Mark { .. } => false,
                _ => self.setup.config.ordering == Ordering::Durability && !record.op.is_fua(),
            };
            ensure!(is_behind_flush || may_be_held, Liveness, "{id} waits for no flush");
            // The entries that it waited for may have been logged since: it keeps its place in the queue.
            let overlaps = |(other, below): (OpId, &Record)| {
                let index = self.book.index_of(other).and_then(|index| self.book.entry(index));
                let was_waiting = below.completed_at().is_some_and(|at| at < since)
                    && index.is_none_or(|entry| entry.at >= since);
                other != id && was_waiting && below.extent().overlaps(record.extent())
            };
            let is_fua = record.op.is_fua();
            let is_below = is_fua && self.model.records().any(overlaps);
            ensure!(!is_fua || is_below, Liveness, "{id} is a FUA, and waits for nothing that it overlaps");
        }
        Ok(())
    }

    /// After the end: everything is in the log, durable and counted, or the log has failed.
    fn check_closed(&mut self) -> Result<(), Violation> {
        ensure!(self.nr_used() == 0, Liveness, "finished with {} in use", self.nr_used());
        ensure!(self.logger.poll().is_none(), Liveness, "something to do after the end");
        let is_whole = self.book.failed_at.is_none();
        let nr_entries = self.book.nr_entries();
        let config = self.setup.config;
        if is_whole && !self.book.broken.flush {
            self.book.check_durable(&self.device.log, nr_entries)?;
            ensure!(self.book.counted == Some(nr_entries), SuperblockDue, "the last superblock is short");
        }
        let has_end = self.book.entries.last().is_some_and(|entry| entry.what == What::EndMark);
        let wants_end = config.ordering == Ordering::Durability && config.sector_size.bytes() >= 64;
        ensure!(!is_whole || has_end == wants_end, LoggedOnce, "the end mark");
        let can_count = !self.book.broken.superblock
            && (!self.book.broken.flush || config.superblock_policy == SuperblockPolicy::WithFlush);
        if let Some(failed_at) = self.book.failed_at.filter(|_| can_count && self.book.is_open) {
            let counted = self.book.counted;
            ensure!(
                counted == Some(failed_at),
                AfterLogFailure,
                "{counted:?} of {failed_at} entries are counted"
            );
        }
        self.crash()?;
        if self.book.counted.is_none() {
            return Ok(());
        }
        self.check_redundant()?;
        let is_all = is_whole && self.book.counted == Some(nr_entries);
        checker::check(&Evidence {
            model: &self.model,
            log: self.device.log.seen(),
            first_entry: self.book.first,
            first_sector: self.setup.first_sector,
            base: &self.base,
            disk: self.device.data.sectors(),
            is_whole: is_all,
        })
    }

    /// In completion order no FLUSH follows another, nor opens a log.
    fn check_redundant(&self) -> Result<(), Violation> {
        if self.setup.config.ordering == Ordering::Durability {
            return Ok(());
        }
        let is_flush = |at: usize| self.book.entries.get(at).is_some_and(|entry| entry.what == What::Flush);
        for at in (0..self.book.entries.len()).filter(|at| is_flush(*at)) {
            let is_redundant = if at == 0 { self.book.first == 0 } else { is_flush(at - 1) };
            ensure!(!is_redundant, RedundantFlush, "entry {at} is a FLUSH after a FLUSH");
        }
        Ok(())
    }
}

fn tag_of(index: usize) -> Tag {
    Tag::new(u16::try_from(index).unwrap_or(u16::MAX))
}
