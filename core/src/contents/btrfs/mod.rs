//! btrfs: what each of its blocks is.
//!
//! Written from the documentation of the layout (*On-disk Format*, of btrfs' own pages). Paths come from the inodes of all
//! subvolumes and of the log tree. Of several devices one is looked at, and chunks are known that are whole on it: single, DUP
//! and RAID 1.

mod chunks;
mod node;
mod superblock;
mod trees;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use self::chunks::Chunks;
use self::node::{Header, Key, Node};
use self::superblock::{Root, Superblock};
use super::Written;
use super::disk::Disk;
use super::fields::Fields;
use super::paths::Paths;
use super::pieces::{Claims, Part, Pieces};
use super::role::{Bytes, Class, Role};
use crate::num::{narrow, widen};

/// What each block of a file system is.
#[derive(Clone, Debug)]
pub(super) struct Btrfs {
    superblock: Superblock,
    chunks: Chunks,
    pieces: Pieces<Block>,
    files: Files,
    is_complete: bool,
}

/// A file: the tree that it was found in, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    tree: u64,
    inode: u64,
}

/// What a block is. Offsets are in bytes. Of what is there more than once, mirrors count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Superblock {
        mirror: u8,
        generation: u64,
    },
    /// The first MiB.
    Reserved,
    Node {
        owner: u64,
        generation: u64,
        level: u8,
        mirror: u8,
    },
    Data {
        file: File,
        offset: u64,
    },
    /// Of a file from an offset on.
    Compressed {
        file: File,
        offset: u64,
    },
    /// A part of an extent that its file does not have any more, while it has another part.
    Overwritten {
        file: File,
    },
    /// An extent that no file that was found has.
    Unreferenced,
    Free,
    /// It is not in a chunk.
    Unallocated,
}

impl Part for Block {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Data { file, offset } => Self::Data { file, offset: offset.saturating_add(bytes) },
            _ => self,
        }
    }
}

impl Btrfs {
    /// What the blocks of a disk are; `None` if its superblock makes no sense.
    pub(super) fn of<E>(disk: &mut Disk<'_, E>, len_bytes: u64) -> Result<Option<Self>, E> {
        let Some(bytes) = disk.read(Superblock::OFFSETS[0], Superblock::BYTES)? else { return Ok(None) };
        let Some(superblock) = Superblock::parse(&bytes) else { return Ok(None) };
        let mut building = Building {
            disk,
            superblock,
            chunks: Chunks::new(),
            claims: Claims::new(),
            files: Files { paths: Paths::new(File::ROOT), shared: BTreeMap::new() },
            seen: BTreeMap::new(),
            roots: Vec::new(),
            overwritten: Vec::new(),
            allocated: Vec::new(),
            is_full: false,
            is_extent_tree_whole: false,
        };
        building.claim_superblocks()?;
        building.chunks.add_system(Superblock::system_chunks(&bytes), superblock.device);
        building.claim_trees()?;
        building.claim_rest(len_bytes);
        let Building { disk, chunks, claims, files, is_full, .. } = building;
        let is_complete = !disk.is_exhausted()
            && !claims.is_full()
            && !files.paths.is_full()
            && !is_full
            && chunks.is_complete();
        Ok(Some(Self { superblock, chunks, pieces: claims.into_pieces(), files, is_complete }))
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What a range of bytes is.
    pub(super) fn roles(&self, range: Range<u64>) -> impl Iterator<Item = Role> + '_ {
        self.pieces.of(range).map(|(_, block)| self.role(block))
    }

    /// What a write says: nodes and superblocks say themselves what they are, the data of files does not.
    pub(super) fn told(&self, written: &Written<'_>, mut tell: impl FnMut(Role) -> bool) {
        for (range, block) in self.pieces.of(written.range()) {
            let (now, _) = written.part(&range);
            let is_over = match block {
                Some(Block::Superblock { mirror, generation }) => {
                    let generation = superblock::generation(now).unwrap_or(generation);
                    !tell(self.role(Some(Block::Superblock { mirror, generation })))
                }
                Some(Block::Data { .. } | Block::Compressed { .. } | Block::Reserved) => {
                    !tell(self.role(block))
                }
                _ => !self.nodes(&range, now, block, &mut tell),
            };
            if is_over {
                return;
            }
        }
    }

