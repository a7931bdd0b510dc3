//! XFS, versions 4 and 5: what each block is.
//!
//! Written from the documentation of the layout (*XFS Algorithms & Data Structures*). Paths come from the directories. What is
//! in the log alone is not replayed: it is known once it is written back. A record that is written to the log is told with what
//! it changes. Nor is what is on a realtime device, or an
//! external log.

mod btree;
mod directory;
mod geometry;
mod inode;
mod log;
mod says;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use self::btree::{Node, Tree};
use self::directory::Area;
use self::geometry::Geometry;
use self::inode::{Extent, FileType, Fork, Inode};
use self::log::{Item, Record};
use super::Written;
use super::disk::Disk;
use super::fields::{Fields, changed_records};
use super::paths::Paths;
use super::pieces::{Claims, Part, Pieces};
use super::role::{Bytes, Class, Role, listed};
use crate::num::{narrow, widen};

/// What each block of a file system is.
#[derive(Clone, Debug)]
pub(super) struct Xfs {
    geometry: Geometry,
    pieces: Pieces<Block>,
    paths: Paths,
    is_complete: bool,
}

/// What a block, or a sector of one, is. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Superblock {
        ag: u32,
    },
    /// Information about free space.
    Agf {
        ag: u32,
    },
    /// Information about inodes.
    Agi {
        ag: u32,
    },
    /// The list of blocks that its btrees may grow by.
    Agfl {
        ag: u32,
    },
    AfterHeaders {
        ag: u32,
    },
    /// What is on such a list.
    OnFreeList {
        ag: u32,
    },
    Tree {
        tree: Tree,
        ag: u32,
    },
    /// A block of the btree of a file's blocks, or of its extended attributes'.
    Bmap {
        inode: u64,
    },
    /// From an offset of the disk on.
    Inodes {
        at: u64,
    },
    Log,
    Directory {
        inode: u64,
        offset: u64,
    },
    Attributes {
        inode: u64,
    },
    Link {
        inode: u64,
    },
    Data {
        inode: u64,
        offset: u64,
    },
    /// It takes what is written to a block that several files have.
    CopyOnWrite,
    Free,
}

impl Part for Block {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Inodes { at } => Self::Inodes { at: at + bytes },
            Self::Directory { inode, offset } => {
                Self::Directory { inode, offset: offset.saturating_add(bytes) }
            }
            Self::Data { inode, offset } => Self::Data { inode, offset: offset.saturating_add(bytes) },
            _ => self,
        }
    }
}

impl Xfs {
    /// What the blocks of a disk are; `None` if its superblock makes no sense.
    pub(super) fn of<E>(disk: &mut Disk<'_, E>) -> Result<Option<Self>, E> {
        let Some(superblock) = disk.read(0, 512)? else { return Ok(None) };
        let Some(geometry) = Geometry::parse(&superblock) else { return Ok(None) };
        let nr_ags = geometry.nr_ags.min(MAX_AGS);
        let mut building = Building {
            disk,
            geometry,
            claims: Claims::new(),
            paths: Paths::new(geometry.root),
            chunks: Vec::new(),
            free: Vec::new(),
            directories: Vec::new(),
            is_full: nr_ags < geometry.nr_ags,
        };
        building.claims.claim(geometry.log(), Block::Log);
        for ag in 0..nr_ags {
            building.claim_headers(ag);
        }
        for ag in 0..nr_ags {
            building.claim_trees(ag)?;
        }
        building.claim_chunks()?;
        building.read_directories()?;
        building.claim_free();
        let Building { disk, claims, paths, is_full, .. } = building;
        let is_complete = !disk.is_exhausted() && !claims.is_full() && !paths.is_full() && !is_full;
        Ok(Some(Self { geometry, pieces: claims.into_pieces(), paths, is_complete }))
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What a range of bytes is.
    pub(super) fn roles(&self, range: Range<u64>) -> impl Iterator<Item = Role> + '_ {
        self.pieces.of(range).map(|(range, block)| self.role(range.end - range.start, block))
    }

