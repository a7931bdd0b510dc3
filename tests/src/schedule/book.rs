//! What was told to the log device, and what must follow from it.

use logwrites_core::format::{END_MARK, EntryHeader, Flags, Superblock};
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::{LogSlice, Reader};
use logwrites_core::{Config, Extent, LogId, LogWrite, Op, Ordering, SuperblockPolicy, Tag};

use crate::checker::{What, wants_indeterminate};
use crate::choices::Choices;
use crate::content::{mark_text, payload};
use crate::fault_device::LogDevice;
use crate::memory::Memory;
use crate::model::{Model, OpId};
use crate::rig::bytes_of;
use crate::rule::{Rule, Violation, ensure};

/// The log of one session: entries from `first` on, in the order in which they were written.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) config: Config,
    /// How many entries older sessions left.
    pub(crate) first: usize,
    pub(crate) entries: Vec<Written>,
    /// What the log must hold, its superblock aside.
    pub(crate) bytes: Vec<u8>,
    /// Which entry an operation has.
    entry_of: Vec<Option<usize>>,
    /// How many entries, from the first of the log on, have been written.
    pub(crate) written: usize,
    /// How many of them are durable.
    pub(crate) durable: usize,
    /// How many of them the logger has called logged.
    pub(crate) logged: usize,
    /// How many of them were acknowledged as durable.
    pub(crate) promised: usize,
    /// The superblock in flight.
    superblock: Option<(LogId, usize)>,
    /// What the last superblock counts that has been written.
    pub(crate) counted: Option<usize>,
    last_count: usize,
    /// The entry at which the log has failed.
    pub(crate) failed_at: Option<usize>,
    pub(crate) broken: Broken,
    /// Whether a superblock of this session was written.
    has_superblock: bool,
    /// Whether one is durable: no entry is written before.
    pub(crate) is_open: bool,
    is_unflushed_before: bool,
}

/// An entry that was given to the log device.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    id: LogId,
    pub(crate) what: What,
    pub(crate) offset: usize,
    pub(crate) end: usize,
    pub(crate) tag: Option<Tag>,
    pub(crate) outcome: Option<bool>,
    /// When it was written.
    pub(crate) at: u64,
}

/// What of the log device's work has failed for good.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Broken {
    pub(crate) flush: bool,
    pub(crate) superblock: bool,
}

impl Book {
    /// The book of a new log.
    pub(crate) fn new(config: Config) -> Self {
        let bytes = vec![0; narrow(config.sector_size.bytes())];
        Self::with(config, 0, bytes, false)
    }

    /// The book of a log that continues after `nr_entries` entries in `bytes`.
    pub(crate) fn resume(config: Config, nr_entries: usize, bytes: Vec<u8>, unflushed: bool) -> Self {
        let book = Self::with(config, nr_entries, bytes, unflushed);
        Self { counted: Some(nr_entries), last_count: nr_entries, ..book }
    }

    fn with(config: Config, first: usize, bytes: Vec<u8>, is_unflushed_before: bool) -> Self {
        Self {
            config,
            first,
            entries: Vec::new(),
            bytes,
            entry_of: Vec::new(),
            written: first,
            durable: first,
            logged: first,
            promised: first,
            superblock: None,
            counted: None,
            last_count: 0,
            failed_at: None,
            broken: Broken::default(),
            has_superblock: false,
            is_open: false,
            is_unflushed_before,
        }
    }

    pub(crate) fn nr_entries(&self) -> usize {
        self.first + self.entries.len()
    }

    /// An entry by its number in the log.
    pub(crate) fn entry(&self, index: usize) -> Option<&Written> {
        self.entries.get(index.checked_sub(self.first)?)
    }

    /// The number of an operation's entry, once it was given to the log device; of a flush once it is logged.
    pub(crate) fn index_of(&self, id: OpId) -> Option<usize> {
        self.entry_of.get(id.0).copied().flatten()
    }

    /// Whether a FLUSH would say nothing new.
    pub(crate) fn is_flushed(&self) -> bool {
        self.entries.last().map_or(!self.is_unflushed_before, |entry| entry.what == What::Flush)
    }