    /// Tells what nodes there are in what is written, and of the rest what it was; returns whether there is room for more.
    fn nodes(
        &self,
        range: &Range<u64>,
        now: &[u8],
        known: Option<Block>,
        tell: &mut impl FnMut(Role) -> bool,
    ) -> bool {
        let sector_bytes = widen(self.superblock.sector_bytes);
        let mut at = range.start;
        while at < range.end {
            let node = self.node_at(at, &now[narrow(at - range.start)..]);
            if !tell(self.role(node.or(known))) {
                return false;
            }
            let len_bytes = if node.is_some() { widen(self.superblock.node_bytes) } else { sector_bytes };
            at = (at / sector_bytes * sector_bytes).saturating_add(len_bytes);
        }
        true
    }

    /// The node that some bytes begin with, if it says that it belongs there.
    fn node_at(&self, at: u64, bytes: &[u8]) -> Option<Block> {
        let header = Node::parse(bytes, &self.superblock.uuid)?.header();
        let places = self.chunks.places(header.at, widen(self.superblock.node_bytes));
        let (mirror, _) = (0..).zip(places).find(|(_, place)| place.start == at)?;
        Some(Block::of(&header, mirror))
    }

    fn role(&self, block: Option<Block>) -> Role {
        match block {
            None => Role::unknown(),
            Some(Block::Free) => Role::free(),
            Some(Block::Unallocated) => Role::new(Class::Free, "free, not in a chunk"),
            Some(Block::Reserved) => Role::new(Class::Superblock, "reserved"),
            Some(Block::Superblock { mirror: 0, generation }) => {
                Role::new(Class::Superblock, format!("superblock, generation {generation}"))
            }
            Some(Block::Superblock { mirror, generation }) => {
                Role::new(Class::Superblock, format!("superblock mirror {mirror}, generation {generation}"))
            }
            Some(Block::Node { owner, generation, level, mirror }) => {
                let (tree, class) = self.tree(owner);
                let copy = if mirror == 0 { String::new() } else { format!(", copy {}", mirror + 1) };
                Role::new(class, format!("{tree}, level {level}, generation {generation}{copy}"))
            }
            Some(Block::Data { file, offset }) => {
                let name = self.files.name(file);
                Role::new(Class::Data, format!("data of {name} at {}", Bytes(offset)))
            }
            Some(Block::Compressed { file, offset }) => {
                let name = self.files.name(file);
                Role::new(Class::Data, format!("data of {name} at {}, compressed", Bytes(offset)))
            }
            Some(Block::Overwritten { file }) => {
                Role::new(Class::Data, format!("overwritten data of {}", self.files.name(file)))
            }
            Some(Block::Unreferenced) => Role::new(Class::Data, "extent that no file has"),
        }
    }

    /// What a tree is called, and what it is for.
    fn tree(&self, tree: u64) -> (String, Class) {
        trees::name(tree).map_or_else(
            || (format!("tree of {}", self.files.subvolume(tree)), Class::Inode),
            |(name, class)| (String::from(name), class),
        )
    }
}

impl Block {
    fn of(header: &Header, mirror: u8) -> Self {
        let Header { owner, generation, level, .. } = *header;
        Self::Node { owner, generation, level, mirror }
    }
}

impl File {
    const ROOT: Self = Self { tree: trees::FS, inode: trees::ROOT_DIRECTORY };
}

/// The names of the files of all subvolumes.
#[derive(Clone, Debug)]
struct Files {
    paths: Paths<File>,
    /// For each tree those that were looked at before and have nodes in common with it. What these say was not taken in again.
    shared: BTreeMap<u64, Vec<u64>>,
}

impl Files {
    /// Two trees have nodes in common; returns whether there is room for that.
    fn share(&mut self, tree: u64, with: u64) -> bool {
        let shared = self.shared.entry(tree).or_default();
        if tree == with || shared.contains(&with) {
            return true;
        }
        let has_room = shared.len() < MAX_SHARED;
        if has_room {
            shared.push(with);
        }
        has_room
    }

