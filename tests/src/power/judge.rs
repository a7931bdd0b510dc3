//! What every cut of a session leaves, and whether that may be.

use logwrites_core::format::HEADER_LEN;
use logwrites_core::history::{ExtentMap, Source};
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::{Entry, LogSlice, Reader};
use logwrites_core::{Config, Op, Ordering, Outcome, SuperblockPolicy};

use super::{Counts, Event, Shape, Start, replay};
use crate::checker::{Evidence, Logged, What, check, decode};
use crate::choices::Choices;
use crate::content::Stamp;
use crate::memory::Memory;
use crate::model::{Model, OpId};
use crate::rule::{Rule, Violation, ensure};

/// A session that has been recorded, replayed event by event.
pub(super) struct Judge<'a> {
    config: Config,
    start: &'a Start,
    events: &'a [Event],
    /// Whether there is no data device.
    is_overlay: bool,
    model: Model,
    /// The log at the end of the session, nothing lost.
    whole: Vec<u8>,
    entries: Vec<Entry>,
    logged: Vec<Logged>,
    /// The disk after each prefix of the log, from the entries that were there on.
    disks: Vec<Vec<Stamp>>,
    data: Cache,
    log: Cache,
    now: Now,
}

/// What can be relied upon at a moment.
#[derive(Default)]
struct Now {
    /// How many entries every superblock has to count.
    promised: Option<usize>,
    /// Up to which byte the log device was told to write.
    end: usize,
    /// Whether a flush of the log has succeeded: nothing stale is seen any more.
    is_open: bool,
    /// How many flushes were acknowledged.
    nr_flushes: usize,
    /// What each sector of the disk has held, and which of these is the first that a cut may leave.
    versions: Vec<Vec<(Option<OpId>, Stamp)>>,
    floors: Vec<usize>,
    /// For each prefix of the log, whether it is a disk that a cut may leave.
    allowed: Vec<bool>,
}

impl<'a> Judge<'a> {
    /// # Errors
    /// [`Violation`] if the log is wrong even where no power is cut.
    pub(super) fn new(
        config: Config,
        start: &'a Start,
        events: &'a [Event],
        first_id: usize,
    ) -> Result<Self, Violation> {
        let sector_bytes = narrow(config.sector_size.bytes());
        let model = history(events, first_id)?;
        let mut whole = start.log[..start.end()].to_vec();
        for event in events {
            if let Event::WriteLog { offset, bytes } = event {
                put(&mut whole, *offset, bytes);
            }
        }
        let entries = LogSlice::open(&whole).map_err(|error| parse(&error))?;
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(|error| parse(&error))?;
        let slice = LogSlice::open(&whole).map_err(|error| parse(&error))?;
        let mut disk = start.disk.clone();
        let mut disks = vec![disk.clone()];
        for entry in entries.get(start.nr_entries()..).unwrap_or_default() {
            replay(&mut disk, entry, slice.payload(entry), config.sector_size);
            disks.push(disk.clone());
        }
        let evidence = Evidence {
            model: &model,
            log: &whole,
            first_entry: start.nr_entries(),
            first_sector: 0,
            base: &start.disk,
            disk: &disk_of(events, start, config),
            is_whole: true,
        };
        check(&evidence)?;
        let logged = decode(&evidence)?;
        let mut base = Vec::new();
        for stamp in &start.disk {
            stamp.fill(config.sector_size, &mut base);
        }
        let mut log = Cache::new(sector_bytes, start.log.clone());
        // The rest is truncated, which is as volatile as any write.
        let stale = start.log.len().next_multiple_of(sector_bytes).saturating_sub(start.end());
        log.write(start.end(), &vec![0; stale]);
        let versions = start.disk.iter().map(|stamp| vec![(None, *stamp)]).collect();
        let floors = vec![0; start.disk.len()];
        let promised = start.point.map(|_| start.counted);
        let now = Now { promised, end: start.end(), versions, floors, ..Now::default() };
        let data = Cache::new(sector_bytes, base);
        let is_overlay = events.iter().any(|event| matches!(event, Event::Overlaid { .. }));
        Ok(Self { config, start, events, is_overlay, model, whole, entries, logged, disks, data, log, now })
    }