    /// What is free for a new operation, where all that has a place was given to the log device.
    pub(crate) fn free_bytes(&self, model: &Model, in_use: impl Iterator<Item = OpId>) -> u64 {
        let sector_bytes = self.config.sector_size.bytes();
        let reserved = in_use.map(|id| self.reserved_sectors(model, id) * sector_bytes).sum::<u64>();
        let flush_bytes = if self.is_flushed() { 0 } else { sector_bytes };
        let has_closing = self.config.ordering == Ordering::Durability && sector_bytes >= 64;
        let closing_bytes = if has_closing { sector_bytes } else { 0 };
        let used = [widen(self.bytes.len()), reserved, flush_bytes, closing_bytes];
        used.iter().fold(self.config.capacity_bytes, |free, bytes| free.saturating_sub(*bytes))
    }

    fn reserved_sectors(&self, model: &Model, id: OpId) -> u64 {
        let record = model.record(id);
        let has_payload = matches!(record.op, Op::Write { .. } | Op::WriteZeroes { .. });
        let payload_sectors = if has_payload { record.extent().nr_sectors() } else { 0 };
        if self.index_of(id).is_some() || record.is_flush() || record.is_ignored() {
            0
        } else if matches!(record.op, Op::Mark { .. }) {
            2
        } else if !record.is_mutation() {
            0
        } else if record.has_failed() {
            if wants_indeterminate(record, self.config.sector_size) { 2 } else { 0 }
        } else {
            payload_sectors + 2
        }
    }
}

/// Commands.
impl Book {
    /// A log write: gives its bytes.
    pub(crate) fn write(
        &mut self,
        id: LogId,
        write: &LogWrite,
        model: &Model,
        tags: &[Option<OpId>],
    ) -> Result<Vec<u8>, Violation> {
        let sector_bytes = self.config.sector_size.bytes();
        let mut payload_of = None;
        let bytes = bytes_of(write, |tag, len_bytes| {
            let op = tags.get(tag.index()).copied().flatten();
            payload_of = op.map(|id| (tag, id));
            op.map_or_else(Vec::new, |id| self.payload(model, id, len_bytes))
        });
        let offset = write.offset_bytes();
        ensure!(widen(bytes.len()) == write.len_bytes(), Parse, "a log write of another length than it says");
        ensure!(offset.is_multiple_of(sector_bytes), Offsets, "a log write at byte {offset}");
        ensure!(write.len_bytes().is_multiple_of(sector_bytes), Offsets, "a log write of part of a sector");
        let end = offset + write.len_bytes();
        ensure!(end <= self.config.capacity_bytes, Offsets, "byte {end} is after the end of the log device");
        let header: &[u8; 32] = bytes.first_chunk().ok_or_else(|| parse("no header"))?;
        if offset == 0 {
            let superblock = Superblock::parse(header).map_err(|error| parse(&error.to_string()))?;
            ensure!(superblock.sector_size == self.config.sector_size, Parse, "another sector size");
            ensure!(bytes[32..].iter().all(|byte| *byte == 0), Parse, "text after the superblock");
            self.superblock(id, narrow(superblock.nr_entries))?;
        } else {
            ensure!(
                narrow(offset) == self.bytes.len(),
                Offsets,
                "an entry at {offset}, not {}",
                self.bytes.len()
            );
            ensure!(self.failed_at.is_none(), AfterLogFailure, "an entry is written after a failed one");
            ensure!(self.is_open, Order, "an entry is written before the log is open");
            let header = EntryHeader::parse(header);
            let what = self.identify(header, &bytes, payload_of.map(|(_, id)| id), model)?;
            self.bytes.extend_from_slice(&bytes);
            let tag = payload_of.map(|(tag, _)| tag);
            if let What::Mutation(op) | What::Mark(op) | What::Indeterminate(op) = what {
                self.set_entry(op, self.nr_entries())?;
            }
            self.entries.push(Written {
                id,
                what,
                offset: narrow(offset),
                end: narrow(end),
                tag,
                outcome: None,
                at: model.now(),
            });
        }
        Ok(bytes)
    }

    /// The payload of an operation, which must be as long as is asked for.
    fn payload(&self, model: &Model, id: OpId, len_bytes: u64) -> Vec<u8> {
        match model.record(id).op {
            Op::Write { extent, .. } => payload(id, extent.nr_sectors(), self.config.sector_size),
            Op::Mark { len_bytes: own } if u64::from(own) == len_bytes => mark_text(id, own),
            _ => Vec::new(),
        }
    }

