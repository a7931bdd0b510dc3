//! A disk as it was at points of its log: each point an overlay of its own, over the base, the log and the map that
//! says which, and under a log that is thrown away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use logwrites_core::history::{Checkpoints, Discards};
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, SectorSize};
use parking_lot::Mutex;

use super::super::len_of;
use super::sector_size::check_sector_size;
use crate::args::DiskArgs;
use crate::device::{Access, Disk, ImageFormat, LiveLog, LogFile};
use crate::error::Failure;
use crate::log::{Default, Log};
use crate::point::Point;
use crate::serve::engine::{Base, Engine, LiveDisk, SLOTS};
use crate::serve::exports::ExportTable;

pub(super) fn open(args: &DiskArgs, name: &str) -> anyhow::Result<ExportTable> {
    if args.keep.is_some() && args.at.len() > 1 {
        return Err(Failure::Usage("--keep goes with one --at: its log has one disk".to_owned()).into());
    }
    if let Some(keep) = args.keep.as_ref().filter(|keep| keep.exists()) {
        return Err(Failure::Usage(format!("{} exists; --keep makes a new log", keep.display())).into());
    }
    let mut log = Log::open(&args.log)?;
    let sector_size = log.index().sector_size();
    check_sector_size(sector_size)?;
    let base = match (&args.base, args.size) {
        (Some(path), _) => Some(ImageFormat::from(args.images).open(path, Access::Read)?),
        (None, _) => None,
    };
    let len_bytes = match (&base, args.size) {
        (Some(base), _) => len_of(base)?,
        (None, Some(size)) => size.bytes(),
        (None, None) => return Err(Failure::Usage("--base or --size is needed".to_owned()).into()),
    };
    if let Some(base) = &base {
        base.lock_shared()?;
    }
    let base_name = args.base.clone().unwrap_or_else(|| PathBuf::from("--size"));
    for point in &args.at {
        let resolved = log.resolve(Some(point), Default::End)?;
        log.check_fits(resolved, len_bytes, &base_name)?;
    }
    if !sector_size.is_aligned(len_bytes) {
        let message = format!(
            "{} has {len_bytes} bytes, which is not a multiple of {sector_size}",
            base_name.display()
        );
        return Err(Failure::Malformed(message).into());
    }
    let points = args.at.iter().map(ToString::to_string).collect();
    let past = Past {
        log: Mutex::new(log),
        checkpoints: Mutex::new(Checkpoints::new(Discards::Zero)),
        base,
        len_bytes,
        base_name,
        sector_size,
        keep: args.keep.clone(),
    };
    let open = Box::new(move |point: &str| past.open(point));
    let table = ExportTable::past(name.to_owned(), len_bytes, points, args.keep.is_some(), open);
    if args.keep.is_some() {
        // It is to be there even if no client comes, and to fail now if it cannot be made.
        table.open_default().map_err(|error| anyhow::anyhow!("{}", error.0))?;
    }
    Ok(table)
}

/// A log and its base, of which points can be opened.
struct Past {
    log: Mutex<Log>,
    checkpoints: Mutex<Checkpoints>,
    base: Option<Disk>,
    len_bytes: u64,
    base_name: PathBuf,
    sector_size: SectorSize,
    keep: Option<PathBuf>,
}

impl Past {
    fn open(&self, point: &str) -> anyhow::Result<Arc<dyn LiveDisk>> {
        let point: Point = point.parse()?;
        let (map, log) = {
            let mut log = self.log.lock();
            let resolved = log.resolve(Some(&point), Default::End)?;
            log.check_fits(resolved, self.len_bytes, &self.base_name)?;
            let map = self.checkpoints.lock().map_at(log.index(), resolved, &BTreeSet::new());
            (map, log.disk().try_clone()?)
        };
        let base = self.base.as_ref().map(Disk::try_clone).transpose()?;
        let base = Base::Past { base, log, map };
        let overlay = Overlay::<SLOTS>::new(Config::new(self.sector_size))?;
        Ok(Arc::new(Engine::start(overlay, base, self.new_log()?)?))
    }

    /// Where the changes go.
    fn new_log(&self) -> anyhow::Result<LiveLog> {
        let Some(path) = &self.keep else {
            let disk = Disk::nameless().context("cannot make a temporary file for the changes")?;
            return Ok(LiveLog::scratch(LogFile::new(disk)?)?);
        };
        let disk = Disk::open(path, Access::CreateNew)?;
        disk.lock()?;
        Ok(LiveLog::new(LogFile::new(disk)?)?)
    }
}
