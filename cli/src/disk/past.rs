//! A disk as of points of its log: each point an overlay of its own, over the base, the log and the map that
//! says which, and under a log that is thrown away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use logwrites_core::Config;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index};
use logwrites_core::overlay::Overlay;
use parking_lot::Mutex;

use super::limits::check_sector_size;
use crate::device::{Access, Disk, LiveLog, LogFile, OriginOptions, ScratchLog};
use crate::error::{Failure, in_one_line};
use crate::log::{Edge, FitError, Log, TooShort};
use crate::point::Point;
use crate::serve::engine::{Base, Engine, LiveDisk, SLOTS};
use crate::serve::exports::ExportTable;
use crate::serve::points::Past;

/// A disk as of some points of its log.
#[derive(Clone, Debug)]
pub struct PastOptions {
    /// Where the log is.
    pub log: PathBuf,
    /// The disk under the log.
    pub origin: OriginOptions,
    /// The points to offer, which need not be all that are asked for.
    pub points: Vec<Point>,
    /// Where the changes go that are to be kept.
    pub keep: Option<PathBuf>,
}

pub(super) fn open(options: &PastOptions, name: &str) -> anyhow::Result<ExportTable> {
    if options.keep.is_some() && options.points.len() > 1 {
        return Err(Failure::Usage("--keep goes with one --at: its log has one disk".to_owned()).into());
    }
    if let Some(keep) = options.keep.as_ref().filter(|keep| keep.exists()) {
        return Err(Failure::Usage(format!("{} exists; --keep makes a new log", keep.display())).into());
    }
    let mut log = Log::open(&options.log)?;
    let sector_size = log.index().sector_size();
    check_sector_size(sector_size)?;
    let origin = options.origin.open()?;
    if let Some(base) = origin.disk() {
        base.lock_shared()?;
    }
    for point in &options.points {
        let resolved = log.resolve(Some(point), Edge::End)?;
        log.check_fits(resolved, origin.len_bytes(), origin.name())?;
    }
    let len_bytes = origin.len_bytes();
    let beyond = match log.check_fits(log.index().nr_entries(), len_bytes, origin.name()) {
        Ok(()) => None,
        Err(FitError::TooShort(beyond)) => Some(beyond),
        Err(error) => return Err(error.into()),
    };
    let named = options.points.iter().map(ToString::to_string).collect();
    let past = LogPast {
        beyond,
        broken: log.check_whole().err().map(|error| in_one_line(&error)),
        checkpoints: Mutex::new(Checkpoints::new(Discards::Zero)),
        base: origin.into_disk().map(Arc::new),
        keep: options.keep.clone(),
        path: options.log.clone(),
        parts: log.into_parts(),
    };
    let is_kept = options.keep.is_some();
    let table = ExportTable::past(name.to_owned(), len_bytes, sector_size, named, is_kept, Box::new(past));
    if is_kept {
        // It is to be there even if no client comes, and to fail now if it cannot be made.
        table.open_default().map_err(|error| anyhow::anyhow!("{}", error.0))?;
    }
    Ok(table)
}

/// A log and its base. Opening a point does not make others wait.
struct LogPast {
    path: PathBuf,
    parts: (Index, Arc<Disk>),
    /// Why the log could not be read to its end.
    broken: Option<String>,
    /// If the disk is too short for the whole log.
    beyond: Option<TooShort>,
    /// Made by earlier openings of points.
    checkpoints: Mutex<Checkpoints>,
    base: Option<Arc<Disk>>,
    keep: Option<PathBuf>,
}

impl LogPast {
    fn resolve(&self, point: &str) -> anyhow::Result<u64> {
        let point: Point = point.parse()?;
        let (index, _) = &self.parts;
        if point.anchor.counts_from_end() {
            self.check_whole()?;
        }
        let resolved = point.resolve(index).or_else(|error| {
            // The part that cannot be read may have it.
            self.check_whole()?;
            Err(error).with_context(|| self.path.display().to_string())
        })?;
        match &self.beyond {
            Some(beyond) if beyond.concerns(resolved) => Err(FitError::from(beyond.clone()).into()),
            _ => Ok(resolved),
        }
    }

    fn check_whole(&self) -> anyhow::Result<()> {
        self.broken.as_ref().map_or(Ok(()), |broken| Err(anyhow::Error::msg(broken.clone())))
    }

    /// Where the bytes of the disk were at a point.
    fn map_at(&self, point: u64) -> ExtentMap {
        // A copy shares everything with its original, so that no thread waits for another's work.
        let mut checkpoints = self.checkpoints.lock().clone();
        let map = checkpoints.map_at(&self.parts.0, point, &BTreeSet::new());
        *self.checkpoints.lock() = checkpoints;
        map
    }
}

impl Past for LogPast {
    fn check(&self, point: &str) -> anyhow::Result<()> {
        self.resolve(point).map(|_| ())
    }

    fn open(&self, point: &str) -> anyhow::Result<Arc<dyn LiveDisk>> {
        let map = self.map_at(self.resolve(point)?);
        let (index, log) = &self.parts;
        let base = Base::Past { base: self.base.as_ref().map(Arc::clone), log: Arc::clone(log), map };
        let overlay = Overlay::<SLOTS>::new(Config::new(index.sector_size()))?;
        let Some(path) = &self.keep else {
            let changes = ScratchLog::new(index.sector_size());
            return Ok(Arc::new(Engine::start(overlay, base, changes)?));
        };
        let disk = Disk::open(path, Access::CreateNew)?;
        disk.lock()?;
        Ok(Arc::new(Engine::start(overlay, base, LiveLog::new(LogFile::new(disk)?))?))
    }
}