    fn superblock(&mut self, id: LogId, nr_entries: usize) -> Result<(), Violation> {
        ensure!(self.superblock.is_none(), SuperblockCount, "two superblocks are in flight");
        let bound = match self.config.superblock_policy {
            SuperblockPolicy::WithFlush => self.written,
            SuperblockPolicy::Barrier => self.durable,
        };
        ensure!(
            nr_entries <= bound,
            SuperblockCount,
            "a superblock counts {nr_entries}, {bound} may be counted"
        );
        ensure!(nr_entries >= self.last_count, SuperblockCount, "a superblock counts less than the last");
        ensure!(!self.broken.superblock, SuperblockCount, "a superblock after a failed one");
        self.last_count = nr_entries;
        self.superblock = Some((id, nr_entries));
        Ok(())
    }

    /// Finds out what an entry is of, and checks its header.
    fn identify(
        &self,
        header: EntryHeader,
        bytes: &[u8],
        payload_of: Option<OpId>,
        model: &Model,
    ) -> Result<What, Violation> {
        let EntryHeader { sector, nr_sectors, flags, data_len } = header;
        if flags == Flags::MARK {
            let text = &bytes[32..32 + narrow(data_len)];
            ensure!(sector == 0 && nr_sectors == 0, Parse, "a mark has a place");
            return self.identify_mark(text, payload_of, model);
        }
        ensure!(data_len == 0, Parse, "no mark, and yet a text");
        if flags == Flags::FLUSH {
            ensure!(sector == 0 && nr_sectors == 0 && payload_of.is_none(), Parse, "a FLUSH with a payload");
            return Ok(What::Flush);
        }
        let extent = Extent::new(sector, nr_sectors).ok_or_else(|| parse("an impossible extent"))?;
        let id = payload_of.or_else(|| {
            model.records().map(|(id, _)| id).find(|id| {
                let record = model.record(*id);
                let is_same = match record.op {
                    Op::WriteZeroes { .. } => !flags.contains(Flags::DISCARD),
                    Op::Discard { .. } => flags.contains(Flags::DISCARD),
                    _ => false,
                };
                is_same && record.extent() == extent && record.has_changed() && self.index_of(*id).is_none()
            })
        });
        let id = id.ok_or_else(|| {
            Violation::new(
                Rule::LoggedOnce,
                format!("an entry {flags:?} at {extent} belongs to no operation"),
            )
        })?;
        let record = model.record(id);
        let fua = if record.op.is_fua() { Flags::FUA } else { Flags::empty() };
        let discard = if matches!(record.op, Op::Discard { .. }) { Flags::DISCARD } else { Flags::empty() };
        ensure!(
            record.extent() == extent && flags == fua | discard,
            Parse,
            "the entry of {id} is not its own"
        );
        ensure!(record.has_changed(), FailedLogged, "{id} did not change the disk, and is logged");
        Ok(What::Mutation(id))
    }

    fn identify_mark(&self, text: &[u8], payload_of: Option<OpId>, model: &Model) -> Result<What, Violation> {
        if let Some(id) = payload_of {
            ensure!(matches!(model.record(id).op, Op::Mark { .. }), Parse, "{id} is logged as a mark");
            return Ok(What::Mark(id));
        }
        if text == END_MARK.as_bytes() {
            return Ok(What::EndMark);
        }
        let is_new = |id: &OpId| self.index_of(*id).is_none();
        let mut ids = model.records().map(|(id, _)| id).filter(is_new);
        if text.is_empty() {
            let empty = ids.find(|id| model.record(*id).op == Op::Mark { len_bytes: 0 });
            return empty.map(What::Mark).ok_or_else(|| parse("an empty mark belongs to no operation"));
        }
        let failed = ids.find(|id| {
            let extent = model.record(*id).extent();
            let expected = format!("logwrites-indeterminate {}+{}", extent.sector(), extent.nr_sectors());
            model.record(*id).has_failed() && text == expected.as_bytes()
        });
        failed.map(What::Indeterminate).ok_or_else(|| parse("a mark belongs to no operation"))
    }

    fn set_entry(&mut self, id: OpId, index: usize) -> Result<(), Violation> {
        if self.entry_of.len() <= id.0 {
            self.entry_of.resize(id.0 + 1, None);
        }
        let before = self.entry_of[id.0].replace(index);
        ensure!(before.is_none(), LoggedOnce, "{id} is logged twice");
        Ok(())
    }