    /// Cuts the power in the midst of every call, and at the end. Gives what one of the cuts has left of the log.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub(super) fn cut_everywhere(
        &mut self,
        choices: &mut impl Choices,
        shape: &Shape,
        counts: &mut Counts,
    ) -> Result<Vec<u8>, Violation> {
        let is_call = |event: &&Event| {
            !matches!(event, Event::Submit { .. } | Event::Overlaid { .. } | Event::Done { .. })
        };
        let nr_cuts = self.events.iter().filter(is_call).count() + 1;
        let chosen = if choices.one_in(3) { nr_cuts - 1 } else { choices.index(nr_cuts) };
        let mut left = Vec::new();
        let (mut is_new, mut at, mut submitted) = (true, 0, None);
        for event in self.events {
            match event {
                Event::Submit { id, .. } => submitted = Some(*id),
                Event::Done { id, result: Ok(()) } => {
                    self.acknowledge(*id)?;
                    is_new = true;
                }
                Event::WriteData { offset, bytes, .. } => {
                    self.data.write(*offset, bytes);
                    self.note_versions(submitted, *offset, bytes);
                    is_new = true;
                }
                Event::Overlaid { offset, bytes } => {
                    self.note_versions(submitted, *offset, bytes);
                    is_new = true;
                }
                Event::WriteLog { offset, bytes } => {
                    self.log.write(*offset, bytes);
                    self.now.end = self.now.end.max(offset + bytes.len());
                    is_new = true;
                }
                Event::Done { .. } | Event::FlushData | Event::FlushLog => {}
            }
            if is_call(&event) {
                counts.cuts += 1;
                if std::mem::take(&mut is_new) {
                    self.cut(choices, shape, counts)?;
                }
                if at == chosen {
                    left = self.log.left(&self.log.random(choices));
                }
                at += 1;
            }
            match event {
                Event::WriteData { offset, bytes, is_fua: true } => self.data.settle(*offset, bytes.len()),
                Event::FlushData => self.data.flush(),
                Event::FlushLog => {
                    self.log.flush();
                    self.now.is_open = true;
                    is_new = true;
                }
                Event::WriteData { .. }
                | Event::Overlaid { .. }
                | Event::WriteLog { .. }
                | Event::Submit { .. }
                | Event::Done { .. } => {}
            }
        }
        counts.cuts += 1;
        self.cut(choices, shape, counts)?;
        Ok(if at == chosen { self.log.left(&self.log.random(choices)) } else { left })
    }

    fn note_versions(&mut self, id: Option<OpId>, offset: usize, bytes: &[u8]) {
        let sector_bytes = narrow(self.config.sector_size.bytes());
        for (index, sector) in bytes.chunks(sector_bytes).enumerate() {
            let versions = &mut self.now.versions[offset / sector_bytes + index];
            versions.push((id, Stamp::read(sector).unwrap_or(Stamp::ZERO)));
        }
    }

    /// From now on the operation, if it is a flush or a FUA, is to be in every log, and what it covers on every disk.
    fn acknowledge(&mut self, id: OpId) -> Result<(), Violation> {
        let op = self.model.record(id).op;
        let covered: Vec<OpId> = match op {
            Op::Flush => self.model.covered_by(id).collect(),
            _ if op.is_fua() => vec![id],
            _ => return Ok(()),
        };
        for (versions, floor) in self.now.versions.iter().zip(&mut self.now.floors) {
            let last = versions.iter().rposition(|(id, _)| id.is_some_and(|id| covered.contains(&id)));
            *floor = (*floor).max(last.unwrap_or(0));
        }
        let is_covered = |logged: &Logged| match logged.what {
            What::Mutation(id) => covered.contains(&id),
            _ => false,
        };
        let mut promised = self.logged.iter().rposition(is_covered).map_or(0, |last| last + 1);
        if op == Op::Flush {
            self.now.nr_flushes += 1;
            let mut flushes = self.logged.iter().enumerate().filter(|(_, entry)| entry.what == What::Flush);
            let own = match self.config.ordering {
                Ordering::Completion => flushes.find(|(at, _)| promised > 0 && *at >= promised),
                Ordering::Durability => flushes.nth(self.now.nr_flushes - 1),
            };
            let needs_own = promised > 0 || self.config.ordering == Ordering::Durability;
            ensure!(own.is_some() || !needs_own, UnderClaim, "{id} is acknowledged, and has no entry");
            promised = promised.max(own.map_or(0, |(at, _)| at + 1));
        }
        let promised = self.start.nr_entries() + promised;
        self.now.promised = self.now.promised.max(Some(promised));
        Ok(())
    }

    /// Judges everything that a cut can leave now.
    fn cut(
        &mut self,
        choices: &mut impl Choices,
        shape: &Shape,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        self.check_data(counts)?;
        let is_allowed = |disk: &Vec<Stamp>| self.check_disk(disk).is_ok();
        self.now.allowed = self.disks.iter().map(is_allowed).collect();
        let nr_states = self.log.nr_states();
        let is_exhaustive = nr_states <= shape.max_exhaustive;
        counts.exhaustive += u64::from(is_exhaustive);
        let mut kept = vec![0; self.log.sectors.len()];
        for at in 0..if is_exhaustive { nr_states } else { shape.nr_samples } {
            if is_exhaustive {
                self.log.state(at, &mut kept);
            } else {
                kept = self.log.random(choices);
            }
            counts.states += 1;
            self.check_log(self.log.left(&kept), counts)?;
        }
        Ok(())
    }

    /// The map of a disk that lives in its log leads to what the log makes of the base; no device had a part in it.
    ///
    /// # Errors
    /// [`Violation`] if it does not.
    pub(super) fn check_map(&self, map: &ExtentMap) -> Result<(), Violation> {
        let is_device = |event: &Event| matches!(event, Event::WriteData { .. } | Event::FlushData);
        ensure!(!self.events.iter().any(is_device), Prefix, "an overlay has touched its base");
        let disk = self.disks.last().unwrap_or(&self.start.disk);
        check_map(map, &self.whole, disk)
    }

    /// Whatever a sector of the data device can hold, the client can live with.
    fn check_data(&self, counts: &mut Counts) -> Result<(), Violation> {
        if self.is_overlay {
            return Ok(());
        }
        for at in 0..self.start.disk.len() {
            for bytes in self.data.versions_of(at) {
                let stamp = Stamp::read(bytes).unwrap_or(Stamp::ZERO);
                counts.data_sectors += 1;
                let floor = self.now.floors[at];
                let mut allowed = self.now.versions[at][floor..].iter();
                ensure!(
                    allowed.any(|(_, other)| *other == stamp),
                    Prefix,
                    "sector {at} of the data device can be {stamp:?}, and was promised to last"
                );
            }
        }
        Ok(())
    }

    fn check_disk(&self, disk: &[Stamp]) -> Result<(), Violation> {
        for (at, stamp) in disk.iter().enumerate() {
            let mut allowed = self.now.versions[at][self.now.floors[at]..].iter();
            ensure!(allowed.any(|(_, other)| other == stamp), Prefix, "sector {at} is {stamp:?}");
        }
        Ok(())
    }

    fn check_log(&self, image: Vec<u8>, counts: &mut Counts) -> Result<(), Violation> {
        let Ok(mut reader) = Reader::open(Memory::new(image)) else {
            ensure!(self.now.promised.is_none(), DurableAck, "the log does not open");
            ensure!(!self.now.is_open, Parse, "the log does not open, and was made durable");
            return Ok(());
        };
        let (old, promised) = (self.start.nr_entries(), self.now.promised.unwrap_or(0));
        let counted = narrow(reader.superblock().nr_entries);
        ensure!(promised <= counted, DurableAck, "{counted} entries are counted, {promised} were promised");
        ensure!(
            counted <= self.nr_told(),
            SuperblockCount,
            "{counted} entries are counted, and were not written"
        );
        let mut nr_whole = 0;
        while let Ok(Some(entry)) = reader.next_entry() {
            let index = narrow(entry.index);
            ensure!(entry == self.entries[index], LoggedOnce, "entry {index} was never written");
            let bytes = narrow(entry.offset_bytes)..narrow(entry.end_bytes());
            let is_whole = reader.source().bytes().get(bytes.clone()) == self.whole.get(bytes);
            nr_whole += usize::from(is_whole && nr_whole == index);
        }
        ensure!(nr_whole >= promised, DurableAck, "{nr_whole} entries are whole, {promised} were promised");
        let is_barrier = self.config.superblock_policy == SuperblockPolicy::Barrier;
        ensure!(
            nr_whole == counted || !is_barrier,
            SuperblockCount,
            "{counted} entries are counted, {nr_whole} are whole"
        );
        for at in [promised, nr_whole] {
            let is_allowed = at < old || self.now.allowed[at - old];
            ensure!(is_allowed, Prefix, "the first {at} entries are not a disk that a cut can leave");
        }
        if narrow(reader.position().index) < counted {
            counts.torn += 1;
            return Ok(());
        }
        let tail = reader.tail().map_err(|error| parse(&error))?;
        counts.with_tail += u64::from(tail.nr_entries() > 0);
        // What a log that was begun or resumed without being made durable has after it is arbitrary.
        if self.now.is_open {
            let end = narrow(tail.end.index);
            ensure!(
                end <= self.nr_told(),
                LoggedOnce,
                "{end} entries seem to be there, and were not written"
            );
            for entry in &self.entries[counted..end] {
                let header = narrow(entry.offset_bytes)..narrow(entry.offset_bytes) + HEADER_LEN;
                let is_same = reader.source().bytes().get(header.clone()) == self.whole.get(header);
                ensure!(is_same, LoggedOnce, "entry {} is stale", entry.index);
            }
        }
        Ok(())
    }

    /// How many entries the log device was told to write, or had.
    fn nr_told(&self) -> usize {
        self.entries.partition_point(|entry| narrow(entry.end_bytes()) <= self.now.end)
    }
}

