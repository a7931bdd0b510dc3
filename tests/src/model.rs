//! A disk with a volatile cache as a client sees it through a recorder: the history of its operations.
//!
//! Deliberately naive: every question is answered by looking at everything.

use core::fmt;

use logwrites_core::{Extent, Op, OpError, Outcome};

use crate::rule::{Violation, ensure};

/// The operations of a disk in the order of their submission, and what has become of each.
#[derive(Clone, Debug, Default)]
pub struct Model {
    ops: Vec<Record>,
    now: u64,
}

/// An operation's number: how many were submitted before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub usize);

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op{}", self.0)
    }
}

/// What has become of one operation. Times count the events of the model.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// The operation.
    pub op: Op,
    /// When it was submitted.
    pub submitted: u64,
    /// When it went to the data device.
    pub issued: Option<u64>,
    /// When the data device finished it, and how.
    pub completed: Option<(u64, Outcome)>,
    /// When it was acknowledged, and how.
    pub done: Option<(u64, Result<(), OpError>)>,
    /// When its tag was released.
    pub released: Option<u64>,
}

impl Record {
    /// What it changes; empty for a flush and a mark.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.op.extent().unwrap_or(Extent::between(0, 0))
    }

    /// Whether it changes anything if it succeeds.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        !self.extent().is_empty()
    }

    /// Whether it is a flush.
    #[must_use]
    pub fn is_flush(&self) -> bool {
        self.op == Op::Flush
    }

    /// Whether it changed the disk.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.is_mutation() && self.is_completed_ok()
    }

    /// Whether the data device has done it.
    #[must_use]
    pub fn is_completed_ok(&self) -> bool {
        matches!(self.completed, Some((_, Outcome::Ok)))
    }

    /// Whether the data device failed it: its extent may hold anything.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match self.completed {
            Some((_, Outcome::Failed)) => true,
            Some((_, Outcome::Ignored)) => !matches!(self.op, Op::Discard { .. }),
            Some((_, Outcome::Ok)) | None => false,
        }
    }

    /// Whether it is a discard that the data device ignored.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        matches!((self.op, self.completed), (Op::Discard { .. }, Some((_, Outcome::Ignored))))
    }

    /// When the data device finished it.
    #[must_use]
    pub fn completed_at(&self) -> Option<u64> {
        self.completed.map(|(at, _)| at)
    }

    /// When it was acknowledged as done.
    #[must_use]
    pub fn done_ok_at(&self) -> Option<u64> {
        self.done.and_then(|(at, result)| result.is_ok().then_some(at))
    }

    /// Whether the data device had finished it, well, before `time`.
    #[must_use]
    pub fn had_changed_before(&self, time: u64) -> bool {
        self.has_changed() && self.completed_at().is_some_and(|at| at < time)
    }
}

/// Events.
impl Model {
    /// A new operation.
    pub fn submit(&mut self, op: Op) -> OpId {
        let submitted = self.tick();
        self.ops.push(Record { op, submitted, issued: None, completed: None, done: None, released: None });
        OpId(self.ops.len() - 1)
    }

    /// The operation goes to the data device.
    ///
    /// # Errors
    /// [`Violation`] if it has nothing to do there, was there already, or meets another that it overlaps.
    pub fn issue(&mut self, id: OpId) -> Result<(), Violation> {
        let now = self.tick();
        let record = *self.record(id);
        ensure!(record.is_flush() || record.is_mutation(), Done, "{id} has nothing to do at the data device");
        ensure!(record.issued.is_none(), Done, "{id} went to the data device twice");
        ensure!(record.done.is_none(), Done, "{id} went to the data device after its acknowledgement");
        for (other_id, other) in self.records() {
            if !other.extent().overlaps(record.extent()) || other_id == id {
                continue;
            }
            let is_waiting = other.issued.is_none() && other.done.is_none();
            let is_there = other.issued.is_some() && other.completed.is_none();
            ensure!(!is_there, Order, "{id} and {other_id} overlap and are at the data device together");
            ensure!(!is_waiting || other_id > id, Order, "{id} overtakes {other_id}, which it overlaps");
        }
        self.ops[id.0].issued = Some(now);
        Ok(())
    }

    /// The data device has finished the operation.
    ///
    /// # Errors
    /// [`Violation`] if it did not have it.
    pub fn complete(&mut self, id: OpId, outcome: Outcome) -> Result<(), Violation> {
        let now = self.tick();
        ensure!(self.is_at_device(id), Done, "{id} is not at the data device");
        self.ops[id.0].completed = Some((now, outcome));
        Ok(())
    }

    /// The operation is acknowledged.
    ///
    /// # Errors
    /// [`Violation`] if it was before, or is acknowledged as something else than it is.
    pub fn done(&mut self, id: OpId, result: Result<(), OpError>) -> Result<(), Violation> {
        let now = self.tick();
        let record = *self.record(id);
        ensure!(record.done.is_none(), Done, "{id} is acknowledged twice");
        ensure!(!self.is_at_device(id), Done, "{id} is acknowledged while at the data device");
        let expected = match (record.is_flush(), record.has_failed()) {
            (_, false) => None,
            (false, true) => Some(Err(OpError::Data)),
            (true, true) => Some(Err(OpError::Flush)),
        };
        if let Some(expected) = expected {
            ensure!(result == expected, Done, "{id} has failed and is acknowledged with {result:?}");
        } else {
            ensure!(result != Err(OpError::Data), Done, "{id} has not failed, and is said to");
        }
        let needs_device = record.is_flush() || record.is_mutation();
        ensure!(
            result.is_err() || !needs_device || record.completed.is_some(),
            Done,
            "{id} is acknowledged as done, and was not",
        );
        self.ops[id.0].done = Some((now, result));
        Ok(())
    }

