//! What is measured, and beside what: a file for each scenario.

mod core;
mod explore;
mod fuse;
mod growth;
mod inspect;
mod memory;
mod nbd;
mod points;
mod record;
mod replay;

use clap::ValueEnum;

use crate::bench::{Bench, Writes};
use crate::process::Program;
use crate::table::Table;

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// One 4 KiB write through the logger, beside one copy of 4 KiB
    Core,
    /// A log of 1 GiB to a new image, beside dd of the log
    Replay,
    /// info, marks, find and ls over the same log, beside dd of the log to nowhere
    Inspect,
    /// One image through the 114 FUA points of a log, beside starting over for each
    Points,
    /// 65,536 writes of 4 KiB recorded, beside QEMU's blklogwrites and beside no log
    Record,
    /// Clients of a live disk in memory, beside QEMU's blklogwrites and beside nbdkit without a log
    Nbd,
    /// The same on a disk, where syncs decide
    NbdDisk,
    /// Writes of 512 bytes to a live disk after 10 million of them, beside the first; takes 12 GiB of memory
    Growth,
    /// A live disk in memory as a file under a loop device, beside QEMU's and beside no log; as root
    Fuse,
    /// Every crash of an ext4 decided, beside a loop of copies and e2fsck, and beside e2fsck alone
    Explore,
}

impl Scenario {
    pub(crate) const ALL: [Self; 10] = [
        Self::Core,
        Self::Replay,
        Self::Inspect,
        Self::Points,
        Self::Record,
        Self::Nbd,
        Self::NbdDisk,
        Self::Growth,
        Self::Fuse,
        Self::Explore,
    ];

    /// Its name on the command line, and in the markers of tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Replay => "replay",
            Self::Inspect => "inspect",
            Self::Points => "points",
            Self::Record => "record",
            Self::Nbd => "nbd",
            Self::NbdDisk => "nbd_disk",
            Self::Growth => "growth",
            Self::Fuse => "fuse",
            Self::Explore => "explore",
        }
    }

    /// What its help says.
    pub(crate) fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// The programs that it runs.
    pub(crate) const fn programs(self) -> &'static [Program] {
        match self {
            Self::Core => &[],
            Self::Replay | Self::Points => &[DD],
            Self::Inspect => &[DD, TIME],
            Self::Record => &[DD, QEMU_IO],
            Self::Nbd | Self::NbdDisk => &[FIO, NBDCOPY, NBDKIT, QEMU_STORAGE_DAEMON],
            Self::Growth => &[FIO],
            Self::Fuse => &[FIO, LOSETUP, QEMU_STORAGE_DAEMON],
            Self::Explore => &[E2FSCK, TIME, ZSTD],
        }
    }

    /// Measures it.
    pub(crate) fn run(self, bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
        match self {
            Self::Core => core::run(table),
            Self::Replay => replay::run(bench, table),
            Self::Inspect => inspect::run(bench, table),
            Self::Points => points::run(bench, table),
            Self::Record => record::run(bench, table),
            Self::Nbd => nbd::in_memory(bench, table),
            Self::NbdDisk => nbd::on_a_disk(bench, table),
            Self::Growth => growth::run(bench, table),
            Self::Fuse => fuse::run(bench, table),
            Self::Explore => explore::run(bench, table),
        }
    }
}

/// A log of 1 GiB.
const GIB: Writes = Writes { nr: 236_000, fua_interval: None };

const DD: Program = Program { name: "dd", package: "coreutils" };
const E2FSCK: Program = Program { name: "e2fsck", package: "e2fsprogs" };
const FIO: Program = Program { name: "fio", package: "fio" };
const LOSETUP: Program = Program { name: "losetup", package: "util-linux" };
const NBDCOPY: Program = Program { name: "nbdcopy", package: "libnbd-bin" };
const NBDKIT: Program = Program { name: "nbdkit", package: "nbdkit" };
const QEMU_IO: Program = Program { name: "qemu-io", package: "qemu-utils" };
const QEMU_STORAGE_DAEMON: Program = Program { name: "qemu-storage-daemon", package: "qemu-system-common" };
const TIME: Program = Program { name: "time", package: "time" };
const ZSTD: Program = Program { name: "zstd", package: "zstd" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for scenario in Scenario::ALL {
            let value = scenario.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), scenario.name());
            assert!(!scenario.about().is_empty());
        }
        assert_eq!(Scenario::ALL.as_slice(), Scenario::value_variants());
    }
}
