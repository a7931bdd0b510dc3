//! A disk as of points of its log: each point an overlay of its own, over the base, the log and the map that
//! says which, and under a log that is thrown away.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logwrites_core::Config;
use logwrites_core::crash::State;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index};
use logwrites_core::overlay::Overlay;
use parking_lot::Mutex;

use super::error::OpenError;
use super::limits::check_sector_size;
use crate::device::{Access, Disk, DiskError, LiveLog, LogFile, OriginOptions, ScratchLog};
use crate::explain::in_one_line;
use crate::log::{Edge, FitError, Log, LogError, TooShort, check_state};
use crate::point::{PointError, StateArg};
use crate::serve::engine::{Base, Engine, LiveDisk, SLOTS};
use crate::serve::exports::{ExportTable, NoExport};
use crate::serve::points::Past;

/// A disk as of some points of its log.
#[derive(Clone, Debug)]
pub struct PastOptions {
    /// Where the log is.
    pub log: PathBuf,
    /// How many of its entries are read, if it is still being written; all of them otherwise.
    pub nr_entries: Option<u64>,
    /// The disk under the log.
    pub origin: OriginOptions,
    /// The states to offer, which need not be all that are asked for.
    pub states: Vec<StateArg>,
    /// Where the changes go that are to be kept.
    pub keep: Option<PathBuf>,
}

pub(super) fn open(options: &PastOptions, name: &str) -> Result<ExportTable, OpenError> {
    if options.keep.is_some() && options.states.len() > 1 {
        return Err(OpenError::SeveralToKeep);
    }
    if let Some(keep) = options.keep.as_ref().filter(|keep| keep.exists()) {
        return Err(OpenError::KeepExists { path: keep.clone() });
    }
    let mut log = match options.nr_entries {
        Some(nr_entries) => Log::open_first(&options.log, nr_entries)?,
        None => Log::open(&options.log)?,
    };
    let sector_size = log.index().sector_size();
    check_sector_size(sector_size)?;
    let origin = options.origin.open()?;
    if let Some(base) = origin.disk() {
        base.lock_shared()?;
    }
    for state in &options.states {
        let state = log.resolve_state(Some(state), Edge::End)?;
        log.check_fits(state.point, origin.len_bytes(), origin.name())?;
    }
    let len_bytes = origin.len_bytes();
    let beyond = match log.check_fits(log.index().nr_entries(), len_bytes, origin.name()) {
        Ok(()) => None,
        Err(FitError::TooShort(beyond)) => Some(beyond),
        Err(error) => return Err(error.into()),
    };
    let named = options.states.iter().map(ToString::to_string).collect();
    let past = LogPast {
        beyond,
        broken: log.check_whole().err().map(no_export),
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
        table.open_default()?;
    }
    Ok(table)
}

/// A log and its base. Opening a point does not make others wait.
struct LogPast {
    path: PathBuf,
    parts: (Index, Arc<Disk>),
    /// Why the log could not be read to its end.
    broken: Option<NoExport>,
    /// If the disk is too short for the whole log.
    beyond: Option<TooShort>,
    /// Made by earlier openings of points.
    checkpoints: Mutex<Checkpoints>,
    base: Option<Arc<Disk>>,
    keep: Option<PathBuf>,
}

impl LogPast {
    fn resolve(&self, state: &str) -> Result<State, NoExport> {
        let StateArg { point, lost } = state.parse().map_err(no_export::<PointError>)?;
        let (index, _) = &self.parts;
        if point.anchor.counts_from_end() {
            self.check_whole()?;
        }
        let resolved = point.resolve(index).or_else(|error| {
            // The part that cannot be read may have it.
            self.check_whole()?;
            Err(no_export(LogError::NoPoint { path: self.path.clone(), source: error }))
        })?;
        match &self.beyond {
            Some(beyond) if beyond.concerns(resolved) => Err(no_export(beyond.clone())),
            _ => check_state(State { point: resolved, lost }, index, &self.path).map_err(no_export),
        }
    }

    fn check_whole(&self) -> Result<(), NoExport> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Where the bytes of the disk were in a state.
    fn map_at(&self, state: &State) -> ExtentMap {
        // A copy shares everything with its original, so that no thread waits for another's work.
        let mut checkpoints = self.checkpoints.lock().clone();
        let map = checkpoints.map_at(&self.parts.0, state.point, &state.lost);
        *self.checkpoints.lock() = checkpoints;
        map
    }
}

impl Past for LogPast {
    fn check(&self, point: &str) -> Result<(), NoExport> {
        self.resolve(point).map(|_| ())
    }

    fn open(&self, point: &str) -> Result<Arc<dyn LiveDisk>, NoExport> {
        let map = self.map_at(&self.resolve(point)?);
        let (index, log) = &self.parts;
        let base = Base::Past { base: self.base.as_ref().map(Arc::clone), log: Arc::clone(log), map };
        let overlay = Overlay::<SLOTS>::new(Config::new(index.sector_size())).map_err(no_export)?;
        let Some(path) = &self.keep else {
            let changes = ScratchLog::new(index.sector_size());
            return Ok(Arc::new(Engine::start(overlay, base, changes).map_err(no_export)?));
        };
        let log = new_log(path).map_err(no_export)?;
        Ok(Arc::new(Engine::start(overlay, base, LiveLog::new(log)).map_err(no_export)?))
    }
}

/// Makes the log of changes that are kept.
fn new_log(path: &Path) -> Result<LogFile, DiskError> {
    let disk = Disk::open(path, Access::CreateNew)?;
    disk.lock()?;
    LogFile::new(disk)
}

fn no_export<E: Error + 'static>(error: E) -> NoExport {
    NoExport(in_one_line(&error))
}
