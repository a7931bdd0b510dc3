//! What the sectors of a disk are said to be, beside what the tools of each file system say.
#![cfg(target_os = "linux")]

mod ext;
mod fat;
mod journal;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use logwrites_core::contents::{Contents, FileSystemKind};

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

/// An image of zeros, and what a program makes of it.
fn make(folder: &Folder, len_mib: u64, package: &str, name: &str, args: &[&str]) {
    let image = folder.path("image");
    File::create(&image).expect("an image").set_len(len_mib << 20).expect("a length");
    let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    args.push(image.as_os_str());
    program(package, name, &args);
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
