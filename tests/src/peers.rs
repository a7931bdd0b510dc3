//! The order in which Linux and QEMU log, and scripts to compare recorders.
//!
//! The two are models, made from what docs/format.md says of their behaviour: they have the faults that it lists, so that
//! the checker can show that it sees them, and that our logger has none of them.

use core::mem;

use logwrites_core::format::{END_MARK, EntryHeader, Flags, Superblock};
use logwrites_core::num::{narrow, widen};
use logwrites_core::{Config, Extent, Op, OpError, Outcome, SectorSize, WriteFlags};

use crate::checker::{self, Evidence};
use crate::choices::Bytes;
use crate::content::{Stamp, mark_text, payload};
use crate::fault_device::DataDevice;
use crate::model::{Model, OpId};
use crate::rig::Rig;
use crate::rule::{Rule, Violation};

/// Something that records what a disk is told.
pub trait Recorder {
    /// Takes an operation.
    ///
    /// # Errors
    /// [`Refused`] if it does not; then nothing has happened.
    fn submit(&mut self, id: OpId, op: Op) -> Result<(), Refused>;

    /// The data device has finished an operation.
    fn complete(&mut self, id: OpId, outcome: Outcome);

    /// From now on log writes fail, or no longer.
    fn fail_log(&mut self, is_failing: bool);

    /// Closes the log.
    fn finish(&mut self);

    /// What it did since, in order.
    fn actions(&mut self) -> Vec<Action>;

    /// The log, as a reader finds it now.
    fn log(&self) -> Vec<u8>;
}

/// An operation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Something that a recorder did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Acknowledged an operation.
    Done(OpId, Result<(), OpError>),
    /// Gave an operation to the data device.
    Issue(OpId),
}

/// An event of a script. Operations are named by their place among those submitted, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The data device finishes an operation, unless it was refused.
    Complete(usize, Outcome),
    /// Log writes fail from now on, or no longer.
    FailLog(bool),
    /// The log is closed.
    Finish,
    /// A client submits an operation.
    Submit(Op),
}

/// What became of a script.
#[derive(Clone, Debug)]
pub struct Played {
    /// The history.
    pub model: Model,
    /// The log.
    pub log: Vec<u8>,
    /// The disk before.
    pub base: Vec<Stamp>,
    /// The disk.
    pub data: DataDevice,
    /// Whether the log was closed, and no log write failed.
    pub is_whole: bool,
    /// The operations that were refused.
    pub refused: Vec<usize>,
    /// Violations that the history alone shows.
    pub wrongs: Vec<Violation>,
}

impl Played {
    /// Every rule that was broken.
    #[must_use]
    pub fn broken(&self) -> Vec<Rule> {
        let mut violations = self.wrongs.clone();
        violations.extend(checker::check_all(&self.evidence()));
        violations.iter().map(|violation| violation.rule).collect()
    }

    /// What the log is judged by.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            model: &self.model,
            log: &self.log,
            first_entry: 0,
            first_sector: 0,
            base: &self.base,
            disk: self.data.sectors(),
            is_whole: self.is_whole,
        }
    }
}

/// Plays a script with a recorder.
pub fn play(recorder: &mut impl Recorder, script: &[Event]) -> Played {
    let data = DataDevice::new(0, NR_SECTORS);
    let mut played = Played {
        model: Model::default(),
        log: Vec::new(),
        base: data.sectors().to_vec(),
        data,
        is_whole: false,
        refused: Vec::new(),
        wrongs: Vec::new(),
    };
    let mut ids: Vec<Option<OpId>> = Vec::new();
    let mut has_failed = false;
    for event in script {
        match *event {
            Event::Submit(op) => {
                let id = OpId(played.model.nr_ops());
                if recorder.submit(id, op) == Ok(()) {
                    played.model.submit(op);
                    ids.push(Some(id));
                } else {
                    played.refused.push(ids.len());
                    ids.push(None);
                }
            }
            Event::Complete(name, outcome) => {
                if let Some(id) = ids.get(name).copied().flatten() {
                    played.data.finish(id, outcome, &mut Bytes::new(&[]));
                    let result = played.model.complete(id, outcome);
                    played.wrongs.extend(result.err());
                    recorder.complete(id, outcome);
                }
            }
            Event::FailLog(is_failing) => {
                has_failed |= is_failing;
                recorder.fail_log(is_failing);
            }
            Event::Finish => {
                recorder.finish();
                played.is_whole = !has_failed;
            }
        }
        for action in recorder.actions() {
            let result = match action {
                Action::Done(id, result) => played.model.done(id, result),
                Action::Issue(id) => {
                    played.data.start(id, played.model.record(id).op);
                    played.model.issue(id)
                }
            };
            played.wrongs.extend(result.err());
        }
    }
    played.log = recorder.log();
    played
}

