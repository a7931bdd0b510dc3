//! `logwrites record`: what it promises, and every way in which it may have to stop.

use crate::common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::fuse::program;
use common::images::sha256;
use common::logs::{DISCARD, FLUSH, FUA, MARK, entries, wide};
use common::{Folder, Loop, Ran, SmallDisk, signal, wait_until};

#[test]
fn every_command_of_a_script_is_logged() {
    let folder = Folder::new();
    folder.write("script", "\
        # a comment\n\n\
        write 0 512\n  w -P 0xaa 512 1k # behind a command\nwrite -z 2k 512\r\nwrite -z -u 4k 512\nwrite -f 0 512\n\
        writev -P 1 8k 512 512\nmark a # b\nflush\ndiscard 0 4k\nread -P 0 0 512\nread 0 1k\nmark two");
    folder.run("record disk --create 1M --log log --script script").code(0).no_stderr();
    let log = folder.read("log");
    let entries: Vec<_> =
        entries(&log).iter().map(|entry| (entry.sector, entry.nr_sectors, entry.flags)).collect();
    assert_eq!(
        entries,
        [
            (0, 1, 0),
            (1, 2, 0),
            (4, 1, 0),
            (8, 1, 0),
            (0, 1, FUA),
            (16, 2, 0),
            (0, 0, MARK),
            (0, 0, FLUSH),
            (0, 8, DISCARD),
            (0, 0, MARK),
            (0, 0, FLUSH),
        ]
    );
    let marks = folder.run("marks log --json").code(0).json();
    assert_eq!((&marks[0]["mark"], &marks[1]["mark"]), (&"a # b".into(), &"two".into()));
    let disk = folder.read("disk");
    assert_eq!((disk.len(), disk[0], disk[8192], disk[9215], disk[9216]), (1 << 20, 0, 1, 1, 0));
}

#[test]
fn any_ordering_policy_and_sector_size_makes_a_log_that_verifies() {
    let script = "\
        write -P 1 0 128k\nwrite -f -P 2 64k 64k\nflush\nmark m\ndiscard 0 64k\nwrite -z 64k 64k\nwrite -P 3 128k 64k\n\
        read -P 3 128k 64k\nflush\nwrite -P 4 192k 64k";
    for ordering in ["completion", "durability"] {
        for policy in ["with-flush", "barrier"] {
            for sector_size in ["64", "512", "4k", "64k"] {
                let folder = Folder::new();
                folder.write("base", vec![9; 256 << 10]);
                folder.write("disk", vec![9; 256 << 10]);
                let options = format!(
                    "--ordering {ordering} --superblock {policy} --sector-size {sector_size} --super-interval 3"
                );
                folder.record(&format!("disk --log log {options}"), script);
                folder.run("verify log --base base --final disk").code(0).no_stderr();
                let marks = folder.run("marks log --json").code(0).json();
                let is_closed = marks.last().is_some_and(|mark| mark["mark"] == "dm-log-writes-end");
                assert_eq!(is_closed, ordering == "durability", "{options}");
                let last = entries(&folder.read("log")).pop().expect("an entry");
                assert_eq!(last.flags, if is_closed { MARK } else { FLUSH }, "{options}");
            }
        }
    }
}

