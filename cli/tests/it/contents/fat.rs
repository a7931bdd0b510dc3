//! FAT, beside fsck.fat and mtools, sector for sector.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::RangeInclusive;

use logwrites_core::contents::{Contents, Written};

use super::{contents_of, in_units, make, said};
use crate::common::Folder;
use crate::common::fuse::program;
use crate::common::random::Random;

#[test]
fn every_sector_of_fat12_is_as_mtools_says() {
    agrees(1, 12, &["-F", "12", "-s", "1"]);
    agrees(4, 12, &["-F", "12", "-s", "4", "-f", "1", "-R", "4"]);
}

#[test]
fn every_sector_of_fat16_is_as_mtools_says() {
    agrees(4, 16, &["-F", "16", "-s", "1"]);
    agrees(20, 16, &["-F", "16", "-s", "4", "-r", "1024"]);
    agrees(40, 16, &["-F", "16", "-S", "2048", "-s", "2"]);
}

#[test]
fn every_sector_of_fat32_is_as_mtools_says() {
    agrees(36, 32, &["-F", "32", "-s", "1", "-b", "6"]);
    agrees(280, 32, &["-F", "32", "-s", "8", "-b", "6"]);
}

/// A write of a sector of a FAT names the clusters whose entries it changes, and their files.
#[test]
fn changed_entries_of_a_fat_are_named() {
    for (len_mib, width) in [(1, "12"), (4, "16"), (36, "32")] {
        let folder = Folder::new();
        make(&folder, len_mib, "dosfstools", "mkfs.fat", &["-F", width, "-s", "1"]);
        let layout = Layout::of(&folder);
        let before = folder.read("image");
        folder.write("notes", [b'n'; 1600]);
        let notes = folder.path("notes");
        mtools(&folder, "mcopy", &[notes.as_ref(), "::/notes.txt".as_ref()]);
        let after = folder.read("image");
        let contents = contents_of(&folder.path("image"));
        let [(_, clusters)] = &chains(&folder, &["/notes.txt".to_owned()])[..] else { panic!("one file") };
        let clusters = &clusters[0];
        for (nth, fat) in (1..).zip(&layout.fats) {
            let at = usize::try_from(*fat.start()).expect("an index");
            let part = at..at + 512;
            let written = Written {
                offset_bytes: *fat.start(),
                bytes: &after[part.clone()],
                before: &before[part.clone()],
            };
            let told = contents.told(written, |_, _| Err("a FAT tells all itself")).expect("it is not read");
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            let (first, last) = (clusters.start(), clusters.end());
            assert_eq!(told, [format!("FAT {nth}, clusters {first} to {last} (/notes.txt)")]);
        }
    }
}

/// Makes a file system with files, some of them in fragments, and compares.
fn agrees(len_mib: u64, width: u64, options: &[&str]) {
    println!("mkfs.fat {options:?}");
    let folder = Folder::new();
    make(&folder, len_mib, "dosfstools", "mkfs.fat", options);
    make_files(&folder);
    let contents = contents_of(&folder.path("image"));
    let layout = Layout::of(&folder);
    let expected = layout.expected(&folder, width);
    let len_bytes = len_mib << 20;
    for at in (0..len_bytes).step_by(512) {
        let role = said(&contents, at, 512);
        match expected.range(..=at).next_back() {
            Some((start, (end, Expected::Exactly(phrase)))) if at < *end => {
                assert_eq!(role, *phrase, "byte {at}, of {start} to {end}");
            }
            Some((start, (end, Expected::Fat(nth)))) if at < *end => {
                let (first, last) = ((at - start) * 8 / width, ((at - start + 512) * 8 - 1) / width);
                check_fat(&role, *nth, first, last.min(layout.nr_clusters + 1));
            }
            _ if at < layout.clusters_end() => assert_eq!(role, "free", "byte {at}"),
            _ => assert_eq!(role, "unknown", "byte {at} is after the last cluster"),
        }
    }
    check_ends(&contents, len_bytes);
}

fn data_of(path: &str, offset: u64) -> String {
    format!("data of {path} at {}", in_units(offset))
}

fn check_fat(role: &str, nth: u64, first: u64, last: u64) {
    if first <= last {
        assert_eq!(role, format!("FAT {nth}, clusters {first} to {last}"));
    } else {
        assert_eq!(role, format!("FAT {nth}, after its last entry"));
    }
}

/// All of the disk at once has each role once.
fn check_ends(contents: &Contents, len_bytes: u64) {
    let roles = contents.roles(0..len_bytes);
    assert_eq!(roles[0].phrase(), "boot sector");
    assert!(roles.iter().any(|role| role.phrase() == "free"), "{roles:?}");
}

