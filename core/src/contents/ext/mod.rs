//! ext4, and ext2 and ext3: what each block is.
//!
//! Written from the kernel's documentation of the layout (`Documentation/filesystems/ext4`). Paths come from the
//! directories; where the journal has newer blocks, those are read. External journals are not read.

mod blocks;
mod geometry;
mod inode;
mod journal;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use self::blocks::Blocks;
use self::geometry::Geometry;
use self::inode::Inode;
use self::journal::{Journal, Says};
use super::Written;
use super::disk::Disk;
use super::fields::{Fields, changed_records};
use super::paths::Paths;
use super::pieces::{Claims, Part, Pieces};
use super::role::{Bytes, Class, Role, listed};
use crate::num::{narrow, widen};

/// What each block of a file system is.
#[derive(Clone, Debug)]
pub(super) struct Ext {
    geometry: Geometry,
    pieces: Pieces<Block>,
    paths: Paths,
    journal: Option<Journal>,
    is_complete: bool,
}

/// What a block is. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Before the superblock.
    Boot,
    Superblock {
        group: u32,
    },
    Descriptors {
        group: u32,
    },
    ReservedDescriptors,
    Bitmap {
        group: u32,
    },
    InodeBitmap {
        group: u32,
    },
    Inodes {
        group: u32,
        offset: u64,
    },
    Journal {
        offset: u64,
    },
    Directory {
        inode: u32,
    },
    /// It says where the blocks of a file are.
    Map {
        inode: u32,
    },
    Attributes {
        inode: u32,
    },
    MultiMount,
    Data {
        inode: u32,
        offset: u64,
    },
    Free,
}

impl Part for Block {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Inodes { group, offset } => Self::Inodes { group, offset: offset + bytes },
            Self::Journal { offset } => Self::Journal { offset: offset + bytes },
            Self::Data { inode, offset } => Self::Data { inode, offset: offset.saturating_add(bytes) },
            _ => self,
        }
    }
}

/// A group of blocks, as its descriptor says.
#[derive(Clone, Copy, Debug)]
struct Group {
    number: u32,
    block_bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    /// How many of its inodes were ever used.
    nr_inodes: u32,
    has_block_bitmap: bool,
}

impl Ext {
    /// What the blocks of a disk are; `None` if its superblock makes no sense.
    pub(super) fn of<E>(disk: &mut Disk<'_, E>) -> Result<Option<Self>, E> {
        let Some(superblock) = disk.read(1024, 1024)? else { return Ok(None) };
        let Some(geometry) = Geometry::parse(&superblock) else { return Ok(None) };
        let mut blocks = Blocks::new(disk, geometry);
        let journal = open_journal(&mut blocks)?;
        if let Some(journal) = &journal {
            blocks.replay(journal)?;
        }
        let groups = read_groups(&mut blocks)?;
        let mut building =
            Building { blocks, claims: Claims::new(), paths: Paths::new(ROOT), directories: Vec::new() };
        building.claim_layout(&groups);
        for group in &groups {
            building.claim_files(group)?;
        }
        building.read_directories()?;
        for group in &groups {
            building.claim_free(group)?;
        }
        let Building { blocks, claims, paths, .. } = building;
        let is_complete = blocks.is_complete()
            && geometry.nr_groups() <= u64::from(MAX_GROUPS)
            && !claims.is_full()
            && !paths.is_full();
        Ok(Some(Self { geometry, pieces: claims.into_pieces(), paths, journal, is_complete }))
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What a range of bytes is.
    pub(super) fn roles(&self, range: Range<u64>) -> impl Iterator<Item = Role> + '_ {
        self.pieces.of(range).map(|(range, block)| self.role(range.end - range.start, block))
    }