#[test]
fn an_overlay_leaves_its_base_alone() {
    let script = "write -P 1 0 64k\nflush\nread -P 1 0 64k\nread -P 9 64k 64k\ndiscard 32k 64k\nread -P 0 32k 64k\n\
        write -f -P 2 128k 4k\nmark m\nwrite -z 0 4k\nread -P 0 0 4k\nread -P 1 4k 4k";
    for sector_size in ["512", "4096", "128"] {
        let folder = Folder::new();
        folder.write("base", vec![9; 256 << 10]);
        folder.write("copy", vec![9; 256 << 10]);
        let mut permissions = std::fs::metadata(folder.path("base")).expect("metadata").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(folder.path("base"), permissions).expect("permissions");
        let before = modified(&folder.path("base"));
        folder.record(&format!("--base base --log overlay.log --sector-size {sector_size}"), script);
        folder.record(&format!("copy --log copy.log --sector-size {sector_size}"), script);
        assert!(folder.read("base") == vec![9; 256 << 10]);
        assert_eq!(modified(&folder.path("base")), before);
        assert!(folder.read("overlay.log") == folder.read("copy.log"), "the same log");
        folder.run("verify overlay.log --base base --final copy").code(0);
        folder.run("replay overlay.log --base base --output replayed").code(0);
        assert!(folder.read("replayed") == folder.read("copy"));
    }
    let folder = Folder::new();
    folder.write("base", [9; 4096]);
    folder
        .run_with("record --base base --log log", "read -P 1 0 512")
        .code(1)
        .says(&["line 1", "is 0x09, not 0x01"]);
    folder.run("record --base base --log log2 --ordering durability").refuses(&["--ordering completion"]);
    assert!(!folder.has("log2"));
}

#[test]
fn the_log_is_not_the_disk() {
    let folder = Folder::new();
    folder.write("disk", [7; 4096]);
    std::fs::hard_link(folder.path("disk"), folder.path("hard")).expect("link");
    std::os::unix::fs::symlink("disk", folder.path("soft")).expect("link");
    for log in ["disk", "./disk", "hard", "soft"] {
        for target in ["disk", "--base disk", "soft", "--base hard"] {
            for force in ["", "--force"] {
                let ran = folder.run_with(&format!("record {target} --log {log} {force}"), "write 0 512");
                ran.refuses(&["are the same file"]);
            }
        }
    }
    assert!(folder.read("disk") == [7; 4096]);
    folder
        .run_with("record new --create 4k --log new", "write 0 512")
        .refuses(&["new and new are the same file"]);
}

#[test]
fn an_existing_log_is_kept_unless_forced() {
    let folder = Folder::new();
    folder.record("disk --create 4k --log log", "write 0 512");
    let before = folder.read("log");
    folder
        .run_with("record disk --log log", "write 512 512")
        .refuses(&["log is not empty; --force overwrites it"]);
    assert!(folder.read("log") == before);
    folder.record("disk --log log --force", "write 512 512\nwrite 1k 512");
    assert_eq!(entries(&folder.read("log")).len(), 3);
    folder.write("empty", "");
    folder.record("disk --log empty", "write 512 512");
    assert_eq!(entries(&folder.read("empty")).len(), 2);
}

#[test]
fn arguments_are_checked_before_anything_is_touched() {
    let folder = Folder::new();
    folder.write("disk", [0; 1000]);
    folder.write("good", [0; 4096]);
    for (args, texts) in [
        (
            "disk --log log",
            vec!["disk has 1000 bytes", "not a multiple of the sector size 512", "--sector-size"],
        ),
        ("new --create 1000 --log log", vec!["new has 1000 bytes", "not a multiple"]),
        ("good --create 4k --log log", vec!["good exists; omit --create"]),
        ("good --log log --log-size 1k", vec!["a log of 1024 bytes is too small: it needs at least 2048"]),
        ("good --log log --log-size 0", vec!["too small"]),
        ("good --log log --sector-size 513", vec!["513", "power of two from 32 to 8388608"]),
        ("good --log log --sector-size 16", vec!["power of two"]),
        ("good --log log --sector-size 4294967808", vec!["at most 8388608"]),
        ("good --log log --sector-size 8k", vec!["not a multiple of the sector size 8192"]),
        ("good --log log --super-interval 0", vec!["--super-interval"]),
        ("good --log log --log-size x", vec!["--log-size"]),
        ("good --log log --ordering both", vec!["completion, durability"]),
        ("good --log log --superblock none", vec!["with-flush, barrier"]),
        ("good --base good --log log", vec!["cannot be used with"]),
        ("good", vec!["--log <LOG>"]),
        ("--log log", vec!["DATA"]),
        ("", vec!["--log <LOG>"]),
    ] {
        folder.run_with(&format!("record {args}"), "write 0 512").refuses(&texts);
        assert!(!folder.has("log") && !folder.has("new"), "{args}");
    }
    for (args, texts) in [
        (
            "missing --log log",
            vec!["cannot open for writing missing", "\nhint: --create SIZE makes a new image"],
        ),
        ("--base missing --log log", vec!["cannot open missing"]),
        ("good --log log --script missing", vec!["cannot open missing"]),
        ("good --log no/log", vec!["cannot create no/log"]),
        (". --log log", vec!["cannot open for writing ."]),
        ("/dev/null --log log", vec!["/dev/null", "neither a regular file nor a block device"]),
        ("good --log .", vec!["cannot open for writing ."]),
    ] {
        folder.run_with(&format!("record {args}"), "write 0 512").code(3).says(&texts);
        assert!(!folder.has("log"), "{args}");
    }
    assert!(folder.read("good") == [0; 4096]);
}

