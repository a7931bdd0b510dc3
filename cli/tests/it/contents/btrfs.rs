//! btrfs, beside what `btrfs inspect-internal` dumps, block for block.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use logwrites_core::contents::{Contents, Written};

use super::mounted::fill;
use super::{contents_of, does_no_harm, in_units, make, said};
use crate::common::fuse::{Mount, program};
use crate::common::{Folder, system};

#[test]
fn every_block_of_btrfs_is_as_it_is_dumped() {
    agrees(&[], "noatime");
    agrees(
        &["-m", "single", "-n", "4096", "-O", "^no-holes", "-R", "^free-space-tree"],
        "noatime,space_cache=v1",
    );
    agrees(&["-m", "dup", "-d", "dup", "-n", "65536"], "noatime,compress-force=zlib");
    agrees(&["--mixed", "-n", "4096", "--csum", "xxhash"], "noatime");
}

/// What was synced since the last commit is in the log tree alone.
#[test]
fn what_the_log_tree_has_is_named() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "btrfs-progs", "mkfs.btrfs", &["-q"]);
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime,commit=300");
    fs::create_dir(mount.path().join("a")).expect("a folder");
    subvolume(&["create"], &[&mount.path().join("sub")]);
    system("sync", &[]);
    for name in ["a/new", "sub/new"] {
        let mut new = File::create(mount.path().join(name)).expect("a file");
        new.write_all(&vec![b'n'; 20_000]).expect("room for it");
        new.sync_all().expect("it is synced");
    }
    let copy = folder.path("copy");
    fs::copy(&image, &copy).expect("it is copied");
    let names = Names::of(mount.path());
    mount.end();
    let dump = Dump::of(&copy, &names);
    let nr = dump.check(&contents_of(&copy));
    assert!(nr["log tree"] >= 3, "{nr:?}");
    let new = names.0.values().flatten().filter(|name| name.ends_with("/new"));
    assert_eq!(new.count(), 2);
    let data = |name: &str| nr.get(&format!("data of {name}")).copied();
    assert_eq!((data("/a/new"), data("/sub/new")), (Some(5), Some(5)));
}

/// Each node, when it is written, says what it is, whatever was known of its place.
#[test]
fn nodes_and_superblocks_that_are_written_say_what_they_are() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "btrfs-progs", "mkfs.btrfs", &["-q"]);
    let image = folder.path("image");
    let empty = contents_of(&image);
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
    fill(&folder, mount.path());
    let names = Names::of(mount.path());
    mount.end();
    let bytes = folder.read("image");
    let dump = Dump::of(&image, &names);
    for (at, len, phrase) in &dump.written {
        let [start, len] = [*at, *len].map(|number| usize::try_from(number).expect("an index"));
        let written = Written { offset_bytes: *at, bytes: &bytes[start..start + len], before: &[] };
        let told = empty.told(written, |_, _| Err("not read")).expect("they tell all themselves");
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, [phrase.as_str()], "byte {at}");
    }
    assert!(dump.written.len() > 50, "{}", dump.written.len());
}

#[test]
fn a_broken_btrfs_does_no_harm() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "btrfs-progs", "mkfs.btrfs", &["-q", "-n", "4096"]);
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
    fill(&folder, mount.path());
    subvolume(&["snapshot"], &[mount.path(), &mount.path().join("snapshot")]);
    mount.end();
    let superblock = 64 << 10;
    does_no_harm(
        folder.read("image"),
        &(superblock + 80..superblock + 1000),
        &(superblock + 64..superblock + 72),
    );
}

