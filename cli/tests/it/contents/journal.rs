//! What the journal of ext4 has, beside debugfs: its blocks, and what the file system is once it is replayed.

use logwrites_core::contents::{Contents, Written};

use super::ext::{Dump, debugfs};
use super::{contents_of, make, make_files, said};
use crate::common::Folder;
use crate::common::fuse::program;
use crate::common::golden::golden;

/// Points of a real log at which transactions are committed and nothing of them is written back.
#[test]
fn a_journal_that_was_not_replayed_is_as_debugfs_says() {
    let folder = golden("ext4-64m");
    for point in ["480", "580", "mark:namespace"] {
        folder
            .run_of(["replay", "log", "--base", "base", "--force", "--at", point, "--output", "image"])
            .code(0);
        let contents = contents_of(&folder.path("image"));
        let nr = Logged::of(&folder).check(&folder, &contents);
        assert!(nr.copies > 50 && nr.transactions > 10 && nr.revokes > 0, "{nr:?} at {point}");
        check_replayed(&folder, &contents);
    }
}

/// Debugfs writes two transactions: one renames two files, the other revokes one of these two blocks.
#[test]
fn what_was_revoked_is_not_replayed() {
    let folder = Folder::new();
    make_files(&folder);
    for name in ["files/renamed", "files/kept"] {
        std::fs::create_dir(folder.path(name)).expect("a folder");
        folder.write(&format!("{name}/first"), [b'1'; 5000]);
    }
    let files = folder.path("files").display().to_string();
    let options = ["-q", "-F", "-b", "1024", "-O", "^metadata_csum,^orphan_file", "-d", &files];
    make(&folder, 32, "e2fsprogs", "mkfs.ext4", &options);
    let [renamed, kept] = ["/renamed", "/kept"].map(|name| block_of(&folder, name));
    let image = folder.read("image");
    let later: Vec<u8> = [renamed, kept].into_iter().flat_map(|block| with_later(&image, block)).collect();
    folder.write("later", later);
    let later = folder.path("later");
    let commands = format!("jo\njw -b {renamed},{kept} {}\njw -r {kept}\njc\n", later.display());
    folder.write("commands", commands);
    let commands = folder.path("commands");
    let image = folder.path("image");
    program("e2fsprogs", "debugfs", &["-w".as_ref(), "-f".as_ref(), commands.as_ref(), image.as_ref()]);

    let contents = contents_of(&image);
    let nr = Logged::of(&folder).check(&folder, &contents);
    assert_eq!((nr.copies, nr.transactions, nr.revokes), (2, 2, 1));
    let data = |path: &str| said(&contents, block_of(&folder, path) * 1024, 1024);
    assert_eq!(data("/renamed/first"), "data of /renamed/later at byte 0");
    assert_eq!(data("/kept/first"), "data of /kept/first at byte 0");
    check_replayed(&folder, &contents);
}

/// Debugfs replays the journal, and what is then on the disk is what was told before.
fn check_replayed(folder: &Folder, contents: &Contents) {
    let before = folder.read("image");
    let image = folder.path("image");
    program("e2fsprogs", "debugfs", &["-w".as_ref(), "-R".as_ref(), "journal_run".as_ref(), image.as_ref()]);
    assert!(folder.read("image") != before, "there was something to replay");
    Dump::of(folder).check(folder, contents);
}

/// What debugfs finds in a journal.
struct Logged {
    block_bytes: u64,
    /// The first block of each run of blocks of the journal: in it, and on the disk.
    runs: Vec<(u64, u64)>,
    /// For each block what it says, and where it is one, the block that it is a copy of.
    blocks: Vec<(u64, String, Option<u64>)>,
    nr: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    copies: usize,
    transactions: usize,
    revokes: usize,
}