#[test]
fn a_wrong_script_is_named_by_line_and_column_and_nothing_is_written() {
    let folder = Folder::new();
    let nul = "x".repeat(500);
    for (script, text) in [
        ("write 0 4q", "s.txt:1:9: expected a length such as 4096, 0x1000 or 4k, found \"4q\""),
        ("flush\n\n  wirte 0 512", "s.txt:3:3: expected"),
        ("write 0 512\nwrite 0", "s.txt:2:8: expected a length"),
        ("write 100 512", "s.txt:1:7: offset 100 is not a multiple of the sector size 512"),
        (
            "write 512 4k",
            "s.txt:1:11: 4096 bytes at offset 512 reach beyond the end of the disk, which has 4096 bytes",
        ),
        ("write 8k 512", "s.txt:1:7: offset 8192 is past the end"),
        ("write -P 256 0 512", "s.txt:1:10: expected"),
        ("write -u 0 512", "s.txt:1:8: -u requires -z"),
        ("write -z -P 1 0 512", "s.txt:1:11: -z and -P cannot be given together"),
        ("write -b 0 512", "s.txt:1:8: qemu-io's option -b of write is not supported"),
        ("aio_write 0 512", "s.txt:1:1: qemu-io's aio_write is not supported in a script"),
        ("write -y 0 512", "s.txt:1:8: write has no option \"-y\""),
        ("flush now", "s.txt:1:7: expected the end of the line, found \"now\""),
        ("mark", "s.txt:1:5: expected the name of the mark"),
        (&format!("mark {nul}"), "s.txt:1:6: a mark of 500 bytes: the sector size allows at most 479"),
        ("mark a\0b", "s.txt:1:7: a mark must not hold a NUL byte"),
        ("discard 0 512 512", "s.txt:1:15: expected the end of the line"),
    ] {
        folder.write("s.txt", script);
        folder.run("record disk --create 4k --log log --script s.txt").refuses(&[text]);
        assert!(!folder.has("disk") && !folder.has("log"), "{script}");
    }
    let ran = folder.run_with("record disk --create 4k --log log", "write 0 4q");
    ran.refuses(&["standard input:1:9: ", "\n    write 0 4q\n            ^^\n"]);
    folder
        .run_with("record disk --create 4k --log log --sector-size 32", "mark a")
        .refuses(&["32-byte sectors cannot hold"]);
    assert!(!folder.has("disk") && !folder.has("log"));
}

