//! `logwrites replay`: the disk at any point, and what it refuses.

use crate::common;

use std::path::Path;

use common::images::are_equal;
use common::logs::{Builder, DISCARD};
use common::{Folder, Loop, Ran, SmallDisk, signal, unnamed_blocks, wait_until};

/// A log with every kind of entry: 13 of them, on a base of 64 KiB full of 9.
fn example() -> Folder {
    let folder = Folder::new();
    folder.write("base", vec![9; 64 << 10]);
    folder.write("disk", vec![9; 64 << 10]);
    folder.record(
        "disk --log log",
        "write -P 1 0 4k\nmark one\nflush\nwrite -P 2 4k 4k\nwrite -f -P 3 0 512\nmark twice\ndiscard 4k 2k\n\
         flush\nwrite -z 16k 4k\nmark twice\nwrite -P 4 16k 512\nmark a~b+c#d%e é\nflush",
    );
    folder
}

/// The disk of the example at each of its points.
fn disk_at(point: usize) -> Vec<u8> {
    disk_without(point, &[])
}

/// The disk of the example after a crash that lost some entries: all of each, or some sectors.
fn disk_without(point: usize, lost: &[(usize, std::ops::Range<usize>)]) -> Vec<u8> {
    let mut disk = vec![9; 64 << 10];
    let changes: [(usize, std::ops::Range<usize>, u8); 6] = [
        (0, 0..4096, 1),
        (3, 4096..8192, 2),
        (4, 0..512, 3),
        (6, 4096..6144, 0),
        (8, 16384..20480, 0),
        (10, 16384..16896, 4),
    ];
    for (entry, range, byte) in changes.into_iter().filter(|(entry, _, _)| *entry < point) {
        for (sector, start) in range.step_by(512).enumerate() {
            if !lost.iter().any(|(lost, sectors)| *lost == entry && sectors.contains(&sector)) {
                disk[start..start + 512].fill(byte);
            }
        }
    }
    disk
}

#[test]
fn every_point_can_be_named() {
    let folder = example();
    for (text, point) in [
        ("start", 0),
        ("0", 0),
        ("1", 1),
        ("13", 13),
        ("end", 13),
        ("end~13", 0),
        ("start+13", 13),
        ("flush:1", 3),
        ("flush:2", 8),
        ("flush:-1", 13),
        ("flush:-3", 3),
        ("flush:-1~1", 12),
        ("fua:1", 5),
        ("fua:-1", 5),
        ("fua:1+2", 7),
        ("mark:one", 2),
        ("mark:one#1", 2),
        ("mark:%6Fne", 2),
        ("mark:twice#1", 6),
        ("mark:twice#2", 10),
        ("mark:twice#-1", 10),
        ("mark:twice#-2~1", 5),
        ("mark:a%7Eb%2Bc%23d%25e é", 12),
        ("mark:a%7eb%2bc%23d%25e %C3%A9~2", 10),
    ] {
        let mut command = folder.command("replay log --base base --output out --force --json --at");
        let ran = Ran::of(command.arg(text)).code(0).no_stderr();
        assert_eq!(ran.json()[0]["point"], point, "{text}");
        assert!(folder.read("out") == disk_at(point), "{text}");
    }
}

