//! A disk in use: an image that is written and logged, or a log that is the disk.

use std::sync::Arc;

use anyhow::Context as _;
use logwrites_core::{Config, Ordering};

use super::super::log_place::LogPlace;
use super::super::{check_alignment, len_of};
use super::sector_size::check_sector_size;
use crate::args::DiskArgs;
use crate::device::{Access, Disk, DiskError, ImageFormat, LiveLog};
use crate::error::Failure;
use crate::serve::engine::{Base, Engine, LiveDisk, SLOTS};
use crate::serve::exports::ExportTable;

pub(super) fn open(args: &DiskArgs, name: &str) -> anyhow::Result<ExportTable> {
    let target = Target::find(args)?;
    let place = LogPlace::find(&args.log, &args.logging, target.disk())?;
    target.lock()?;
    let sector_size = place.sector_size(&args.logging);
    check_sector_size(sector_size)?;
    check_alignment(target.len_bytes(), target.name(), sector_size)?;
    if let LogPlace::Old(end) = &place {
        end.check_fits(target.len_bytes(), target.name())?;
    }
    let config = place.config(&args.logging)?;
    if config.ordering == Ordering::Durability && !matches!(target, Target::Data(..)) {
        let message = "--base and --size need --ordering completion: the log is the disk, so entries cannot be held back";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    let len_bytes = target.len_bytes();
    let has_fast_zero = target.has_fast_zero();
    let disk = start(target, place, config, args)?;
    Ok(ExportTable::live(name.to_owned(), len_bytes, has_fast_zero, disk))
}

fn start(
    target: Target,
    place: LogPlace,
    config: Config,
    args: &DiskArgs,
) -> anyhow::Result<Arc<dyn LiveDisk>> {
    let begun = || format!("cannot begin {}", args.log.display());
    let base = match target {
        Target::Data(data, _) => {
            let logger = place.logger::<SLOTS>(config, &args.log)?;
            let log = LiveLog::new(place.open(&args.log, Some(&data))?);
            return Ok(Arc::new(Engine::start(logger, data, log).with_context(begun)?));
        }
        Target::Base(disk, _) => Base::Image(disk),
        Target::Zeros(_) => Base::Zeros,
    };
    let overlay = place.overlay::<SLOTS>(config, &args.log)?;
    let under = if let Base::Image(disk) = &base { Some(disk) } else { None };
    let log = LiveLog::new(place.open(&args.log, under)?);
    Ok(Arc::new(Engine::start(overlay, base, log).with_context(begun)?))
}

/// What is under the log, and its size in bytes.
enum Target {
    Data(Disk, u64),
    Base(Disk, u64),
    Zeros(u64),
}

impl Target {
    fn find(args: &DiskArgs) -> anyhow::Result<Self> {
        let format = ImageFormat::from(args.images);
        match (&args.data, &args.base, args.size) {
            (Some(data), _, _) => {
                let disk = format.open(data, Access::Write)?;
                let len_bytes = len_of(&disk)?;
                Ok(Self::Data(disk, len_bytes))
            }
            (None, Some(base), _) => {
                let disk = format.open(base, Access::Read)?;
                let len_bytes = len_of(&disk)?;
                Ok(Self::Base(disk, len_bytes))
            }
            (None, None, Some(size)) => Ok(Self::Zeros(size.bytes())),
            (None, None, None) => Err(Failure::Usage("--data, --base or --size is needed".to_owned()).into()),
        }
    }

    /// Locks others of this tool out of what is written, and other writers out of what must stay as it is.
    fn lock(&self) -> Result<(), DiskError> {
        match self {
            Self::Data(disk, _) => disk.lock(),
            Self::Base(disk, _) => disk.lock_shared(),
            Self::Zeros(_) => Ok(()),
        }
    }

    const fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Data(disk, _) | Self::Base(disk, _) => Some(disk),
            Self::Zeros(_) => None,
        }
    }

    const fn len_bytes(&self) -> u64 {
        match self {
            Self::Data(_, len_bytes) | Self::Base(_, len_bytes) | Self::Zeros(len_bytes) => *len_bytes,
        }
    }

    fn name(&self) -> &std::path::Path {
        self.disk().map_or(std::path::Path::new("--size"), Disk::path)
    }

    /// Zeros that the log alone holds are a hole of it; an image must be able to have holes.
    fn has_fast_zero(&self) -> bool {
        match self {
            // Behind the end there is nothing to lose.
            Self::Data(disk, len_bytes) => {
                !disk.is_block_device() && disk.punch_hole(*len_bytes, 4096).is_ok_and(|punched| punched)
            }
            Self::Base(..) | Self::Zeros(_) => true,
        }
    }
}