#[test]
fn a_full_log_refuses_before_the_disk_is_touched() {
    let script = lines(1..=9, |i| format!("write -P {i} {} 4096\n", i * 4096));
    for (ordering, log_size) in [("completion", "16k"), ("durability", "20k"), ("completion", "15360")] {
        let folder = Folder::new();
        folder.write("base", vec![0; 64 << 10]);
        folder.write("disk", vec![0; 64 << 10]);
        let args = format!("record disk --log log --log-size {log_size} --ordering {ordering}");
        let ran = folder.run_with(&args, &script).code(3);
        let line =
            ran.stderr.split_once("line ").and_then(|(_, rest)| rest.split_once(':')).expect("a line").0;
        let line: usize = line.parse().expect("a number");
        ran.says(&["error: line ", ": write -P 0x", "the log is full: ", "bytes are needed, ", "are free"]);
        assert!((3..6).contains(&line), "{line}");
        let log = folder.read("log");
        assert_eq!(entries(&log).iter().filter(|entry| entry.nr_sectors == 8).count(), line - 1);
        let disk = folder.read("disk");
        assert!(disk[line * 4096..].iter().all(|byte| *byte == 0), "the refused write left no trace");
        assert_eq!(wide(usize::from(disk[(line - 1) * 4096])), wide(line - 1));
        folder.run("verify log --base base --final disk").code(0);
    }
    // The smallest log there is holds one sector and its flush, again and again refused afterwards.
    let folder = Folder::new();
    let ran =
        folder.run_with("record disk --create 4k --log log --log-size 2k", "write -P 1 0 512\nwrite 512 512");
    ran.code(3).says(&["line 2: ", "the log is full"]);
    folder.run("ls log").code(0);
    assert_eq!(folder.read("disk")[..1024], [[1; 512], [0; 512]].concat());
}

#[test]
fn a_device_can_be_disk_and_log() {
    let folder = Folder::new();
    folder.write("disk", vec![9; 1 << 20]);
    folder.write("base", vec![9; 1 << 20]);
    // A used device, but one that starts with zeros: what follows must not be taken for entries.
    let mut old = vec![0x55; 64 << 20];
    old[..4096].fill(0);
    folder.write("log", &old);
    let disk = Loop::of(&folder.path("disk"), &[]);
    let log = Loop::of(&folder.path("log"), &[]);
    let (disk, log) = (disk.device(), log.device());
    let script =
        "write -P 1 0 4k\ndiscard 8k 4k\nwrite -z 16k 4k\nread -P 0 8k 4k\nmark m\nflush\nwrite -P 2 512 512";
    folder.run_with(&format!("record {disk} --log {log}"), script).code(0).no_stderr();
    let info = folder.run(&format!("info {log} --json")).code(0).json().remove(0);
    assert_eq!((&info["nr_entries"], &info["tail_entries"]), (&7.into(), &0.into()));
    assert_eq!(info["log_bytes"], 64 << 20);
    folder.run(&format!("verify {log} --base base --final {disk}")).code(0).no_stderr();
    folder
        .run_with(&format!("record {disk} --log {log}"), "flush")
        .refuses(&["is not empty; --force overwrites it"]);
    folder.run_with(&format!("record {disk} --log {disk} --force"), "flush").refuses(&["are the same file"]);
    // A shorter log on top of a longer one: nothing of the old one shows.
    folder.run_with(&format!("record {disk} --log {log} --force"), "write -P 3 0 512").code(0);
    let info = folder.run(&format!("info {log} --json")).code(0).json().remove(0);
    assert_eq!((&info["nr_entries"], &info["tail_entries"]), (&2.into(), &0.into()));
    // The device bounds the log.
    folder.write("small", vec![0; 8192]);
    let small = Loop::of(&folder.path("small"), &[]);
    let small = small.device();
    let ran = folder.run_with(&format!("record {disk} --log {small}"), "write 0 4k\nwrite 4k 4k");
    ran.code(3).says(&["line 2: ", "the log is full"]);
    folder.run(&format!("ls {small}")).code(0);
    // A device as the base of an overlay.
    folder
        .run_with(&format!("record --base {disk} --log overlay"), "read -P 0xcd 0 512\nwrite 0 512")
        .code(0);
}