/// Makes a file system with files of all kinds, subvolumes and snapshots, and compares.
fn agrees(options: &[&str], mount_options: &str) {
    println!("mkfs.btrfs {options:?}, mount -o {mount_options}");
    let folder = Folder::new();
    make(&folder, LEN_MIB, "btrfs-progs", "mkfs.btrfs", &[&["-q"], options].concat());
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), &format!("loop,{mount_options}"));
    let path = |name: &str| mount.path().join(name);
    fill(&folder, mount.path());
    for name in ["sub", "sub/within"] {
        subvolume(&["create"], &[&path(name)]);
        fs::write(path(name).join("file"), vec![b's'; 50_000]).expect("a file");
    }
    subvolume(&["snapshot"], &[mount.path(), &path("snapshot")]);
    subvolume(&["snapshot", "-r"], &[&path("sub"), &path("a/read-only")]);
    // The snapshot is changed, and so is what it was taken of.
    fs::write(path("snapshot/many/new"), vec![b'n'; 10_000]).expect("a file");
    fs::rename(path("few"), path("renamed")).expect("it is there");
    for name in ["a/large", "snapshot/a/large"] {
        let large = File::options().write(true).open(path(name)).expect("a file");
        large.write_all_at(&vec![b'o'; 30_000], 500_000).expect("room for it");
        large.sync_all().expect("it is synced");
    }
    system("cp", &["--reflink=always".as_ref(), path("a/large").as_os_str(), path("a/copy").as_os_str()]);
    for nth in 0..40 {
        let name = format!("notes.txt is also {nth} {}", "long ".repeat(40));
        fs::hard_link(path("notes.txt"), path(&name)).expect("a link");
    }
    system("sync", &[]);
    let names = Names::of(mount.path());
    mount.end();
    let nr = Dump::of(&image, &names).check(&contents_of(&image));
    for kind in ["fs tree", "tree of subvolume /snapshot", "extent tree", "overwritten", "free", "superblock"]
    {
        assert!(nr.keys().any(|found| found.starts_with(kind)), "no block is {kind}");
    }
}

fn subvolume(command: &[&str], paths: &[&Path]) {
    let command = ["subvolume"].iter().chain(command).map(OsStr::new);
    let args: Vec<&OsStr> = command.chain(paths.iter().map(|path| path.as_os_str())).collect();
    program("btrfs-progs", "btrfs", &args);
}

/// All paths of each file, by its subvolume and inode.
struct Names(BTreeMap<(u64, u64), Vec<String>>);

impl Names {
    fn of(root: &Path) -> Self {
        let list = ["subvolume".as_ref(), "list".as_ref(), root.as_os_str()];
        let list = program("btrfs-progs", "btrfs", &list);
        let subvolumes = list.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["ID", id, .., "path", path] = &words[..] else { panic!("{line}") };
            (format!("/{path}"), id.parse().expect("a number"))
        });
        let subvolumes = subvolumes.collect();
        let mut names = Self(BTreeMap::new());
        names.add(root, "/".to_owned(), 5, &subvolumes);
        names
    }

    fn add(&mut self, file: &Path, name: String, tree: u64, subvolumes: &BTreeMap<String, u64>) {
        let metadata = fs::symlink_metadata(file).expect("it is there");
        let tree = subvolumes.get(&name).copied().unwrap_or(tree);
        if metadata.is_dir() {
            for entry in fs::read_dir(file).expect("a folder") {
                let entry = entry.expect("an entry").path();
                let below = entry.file_name().and_then(OsStr::to_str).expect("text");
                let separator = if name == "/" { "" } else { "/" };
                self.add(&entry, format!("{name}{separator}{below}"), tree, subvolumes);
            }
        }
        self.0.entry((tree, metadata.ino())).or_default().push(name);
    }

    /// The names of the file that has a piece of an extent.
    fn of_piece(&self, piece: &Piece) -> Vec<String> {
        if piece.tree == 1 {
            return vec!["the free space cache".to_owned()];
        }
        self.0[&(piece.tree, piece.inode)].clone()
    }

    /// What a tree is called, of which a dump has the name or the number.
    fn tree(&self, owner: &str) -> String {
        match owner.parse() {
            Ok(tree) => format!("tree of subvolume {}", self.0[&(tree, 256)][0]),
            Err(_) if owner == "TREE_LOG" => "log tree".to_owned(),
            Err(_) if owner == "DATA_RELOC_TREE" => "data relocation tree".to_owned(),
            Err(_) => owner.to_lowercase().replace('_', " "),
        }
    }
}

/// What is dumped.
struct Dump {
    /// What is in each block of the disk, as phrases any of which is right.
    expected: BTreeMap<u64, Vec<String>>,
    /// Where superblocks and nodes are, how long they are, and what they are.
    written: Vec<(u64, u64, String)>,
    chunks: Vec<Chunk>,
    node_bytes: u64,
    len_bytes: u64,
}

