//! What the sectors of a disk are said to be, beside what the tools of each file system say.
#![cfg(target_os = "linux")]

mod btrfs;
mod ext;
mod fat;
mod journal;
mod mounted;
mod xfs;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use logwrites_core::contents::{Class, Contents, FileSystemKind};

use crate::common::fuse::program;
use crate::common::{Folder, random::Random};

/// What an image has.
fn contents_of(image: &Path) -> Contents {
    let file = File::open(image).expect("the image");
    let len_bytes = file.metadata().expect("metadata").len();
    let read = |offset_bytes: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset_bytes);
    let contents: Result<Option<Contents>, io::Error> = Contents::of(len_bytes, read);
    let contents = contents.expect("it can be read").expect("a file system that is known");
    assert!(contents.is_complete());
    contents
}

/// The roles of the bytes of an image, as one text.
fn said(contents: &Contents, offset_bytes: u64, len_bytes: u64) -> String {
    let roles = contents.roles(offset_bytes..offset_bytes + len_bytes);
    roles.iter().map(logwrites_core::contents::Role::phrase).collect::<Vec<_>>().join("; ")
}

/// An offset as it is told.
fn in_units(offset: u64) -> String {
    match offset {
        offset if offset > 0 && offset.is_multiple_of(1 << 20) => format!("{} MiB", offset >> 20),
        offset if offset > 0 && offset.is_multiple_of(1 << 10) => format!("{} KiB", offset >> 10),
        offset => format!("byte {offset}"),
    }
}

/// An image of zeros, and what a program makes of it.
fn make(folder: &Folder, len_mib: u64, package: &str, name: &str, args: &[&str]) {
    let image = folder.path("image");
    File::create(&image).expect("an image").set_len(len_mib << 20).expect("a length");
    let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    args.push(image.as_os_str());
    program(package, name, &args);
}

/// Bytes of the metadata of an image are changed at random, and one of the superblock: whatever comes of it, it ends.
fn does_no_harm(mut image: Vec<u8>, superblock: &Range<usize>, kept: &Range<usize>) {
    let len_bytes = u64::try_from(image.len()).expect("a length");
    let used = metadata(&image);
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut below =
        |end: usize| usize::try_from(random.below(u64::try_from(end).expect("64 bits"))).expect("an index");
    for _ in 0..60 {
        let mut changes = vec![(superblock.start + below(superblock.len()), 0xff)];
        for _ in 0..below(200) {
            changes.push((used[below(used.len())], u8::try_from(below(256)).expect("a byte")));
        }
        changes.retain(|(at, _)| !kept.contains(at));
        let change =
            |image: &mut Vec<u8>, (at, byte): (usize, u8)| (at, std::mem::replace(&mut image[at], byte));
        let undo: Vec<_> = changes.into_iter().map(|one| change(&mut image, one)).collect();
        let read = |offset_bytes: u64, buffer: &mut [u8]| {
            let at = usize::try_from(offset_bytes).map_err(|_| ())?;
            buffer.copy_from_slice(image.get(at..at + buffer.len()).ok_or(())?);
            Ok::<(), ()>(())
        };
        let contents = Contents::of(len_bytes, read).expect("reads are within the disk");
        if let Some(contents) = contents {
            assert!(!contents.roles(0..len_bytes).is_empty());
        }
        for one in undo.into_iter().rev() {
            change(&mut image, one);
        }
    }
}

/// Where an image has metadata that is not zero.
fn metadata(image: &[u8]) -> Vec<usize> {
    let read = |offset_bytes: u64, buffer: &mut [u8]| {
        let at = usize::try_from(offset_bytes).expect("an index");
        buffer.copy_from_slice(&image[at..at + buffer.len()]);
        Ok::<(), ()>(())
    };
    let len_bytes = u64::try_from(image.len()).expect("a length");
    let contents = Contents::of(len_bytes, read).expect("it can be read").expect("a file system");
    let mut used = Vec::new();
    for (at, sector) in (0..).step_by(512).zip(image.chunks(512)) {
        let class = contents.roles(at..at + 512)[0].class();
        if !matches!(class, Class::Data | Class::Free | Class::Unknown) {
            let at = usize::try_from(at).expect("an index");
            used.extend((at..).zip(sector).filter(|(_, byte)| **byte != 0).map(|(at, _)| at));
        }
    }
    used
}

/// A folder of files: deep ones, many in one folder, a large one, one with a hole, links.
fn make_files(folder: &Folder) {
    let mut random = Random::new(1);
    let mut bytes = |len: usize| -> Vec<u8> {
        (0..len).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect()
    };
    for name in ["files/a/b/c/d", "files/many", "files/empty"] {
        std::fs::create_dir_all(folder.path(name)).expect("a folder");
    }
    folder.write("files/notes.txt", "short");
    folder.write("files/a/b/c/d/deep", bytes(5000));
    folder.write("files/a/large", bytes(1_500_000));
    for nth in 0..400 {
        folder.write(&format!("files/many/a rather long name of a file {nth:03}"), bytes(nth * 7));
    }
    let hole = File::create(folder.path("files/hole")).expect("a file");
    hole.write_all_at(&bytes(3000), 20_000_000).expect("some bytes");
    hole.write_all_at(&bytes(3000), 70_000_000).expect("some bytes");
}

#[test]
fn file_systems_are_recognised() {
    let kinds = [
        ("e2fsprogs", "mkfs.ext4", &["-q"][..], "ext4"),
        ("e2fsprogs", "mkfs.ext2", &["-q"], "ext4"),
        ("xfsprogs", "mkfs.xfs", &["-q"], "xfs"),
        ("btrfs-progs", "mkfs.btrfs", &["-q"], "btrfs"),
        ("dosfstools", "mkfs.vfat", &[], "vfat"),
        ("dosfstools", "mkfs.vfat", &["-F", "32"], "vfat"),
    ];
    for (package, mkfs, args, name) in kinds {
        let folder = Folder::new();
        make(&folder, 320, package, mkfs, args);
        let file = File::open(folder.path("image")).expect("the image");
        let read = |offset_bytes: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset_bytes);
        let kind = FileSystemKind::recognise(320 << 20, read).expect("it can be read");
        assert_eq!(kind.map(FileSystemKind::name), Some(name), "{mkfs} {args:?}");
    }
}