#[test]
fn create_and_base_exclude_each_other() {
    let folder = Folder::new();
    folder.write("base", [0; 4096]);
    folder.run_with("record --base base --create 8k --log log", "write 0 512").refuses(&["--create"]);
    assert!(!folder.has("log"));
}

#[test]
fn a_read_only_device_is_named() {
    let folder = Folder::new();
    folder.write("disk", vec![0; 1 << 20]);
    let disk = Loop::of(&folder.path("disk"), &["--read-only"]);
    let disk = disk.device();
    // To read it is enough for an overlay.
    folder.record(&format!("--base {disk} --log overlay"), "write 0 512");
    folder.run_with(&format!("record {disk} --log log"), "write 0 512").code(3).says(&[disk]);
    folder.run_with(&format!("record new --create 4k --log {disk}"), "write 0 512").code(3).says(&[disk]);
}

#[test]
fn a_disk_is_not_left_behind_where_the_log_cannot_be_made() {
    let folder = Folder::new();
    for log in ["no/log", "new"] {
        folder.run_with(&format!("record new --create 4k --log {log}"), "write 0 512");
        assert!(!folder.has("new"), "--log {log}");
    }
}

#[test]
fn a_full_file_system_ends_the_log_where_it_says() {
    let folder = Folder::new();
    let _small = SmallDisk::new(folder.path("small"), "256k");
    for ordering in ["completion", "durability"] {
        for policy in ["with-flush", "barrier"] {
            folder.write("base", vec![0; 4 << 20]);
            folder.write("disk", vec![0; 4 << 20]);
            let script = lines(0..90, |i| format!("write -P {} {} 8k\nflush\n", i % 250 + 1, i * 8192));
            let args =
                format!("record disk --log small/log --ordering {ordering} --superblock {policy} --force");
            let ran = folder.run_with(&args, script).code(3);
            ran.says(&["line ", "the log", "No space left on device"]);
            let ls = folder.run("ls small/log").code(0);
            assert!(ls.stdout.lines().count() > 20, "{ls:#?}");
            folder.run("replay small/log --base base --output replayed --force").code(0);
        }
    }
    // No room for a disk.
    folder
        .run_with("record small/disk --create 1M --log log2", "write 0 1M")
        .code(3)
        .says(&["No space left on device"]);
    folder.run("info log2").code(0);
}

#[test]
fn what_the_log_has_no_storage_for_does_not_reach_the_disk() {
    let folder = Folder::new();
    let _tmpfs = SmallDisk::new(folder.path("tmpfs"), "256k");
    let _ext4 = SmallDisk::ext4(folder.path("ext4"), "2M");
    // Nothing is flushed, so that every entry waits in memory for the ones after it.
    let script = lines(0..400, |i| match i % 100 {
        50 => format!("write -z {} 1M\n", (i % 3) << 20),
        51 => "mark half way\n".to_owned(),
        _ => format!("write -P {} {} 8k\n", i % 250 + 1, i * 8192),
    });
    for log in ["tmpfs/log", "ext4/log"] {
        for ordering in ["completion", "durability"] {
            folder.write("base", vec![0xee; 4 << 20]);
            folder.write("disk", vec![0xee; 4 << 20]);
            let args = format!("record disk --log {log} --ordering {ordering} --force --json");
            let ran = folder.run_with(&args, &script).code(3);
            let ran = ran.says(&[
                "line ",
                "write -",
                "the file system of the log is full",
                log,
                "No space left on device",
            ]);
            let nr_entries = &ran.json()[0]["nr_entries"];
            assert!(nr_entries.as_u64().is_some_and(|nr_entries| nr_entries > 20), "{ran:?}");
            assert_eq!(
                nr_entries,
                &folder.run(&format!("info {log} --json")).code(0).json()[0]["nr_entries"]
            );
            folder.run(&format!("verify {log} --base base --final disk")).code(0).no_stderr();
            let found = folder.run(&format!("recover {log} --json")).code(0).json().remove(0);
            assert_eq!(found["salvage_entries"], 0, "{args}");
        }
        let ran = folder.run_with(&format!("record --base base --log {log} --force --json"), &script).code(3);
        let ran = ran.says(&["line ", "the file system of the log is full", log]);
        let nr_entries = &ran.json()[0]["nr_entries"];
        assert_eq!(nr_entries, &folder.run(&format!("info {log} --json")).code(0).json()[0]["nr_entries"]);
        folder.run(&format!("verify {log}")).code(0).no_stderr();
        // What fits no more is refused at each further try, too, and the log stays what it was.
        let before = folder.read(log);
        for (ordering, code) in [("completion", 3), ("completion", 3)] {
            let args = format!("record --base base --log {log} --append --ordering {ordering}");
            folder.run_with(&args, "write -P 1 0 2M").code(code).says(&["line 1: ", "is full"]);
            assert!(folder.read(log) == before, "{args}");
        }
    }
}