impl Logged {
    fn of(folder: &Folder) -> Self {
        let inode = debugfs(folder, "stat <8>");
        let (_, extents) = inode.split_once("EXTENTS:\n").expect("the extents of the journal");
        let first = |range: &str| range.split('-').next().and_then(|first| first.parse().ok());
        let runs = extents.trim().split(", ").filter_map(|extent| {
            let (at, block) = extent.strip_prefix('(')?.split_once("):")?;
            Some((first(at)?, first(block)?))
        });
        let mut logged =
            Self { block_bytes: 1024, runs: runs.collect(), blocks: Vec::new(), nr: Counted::default() };
        let mut sequence = 0;
        for line in debugfs(folder, "logdump -a").lines() {
            logged.take_line(line.trim(), &mut sequence);
        }
        logged
    }

    fn take_line(&mut self, line: &str, sequence: &mut u64) {
        let number_after = |text: &str| -> Option<u64> {
            let (_, rest) = line.split_once(text)?;
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        };
        if let (Some(copied), Some(at)) = (number_after("FS block "), number_after(" at journal block ")) {
            self.nr.copies += 1;
            self.blocks.push((at, format!("journal, transaction {sequence}: "), Some(copied)));
        } else if let (Some(of), Some(at)) = (number_after("expected sequence "), number_after(" at block "))
        {
            *sequence = of;
            let what = match number_after(", type ").expect("a type") {
                1 => "descriptor",
                2 => "commit",
                5 => "revoked blocks",
                kind => panic!("blocks of type {kind} are not known: {line}"),
            };
            self.nr.transactions += usize::from(what == "commit");
            self.blocks.push((at, format!("journal, {what} of transaction {of}"), None));
        } else {
            self.nr.revokes += usize::from(line.starts_with("Revoke FS block"));
        }
    }

    /// Each block, when it is written, is told to be what debugfs says.
    fn check(&self, folder: &Folder, contents: &Contents) -> Counted {
        let image = folder.read("image");
        let read = |offset_bytes: u64, buffer: &mut [u8]| {
            let at = usize::try_from(offset_bytes).expect("an index");
            buffer.copy_from_slice(&image[at..at + buffer.len()]);
            Ok::<(), ()>(())
        };
        for (at, says, copied) in &self.blocks {
            let (first, block) = self.runs.iter().rfind(|(first, _)| first <= at).expect("a block");
            let offset_bytes = (block + at - first) * self.block_bytes;
            let mut bytes = vec![0; usize::try_from(self.block_bytes).expect("a length")];
            read(offset_bytes, &mut bytes).expect("the journal is on the disk");
            let told = contents.told(Written { offset_bytes, bytes: &bytes, before: &[] }, read);
            let [told] = &told.expect("the disk can be read")[..] else { panic!("one block has one role") };
            let Some(copied) = copied else {
                assert_eq!(told.phrase(), says, "block {at} of the journal");
                continue;
            };
            if bytes.iter().all(|byte| *byte == 0) {
                // The descriptor was written, and the copy not yet.
                assert_eq!(told.phrase(), "journal", "block {at} of the journal");
                continue;
            }
            let original = said(contents, copied * self.block_bytes, self.block_bytes);
            let copy = told.phrase().strip_prefix(says.as_str());
            // Of a table of inodes those that differ are told.
            let is_it = |copy: &str| {
                copy == original || original.starts_with("inode table") && copy.starts_with("inode")
            };
            assert!(copy.is_some_and(is_it), "block {at} of the journal is {says}{original}: {told}");
        }
        self.nr
    }
}

/// The first block of a file.
fn block_of(folder: &Folder, path: &str) -> u64 {
    let blocks = debugfs(folder, &format!("blocks {path}"));
    blocks.split_whitespace().next().and_then(|block| block.parse().ok()).expect("a block")
}

/// A block of a folder, in which a file has another name.
fn with_later(image: &[u8], block: u64) -> Vec<u8> {
    let at = usize::try_from(block * 1024).expect("an index");
    let mut bytes = image[at..at + 1024].to_vec();
    let name = bytes.windows(5).position(|name| name == b"first").expect("the name");
    bytes[name..name + 5].copy_from_slice(b"later");
    bytes
}