/// Our logger, with a log device that obeys at once.
#[derive(Clone, Debug)]
pub struct OurRecorder {
    rig: Rig<SLOTS>,
    tags: [Option<OpId>; SLOTS],
    /// The tags whose operations the data device is known to have.
    issued: Vec<usize>,
}

const SLOTS: usize = 16;

impl OurRecorder {
    /// A recorder with this configuration, which must have room for a log.
    ///
    /// # Errors
    /// The logger's.
    pub fn new(config: Config) -> Result<Self, logwrites_core::config::ConfigError> {
        let rig = Rig::new(config)?;
        Ok(Self { rig, tags: [None; SLOTS], issued: Vec::new() })
    }

    fn tag_of(&self, id: OpId) -> usize {
        self.tags.iter().position(|other| *other == Some(id)).unwrap_or(SLOTS)
    }
}

impl Recorder for OurRecorder {
    fn submit(&mut self, id: OpId, op: Op) -> Result<(), Refused> {
        let tag = self.tags.iter().position(Option::is_none).ok_or(Refused)?;
        self.rig.name(tag, id);
        self.tags[tag] = Some(id);
        let result = self.rig.submit(tag, op);
        if result.is_err() {
            self.tags[tag] = None;
        }
        result.map_err(|_| Refused)
    }

    fn complete(&mut self, id: OpId, outcome: Outcome) {
        let tag = self.tag_of(id);
        self.issued.retain(|other| *other != tag);
        // What the data device has not, the history says.
        let _ = self.rig.complete(tag, outcome);
    }

    fn fail_log(&mut self, is_failing: bool) {
        self.rig.fail_log(is_failing);
    }

    fn finish(&mut self) {
        self.rig.finish();
    }

    fn actions(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for tag in &self.rig.issued {
            if !self.issued.contains(tag) {
                self.issued.push(*tag);
                actions.extend(self.tags[*tag].map(Action::Issue));
            }
        }
        for (tag, result) in self.rig.done.drain(..) {
            actions.extend(self.tags[tag].map(|id| Action::Done(id, result)));
        }
        for tag in self.rig.released.drain(..) {
            self.tags[tag] = None;
        }
        actions
    }

    fn log(&self) -> Vec<u8> {
        self.rig.log.seen().to_vec()
    }
}

/// The order of Linux dm-log-writes.
#[derive(Clone, Debug)]
pub struct KernelRecorder {
    tape: Tape,
    ops: Vec<Op>,
    /// Completed, and not yet taken by a flush.
    held: Vec<OpId>,
    /// The flushes in flight, with what they have taken.
    flushes: Vec<(OpId, Vec<OpId>)>,
    /// Whether no log write has failed and the log is not full.
    is_logging: bool,
    actions: Vec<Action>,
}

impl KernelRecorder {
    /// A recorder whose log has room for so many bytes.
    #[must_use]
    pub fn new(sector_size: SectorSize, capacity_bytes: u64) -> Self {
        Self {
            tape: Tape::new(sector_size, capacity_bytes),
            ops: Vec::new(),
            held: Vec::new(),
            flushes: Vec::new(),
            is_logging: true,
            actions: Vec::new(),
        }
    }

    /// The log stops for good at the first entry that it does not take; the client is not told.
    fn log_entry(&mut self, entry: &[u8]) {
        if self.is_logging && self.tape.append(entry) != Appended::Written {
            self.is_logging = false;
        }
    }

    fn log_op(&mut self, id: OpId) {
        let entry = entry(id, self.ops[id.0], self.tape.sector_size, true);
        self.log_entry(&entry);
    }

    fn superblock(&mut self) {
        if self.is_logging {
            self.tape.superblock();
        }
    }
}