/// The target of a dangling link is created; the link stays.
#[test]
fn a_log_is_made_where_its_link_leads() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("logs")).expect("a folder");
    for (name, target) in [("one", "two"), ("two", "logs/there"), ("round", "trip"), ("trip", "round")] {
        std::os::unix::fs::symlink(target, folder.path(name)).expect("a link");
    }
    folder.record("disk --create 4k --log one", "write 0 512");
    assert!(!folder.read("logs/there").is_empty());
    assert_eq!(std::fs::read_link(folder.path("one")).expect("still a link").to_str(), Some("two"));
    folder.run("verify one").code(0);
    folder.run_with("record disk --log round", "write 0 512").code(3).says(&["round", "symbolic links"]);
    // What is to be a new file says what is in its way.
    std::os::unix::fs::symlink("nowhere", folder.path("image")).expect("a link");
    let ran = folder.run("replay one --size 4k --output image");
    ran.refuses(&["image is a symbolic link to nowhere, which does not exist"]);
    folder.run("replay one --size 4k --output image --force").code(0);
}

/// An image in a container's format is not the disk that it holds.
#[test]
fn an_image_that_is_not_raw_is_refused() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -P 1 0 4k");
    for (format, name) in [
        ("qcow2", "qcow2"),
        ("qed", "QED"),
        ("vmdk", "VMDK"),
        ("vdi", "VDI"),
        ("vpc", "VHD"),
        ("vhdx", "VHDX"),
    ] {
        // As qemu-img makes them.
        let image = format!("image.{format}");
        let path = folder.path(&image);
        let args = [
            "create".as_ref(),
            "-q".as_ref(),
            "-f".as_ref(),
            format.as_ref(),
            path.as_os_str(),
            "1M".as_ref(),
        ];
        program("qemu-utils", "qemu-img", &args);
        let mut bytes = folder.read(&image);
        // Whole sectors, as a disk has, and enough of them for the log.
        bytes.resize(bytes.len().next_multiple_of(1 << 20), 0);
        folder.write(&image, &bytes);
        let before = bytes;
        let convert = format!("qemu-img convert -O raw {image} image.raw");
        for args in [
            format!("record {image} --log new"),
            format!("record --base {image} --log new"),
            format!("replay log --base {image} --output out"),
            format!("replay log --onto {image}"),
            format!("verify log --base disk --final {image}"),
            format!("verify log --base {image} --final disk"),
            format!("diff log 0 1 --base {image}"),
            format!("squash log --base {image} --at 1 --output-base out --output rest"),
            format!("serve nbd --log new --data {image} --socket socket"),
            format!("serve nbd --log new --base {image} --socket socket"),
            format!("serve nbd --log log --base {image} --at end --socket socket"),
            format!("run --base {image} --log new -- true"),
        ] {
            let ran = folder.run_with(&args, "write 0 512");
            ran.refuses(&[&format!("{image} is a {name} image, not the bytes of a disk"), &convert, "--raw"]);
            assert!(!folder.has("new") && folder.read(&image) == before, "{args}");
        }
        folder.run_with(&format!("record --base {image} --log new --raw"), "write 0 512").code(0);
        folder.run(&format!("replay log --onto {image} --raw")).code(0);
        assert!(folder.read(&image).starts_with(&[1; 4096]));
        std::fs::remove_file(folder.path("new")).expect("the log");
    }
    folder.write("luks", [&b"LUKS\xba\xbe\0\x02"[..], &[0; 4088]].concat());
    folder
        .run("verify log --base luks --final disk")
        .refuses(&["luks is a LUKS-encrypted disk", "driver=luks"]);
}