/// Where logical addresses are.
struct Chunk {
    addresses: Range<u64>,
    stripes: Vec<u64>,
}

/// What a file has of an extent.
#[derive(Clone, Copy, Default)]
struct Piece {
    tree: u64,
    inode: u64,
    offset: u64,
    /// Where the extent is, and how long it is.
    extent: (u64, u64),
    /// The part of it that the file has.
    part: (u64, u64),
    is_compressed: bool,
}

impl Dump {
    fn of(image: &Path, names: &Names) -> Self {
        let superblocks = inspect(image, &["dump-super", "--all"]);
        let value = |line: &str, name: &str| line.strip_prefix(name)?.trim().parse::<u64>().ok();
        let mut dump = Self {
            expected: BTreeMap::new(),
            written: Vec::new(),
            chunks: chunks(image),
            node_bytes: superblocks.lines().find_map(|line| value(line, "nodesize")).expect("a size"),
            len_bytes: fs::metadata(image).expect("it is there").len(),
        };
        let generations = superblocks.lines().filter_map(|line| value(line, "generation"));
        for (mirror, generation) in generations.enumerate() {
            let mirrored = if mirror == 0 { String::new() } else { format!(" mirror {mirror}") };
            let phrase = format!("superblock{mirrored}, generation {generation}");
            dump.add_written([64 << 10, 64 << 20][mirror], BLOCK_BYTES, phrase);
        }
        dump.take_trees(&inspect(image, &["dump-tree"]), names);
        dump
    }