/// States of the example, by their names, with their disks.
fn states() -> [(&'static str, usize, Vec<u8>); 14] {
    let all = |entry| (entry, 0..usize::MAX);
    [
        ("1^0", 1, disk_without(1, &[all(0)])),
        ("2^0", 2, disk_without(2, &[all(0)])),
        ("mark:one^0:1-3,0:6", 2, disk_without(2, &[(0, 1..4), (0, 6..7)])),
        ("4^3", 4, disk_without(4, &[all(3)])),
        ("fua:1^3", 5, disk_without(5, &[all(3)])),
        ("5^4", 5, disk_without(5, &[all(4)])),
        ("5^3-4", 5, disk_without(5, &[all(3), all(4)])),
        ("7^3", 7, disk_without(7, &[all(3)])),
        ("flush:2~1^6", 7, disk_without(7, &[all(6)])),
        ("7^3:0-2,6:1", 7, disk_without(7, &[(3, 0..3), (6, 1..2)])),
        ("11^8", 11, disk_without(11, &[all(8)])),
        ("11^8,10", 11, disk_without(11, &[all(8), all(10)])),
        ("mark:twice#2^8:0", 10, disk_without(10, &[(8, 0..1)])),
        ("end~1^10", 12, disk_without(12, &[all(10)])),
    ]
}

#[test]
fn every_state_can_be_named() {
    let folder = example();
    for (text, point, disk) in states() {
        let ran = folder.run_of([
            "replay", "log", "--base", "base", "--output", "out", "--force", "--json", "--at", text,
        ]);
        let ran = ran.code(0).no_stderr();
        let lost = text.split_once('^').expect("some").1;
        assert_eq!((&ran.json()[0]["point"], &ran.json()[0]["lost"]), (&point.into(), &lost.into()));
        assert!(folder.read("out") == disk, "{text}");
    }
    let said = |state: &str| folder.run(&format!("replay log --base base --output out --force --at {state}"));
    assert!(said("5^3-4").code(0).stdout.contains("at point 5 of 13, without entries 3-4, 3 entries after"));
    assert!(said("2^0").code(0).stdout.contains("at point 2 of 13, without entry 0, right after mark one"));
}

#[test]
fn a_disk_goes_from_any_point_to_a_state_in_place() {
    let folder = example();
    for from in 0..=13 {
        for (text, _, disk) in states() {
            folder.write("work", disk_at(from));
            let ran = folder.run(&format!("replay log --base base --onto work --from {from} --at {text}"));
            ran.code(0).no_stderr();
            assert!(folder.read("work") == disk, "from {from} to {text}");
        }
    }
    folder.write("work", disk_at(3));
    folder.run("replay log --onto work --from 3 --at 5^3").code(0).no_stderr();
    assert!(folder.read("work") == disk_without(5, &[(3, 0..8)]), "nothing of it is on the disk yet");
    let ran = folder.run("replay log --onto work --from 4 --at 5^3");
    ran.refuses(&["going back from point 4 to 5^3 needs --base BASE"]);
}

#[test]
fn what_a_crash_cannot_leave_is_refused() {
    let folder = example();
    for (text, message) in [
        ("3^0", "log: there is no state 3^0: entry 0 is durable at point 3: flush 2 covers it"),
        ("end^10", "there is no state 13^10: entry 10 is durable at point 13: flush 12 covers it"),
        ("6^4", "entry 4 is a FUA write: it is durable when it is done"),
        ("6^5", "entry 5 changes nothing on the disk"),
        ("5^5", "entry 5 is not before point 5"),
        ("4^3:8", "entry 3 has 8 sectors"),
        ("14^10", "14 is past the end: the log has 13 entries"),
        ("mark:none^0", "there is no mark 'none'"),
        (
            "5^",
            "column 3: expected the entries that a crash has lost, such as 103,105-109,112:0-3, found nothing",
        ),
        ("5^4,3", "column 3: expected entries and their sectors in ascending order"),
        ("5^3^4", "column 2: expected a point without lost entries"),
    ] {
        folder.run(&format!("replay log --base base --output out --at {text}")).refuses(&[message]);
        folder.run(&format!("diff log 0 {text}")).refuses(&[message]);
        let serve = "serve nbd --log log --base base --socket disk.sock";
        folder.run(&format!("{serve} --at {text}")).refuses(&[message]);
    }
    assert!(!folder.has("out"));
    // A disk in place cannot be in a state that is more than a point.
    folder
        .run("replay log --onto disk --from 5^3")
        .refuses(&["column 2: expected a point without lost entries"]);
}

#[test]
fn a_name_with_a_circumflex_means_what_it_meant() {
    let folder = Folder::new();
    folder.record(
        "disk --create 64k --log log",
        "write -P 1 0 4k\nmark a^b\nmark a^0\nwrite -P 2 0 512\nmark a",
    );
    let replayed = |at: &str| {
        folder.run(&format!("replay log --size 64k --output out --force --json --at {at}")).code(0).json()
    };
    for (text, point, lost) in [
        ("mark:a^b", 2, None),
        ("mark:a%5Eb", 2, None),
        ("mark:a^b~1", 1, None),
        ("mark:a^b^0", 2, Some("0")),
        ("mark:a%5E0", 3, None),
        ("mark:a%5E0^0", 3, Some("0")),
        ("mark:a^0", 5, Some("0")),
    ] {
        let ran = &replayed(text)[0];
        assert_eq!((&ran["point"], ran["lost"].as_str()), (&point.into(), lost), "{text}");
    }
    // Where only a point can be meant, it is in the name in any case.
    let listed = |from: &str| folder.run(&format!("ls log --from {from} --json")).code(0).json();
    assert_eq!(listed("mark:a^0"), listed("3"));
}

#[test]
fn what_is_not_a_point_is_refused() {
    let folder = example();
    for (text, message) in [
        (
            "",
            "column 1: expected a number of entries, start, end, flush:K, fua:K or mark:NAME, found nothing",
        ),
        ("-1", "column 1: expected a number of entries"),
        ("middle", "column 1: expected a number of entries"),
        ("1.5", "column 1"),
        ("0x10", "column 1"),
        ("flush:", "column 7: expected the number of a flush"),
        ("flush:0", "column 7"),
        ("flush:first", "column 7"),
        ("fua:+1", "column 5"),
        ("mark:one#0", "column 10"),
        ("mark:one#x", "column 10"),
        ("mark:%4", "column 6: expected % and two hexadecimal digits"),
        ("mark:%zz", "column 6"),
        ("end~", "column 5: expected a number of entries after ~"),
        ("end~x", "column 5"),
        ("start+1+1", "column 7"),
        ("18446744073709551616", "column 1"),
        ("14", "14 is past the end: the log has 13 entries"),
        ("end+1", "end+1 is past the end"),
        ("18446744073709551615+1", "past the end"),
        ("1~2", "1~2 is before the start of the log: 1 is at 1"),
        ("flush:4", "the log has 3 flushes; flush:4 does not exist"),
        ("fua:-2", "the log has 1 FUA write; fua:-2 does not exist"),
        ("mark:on", "there is no mark 'on'; did you mean 'one'? `logwrites marks LOG` lists them"),
        ("mark:quite-different", "there is no mark 'quite-different'; `logwrites marks LOG` lists them"),
        ("mark:one#2", "the log has 1 mark 'one'; mark:one#2 does not exist"),
        (
            "mark:twice",
            "the log has 2 marks 'twice'; say which:\n  mark:twice#1 is entry 5\n  mark:twice#2 is entry 9\n",
        ),
    ] {
        for option in ["--at", "--from"] {
            let mut command = folder.command(if option == "--at" {
                "replay log --base base --output out"
            } else {
                "replay log --onto disk"
            });
            Ran::of(command.args([option, text])).refuses(&[message]);
        }
        Ran::of(folder.command("ls log").args(["--to", text])).refuses(&[message]);
    }
    assert!(!folder.has("out"));
    assert!(folder.read("disk") == disk_at(13));
}

#[test]
fn a_disk_goes_from_any_point_to_any_other_in_place() {
    let folder = example();
    for from in 0..=13 {
        for to in 0..=13 {
            folder.write("work", disk_at(from));
            folder
                .run(&format!("replay log --base base --onto work --from {from} --at {to}"))
                .code(0)
                .no_stderr();
            assert!(folder.read("work") == disk_at(to), "from {from} to {to}");
        }
    }
    // Forwards no base is needed, and the start is where it starts.
    folder.write("work", disk_at(0));
    folder.run("replay log --onto work").code(0);
    assert!(folder.read("work") == disk_at(13));
    folder
        .run("replay log --onto work --from end --at 3")
        .refuses(&["going back from point 13 to 3 needs --base BASE"]);
    folder.write("short", vec![9; 32 << 10]);
    let ran = folder.run("replay log --base short --onto work --from end --at 3");
    ran.refuses(&["short and work have different sizes"]);
    assert!(folder.read("work") == disk_at(13));
}

#[test]
fn discards_are_zeros_or_nothing() {
    let folder = example();
    folder.run("replay log --base base --output out --discard ignore").code(0);
    let mut kept = disk_at(13);
    kept[4096..6144].fill(2);
    assert!(folder.read("out") == kept);
    folder.write("work", vec![9; 64 << 10]);
    folder.run("replay log --onto work --discard ignore").code(0);
    assert!(folder.read("work") == kept);
    folder.write("work", vec![9; 64 << 10]);
    folder.run("replay log --onto work --discard pass").code(0);
    assert!(folder.read("work") == disk_at(13), "a hole reads as zeros");
    folder
        .run("replay log --base base --output out2 --discard pass")
        .refuses(&["--discard pass needs --onto DEVICE"]);
    assert!(!folder.has("out2"));
}

#[test]
fn a_disk_of_zeros_needs_no_base() {
    let folder = example();
    folder.run("replay log --size 64k --output out --at 1").code(0);
    assert!(folder.read("out") == [vec![1; 4096], vec![0; 60 << 10]].concat());
    folder.run("replay log --size 1T --output huge").code(0);
    let huge = std::fs::metadata(folder.path("huge")).expect("metadata");
    assert_eq!(huge.len(), 1 << 40);
    assert!(std::os::unix::fs::MetadataExt::blocks(&huge) < 1000, "sparse where it is zero");
}

#[test]
fn arguments_are_checked() {
    let folder = example();
    std::fs::hard_link(folder.path("log"), folder.path("log-link")).expect("link");
    let (base, log) = (folder.read("base"), folder.read("log"));
    folder.write("old", "old");
    folder.write("odd", [0; 1000]);
    folder.write("short", [0; 8192]);
    for (args, texts) in [
        ("--base base", vec!["--output <OUT>|--onto <DEVICE>"]),
        ("--base base --output out --onto disk", vec!["cannot be used with"]),
        ("--base base --size 64k --output out", vec!["cannot be used with"]),
        ("--output out", vec!["--base BASE or --size SIZE is needed"]),
        ("--base base --output out --from 1", vec!["cannot be used with"]),
        ("--onto disk --size 4k", vec!["cannot be used with"]),
        ("--onto disk --force", vec!["cannot be used with"]),
        ("--base base --output out --discard all", vec!["zero, ignore, pass"]),
        ("--base base --output old", vec!["old exists", "--force overwrites", "--onto changes it in place"]),
        ("--base base --output base --force", vec!["are the same file"]),
        ("--base disk --onto disk --from end --at 1", vec!["are the same file"]),
        ("--base base --output log --force", vec!["are the same file"]),
        ("--base base --output log-link --force", vec!["are the same file"]),
        ("--onto log", vec!["log"]),
        ("--onto log-link", vec!["log-link"]),
        (
            "--base odd --output out",
            vec!["odd has 1000 bytes, which is not a multiple of the log's sector size 512"],
        ),
        ("--onto odd", vec!["odd has 1000 bytes"]),
        (
            "--base short --output out",
            vec![
                "the log reaches beyond short, which has 8192 bytes: entry 8 at byte 13312 of the log covers sectors 32 to 39",
                "a disk of at least 20480 bytes is needed",
            ],
        ),
        ("--onto short", vec!["the log reaches beyond short"]),
        ("--size 16k --output out", vec!["the log reaches beyond --size, which has 16384 bytes"]),
    ] {
        folder.run(&format!("replay log {args}")).refuses(&texts);
        assert!(!folder.has("out"), "{args}");
    }
    // What is needed only after the point is not asked for.
    folder.run("replay log --base short --output out --at 8").code(0);
    for (args, texts) in [
        ("replay missing --size 4k --output out2", vec!["cannot open missing"]),
        ("replay log --base missing --output out2", vec!["cannot open missing"]),
        ("replay log --base base --output no/out", vec!["cannot create no/out"]),
        ("replay log --onto missing", vec!["cannot open for writing missing"]),
        ("replay . --size 4k --output out2", vec!["."]),
    ] {
        folder.run(args).code(3).says(&texts);
    }
    assert!(folder.read("base") == base && folder.read("log") == log && folder.read("old") == b"old");
    assert!(!folder.has("out2"));
    folder.run("replay log --base base --output old --force").code(0);
    assert!(folder.read("old") == disk_at(13));
}

#[test]
fn a_device_can_be_replayed_onto() {
    let folder = example();
    folder.write("image", vec![9; 64 << 10]);
    let device = Loop::of(&folder.path("image"), &[]);
    let device = device.device();
    for (args, point) in [
        ("--at flush:1", 3),
        ("--from flush:1 --at end", 13),
        ("--base base --from end --at mark:twice#1", 6),
        ("--from 6 --at 10 --discard pass", 10),
    ] {
        folder.run(&format!("replay log --onto {device} {args}")).code(0).no_stderr();
        assert!(std::fs::read(device).expect("the device") == disk_at(point), "{args}");
    }
    folder
        .run(&format!("replay log --base base --output {device} --force"))
        .refuses(&[device, "is a block device"]);
    folder.run(&format!("replay log --base base --output {device}")).refuses(&["exists"]);
    // The log and the base on devices.
    let log = Loop::of(&folder.path("log"), &[]);
    let base = Loop::of(&folder.path("base"), &["--read-only"]);
    let args = format!("replay {} --base {} --output out --at 10", log.device(), base.device());
    folder.run(&args).code(0).no_stderr();
    assert!(folder.read("out") == disk_at(10));
    folder.run(&format!("replay {} --onto {}", log.device(), log.device())).refuses(&[log.device()]);
}

#[test]
fn a_read_only_device_is_named() {
    let folder = example();
    let device = Loop::of(&folder.path("base"), &["--read-only"]);
    let device = device.device();
    folder.run(&format!("replay log --onto {device}")).code(3).says(&[device]);
    assert!(folder.read("base") == disk_at(0));
}

#[test]
fn a_full_file_system_leaves_no_half_image() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -P 1 0 1M");
    let _small = SmallDisk::new(folder.path("small"), "256k");
    folder.write("base", vec![1; 1 << 20]);
    for args in ["--size 1M", "--base base --at start"] {
        folder
            .run(&format!("replay log {args} --output small/out"))
            .code(3)
            .says(&["bytes at byte 0 of small/out", "No space left on device"]);
        assert!(!folder.has("small/out"), "{args}");
    }
}

