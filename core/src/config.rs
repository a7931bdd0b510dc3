//! What a logger is told once, at its start.

use core::num::NonZeroU64;

use crate::format::END_MARK;
use crate::geometry::{MAX_OFFSET_BYTES, SectorSize};

/// The choices of a log. [`Config::new`] has the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The unit of the log and of every extent.
    pub sector_size: SectorSize,
    /// What a prefix of the log means.
    pub ordering: Ordering,
    /// When a superblock may count an entry.
    pub superblock_policy: SuperblockPolicy,
    /// A superblock is also written whenever the number of entries is a multiple of this.
    pub superblock_interval: NonZeroU64,
    /// The size of the log device in bytes; what would reach beyond it is refused before the data device is
    /// touched. [`MAX_OFFSET_BYTES`] where the log may grow.
    pub capacity_bytes: u64,
}

impl Config {
    /// Completion order, [`SuperblockPolicy::WithFlush`], a superblock every 4096 entries, no limit.
    #[must_use]
    pub const fn new(sector_size: SectorSize) -> Self {
        Self {
            sector_size,
            ordering: Ordering::Completion,
            superblock_policy: SuperblockPolicy::WithFlush,
            superblock_interval: DEFAULT_SUPERBLOCK_INTERVAL,
            capacity_bytes: MAX_OFFSET_BYTES,
        }
    }

    /// The least [`capacity_bytes`](Self::capacity_bytes) of a new log with this configuration: the superblock,
    /// the smallest write with the flush after it, and the closing entry.
    #[must_use]
    pub const fn min_capacity_bytes(&self) -> u64 {
        self.sector_size.bytes() * 4 + self.closing_bytes()
    }

    /// What the closing entry takes.
    pub(crate) const fn closing_bytes(&self) -> u64 {
        match self.ordering {
            Ordering::Durability if self.has_end_mark() => self.sector_size.bytes(),
            Ordering::Durability | Ordering::Completion => 0,
        }
    }

    /// Whether the end mark fits into a sector.
    pub(crate) const fn has_end_mark(&self) -> bool {
        self.sector_size.bytes() >= 64 && END_MARK.len() <= 31
    }
}

/// What a prefix of the log means. See the [crate's documentation](crate#orderings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ordering {
    /// Entries appear as their operations complete, as QEMU's blklogwrites writes them.
    #[default]
    Completion,
    /// Entries appear as their operations become durable, as Linux dm-log-writes writes them.
    Durability,
}

/// When a superblock may count an entry. See the [crate's documentation](crate#what-a-log-promises).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SuperblockPolicy {
    /// When the entry's write has completed; one flush of the log makes both durable.
    #[default]
    WithFlush,
    /// When the entry is durable: a flush of the log before the superblock, and one after it.
    Barrier,
}

/// A configuration that no log can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The log device cannot hold the smallest log.
    #[error("a log of {capacity_bytes} bytes is too small: it needs at least {min_bytes}")]
    TooSmall {
        /// The capacity that was given, in bytes.
        capacity_bytes: u64,
        /// The least that would do, in bytes.
        min_bytes: u64,
    },
    /// A log to resume ends inside a sector or before its first entry.
    #[error("a log cannot continue at byte {offset_bytes}: not a sector boundary after the superblock")]
    ResumeOffset {
        /// Where the next entry should go.
        offset_bytes: u64,
    },
}

/// QEMU's default, `log-super-update-interval`.
pub const DEFAULT_SUPERBLOCK_INTERVAL: NonZeroU64 = match NonZeroU64::new(4096) {
    Some(interval) => interval,
    None => NonZeroU64::MIN,
};