    fn take_trees(&mut self, text: &str, names: &Names) {
        let mut pieces = Vec::new();
        let mut piece = Piece::default();
        let mut allocated = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match &words[..] {
                ["log", "tree", "key", .., tree] | ["file", "tree", "key", tree, ..] => {
                    piece.tree = number(tree);
                }
                ["fs", "tree", ..] => piece.tree = 5,
                [.., "tree"] | [.., "tree", "key", _, "ROOT_ITEM", _] => piece.tree = 1,
                ["leaf", at, "items", .., "generation", generation, "owner", owner] => {
                    self.add_node(
                        number(at),
                        &format!("{}, level 0, generation {generation}", names.tree(owner)),
                    );
                }
                ["node", at, "level", level, .., "generation", generation, "owner", owner] => {
                    let tree = names.tree(owner);
                    self.add_node(number(at), &format!("{tree}, level {level}, generation {generation}"));
                }
                ["item", _, "key", at, "EXTENT_ITEM", len, ..] => allocated.push((number(at), number(len))),
                ["item", _, "key", inode, "EXTENT_DATA", offset, ..] => {
                    (piece.inode, piece.offset) = (number(inode), number(offset));
                }
                ["extent" | "prealloc", "data", "disk", "byte", at, "nr", len] => {
                    piece.extent = (number(at), number(len));
                }
                ["extent", "data", "offset", skipped, "nr", len, ..] => {
                    piece.part = (number(skipped), number(len));
                }
                ["prealloc", "data", "offset", skipped, "nr", len, ..] => {
                    piece.part = (number(skipped), number(len));
                    pieces.push(Piece { is_compressed: false, ..piece });
                }
                ["extent", "compression", kind, ..] if piece.extent.0 != 0 => {
                    pieces.push(Piece { is_compressed: *kind != "0", ..piece });
                }
                _ => {}
            }
        }
        for piece in &pieces {
            self.add_piece(piece, names);
        }
        let known = self.expected.clone();
        for piece in &pieces {
            for block in self.blocks(piece.extent.0, piece.extent.1) {
                if !known.contains_key(&block) {
                    self.add_phrases(block, piece, names, |name| format!("overwritten data of {name}"));
                }
            }
        }
        for (at, len) in allocated {
            for block in self.blocks(at, len) {
                self.expected.entry(block).or_insert_with(|| vec!["extent that no file has".to_owned()]);
            }
        }
    }

    fn add_written(&mut self, at: u64, len: u64, phrase: String) {
        for block in (at..at + len).step_by(4096) {
            self.expected.insert(block, vec![phrase.clone()]);
        }
        self.written.push((at, len, phrase));
    }

    fn add_node(&mut self, at: u64, phrase: &str) {
        let places: Vec<u64> = self.places(at).collect();
        for (nth, place) in (1..).zip(places) {
            let copy = if nth == 1 { String::new() } else { format!(", copy {nth}") };
            self.add_written(place, self.node_bytes, format!("{phrase}{copy}"));
        }
    }

    fn add_piece(&mut self, piece: &Piece, names: &Names) {
        if piece.is_compressed {
            let offset = in_units(piece.offset);
            for block in self.blocks(piece.extent.0, piece.extent.1) {
                self.add_phrases(block, piece, names, |name| {
                    format!("data of {name} at {offset}, compressed")
                });
            }
            return;
        }
        let (skipped, len) = piece.part;
        for at in (0..len).step_by(4096) {
            let offset = in_units(piece.offset + at);
            for block in self.blocks(piece.extent.0 + skipped + at, BLOCK_BYTES) {
                self.add_phrases(block, piece, names, |name| format!("data of {name} at {offset}"));
            }
        }
    }

    /// A block is a file's, by any of its names.
    fn add_phrases(&mut self, block: u64, piece: &Piece, names: &Names, phrase: impl Fn(&str) -> String) {
        let phrases = names.of_piece(piece).into_iter().map(|name| phrase(&name));
        self.expected.entry(block).or_default().extend(phrases);
    }

    /// Where a logical address is on the disk.
    fn places(&self, at: u64) -> impl Iterator<Item = u64> + '_ {
        let chunk = self.chunks.iter().find(|chunk| chunk.addresses.contains(&at)).expect("a chunk");
        chunk.stripes.iter().map(move |stripe| stripe + (at - chunk.addresses.start))
    }

    /// The blocks of the disk at some logical addresses.
    fn blocks(&self, at: u64, len: u64) -> Vec<u64> {
        (at..at + len).step_by(4096).flat_map(|at| self.places(at)).collect()
    }

    /// Compares all blocks, and counts those of each kind.
    fn check(&self, contents: &Contents) -> BTreeMap<String, u64> {
        let mut nr = BTreeMap::new();
        let chunks = self.chunks.iter().flat_map(|chunk| {
            let len = chunk.addresses.end - chunk.addresses.start;
            chunk.stripes.iter().map(move |stripe| *stripe..stripe + len)
        });
        let chunks: Vec<Range<u64>> = chunks.collect();
        for at in (0..self.len_bytes).step_by(4096) {
            let role = said(contents, at, BLOCK_BYTES);
            let rest = match at {
                at if at < 1 << 20 => "reserved",
                at if chunks.iter().any(|chunk| chunk.contains(&at)) => "free",
                _ => "free, not in a chunk",
            };
            match self.expected.get(&at) {
                Some(expected) => assert!(expected.contains(&role), "byte {at} is {expected:?}: {role}"),
                None => assert_eq!(role, rest, "byte {at}"),
            }
            let kind = role.split(", ").next().and_then(|kind| kind.split(" at ").next()).expect("a part");
            *nr.entry(kind.to_owned()).or_default() += 1;
        }
        nr
    }
}

fn chunks(image: &Path) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut start = 0;
    for line in inspect(image, &["dump-tree", "--tree", "chunk"]).lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["item", _, "key", "(FIRST_CHUNK_TREE", "CHUNK_ITEM", at, ..] => start = number(at),
            ["length", len, ..] => {
                chunks.push(Chunk { addresses: start..start + number(len), stripes: Vec::new() });
            }
            ["stripe", _, "devid", "1", "offset", at] => {
                chunks.last_mut().expect("a chunk").stripes.push(number(at));
            }
            _ => {}
        }
    }
    chunks
}

/// A number of a dump, perhaps at the beginning or the end of a key.
fn number(text: &str) -> u64 {
    text.trim_matches(['(', ')']).parse().expect("a number")
}

fn inspect(image: &Path, command: &[&str]) -> String {
    let command = ["inspect-internal"].iter().chain(command).map(OsStr::new);
    let args: Vec<&OsStr> = command.chain([image.as_os_str()]).collect();
    program("btrfs-progs", "btrfs", &args)
}

const LEN_MIB: u64 = 300;

/// How long a block is of which all has one role.
const BLOCK_BYTES: u64 = 4096;
