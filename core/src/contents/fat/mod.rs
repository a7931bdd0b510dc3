//! FAT with 12, 16 or 32 bits: what each sector is.
//!
//! Written from Microsoft's specification of the layout; where Linux takes it otherwise, as Linux does. A file has no
//! number: its first cluster stands for it.

mod directory;
mod geometry;
mod table;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use self::directory::{Entries, File};
use self::geometry::{FIRST_CLUSTER, Geometry};
use self::table::{Entry, Table, Width};
use super::Written;
use super::disk::Disk;
use super::paths::Paths;
use super::pieces::{Claims, Part, Pieces};
use super::role::{Bytes, Class, Role, listed};
use crate::num::{narrow, widen};

/// What each sector of a file system is.
#[derive(Clone, Debug)]
pub(super) struct Fat {
    geometry: Geometry,
    pieces: Pieces<Sector>,
    paths: Paths,
    is_complete: bool,
}

/// What a sector is. Offsets are in bytes, files are their first clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sector {
    Boot,
    BootBackup,
    Info,
    InfoBackup,
    Reserved,
    Fat { nth: u8, offset: u64 },
    Directory { file: u32 },
    Data { file: u32, offset: u64 },
    Bad,
    Free,
}

impl Part for Sector {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Fat { nth, offset } => Self::Fat { nth, offset: offset + bytes },
            Self::Data { file, offset } => Self::Data { file, offset: offset.saturating_add(bytes) },
            _ => self,
        }
    }
}

impl Fat {
    /// What the sectors of a disk are; `None` if its boot sector makes no sense.
    pub(super) fn of<E>(disk: &mut Disk<'_, E>) -> Result<Option<Self>, E> {
        let Some(boot) = disk.read(0, 512)? else { return Ok(None) };
        let Some(geometry) = Geometry::parse(&boot) else { return Ok(None) };
        let table = Table::read(disk, &geometry)?;
        let mut building = Building {
            disk,
            geometry,
            table,
            claims: Claims::new(),
            paths: Paths::new(ROOT.into()),
            directories: Vec::new(),
        };
        building.claim_layout();
        building.claim_root()?;
        building.claim_files()?;
        building.claim_unused();
        let Building { disk, table, claims, paths, .. } = building;
        let is_complete =
            table.is_complete() && !disk.is_exhausted() && !claims.is_full() && !paths.is_full();
        Ok(Some(Self { geometry, pieces: claims.into_pieces(), paths, is_complete }))
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What a range of bytes is.
    pub(super) fn roles(&self, range: Range<u64>) -> impl Iterator<Item = Role> + '_ {
        self.pieces.of(range).map(|(range, sector)| self.role(range.end - range.start, sector))
    }

    /// What a write says: of a FAT, which entries it changes.
    pub(super) fn told(&self, written: &Written<'_>) -> impl Iterator<Item = Role> {
        self.pieces.of(written.range()).map(|(range, sector)| match sector {
            Some(Sector::Fat { nth, offset }) => {
                let (now, before) = written.part(&range);
                self.changed(nth, offset, now, before)
            }
            _ => self.role(range.end - range.start, sector),
        })
    }

    fn role(&self, len_bytes: u64, sector: Option<Sector>) -> Role {
        match sector {
            None => Role::unknown(),
            Some(Sector::Boot) => Role::new(Class::Superblock, "boot sector"),
            Some(Sector::BootBackup) => Role::new(Class::Superblock, "backup boot sector"),
            Some(Sector::Info) => Role::new(Class::Allocation, "FSInfo"),
            Some(Sector::InfoBackup) => Role::new(Class::Allocation, "backup FSInfo"),
            Some(Sector::Reserved) => Role::new(Class::Superblock, "reserved sectors"),
            Some(Sector::Fat { nth, offset }) => self.entries(nth, offset, len_bytes),
            Some(Sector::Directory { file: ROOT }) => Role::new(Class::Directory, "root directory"),
            Some(Sector::Directory { file }) => {
                Role::new(Class::Directory, format!("directory {}", self.name(file)))
            }
            Some(Sector::Data { file, offset }) => {
                Role::new(Class::Data, format!("data of {} at {}", self.name(file), Bytes(offset)))
            }
            Some(Sector::Bad) => Role::new(Class::Metadata, "bad cluster"),
            Some(Sector::Free) => Role::free(),
        }
    }