impl Recorder for KernelRecorder {
    fn submit(&mut self, id: OpId, op: Op) -> Result<(), Refused> {
        self.ops.push(op);
        match op {
            Op::Mark { .. } => {
                self.log_op(id);
                self.superblock();
                self.actions.push(Action::Done(id, Ok(())));
            }
            Op::Flush => {
                self.flushes.push((id, mem::take(&mut self.held)));
                self.actions.push(Action::Issue(id));
            }
            _ if op.extent().is_none_or(Extent::is_empty) => self.actions.push(Action::Done(id, Ok(()))),
            _ => self.actions.push(Action::Issue(id)),
        }
        Ok(())
    }

    fn complete(&mut self, id: OpId, outcome: Outcome) {
        let op = self.ops[id.0];
        if let Some(at) = self.flushes.iter().position(|(flush, _)| *flush == id) {
            let (_, taken) = self.flushes.remove(at);
            for held in taken {
                self.log_op(held);
            }
            self.log_op(id);
        } else if op.is_fua() {
            self.log_op(id);
            self.superblock();
        } else {
            // Whether it has failed, or was ignored, does not matter.
            self.held.push(id);
        }
        self.actions.push(Action::Done(id, result_of(op, outcome)));
    }

    fn fail_log(&mut self, is_failing: bool) {
        self.tape.is_failing = is_failing;
    }

    fn finish(&mut self) {
        for id in mem::take(&mut self.held) {
            self.log_op(id);
        }
        let end = mark_entry(END_MARK.as_bytes(), self.tape.sector_size);
        self.log_entry(&end);
        self.superblock();
    }

    fn actions(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }

    fn log(&self) -> Vec<u8> {
        self.tape.bytes.clone()
    }
}

/// The order of QEMU's blklogwrites. The flush with which it closes is left to the script.
#[derive(Clone, Debug)]
pub struct QemuRecorder {
    tape: Tape,
    ops: Vec<Op>,
    superblock_interval: u64,
    is_dirty: bool,
    actions: Vec<Action>,
}

impl QemuRecorder {
    /// A recorder whose log has room for so many bytes.
    #[must_use]
    pub fn new(sector_size: SectorSize, capacity_bytes: u64) -> Self {
        Self {
            tape: Tape::new(sector_size, capacity_bytes),
            ops: Vec::new(),
            superblock_interval: 4096,
            is_dirty: false,
            actions: Vec::new(),
        }
    }

    fn log_op(&mut self, id: OpId) -> Appended {
        let op = self.ops[id.0];
        let appended = self.tape.append(&entry(id, op, self.tape.sector_size, false));
        if appended == Appended::Hole {
            // The place is taken, and the entry counts.
            self.tape.skip(&entry(id, op, self.tape.sector_size, false));
        }
        if op == Op::Flush || self.tape.nr_entries.is_multiple_of(self.superblock_interval) {
            self.tape.superblock();
        }
        appended
    }
}

impl Recorder for QemuRecorder {
    fn submit(&mut self, id: OpId, op: Op) -> Result<(), Refused> {
        if matches!(op, Op::Mark { .. }) {
            return Err(Refused);
        }
        self.ops.push(op);
        if op.extent().is_some_and(Extent::is_empty) {
            // It is logged all the same, as an entry of zeros.
            self.log_op(id);
            self.actions.push(Action::Done(id, Ok(())));
        } else {
            self.actions.push(Action::Issue(id));
        }
        Ok(())
    }

    fn complete(&mut self, id: OpId, outcome: Outcome) {
        let op = self.ops[id.0];
        let is_redundant = op == Op::Flush && !self.is_dirty;
        let appended = if is_redundant { Appended::Written } else { self.log_op(id) };
        self.is_dirty = op != Op::Flush;
        let result = match appended {
            Appended::Written => result_of(op, outcome),
            Appended::Hole | Appended::Full => result_of(op, outcome).and(Err(OpError::Log)),
        };
        self.actions.push(Action::Done(id, result));
    }

    fn fail_log(&mut self, is_failing: bool) {
        self.tape.is_failing = is_failing;
    }

    fn finish(&mut self) {
        self.tape.superblock();
    }

    fn actions(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }

    fn log(&self) -> Vec<u8> {
        self.tape.bytes.clone()
    }
}

