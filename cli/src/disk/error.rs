//! Why a disk cannot be served.

use std::io;
use std::path::PathBuf;

use logwrites_core::SectorSize;

use crate::device::{DiskError, ImageError};
use crate::explain::{End, Explain};
use crate::log::{FitError, LogError, PlaceError};
use crate::serve::exports::NoExport;
use crate::serve::nbd::MAX_SECTOR_BYTES;

/// Why a disk cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or device cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The log of a disk as of earlier points cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be written where it was to go.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The log is not one of the disk.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// No server has sectors of this size.
    #[error("a server has sectors of at most {MAX_SECTOR_BYTES} bytes, not {sector_size}")]
    SectorSize {
        /// The size of the log's sectors.
        sector_size: SectorSize,
    },
    /// Entries cannot be held back where the log is the disk.
    #[error(
        "--base and --size need --ordering completion: the log is the disk, so entries cannot be held back"
    )]
    Ordering,
    /// The log cannot be begun.
    #[error("cannot begin {}", log.display())]
    Begin {
        /// The log.
        log: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// One log cannot keep the changes of several disks.
    #[error("--keep goes with one --at: its log has one disk")]
    SeveralToKeep,
    /// The log that is to keep the changes exists.
    #[error("{} exists; --keep makes a new log", path.display())]
    KeepExists {
        /// The log.
        path: PathBuf,
    },
    /// The disk cannot be opened.
    #[error(transparent)]
    Export(#[from] NoExport),
}

impl Explain for OpenError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Image(error) => error.end(),
            Self::Log(error) => error.end(),
            Self::Place(error) => error.end(),
            Self::Fit(error) => error.end(),
            Self::SectorSize { .. } | Self::Ordering | Self::SeveralToKeep | Self::KeepExists { .. } => {
                Some(End::Malformed)
            }
            Self::Disk(_) | Self::Begin { .. } | Self::Export(_) => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Log(error) => error.hint(),
            Self::Place(error) => error.hint(),
            _ => None,
        }
    }
}
