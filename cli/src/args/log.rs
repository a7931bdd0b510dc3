//! How a log is written.

use std::num::NonZeroU64;

use logwrites_core::SectorSize;

use super::values::{OrderingArg, SuperblockArg, TailArg, parse_sector_size};
use crate::log::{Existing, LogOptions};
use crate::size::Size;

/// How a log is written, for `record` and `serve`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// Sector size of the log and the disk in bytes: a power of two, at least 32 [default: 512]
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size, conflicts_with = "append")]
    pub sector_size: Option<SectorSize>,
    /// The guarantees of the log.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Maximum size of the log; a write that would exceed it is refused before it reaches the disk
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<Size>,
    /// An existing log.
    #[command(flatten)]
    pub existing: ExistingLogArgs,
}

/// The guarantees of a log that is being written
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PolicyArgs {
    /// When an entry is added to the log
    #[arg(long, value_enum, default_value_t)]
    pub ordering: OrderingArg,
    /// How the log is flushed when the superblock is written
    #[arg(long, value_enum, default_value_t)]
    pub superblock: SuperblockArg,
    /// Write the superblock at least once every ENTRIES entries
    #[arg(long, value_name = "ENTRIES", default_value_t = SUPER_INTERVAL)]
    pub super_interval: NonZeroU64,
}

impl Default for PolicyArgs {
    fn default() -> Self {
        Self {
            ordering: OrderingArg::default(),
            superblock: SuperblockArg::default(),
            super_interval: SUPER_INTERVAL,
        }
    }
}

const SUPER_INTERVAL: NonZeroU64 = NonZeroU64::new(4096).unwrap();

/// What to do with an existing log
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ExistingLogArgs {
    /// Overwrite an existing log
    #[arg(long)]
    pub force: bool,
    /// Append to an existing log; the disk must be in the state in which the log ends
    #[arg(long, conflicts_with = "force")]
    pub append: bool,
    /// With --append: what to do with entries that the superblock does not count
    #[arg(long, value_enum, requires = "append")]
    pub tail: Option<TailArg>,
}

impl From<LogArgs> for LogOptions {
    fn from(args: LogArgs) -> Self {
        let LogArgs { sector_size, policy, log_size, existing } = args;
        Self {
            sector_size,
            ordering: policy.ordering.into(),
            superblock_policy: policy.superblock.into(),
            superblock_interval: policy.super_interval,
            max_bytes: log_size.map(Size::bytes),
            existing: existing.into(),
        }
    }
}

impl From<ExistingLogArgs> for Existing {
    fn from(args: ExistingLogArgs) -> Self {
        let ExistingLogArgs { force, append, tail } = args;
        match (append, force) {
            (true, _) => Self::Append { tail: tail.map(Into::into) },
            (false, true) => Self::Overwrite,
            (false, false) => Self::Refuse,
        }
    }
}