#[test]
fn a_log_takes_no_storage_that_it_does_not_need() {
    let folder = Folder::new();
    folder.record("disk --create 64M --log log", "write 0 4k\nwrite -z 1M 32M\nwrite 8k 4k\n");
    assert_eq!(len_of(&folder.path("log")), 512 * (1 + 3 + 1) + (8 << 10) + (32 << 20));
    let metadata = std::fs::metadata(folder.path("log")).expect("the log");
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 1 << 20, "{metadata:?}");
}

#[test]
fn a_log_that_failed_holds_what_is_reported() {
    let folder = Folder::new();
    let _small = SmallDisk::new(folder.path("small"), "256k");
    let script = lines(0..90, |i| format!("write -P 1 {} 8k\nflush\n", i * 8192));
    let ran = folder.run_with("record disk --create 4M --log small/log --json", script).code(3);
    let info = folder.run("info small/log --json").code(0).json().remove(0);
    assert_eq!(ran.json()[0]["nr_entries"], info["nr_entries"], "{ran:#?}");
}

#[test]
fn a_disk_that_failed_is_named_with_the_line() {
    let folder = Folder::new();
    let _small = SmallDisk::new(folder.path("small"), "64k");
    let script = lines(0..40, |i| format!("write -P 1 {} 4k\n", i * 4096));
    let ran = folder.run_with("record small/disk --create 1M --log log --json", &script).code(3);
    let commands = ran.json()[0]["commands"].as_u64().expect("a number");
    assert!(commands <= 16, "no more commands were carried out than there is room for: {ran:#?}");
    ran.says(&["line 17: ", "small/disk", "No space left on device"]);
    folder.run("replay log --size 1M --output replayed").code(0);
    folder.write("base", vec![0; 1 << 20]);
    folder.run("verify log --base base --final small/disk").code(0);
}

#[test]
fn an_interrupt_closes_the_log() {
    for (name, ordering) in [("INT", "completion"), ("TERM", "durability")] {
        let folder = Folder::new();
        long_script(&folder);
        folder.write("base", vec![0; 1 << 20]);
        folder.write("disk", vec![0; 1 << 20]);
        let child = folder.start(&format!("record disk --log log --script long --ordering {ordering}"));
        wait_until("the log grows", || len_of(&folder.path("log")) > 100_000);
        signal(&child, name);
        let ran = Ran::end_of(child).code(130);
        let line = ran
            .stderr
            .split_once("before line ")
            .and_then(|(_, rest)| rest.split_once(';'))
            .expect("a line")
            .0;
        let line: usize = line.parse().expect("a number");
        assert!(ran.stderr.contains("the log holds everything up to there"), "{ran:?}");
        // Two lines to a write and its flush.
        let nr_writes = entries(&folder.read("log")).iter().filter(|entry| entry.nr_sectors > 0).count();
        assert_eq!(nr_writes, line / 2, "before line {line}");
        folder.run("verify log --base base --final disk").code(0).no_stderr();
    }
}