/// The client's side of what happened. Operations before `first_id` are those of earlier sessions.
fn history(events: &[Event], first_id: usize) -> Result<Model, Violation> {
    let mut model = Model::default();
    for _ in 0..first_id {
        model.submit(Op::Mark { len_bytes: 0 });
    }
    let mut submitted = None;
    for event in events {
        match event {
            Event::Submit { id, op } => {
                let given = model.submit(*op);
                ensure!(given == *id, Done, "{given} is called {id}");
                submitted = Some(given);
                if matches!(op, Op::Flush) {
                    // Whether the data device is told is what is to be found out.
                    model.issue(given)?;
                    model.complete(given, Outcome::Ok)?;
                }
            }
            Event::WriteData { .. } | Event::Overlaid { .. } => {
                if let Some(id) = submitted {
                    model.issue(id)?;
                    model.complete(id, Outcome::Ok)?;
                }
            }
            Event::Done { id, result } => model.done(*id, *result)?,
            Event::FlushData | Event::WriteLog { .. } | Event::FlushLog => {}
        }
    }
    Ok(model)
}

/// The map leads to this disk.
///
/// # Errors
/// [`Violation`] if it does not.
pub(super) fn check_map(map: &ExtentMap, log: &[u8], disk: &[Stamp]) -> Result<(), Violation> {
    for (at, expected) in disk.iter().enumerate() {
        let found = read_through(map, log, at);
        ensure!(found == Some(*expected), Prefix, "sector {at} reads as {found:?}, and is {expected:?}");
    }
    Ok(())
}