    /// The logger says that the next entry has become part of the log, and that it is of operation `id`.
    pub(crate) fn call_logged(&mut self, id: OpId, offset_bytes: u64) -> Result<What, Violation> {
        let index = self.logged;
        let entry = self.entry(index).filter(|_| index < self.written);
        let what = entry.filter(|entry| widen(entry.offset) == offset_bytes).map(|entry| entry.what);
        let what = what.ok_or_else(|| {
            Violation::new(Rule::Offsets, format!("{id} is called logged at {offset_bytes}, and is not"))
        })?;
        match what {
            What::Mutation(own) | What::Mark(own) | What::Indeterminate(own) => {
                ensure!(own == id, LoggedOnce, "entry {index} is of {own}, and called that of {id}");
            }
            What::Flush => self.set_entry(id, index)?,
            What::EndMark => return Err(parse("the end mark is called an operation's")),
        }
        self.logged += 1;
        Ok(what)
    }
}

/// Completions. Each gives back whether the book knows the handle.
impl Book {
    /// A log write has ended.
    pub(crate) fn write_ended(&mut self, id: LogId, is_ok: bool) {
        if let Some((own, nr_entries)) = self.superblock
            && own == id
        {
            self.superblock = None;
            if is_ok {
                self.counted = Some(nr_entries);
                self.has_superblock = true;
            } else {
                self.broken.superblock = true;
                self.fail(self.written);
            }
            return;
        }
        let open = |entry: &&mut Written| entry.id == id && entry.outcome.is_none();
        if let Some(entry) = self.entries.iter_mut().find(open) {
            entry.outcome = Some(is_ok);
        }
        if let Some(failed) = self.entries.iter().position(|entry| entry.outcome == Some(false)) {
            self.fail(self.first + failed);
        }
        while self.failed_at.is_none_or(|failed_at| self.written < failed_at)
            && self.entry(self.written).is_some_and(|entry| entry.outcome == Some(true))
        {
            self.written += 1;
        }
    }

    /// A flush of the log has ended.
    pub(crate) fn flush_ended(&mut self, is_ok: bool, log: &LogDevice) {
        self.broken.flush |= !is_ok;
        if is_ok {
            self.is_open |= self.has_superblock && !self.broken.flush;
            while self
                .entry(self.durable)
                .is_some_and(|entry| log.holds_durably(entry.offset, &self.bytes[entry.offset..entry.end]))
            {
                self.durable += 1;
            }
        } else if !self.is_open {
            self.fail(self.written);
        }
    }

    fn fail(&mut self, index: usize) {
        self.failed_at = Some(self.failed_at.map_or(index, |failed_at| failed_at.min(index)));
    }
}

/// Crashes.
impl Book {
    /// The first `nr_entries` entries, and a superblock that counts them, are in every log that a power cut can
    /// leave.
    pub(crate) fn check_durable(&self, log: &LogDevice, nr_entries: usize) -> Result<(), Violation> {
        ensure!(
            self.durable >= nr_entries,
            DurableAck,
            "{nr_entries} entries should be durable: {}",
            self.durable
        );
        for head in log.heads(32) {
            let superblock = head.first_chunk().and_then(|bytes| Superblock::parse(bytes).ok());
            let counted = superblock.map(|superblock| narrow(superblock.nr_entries));
            ensure!(
                counted.is_some_and(|counted| counted >= nr_entries),
                DurableAck,
                "{nr_entries} entries should be counted durably, and a power cut may leave {counted:?}",
            );
        }
        Ok(())
    }

    /// What a kill leaves reads back, whatever its superblock counts.
    pub(crate) fn check_killed(
        &self,
        log: &LogDevice,
        choices: &mut impl Choices,
    ) -> Result<Vec<u8>, Violation> {
        let image = log.killed(choices);
        let Some(written) = self.counted else { return Ok(image) };
        let counted = self.check_image(&image)?;
        ensure!(counted >= written, SuperblockCount, "a kill leaves {counted} entries of {written} counted");
        self.check_entries(&image, counted)?;
        self.check_salvage(&image)?;
        Ok(image)
    }