    /// A file, by the best name that it has.
    fn name(&self, file: File) -> String {
        match (file.tree, self.path(file)) {
            (trees::ROOT, _) => String::from("the free space cache"),
            (trees::DATA_RELOCATION, _) => String::from("the data relocation tree"),
            (_, Some(path)) => path,
            (trees::FS, None) => format!("inode {}", file.inode),
            (tree, None) => format!("inode {} of {}", file.inode, self.subvolume(tree)),
        }
    }

    fn subvolume(&self, tree: u64) -> String {
        let path = self.path(File { tree, inode: trees::ROOT_DIRECTORY });
        path.map_or_else(|| format!("subvolume {tree}"), |path| format!("subvolume {path}"))
    }

    fn path(&self, file: File) -> Option<String> {
        self.paths.by(file, |file| self.link(file))
    }

    /// The directory and the name of a file, which may be those that it has in another tree.
    fn link(&self, file: File) -> Option<(File, &[u8])> {
        let mut trees = vec![file.tree];
        let mut nth = 0;
        while let Some(tree) = trees.get(nth).copied() {
            if let Some((directory, name)) = self.paths.link(File { tree, ..file }) {
                let is_within = directory.tree == tree;
                let tree = if is_within { file.tree } else { directory.tree };
                return Some((File { tree, ..directory }, name));
            }
            // Where a subvolume is, no other one knows.
            if file.inode == trees::ROOT_DIRECTORY {
                return None;
            }
            for other in self.shared.get(&tree).into_iter().flatten() {
                if trees.len() < MAX_SHARED && !trees.contains(other) {
                    trees.push(*other);
                }
            }
            nth += 1;
        }
        None
    }
}

/// A map in the making.
struct Building<'a, 'd, E> {
    disk: &'a mut Disk<'d, E>,
    superblock: Superblock,
    chunks: Chunks,
    claims: Claims<Block>,
    files: Files,
    /// The nodes that were found, and which tree had each first.
    seen: BTreeMap<u64, u64>,
    /// The trees that the root tree or the log tree has.
    roots: Vec<(u64, Root)>,
    /// Extents of which a file has a part, by their logical addresses.
    overwritten: Vec<(Range<u64>, File)>,
    /// Logical addresses that are in use.
    allocated: Vec<Range<u64>>,
    /// Whether something was left out since there is too much of it.
    is_full: bool,
    is_extent_tree_whole: bool,
}

impl<E> Building<'_, '_, E> {
    fn claim_superblocks(&mut self) -> Result<(), E> {
        for (at, mirror) in Superblock::OFFSETS.into_iter().zip(0..) {
            let bytes = self.disk.read(at, Superblock::BYTES)?.unwrap_or_default();
            let generation = superblock::generation(&bytes);
            if let Some(generation) = generation {
                let block = Block::Superblock { mirror, generation };
                self.claims.claim(at..at + widen(Superblock::BYTES), block);
            }
        }
        self.claims.claim(0..RESERVED_BYTES, Block::Reserved);
        Ok(())
    }

    /// All trees. What the log tree has is newer than what the trees of the subvolumes have.
    fn claim_trees(&mut self) -> Result<(), E> {
        let Superblock { root_tree, chunk_tree, log_tree, .. } = self.superblock;
        self.walk(trees::CHUNK, chunk_tree, |building, key, item| {
            if key.kind == CHUNK_ITEM {
                building.chunks.add(key, item, building.superblock.device);
            }
        })?;
        self.walk(trees::ROOT, root_tree, Self::take_root)?;
        let mut roots = core::mem::take(&mut self.roots);
        // What a snapshot and what it was taken of have in common is named by the older one.
        roots.sort_unstable_by_key(|(tree, _)| *tree);
        if log_tree.at != 0 {
            self.walk(trees::LOG, log_tree, |building, key, item| {
                if key.kind == ROOT_ITEM {
                    building.add_root(key.offset, item);
                }
            })?;
            for (tree, root) in core::mem::take(&mut self.roots) {
                self.walk(tree, root, move |building, key, item| building.take_file(tree, key, item))?;
            }
        }
        for (tree, root) in roots {
            if trees::has_files(tree) {
                self.walk(tree, root, move |building, key, item| building.take_file(tree, key, item))?;
            } else if tree == trees::EXTENT {
                self.is_extent_tree_whole = self.walk(tree, root, Self::take_extent)?;
            } else {
                self.walk(tree, root, |_, _, _| {})?;
            }
        }
        Ok(())
    }