/// What a sector holds of a disk that lives in its log: what is there, zeros, or where the map leads nowhere the base.
pub(crate) fn read_through(map: &ExtentMap, log: &[u8], at: usize) -> Option<Stamp> {
    match map.get(widen(at)) {
        None => Some(Stamp::base(at)),
        Some(Source::Zeros { .. }) => Some(Stamp::ZERO),
        Some(Source::Log { offset_bytes }) => {
            let start = narrow(offset_bytes);
            log.get(start..start + narrow(map.sector_size().bytes())).and_then(Stamp::read)
        }
    }
}

/// What the data device holds at the end.
fn disk_of(events: &[Event], start: &Start, config: Config) -> Vec<Stamp> {
    let sector_bytes = narrow(config.sector_size.bytes());
    let mut disk = start.disk.clone();
    for event in events {
        if let Event::WriteData { offset, bytes, .. } | Event::Overlaid { offset, bytes } = event {
            for (index, sector) in bytes.chunks(sector_bytes).enumerate() {
                disk[offset / sector_bytes + index] = Stamp::read(sector).unwrap_or(Stamp::ZERO);
            }
        }
    }
    disk
}

/// A device with a volatile cache: of each sector one version lasts, and any later one may.
struct Cache {
    sector_bytes: usize,
    durable: Vec<u8>,
    /// The sectors that have later versions.
    sectors: Vec<Volatile>,
}

