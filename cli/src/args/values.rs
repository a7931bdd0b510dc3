//! The values of options.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use logwrites_core::format::{Flags, NamedFlag};
use logwrites_core::history::Discards;
use logwrites_core::{Extent, Ordering, SectorSize, SuperblockPolicy};

use crate::log::{EntryKind, Tail};
use crate::size::Size;

/// `--ordering`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OrderingArg {
    /// When its write completes, as in QEMU's blklogwrites
    #[default]
    Completion,
    /// When its write is durable, as in Linux dm-log-writes
    Durability,
}

impl From<OrderingArg> for Ordering {
    fn from(arg: OrderingArg) -> Self {
        match arg {
            OrderingArg::Completion => Self::Completion,
            OrderingArg::Durability => Self::Durability,
        }
    }
}

/// `--superblock`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SuperblockArg {
    /// Flush the log once, after the superblock: safe if the process is killed
    #[default]
    WithFlush,
    /// Flush the log before the superblock, too: safe on power loss
    Barrier,
}

impl From<SuperblockArg> for SuperblockPolicy {
    fn from(arg: SuperblockArg) -> Self {
        match arg {
            SuperblockArg::WithFlush => Self::WithFlush,
            SuperblockArg::Barrier => Self::Barrier,
        }
    }
}

/// `--format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Commands of qemu-io, with marks and comments
    #[default]
    QemuIo,
    /// Iolog of fio, version 2 or 3
    Fio,
}

/// `--tail`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TailArg {
    /// Keep them as part of the log
    Keep,
    /// Overwrite them
    Drop,
}

impl From<TailArg> for Tail {
    fn from(arg: TailArg) -> Self {
        match arg {
            TailArg::Keep => Self::Keep,
            TailArg::Drop => Self::Drop,
        }
    }
}

/// `--flag`, `--next`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagArg(NamedFlag);

impl FlagArg {
    const ALL: [Self; Flags::TABLE.len()] = {
        let mut all = [Self(Flags::TABLE[0]); Flags::TABLE.len()];
        let mut nth = 0;
        while nth < all.len() {
            all[nth] = Self(Flags::TABLE[nth]);
            nth += 1;
        }
        all
    };
}

impl ValueEnum for FlagArg {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.meaning))
    }
}

impl From<FlagArg> for Flags {
    fn from(arg: FlagArg) -> Self {
        arg.0.flag
    }
}

/// `--keep`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepArg {
    /// Writes with no flag other than metadata
    Write,
    /// Whatever has a flag
    Flagged(FlagArg),
}

impl KeepArg {
    const ALL: [Self; 1 + FlagArg::ALL.len()] = {
        let mut all = [Self::Write; 1 + FlagArg::ALL.len()];
        let mut nth = 0;
        while nth < FlagArg::ALL.len() {
            all[1 + nth] = Self::Flagged(FlagArg::ALL[nth]);
            nth += 1;
        }
        all
    };
}

impl From<KeepArg> for EntryKind {
    fn from(arg: KeepArg) -> Self {
        match arg {
            KeepArg::Write => Self::Write,
            KeepArg::Flagged(flag) => Self::With(flag.into()),
        }
    }
}

impl ValueEnum for KeepArg {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Write => Some(PossibleValue::new("write").help("Write with no flag other than metadata")),
            Self::Flagged(arg) => arg.to_possible_value(),
        }
    }
}

/// `--discard` of `replay`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DiscardArg {
    /// Write zeros
    #[default]
    Zero,
    /// Leave the sectors unchanged
    Ignore,
    /// Discard the sectors of DEVICE
    Pass,
}

impl DiscardArg {
    /// The contents that a discard leaves.
    #[must_use]
    pub const fn leaves(self) -> Discards {
        match self {
            Self::Zero | Self::Pass => Discards::Zero,
            Self::Ignore => Discards::Ignore,
        }
    }
}

/// `--discard` of `verify`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerifyDiscardArg {
    /// The sectors became zeros
    Zero,
    /// The sectors stayed unchanged
    Ignore,
}

impl From<VerifyDiscardArg> for Discards {
    fn from(arg: VerifyDiscardArg) -> Self {
        match arg {
            VerifyDiscardArg::Zero => Self::Zero,
            VerifyDiscardArg::Ignore => Self::Ignore,
        }
    }
}

pub(crate) fn parse_sector_size(text: &str) -> Result<SectorSize, String> {
    let size: Size = text.parse().map_err(|error| format!("{error}"))?;
    let bytes = u32::try_from(size.bytes()).map_err(|_| "a sector has at most 8388608 bytes".to_owned())?;
    SectorSize::try_from(bytes).map_err(|error| error.to_string())
}

pub(crate) fn parse_extent(text: &str) -> Result<Extent, String> {
    let (sector, nr_sectors) = text.split_once('+').unwrap_or((text, "1"));
    let number = |text: &str| text.parse::<u64>().ok();
    let extent = number(sector).zip(number(nr_sectors)).and_then(|(sector, nr)| Extent::new(sector, nr));
    extent
        .filter(|extent| !extent.is_empty())
        .ok_or_else(|| "expected SECTOR or SECTOR+COUNT in log sectors, such as 2048 or 2048+16".to_owned())
}

pub(crate) fn parse_export_name(text: &str) -> Result<String, String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("a name has at most {MAX_NAME_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

/// Below the NBD protocol's limit, since a point may follow the name.
const MAX_NAME_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_sectors() {
        assert_eq!(parse_extent("8+16").ok(), Extent::new(8, 16));
        assert_eq!(parse_extent("8").ok(), Extent::new(8, 1));
        for text in ["", "+", "8+", "8+0", "8k", "-1", "18446744073709551615+2"] {
            assert!(parse_extent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sector_sizes_are_sizes() {
        assert_eq!(parse_sector_size("4k").ok(), Some(SectorSize::B4096));
        for text in ["0", "513", "16M", "4294967808", "x"] {
            assert!(parse_sector_size(text).is_err(), "{text}");
        }
    }
}