#[test]
fn what_appears_under_the_name_meanwhile_is_not_overwritten() {
    let folder = long_log();
    let child = folder.start(&format!("replay log --size {LONG_BYTES} --output out"));
    wait_until("the image grows", || unnamed_blocks(&child) > 100);
    folder.write("out", "of value");
    Ran::end_of(child).refuses(&["out exists; --force overwrites it"]);
    assert!(folder.read("out") == b"of value");
    let child = folder.start(&format!("replay log --size {LONG_BYTES} --output out --force"));
    wait_until("the image grows", || unnamed_blocks(&child) > 100);
    assert!(folder.read("out") == b"of value", "until the new one is whole");
    Ran::end_of(child).code(0).no_stderr();
    assert_eq!(len_of(&folder.path("out")), LONG_BYTES);
    assert_eq!(folder.names(), ["log", "out"]);
}

#[test]
fn an_interrupt_leaves_no_half_image_and_says_what_it_left() {
    let folder = long_log();
    let size = LONG_BYTES;
    let child = folder.start(&format!("replay log --size {size} --output out"));
    wait_until("the image grows", || unnamed_blocks(&child) > 100);
    signal(&child, "INT");
    Ran::end_of(child).code(130).says(&["interrupted"]);
    assert_eq!(folder.names(), ["log"]);

    folder.run(&format!("replay log --size {size} --output base --at start")).code(0);
    folder.run(&format!("replay log --size {size} --output work --at start")).code(0);
    let child = folder.start("replay log --onto work");
    wait_until("the image changes", || blocks_of(&folder.path("work")) > 100);
    signal(&child, "TERM");
    Ran::end_of(child)
        .code(130)
        .says(&["interrupted; the disk is between two points now; replay it again from a base"]);
    // It can be, as it said.
    folder.run("replay log --base base --onto work --from end --at start").code(0);
    assert!(are_equal(&folder.path("base"), &folder.path("work")));
}

