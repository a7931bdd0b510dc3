//! A disk in use: an image that is written and logged, or a log that is the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use logwrites_core::{Config, Ordering};

use super::error::OpenError;
use super::limits::check_sector_size;
use crate::device::{Access, Disk, DiskError, ImageError, ImageFormat, LiveLog, Origin, OriginOptions};
use crate::log::{LogOptions, LogPlace, check_alignment};
use crate::serve::engine::{Base, Engine, LiveDisk, SLOTS};
use crate::serve::exports::ExportTable;

/// A disk in use.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Where its log is.
    pub log: PathBuf,
    /// What is under the log.
    pub under: Under,
    /// How the log is written.
    pub logging: LogOptions,
}

/// What is under a log.
#[derive(Clone, Debug)]
pub enum Under {
    /// An image of this format, which is written too.
    Data(PathBuf, ImageFormat),
    /// A disk that is only read: what is written is in the log alone.
    Origin(OriginOptions),
}

pub(super) fn open(options: &LiveOptions, name: &str) -> Result<ExportTable, OpenError> {
    let target = Target::open(&options.under)?;
    let place = LogPlace::find(&options.log, &options.logging, target.disk())?;
    target.lock()?;
    let sector_size = place.sector_size(&options.logging);
    check_sector_size(sector_size)?;
    check_alignment(target.len_bytes(), target.name(), sector_size)?;
    if let LogPlace::Old(end) = &place {
        end.check_fits(target.len_bytes(), target.name())?;
    }
    let config = place.config(&options.logging)?;
    if config.ordering == Ordering::Durability && !matches!(target, Target::Data { .. }) {
        return Err(OpenError::Ordering);
    }
    let len_bytes = target.len_bytes();
    let has_fast_zero = target.has_fast_zero();
    let disk = start(target, place, config, options)?;
    Ok(ExportTable::live(name.to_owned(), len_bytes, has_fast_zero, disk))
}

fn start(
    target: Target,
    place: LogPlace,
    config: Config,
    options: &LiveOptions,
) -> Result<Arc<dyn LiveDisk>, OpenError> {
    let not_begun = |source| OpenError::Begin { log: options.log.clone(), source };
    let base = match target {
        Target::Data { disk: data, .. } => {
            let logger = place.logger::<SLOTS>(config, &options.log)?;
            let log = LiveLog::new(place.open(&options.log, Some(&data))?);
            return Ok(Arc::new(Engine::start(logger, data, log).map_err(not_begun)?));
        }
        Target::Origin(Origin::Image { disk, .. }) => Base::Image(disk),
        Target::Origin(Origin::Zeros { .. }) => Base::Zeros,
    };
    let overlay = place.overlay::<SLOTS>(config, &options.log)?;
    let under = if let Base::Image(disk) = &base { Some(disk) } else { None };
    let log = LiveLog::new(place.open(&options.log, under)?);
    Ok(Arc::new(Engine::start(overlay, base, log).map_err(not_begun)?))
}

/// What is under the log, opened.
enum Target {
    Data { disk: Disk, len_bytes: u64 },
    Origin(Origin),
}

impl Target {
    fn open(under: &Under) -> Result<Self, ImageError> {
        match under {
            Under::Data(path, format) => {
                let disk = format.open(path, Access::Write)?;
                let len_bytes = disk.size_bytes()?;
                Ok(Self::Data { disk, len_bytes })
            }
            Under::Origin(origin) => Ok(Self::Origin(origin.open()?)),
        }
    }

    /// Locks others of this tool out of what is written, and other writers out of what must stay as it is.
    fn lock(&self) -> Result<(), DiskError> {
        match self {
            Self::Data { disk, .. } => disk.lock(),
            Self::Origin(origin) => origin.disk().map_or(Ok(()), Disk::lock_shared),
        }
    }

    const fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Data { disk, .. } => Some(disk),
            Self::Origin(origin) => origin.disk(),
        }
    }

    const fn len_bytes(&self) -> u64 {
        match self {
            Self::Data { len_bytes, .. } => *len_bytes,
            Self::Origin(origin) => origin.len_bytes(),
        }
    }

    fn name(&self) -> &Path {
        match self {
            Self::Data { disk, .. } => disk.path(),
            Self::Origin(origin) => origin.name(),
        }
    }

    /// Zeros that the log alone holds are a hole of it; an image must be able to have holes.
    fn has_fast_zero(&self) -> bool {
        match self {
            // Behind the end there is nothing to lose.
            Self::Data { disk, len_bytes } => {
                !disk.is_block_device() && disk.punch_hole(*len_bytes, 4096).is_ok_and(|punched| punched)
            }
            Self::Origin(_) => true,
        }
    }
}
