//! Why this machine does not do what it was asked for.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use indicatif::BinaryBytes;

use super::mkfs::FileSystemType;
use crate::explain::{End, Explain};

/// A program of the system's that is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} is needed but not installed: sudo apt-get install {package}, or the package of your system that has it"
)]
pub(crate) struct MissingProgram {
    pub(super) name: String,
    /// The Debian package that has it.
    pub(super) package: String,
}

/// Why a program of the system's did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It does not start.
    #[error("cannot start {name}")]
    Start { name: String, source: io::Error },
    /// It failed, and said why.
    #[error("{name} failed: {said}")]
    Failed { name: String, said: String },
}

/// Why no file system can be mounted here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountingError {
    /// It takes a program that is missing.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The kernel does not have the file system.
    #[error("this kernel does not have {}", kind.name)]
    NotInKernel { kind: &'static FileSystemType },
    /// fuse2fs does not have it.
    #[error("only root can mount {}; without root use --mkfs ext4", kind.name)]
    NeedsRoot { kind: &'static FileSystemType },
    /// fuse2fs does not have the kernel's options.
    #[error("--mount-options needs root: without root, fuse2fs mounts the file system")]
    OptionsNeedRoot,
}

impl Explain for MountingError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Missing(_) => None,
            Self::NotInKernel { .. } | Self::NeedsRoot { .. } | Self::OptionsNeedRoot => Some(End::Malformed),
        }
    }
}

/// Why a file system was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// The program that makes it is missing.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The program failed.
    #[error(transparent)]
    Program(ProgramError),
    /// The program failed, most likely since the disk is too small.
    #[error(
        "a disk of {} is too small: {} takes at least {}",
        BinaryBytes(*len_bytes), kind.name, BinaryBytes(kind.least_bytes)
    )]
    TooSmall { len_bytes: u64, kind: &'static FileSystemType, source: ProgramError },
}

/// Why a file system was not mounted, or not unmounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// fuse2fs came to its end.
    #[error("fuse2fs ended with {status}: {said}")]
    Ended { status: ExitStatus, said: String },
    /// fuse2fs did nothing for a long time.
    #[error("fuse2fs did not mount the file system: {said}")]
    NotMounted { said: String },
    /// What fuse2fs does cannot be told.
    #[error("cannot wait for fuse2fs")]
    Wait(#[source] io::Error),
    /// The system refused to unmount it.
    #[error("cannot unmount {}", path.display())]
    Detach { path: PathBuf, source: io::Error },
    /// Something uses it.
    #[error("{} is still in use", path.display())]
    InUse { path: PathBuf },
}

/// Why the command was not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// Nothing was given.
    #[error("there is no command")]
    Missing,
    /// The current folder has no name.
    #[error("cannot tell where this runs")]
    Here(#[source] io::Error),
    /// There is no such program.
    #[error("cannot start {}: command not found", name.display())]
    NotFound { name: OsString },
    /// It does not start.
    #[error("cannot start {}", name.display())]
    Start { name: OsString, source: io::Error },
    /// Signals that are meant for it cannot be had.
    #[error("cannot catch signals")]
    Signals(#[source] io::Error),
    /// Its end cannot be seen.
    #[error("cannot wait for the command")]
    Wait(#[source] io::Error),
}

impl CommandError {
    /// `name` was not started.
    pub(super) fn not_started(name: &OsStr, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            _ => Self::Start { name, source },
        }
    }

    /// The exit code of shells and `env` if the command was not started.
    pub(crate) const fn exit_code(&self) -> Option<u8> {
        match self {
            Self::NotFound { .. } => Some(127),
            Self::Start { .. } => Some(126),
            Self::Missing | Self::Here(_) | Self::Signals(_) | Self::Wait(_) => None,
        }
    }
}

/// Why processes that the command started are still running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StrayError {
    /// The system does not hand them over.
    #[error("cannot adopt processes")]
    Adopt(#[source] io::Error),
    /// They cannot be found or waited for.
    #[error("cannot wait for what the command has started")]
    Wait(#[source] io::Error),
    /// They take no signal.
    #[error("cannot end what the command has started")]
    Signal(#[source] io::Error),
    /// Not even killing them ends them.
    #[error("processes that the command has started cannot be ended")]
    Left,
}