    /// What a write says: of inodes those that it changes, and of the log its records. What is not in use yet says itself what
    /// it is, where it can.
    pub(super) fn told(&self, written: &Written<'_>, mut tell: impl FnMut(Role) -> bool) {
        for (range, block) in self.pieces.of(written.range()) {
            let (now, before) = written.part(&range);
            let is_over = match block {
                Some(Block::Log) => !self.records(now, &mut tell),
                Some(Block::Inodes { at }) => !tell(self.inodes(at, now, before)),
                None | Some(Block::Free | Block::OnFreeList { .. }) => {
                    !self.unclaimed(&range, now, block, &mut tell)
                }
                _ => !tell(self.role(range.end - range.start, block)),
            };
            if is_over {
                return;
            }
        }
    }

    fn role(&self, len_bytes: u64, block: Option<Block>) -> Role {
        let new = |class: Class, phrase: String| Role::new(class, phrase);
        match block {
            None => Role::unknown(),
            Some(Block::Free) => Role::free(),
            Some(Block::Superblock { ag: 0 }) => Role::new(Class::Superblock, "superblock"),
            Some(Block::Superblock { ag }) => new(Class::Superblock, format!("superblock, copy in AG {ag}")),
            Some(Block::Agf { ag }) => new(Class::Allocation, format!("AGF of AG {ag}")),
            Some(Block::Agi { ag }) => new(Class::Allocation, format!("AGI of AG {ag}")),
            Some(Block::Agfl { ag }) => new(Class::Allocation, format!("AGFL of AG {ag}")),
            Some(Block::AfterHeaders { ag }) => {
                new(Class::Superblock, format!("after the headers of AG {ag}"))
            }
            Some(Block::OnFreeList { ag }) => new(Class::Free, format!("free, on the AGFL of AG {ag}")),
            Some(Block::Tree { tree, ag }) => new(Class::Allocation, format!("{} of AG {ag}", tree.name())),
            Some(Block::Bmap { inode }) => {
                new(Class::Inode, format!("{} of {}", Tree::Bmap.name(), self.name(inode)))
            }
            Some(Block::Inodes { at }) => self.inode_range(at, len_bytes),
            Some(Block::Log) => Role::new(Class::Journal, "journal"),
            Some(Block::Directory { inode, offset }) => {
                let part = match Area::of(offset) {
                    Area::Data => "",
                    Area::Leaf => "leaf of ",
                    Area::FreeIndex => "free index of ",
                };
                new(Class::Directory, format!("{part}directory {}", self.name(inode)))
            }
            Some(Block::Attributes { inode }) => {
                new(Class::Metadata, format!("extended attributes of {}", self.name(inode)))
            }
            Some(Block::Link { inode }) => {
                new(Class::Metadata, format!("symlink block of {}", self.name(inode)))
            }
            Some(Block::Data { inode, offset }) => {
                new(Class::Data, format!("data of {} at {}", self.name(inode), Bytes(offset)))
            }
            Some(Block::CopyOnWrite) => Role::new(Class::Data, "copy-on-write staging"),
        }
    }

    /// Some inodes, none of which is known to matter more than the others.
    fn inode_range(&self, at: u64, len_bytes: u64) -> Role {
        let first = self.geometry.inode_at(at);
        let last = self.geometry.inode_at(at + len_bytes.max(1) - 1);
        if first == last {
            return Role::new(Class::Inode, format!("inode {}", self.inode(first)));
        }
        Role::new(Class::Inode, format!("inode chunk, inodes {first} to {last}"))
    }

