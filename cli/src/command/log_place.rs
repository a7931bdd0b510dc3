//! Where the log of a recording goes: for `record` and `serve`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Logger, SectorSize};

use super::append::OpenEnd;
use super::{len_of, same_file};
use crate::args::{LogArgs, PolicyArgs};
use crate::device::{Access, Disk, DiskError, LogFile};
use crate::error::Failure;
use crate::size::Size;

/// Where the log is to go.
pub(super) enum LogPlace {
    /// To its end: `--append`.
    Old(Box<OpenEnd>),
    /// Into a new file, or over what is there and of no value.
    New { there: Option<Disk> },
}

impl LogPlace {
    /// Finds out what is there, and refuses to overwrite anything of value, the disk itself first of all.
    pub(super) fn find(path: &Path, args: &LogArgs, target: Option<&Disk>) -> anyhow::Result<Self> {
        if !path.exists() && !args.existing.append {
            return Ok(Self::New { there: None });
        }
        let disk = Disk::open_locked(path)?;
        if let Some(target) = target
            && target.is_same(&disk)?
        {
            return Err(same_file(target.path(), path).into());
        }
        if args.existing.append {
            return Ok(Self::Old(Box::new(OpenEnd::find(disk, args.existing.tail)?)));
        }
        let mut start = [0; 4096];
        let got = disk.read_up_to(0, &mut start).map_err(|error| DiskError::new("read", path, error))?;
        let is_blank = if disk.is_block_device() { start.iter().all(|byte| *byte == 0) } else { got == 0 };
        if !is_blank && !args.existing.force {
            let message =
                format!("{} is not empty; --force overwrites it, --append continues it", path.display());
            return Err(Failure::Usage(message).into());
        }
        Ok(Self::New { there: Some(disk) })
    }

    /// The unit of the log.
    pub(super) fn sector_size(&self, args: &LogArgs) -> SectorSize {
        match self {
            Self::Old(end) => end.index().sector_size(),
            Self::New { .. } => args.sector_size.unwrap_or_default(),
        }
    }

    const fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Old(end) => Some(end.disk()),
            Self::New { there } => there.as_ref(),
        }
    }

    /// How the log is to be written.
    pub(super) fn config(&self, args: &LogArgs) -> anyhow::Result<Config> {
        let PolicyArgs { ordering, superblock, super_interval } = args.policy;
        Ok(Config {
            sector_size: self.sector_size(args),
            ordering: ordering.into(),
            superblock_policy: superblock.into(),
            superblock_interval: super_interval,
            capacity_bytes: self.capacity_bytes(args)?,
        })
    }

    /// A logger that begins the log, or goes on with it.
    pub(super) fn logger<const N: usize>(&self, config: Config, path: &Path) -> anyhow::Result<Logger<N>> {
        let logger = match self {
            Self::Old(end) => Logger::resume(config, end.point()),
            Self::New { .. } => Logger::new(config),
        };
        logger.with_context(|| path.display().to_string())
    }

    /// The same for a disk that is the log.
    pub(super) fn overlay<const N: usize>(&self, config: Config, path: &Path) -> anyhow::Result<Overlay<N>> {
        let overlay = match self {
            Self::Old(end) => Overlay::resume(config, end.point(), end.map()),
            Self::New { .. } => Overlay::new(config),
        };
        overlay.with_context(|| path.display().to_string())
    }

    /// How large the log may become.
    fn capacity_bytes(&self, args: &LogArgs) -> anyhow::Result<u64> {
        let asked = args.log_size.map_or(MAX_OFFSET_BYTES, Size::bytes);
        match self.disk() {
            Some(disk) if disk.is_block_device() => Ok(asked.min(len_of(disk)?)),
            _ => Ok(asked),
        }
    }

    pub(super) fn open(self, path: &Path, target: Option<&Disk>) -> anyhow::Result<LogFile> {
        let disk = match self {
            Self::Old(end) => return end.open(),
            Self::New { there: Some(disk) } => disk,
            Self::New { there: None } => {
                let disk = Disk::open(&behind_links(path)?, Access::CreateNew).map_err(|error| {
                    match error.kind() {
                        // It did not exist a moment ago, before the disk was created.
                        io::ErrorKind::AlreadyExists => match target {
                            Some(target) => anyhow::Error::new(same_file(target.path(), path)),
                            None => error.into(),
                        },
                        _ => error.into(),
                    }
                })?;
                disk.lock()?;
                disk
            }
        };
        Ok(LogFile::new(disk)?)
    }
}

/// Where a file that does not exist is to be made: where a symbolic link that leads to nothing points, or at the path
/// itself.
fn behind_links(path: &Path) -> Result<PathBuf, DiskError> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = place.read_link() else { return Ok(place) };
        // A relative one is meant from where the link is.
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    let error = io::Error::other("too many symbolic links follow one another");
    Err(DiskError::new("create", path, error))
}

/// How many links in a row are followed, as by Linux (`path_resolution(7)`).
const MAX_LINKS: u32 = 40;
