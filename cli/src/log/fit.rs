//! Whether a disk has the size that a log needs.

use std::fmt;
use std::path::{Path, PathBuf};

use logwrites_core::reader::Entry;
use logwrites_core::{Extent, SectorSize};

use crate::explain::{End, Explain};

/// A disk that is written has whole sectors of its log.
///
/// # Errors
/// [`FitError::ChosenSectorSize`] if it has not.
pub(crate) fn check_alignment(len_bytes: u64, disk: &Path, sector_size: SectorSize) -> Result<(), FitError> {
    if sector_size.is_aligned(len_bytes) {
        return Ok(());
    }
    Err(FitError::ChosenSectorSize { disk: disk.to_owned(), len_bytes, sector_size })
}

/// Checks that the entries of a log stay on a disk of `len_bytes`.
pub(super) fn check_fits(
    entries: impl Iterator<Item = Entry>,
    sector_size: SectorSize,
    len_bytes: u64,
    disk: &Path,
) -> Result<(), FitError> {
    if !sector_size.is_aligned(len_bytes) {
        return Err(FitError::SectorSize { disk: disk.to_owned(), len_bytes, sector_size });
    }
    let mut beyond = entries
        .filter(|entry| !entry.extent().is_empty() && sector_size.bytes_of(entry.extent().end()) > len_bytes);
    let Some(first) = beyond.next() else {
        return Ok(());
    };
    let needed_sectors = beyond.map(|entry| entry.extent().end()).fold(first.extent().end(), u64::max);
    let needed_bytes = sector_size.bytes_of(needed_sectors);
    Err(TooShort { disk: disk.to_owned(), len_bytes, first, sector_size, needed_bytes }.into())
}

/// Why a log is not one of a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The disk does not have whole sectors of the size that was chosen for the log.
    #[error(
        "{} has {len_bytes} bytes, which is not a multiple of the sector size {sector_size}; --sector-size sets a \
         different one",
        disk.display()
    )]
    ChosenSectorSize {
        /// The disk.
        disk: PathBuf,
        /// Its size in bytes.
        len_bytes: u64,
        /// The size of the log's sectors.
        sector_size: SectorSize,
    },
    /// The disk does not have whole sectors of the log.
    #[error(
        "{} has {len_bytes} bytes, which is not a multiple of the log's sector size {sector_size}",
        disk.display()
    )]
    SectorSize {
        /// The disk.
        disk: PathBuf,
        /// Its size in bytes.
        len_bytes: u64,
        /// The size of the log's sectors.
        sector_size: SectorSize,
    },
    /// The disk ends before an entry does.
    #[error(transparent)]
    TooShort(#[from] TooShort),
}

impl Explain for FitError {
    fn end(&self) -> Option<End> {
        Some(End::Malformed)
    }
}

/// A disk that ends before an entry does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log reaches beyond {}, which has {len_bytes} bytes: entry {} at byte {} of the log covers sectors {} of \
     {sector_size} bytes; a disk of at least {needed_bytes} bytes is needed",
    disk.display(),
    first.index,
    first.offset_bytes,
    FirstToLast(first.extent()),
)]
pub struct TooShort {
    disk: PathBuf,
    len_bytes: u64,
    /// The first entry that the disk is too short for.
    first: Entry,
    sector_size: SectorSize,
    needed_bytes: u64,
}

impl TooShort {
    /// Whether the disk is too short for the log up to a point.
    #[must_use]
    pub const fn concerns(&self, point: u64) -> bool {
        point > self.first.index
    }
}

/// Sectors as a range that people read.
struct FirstToLast(Extent);

impl fmt::Display for FirstToLast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.0.sector(), self.0.end() - 1)
    }
}
