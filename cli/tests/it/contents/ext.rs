//! ext4, beside debugfs and dumpe2fs, block for block.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use logwrites_core::contents::{Class, Contents};

use super::{contents_of, does_no_harm, make, make_files, said};
use crate::common::Folder;
use crate::common::fuse::program;

#[test]
fn every_block_of_ext4_is_as_debugfs_says() {
    agrees(64, &["-b", "4096"]);
    agrees(
        48,
        &["-b", "4096", "-O", "64bit,metadata_csum,inline_data,orphan_file,quota,project", "-I", "256"],
    );
}

#[test]
fn every_block_of_ext2_and_ext3_is_as_debugfs_says() {
    agrees(96, &["-t", "ext2", "-b", "1024", "-I", "128"]);
    agrees(48, &["-t", "ext3", "-b", "2048"]);
}

#[test]
fn every_block_of_rarer_layouts_is_as_debugfs_says() {
    agrees(32, &["-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "512"]);
    agrees(32, &["-b", "1024", "-O", "sparse_super2,^has_journal,^flex_bg", "-g", "1024"]);
    agrees(32, &["-b", "1024", "-O", "^sparse_super,^resize_inode,^metadata_csum,^64bit,uninit_bg"]);
    agrees(64, &["-b", "4096", "-O", "bigalloc", "-C", "16384"]);
    agrees(64, &["-b", "16384"]);
}

/// Makes a file system with files, some of them in fragments, and compares.
fn agrees(len_mib: u64, options: &[&str]) {
    println!("mkfs.ext4 {options:?}");
    let folder = Folder::new();
    make_files(&folder);
    let files = folder.path("files").display().to_string();
    let args: Vec<&str> = ["-q", "-F", "-d", &files].into_iter().chain(options.iter().copied()).collect();
    make(&folder, len_mib, "e2fsprogs", "mkfs.ext4", &args);
    // Every other file goes, and a large one comes into the gaps.
    let gone = (0..400).step_by(2).map(|nth| format!("rm \"/many/a rather long name of a file {nth:03}\"\n"));
    folder.write("gone", gone.collect::<String>());
    let large = folder.path("files/a/large");
    folder.write("value", vec![b'v'; 700]);
    let add = format!(
        "write {} /fragments\nea_set -f {} /notes.txt user.long\n",
        large.display(),
        folder.path("value").display()
    );
    folder.write("add", add);
    for commands in ["gone", "add"] {
        let commands = folder.path(commands);
        let image = folder.path("image");
        program("e2fsprogs", "debugfs", &["-w".as_ref(), "-f".as_ref(), commands.as_ref(), image.as_ref()]);
    }
    let contents = contents_of(&folder.path("image"));
    let dump = Dump::of(&folder);
    dump.check(&folder, &contents);
}

#[test]
fn a_broken_ext4_does_no_harm() {
    let folder = Folder::new();
    make_files(&folder);
    let files = folder.path("files").display().to_string();
    make(&folder, 24, "e2fsprogs", "mkfs.ext4", &["-q", "-F", "-b", "1024", "-d", &files]);
    does_no_harm(folder.read("image"), &(1024..1724), &(1080..1082));
}

/// What dumpe2fs says.
pub(super) struct Dump {
    block_bytes: u64,
    nr_blocks: u64,
    /// Whether space is given out in clusters: of some only a part is used.
    has_clusters: bool,
    free: BTreeSet<u64>,
    /// Metadata, and the phrase for it.
    fixed: BTreeMap<u64, String>,
}

impl Dump {
    pub(super) fn of(folder: &Folder) -> Self {
        let text = program("e2fsprogs", "dumpe2fs", &[folder.path("image").as_ref()]);
        let number = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().parse().expect(name)
        };
        let mut dump = Self {
            block_bytes: number("Block size:"),
            nr_blocks: number("Block count:"),
            has_clusters: text.contains("Cluster size:"),
            free: BTreeSet::new(),
            fixed: BTreeMap::new(),
        };
        let mut group = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("Group ") {
                rest.split(':').next().expect("a number").clone_into(&mut group);
            } else if let Some(rest) = line.strip_prefix("  Free blocks: ") {
                dump.free.extend(rest.split(", ").filter(|range| !range.is_empty()).flat_map(range));
            } else {
                dump.take_line(line, &group);
            }
        }
        dump
    }

    fn take_line(&mut self, line: &str, group: &str) {
        let copy = if group == "0" { String::new() } else { format!(", copy in group {group}") };
        let phrases = [
            ("Primary superblock at ", "superblock".to_owned()),
            ("Backup superblock at ", format!("superblock{copy}")),
            ("Group descriptors at ", format!("group descriptors{copy}")),
            ("Group descriptor at ", "group descriptors".to_owned()),
            ("Reserved GDT blocks at ", "reserved group descriptors".to_owned()),
            ("Block bitmap at ", format!("block bitmap of group {group}")),
            ("Inode bitmap at ", format!("inode bitmap of group {group}")),
            ("Inode table at ", format!("inode table of group {group}")),
        ];
        for (name, phrase) in phrases {
            if let Some((_, rest)) = line.split_once(name) {
                let rest = rest.split(|c: char| !c.is_ascii_digit() && c != '-').next().expect("a part");
                self.fixed.extend(range(rest).map(|block| (block, phrase.clone())));
            }
        }
    }

    pub(super) fn check(&self, folder: &Folder, contents: &Contents) {
        let owners = owners(folder, self.nr_blocks);
        let names = names(folder, &owners.values().copied().collect());
        let mut nr_owned = 0;
        for block in 0..self.nr_blocks {
            let at = block * self.block_bytes;
            let role = said(contents, at, self.block_bytes);
            let classes = contents.roles(at..at + self.block_bytes);
            let class = classes[0].class();
            if let Some(phrase) = self.fixed.get(&block) {
                assert!(role.starts_with(phrase), "block {block} is {phrase}: {role}");
            } else if self.free.contains(&block) {
                assert_eq!(role, "free", "block {block}");
            } else if let Some(owner) = owners.get(&block) {
                nr_owned += 1;
                let special = match owner {
                    3 => Some("user quota"),
                    4 => Some("group quota"),
                    7 => Some("reserved group descriptors"),
                    8 => Some("journal"),
                    _ => None,
                };
                match (special, names.get(owner)) {
                    (Some(special), _) => assert!(role.contains(special), "block {block}, {owner}: {role}"),
                    (None, Some(paths)) => {
                        let is_it = paths
                            .iter()
                            .any(|path| role.ends_with(path) || role.contains(&format!(" {path} at ")));
                        assert!(is_it, "block {block} is of {paths:?}: {role}");
                    }
                    (None, None) => assert!(
                        role.contains("orphan file") || role.contains(&format!("inode {owner}")),
                        "block {block}, {owner}: {role}"
                    ),
                }
            } else {
                let is_rest = self.has_clusters && matches!(class, Class::Free | Class::Unknown);
                assert!(class == Class::Superblock || is_rest, "block {block} has no owner: {role}");
            }
        }
        assert!(nr_owned > 500, "{nr_owned}");
    }
}