    /// The inodes that a write changes.
    fn inodes(&self, at: u64, now: &[u8], before: &[u8]) -> Role {
        let inode_bytes = self.geometry.inode_bytes();
        let changed = changed_records(at, inode_bytes, (now, before)).into_iter();
        let changed: Vec<String> =
            changed.map(|nth| self.inode(self.geometry.inode_at(nth * widen(inode_bytes)))).collect();
        match &changed[..] {
            [] => self.inode_range(at, widen(now.len())),
            [inode] => Role::new(Class::Inode, format!("inode {inode}")),
            _ => Role::new(Class::Inode, format!("inodes {}", listed(&changed))),
        }
    }

    /// Tells the records that begin in what is written to the log; returns whether there is room for more.
    fn records(&self, now: &[u8], tell: &mut impl FnMut(Role) -> bool) -> bool {
        let mut records = log::records(now).peekable();
        if records.peek().is_none() {
            return tell(Role::new(Class::Journal, "journal"));
        }
        records.all(|record| tell(self.record(&record)))
    }

    /// What a record of the log has, each thing once.
    fn record(&self, record: &Record) -> Role {
        let mut kind = "record";
        let (mut changed, mut known) = (Vec::new(), BTreeSet::new());
        for item in record.items() {
            match item {
                Item::Commit => kind = "record with a commit",
                Item::Unmount => kind = "unmount record",
                Item::Inode(inode) => add(&mut changed, &mut known, format!("inode {}", self.inode(inode))),
                Item::Buffer(range) => {
                    for role in self.roles(range).take(MAX_BUFFER_ROLES) {
                        add(&mut changed, &mut known, String::from(role.phrase()));
                    }
                }
            }
        }
        let separator = if changed.is_empty() { "" } else { ": " };
        let phrase = format!("journal, {kind} at LSN {}{separator}{}", record.lsn, listed(&changed));
        Role::new(Class::Journal, phrase)
    }

    /// Tells what each block that is not in use says that it is; returns whether there is room for more.
    fn unclaimed(
        &self,
        range: &Range<u64>,
        now: &[u8],
        claimed: Option<Block>,
        tell: &mut impl FnMut(Role) -> bool,
    ) -> bool {
        let mut at = range.start;
        while at < range.end {
            let end = self.geometry.block_around(at).end.min(range.end);
            let bytes = &now[narrow(at - range.start)..narrow(end - range.start)];
            let block = says::block(bytes, at, &self.geometry);
            if !tell(self.role(end - at, block.or(claimed))) {
                return false;
            }
            at = end;
        }
        true
    }

    /// An inode, and what it is called.
    fn inode(&self, number: u64) -> String {
        self.known(number).map_or_else(|| format!("{number}"), |name| format!("{number} ({name})"))
    }

    /// A file, by the best name that it has.
    fn name(&self, inode: u64) -> String {
        self.known(inode).unwrap_or_else(|| format!("inode {inode}"))
    }

    fn known(&self, inode: u64) -> Option<String> {
        let mut special = self.geometry.special.iter();
        let special = special.find(|(number, _)| *number == inode && inode != 0);
        special.map(|(_, name)| String::from(*name)).or_else(|| self.paths.of(inode))
    }
}

/// A map in the making.
struct Building<'a, 'd, E> {
    disk: &'a mut Disk<'d, E>,
    geometry: Geometry,
    claims: Claims<Block>,
    paths: Paths,
    /// The chunks of inodes that are there, and which of them are free.
    chunks: Vec<(Range<u64>, u64)>,
    /// What the btrees say is free.
    free: Vec<Range<u64>>,
    /// The blocks of directories, which are read in the end.
    directories: Vec<(u64, Vec<Extent>)>,
    /// Whether something was left out since there is too much of it.
    is_full: bool,
}

impl<E> Building<'_, '_, E> {
    /// What is where it is since the file system was made.
    fn claim_headers(&mut self, ag: u32) {
        let headers = [Block::Superblock { ag }, Block::Agf { ag }, Block::Agi { ag }, Block::Agfl { ag }];
        for (nth, block) in (0..).zip(headers) {
            self.claims.claim(self.geometry.header(ag, nth), block);
        }
        self.claims.claim(self.geometry.headers(ag), Block::AfterHeaders { ag });
    }