struct Volatile {
    at: usize,
    versions: Vec<Vec<u8>>,
}

impl Cache {
    fn new(sector_bytes: usize, mut durable: Vec<u8>) -> Self {
        durable.resize(durable.len().next_multiple_of(sector_bytes), 0);
        Self { sector_bytes, durable, sectors: Vec::new() }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        for (index, sector) in bytes.chunks(self.sector_bytes).enumerate() {
            let at = offset / self.sector_bytes + index;
            let known = self.sectors.iter().position(|volatile| volatile.at == at);
            let known = known.unwrap_or_else(|| {
                self.sectors.push(Volatile { at, versions: Vec::new() });
                self.sectors.len() - 1
            });
            let durable = self.durable.get(at * self.sector_bytes..(at + 1) * self.sector_bytes);
            let versions = &mut self.sectors[known].versions;
            if versions.last().map(Vec::as_slice).or(durable) != Some(sector) {
                versions.push(sector.to_vec());
            }
        }
        self.sectors.retain(|volatile| !volatile.versions.is_empty());
    }

    fn flush(&mut self) {
        for volatile in self.sectors.drain(..) {
            if let Some(last) = volatile.versions.last() {
                put(&mut self.durable, volatile.at * self.sector_bytes, last);
            }
        }
    }

    /// Makes the last versions of some sectors last.
    fn settle(&mut self, offset: usize, len: usize) {
        let range = offset / self.sector_bytes..(offset + len) / self.sector_bytes;
        let (settled, rest) = std::mem::take(&mut self.sectors)
            .into_iter()
            .partition(|volatile: &Volatile| range.contains(&volatile.at));
        self.sectors = settled;
        self.flush();
        self.sectors = rest;
    }

    /// Everything that a sector can be.
    fn versions_of(&self, at: usize) -> impl Iterator<Item = &[u8]> {
        let durable = self.durable.get(at * self.sector_bytes..(at + 1) * self.sector_bytes);
        let volatile = self.sectors.iter().filter(move |volatile| volatile.at == at);
        durable.into_iter().chain(volatile.flat_map(|volatile| volatile.versions.iter().map(Vec::as_slice)))
    }

    /// How many contents a cut can leave.
    fn nr_states(&self) -> u64 {
        let ways = |volatile: &Volatile| widen(volatile.versions.len()) + 1;
        self.sectors.iter().map(ways).fold(1, u64::saturating_mul)
    }

    /// Which version of each sector content number `at` has; 0 is the one that lasts.
    fn state(&self, mut at: u64, kept: &mut [usize]) {
        for (kept, volatile) in kept.iter_mut().zip(&self.sectors) {
            let ways = widen(volatile.versions.len()) + 1;
            *kept = narrow(at % ways);
            at /= ways;
        }
    }

    /// A random content; that all is lost or kept is likely.
    fn random(&self, choices: &mut impl Choices) -> Vec<usize> {
        let way = choices.below(8);
        let mut choose = |volatile: &Volatile| match way {
            0 => 0,
            2 | 3 if choices.one_in(4) => 0,
            4 | 5 if !choices.one_in(4) => 0,
            1..=5 => volatile.versions.len(),
            _ => choices.index(volatile.versions.len() + 1),
        };
        self.sectors.iter().map(&mut choose).collect()
    }

    /// The contents if these versions were kept.
    fn left(&self, kept: &[usize]) -> Vec<u8> {
        let mut image = self.durable.clone();
        for (volatile, kept) in self.sectors.iter().zip(kept) {
            if let Some(version) = kept.checked_sub(1).and_then(|at| volatile.versions.get(at)) {
                put(&mut image, volatile.at * self.sector_bytes, version);
            }
        }
        image
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

fn parse(error: &dyn core::fmt::Display) -> Violation {
    Violation::new(Rule::Parse, error.to_string())
}