    /// Whatever is logged is after what is counted, and a recovery of the log finds it.
    fn check_salvage(&self, image: &[u8]) -> Result<(), Violation> {
        self.check_prefix(image, self.logged)?;
        let parse = |error: &dyn core::fmt::Display| parse(&error.to_string());
        let mut reader = Reader::open(Memory::new(image.to_vec())).map_err(|error| parse(&error))?;
        while reader.next_entry().map_err(|error| parse(&error))?.is_some() {}
        let found = narrow(reader.tail().map_err(|error| parse(&error))?.end.index);
        ensure!(found >= self.logged, Parse, "{found} entries are found, and {} are logged", self.logged);
        Ok(())
    }

    /// What a power cut leaves has all that was promised, and under [`SuperblockPolicy::Barrier`] all that its
    /// superblock counts.
    pub(crate) fn check_cut(
        &self,
        log: &LogDevice,
        choices: &mut impl Choices,
    ) -> Result<Vec<u8>, Violation> {
        let image = log.power_cut(choices);
        if !self.is_open {
            return Ok(image);
        }
        let counted = self.check_image(&image)?;
        ensure!(counted >= self.promised, DurableAck, "{counted} entries left, {} promised", self.promised);
        match self.config.superblock_policy {
            SuperblockPolicy::Barrier => self.check_entries(&image, counted)?,
            SuperblockPolicy::WithFlush => self.check_prefix(&image, self.promised)?,
        }
        Ok(image)
    }

    /// What the superblock of an image counts.
    fn check_image(&self, image: &[u8]) -> Result<usize, Violation> {
        let slice = LogSlice::open(image).map_err(|error| parse(&error.to_string()))?;
        let counted = narrow(slice.superblock().nr_entries);
        ensure!(counted <= self.nr_entries(), SuperblockCount, "{counted} entries, which do not exist");
        Ok(counted)
    }

    /// Every entry that the superblock counts reads back as it was written.
    fn check_entries(&self, image: &[u8], counted: usize) -> Result<(), Violation> {
        self.check_prefix(image, counted)?;
        let slice = LogSlice::open(image).map_err(|error| parse(&error.to_string()))?;
        let mut nr_read = 0;
        for entry in slice {
            let entry = entry.map_err(|error| parse(&error.to_string()))?;
            if let Some(written) = self.entry(nr_read) {
                let is_its =
                    widen(written.offset) == entry.offset_bytes && widen(written.end) == entry.end_bytes();
                ensure!(is_its, Offsets, "entry {nr_read} reads back at {}", entry.offset_bytes);
            }
            nr_read += 1;
        }
        ensure!(nr_read == counted, Parse, "{nr_read} entries of {counted} read back");
        Ok(())
    }

    /// The bytes of the first `nr_entries` entries are as they were written.
    fn check_prefix(&self, image: &[u8], nr_entries: usize) -> Result<(), Violation> {
        let start = narrow(self.config.sector_size.bytes());
        let end = match nr_entries.checked_sub(self.first + 1) {
            Some(at) => self.entries[at].end,
            None => self.entries.first().map_or(self.bytes.len(), |entry| entry.offset),
        };
        let is_same = nr_entries < self.first || image.get(start..end) == Some(&self.bytes[start..end]);
        ensure!(is_same, Parse, "the first {nr_entries} entries do not read back");
        Ok(())
    }

    /// The superblock that has been written counts what it must once all is quiet.
    pub(crate) fn check_due(&self) -> Result<(), Violation> {
        if self.failed_at.is_some() || self.broken.flush {
            return Ok(());
        }
        let interval = self.config.superblock_interval.get();
        let multiple = narrow(widen(self.nr_entries()) / interval * interval);
        let asks = |entry: &Written| {
            let header = self.bytes[entry.offset..].first_chunk().map(EntryHeader::parse);
            let flags = header.map_or(Flags::empty(), |header| header.flags);
            flags.intersects(Flags::FLUSH | Flags::FUA | Flags::MARK)
        };
        let asked = self.entries.iter().rposition(asks).map_or(0, |at| self.first + at + 1);
        let due = if multiple > self.first { multiple.max(asked) } else { asked };
        ensure!(
            due == 0 || self.counted.is_some_and(|counted| counted >= due),
            SuperblockDue,
            "a superblock that counts {due} entries is due, the last counts {:?}",
            self.counted,
        );
        Ok(())
    }
}

fn parse(detail: &str) -> Violation {
    Violation::new(Rule::Parse, detail.into())
}