#[test]
fn a_log_that_goes_wrong_can_be_used_up_to_there() {
    let folder = Folder::new();
    folder.write("base", vec![0; 4096]);
    let good = Builder::new(512).write(0, &[1; 512]).flush().mark(b"ok");
    for (bad, reason) in [
        (good.clone().raw([0; 4], b"").claiming(9), "its header is all zeros"),
        (good.clone().claiming(9), "the log ends here, though its superblock counts 9 entries"),
        (good.clone().claiming(1 << 40), "the log ends here"),
        (
            good.clone().raw([0, 1 << 62, 0, 0], b"").claiming(1 << 40),
            "reach beyond 2^63 - 1 bytes of the disk",
        ),
        (
            good.clone().raw([0, 100, 0, 0], b"").claiming(4),
            "its payload of 100 sectors reaches beyond the end of the log",
        ),
        (good.raw([0, 0, 8, 3], b"abcd").claiming(4), "its mark does not end where the header says"),
    ] {
        folder.write("log", &bad);
        let broken = ["3 of ", "entry 3 at byte 2560 of the log", reason, "hint: name a point up to 3"];
        for args in ["", "--at end", "--at flush:-1", "--at 4", "--at mark:other"] {
            folder.run(&format!("replay log --base base --output out {args}")).refuses(&broken);
            assert!(!folder.has("out"), "{args}");
        }
        for point in ["3", "mark:ok", "flush:1", "start+1"] {
            folder
                .run(&format!("replay log --base base --output out --force --at {point}"))
                .code(0)
                .no_stderr();
            assert!(folder.read("out")[..512] == [1; 512]);
        }
        std::fs::remove_file(folder.path("out")).expect("remove");
    }
}