#[test]
fn a_killed_recording_leaves_a_log_that_opens() {
    for (ordering, policy) in [
        ("completion", "with-flush"),
        ("completion", "barrier"),
        ("durability", "with-flush"),
        ("durability", "barrier"),
    ] {
        let folder = Folder::new();
        long_script(&folder);
        folder.write("base", vec![0; 1 << 20]);
        folder.write("disk", vec![0; 1 << 20]);
        let options = format!("--ordering {ordering} --superblock {policy}");
        let mut child = folder.start(&format!("record disk --log log --script long {options}"));
        wait_until("the log grows", || len_of(&folder.path("log")) > 100_000);
        child.kill().expect("kill");
        child.wait().expect("wait");
        let info = folder.run("info log --json").code(0).no_stderr().json().remove(0);
        let nr_entries = info["nr_entries"].as_u64().expect("a number");
        assert!(nr_entries > 10, "{options}: {info}");
        folder.run("replay log --base base --output replayed").code(0);
        // Everything that was flushed is on both: the two may differ in what was under way alone.
        let verify = folder.run("verify log --base base --final disk --json");
        let different = verify.json().remove(0)["different_sectors"].as_u64().expect("a number");
        assert!(different <= 8, "{options}: {verify:?}");
    }
}

#[test]
fn who_writes_is_alone() {
    let folder = Folder::new();
    long_script(&folder);
    folder.write("disk", vec![0; 1 << 20]);
    folder.write("other", vec![0; 1 << 20]);
    let mut child = folder.start("record disk --log log --script long");
    wait_until("the log grows", || len_of(&folder.path("log")) > 10_000);
    let busy = "another process is writing to it";
    folder.run_with("record other --log log --force", "write 0 512").code(3).says(&["cannot lock log", busy]);
    folder.run_with("record disk --log log2", "write 0 512").code(3).says(&["cannot lock disk", busy]);
    assert!(len_of(&folder.path("log")) > 10_000, "it was not truncated");
    assert!(folder.read("other") == vec![0; 1 << 20]);
    folder.write("small", common::logs::Builder::new(512).flush().done());
    folder.run("replay small --onto disk").code(3).says(&["cannot lock disk", busy]);
    child.kill().expect("kill");
    child.wait().expect("wait");
    // The lock went with its owner.
    folder.record("disk --log log --force", "write 0 512");
}

#[test]
fn a_script_may_come_from_a_pipe() {
    let folder = Folder::new();
    common::system("mkfifo", &[folder.path("pipe").as_os_str()]);
    let child = folder.start("record disk --create 4k --log log --script pipe");
    std::fs::write(folder.path("pipe"), "write 0 512").expect("write");
    Ran::end_of(child).code(0).no_stderr();
    assert_eq!(entries(&folder.read("log")).len(), 2);
}

#[test]
fn what_was_done_is_reported() {
    let folder = Folder::new();
    let ran = folder.run_with("record disk --create 4k --log log", "write 0 512\nflush").code(0).no_stderr();
    assert_eq!(ran.stdout, "log holds 2 entries in 2.00 KiB, from 2 commands\n");
    let ran = folder.run_with("record disk --log log2 --json", "write 0 512\nread 0 512").code(0);
    let expected = serde_json::json!({"log": "log2", "nr_entries": 2, "log_bytes": 2048, "commands": 2});
    assert_eq!(ran.json(), [expected]);
    // An output that is not read is not a failure of the recording.
    let mut command = folder.command("record disk --log log3");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
    drop(child.stdout.take());
    drop(child.stdin.take());
    Ran::end_of(child).code(0).no_stderr();
    assert!(sha256(&folder.path("disk")).len() == 64);
}

/// A script that takes seconds: writes and flushes, in turn.
fn long_script(folder: &Folder) {
    let script = lines(0..100_000, |i| format!("write -P {} {} 4k\nflush\n", i % 255, i % 256 * 4096));
    folder.write("long", script);
}

fn lines(numbers: impl IntoIterator<Item = usize>, line: impl Fn(usize) -> String) -> String {
    numbers.into_iter().map(line).collect::<Vec<_>>().concat()
}

fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn modified(path: &Path) -> Duration {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    modified.duration_since(std::time::UNIX_EPOCH).expect("after 1970")
}
