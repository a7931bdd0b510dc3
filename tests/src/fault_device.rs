//! A data device and a log device that reorder, fail and lose.
//!
//! Neither decides anything: their driver says what completes, when and how. What a failure or a crash
//! leaves is chosen from everything that real devices may leave.

use logwrites_core::num::narrow;
use logwrites_core::{Extent, LogId, Op, Outcome, SectorSize};

use crate::choices::{Choices, Seeded};
use crate::content::Stamp;
use crate::model::OpId;
use crate::rule::{Violation, ensure};

/// The two devices of one recorder.
#[derive(Clone, Debug)]
pub struct FaultDevice {
    /// Where the I/O goes.
    pub data: DataDevice,
    /// Where the entries go.
    pub log: LogDevice,
}

/// A small disk of stamps. It starts at a sector of one's choice, so that sector numbers may be large.
#[derive(Clone, Debug)]
pub struct DataDevice {
    first_sector: u64,
    sectors: Vec<Stamp>,
    in_flight: Vec<(OpId, Op)>,
}

impl DataDevice {
    /// A disk whose sectors all hold their base content.
    #[must_use]
    pub fn new(first_sector: u64, nr_sectors: usize) -> Self {
        Self { first_sector, sectors: (0..nr_sectors).map(Stamp::base).collect(), in_flight: Vec::new() }
    }

    /// The number of the first sector.
    #[must_use]
    pub const fn first_sector(&self) -> u64 {
        self.first_sector
    }

    /// What the sectors hold.
    #[must_use]
    pub fn sectors(&self) -> &[Stamp] {
        &self.sectors
    }

    /// What it has been asked to do and has not finished.
    #[must_use]
    pub fn in_flight(&self) -> &[(OpId, Op)] {
        &self.in_flight
    }

    /// Asks it to do something.
    pub fn start(&mut self, id: OpId, op: Op) {
        self.in_flight.push((id, op));
    }

    /// Finishes an operation in flight. Of one that fails any sectors may be done, as `choices` has it.
    pub fn finish(&mut self, id: OpId, outcome: Outcome, choices: &mut impl Choices) {
        let Some(at) = self.in_flight.iter().position(|(other, _)| *other == id) else {
            return;
        };
        let (_, op) = self.in_flight.swap_remove(at);
        for index in 0..narrow(op.extent().map_or(0, Extent::nr_sectors)) {
            let is_done = match outcome {
                Outcome::Ok => true,
                Outcome::Ignored => false,
                Outcome::Failed => choices.one_in(2),
            };
            if is_done {
                self.change(id, op, index);
            }
        }
    }

    /// Forgets what is in flight, as a crash does.
    pub fn crash(&mut self) {
        self.in_flight.clear();
    }

    fn change(&mut self, id: OpId, op: Op, index: usize) {
        let start = op.extent().map_or(0, Extent::sector) - self.first_sector;
        let sector = &mut self.sectors[narrow(start) + index];
        *sector = match op {
            Op::Write { .. } => Stamp::written(id, index),
            Op::WriteZeroes { .. } | Op::Discard { .. } => Stamp::ZERO,
            Op::Flush | Op::Mark { .. } => *sector,
        };
    }
}

/// A log device with a volatile write cache.
#[derive(Clone, Debug)]
pub struct LogDevice {
    sector_size: SectorSize,
    in_flight: Vec<Write>,
    flushes: Vec<Flush>,
    /// Completed, and not known to be durable: oldest first.
    volatile: Vec<Write>,
    nr_completed: u64,
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Write {
    id: Option<LogId>,
    offset: usize,
    bytes: Vec<u8>,
    /// Which completed write it is.
    number: u64,
    /// A failed flush may have dropped it: no later flush makes it durable.
    is_doubtful: bool,
}

#[derive(Clone, Copy, Debug)]
struct Flush {
    id: LogId,
    /// How many writes had completed when it began.
    nr_covered: u64,
}

impl LogDevice {
    /// A device that durably holds `image`.
    #[must_use]
    pub fn new(sector_size: SectorSize, image: Vec<u8>) -> Self {
        Self {
            sector_size,
            in_flight: Vec::new(),
            flushes: Vec::new(),
            volatile: Vec::new(),
            nr_completed: 0,
            seen: image.clone(),
            durable: image,
        }
    }

    /// The handles of the writes and flushes in flight.
    pub fn in_flight(&self) -> impl Iterator<Item = LogId> {
        self.in_flight.iter().filter_map(|write| write.id).chain(self.flushes.iter().map(|flush| flush.id))
    }