    /// Some bytes of a FAT, no entry of which is known to matter more than the others.
    fn entries(&self, nth: u8, offset: u64, len_bytes: u64) -> Role {
        let entries = self.geometry.width.entries(offset, len_bytes);
        let end = u64::from(self.geometry.nr_clusters()) + u64::from(FIRST_CLUSTER);
        let (first, last) = (*entries.start(), (*entries.end()).min(end - 1));
        if first > last {
            return Role::new(Class::Allocation, format!("FAT {nth}, after its last entry"));
        }
        Role::new(Class::Allocation, format!("FAT {nth}, clusters {first} to {last}"))
    }

    /// The entries of a FAT that a write changes, with the files that they are of.
    fn changed(&self, nth: u8, offset: u64, now: &[u8], before: &[u8]) -> Role {
        let width = self.geometry.width;
        let len_bytes = widen(now.len());
        let mut runs: Vec<(u64, u64, Option<u32>)> = Vec::new();
        let entries = width.entries(offset, len_bytes).filter(|_| !before.is_empty());
        for entry in entries.filter(|entry| width.differs(*entry, offset, (now, before))) {
            let (owner, is_full) = (self.owner(entry), runs.len() == MAX_CHANGED);
            match runs.last_mut() {
                Some((_, last, of)) if *last + 1 == entry && *of == owner => *last = entry,
                _ if is_full => return self.entries(nth, offset, len_bytes),
                _ => runs.push((entry, entry, owner)),
            }
        }
        let name =
            |owner: Option<u32>| owner.map_or_else(String::new, |file| format!(" ({})", self.name(file)));
        match &runs[..] {
            [] => self.entries(nth, offset, len_bytes),
            [(first, last, owner)] if first == last => {
                Role::new(Class::Allocation, format!("FAT {nth}, cluster {first}{}", name(*owner)))
            }
            _ => {
                let text = |(first, last, owner): &(u64, u64, Option<u32>)| {
                    let last = if first == last { String::new() } else { format!(" to {last}") };
                    format!("{first}{last}{}", name(*owner))
                };
                let runs: Vec<String> = runs.iter().map(text).collect();
                Role::new(Class::Allocation, format!("FAT {nth}, clusters {}", listed(&runs)))
            }
        }
    }

    /// The file that has a cluster.
    fn owner(&self, cluster: u64) -> Option<u32> {
        let cluster = u32::try_from(cluster).ok()?;
        let nth = cluster.checked_sub(FIRST_CLUSTER).filter(|nth| *nth < self.geometry.nr_clusters())?;
        match self.pieces.of(self.geometry.clusters(nth + FIRST_CLUSTER, 1)).next()? {
            (_, Some(Sector::Data { file, .. } | Sector::Directory { file })) => Some(file),
            _ => None,
        }
    }

    /// A file, by the best name that it has.
    fn name(&self, file: u32) -> String {
        self.paths.of(file.into()).unwrap_or_else(|| format!("the file at cluster {file}"))
    }
}

/// A map in the making.
struct Building<'a, 'd, E> {
    disk: &'a mut Disk<'d, E>,
    geometry: Geometry,
    table: Table,
    claims: Claims<Sector>,
    paths: Paths,
    /// The directories that were not read yet: each with its first cluster, and how many it has.
    directories: Vec<(u32, u32, u32)>,
}