    /// The btrees of an allocation group, and what they say.
    fn claim_trees(&mut self, ag: u32) -> Result<(), E> {
        let header = |nth: u64| self.geometry.header(ag, nth).start;
        let (agf, agi, agfl) = (header(1), header(2), header(3));
        let sector_bytes = self.geometry.sector_bytes();
        if let Some(agf) = self.disk.read(agf, sector_bytes)?
            && let fields = Fields(&agf)
            && fields.has(0, b"XAGF")
        {
            self.claim_tree(ag, Tree::FreeByBlock, fields.be32(16), fields.be32(28))?;
            self.claim_tree(ag, Tree::FreeBySize, fields.be32(20), fields.be32(32))?;
            if self.geometry.has_checksums {
                self.claim_tree(ag, Tree::ReverseMapping, fields.be32(24), fields.be32(36))?;
                self.claim_tree(ag, Tree::ReferenceCount, fields.be32(88), fields.be32(92))?;
            }
            if let Some(agfl) = self.disk.read(agfl, sector_bytes)? {
                self.claim_free_list(ag, fields, &agfl);
            }
        }
        if let Some(agi) = self.disk.read(agi, sector_bytes)?
            && let fields = Fields(&agi)
            && fields.has(0, b"XAGI")
        {
            self.claim_tree(ag, Tree::Inodes, fields.be32(20), fields.be32(24))?;
            if self.geometry.has_checksums {
                self.claim_tree(ag, Tree::FreeInodes, fields.be32(328), fields.be32(332))?;
            }
        }
        Ok(())
    }

    /// The list goes round in its sector.
    fn claim_free_list(&mut self, ag: u32, agf: Fields<'_>, agfl: &[u8]) {
        let list = Fields(agfl).from(if self.geometry.has_checksums { 36 } else { 0 });
        let nr_slots = list.len() / 4;
        let (first, nr) = (agf.be32(40), agf.be32(48));
        let slots = (0..nr_slots).cycle().skip(usize::try_from(first).unwrap_or(0).min(nr_slots));
        for slot in slots.take(usize::try_from(nr).unwrap_or(nr_slots).min(nr_slots)) {
            let block = Fields(list).be32(slot * 4).into();
            self.claims.claim(self.geometry.ag_bytes(ag, block, 1), Block::OnFreeList { ag });
        }
    }

    /// A btree of an allocation group, of so many levels.
    fn claim_tree(&mut self, ag: u32, tree: Tree, root: u32, nr_levels: u32) -> Result<(), E> {
        let Some(level) = nr_levels.checked_sub(1).and_then(|level| u16::try_from(level).ok()) else {
            return Ok(());
        };
        let geometry = self.geometry;
        let at = |block| geometry.ag_bytes(ag, block, 1);
        let what = Block::Tree { tree, ag };
        self.walk(tree, what, at, ([root.into()], level), |building, record| {
            building.take_record(ag, tree, record);
        })
    }

