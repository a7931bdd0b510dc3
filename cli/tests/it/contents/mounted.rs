//! Files of all kinds on a file system that the kernel has mounted.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use rustix::fs::{FallocateFlags, XattrFlags, fallocate, setxattr};

use super::make_files;
use crate::common::{Folder, system};

/// Makes files: those of [`make_files`], of which some are removed again; folders with names for one block and for many; files in
/// many pieces, or shared; links, and extended attributes.
pub(super) fn fill(folder: &Folder, root: &Path) {
    make_files(folder);
    let files = folder.path("files/.");
    system("cp", &["-a".as_ref(), files.as_os_str(), root.as_os_str()]);
    for nth in (0..400).step_by(2) {
        let name = format!("many/a rather long name of a file {nth:03}");
        fs::remove_file(root.join(name)).expect("it is there");
    }
    for (name, nr) in [("few", 30), ("more", 3000)] {
        fs::create_dir(root.join(name)).expect("a folder");
        for nth in 0..nr {
            fs::write(root.join(name).join(format!("one of its files, number {nth}")), "").expect("a file");
        }
    }
    let pieces = File::create(root.join("a/pieces")).expect("a file");
    pieces.write_all_at(&vec![b'p'; 4_000_000], 0).expect("room for it");
    pieces.sync_all().expect("it is written");
    for nth in 0..240 {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&pieces, hole, nth * 16_384, 8192).expect("a hole");
    }
    symlink("x/".repeat(500), root.join("a/link")).expect("a link");
    symlink("short", root.join("short link")).expect("a link");
    fs::hard_link(root.join("notes.txt"), root.join("a/notes again")).expect("a link");
    let notes = root.join("notes.txt");
    setxattr(&notes, "user.short", b"value", XattrFlags::empty()).expect("an attribute");
    setxattr(&notes, "user.long", &vec![b'v'; 3000], XattrFlags::empty()).expect("an attribute");
}