    fn take_root(&mut self, key: Key, item: Fields<'_>) {
        match key.kind {
            ROOT_ITEM => self.add_root(key.object, item),
            ROOT_BACKREF => {
                let directory = File { tree: key.offset, inode: item.le64(0) };
                let name = item.part(18, item.le16(16).into());
                let file = File { tree: key.object, inode: trees::ROOT_DIRECTORY };
                self.files.paths.add(directory, name, file);
            }
            _ => self.take_file(trees::ROOT, key, item),
        }
    }

    fn add_root(&mut self, tree: u64, item: Fields<'_>) {
        let root = Root { at: item.le64(176), level: item.byte(238), generation: item.le64(160) };
        self.is_full |= !push(&mut self.roots, (tree, root), MAX_TREES);
    }

    /// What says where a file is, and which directory has it.
    fn take_file(&mut self, tree: u64, key: Key, item: Fields<'_>) {
        let file = File { tree, inode: key.object };
        match key.kind {
            INODE_REF => self.take_names(item, 10, |_| key.offset, file),
            INODE_EXTREF => self.take_names(item, 18, |entry| entry.le64(0), file),
            EXTENT_DATA if matches!(item.byte(20), REGULAR | PREALLOCATED) => {
                let whole = item.le64(21)..item.le64(21).saturating_add(item.le64(29));
                let (skipped, len_bytes) = (item.le64(37), item.le64(45));
                if whole.start == 0 {
                    // It is a hole.
                } else if item.byte(16) != 0 {
                    self.claim(&whole, Block::Compressed { file, offset: key.offset });
                } else {
                    let at = whole.start.saturating_add(skipped);
                    let part = at..at.saturating_add(len_bytes).min(whole.end);
                    self.claim(&part, Block::Data { file, offset: key.offset });
                    if part != whole {
                        self.is_full |= !push(&mut self.overwritten, (whole, file), MAX_EXTENTS);
                    }
                }
            }
            _ => {}
        }
    }