/// A log that is written from its start to its end.
#[derive(Clone, Debug)]
pub(crate) struct Tape {
    sector_size: SectorSize,
    capacity_bytes: u64,
    pub(crate) bytes: Vec<u8>,
    nr_entries: u64,
    is_failing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Full,
    Hole,
    Written,
}

impl Tape {
    pub(crate) fn new(sector_size: SectorSize, capacity_bytes: u64) -> Self {
        let bytes = vec![0; narrow(sector_size.bytes())];
        Self { sector_size, capacity_bytes, bytes, nr_entries: 0, is_failing: false }
    }

    pub(crate) fn append(&mut self, entry: &[u8]) -> Appended {
        if widen(self.bytes.len() + entry.len()) > self.capacity_bytes {
            return Appended::Full;
        } else if self.is_failing {
            return Appended::Hole;
        }
        self.bytes.extend_from_slice(entry);
        self.nr_entries += 1;
        Appended::Written
    }

    fn skip(&mut self, entry: &[u8]) {
        self.bytes.resize(self.bytes.len() + entry.len(), 0);
        self.nr_entries += 1;
    }

    pub(crate) fn superblock(&mut self) {
        let superblock = Superblock { nr_entries: self.nr_entries, sector_size: self.sector_size };
        let header = superblock.emit();
        self.bytes[..header.len()].copy_from_slice(&header);
    }
}

/// The entry of an operation; QEMU's have no FUA.
pub(crate) fn entry(id: OpId, op: Op, sector_size: SectorSize, has_fua: bool) -> Vec<u8> {
    let extent = op.extent().unwrap_or(Extent::between(0, 0));
    let flags = match op {
        Op::Flush => Flags::FLUSH,
        Op::Discard { .. } => Flags::DISCARD,
        _ if op.is_fua() && has_fua => Flags::FUA,
        _ => Flags::empty(),
    };
    if let Op::Mark { len_bytes } = op {
        return mark_entry(&mark_text(id, len_bytes), sector_size);
    }
    let header = EntryHeader { sector: extent.sector(), nr_sectors: extent.nr_sectors(), flags, data_len: 0 };
    let mut bytes = header.emit().to_vec();
    bytes.resize(narrow(sector_size.bytes()), 0);
    match op {
        Op::Write { .. } => bytes.extend(payload(id, extent.nr_sectors(), sector_size)),
        Op::WriteZeroes { .. } => {
            bytes.resize(bytes.len() + narrow(sector_size.bytes_of(extent.nr_sectors())), 0);
        }
        Op::Discard { .. } | Op::Flush | Op::Mark { .. } => {}
    }
    bytes
}

fn mark_entry(text: &[u8], sector_size: SectorSize) -> Vec<u8> {
    let header = EntryHeader { flags: Flags::MARK, data_len: widen(text.len()), ..EntryHeader::default() };
    let mut bytes = [&header.emit(), text].concat();
    bytes.resize(narrow(sector_size.bytes()), 0);
    bytes
}

/// What the client of a peer is told.
fn result_of(op: Op, outcome: Outcome) -> Result<(), OpError> {
    match (op, outcome) {
        (_, Outcome::Ok) | (Op::Discard { .. }, Outcome::Ignored) => Ok(()),
        (Op::Flush, _) => Err(OpError::Flush),
        _ => Err(OpError::Data),
    }
}

/// A write of `nr_sectors` at `sector`.
#[must_use]
pub const fn write(sector: u64, nr_sectors: u64) -> Event {
    Event::Submit(Op::Write {
        extent: Extent::between(sector, sector + nr_sectors),
        flags: WriteFlags::empty(),
    })
}

/// A write with FUA of `nr_sectors` at `sector`.
#[must_use]
pub const fn fua(sector: u64, nr_sectors: u64) -> Event {
    Event::Submit(Op::Write { extent: Extent::between(sector, sector + nr_sectors), flags: WriteFlags::FUA })
}

/// A flush.
pub const FLUSH: Event = Event::Submit(Op::Flush);

/// A good completion.
#[must_use]
pub const fn ok(name: usize) -> Event {
    Event::Complete(name, Outcome::Ok)
}

/// How large the disk of a script is.
const NR_SECTORS: usize = 16;