/// The inode of each block that has one.
fn owners(folder: &Folder, nr_blocks: u64) -> BTreeMap<u64, u64> {
    let mut owners = BTreeMap::new();
    for first in (0..nr_blocks).step_by(10_000) {
        let blocks: Vec<String> =
            (first.max(1)..nr_blocks.min(first + 10_000)).map(|block| block.to_string()).collect();
        let said = debugfs(folder, &format!("icheck {}", blocks.join(" ")));
        for (block, inode) in said.lines().filter_map(|line| line.split_once('\t')) {
            if let (Ok(block), Ok(inode)) = (block.parse::<u64>(), inode.parse::<u64>()) {
                owners.insert(block, inode);
            }
        }
    }
    owners
}

/// All paths of some inodes.
fn names(folder: &Folder, inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<String>> {
    let inodes: Vec<String> = inodes.iter().map(ToString::to_string).collect();
    let said = debugfs(folder, &format!("ncheck {}", inodes.join(" ")));
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (inode, path) in said.lines().filter_map(|line| line.split_once('\t')) {
        if let Ok(inode) = inode.parse() {
            let path = path.replace("//", "/");
            names.entry(inode).or_default().push(path);
        }
    }
    names.insert(2, vec!["/".to_owned()]);
    names
}

pub(super) fn debugfs(folder: &Folder, command: &str) -> String {
    program("e2fsprogs", "debugfs", &["-R".as_ref(), command.as_ref(), folder.path("image").as_ref()])
}

/// `A` or `A-B`.
fn range(text: &str) -> RangeInclusive<u64> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().expect("a number")..=last.parse().expect("a number")
}
