//! Power cuts: two devices with volatile caches under the blocking driver, and everything that a cut can leave.
//!
//! A driver waits for each call, so what it does up to a cut does not depend on the cut. So it runs once, both
//! devices write down what they are told, and the power is then cut in the midst of every call: what was flushed
//! is there, and of every other sector any of its versions. Each such log is opened, walked over and judged by what
//! had been acknowledged.

mod judge;
mod record;

use logwrites_core::config::ConfigError;
use logwrites_core::format::Superblock;
use logwrites_core::history::{Discards, Index};
use logwrites_core::num::{narrow, widen};
use logwrites_core::overlay::Overlay;
use logwrites_core::reader::{Entry, Reader, ResumePoint};
use logwrites_core::{Config, Logger, Ordering, SectorSize, SuperblockPolicy};

pub(crate) use self::judge::read_through;
use self::judge::{Judge, check_map};
pub(crate) use self::record::Disk;
pub use self::record::Event;
use self::record::record;
use crate::choices::{Choices, Seeded};
use crate::content::Stamp;
use crate::memory::Memory;
use crate::rule::{Rule, Violation};

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What the logger is started with.
    pub config: Config,
    /// How many operations can be in flight: 1 or 4.
    pub nr_slots: usize,
    /// Whether the disk lives in the log, over a base that is not touched. Only in [`Ordering::Completion`].
    pub is_overlay: bool,
    /// Operations of a session.
    pub nr_ops: usize,
    /// Sessions, each of which continues what a cut or the end of the one before has left.
    pub nr_sessions: usize,
    /// Up to how many logs of one cut are all tried.
    pub max_exhaustive: u64,
    /// How many are tried where there are more.
    pub nr_samples: u64,
}

impl Shape {
    /// Sessions so short that each cut is tried out in full.
    #[must_use]
    pub const fn short(config: Config, nr_slots: usize) -> Self {
        let (max_exhaustive, nr_samples) = (1 << 14, 200);
        Self { config, nr_slots, is_overlay: false, nr_ops: 6, nr_sessions: 2, max_exhaustive, nr_samples }
    }

    /// Longer sessions, sampled.
    #[must_use]
    pub const fn long(config: Config, nr_slots: usize) -> Self {
        let (max_exhaustive, nr_samples) = (1 << 8, 100);
        Self { config, nr_slots, is_overlay: false, nr_ops: 60, nr_sessions: 3, max_exhaustive, nr_samples }
    }

    /// The same over a base that is not touched.
    #[must_use]
    pub const fn overlay(self) -> Self {
        Self { is_overlay: true, ..self }
    }
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions of a driver.
    pub sessions: u64,
    /// Of these, those that went on with another's log.
    pub resumed: u64,
    /// Of the sessions, those of a disk that lives in its log.
    pub overlays: u64,
    /// Calls of a device in whose midst the power was cut, and ends of sessions.
    pub cuts: u64,
    /// Of these, those whose every log was tried.
    pub exhaustive: u64,
    /// Logs that were judged.
    pub states: u64,
    /// Of these, logs that had entries after those that are counted.
    pub with_tail: u64,
    /// Of these, logs that end before the last entry that is counted.
    pub torn: u64,
    /// Contents of single sectors of the data device that were judged.
    pub data_sectors: u64,
}

impl Counts {
    /// Adds those of another run.
    pub const fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.resumed += other.resumed;
        self.overlays += other.overlays;
        self.cuts += other.cuts;
        self.exhaustive += other.exhaustive;
        self.states += other.states;
        self.with_tail += other.with_tail;
        self.torn += other.torn;
        self.data_sectors += other.data_sectors;
    }
}

/// Every configuration that is proven: both orderings, both policies, two sector sizes.
pub fn configs() -> impl Iterator<Item = Config> {
    let orderings = [Ordering::Completion, Ordering::Durability];
    let policies = [SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier];
    let sizes = [512, 64].map(SectorSize::new).into_iter().flatten();
    sizes.flat_map(move |sector_size| {
        orderings.into_iter().flat_map(move |ordering| {
            policies.map(|superblock_policy| Config {
                ordering,
                superblock_policy,
                superblock_interval: INTERVAL,
                ..Config::new(sector_size)
            })
        })
    })
}

/// Short and long sessions, with one operation in flight and with four, over a data device and over a mere base.
fn shapes(config: Config) -> impl Iterator<Item = Shape> {
    let of = move |nr_slots| [Shape::short(config, nr_slots), Shape::long(config, nr_slots)];
    let over_device = [1, 4].into_iter().flat_map(of);
    let over_base = over_device.clone().map(Shape::overlay);
    over_device.chain(over_base.filter(move |_| config.ordering == Ordering::Completion))
}

