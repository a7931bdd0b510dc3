//! Where the log of a recording goes: for `record` and `serve`.

use std::io;
use std::num::NonZeroU64;
use std::path::Path;

use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Logger, Ordering, SectorSize, SuperblockPolicy};

use super::error::PlaceError;
use super::open_end::{OpenEnd, Tail};
use crate::device::{Access, Disk, DiskError, LogFile, SameFile, links};

/// How a log is to be written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// The unit of a new log; 512 bytes where none is named.
    pub sector_size: Option<SectorSize>,
    /// When an entry is added to the log.
    pub ordering: Ordering,
    /// How the log is flushed when the superblock is written.
    pub superblock_policy: SuperblockPolicy,
    /// The superblock is written at least once every so many entries.
    pub superblock_interval: NonZeroU64,
    /// How large the log may become, in bytes.
    pub max_bytes: Option<u64>,
    /// What to do if there is a log.
    pub existing: Existing,
}

impl Default for LogOptions {
    fn default() -> Self {
        let Config { ordering, superblock_policy, superblock_interval, .. } = Config::new(SectorSize::B512);
        Self {
            sector_size: None,
            ordering,
            superblock_policy,
            superblock_interval,
            max_bytes: None,
            existing: Existing::Refuse,
        }
    }
}

/// What to do with a log that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone.
    Refuse,
    /// Overwrite it.
    Overwrite,
    /// Append to it.
    Append {
        /// What to do with entries that its superblock does not count.
        tail: Option<Tail>,
    },
}

/// Where the log is to go.
#[derive(Debug)]
pub(crate) enum LogPlace {
    /// To its end: `--append`.
    Old(Box<OpenEnd>),
    /// Into a new file, or over contents that may be overwritten.
    New { there: Option<Disk> },
}

impl LogPlace {
    /// Looks at the existing contents, and refuses to overwrite anything of value, above all the disk itself.
    pub(crate) fn find(path: &Path, options: &LogOptions, target: Option<&Disk>) -> Result<Self, PlaceError> {
        if !path.exists() && !matches!(options.existing, Existing::Append { .. }) {
            return Ok(Self::New { there: None });
        }
        let disk = Disk::open_locked(path)?;
        if let Some(target) = target
            && target.is_same(&disk).map_err(|error| DiskError::new("compare", path, error))?
        {
            return Err(SameFile::new(target.path(), path).into());
        }
        if let Existing::Append { tail } = options.existing {
            return Ok(Self::Old(Box::new(OpenEnd::find(disk, tail)?)));
        }
        let mut start = [0; 4096];
        let got = disk.read_up_to(0, &mut start).map_err(|error| DiskError::new("read", path, error))?;
        let is_blank = if disk.is_block_device() { start.iter().all(|byte| *byte == 0) } else { got == 0 };
        if !is_blank && options.existing != Existing::Overwrite {
            return Err(PlaceError::NotEmpty { path: path.to_owned() });
        }
        Ok(Self::New { there: Some(disk) })
    }

    /// The unit of the log.
    pub(crate) fn sector_size(&self, options: &LogOptions) -> SectorSize {
        match self {
            Self::Old(end) => end.index().sector_size(),
            Self::New { .. } => options.sector_size.unwrap_or_default(),
        }
    }

    const fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Old(end) => Some(end.disk()),
            Self::New { there } => there.as_ref(),
        }
    }

    /// How the log is to be written.
    pub(crate) fn config(&self, options: &LogOptions) -> Result<Config, DiskError> {
        Ok(Config {
            sector_size: self.sector_size(options),
            ordering: options.ordering,
            superblock_policy: options.superblock_policy,
            superblock_interval: options.superblock_interval,
            capacity_bytes: self.capacity_bytes(options)?,
        })
    }

    /// A logger that begins the log, or continues it.
    pub(crate) fn logger<const N: usize>(
        &self,
        config: Config,
        path: &Path,
    ) -> Result<Logger<N>, PlaceError> {
        let logger = match self {
            Self::Old(end) => Logger::resume(config, end.point()),
            Self::New { .. } => Logger::new(config),
        };
        logger.map_err(|source| PlaceError::Config { path: path.to_owned(), source })
    }

    /// The same for a disk that is the log.
    pub(crate) fn overlay<const N: usize>(
        &self,
        config: Config,
        path: &Path,
    ) -> Result<Overlay<N>, PlaceError> {
        let overlay = match self {
            Self::Old(end) => Overlay::resume(config, end.point(), end.map()),
            Self::New { .. } => Overlay::new(config),
        };
        overlay.map_err(|source| PlaceError::Config { path: path.to_owned(), source })
    }

    /// How large the log may become.
    fn capacity_bytes(&self, options: &LogOptions) -> Result<u64, DiskError> {
        let asked = options.max_bytes.unwrap_or(MAX_OFFSET_BYTES);
        match self.disk() {
            Some(disk) if disk.is_block_device() => Ok(asked.min(disk.size_bytes()?)),
            _ => Ok(asked),
        }
    }

    pub(crate) fn open(self, path: &Path, target: Option<&Disk>) -> Result<LogFile, PlaceError> {
        let disk = match self {
            Self::Old(end) => return Ok(end.open()?),
            Self::New { there: Some(disk) } => disk,
            Self::New { there: None } => {
                let place =
                    links::end_of_links(path).map_err(|error| DiskError::new("create", path, error))?;
                let disk = Disk::open(&place, Access::CreateNew).map_err(|error| {
                    match target {
                        // It did not exist a moment ago, before the disk was created.
                        Some(target) if error.kind() == io::ErrorKind::AlreadyExists => {
                            PlaceError::SameFile(SameFile::new(target.path(), path))
                        }
                        _ => PlaceError::Disk(error),
                    }
                })?;
                disk.lock()?;
                disk
            }
        };
        Ok(LogFile::new(disk)?)
    }
}