/// Files in folders, some with long names, every other one of them deleted, and a large one in the gaps.
fn make_files(folder: &Folder) {
    let mut random = Random::new(1);
    let mut bytes = |len: usize| -> Vec<u8> {
        (0..len).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect()
    };
    for name in ["files/a/b/c", "files/many"] {
        std::fs::create_dir_all(folder.path(name)).expect("a folder");
    }
    folder.write("files/notes.txt", "short");
    folder.write("files/SHOUT", "short");
    folder.write("files/empty", "");
    folder.write("files/a/b/c/deep", bytes(5000));
    let name = |nth: usize| format!("many/a rather long name of a file {nth:03}");
    for nth in 0..60 {
        folder.write(&format!("files/{}", name(nth)), bytes(nth * 70));
    }
    folder.write("large", bytes(200_000));
    let files = ["files/a", "files/many", "files/notes.txt", "files/SHOUT", "files/empty"];
    let files = files.map(|name| folder.path(name));
    let files = files.iter().map(AsRef::as_ref);
    let args: Vec<&OsStr> = ["-s".as_ref()].into_iter().chain(files).chain(["::/".as_ref()]).collect();
    mtools(folder, "mcopy", &args);
    let gone: Vec<String> = (0..60).step_by(2).map(|nth| format!("::/{}", name(nth))).collect();
    mtools(folder, "mdel", &gone.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    mtools(folder, "mcopy", &[folder.path("large").as_ref(), "::/a/In the Gaps.bin".as_ref()]);
}

/// What fsck.fat says. Offsets are in bytes.
struct Layout {
    cluster_bytes: u64,
    nr_clusters: u64,
    sector_bytes: u64,
    fats: Vec<RangeInclusive<u64>>,
    root: Option<u64>,
    data: u64,
}

enum Expected {
    Exactly(String),
    Fat(u64),
}

impl Layout {
    fn of(folder: &Folder) -> Self {
        let text =
            program("dosfstools", "fsck.fat", &["-n".as_ref(), "-v".as_ref(), folder.path("image").as_ref()]);
        // The first number of the line with a text: before it, or after it.
        let number = |name: &str| -> Option<u64> {
            let line = text.lines().find(|line| line.contains(name))?;
            line.split(|letter: char| !letter.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
        };
        let first = number("First FAT starts at byte").expect("a FAT");
        let len_bytes = number("bytes per FAT").expect("a length");
        let nr_fats = number("FATs, ").expect("a number");
        Self {
            cluster_bytes: number("bytes per cluster").expect("a length"),
            nr_clusters: number("data clusters").expect("a number"),
            sector_bytes: number("bytes per logical sector").expect("a length"),
            fats: (0..nr_fats)
                .map(|nth| first + nth * len_bytes..=first + (nth + 1) * len_bytes - 1)
                .collect(),
            root: number("Root directory starts at byte"),
            data: number("Data area starts at byte").expect("data"),
        }
    }

    /// What is where, but for what is free: where it begins, and where it ends.
    fn expected(&self, folder: &Folder, width: u64) -> BTreeMap<u64, (u64, Expected)> {
        let mut expected = BTreeMap::new();
        let mut add = |start: u64, end: u64, what: Expected| {
            assert!(expected.insert(start, (end, what)).is_none(), "{start} is there once");
        };
        let exactly = |phrase: &str| Expected::Exactly(phrase.to_owned());
        let first = *self.fats[0].start();
        for at in 0..first / self.sector_bytes {
            let phrase = match at {
                0 => "boot sector",
                1 if width == 32 => "FSInfo",
                6 if width == 32 => "backup boot sector",
                7 if width == 32 => "backup FSInfo",
                _ => "reserved sectors",
            };
            add(at * self.sector_bytes, (at + 1) * self.sector_bytes, exactly(phrase));
        }
        for (nth, fat) in (1..).zip(&self.fats) {
            add(*fat.start(), fat.end() + 1, Expected::Fat(nth));
        }
        if let Some(root) = self.root {
            add(root, self.data, exactly("root directory"));
        }
        let mut nr_fragments = 0;
        for (path, chain) in chains(folder, &paths(folder)) {
            nr_fragments += chain.len().saturating_sub(1);
            for (nth, cluster) in (0..).zip(chain.into_iter().flatten()) {
                let start = self.data + (cluster - 2) * self.cluster_bytes;
                let end = start + self.cluster_bytes;
                match path.strip_suffix('/') {
                    Some("") => add(start, end, exactly("root directory")),
                    Some(path) => add(start, end, exactly(&format!("directory {path}"))),
                    // Each cluster from the file's beginning on.
                    None => {
                        for at in (start..end).step_by(512) {
                            let offset = nth * self.cluster_bytes + (at - start);
                            add(at, at + 512, Expected::Exactly(data_of(&path, offset)));
                        }
                    }
                }
            }
        }
        assert!(nr_fragments > 0, "a file or a folder is in fragments");
        expected
    }

    const fn clusters_end(&self) -> u64 {
        self.data + self.nr_clusters * self.cluster_bytes
    }
}

/// All paths; those of directories end with a slash.
fn paths(folder: &Folder) -> Vec<String> {
    let listed = mtools(folder, "mdir", &["-b".as_ref(), "-a".as_ref(), "-/".as_ref(), "::/".as_ref()]);
    let paths = listed.lines().filter_map(|line| line.strip_prefix("::")).map(str::to_owned);
    paths.chain(["/".to_owned()]).collect()
}

/// The clusters of some files, as mtools follows them.
fn chains(folder: &Folder, paths: &[String]) -> Vec<(String, Vec<RangeInclusive<u64>>)> {
    let mut chains = Vec::new();
    for path in paths {
        let name = if path == "/" { path } else { path.trim_end_matches('/') };
        let shown = mtools(folder, "mshowfat", &[format!("::{name}").as_ref()]);
        let (_, shown) = shown.split_once(" <").unwrap_or_default();
        let runs = shown.split(['<', '>', ' ', '\n']).filter(|run| !run.is_empty()).map(|run| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            first.parse().expect("a cluster")..=last.parse().expect("a cluster")
        });
        chains.push((path.clone(), runs.collect()));
    }
    chains
}

/// One of mtools on the image.
fn mtools(folder: &Folder, name: &str, args: &[&OsStr]) -> String {
    let image = folder.path("image");
    let args: Vec<&OsStr> =
        ["-i".as_ref(), image.as_os_str()].into_iter().chain(args.iter().copied()).collect();
    program("mtools", name, &args)
}