/// Cuts the power of every configuration until at least `nr_states` logs were judged.
///
/// # Errors
/// The first [`Violation`], and the seed and the shape that led to it.
pub fn prove(nr_states: u64, first_seed: u64) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for seed in first_seed.. {
        if counts.states >= nr_states {
            break;
        }
        counts.add(&prove_seed(seed)?);
    }
    Ok(counts)
}

/// Cuts the power of every configuration, all from one seed.
///
/// # Errors
/// As [`prove`].
pub fn prove_seed(seed: u64) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for shape in configs().flat_map(shapes) {
        let more = run(&mut Seeded::new(seed, u64::MAX), &shape)
            .map_err(|violation| format!("LOGWRITES_SEED={seed}: {violation}\n{shape:#?}"))?;
        counts.add(&more);
    }
    Ok(counts)
}

/// Runs the sessions of a shape and judges every cut.
///
/// # Errors
/// The first [`Violation`].
pub fn run(choices: &mut impl Choices, shape: &Shape) -> Result<Counts, Violation> {
    run_judged(choices, shape, shape.config, |_| true)
}

/// As [`run`], but the log is judged by another configuration, and events are left out: for tests of the judge.
///
/// # Errors
/// The first [`Violation`].
pub fn run_judged(
    choices: &mut impl Choices,
    shape: &Shape,
    judged_by: Config,
    is_kept: impl Fn(&Event) -> bool,
) -> Result<Counts, Violation> {
    let mut counts = Counts::default();
    let mut start = Start { disk: base(), ..Start::default() };
    for session in 0..shape.nr_sessions {
        let first_id = session * shape.nr_ops * 2;
        let (config, nr_ops) = (shape.config, shape.nr_ops);
        let (mut events, map) = match (shape.is_overlay, shape.nr_slots) {
            (false, 1) => record(logger::<1>(config, &start)?, choices, nr_ops, first_id),
            (false, _) => record(logger::<4>(config, &start)?, choices, nr_ops, first_id),
            (true, 1) => record(overlay::<1>(config, &start)?, choices, nr_ops, first_id),
            (true, _) => record(overlay::<4>(config, &start)?, choices, nr_ops, first_id),
        };
        events.retain(&is_kept);
        counts.sessions += 1;
        counts.resumed += u64::from(start.point.is_some());
        counts.overlays += u64::from(shape.is_overlay);
        let mut judge = Judge::new(judged_by, &start, &events, first_id)?;
        map.map_or(Ok(()), |map| judge.check_map(&map))?;
        let left = judge.cut_everywhere(choices, shape, &mut counts)?;
        start = Start::after(&left, &start, choices.one_in(2));
        if shape.is_overlay && start.point.is_none() {
            // A base stays as it is, whatever becomes of the log.
            start.disk = base();
        }
    }
    Ok(counts)
}

/// What a session finds.
#[derive(Clone, Debug, Default)]
struct Start {
    /// The log, durably.
    log: Vec<u8>,
    /// Where the logger continues; `None` if it begins anew.
    point: Option<ResumePoint>,
    /// What the superblock counts.
    counted: usize,
    /// The disk, durably: for a log to continue, what base and log make.
    disk: Vec<Stamp>,
}

impl Start {
    /// What is made of a log found after a cut, as `record --append --tail keep|drop` does, after
    /// `recover --write` if the log ends before the last entry that it counts.
    fn after(log: &[u8], before: &Self, keeps_tail: bool) -> Self {
        let mut start = Self { log: log.to_vec(), point: None, counted: 0, disk: before.disk.clone() };
        let Ok(mut reader) = Reader::open(Memory::new(log.to_vec())) else { return start };
        let Superblock { nr_entries, sector_size } = reader.superblock();
        start.disk = base();
        start.walk(&mut reader);
        start.counted = narrow(reader.position().index);
        if widen(start.counted) < nr_entries {
            let superblock = Superblock { nr_entries: reader.position().index, sector_size };
            start.log[..32].copy_from_slice(&superblock.emit());
        } else if keeps_tail && let Ok(tail) = reader.tail() {
            reader.count(tail);
            start.walk(&mut reader);
        }
        start.point = Some(reader.resume_point());
        start
    }

    fn walk(&mut self, reader: &mut Reader<Memory>) {
        while let Ok(Some(entry)) = reader.next_entry() {
            let payload = narrow(entry.payload().start)..narrow(entry.payload().end);
            replay(&mut self.disk, &entry, &self.log[payload], reader.superblock().sector_size);
        }
    }