impl<E> Building<'_, '_, E> {
    /// What is where it is since the file system was made.
    fn claim_layout(&mut self) {
        let geometry = self.geometry;
        let special = [
            (Some(0), Sector::Boot),
            (geometry.info, Sector::Info),
            (geometry.backup, Sector::BootBackup),
            (geometry.info_backup(), Sector::InfoBackup),
        ];
        for (at, sector) in special {
            if let Some(at) = at {
                self.claims.claim(geometry.sectors(at, 1), sector);
            }
        }
        self.claims.claim(geometry.sectors(0, geometry.nr_reserved), Sector::Reserved);
        for (at, nth) in (0..geometry.nr_fats).zip(1..=u8::MAX) {
            self.claims.claim(geometry.fat(at), Sector::Fat { nth, offset: 0 });
        }
        self.claims.claim(geometry.root(), Sector::Directory { file: ROOT });
    }

    fn claim_root(&mut self) -> Result<(), E> {
        if let Some(cluster) = self.geometry.root_cluster {
            self.claim_directory(ROOT, cluster);
            return Ok(());
        }
        let root = self.geometry.root();
        let bytes = self.disk.read(root.start, narrow(root.end - root.start))?.unwrap_or_default();
        Entries::default().take(&bytes, |file| self.claim_file(ROOT, &file));
        Ok(())
    }

    /// What directories have, and directories in them. It ends: each cluster is followed once.
    fn claim_files(&mut self) -> Result<(), E> {
        while let Some((directory, first, nr_clusters)) = self.directories.pop() {
            let mut entries = Entries::default();
            let mut next = first;
            for _ in 0..nr_clusters {
                let range = self.geometry.clusters(next, 1);
                let Some(bytes) = self.disk.read(range.start, narrow(range.end - range.start))? else {
                    break;
                };
                if !entries.take(&bytes, |file| self.claim_file(directory, &file)) {
                    break;
                }
                let Some(Entry::Used(after)) = self.table.entry(next) else { break };
                next = after;
            }
        }
        Ok(())
    }

    fn claim_file(&mut self, directory: u32, file: &File) {
        let cluster = match self.geometry.width {
            Width::Bits12 | Width::Bits16 => file.cluster & u32::from(u16::MAX),
            Width::Bits32 => file.cluster,
        };
        if cluster < FIRST_CLUSTER || file.name == b"." || file.name == b".." {
            return;
        }
        self.paths.add(directory.into(), &file.name, cluster.into());
        if file.is_directory {
            self.claim_directory(cluster, cluster);
        } else {
            self.claim_clusters(cluster, |offset| Sector::Data { file: cluster, offset });
        }
    }

    /// Claims the clusters of a directory, which is read later.
    fn claim_directory(&mut self, file: u32, first: u32) {
        let nr_clusters = self.claim_clusters(first, |_| Sector::Directory { file });
        if nr_clusters > 0 {
            self.directories.push((file, first, nr_clusters));
        }
    }

    /// Claims a chain of clusters, as what its bytes are from an offset on, and says how many they are.
    fn claim_clusters(&mut self, first: u32, what: impl Fn(u64) -> Sector) -> u32 {
        let (mut offset, mut nr_all) = (0, 0);
        for (first, nr_clusters) in self.table.follow(first) {
            let range = self.geometry.clusters(first, nr_clusters);
            let len_bytes = range.end - range.start;
            self.claims.claim(range, what(offset));
            offset += len_bytes;
            nr_all += nr_clusters;
        }
        nr_all
    }

    /// What the table says is free or bad, as far as no file has it.
    fn claim_unused(&mut self) {
        for (first, nr_clusters, entry) in self.table.unused() {
            let what = if entry == Entry::Bad { Sector::Bad } else { Sector::Free };
            self.claims.claim(self.geometry.clusters(first, nr_clusters), what);
        }
    }
}

/// What stands for the root directory, which on some disks has no cluster.
const ROOT: u32 = 0;

/// How many runs of changed entries of a FAT are looked at.
const MAX_CHANGED: usize = 4096;