    /// How many writes and flushes are in flight.
    #[must_use]
    pub const fn nr_in_flight(&self) -> usize {
        self.in_flight.len() + self.flushes.len()
    }

    /// How many of these are writes; they come first.
    #[must_use]
    pub const fn nr_writes_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What a reader finds: every completed write.
    #[must_use]
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Asks it to write.
    ///
    /// # Errors
    /// [`Violation`] if a write in flight has some of the same bytes: it is undefined which would win.
    pub fn start_write(&mut self, id: LogId, offset_bytes: u64, bytes: Vec<u8>) -> Result<(), Violation> {
        let offset = narrow(offset_bytes);
        let end = offset + bytes.len();
        let is_free = self
            .in_flight
            .iter()
            .all(|other| other.offset + other.bytes.len() <= offset || end <= other.offset);
        ensure!(is_free, Order, "two log writes at byte {offset} are in flight together");
        self.in_flight.push(Write { id: Some(id), offset, bytes, number: 0, is_doubtful: false });
        Ok(())
    }

    /// Asks it to make every completed write durable.
    pub fn start_flush(&mut self, id: LogId) {
        self.flushes.push(Flush { id, nr_covered: self.nr_completed });
    }

    /// Finishes a write or flush in flight. Of a write that fails any sectors may be done; what a failed flush
    /// should have covered never becomes durable for certain.
    pub fn finish(&mut self, id: LogId, is_ok: bool, choices: &mut impl Choices) {
        if let Some(at) = self.in_flight.iter().position(|write| write.id == Some(id)) {
            let write = self.in_flight.swap_remove(at);
            self.nr_completed += 1;
            let number = self.nr_completed;
            if is_ok {
                self.complete(Write { number, ..write });
            } else {
                for piece in self.torn(&write, &mut choices.fork()) {
                    self.complete(Write { number, ..piece });
                }
            }
        } else if let Some(at) = self.flushes.iter().position(|flush| flush.id == id) {
            let flush = self.flushes.swap_remove(at);
            self.end_flush(flush, is_ok);
        }
    }

    /// The contents of the log when the recorder is killed: every completed write, and of those in flight any
    /// sectors.
    #[must_use]
    pub fn killed(&self, choices: &mut impl Choices) -> Vec<u8> {
        let mut random = choices.fork();
        let mut image = self.seen.clone();
        for piece in self.in_flight.iter().flat_map(|write| self.torn(write, &mut random)) {
            put(&mut image, &piece);
        }
        image
    }

    /// The contents of the log after a power cut: what is durable, and of everything else any sectors.
    #[must_use]
    pub fn power_cut(&self, choices: &mut impl Choices) -> Vec<u8> {
        let mut random = choices.fork();
        let mut image = self.durable.clone();
        for write in self.volatile.iter().chain(&self.in_flight) {
            for piece in self.torn(write, &mut random) {
                put(&mut image, &piece);
            }
        }
        image
    }

    /// Whether every power cut keeps these bytes there.
    #[must_use]
    pub fn holds_durably(&self, offset: usize, bytes: &[u8]) -> bool {
        let end = offset + bytes.len();
        let is_settled = |write: &Write| write.offset + write.bytes.len() <= offset || end <= write.offset;
        self.durable.get(offset..end) == Some(bytes)
            && self.volatile.iter().chain(&self.in_flight).all(is_settled)
    }

    /// Everything that the first `len` bytes can be after a power cut, if they are written as one.
    pub fn heads(&self, len: usize) -> impl Iterator<Item = &[u8]> {
        let pending = self.volatile.iter().chain(&self.in_flight).filter(|write| write.offset == 0);
        let durable = self.durable.get(..len).unwrap_or_default();
        core::iter::once(durable).chain(pending.map(move |write| write.bytes.get(..len).unwrap_or_default()))
    }

    fn complete(&mut self, write: Write) {
        put(&mut self.seen, &write);
        self.volatile.push(Write { id: None, ..write });
    }

    fn end_flush(&mut self, flush: Flush, is_ok: bool) {
        let (covered, rest): (Vec<_>, Vec<_>) =
            self.volatile.drain(..).partition(|write| write.number <= flush.nr_covered);
        self.volatile = rest;
        let mut doubtful = Vec::new();
        for write in covered {
            if is_ok && !write.is_doubtful {
                put(&mut self.durable, &write);
                // What it has overwritten cannot come back.
                doubtful.retain(|older: &Write| older.offset != write.offset);
            } else {
                doubtful.push(Write { is_doubtful: true, ..write });
            }
        }
        self.volatile.splice(0..0, doubtful);
    }