    /// How many entries are there.
    fn nr_entries(&self) -> usize {
        self.point.map_or(0, |point| narrow(point.position.index))
    }

    /// Behind the entries that are there, in bytes.
    fn end(&self) -> usize {
        self.point.map_or(0, |point| narrow(point.position.offset_bytes))
    }
}

fn logger<const N: usize>(config: Config, start: &Start) -> Result<Logger<N>, Violation> {
    let made = match start.point {
        Some(point) => Logger::resume(config, point),
        None => Logger::new(config),
    };
    made.map_err(|error: ConfigError| Violation::new(Rule::Parse, format!("cannot continue: {error}")))
}

fn overlay<const N: usize>(config: Config, start: &Start) -> Result<Overlay<N>, Violation> {
    let cannot =
        |error: &dyn core::fmt::Display| Violation::new(Rule::Parse, format!("cannot continue: {error}"));
    let Some(point) = start.point else { return Overlay::new(config).map_err(|error| cannot(&error)) };
    let mut reader = Reader::open(Memory::new(start.log.clone())).map_err(|error| cannot(&error))?;
    let mut index = Index::new(reader.superblock());
    while index.nr_entries() < point.position.index {
        match reader.next_entry().map_err(|error| cannot(&error))? {
            Some(entry) => index.push(&entry, &[]),
            None => {
                let tail = reader.tail().map_err(|error| cannot(&error))?;
                reader.count(tail);
            }
        }
    }
    let map = index.map_at(point.position.index, Discards::Zero);
    check_map(&map, &start.log, &start.disk)?;
    Overlay::resume(config, point, map).map_err(|error| cannot(&error))
}

/// What the disk holds before anything is written.
fn base() -> Vec<Stamp> {
    (0..NR_SECTORS).map(Stamp::base).collect()
}

/// Applies an entry to a disk, naively.
fn replay(disk: &mut [Stamp], entry: &Entry, payload: &[u8], sector_size: SectorSize) {
    let mut sectors = payload.chunks(narrow(sector_size.bytes()));
    for sector in entry.extent().sector()..entry.extent().end() {
        disk[narrow(sector)] = sectors.next().and_then(Stamp::read).unwrap_or(Stamp::ZERO);
    }
}

/// The disk's sectors: few, so that operations overlap.
const NR_SECTORS: usize = 8;

/// Entries between two superblocks that were not asked for: few, so that it matters.
const INTERVAL: core::num::NonZeroU64 = match core::num::NonZeroU64::new(3) {
    Some(interval) => interval,
    None => core::num::NonZeroU64::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn config(superblock_policy: SuperblockPolicy) -> Config {
        let sector_size = SectorSize::new(64).unwrap();
        Config { superblock_policy, superblock_interval: INTERVAL, ..Config::new(sector_size) }
    }

    /// The first violation among some seeds.
    fn found(shape: &Shape, judged_by: Config, is_kept: impl Fn(&Event) -> bool) -> Option<Rule> {
        let run = |seed| run_judged(&mut Seeded::new(seed, u64::MAX), shape, judged_by, &is_kept).err();
        (0..40).find_map(run).map(|violation| violation.rule)
    }

    #[test]
    fn a_superblock_that_counts_too_early_is_seen() {
        let shape = Shape::short(config(SuperblockPolicy::WithFlush), 1);
        assert_eq!(found(&shape, shape.config, |_| true), None);
        let found = found(&shape, config(SuperblockPolicy::Barrier), |_| true);
        assert_eq!(found, Some(Rule::SuperblockCount));
    }

    #[test]
    fn a_log_that_is_not_flushed_is_seen() {
        let shape = Shape::short(config(SuperblockPolicy::Barrier), 1);
        let found = found(&shape, shape.config, |event| !matches!(event, Event::FlushLog));
        assert_eq!(found, Some(Rule::DurableAck));
    }

    #[test]
    fn an_overlay_that_is_not_flushed_is_seen() {
        for nr_slots in [1, 4] {
            let shape = Shape::short(config(SuperblockPolicy::Barrier), nr_slots).overlay();
            assert_eq!(found(&shape, shape.config, |_| true), None);
            let found = found(&shape, shape.config, |event| !matches!(event, Event::FlushLog));
            assert_eq!(found, Some(Rule::DurableAck));
        }
    }

    #[test]
    fn a_disk_that_is_not_flushed_is_seen() {
        let shape = Shape::short(config(SuperblockPolicy::Barrier), 4);
        let found = found(&shape, shape.config, |event| !matches!(event, Event::FlushData));
        assert_eq!(found, Some(Rule::Prefix));
    }
}
