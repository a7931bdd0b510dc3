//! Why a log cannot be read, or not be written where it was to go.

use std::io;
use std::path::PathBuf;

use logwrites_core::config::ConfigError;
use logwrites_core::crash::{State, StateError};
use logwrites_core::format::SuperblockError;
use logwrites_core::reader::{Malformed, ReadError};

use crate::device::{DiskError, SameFile};
use crate::explain::{End, Explain};
use crate::interrupt::Interrupted;
use crate::output::style;
use crate::point::ResolveError;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Its file or device cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is nothing in it.
    #[error(
        "{} is empty: nothing was logged to it (QEMU leaves such a file after a session without writes)",
        path.display()
    )]
    Empty {
        /// The log.
        path: PathBuf,
    },
    /// It does not begin as a log does.
    #[error("{}", path.display())]
    Superblock {
        /// The log.
        path: PathBuf,
        /// What is wrong with its superblock.
        source: SuperblockError,
    },
    /// Its superblock cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be read on.
    #[error("{}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: ReadError<io::Error>,
    },
    /// Only its first part can be read.
    #[error("{}: {nr_readable} of {nr_counted} entries can be read", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
        /// How many entries can be read.
        nr_readable: u64,
        /// How many entries the superblock counts.
        nr_counted: u64,
        /// The first entry that cannot.
        source: Malformed,
    },
    /// It has fewer entries than its writer says.
    #[error(
        "{}: its server has written {nr_entries} entries, but {nr_found} can be read: is it another log by now?",
        path.display()
    )]
    Shorter {
        /// The log.
        path: PathBuf,
        /// How many there should be.
        nr_entries: u64,
        /// How many there are.
        nr_found: u64,
    },
    /// It does not have a point that was asked for.
    #[error("{}", path.display())]
    NoPoint {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: ResolveError,
    },
    /// A crash of it cannot leave a state that was asked for.
    #[error("{}: there is no state {state}", path.display())]
    NoState {
        /// The log.
        path: PathBuf,
        /// The state.
        state: State,
        /// Why not.
        source: StateError,
    },
    /// An end was asked for.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for LogError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Empty { .. } | Self::Shorter { .. } => Some(End::Malformed),
            Self::Interrupted(interrupted) => interrupted.end(),
            Self::Disk(_)
            | Self::Superblock { .. }
            | Self::Unreadable { .. }
            | Self::Read { .. }
            | Self::Broken { .. }
            | Self::NoPoint { .. }
            | Self::NoState { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Broken { nr_readable, .. } if *nr_readable > 0 => {
                Some(format!("name a point up to {nr_readable} to use those"))
            }
            _ => None,
        }
    }
}

/// Why a log cannot be written where it was to go.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file or device cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log to be continued cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is the disk.
    #[error(transparent)]
    SameFile(#[from] SameFile),
    /// There are contents that nobody said may be overwritten.
    #[error("{} is not empty; --force overwrites it, --append continues it", path.display())]
    NotEmpty {
        /// The log.
        path: PathBuf,
    },
    /// There are entries of which nobody said whether they belong to the log.
    #[error(
        "{}: {} after the {nr_counted} that the superblock counts: --tail keep keeps what was found, --tail drop \
         overwrites it; `logwrites recover` shows more",
        path.display(),
        style::count(*nr_found, "entry was found", "entries were found"),
    )]
    Uncounted {
        /// The log.
        path: PathBuf,
        /// How many were found.
        nr_found: u64,
        /// How many the superblock counts.
        nr_counted: u64,
    },
    /// No log can be written like that.
    #[error("{}", path.display())]
    Config {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: ConfigError,
    },
}

impl Explain for PlaceError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Log(error) => error.end(),
            Self::SameFile(error) => error.end(),
            Self::NotEmpty { .. } | Self::Uncounted { .. } => Some(End::Malformed),
            Self::Disk(_) | Self::Config { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Log(error) => error.hint(),
            _ => None,
        }
    }
}
