//! What a server offers: one disk, or a disk as of points of its log.

use std::fmt;
use std::sync::Arc;

use logwrites_core::SectorSize;

use super::clients::Clients;
use super::engine::LiveDisk;
pub use super::points::NoExport;
use super::points::{Lease, Past, Points};

/// A server, as its watcher sees it.
pub trait Front: Send + Sync {
    /// What it offers.
    fn exports(&self) -> &ExportTable;

    /// Who uses it.
    fn clients(&self) -> &Clients;
}

/// What a server offers.
pub trait Exports {
    /// A disk that can be used.
    type Export;

    /// The names to be listed.
    fn names(&self) -> Vec<String>;

    /// What the export with this name is; the empty name means the default one.
    ///
    /// # Errors
    /// [`NoExport`], with words for the client's user.
    fn describe(&self, name: &str) -> Result<ExportInfo, NoExport>;

    /// The export with this name, to be used.
    ///
    /// # Errors
    /// As [`describe`](Self::describe), and if it cannot be opened.
    fn open(&self, name: &str) -> Result<(Self::Export, ExportInfo), NoExport>;
}

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
    sector_size: SectorSize,
    has_fast_zero: bool,
    disks: Disks,
}

enum Disks {
    /// The disk in use.
    Live(Arc<dyn LiveDisk>),
    /// The disk at points: those that were named at the start, the first of which is the default, and any other that
    /// clients ask for.
    Past { named: Vec<String>, points: Arc<Points> },
}

impl ExportTable {
    /// One disk in use.
    #[must_use]
    pub fn live(name: String, len_bytes: u64, has_fast_zero: bool, disk: Arc<dyn LiveDisk>) -> Self {
        let description = "a disk whose writes are logged".to_owned();
        let sector_size = disk.sector_size();
        Self { name, description, len_bytes, sector_size, has_fast_zero, disks: Disks::Live(disk) }
    }

    /// A disk at points of its log, at least one; what is changed is kept or not.
    #[must_use]
    pub fn past(
        name: String,
        len_bytes: u64,
        sector_size: SectorSize,
        named: Vec<String>,
        is_kept: bool,
        past: Box<dyn Past>,
    ) -> Self {
        let becomes = if is_kept { "kept in a log of their own" } else { "thrown away" };
        let description = format!("a disk as of an earlier point, with changes that are {becomes}");
        let disks = Disks::Past { named, points: Points::new(past, is_kept) };
        Self { name, description, len_bytes, sector_size, has_fast_zero: true, disks }
    }

    /// How long each disk is, in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The unit of all disks.
    #[must_use]
    pub const fn sector_size(&self) -> SectorSize {
        self.sector_size
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

    /// Every disk that is open.
    #[must_use]
    pub fn opened(&self) -> Vec<Arc<dyn LiveDisk>> {
        match &self.disks {
            Disks::Live(disk) => vec![Arc::clone(disk)],
            Disks::Past { points, .. } => points.opened(),
        }
    }

    fn find<'a>(&'a self, name: &'a str) -> Result<Found<'a>, NoExport> {
        let is_default = name.is_empty() || name == self.name;
        match &self.disks {
            Disks::Live(disk) if is_default => Ok(Found::Live(disk)),
            Disks::Live(_) => Err(NoExport(format!("the only export is '{}'", self.name))),
            Disks::Past { named, points } => {
                let rest = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('@'));
                let point = if is_default { named.first().map(String::as_str) } else { rest };
                let unknown = || NoExport(format!("exports are named '{}@STATE'", self.name));
                Ok(Found::Past(points, point.ok_or_else(unknown)?))
            }
        }
    }

    fn info(&self, found: &Found<'_>) -> ExportInfo {
        ExportInfo {
            name: match found {
                Found::Live(_) => self.name.clone(),
                Found::Past(_, point) => format!("{}@{point}", self.name),
            },
            description: self.description.clone(),
            len_bytes: self.len_bytes,
            sector_size: self.sector_size,
            is_read_only: false,
            has_fast_zero: self.has_fast_zero,
        }
    }
}

/// What a name means.
enum Found<'a> {
    Live(&'a Arc<dyn LiveDisk>),
    Past(&'a Arc<Points>, &'a str),
}

impl Exports for ExportTable {
    type Export = Lease;

    fn names(&self) -> Vec<String> {
        match &self.disks {
            Disks::Live(_) => vec![self.name.clone()],
            Disks::Past { named, .. } => named.iter().map(|point| format!("{}@{point}", self.name)).collect(),
        }
    }

    fn describe(&self, name: &str) -> Result<ExportInfo, NoExport> {
        let found = self.find(name)?;
        if let Found::Past(points, point) = &found {
            points.check(point)?;
        }
        Ok(self.info(&found))
    }

    fn open(&self, name: &str) -> Result<(Lease, ExportInfo), NoExport> {
        let found = self.find(name)?;
        let lease = match &found {
            Found::Live(disk) => Lease::of(Arc::clone(disk)),
            Found::Past(points, point) => points.lease(point)?,
        };
        Ok((lease, self.info(&found)))
    }
}

impl fmt::Debug for ExportTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportTable").field("names", &self.names()).finish_non_exhaustive()
    }
}
