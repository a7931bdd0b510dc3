//! How a FAT file system is laid out, as its boot sector says.

use core::ops::Range;

use super::super::fields::Fields;
use super::table::Width;
use crate::num::widen;

/// What the boot sector says, as far as it makes sense. Numbers of sectors are in the file system's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) width: Width,
    sector_bytes: u64,
    cluster_sectors: u64,
    /// The sectors before the first FAT.
    pub(super) nr_reserved: u64,
    pub(super) nr_fats: u64,
    fat_sectors: u64,
    /// Of a root directory that is not in clusters.
    root_sectors: u64,
    nr_sectors: u64,
    /// The first cluster of a root directory that is in clusters.
    pub(super) root_cluster: Option<u32>,
    /// The sector with the number of free clusters.
    pub(super) info: Option<u64>,
    /// The sector with a copy of the boot sector.
    pub(super) backup: Option<u64>,
    /// The FAT that counts, from 0 on.
    active_fat: u64,
}

impl Geometry {
    /// What a boot sector says; `None` if it makes no sense.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let boot = Fields(bytes);
        let either = |short: u16, long: u32| if short == 0 { u64::from(long) } else { u64::from(short) };
        let sector_bytes = u64::from(boot.le16(11));
        // As Linux tells it: by where the length of the FATs is, not by the number of clusters.
        let is_32 = boot.le16(22) == 0;
        let nr_reserved = u64::from(boot.le16(14));
        let within =
            |sector: u16| Some(u64::from(sector)).filter(|at| is_32 && (1..nr_reserved).contains(at));
        let mut geometry = Self {
            width: Width::Bits32,
            sector_bytes,
            cluster_sectors: u64::from(boot.byte(13)),
            nr_reserved,
            nr_fats: u64::from(boot.byte(16)),
            fat_sectors: either(boot.le16(22), boot.le32(36)),
            root_sectors: (u64::from(boot.le16(17)) * ENTRY_BYTES).div_ceil(sector_bytes.max(1)),
            nr_sectors: either(boot.le16(19), boot.le32(32)),
            root_cluster: is_32.then(|| boot.le32(44)),
            info: within(boot.le16(48)),
            backup: within(boot.le16(50)),
            active_fat: 0,
        };
        let is_sane = sector_bytes.is_power_of_two()
            && (512..=4096).contains(&sector_bytes)
            && geometry.cluster_sectors.is_power_of_two()
            && nr_reserved > 0
            && geometry.nr_fats > 0
            && geometry.fat_sectors > 0
            && geometry.first_data() < geometry.nr_sectors;
        if !is_sane {
            return None;
        }
        if is_32 {
            let flags = boot.le16(40);
            let is_one = flags & ONE_FAT != 0 && u64::from(flags & ACTIVE_FAT) < geometry.nr_fats;
            geometry.active_fat = if is_one { u64::from(flags & ACTIVE_FAT) } else { 0 };
        } else {
            let is_12 = geometry.room() <= MAX_CLUSTERS_12;
            geometry.width = if is_12 { Width::Bits12 } else { Width::Bits16 };
        }
        Some(geometry)
    }

    /// How many clusters there are; their numbers begin with [`FIRST_CLUSTER`].
    pub(super) fn nr_clusters(&self) -> u32 {
        let nr_entries = self.width.nr_entries(self.fat_sectors * self.sector_bytes);
        let nr_clusters = self.room().min(nr_entries.saturating_sub(FIRST_CLUSTER.into()));
        u32::try_from(nr_clusters).unwrap_or(MAX_CLUSTERS_32).min(MAX_CLUSTERS_32)
    }

    /// Some clusters, as bytes of the disk.
    pub(super) fn clusters(&self, first: u32, nr_clusters: u32) -> Range<u64> {
        let at = self.first_data() + u64::from(first - FIRST_CLUSTER) * self.cluster_sectors;
        self.sectors(at, u64::from(nr_clusters) * self.cluster_sectors)
    }

    /// A FAT, counted from 0, as bytes of the disk.
    pub(super) fn fat(&self, nth: u64) -> Range<u64> {
        self.sectors(self.nr_reserved + nth * self.fat_sectors, self.fat_sectors)
    }

    /// The sector with a copy of that with the number of free clusters.
    pub(super) fn info_backup(&self) -> Option<u64> {
        Some(self.backup? + self.info?).filter(|at| *at < self.nr_reserved)
    }

    /// The FAT that counts, as bytes of the disk.
    pub(super) fn active_fat(&self) -> Range<u64> {
        self.fat(self.active_fat)
    }

    /// A root directory that is not in clusters, as bytes of the disk.
    pub(super) fn root(&self) -> Range<u64> {
        self.sectors(self.first_root(), self.root_sectors)
    }

    /// Some sectors, as bytes of the disk.
    pub(super) fn sectors(&self, first: u64, nr_sectors: u64) -> Range<u64> {
        first * self.sector_bytes..(first + nr_sectors) * self.sector_bytes
    }

    const fn first_root(&self) -> u64 {
        self.nr_reserved + self.nr_fats * self.fat_sectors
    }

    const fn first_data(&self) -> u64 {
        self.first_root() + self.root_sectors
    }

    /// How many clusters there is space for.
    const fn room(&self) -> u64 {
        (self.nr_sectors - self.first_data()) / self.cluster_sectors
    }
}

/// The number of the first cluster: the FAT's first two entries are not of clusters.
pub(super) const FIRST_CLUSTER: u32 = 2;

/// How long an entry of a directory is.
pub(super) const ENTRY_BYTES: u64 = widen(ENTRY_LEN);
pub(super) const ENTRY_LEN: usize = 32;

const MAX_CLUSTERS_12: u64 = 4084;
const MAX_CLUSTERS_32: u32 = 0x0fff_fff5;

const ONE_FAT: u16 = 0x80;
const ACTIVE_FAT: u16 = 0xf;