#[test]
fn entries_without_payload_may_reach_far() {
    let folder = Folder::new();
    // A discard of more than the disk has is told by its entry, not tried.
    let log = Builder::new(512).write(0, &[1; 512]).raw([0, 1 << 40, DISCARD, 0], b"").done();
    folder.write("log", log);
    folder
        .run("replay log --size 1M --output out")
        .refuses(&["entry 1 at byte 1536 of the log covers sectors 0 to 1099511627775"]);
    folder.run("replay log --size 1M --output out --at 1").code(0);
}

#[test]
fn what_was_done_is_reported() {
    let folder = example();
    let ran = folder.run("replay log --base base --output out --at mark:one").code(0).no_stderr();
    assert_eq!(
        ran.stdout,
        "out is the disk at point 2 of 13, right after mark one: 4.00 KiB from the log, 0 B zeroed, 60.00 KiB from the base\n"
    );
    let json = folder.run("replay log --onto disk --from end --json").code(0).json();
    let nothing = serde_json::json!({
        "point": 13, "nr_entries": 13, "last_mark": "a~b+c#d%e é", "entries_after_mark": 1, "log_bytes": 0, "zero_bytes": 0, "base_bytes": 0
    });
    assert_eq!(json, [nothing]);
    let json = folder.run("replay log --size 64k --output out2 --at 1 --json").code(0).json();
    let first = serde_json::json!({
        "point": 1, "nr_entries": 13, "log_bytes": 4096, "zero_bytes": 0, "base_bytes": 0
    });
    assert_eq!(json, [first]);
    let ran = folder.run("replay log --size 64k --output out3 --at mark:one+2").code(0).no_stderr();
    assert!(
        ran.stdout.starts_with("out3 is the disk at point 4 of 13, 2 entries after mark one: "),
        "{ran:?}"
    );
}

#[test]
fn a_wrong_point_is_reported_with_a_suggestion() {
    let folder = example();
    for (at, meant) in [("-1", "end~1 or flush:-1"), ("one", "mark:one")] {
        let ran = folder.run(&format!("replay log --size 64k --output out --at {at}")).code(2);
        ran.says(&["expected a number of entries", &format!("did you mean {meant}?")]);
    }
}

/// A log that takes long to replay.
fn long_log() -> Folder {
    let folder = Folder::new();
    // Every other sector, so that no two pieces join.
    let log = (0..LONG_BYTES / 1024).fold(Builder::new(512), |log, i| log.write(i * 2, &[7; 512]));
    folder.write("log", log.done());
    folder
}

const LONG_BYTES: u64 = 512 * 400_000;

fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn blocks_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata))
}