    /// Some names, each after a header of so many bytes that ends with how long it is.
    fn take_names(
        &mut self,
        item: Fields<'_>,
        header_bytes: usize,
        directory: impl Fn(Fields<'_>) -> u64,
        file: File,
    ) {
        let mut at = 0;
        while at + header_bytes < item.0.len() {
            let entry = Fields(item.from(at));
            let name_bytes = usize::from(entry.le16(header_bytes - 2));
            let directory = File { inode: directory(entry), ..file };
            self.files.paths.add(directory, entry.part(header_bytes, name_bytes), file);
            at += header_bytes + name_bytes;
        }
    }

    fn take_extent(&mut self, key: Key, _: Fields<'_>) {
        let len_bytes = match key.kind {
            EXTENT_ITEM => key.offset,
            METADATA_ITEM => widen(self.superblock.node_bytes),
            _ => return,
        };
        let range = key.object..key.object.saturating_add(len_bytes);
        self.is_full |= !push(&mut self.allocated, range, MAX_EXTENTS);
    }

    /// Claims the nodes of a tree, and takes the items of its leaves; returns whether all of them could be read. A node that
    /// another tree has, too, is read once.
    fn walk(&mut self, tree: u64, root: Root, take: impl Fn(&mut Self, Key, Fields<'_>)) -> Result<bool, E> {
        let mut open = Vec::new();
        let mut is_whole = true;
        self.open(&mut open, tree, root);
        while let Some(root) = open.pop() {
            let Some(bytes) = self.read_node(tree, root)? else {
                is_whole = false;
                continue;
            };
            let Some(node) = Node::parse(&bytes, &self.superblock.uuid) else { continue };
            match root.level.checked_sub(1) {
                Some(level) => {
                    for (at, generation) in node.pointers() {
                        self.open(&mut open, tree, Root { at, level, generation });
                    }
                }
                None => node.items().for_each(|(key, item)| take(self, key, item)),
            }
        }
        Ok(is_whole && !self.is_full)
    }

    /// Adds a node to those that are to be read, unless it was read already.
    fn open(&mut self, open: &mut Vec<Root>, tree: u64, root: Root) {
        if let Some(first) = self.seen.get(&root.at).copied() {
            self.is_full |= !self.files.share(tree, first);
        } else if self.seen.len() >= MAX_NODES {
            self.is_full = true;
        } else {
            self.seen.insert(root.at, tree);
            open.push(root);
        }
    }

    /// Claims a node, and reads it: the first of its copies that is what it should be.
    fn read_node(&mut self, tree: u64, root: Root) -> Result<Option<Vec<u8>>, E> {
        let node_bytes = self.superblock.node_bytes;
        let places: Vec<Range<u64>> = self.chunks.places(root.at, widen(node_bytes)).collect();
        let mut found: Option<(Header, Vec<u8>)> = None;
        for place in &places {
            if found.is_some() {
                break;
            }
            found = self.disk.read(place.start, node_bytes)?.and_then(|bytes| {
                let header = Node::parse(&bytes, &self.superblock.uuid)?.header();
                (header.at == root.at && header.level == root.level && header.generation == root.generation)
                    .then_some((header, bytes))
            });
        }
        let Root { at, level, generation } = root;
        let expected = Header { at, owner: tree, generation, level };
        let header = found.as_ref().map_or(expected, |(header, _)| *header);
        for (place, mirror) in places.into_iter().zip(0..) {
            self.claims.claim(place, Block::of(&header, mirror));
        }
        Ok(found.map(|(_, bytes)| bytes))
    }

    /// Claims some logical addresses, wherever they are.
    fn claim(&mut self, range: &Range<u64>, block: Block) {
        for place in self.chunks.places(range.start, range.end.saturating_sub(range.start)) {
            self.claims.claim(place, block);
        }
    }

    /// What nothing has claimed: the rest of extents, then what is free in chunks, and then what is not in a chunk.
    fn claim_rest(&mut self, len_bytes: u64) {
        for (whole, file) in core::mem::take(&mut self.overwritten) {
            self.claim(&whole, Block::Overwritten { file });
        }
        // Otherwise it is not known what is free.
        if self.is_extent_tree_whole && self.chunks.is_complete() {
            for range in core::mem::take(&mut self.allocated) {
                self.claim(&range, Block::Unreferenced);
            }
            for range in self.chunks.ranges().collect::<Vec<_>>() {
                self.claim(&range, Block::Free);
            }
            self.claims.claim(0..len_bytes, Block::Unallocated);
        }
    }
}

/// Adds to a list of at most so many, and says whether there was room for it.
fn push<T>(list: &mut Vec<T>, one: T, max: usize) -> bool {
    let has_room = list.len() < max;
    if has_room {
        list.push(one);
    }
    has_room
}

/// What the first chunk begins after.
const RESERVED_BYTES: u64 = 1 << 20;

const INODE_REF: u8 = 12;
const INODE_EXTREF: u8 = 13;
const EXTENT_DATA: u8 = 108;
const ROOT_ITEM: u8 = 132;
const ROOT_BACKREF: u8 = 144;
const EXTENT_ITEM: u8 = 168;
const METADATA_ITEM: u8 = 169;
const CHUNK_ITEM: u8 = 228;

const REGULAR: u8 = 1;
const PREALLOCATED: u8 = 2;

/// How many nodes are looked at: no more than are read, if they are of 4 KiB.
const MAX_NODES: usize = 1 << 16;

/// How many trees are looked at: subvolumes, with their snapshots.
const MAX_TREES: usize = 1 << 16;

/// How many trees are looked at for a name.
const MAX_SHARED: usize = 64;

/// How many extents, and how many of which a file has a part, are kept at most: some 30 MB of them.
const MAX_EXTENTS: usize = 1 << 19;
