//! A file system that fills up. An ext4 finds storage for what is written only later, so that an error may come with a
//! sync instead of a write.
#![cfg(unix)]

use crate::common;

use std::fs::File;
use std::io::Write as _;

use common::logs::{Builder, narrow};
use common::nbd::{Client, ENOSPC, Served};
use common::{Folder, SmallDisk};

#[test]
fn a_command_leaves_no_part_of_its_output() {
    for is_ext4 in [false, true] {
        let folder = Folder::new();
        let small = folder.path("small");
        let _small = if is_ext4 { SmallDisk::ext4(small, "2M") } else { SmallDisk::new(small, "1M") };
        folder.write("log", large_log());
        folder.write("base", vec![1; 4 << 20]);
        folder.write("small/old", "old");
        for args in [
            "replay log --size 4M --output small/new",
            "replay log --base base --output small/new",
            "replay log --size 4M --output small/old --force",
            "cut log --output small/new",
            "squash log --base base --at 0 --output-base new --output small/new",
            "squash log --base base --at 2 --output-base small/base --output new",
            "squash log --base base --at 4 --output-base small/base --output small/new",
        ] {
            folder.run(args).code(3).says(&["No space left on device"]);
            for name in ["new", "small/new", "small/base"] {
                assert!(!folder.has(name), "{args}: {name}");
            }
            assert_eq!(folder.read("small/old"), b"old", "{args}");
        }
        // What was begun has given its room back.
        folder.run("squash log --base base --at 2 --output-base new --output small/new").code(0).no_stderr();
        folder.run("verify small/new").code(0).no_stderr();
    }
}

#[test]
fn a_disk_that_is_changed_in_place_is_named() {
    let folder = Folder::new();
    let _small = SmallDisk::ext4(folder.path("small"), "2M");
    folder.write("log", large_log());
    File::create(folder.path("small/disk")).and_then(|disk| disk.set_len(4 << 20)).expect("a sparse disk");
    folder
        .run("replay log --onto small/disk --from 0")
        .code(3)
        .says(&["small/disk", "No space left on device"]);
    // The part that fits can still be done.
    folder.run("replay log --onto small/disk --from 0 --at 2").code(0).no_stderr();
    folder.run("replay log --size 4M --output then --at 2").code(0);
    assert!(folder.read("small/disk")[..600 << 10] == folder.read("then")[..600 << 10]);
}

#[test]
fn a_superblock_is_not_replaced_unless_the_old_one_is_saved() {
    let folder = Folder::new();
    let _small = SmallDisk::ext4(folder.path("small"), "2M");
    let log = Builder::new(512).write(0, &[1; 512]).flush().write(1, &[2; 512]).claiming(2);
    folder.write("small/log", &log);
    fill(&folder, "small/filler");
    folder
        .run("recover small/log --write")
        .code(3)
        .says(&["small/log.superblock.0", "No space left on device"]);
    assert!(folder.read("small/log") == log, "it is as it was");
    assert!(!folder.has("small/log.superblock.0"));
    std::fs::remove_file(folder.path("small/filler")).expect("room");
    folder.run("recover small/log --write").code(0).no_stderr();
    folder.run("verify small/log").code(0).no_stderr();
}

#[test]
fn changes_that_cannot_be_kept_are_refused() {
    let folder = Folder::new();
    let _small = SmallDisk::ext4(folder.path("small"), "2M");
    folder.write("log", Builder::new(512).write(0, &[1; 512]).flush().done());
    folder.write("base", vec![9; 4 << 20]);
    let served = Served::start(&folder, "--log log --base base --at end --keep small/keep");
    let mut client = Client::connect(&folder.path("disk.sock"), "").expect("the server takes a client");
    let mut done = 0;
    while client.write(done * 4096, &[0xaa; 4096]).unwrap() == 0 {
        done += 1;
    }
    assert!(done > 100, "{done}");
    assert_eq!(client.write(0, &[0xbb; 4096]).unwrap(), ENOSPC, "not EIO: nothing has failed");
    assert_eq!(client.flush().unwrap(), 0);
    served.stop().code(0);
    let mut changed = vec![9; 4 << 20];
    changed[..512].fill(1);
    folder.write("then", &changed);
    changed[..narrow(done * 4096)].fill(0xaa);
    folder.write("changed", &changed);
    folder.run("verify small/keep --base then --final changed").code(0).no_stderr();
}

/// Two entries of 600 KiB, each before a flush.
fn large_log() -> Vec<u8> {
    let payload: Vec<u8> = (1..=255).cycle().take(600 << 10).collect();
    Builder::new(512).write(0, &payload).flush().write(4000, &payload).flush().done()
}

/// Writes a file until there is no storage left.
fn fill(folder: &Folder, name: &str) {
    let mut file = File::create(folder.path(name)).expect("a file");
    while file.write_all(&[7; 512]).is_ok() {}
    // What is left is less than a block, if the file system has blocks that are larger.
    let _ = file.sync_all();
}