    /// What a write says, block for block where that matters.
    pub(super) fn told<E>(
        &self,
        written: &Written<'_>,
        disk: &mut Disk<'_, E>,
        mut tell: impl FnMut(Role) -> bool,
    ) -> Result<(), E> {
        for (range, block) in self.pieces.of(written.range()) {
            let len_bytes = range.end - range.start;
            match block {
                Some(Block::Journal { offset }) => {
                    for (at, block) in self.blocks_of(range.clone()) {
                        let offset = offset + (at.start - range.start);
                        if !tell(self.journalled(offset, written.part(&at), block, disk)?) {
                            return Ok(());
                        }
                    }
                }
                Some(Block::Inodes { group, offset }) => {
                    let (now, before) = written.part(&range);
                    if !tell(self.inodes(group, offset, now, before)) {
                        return Ok(());
                    }
                }
                _ => {
                    if !tell(self.role(len_bytes, block)) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The blocks of a range, as far as they are in it.
    fn blocks_of(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, u64)> {
        let geometry = self.geometry;
        let mut at = range.start;
        core::iter::from_fn(move || {
            let block = geometry.block_of(at);
            let end = geometry.bytes(block, 1).end.min(range.end);
            let part = at..end;
            at = end;
            (!part.is_empty()).then_some((part, block))
        })
    }

    fn role(&self, len_bytes: u64, block: Option<Block>) -> Role {
        let superblock = |phrase: String| Role::new(Class::Superblock, phrase);
        match block {
            None => Role::unknown(),
            Some(Block::Free) => Role::free(),
            Some(Block::Boot) => Role::new(Class::Superblock, "boot block"),
            Some(Block::Superblock { group: 0 }) => Role::new(Class::Superblock, "superblock"),
            Some(Block::Superblock { group }) => superblock(format!("superblock, copy in group {group}")),
            Some(Block::Descriptors { group: 0 }) => Role::new(Class::Superblock, "group descriptors"),
            Some(Block::Descriptors { group }) => {
                superblock(format!("group descriptors, copy in group {group}"))
            }
            Some(Block::ReservedDescriptors) => Role::new(Class::Superblock, "reserved group descriptors"),
            Some(Block::Bitmap { group }) => {
                Role::new(Class::Allocation, format!("block bitmap of group {group}"))
            }
            Some(Block::InodeBitmap { group }) => {
                Role::new(Class::Allocation, format!("inode bitmap of group {group}"))
            }
            Some(Block::Inodes { group, offset }) => self.inode_table(group, offset, len_bytes),
            Some(Block::Journal { .. }) => Role::new(Class::Journal, "journal"),
            Some(Block::Directory { inode }) => {
                Role::new(Class::Directory, format!("directory {}", self.name(inode)))
            }
            Some(Block::Map { inode }) => {
                Role::new(Class::Inode, format!("block map of {}", self.name(inode)))
            }
            Some(Block::Attributes { inode }) => {
                Role::new(Class::Metadata, format!("extended attributes of {}", self.name(inode)))
            }
            Some(Block::MultiMount) => Role::new(Class::Metadata, "multi-mount protection"),
            Some(Block::Data { inode, offset }) => {
                Role::new(Class::Data, format!("data of {} at {}", self.name(inode), Bytes(offset)))
            }
        }
    }

    /// Some inodes, none of which is known to matter more than the others.
    fn inode_table(&self, group: u32, offset: u64, len_bytes: u64) -> Role {
        let nr_bytes = widen(self.geometry.inode_bytes);
        let (first, end) = (offset / nr_bytes, (offset + len_bytes).div_ceil(nr_bytes));
        let (first, last) = (self.number(group, first), self.number(group, end.max(1) - 1));
        Role::new(Class::Inode, format!("inode table of group {group}, inodes {first} to {last}"))
    }

    /// The inodes that a write changes.
    fn inodes(&self, group: u32, offset: u64, now: &[u8], before: &[u8]) -> Role {
        let changed = changed_records(offset, self.geometry.inode_bytes, (now, before));
        let changed: Vec<String> =
            changed.into_iter().map(|nth| self.inode(self.number(group, nth))).collect();
        match &changed[..] {
            [] => self.inode_table(group, offset, widen(now.len())),
            [inode] => Role::new(Class::Inode, format!("inode {inode}")),
            _ => Role::new(Class::Inode, format!("inodes {}", listed(&changed))),
        }
    }

    /// What a write to a block of the journal says.
    fn journalled<E>(
        &self,
        offset: u64,
        (now, _): (&[u8], &[u8]),
        block: u64,
        disk: &mut Disk<'_, E>,
    ) -> Result<Role, E> {
        let role = |phrase: String| Ok(Role::new(Class::Journal, phrase));
        match journal::says(now) {
            Some(Says::Superblock) => return Ok(Role::new(Class::Journal, "journal, superblock")),
            Some(Says::Descriptor(sequence)) => {
                return role(format!("journal, descriptor of transaction {sequence}"));
            }
            Some(Says::Commit(sequence)) => {
                return role(format!("journal, commit of transaction {sequence}"));
            }
            Some(Says::Revoke(sequence)) => {
                return role(format!("journal, revoked blocks of transaction {sequence}"));
            }
            None => {}
        }
        let at = offset / widen(self.geometry.block_bytes());
        let Some(journal) = &self.journal else { return Ok(Role::new(Class::Journal, "journal")) };
        if journal.is_fast(at) {
            return Ok(Role::new(Class::Journal, "journal, fast commits"));
        }
        let is_zero = now.iter().all(|byte| *byte == 0);
        match journal.copied(disk, at)? {
            Some(copied) if copied.block != block && !is_zero => {
                let range = self.geometry.bytes(copied.block, 1);
                let copy = match self.pieces.of(range.clone()).next() {
                    Some((range, Some(Block::Inodes { group, offset }))) => {
                        let before = disk.read(range.start, now.len())?.unwrap_or_default();
                        self.inodes(group, offset, now, &before)
                    }
                    found => self.role(range.end - range.start, found.and_then(|(_, block)| block)),
                };
                role(format!("journal, transaction {}: {copy}", copied.sequence))
            }
            _ => Ok(Role::new(Class::Journal, "journal")),
        }
    }

    /// The inode of a place in a group's table.
    fn number(&self, group: u32, nth: u64) -> u64 {
        u64::from(group) * u64::from(self.geometry.inodes_per_group) + nth + 1
    }

    /// An inode, and what it is called.
    fn inode(&self, number: u64) -> String {
        let named = u32::try_from(number).ok().and_then(|number| self.known(number));
        named.map_or_else(|| format!("{number}"), |name| format!("{number} ({name})"))
    }

    /// A file, by the best name that it has.
    fn name(&self, inode: u32) -> String {
        self.known(inode).unwrap_or_else(|| format!("inode {inode}"))
    }

    fn known(&self, inode: u32) -> Option<String> {
        let special = match inode {
            1 => "bad blocks",
            3 => "user quota",
            4 => "group quota",
            7 => "reserved group descriptors",
            _ if inode == self.geometry.journal_inode => "journal",
            _ if inode == self.geometry.orphan_inode => "orphan file",
            _ => return self.paths.of(inode.into()),
        };
        Some(String::from(special))
    }
}

/// Finds the journal by what the disk itself has.
fn open_journal<E>(blocks: &mut Blocks<'_, '_, E>) -> Result<Option<Journal>, E> {
    let geometry = blocks.geometry;
    let Some(nth) = geometry.journal_inode.checked_sub(1) else { return Ok(None) };
    let (group, nth) = (nth / geometry.inodes_per_group, nth % geometry.inodes_per_group);
    if u64::from(group) >= geometry.nr_groups() {
        return Ok(None);
    }
    let Some(group) = read_group(blocks, group)? else { return Ok(None) };
    let offset = geometry.bytes(group.inode_table, 0).start + u64::from(nth) * widen(geometry.inode_bytes);
    let Some(inode) = blocks.disk.read(offset, geometry.inode_bytes)? else { return Ok(None) };
    let inode = Inode(Fields(&inode));
    if !inode.has_blocks() {
        return Ok(None);
    }
    let runs = inode.runs(blocks)?;
    let runs = runs.into_iter().filter_map(|run| Some((run.at?, run.block, run.nr_blocks)));
    Journal::open(blocks.disk, runs.collect(), geometry.block_bytes())
}

fn read_groups<E>(blocks: &mut Blocks<'_, '_, E>) -> Result<Vec<Group>, E> {
    let geometry = blocks.geometry;
    let nr_groups = u32::try_from(geometry.nr_groups()).unwrap_or(u32::MAX).min(MAX_GROUPS);
    let mut groups = Vec::new();
    for first in (0..nr_groups).step_by(narrow(geometry.descriptors_per_block())) {
        let (block, _) = geometry.descriptor_at(first.into());
        let Some(bytes) = blocks.read(block, 1)? else { break };
        let end =
            nr_groups.min(first.saturating_add(u32::try_from(geometry.descriptors_per_block()).unwrap_or(1)));
        groups.extend((first..end).map(|group| parse_group(&geometry, group, &bytes)));
    }
    Ok(groups)
}

fn read_group<E>(blocks: &mut Blocks<'_, '_, E>, group: u32) -> Result<Option<Group>, E> {
    let geometry = blocks.geometry;
    let (block, _) = geometry.descriptor_at(group.into());
    Ok(blocks.read(block, 1)?.map(|bytes| parse_group(&geometry, group, &bytes)))
}

/// A group, of a block of descriptors.
fn parse_group(geometry: &Geometry, group: u32, block: &[u8]) -> Group {
    let (_, at) = geometry.descriptor_at(group.into());
    let fields = Fields(Fields(block).from(at));
    let number = |low: usize, high: usize| {
        if geometry.is_64_bit() { fields.le_halves(low, high) } else { u64::from(fields.le32(low)) }
    };
    let flags = if geometry.has_unwritten() { fields.le16(18) } else { 0 };
    let high = if geometry.is_64_bit() { u32::from(fields.le16(50)) << 16 } else { 0 };
    let unused = if geometry.has_unwritten() { u32::from(fields.le16(28)) | high } else { 0 };
    Group {
        number: group,
        block_bitmap: number(0, 32),
        inode_bitmap: number(4, 36),
        inode_table: number(8, 40),
        nr_inodes: if flags & INODES_UNWRITTEN == 0 {
            geometry.inodes_per_group.saturating_sub(unused)
        } else {
            0
        },
        has_block_bitmap: flags & BLOCKS_UNWRITTEN == 0,
    }
}

/// A map in the making.
struct Building<'a, 'd, E> {
    blocks: Blocks<'a, 'd, E>,
    claims: Claims<Block>,
    paths: Paths,
    /// The blocks of directories, which are read in the end.
    directories: Vec<(u32, u64, u64)>,
}

impl<E> Building<'_, '_, E> {
    fn claim(&mut self, block: u64, nr_blocks: u64, what: Block) -> bool {
        let range = self.blocks.geometry.bytes(block, nr_blocks);
        self.claims.claim(range, what)
    }

    /// What is where it is since the file system was made.
    fn claim_layout(&mut self, groups: &[Group]) {
        let geometry = self.blocks.geometry;
        self.claims.claim(geometry.bytes(0, geometry.superblock()), Block::Boot);
        let nr_old = geometry.nr_old_descriptors();
        for group in groups {
            let number = group.number;
            let (first, _) = geometry.blocks_of(number.into());
            if geometry.has_superblock(number.into()) {
                let first = if number == 0 { geometry.superblock() } else { first };
                self.claim(first, 1, Block::Superblock { group: number });
                self.claim(first + 1, nr_old, Block::Descriptors { group: number });
                self.claim(first + 1 + nr_old, geometry.nr_reserved, Block::ReservedDescriptors);
            }
            if geometry.has_meta_descriptors(number.into()) {
                let is_first = u64::from(number).is_multiple_of(geometry.descriptors_per_block());
                let group = if is_first { 0 } else { number };
                self.claim(geometry.meta_descriptors(number.into()), 1, Block::Descriptors { group });
            }
        }
        for group in groups {
            let number = group.number;
            self.claim(group.block_bitmap, 1, Block::Bitmap { group: number });
            self.claim(group.inode_bitmap, 1, Block::InodeBitmap { group: number });
            let table = Block::Inodes { group: number, offset: 0 };
            self.claim(group.inode_table, geometry.table_blocks(), table);
        }
        if geometry.mmp_block != 0 {
            self.claim(geometry.mmp_block, 1, Block::MultiMount);
        }
    }

    /// The blocks of all files whose inodes a group has.
    fn claim_files(&mut self, group: &Group) -> Result<(), E> {
        let geometry = self.blocks.geometry;
        if group.nr_inodes == 0 {
            return Ok(());
        }
        let Some(bitmap) = self.blocks.read(group.inode_bitmap, 1)? else { return Ok(()) };
        let chunk_blocks = (CHUNK_BYTES / widen(geometry.block_bytes())).max(1);
        let per_block = widen(geometry.block_bytes() / geometry.inode_bytes);
        let nr_blocks = u64::from(group.nr_inodes).div_ceil(per_block);
        for at in (0..nr_blocks).step_by(narrow(chunk_blocks)) {
            let nr = chunk_blocks.min(nr_blocks - at);
            let Some(table) = self.blocks.read(group.inode_table.saturating_add(at), nr)? else {
                return Ok(());
            };
            let first = u32::try_from(at * per_block).unwrap_or(u32::MAX);
            for (nth, bytes) in (first..group.nr_inodes).zip(table.chunks(geometry.inode_bytes)) {
                if is_set(&bitmap, nth.into()) {
                    let number =
                        group.number.saturating_mul(geometry.inodes_per_group).saturating_add(nth + 1);
                    self.claim_file(number, Inode(Fields(bytes)))?;
                }
            }
        }
        Ok(())
    }

    fn claim_file(&mut self, number: u32, inode: Inode<'_>) -> Result<(), E> {
        let geometry = self.blocks.geometry;
        if inode.attributes() != 0 {
            self.claim(inode.attributes(), 1, Block::Attributes { inode: number });
        }
        if inode.is_directory()
            && let Some((head, tail)) = inode.inline_entries()
        {
            self.add_entries(number, head);
            self.add_entries(number, tail);
        }
        if !inode.has_blocks() {
            return Ok(());
        }
        for run in inode.runs(&mut self.blocks)? {
            let offset = run.at.unwrap_or(0).saturating_mul(widen(geometry.block_bytes()));
            let what = match run.at {
                None if number == RESIZE => Block::ReservedDescriptors,
                None => Block::Map { inode: number },
                Some(_) if number == geometry.journal_inode => Block::Journal { offset },
                Some(_) if inode.is_directory() => Block::Directory { inode: number },
                Some(_) => Block::Data { inode: number, offset },
            };
            // What another file has already is not read again.
            if self.claim(run.block, run.nr_blocks, what) && matches!(what, Block::Directory { .. }) {
                self.directories.push((number, run.block, run.nr_blocks));
            }
        }
        Ok(())
    }

    /// The names of all files.
    fn read_directories(&mut self) -> Result<(), E> {
        for (inode, first, nr_blocks) in core::mem::take(&mut self.directories) {
            for block in first..first + nr_blocks {
                let Some(entries) = self.blocks.read(block, 1)? else { break };
                self.add_entries(inode, &entries);
            }
        }
        Ok(())
    }

    /// The names that a block of a directory has. Inner nodes of a hash tree look like a single entry without a file.
    fn add_entries(&mut self, directory: u32, entries: &[u8]) {
        let fields = Fields(entries);
        let mut at = 0;
        while at + 8 <= entries.len() {
            let (file, name_len) = (fields.le32(at), usize::from(fields.byte(at + 6)));
            let len = match fields.le16(at + 4) {
                0 | u16::MAX => entries.len(),
                len => usize::from(len & !3) | usize::from(len & 3) << 16,
            };
            if file != 0 {
                self.paths.add(directory.into(), fields.part(at + 8, name_len), file.into());
            }
            at += len.max(8);
        }
    }

    /// What the bitmap of a group says is free, as far as nothing has claimed it.
    fn claim_free(&mut self, group: &Group) -> Result<(), E> {
        let geometry = self.blocks.geometry;
        let (first, nr_blocks) = geometry.blocks_of(group.number.into());
        if !group.has_block_bitmap {
            self.claim(first, nr_blocks, Block::Free);
            return Ok(());
        }
        let Some(bitmap) = self.blocks.read(group.block_bitmap, 1)? else { return Ok(()) };
        let nr_bits = nr_blocks.div_ceil(geometry.cluster_blocks);
        let mut at = 0;
        while at < nr_bits {
            if self.claims.is_full() {
                return Ok(());
            }
            let end = end_of_run(&bitmap, at, nr_bits);
            if !is_set(&bitmap, at) {
                let (from, to) =
                    (at * geometry.cluster_blocks, (end * geometry.cluster_blocks).min(nr_blocks));
                self.claim(first + from, to - from, Block::Free);
            }
            at = end;
        }
        Ok(())
    }
}

fn is_set(bitmap: &[u8], bit: u64) -> bool {
    usize::try_from(bit / 8).ok().and_then(|at| bitmap.get(at)).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// Until where the bits of a bitmap are as the one at `first` is, whole bytes at a time.
fn end_of_run(bitmap: &[u8], first: u64, end: u64) -> u64 {
    let is_used = is_set(bitmap, first);
    let same = if is_used { u8::MAX } else { 0 };
    let mut at = first;
    while at < end && is_set(bitmap, at) == is_used {
        let is_byte = at.is_multiple_of(8)
            && usize::try_from(at / 8).is_ok_and(|nth| bitmap.get(nth).is_none_or(|byte| *byte == same));
        at += if is_byte { 8 } else { 1 };
    }
    at.min(end)
}

const ROOT: u64 = 2;
const RESIZE: u32 = 7;

const INODES_UNWRITTEN: u16 = 1;
const BLOCKS_UNWRITTEN: u16 = 2;

/// How many groups are looked at: those of 128 TiB in blocks of 4 KiB, and some 40 MB of them.
const MAX_GROUPS: u32 = 1 << 20;

/// How much of an inode table is read at a time, in bytes.
const CHUNK_BYTES: u64 = 256 << 10;
