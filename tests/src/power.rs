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
use logwrites_core::reader::{Entry, Reader, ResumePoint};
use logwrites_core::{Config, Logger, Ordering, SectorSize, SuperblockPolicy};

use self::judge::Judge;
pub use self::record::Event;
use self::record::record;
use crate::choices::{Choices, Seeded};
use crate::content::{Stamp, narrow, widen};
use crate::memory::Memory;
use crate::rule::{Rule, Violation};

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What the logger is started with.
    pub config: Config,
    /// How many operations can be in flight: 1 or 4.
    pub nr_slots: usize,
    /// Operations of a session.
    pub nr_ops: usize,
    /// Sessions, each of which goes on with what a cut or the end of the one before has left.
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
        Self { config, nr_slots, nr_ops: 6, nr_sessions: 2, max_exhaustive: 1 << 14, nr_samples: 200 }
    }

    /// Longer sessions, sampled.
    #[must_use]
    pub const fn long(config: Config, nr_slots: usize) -> Self {
        Self { config, nr_slots, nr_ops: 60, nr_sessions: 3, max_exhaustive: 1 << 8, nr_samples: 100 }
    }
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions of a driver.
    pub sessions: u64,
    /// Of these, those that went on with another's log.
    pub resumed: u64,
    /// Calls of a device in whose midst the power was cut, and ends of sessions.
    pub cuts: u64,
    /// Of these, those whose every log was tried.
    pub exhaustive: u64,
    /// Logs that were judged.
    pub states: u64,
    /// Of these, logs that had entries behind those that are counted.
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
        for config in configs() {
            for nr_slots in [1, 4] {
                for shape in [Shape::short(config, nr_slots), Shape::long(config, nr_slots)] {
                    let more = run(&mut Seeded::new(seed, u64::MAX), &shape)
                        .map_err(|violation| format!("seed {seed}: {violation}\n{shape:#?}"))?;
                    counts.add(&more);
                }
            }
        }
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
    let disk = (0..NR_SECTORS).map(Stamp::base).collect();
    let mut start = Start { disk, ..Start::default() };
    for session in 0..shape.nr_sessions {
        let first_id = session * shape.nr_ops * 2;
        let mut events = match shape.nr_slots {
            1 => record(logger::<1>(shape.config, &start)?, choices, shape.nr_ops, first_id),
            _ => record(logger::<4>(shape.config, &start)?, choices, shape.nr_ops, first_id),
        };
        events.retain(&is_kept);
        counts.sessions += 1;
        counts.resumed += u64::from(start.point.is_some());
        let mut judge = Judge::new(judged_by, &start, &events, first_id)?;
        let left = judge.cut_everywhere(choices, shape, &mut counts)?;
        start = Start::after(&left, &start, choices.one_in(2));
    }
    Ok(counts)
}

/// What a session finds.
#[derive(Clone, Debug, Default)]
struct Start {
    /// The log, durably.
    log: Vec<u8>,
    /// Where the logger goes on; `None` if it begins anew.
    point: Option<ResumePoint>,
    /// What the superblock counts.
    counted: usize,
    /// The disk, durably: for a log to go on with, what base and log make.
    disk: Vec<Stamp>,
}

impl Start {
    /// What whoever finds a log after a cut makes of it, as `record --append --tail keep|drop` does, behind
    /// `recover --write` if the log ends before the last entry that it counts.
    fn after(log: &[u8], before: &Self, keeps_tail: bool) -> Self {
        let mut start = Self { log: log.to_vec(), point: None, counted: 0, disk: before.disk.clone() };
        let Ok(mut reader) = Reader::open(Memory::new(log.to_vec())) else { return start };
        let Superblock { nr_entries, sector_size } = reader.superblock();
        start.disk = (0..NR_SECTORS).map(Stamp::base).collect();
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
    made.map_err(|error: ConfigError| Violation::new(Rule::Parse, format!("cannot go on: {error}")))
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

/// Entries between two superblocks that nobody asked for: few, so that it matters.
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
    fn a_disk_that_is_not_flushed_is_seen() {
        let shape = Shape::short(config(SuperblockPolicy::Barrier), 4);
        let found = found(&shape, shape.config, |event| !matches!(event, Event::FlushData));
        assert_eq!(found, Some(Rule::Prefix));
    }
}