    /// Claims the nodes of a btree, from some of one level on, and takes its records. It ends: what was claimed before is not
    /// read again.
    fn walk(
        &mut self,
        tree: Tree,
        what: Block,
        at: impl Fn(u64) -> Range<u64>,
        (first, level): (impl IntoIterator<Item = u64>, u16),
        mut take: impl FnMut(&mut Self, Fields<'_>),
    ) -> Result<(), E> {
        let mut open = Vec::new();
        self.open(&mut open, first.into_iter().map(&at), what, level);
        while let Some((start, level)) = open.pop() {
            let Some(bytes) = self.disk.read(start, self.geometry.block_bytes())? else { break };
            let Some(node) = Node::parse(&bytes, tree, level) else { continue };
            match level.checked_sub(1) {
                Some(below) => self.open(&mut open, node.pointers().map(&at), what, below),
                None => node.records().for_each(|record| take(self, record)),
            }
        }
        Ok(())
    }

    /// Claims some nodes, to be read later if they were still free.
    fn open(
        &mut self,
        open: &mut Vec<(u64, u16)>,
        nodes: impl Iterator<Item = Range<u64>>,
        what: Block,
        level: u16,
    ) {
        for range in nodes {
            if self.claims.claim(range.clone(), what) {
                open.push((range.start, level));
            }
        }
    }

    fn take_record(&mut self, ag: u32, tree: Tree, record: Fields<'_>) {
        match tree {
            Tree::FreeByBlock => {
                let range = self.geometry.ag_bytes(ag, record.be32(0).into(), u64::from(record.be32(4)));
                self.is_full |= !push(&mut self.free, range);
            }
            Tree::Inodes => self.take_chunk(ag, record),
            Tree::ReferenceCount if record.be32(0) & COPY_ON_WRITE != 0 => {
                let block = u64::from(record.be32(0) & !COPY_ON_WRITE);
                let range = self.geometry.ag_bytes(ag, block, record.be32(4).into());
                self.claims.claim(range, Block::CopyOnWrite);
            }
            _ => {}
        }
    }

    /// A chunk of inodes, of which some may not be there: each bit of a mask is for four.
    fn take_chunk(&mut self, ag: u32, record: Fields<'_>) {
        let (first, free) = (record.be32(0), record.be64(8));
        let holes = if self.geometry.has_sparse_chunks { record.be16(4) } else { 0 };
        let mut nth = 0;
        while nth < 16 {
            let nr = 1 + (nth + 1..16).take_while(|next| holes >> next & 1 == holes >> nth & 1).count();
            let nr = u32::try_from(nr).unwrap_or(1);
            if holes >> nth & 1 == 0 {
                let range = self.geometry.inodes(ag, first.saturating_add(nth * 4), nr * 4);
                self.is_full |= !push(&mut self.chunks, (range, free >> (nth * 4)));
            }
            nth += nr;
        }
    }

    /// All chunks of inodes, and then the blocks of the files.
    fn claim_chunks(&mut self) -> Result<(), E> {
        let chunks = core::mem::take(&mut self.chunks);
        let mut fresh = Vec::new();
        for (range, free) in chunks {
            if self.claims.claim(range.clone(), Block::Inodes { at: range.start }) {
                fresh.push((range, free));
            }
        }
        for (range, free) in fresh {
            let Some(bytes) = self.disk.read(range.start, narrow(range.end - range.start))? else { continue };
            for (nth, bytes) in (0..64).zip(bytes.chunks(self.geometry.inode_bytes())) {
                if free >> nth & 1 == 0
                    && let Some(inode) = Inode::parse(bytes)
                {
                    let at = range.start + nth * widen(self.geometry.inode_bytes());
                    self.claim_file(self.geometry.inode_at(at), inode)?;
                }
            }
        }
        Ok(())
    }

    fn claim_file(&mut self, number: u64, inode: Inode<'_>) -> Result<(), E> {
        let geometry = self.geometry;
        self.claim_fork(number, inode.attributes(), |_| Block::Attributes { inode: number })?;
        match (inode.file_type(), inode.data()) {
            (FileType::Directory, Fork::Local(entries)) => {
                directory::short_entries(entries, geometry.has_file_types, |name, file| {
                    self.paths.add(number, name, file);
                });
            }
            (FileType::Directory, fork) => {
                let what = |at| Block::Directory { inode: number, offset: geometry.offset(at) };
                let mut extents = self.claim_fork(number, fork, what)?;
                extents.retain(|extent| Area::of(geometry.offset(extent.at)) == Area::Data);
                self.directories.push((number, extents));
            }
            (FileType::Link, fork) => {
                self.claim_fork(number, fork, |_| Block::Link { inode: number })?;
            }
            (FileType::Other, fork) => {
                let what = |at| Block::Data { inode: number, offset: geometry.offset(at) };
                self.claim_fork(number, fork, what)?;
            }
        }
        Ok(())
    }

    /// Claims the blocks of a fork, each as what a file has from a block of its own on, and says which were still free.
    fn claim_fork(
        &mut self,
        number: u64,
        fork: Fork<'_>,
        what: impl Fn(u64) -> Block,
    ) -> Result<Vec<Extent>, E> {
        let mut fresh = Vec::new();
        match fork {
            Fork::Extents(extents) => {
                for extent in extents.chunks(Extent::BYTES) {
                    self.claim_extent(Extent::parse(Fields(extent)), &what, &mut fresh);
                }
            }
            Fork::Btree(root) => {
                let (root, level) = Node::root(root);
                let Some(below) = level.checked_sub(1) else { return Ok(fresh) };
                let geometry = self.geometry;
                let at = |block| geometry.bytes(block, 1);
                let map = Block::Bmap { inode: number };
                self.walk(Tree::Bmap, map, at, (root.pointers(), below), |building, record| {
                    building.claim_extent(Extent::parse(record), &what, &mut fresh);
                })?;
            }
            Fork::Local(_) | Fork::None => {}
        }
        Ok(fresh)
    }

    fn claim_extent(&mut self, extent: Extent, what: &impl Fn(u64) -> Block, fresh: &mut Vec<Extent>) {
        let range = self.geometry.bytes(extent.block, extent.nr_blocks);
        if self.claims.claim(range, what(extent.at)) {
            fresh.push(extent);
        }
    }

    /// The names of all files.
    fn read_directories(&mut self) -> Result<(), E> {
        for (inode, mut extents) in core::mem::take(&mut self.directories) {
            extents.sort_unstable_by_key(|extent| extent.at);
            self.read_directory(inode, &extents)?;
        }
        Ok(())
    }

    /// A block of a directory may be several blocks, and these at several places.
    fn read_directory(&mut self, inode: u64, extents: &[Extent]) -> Result<(), E> {
        let geometry = self.geometry;
        let per_block = widen(geometry.directory_bytes() / geometry.block_bytes());
        let mut bytes = Vec::new();
        for (at, block) in extents
            .iter()
            .flat_map(|extent| (0..extent.nr_blocks).map(|nth| (extent.at + nth, extent.block + nth)))
        {
            if at % per_block == 0 {
                bytes.clear();
            }
            let range = geometry.bytes(block, 1);
            let Some(part) = self.disk.read(range.start, geometry.block_bytes())? else { return Ok(()) };
            bytes.extend(part);
            if bytes.len() == geometry.directory_bytes() {
                let has_file_types = geometry.has_file_types;
                directory::entries(&bytes, has_file_types, |name, file| self.paths.add(inode, name, file));
                bytes.clear();
            }
        }
        Ok(())
    }

    /// What the btrees say is free, as far as nothing has claimed it.
    fn claim_free(&mut self) {
        for range in core::mem::take(&mut self.free) {
            self.claims.claim(range, Block::Free);
        }
    }
}

/// Adds a phrase to a list, unless it has it.
fn add(list: &mut Vec<String>, known: &mut BTreeSet<String>, phrase: String) {
    if known.insert(phrase.clone()) {
        list.push(phrase);
    }
}

/// Adds to a list, and says whether there was room for it.
fn push<T>(list: &mut Vec<T>, one: T) -> bool {
    let has_room = list.len() < MAX_RECORDS;
    if has_room {
        list.push(one);
    }
    has_room
}

/// The bit of a block's number in the btree of reference counts that says that it is not a file's yet.
const COPY_ON_WRITE: u32 = 1 << 31;

/// How many allocation groups are looked at: a disk has as many as its length, of at most 1 TiB each, takes.
const MAX_AGS: u32 = 1 << 16;

/// How many records of free space, and of chunks of inodes, are kept at most: some 24 MB of each.
const MAX_RECORDS: usize = 1 << 20;

/// How many parts of a buffer in the log are told: of blocks of inodes each may be one.
const MAX_BUFFER_ROLES: usize = 16;