    /// Any sectors of a write.
    fn torn(&self, write: &Write, random: &mut Seeded) -> Vec<Write> {
        let sector_bytes = narrow(self.sector_size.bytes());
        // All or nothing is likely, and so is everything between.
        let way = random.below(4);
        let mut pieces = Vec::new();
        for (index, sector) in write.bytes.chunks(sector_bytes).enumerate() {
            let is_kept = match way {
                0 => true,
                1 => false,
                _ => random.one_in(2),
            };
            if is_kept {
                let offset = write.offset + index * sector_bytes;
                pieces.push(Write { offset, bytes: sector.to_vec(), ..write.clone_empty() });
            }
        }
        pieces
    }
}

impl Write {
    const fn clone_empty(&self) -> Self {
        Self {
            id: self.id,
            offset: self.offset,
            bytes: Vec::new(),
            number: self.number,
            is_doubtful: self.is_doubtful,
        }
    }
}

fn put(image: &mut Vec<u8>, write: &Write) {
    let end = write.offset + write.bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[write.offset..end].copy_from_slice(&write.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Rig;
    use logwrites_core::{Config, WriteFlags};

    /// Handles of log writes, which only a logger can make.
    fn ids() -> Vec<LogId> {
        let mut rig = Rig::<4>::new(Config::new(SectorSize::B512)).unwrap();
        rig.hold_log(true);
        for index in 0..4 {
            let extent = Extent::new(logwrites_core::num::widen(index), 1).unwrap();
            rig.write(index, extent, WriteFlags::empty()).unwrap();
            rig.complete(index, Outcome::Ok).unwrap();
        }
        rig.log.in_flight().collect()
    }

    /// Every image that a crash can leave, told by the first byte of each sector.
    fn images<const LEN: usize>(of: impl Fn(&mut Seeded) -> Vec<u8>) -> Vec<[u8; LEN]> {
        let image = |seed| {
            let bytes = of(&mut Seeded::new(seed, 99));
            core::array::from_fn(|sector| bytes.get(sector * 32).copied().unwrap_or(0))
        };
        let mut images: Vec<_> = (0..400).map(image).collect();
        images.sort_unstable();
        images.dedup();
        images
    }

    fn device() -> LogDevice {
        LogDevice::new(SectorSize::new(32).unwrap(), Vec::new())
    }

    #[test]
    fn a_power_cut_loses_any_part_of_what_is_volatile() {
        let ids = ids();
        let mut log = device();
        log.start_write(ids[0], 0, vec![1; 32]).unwrap();
        log.start_write(ids[1], 32, vec![2; 64]).unwrap();
        log.finish(ids[0], true, &mut Seeded::new(0, 9));
        log.finish(ids[1], true, &mut Seeded::new(0, 9));
        assert_eq!(images::<3>(|random| log.power_cut(random)).len(), 8, "every subset of three sectors");
        assert_eq!(images::<3>(|random| log.killed(random)), [[1, 2, 2]]);
    }

    #[test]
    fn a_flush_covers_what_completed_before_it_began() {
        let ids = ids();
        let mut log = device();
        log.start_write(ids[0], 0, vec![1; 32]).unwrap();
        log.start_write(ids[1], 32, vec![2; 32]).unwrap();
        log.finish(ids[0], true, &mut Seeded::new(0, 9));
        log.start_flush(ids[2]);
        log.finish(ids[1], true, &mut Seeded::new(0, 9));
        log.finish(ids[2], true, &mut Seeded::new(0, 9));
        assert!(log.holds_durably(0, &[1; 32]) && !log.holds_durably(32, &[2; 32]));
    }

    #[test]
    fn what_a_failed_flush_dropped_no_later_one_brings_back() {
        let ids = ids();
        let mut log = device();
        log.start_write(ids[0], 0, vec![1; 32]).unwrap();
        log.finish(ids[0], true, &mut Seeded::new(0, 9));
        for is_ok in [false, true] {
            log.start_flush(ids[2]);
            log.finish(ids[2], is_ok, &mut Seeded::new(0, 9));
        }
        assert!(!log.holds_durably(0, &[1; 32]));
        assert_eq!(images::<1>(|random| log.power_cut(random)), [[0], [1]]);
    }
}
