//! What the sectors of a disk are to its file system: superblock, bitmap, an inode, the data of a file.
//!
//! [`Contents`] is a map of a whole disk at one moment. Making it reads the metadata, and no contents of files; looking
//! something up takes O(log n). What is written to a journal says itself what it is, so a write is looked up with its bytes.
//!
//! | file system | what is told |
//! |---|---|
//! | ext4, ext3, ext2 | everything, with the paths of files; of a journal what each block is, and what it is a copy of |
//! | FAT12, FAT16, FAT32 | everything, with the paths of files; of a FAT the clusters whose entries are changed |
//! | btrfs | everything, with the paths of files in all subvolumes, and of each node its tree and generation |
//! | XFS | everything that is written back from its journal, with the paths of files; of a record of the journal what it changes |
//!
//! Images are not trusted: whatever is on a disk, nothing here panics; at most 256 MiB of it are read, and at most some
//! 400 MB of memory are used. A map that would take more is not complete, and says so.

mod btrfs;
mod disk;
mod ext;
mod fat;
mod fields;
mod kind;
mod paths;
mod pieces;
mod role;
mod xfs;

use alloc::vec::Vec;
use core::ops::Range;

use self::btrfs::Btrfs;
use self::disk::Disk;
use self::ext::Ext;
use self::fat::Fat;
pub use self::kind::FileSystemKind;
pub use self::role::{Class, Role};
use self::xfs::Xfs;
use crate::num::{clip, widen};

/// What each sector of a disk is.
#[derive(Clone, Debug)]
pub struct Contents {
    kind: FileSystemKind,
    len_bytes: u64,
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    Btrfs(Btrfs),
    Ext(Ext),
    Fat(Fat),
    Xfs(Xfs),
}

/// A write, to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Where on the disk it is, in bytes.
    pub offset_bytes: u64,
    /// What is written.
    pub bytes: &'a [u8],
    /// What was there before, as much as is known of it. It tells which of several inodes are changed.
    pub before: &'a [u8],
}

impl Contents {
    /// What is on a disk of `len_bytes` bytes; `None` if its file system is not known, or makes no sense. `read` fills a buffer
    /// from an offset in bytes, which with its length is within the disk.
    ///
    /// # Errors
    /// The first of `read`.
    pub fn of<E>(
        len_bytes: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let Some(kind) = FileSystemKind::recognise(len_bytes, &mut read)? else { return Ok(None) };
        let mut disk = Disk::new(len_bytes, &mut read);
        let layout = match kind {
            FileSystemKind::Btrfs => Btrfs::of(&mut disk, len_bytes)?.map(Layout::Btrfs),
            FileSystemKind::Ext4 => Ext::of(&mut disk)?.map(Layout::Ext),
            FileSystemKind::Fat => Fat::of(&mut disk)?.map(Layout::Fat),
            FileSystemKind::Xfs => Xfs::of(&mut disk)?.map(Layout::Xfs),
            _ => None,
        };
        Ok(layout.map(|layout| Self { kind, len_bytes, layout }))
    }

    /// The file system.
    #[must_use]
    pub const fn kind(&self) -> FileSystemKind {
        self.kind
    }

    /// Whether all of it is known: the disk was not too large, and not made to take up time or memory.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        match &self.layout {
            Layout::Btrfs(btrfs) => btrfs.is_complete(),
            Layout::Ext(ext) => ext.is_complete(),
            Layout::Fat(fat) => fat.is_complete(),
            Layout::Xfs(xfs) => xfs.is_complete(),
        }
    }

    /// What a range of bytes is, in order, each role once: at most [`MAX_ROLES`] of them.
    #[must_use]
    pub fn roles(&self, range: Range<u64>) -> Vec<Role> {
        let mut told = Told::default();
        match &self.layout {
            Layout::Btrfs(btrfs) => btrfs.roles(range).all(|role| told.add(role)),
            Layout::Ext(ext) => ext.roles(range).all(|role| told.add(role)),
            Layout::Fat(fat) => fat.roles(range).all(|role| told.add(role)),
            Layout::Xfs(xfs) => xfs.roles(range).all(|role| told.add(role)),
        };
        told.0
    }

    /// What a write is, in order, each role once: at most [`MAX_ROLES`] of them. `read` reads the disk with all that was
    /// written at that time: what a block of a journal is may be said by another one.
    ///
    /// # Errors
    /// The first of `read`.
    pub fn told<E>(
        &self,
        written: Written<'_>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<Role>, E> {
        let mut disk = Disk::new(self.len_bytes, &mut read);
        let mut told = Told::default();
        match &self.layout {
            Layout::Btrfs(btrfs) => btrfs.told(&written, |role| told.add(role)),
            Layout::Ext(ext) => ext.told(&written, &mut disk, |role| told.add(role))?,
            Layout::Fat(fat) => {
                fat.told(&written).all(|role| told.add(role));
            }
            Layout::Xfs(xfs) => xfs.told(&written, |role| told.add(role)),
        }
        Ok(told.0)
    }
}

/// How many roles are told of one write.
pub const MAX_ROLES: usize = 256;

#[derive(Default)]
struct Told(Vec<Role>);

impl Told {
    /// Takes in another role, and says whether there is room for more.
    fn add(&mut self, role: Role) -> bool {
        if !self.0.contains(&role) {
            self.0.push(role);
        }
        self.0.len() < MAX_ROLES
    }
}

impl Written<'_> {
    /// Where it is, in bytes of the disk.
    fn range(&self) -> Range<u64> {
        self.offset_bytes..self.offset_bytes.saturating_add(widen(self.bytes.len()))
    }

    /// What it has in a part of its range, and what was there before.
    fn part(&self, range: &Range<u64>) -> (&[u8], &[u8]) {
        let part = |bytes: &[u8]| {
            let at = |offset: u64| clip(offset.saturating_sub(self.offset_bytes), bytes.len());
            at(range.start)..at(range.end)
        };
        (&self.bytes[part(self.bytes)], &self.before[part(self.before)])
    }
}