    /// The operation's tag is free, and its payload gone.
    ///
    /// # Errors
    /// [`Violation`] if it was not acknowledged, or was released before.
    pub fn release(&mut self, id: OpId) -> Result<(), Violation> {
        let now = self.tick();
        let record = self.record(id);
        ensure!(record.done.is_some(), Release, "{id} is released before it is acknowledged");
        ensure!(record.released.is_none(), Release, "{id} is released twice");
        self.ops[id.0].released = Some(now);
        Ok(())
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// Questions.
impl Model {
    /// What has become of an operation.
    #[must_use]
    pub fn record(&self, id: OpId) -> &Record {
        &self.ops[id.0]
    }

    /// Every operation, in the order of submission.
    #[must_use]
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (OpId, &Record)> {
        self.ops.iter().enumerate().map(|(index, record)| (OpId(index), record))
    }

    /// How many operations were submitted.
    #[must_use]
    pub const fn nr_ops(&self) -> usize {
        self.ops.len()
    }

    /// The time of the last event.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Whether the data device has the operation.
    #[must_use]
    pub fn is_at_device(&self, id: OpId) -> bool {
        let record = self.record(id);
        record.issued.is_some() && record.completed.is_none()
    }

    /// What a flush makes durable if it succeeds: whatever had changed the disk before its submission.
    pub fn covered_by(&self, flush: OpId) -> impl Iterator<Item = OpId> {
        let submitted = self.record(flush).submitted;
        self.records().filter(move |(_, record)| record.had_changed_before(submitted)).map(|(id, _)| id)
    }

    /// Since when a client may rely on an operation to survive: its own acknowledgement if it is a FUA, that of
    /// the first flush that covers it.
    #[must_use]
    pub fn durable_since(&self, id: OpId) -> Option<u64> {
        let record = self.record(id);
        let own = record.done_ok_at().filter(|_| record.op.is_fua());
        let flushes = self
            .records()
            .filter(|(_, flush)| flush.is_flush() && record.had_changed_before(flush.submitted))
            .filter_map(|(_, flush)| flush.done_ok_at());
        flushes.chain(own).min()
    }

    /// What has changed a sector, in the order in which it did.
    #[must_use]
    pub fn versions_of(&self, sector: u64) -> Vec<OpId> {
        let probe = Extent::between(sector, sector + 1);
        let mut versions: Vec<_> = self
            .records()
            .filter(|(_, record)| record.has_changed() && record.extent().overlaps(probe))
            .map(|(id, record)| (record.completed_at(), id))
            .collect();
        versions.sort_unstable();
        versions.into_iter().map(|(_, id)| id).collect()
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, record) in self.records() {
            let Record { op, submitted, issued, completed, done, released } = record;
            writeln!(
                f,
                "{id}: {op:?} submitted {submitted} issued {issued:?} completed {completed:?} done {done:?} released {released:?}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Rule;
    use logwrites_core::WriteFlags;

    fn write(sector: u64, nr_sectors: u64) -> Op {
        Op::Write { extent: Extent::new(sector, nr_sectors).unwrap(), flags: WriteFlags::empty() }
    }

    #[test]
    fn a_flush_covers_what_completed_before_its_submission() {
        let mut model = Model::default();
        let [early, late] = [0, 1].map(|sector| model.submit(write(sector, 1)));
        model.issue(early).unwrap();
        model.issue(late).unwrap();
        model.complete(early, Outcome::Ok).unwrap();
        let flush = model.submit(Op::Flush);
        model.complete(late, Outcome::Ok).unwrap();
        model.issue(flush).unwrap();
        model.complete(flush, Outcome::Ok).unwrap();
        assert_eq!(model.covered_by(flush).collect::<Vec<_>>(), [early]);
        assert_eq!(model.durable_since(early), None);
        model.done(flush, Ok(())).unwrap();
        assert_eq!(model.durable_since(early), Some(model.now()));
        assert_eq!(model.durable_since(late), None);
    }

    #[test]
    fn what_overlaps_does_not_meet_at_the_device() {
        let mut model = Model::default();
        let [one, two] = [0, 1].map(|sector| model.submit(write(sector, 2)));
        assert_eq!(model.clone().issue(two).unwrap_err().rule, Rule::Order);
        model.issue(one).unwrap();
        assert_eq!(model.issue(two).unwrap_err().rule, Rule::Order);
    }

    #[test]
    fn a_failed_write_is_not_acknowledged_as_done() {
        let mut model = Model::default();
        let id = model.submit(write(0, 2));
        assert_eq!(model.clone().done(id, Ok(())).unwrap_err().rule, Rule::Done);
        model.issue(id).unwrap();
        model.complete(id, Outcome::Failed).unwrap();
        assert_eq!(model.clone().done(id, Ok(())).unwrap_err().rule, Rule::Done);
        assert_eq!(model.clone().release(id).unwrap_err().rule, Rule::Release);
        model.done(id, Err(OpError::Data)).unwrap();
        assert_eq!(model.clone().done(id, Err(OpError::Data)).unwrap_err().rule, Rule::Done);
        model.release(id).unwrap();
        assert_eq!(model.release(id).unwrap_err().rule, Rule::Release);
    }
}
