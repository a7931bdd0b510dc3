//! Checks of file systems: each recovers as it would at boot, then its checker looks at it.

use logwrites_core::contents::FileSystemKind;

use super::error::CheckError;
use super::judgement::{Judgement, Outcome};
use super::mounted;
use super::run::{Besides, Program, Run};

/// How a file system is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// For the help.
    pub help: &'static str,
    steps: &'static [Step],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A program looks at the disk, or changes it.
    Program(Program),
    /// The kernel mounts the disk, a command of the shell's looks at what is in it, and the disk is unmounted.
    Mounted(Mounts, Option<&'static str>),
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounts {
    Only(FileSystemKind),
    /// Whatever the disk has.
    Any,
}

/// The presets. A checker alone is not enough: `e2fsck -fn` skips the journal, sees an almost empty file system, and is
/// content; `xfs_repair -n` takes a log that was not replayed for damage; and `btrfs check` does not look at the log tree.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "ext4",
        help: "e2fsck replays the journal, then checks everything; also for ext2 and ext3",
        steps: &[Step::Program(REPLAY_JOURNAL), Step::Program(e2fsprogs("e2fsck", &["-fn"], &[0]))],
    },
    Preset {
        name: "xfs",
        help: "The kernel mounts it, which replays the log; then xfs_repair checks everything",
        steps: &[
            Step::Mounted(Mounts::Only(FileSystemKind::Xfs), None),
            Step::Program(Program { name: "xfs_repair", package: "xfsprogs", args: &["-n"], passes: &[0] }),
        ],
    },
    Preset {
        name: "btrfs",
        help: "The kernel mounts it, which replays the log tree; then btrfs check checks everything",
        steps: &[
            Step::Mounted(Mounts::Only(FileSystemKind::Btrfs), None),
            Step::Program(Program {
                name: "btrfs",
                package: "btrfs-progs",
                args: &["check", "--readonly"],
                passes: &[0],
            }),
        ],
    },
    Preset {
        name: "f2fs",
        help: "fsck.f2fs checks the last checkpoint; `mount` also rolls forward what came after it",
        steps: &[Step::Program(Program {
            name: "fsck.f2fs",
            package: "f2fs-tools",
            args: &["--dry-run"],
            passes: &[0],
        })],
    },
    Preset {
        name: "vfat",
        help: "fsck.fat checks FAT12, FAT16 and FAT32",
        steps: &[Step::Program(Program {
            name: "fsck.fat",
            package: "dosfstools",
            args: &["-n"],
            passes: &[0],
        })],
    },
    Preset {
        name: "exfat",
        help: "fsck.exfat checks exFAT",
        steps: &[Step::Program(Program {
            name: "fsck.exfat",
            package: "exfatprogs",
            args: &["-n"],
            passes: &[0],
        })],
    },
    Preset {
        name: "mount",
        help: "The kernel mounts it, whatever it is, and every file in it is read",
        steps: &[Step::Mounted(Mounts::Any, Some(READ_EVERYTHING))],
    },
];

/// Its journal is replayed, as a mount would.
pub(super) const REPLAY_JOURNAL: Program = e2fsprogs("e2fsck", &["-E", "journal_only", "-p"], &[0, 1]);

pub(super) const fn e2fsprogs(
    name: &'static str,
    args: &'static [&'static str],
    passes: &'static [i32],
) -> Program {
    Program { name, package: "e2fsprogs", args, passes }
}

/// Names, owners, times and links, and then the bytes.
const READ_EVERYTHING: &str = r#"
    find "$CRASH_MOUNT" -xdev -ls >/dev/null && find "$CRASH_MOUNT" -xdev -type f -exec cat -- {} + >/dev/null
"#;

const MOUNTED: Besides<'_> = Besides { is_mounted: true, nbd_uri: None };

impl Preset {
    /// The one of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Looks whether it can be run here.
    pub(super) fn prepare(&self, file_system: Option<FileSystemKind>) -> Result<(), CheckError> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Program(program) => program.command().map(drop),
            Step::Mounted(mounts, _) => mounted::prepare(self.name, mounts.kind(file_system)),
        })
    }

    pub(super) fn judge(&self, run: &Run<'_>) -> Result<Judgement, CheckError> {
        for step in self.steps {
            let judgement = match step {
                Step::Program(program) => run.program(program, run.around.image)?,
                Step::Mounted(mounts, inside) => {
                    run.mounted(mounts.kind(run.around.file_system), |_| match inside {
                        Some(line) => run.shell(line, MOUNTED),
                        None => Ok(Judgement::pass()),
                    })?
                }
            };
            if judgement.outcome != Outcome::Pass {
                return Ok(judgement);
            }
        }
        Ok(Judgement::pass())
    }
}

impl Mounts {
    const fn kind(self, found: Option<FileSystemKind>) -> Option<FileSystemKind> {
        match self {
            Self::Only(kind) => Some(kind),
            Self::Any => found,
        }
    }
}
