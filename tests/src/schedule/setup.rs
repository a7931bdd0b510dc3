//! What a schedule is about: the configuration, how often what happens, and what may fail.

use core::num::NonZeroU64;

use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Ordering, SectorSize, SuperblockPolicy};

use crate::choices::Choices;

/// The choices of one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The logger's configuration. The capacity is that of a new log; a session that resumes has more.
    pub config: Config,
    /// The logger's `N`: 1, 2, 3, 8 or 32.
    pub nr_slots: usize,
    /// The number of the disk's first sector.
    pub first_sector: u64,
    /// How many sectors the disk has.
    pub nr_sectors: usize,
    /// How many steps a session has at most.
    pub max_steps: u64,
    /// How often what happens, of the sum of all.
    pub weights: Weights,
    /// What may fail.
    pub faults: Faults,
}

/// How often what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// A submission.
    pub submit: u64,
    /// A poll.
    pub poll: u64,
    /// Polls until there is nothing to do.
    pub drain: u64,
    /// A completion by the data device.
    pub data: u64,
    /// A completion by the log device.
    pub log: u64,
    /// A call that must be refused.
    pub wrong: u64,
    /// A look at what a crash would leave.
    pub crash: u64,
}

/// One in how many fails; 0 if none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Mutations that the data device fails.
    pub data: u64,
    /// Discards that the data device ignores.
    pub discard: u64,
    /// Flushes that the data device fails.
    pub data_flush: u64,
    /// Log writes that fail.
    pub log_write: u64,
    /// Log flushes that fail.
    pub log_flush: u64,
}

impl Setup {
    /// A setup as `choices` have it.
    pub fn choose(choices: &mut impl Choices) -> Self {
        let sector_size = choices.pick(&SECTOR_SIZES);
        let nr_sectors = choices.pick(&[24, 24, 8, 3]);
        let mut config = Config {
            ordering: choices.pick(&[Ordering::Completion, Ordering::Durability]),
            superblock_policy: choices.pick(&[SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier]),
            superblock_interval: choices.pick(&INTERVALS),
            ..Config::new(sector_size)
        };
        let nr_slots = choices.pick(&[8, 3, 2, 1, 32, 8, 3]);
        if choices.one_in(5) {
            let extra_bytes = choices.below(60) * sector_size.bytes();
            config.capacity_bytes = config.min_capacity_bytes() + extra_bytes;
        }
        Self {
            config,
            nr_slots,
            first_sector: choices.pick(&[0, 0, 1_000_000, (MAX_OFFSET_BYTES / sector_size.bytes()) - 24]),
            nr_sectors,
            max_steps: 40 + choices.below(400),
            weights: choices.pick(&WEIGHTS),
            faults: if choices.one_in(2) { Faults::choose(choices) } else { Faults::default() },
        }
    }
}

impl Faults {
    fn choose(choices: &mut impl Choices) -> Self {
        let mut rare = |often: &[u64]| choices.pick(often);
        Self {
            data: rare(&[0, 4, 30]),
            discard: rare(&[0, 1, 3]),
            data_flush: rare(&[0, 0, 0, 4, 30]),
            log_write: rare(&[0, 0, 0, 10, 60]),
            log_flush: rare(&[0, 0, 0, 3, 15]),
        }
    }
}

const SECTOR_SIZES: [SectorSize; 4] = [size(64), size(32), size(128), SectorSize::B512];

const fn size(bytes: u32) -> SectorSize {
    match SectorSize::new(bytes) {
        Some(size) => size,
        None => panic!("a power of two"),
    }
}

const INTERVALS: [NonZeroU64; 7] =
    [interval(4096), interval(1), interval(2), interval(3), interval(4), interval(5), interval(4096)];

const fn interval(nr_entries: u64) -> NonZeroU64 {
    match NonZeroU64::new(nr_entries) {
        Some(interval) => interval,
        None => NonZeroU64::MIN,
    }
}

/// Balanced; many in flight; the log lags; the data device lags; polled rarely; one operation at a time, nearly.
const WEIGHTS: [Weights; 6] = [
    Weights { submit: 6, poll: 6, drain: 3, data: 6, log: 6, wrong: 1, crash: 2 },
    Weights { submit: 12, poll: 12, drain: 1, data: 3, log: 3, wrong: 1, crash: 1 },
    Weights { submit: 6, poll: 6, drain: 4, data: 6, log: 1, wrong: 1, crash: 2 },
    Weights { submit: 6, poll: 6, drain: 4, data: 1, log: 6, wrong: 1, crash: 1 },
    Weights { submit: 6, poll: 2, drain: 1, data: 6, log: 6, wrong: 1, crash: 1 },
    Weights { submit: 3, poll: 2, drain: 8, data: 8, log: 10, wrong: 1, crash: 2 },
];
