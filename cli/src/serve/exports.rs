//! What a server offers: one disk, or a disk as it was at points of its log.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use logwrites_core::SectorSize;
use parking_lot::Mutex;

use super::clients::Clients;
use super::engine::LiveDisk;

/// A server, as whoever watches it sees it.
pub trait Front: Send + Sync {
    /// What it offers.
    fn exports(&self) -> &ExportTable;

    /// Who uses it.
    fn clients(&self) -> &Clients;
}

/// Makes the disk as it was at a point, from the point's words.
pub type OpenPoint = dyn Fn(&str) -> anyhow::Result<Arc<dyn LiveDisk>> + Send + Sync;

/// What a server offers.
pub trait Exports {
    /// A disk that can be used.
    type Export;

    /// The names to be listed.
    fn names(&self) -> Vec<String>;

    /// The export with this name; the empty name means the default one.
    ///
    /// # Errors
    /// [`NoExport`], with words for the client's user.
    fn open(&self, name: &str) -> Result<(Self::Export, ExportInfo), NoExport>;
}

/// Why there is no such export, in words for the client's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoExport(pub String);

/// What a client is told of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportInfo {
    /// Its name.
    pub name: String,
    /// A text for people.
    pub description: String,
    /// Its size in bytes.
    pub len_bytes: u64,
    /// The unit of all requests.
    pub sector_size: SectorSize,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether zeros can be made faster than by writing them.
    pub has_fast_zero: bool,
}

/// The exports of a server.
pub struct ExportTable {
    name: String,
    description: String,
    len_bytes: u64,
    has_fast_zero: bool,
    disks: Disks,
}

enum Disks {
    /// The disk in use.
    Live(Arc<dyn LiveDisk>),
    /// The disk at points: those that were named at the start, the first of which is the default, and more as clients
    /// ask for them.
    Past { points: Vec<String>, open: Box<OpenPoint>, opened: Mutex<HashMap<String, Arc<dyn LiveDisk>>> },
}

impl ExportTable {
    /// One disk in use.
    #[must_use]
    pub fn live(name: String, len_bytes: u64, has_fast_zero: bool, disk: Arc<dyn LiveDisk>) -> Self {
        let description = "a disk whose writes are logged".to_owned();
        Self { name, description, len_bytes, has_fast_zero, disks: Disks::Live(disk) }
    }

    /// A disk at points of its log, at least one; what is changed is kept or not.
    #[must_use]
    pub fn past(
        name: String,
        len_bytes: u64,
        points: Vec<String>,
        is_kept: bool,
        open: Box<OpenPoint>,
    ) -> Self {
        let becomes = if is_kept { "kept, in a log of their own" } else { "thrown away" };
        let description = format!("a disk as it was, with changes that are {becomes}");
        let disks = Disks::Past { points, open, opened: Mutex::default() };
        Self { name, description, len_bytes, has_fast_zero: true, disks }
    }

    /// How long each disk is, in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The names of the exports, and what each is, for people.
    #[must_use]
    pub fn described(&self) -> Vec<(String, String)> {
        let size = indicatif::BinaryBytes(self.len_bytes);
        self.names().into_iter().map(|name| (name, format!("{size}, {}", self.description))).collect()
    }

    /// Opens the default export.
    ///
    /// # Errors
    /// [`NoExport`] if it cannot be opened.
    pub fn open_default(&self) -> Result<(), NoExport> {
        self.open("").map(|_| ())
    }

    /// The disk in use, if that is what is offered.
    #[must_use]
    pub const fn live_disk(&self) -> Option<&Arc<dyn LiveDisk>> {
        match &self.disks {
            Disks::Live(disk) => Some(disk),
            Disks::Past { .. } => None,
        }
    }

    /// Every disk that was opened.
    #[must_use]
    pub fn opened(&self) -> Vec<Arc<dyn LiveDisk>> {
        match &self.disks {
            Disks::Live(disk) => vec![Arc::clone(disk)],
            Disks::Past { opened, .. } => opened.lock().values().map(Arc::clone).collect(),
        }
    }

    fn disk_at(&self, point: &str) -> Result<Arc<dyn LiveDisk>, NoExport> {
        let Disks::Past { points, open, opened } = &self.disks else {
            return Err(self.unknown());
        };
        let mut opened = opened.lock();
        if let Some(disk) = opened.get(point) {
            return Ok(Arc::clone(disk));
        }
        let max_points = points.len().saturating_add(MAX_MORE_POINTS);
        if opened.len() >= max_points {
            // What nobody uses and nobody has changed can be made again.
            opened.retain(|point, disk| {
                Arc::strong_count(disk) > 1 || disk.counters().logged.index > 0 || points.contains(point)
            });
        }
        if opened.len() >= max_points {
            return Err(NoExport(format!("{max_points} points are in use: that is as many as there can be")));
        }
        let disk = open(point).map_err(|error| NoExport(format!("{error:#}")))?;
        opened.insert(point.to_owned(), Arc::clone(&disk));
        Ok(disk)
    }

    fn unknown(&self) -> NoExport {
        NoExport(match &self.disks {
            Disks::Live(_) => format!("the only export is '{}'", self.name),
            Disks::Past { .. } => format!("an export is named '{}@POINT'", self.name),
        })
    }
}

impl Exports for ExportTable {
    type Export = Arc<dyn LiveDisk>;

    fn names(&self) -> Vec<String> {
        match &self.disks {
            Disks::Live(_) => vec![self.name.clone()],
            Disks::Past { points, .. } => {
                points.iter().map(|point| format!("{}@{point}", self.name)).collect()
            }
        }
    }

    fn open(&self, name: &str) -> Result<(Self::Export, ExportInfo), NoExport> {
        let (disk, name) = match &self.disks {
            Disks::Live(disk) if name.is_empty() || name == self.name => {
                (Arc::clone(disk), self.name.clone())
            }
            Disks::Live(_) => return Err(self.unknown()),
            Disks::Past { points, .. } => {
                let default = points.first().map_or("end", String::as_str);
                let point = if name.is_empty() || name == self.name {
                    default
                } else {
                    let rest = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('@'));
                    rest.ok_or_else(|| self.unknown())?
                };
                (self.disk_at(point)?, format!("{}@{point}", self.name))
            }
        };
        let info = ExportInfo {
            name,
            description: self.description.clone(),
            len_bytes: self.len_bytes,
            sector_size: disk.sector_size(),
            is_read_only: false,
            has_fast_zero: self.has_fast_zero,
        };
        Ok((disk, info))
    }
}

impl fmt::Debug for ExportTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportTable").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// How many points beside those named at the start can be in use at once: each has threads and a map.
const MAX_MORE_POINTS: usize = 64;
