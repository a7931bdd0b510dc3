//! Smaller logs: `logwrites cut` and `logwrites squash`.

use crate::common;

use std::os::unix::fs::FileExt as _;

use common::golden::{golden, single};
use common::images::{are_equal, sha256};
use common::logs::{Builder, DISCARD, Entry, FLUSH, FUA, MARK, entries, superblock, wide};
use common::{Folder, Ran, SmallDisk, signal, unnamed_blocks, wait_until};
use serde_json::json;

const METADATA: u64 = 16;

#[test]
fn the_first_part_of_a_log_replays_to_the_same_disk() {
    for name in ["raw-512", "raw-4096", "ext4-64m"] {
        let folder = golden(name);
        let before = hashes(&folder);
        for mark in folder.run("marks log --json").code(0).json() {
            let point = mark["point"].as_str().expect("a point");
            run(&folder, &["cut", "log", "--output", "part", "--at", point]);
            folder.run("verify part").code(0).no_stderr();
            run(
                &folder,
                &["replay", "log", "--base", "base", "--output", "whole.img", "--at", point, "--force"],
            );
            folder.run("replay part --base base --output part.img --force").code(0).no_stderr();
            assert!(are_equal(&folder.path("whole.img"), &folder.path("part.img")), "{name}: {point}");
            remove(&folder, &["part"]);
        }
        assert_eq!(hashes(&folder), before, "{name}: neither log nor base has changed");
    }
}

#[test]
fn a_part_from_the_middle_replays_over_the_disk_at_its_start() {
    for (name, cuts) in [
        ("raw-512", vec![(20, 93), (87, 140), (0, 140)]),
        ("raw-4096", vec![(85, 111)]),
        ("ext4-64m", vec![(102, 500), (278, 586), (614, 696)]),
        ("qemu-ext4-64m", vec![(100, 300)]),
    ] {
        let folder = golden(name);
        let log = folder.read("log");
        let (sector_size, _) = superblock(&log);
        for (from, at) in cuts {
            let cut =
                folder.run(&format!("cut log --output part --from {from} --at {at}")).code(0).no_stderr();
            assert_eq!(cut.stdout.contains(&format!("note: its base is the disk at point {from}")), from > 0);
            folder.run("verify part").code(0).no_stderr();
            folder
                .run(&format!("squash log --base base --at {from} --output-base new --output rest"))
                .code(0);
            let whole = entries(&log);
            let part = folder.read("part");
            let range = whole[from].bytes.start..whole[at - 1].bytes.end;
            assert!(part[sector_size..] == log[range], "{name}: {from} to {at}: byte for byte");
            for step in [from, from.midpoint(at), at] {
                let n = step - from;
                folder.run(&format!("replay log --base base --output a --at {step} --force")).code(0);
                folder.run(&format!("replay part --base new --output b --at {n} --force")).code(0);
                assert!(are_equal(&folder.path("a"), &folder.path("b")), "{name}: {from} to {step}");
            }
            remove(&folder, &["part", "new", "rest"]);
        }
    }
}

#[test]
fn a_base_and_a_log_squash_to_a_base_and_a_log() {
    for name in ["raw-512", "raw-4096", "ext4-64m"] {
        let folder = golden(name);
        let before = hashes(&folder);
        let marks = folder.run("marks log --json").code(0).json();
        for (number, mark) in marks.iter().enumerate().step_by(3) {
            let point = mark["point"].as_str().expect("a point");
            run(
                &folder,
                &[
                    "squash",
                    "log",
                    "--base",
                    "base",
                    "--at",
                    point,
                    "--output-base",
                    "new",
                    "--output",
                    "rest",
                ],
            );
            folder.run("verify rest").code(0).no_stderr();
            let shift = mark["entry"].as_u64().expect("a number") + 1;
            let later = folder.run("marks rest --json").code(0).json();
            assert_eq!(later.len(), marks.len() - number - 1, "{name}: {point}");
            for (mark, old) in later.iter().zip(&marks[number + 1..]) {
                assert_eq!(mark["mark"], old["mark"], "marks keep their names");
                let (old_point, new_point) = (old["point"].as_str(), mark["point"].as_str());
                assert_eq!(old["entry"].as_u64().map(|entry| entry - shift), mark["entry"].as_u64());
                let (old_point, new_point) = (old_point.expect("a point"), new_point.expect("a point"));
                run(
                    &folder,
                    &["replay", "log", "--base", "base", "--output", "a", "--force", "--at", old_point],
                );
                run(
                    &folder,
                    &["replay", "rest", "--base", "new", "--output", "b", "--force", "--at", new_point],
                );
                assert!(are_equal(&folder.path("a"), &folder.path("b")), "{name}: {point}, then {new_point}");
            }
            remove(&folder, &["new", "rest"]);
        }
        assert_eq!(hashes(&folder), before, "{name}: neither log nor base has changed");
    }
}

#[test]
fn only_some_kinds_are_kept() {
    let folder = golden("ext4-64m");
    let log = folder.read("log");
    let has = |flags: u64| move |entry: &Entry| entry.flags & flags != 0;
    let is_write = |entry: &Entry| entry.flags & !METADATA == 0;
    check_kept(&folder, &log, "--keep write", is_write);
    check_kept(&folder, &log, "--keep flush", has(FLUSH));
    check_kept(&folder, &log, "--keep fua", has(FUA));
    check_kept(&folder, &log, "--keep discard", has(DISCARD));
    check_kept(&folder, &log, "--keep mark", has(MARK));
    check_kept(&folder, &log, "--keep metadata", has(METADATA));
    check_kept(&folder, &log, "--keep metadata,flush,mark", has(METADATA | FLUSH | MARK));
    check_kept(&folder, &log, "--keep write --keep fua,discard", |entry| {
        is_write(entry) || has(FUA | DISCARD)(entry)
    });
    let touches = |sector: u64, end: u64| {
        move |entry: &Entry| {
            entry.nr_sectors > 0 && entry.sector < end && sector < entry.sector + entry.nr_sectors
        }
    };
    check_kept(&folder, &log, "--touching 0+16", touches(0, 16));
    check_kept(&folder, &log, "--touching 2", touches(2, 3));
    check_kept(&folder, &log, "--touching 0+16 --keep metadata", |entry| {
        touches(0, 16)(entry) && has(METADATA)(entry)
    });
    check_kept(&folder, &log, "--touching 1000000000", |_| false);
    folder.run("cut log --output part --keep all").refuses(&["write, flush, fua, discard, mark, metadata"]);
    folder.run("cut log --output part --touching 0+0").refuses(&["expected SECTOR"]);
    assert!(!folder.has("part"));
}

/// Checks that a cut log has those entries, byte for byte, and says how many others it lacks.
#[track_caller]
fn check_kept(folder: &Folder, log: &[u8], options: &str, is_kept: impl Fn(&Entry) -> bool) {
    let (sector_size, _) = superblock(log);
    let all = entries(log);
    let kept: Vec<&Entry> = all.iter().filter(|entry| is_kept(entry)).collect();
    let expected =
        kept.iter().fold(Builder::new(sector_size), |new, entry| new.copy(log, entry, entry.flags));
    let expected = expected.done();
    let ran = folder.run(&format!("cut log --output part {options}")).code(0).no_stderr();
    assert!(folder.read("part") == expected, "{options}");
    let nr_out = all.len() - kept.len();
    let nr_changes = all.iter().filter(|entry| entry.nr_sectors > 0 && !is_kept(entry)).count();
    let note = format!("note: {nr_changes} changes of the disk in between are left out");
    assert_eq!(ran.stdout.contains(&note), nr_changes > 0, "{ran:?}");
    folder.run("verify part").code(0).no_stderr();
    remove(folder, &["part"]);
    let ran = folder.run(&format!("cut log --output part --json {options}")).code(0).no_stderr();
    let done = json!({
        "nr_entries": kept.len(),
        "log_bytes": expected.len(),
        "left_out_entries": nr_out,
        "left_out_changes": nr_changes,
    });
    assert_eq!(ran.json(), [done], "{options}");
    remove(folder, &["part"]);
}

#[test]
fn a_whole_cut_is_a_copy_without_what_is_after_the_log() {
    for name in ["raw-4096", "ext4-64m"] {
        let folder = golden(name);
        let log = folder.read("log");
        let (sector_size, _) = superblock(&log);
        let used = entries(&log).last().expect("an entry").bytes.end;
        let ran = folder.run("cut log --output copy").code(0).no_stderr();
        assert!(!ran.stdout.contains("note"), "{ran:?}");
        assert!(folder.read("copy")[sector_size..] == log[sector_size..used]);
        let mut longer = log[..used].to_vec();
        longer.extend([1; 10_000]);
        folder.write("longer", longer);
        folder.run("cut longer --output copy2").code(0).no_stderr();
        assert!(folder.read("copy2") == folder.read("copy"));
        // Nothing at all is a log too.
        folder.run("cut log --output none --from 5 --at 5").code(0).no_stderr();
        assert_eq!(superblock(&folder.read("none")), (sector_size, 0));
        folder.run("verify none").code(0).no_stderr();
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_half_made_is_left() {
    let folder = Folder::new();
    let log =
        Builder::new(512).write(0, &[1; 512]).mark(b"a").flush().write(8, &[2; 4096]).mark(b"a").flush();
    folder.write("log", log.done());
    folder.write("broken", Builder::new(512).write(0, &[1; 512]).raw([0; 4], b"").flush().done());
    folder.write("base", vec![9; 64 << 10]);
    folder.write("small", [9; 512]);
    folder.write("odd", [9; 1000]);
    folder.write("taken", "mine");
    let names = ["log", "broken", "base", "small", "odd", "taken"];
    let before = names.map(|name| folder.read(name));
    for (args, text) in [
        ("cut log --output taken", "taken exists"),
        ("cut log --output log", "log exists"),
        ("cut log --output ./log", "log exists"),
        ("cut log --output .", ". exists"),
        ("cut log --output new --from 4 --at 2", "--from is point 4, which is after --to, point 2"),
        ("cut log --output new --from end --at start", "--from is point 6, which is after --to, point 0"),
        ("cut log --output new --at 7", "7 is past the end: the log has 6 entries"),
        ("cut log --output new --at mark:b", "there is no mark 'b'"),
        ("cut log --output new --at mark:a", "the log has 2 marks 'a'; say which"),
        ("cut broken --output new", "1 of 3 entries can be read"),
        ("cut broken --output new --at 2", "1 of 3 entries can be read"),
        ("cut odd --output new", "odd: not a write log"),
        ("cut log", "--output"),
        ("squash log --base base --at 3 --output-base taken --output new", "taken exists"),
        ("squash log --base base --at 3 --output-base new --output taken", "taken exists"),
        ("squash log --base base --at 3 --output-base base --output new", "base exists"),
        ("squash log --base base --at 3 --output-base log --output new", "log exists"),
        ("squash log --base base --at 3 --output-base new --output log", "log exists"),
        ("squash log --base base --at 7 --output-base new --output new2", "7 is past the end"),
        ("squash log --base small --at 4 --output-base new --output new2", "the log reaches beyond small"),
        (
            "squash log --base odd --at 3 --output-base new --output new2",
            "not a multiple of the log's sector size",
        ),
        ("squash broken --base base --at 1 --output-base new --output new2", "1 of 3 entries can be read"),
        ("squash log --base base --output-base new --output new2", "--at"),
        ("squash log --at 3 --output-base new --output new2", "--base"),
        ("squash log --base base --at 3 --output-base new --output new", "new and new are the same file"),
        ("squash log --base base --at 3 --output-base new --output ./new", "./new exists"),
    ] {
        folder.run(args).refuses(&[text]);
        assert!(!folder.has("new") && !folder.has("new2"), "{args}");
    }
    for (args, text) in [
        ("cut log --output no/new", "cannot create no/new"),
        ("cut missing --output new", "cannot open missing"),
        ("squash log --base base --at 3 --output-base new --output no/new", "cannot create no/new"),
        ("squash log --base base --at 3 --output-base no/new --output new", "cannot create no/new"),
        ("squash log --base missing --at 3 --output-base new --output new2", "cannot open missing"),
    ] {
        folder.run(args).code(3).says(&[text]);
        assert!(!folder.has("new") && !folder.has("new2"), "{args}");
    }
    assert!(names.map(|name| folder.read(name)) == before);
    // What can be read of a broken log can be cut out of it.
    folder.run("cut broken --output good --at 1").code(0).no_stderr();
    folder.run("verify good").code(0).no_stderr();
}

#[test]
fn what_squash_made_is_reported() {
    let folder = Folder::new();
    folder.write("base", vec![9; 8192]);
    let log =
        Builder::new(512).write(0, &[1; 512]).discard(2, 2).mark(b"m").flush().write(9, &[2; 512]).flush();
    folder.write("log", log.done());
    let ran = folder.run("squash log --base base --at mark:m --output-base new --output rest --json").code(0);
    assert_eq!(
        ran.no_stderr().json(),
        [json!({
            "point": 3,
            "base": {
                "point": 3, "nr_entries": 6, "last_mark": "m", "entries_after_mark": 0,
                "log_bytes": 512, "zero_bytes": 0, "base_bytes": 6656
            },
            "log": {"nr_entries": 3, "log_bytes": 2560, "left_out_entries": 0, "left_out_changes": 0},
        })]
    );
    let mut expected = [9; 8192];
    expected[..512].fill(1);
    expected[1024..2048].fill(0);
    assert_eq!(folder.read("new"), expected);
    remove(&folder, &["new", "rest"]);
    let ran = folder.run("squash log --base base --at mark:m --output-base new --output rest").code(0);
    assert_eq!(ran.no_stderr().stdout, "new is the disk at point 3, and rest has the 3 entries after it\n");
}

#[test]
fn a_cut_log_can_be_continued() {
    let folder = golden("raw-512");
    folder.run("squash log --base base --at 93 --output-base new --output rest").code(0);
    folder.run("replay rest --base new --output disk").code(0);
    folder.record("disk --log rest --append", "write -P 1 0 64k\nmark more");
    folder.run("verify rest --base new --final disk").code(0).no_stderr();
    // The faults of others are carried over as they are.
    let qemus = single("qemu-10.0.2-zerolen");
    qemus.run("cut log --output part --at 1").code(0).no_stderr();
    qemus.run("cut log --output whole").refuses(&["1 of 4 entries can be read"]);
}

/// Few entries, each of them large: it may take long, and yet there is a way out.
#[test]
fn an_interruption_leaves_nothing_behind() {
    let folder = Folder::new();
    // Where blocks cannot be shared, so that it does take long.
    let _small = SmallDisk::new(folder.path("small"), "2g");
    let (nr_entries, sector_bytes, payload_sectors) = (24, 1 << 20, 48);
    let headers =
        (0..nr_entries).map(|_| Builder::new(sector_bytes).raw([0, payload_sectors, 0, 0], b"").done());
    let file = std::fs::File::create(folder.path("small/log")).expect("a log");
    let superblock = Builder::new(sector_bytes).claiming(nr_entries);
    file.write_all_at(&superblock, 0).expect("a superblock");
    for (header, at) in headers.zip((0..).map(|number| 1 + number * (1 + payload_sectors))) {
        file.write_all_at(&header[sector_bytes..], at * wide(sector_bytes)).expect("a header");
    }
    file.set_len((1 + nr_entries * (1 + payload_sectors)) * wide(sector_bytes)).expect("a length");
    let base = std::fs::File::create(folder.path("base")).expect("a base");
    base.set_len(64 << 20).expect("a length");
    for args in [
        "cut small/log --output small/new",
        "squash small/log --base base --at 0 --output-base newbase --output small/new",
    ] {
        let child = folder.start(args);
        wait_until("the new log grows", || unnamed_blocks(&child) > 0);
        signal(&child, "TERM");
        Ran::end_of(child).code(130).says(&["interrupted"]);
        assert!(!folder.has("small/new") && !folder.has("newbase"), "{args}");
    }
}

#[track_caller]
fn run(folder: &Folder, args: &[&str]) {
    Ran::of(&mut folder.command_of(args)).code(0).no_stderr();
}

fn remove(folder: &Folder, names: &[&str]) {
    for name in names {
        std::fs::remove_file(folder.path(name)).expect(name);
    }
}

fn hashes(folder: &Folder) -> [String; 2] {
    ["log", "base"].map(|name| sha256(&folder.path(name)))
}

#[test]
fn squash_and_verify_begin_from_zeros_too() {
    let folder = Folder::new();
    folder.record(
        "disk --create 1M --log log",
        "write -P 1 0 4k\nflush\nwrite -P 2 8k 4k\nmark m\nwrite -P 3 0 1k\n",
    );
    folder.run("verify log --size 1M --final disk").code(0).no_stderr();
    folder.run("squash log --size 1M --at mark:m --output-base half --output rest").code(0).no_stderr();
    folder.run("verify rest --base half --final disk").code(0).no_stderr();
    folder.run("replay log --size 1M --at mark:m --output expected").code(0);
    assert!(folder.read("half") == folder.read("expected"));
    folder
        .run("verify log --size 2M --final disk")
        .code(1)
        .says(&["disk has 1048576 bytes, --size has 2097152"]);
    folder.write("disk", vec![1; 1 << 20]);
    folder
        .run("verify log --size 1M --final disk")
        .code(1)
        .says(&["disk differs", "entry 4 wrote what should be there"]);
    folder.run("verify log --size 1M").code(2).says(&["--final"]);
    folder.run("verify log --size 1M --base half --final disk").code(2).says(&["cannot be used with"]);
    folder.run("squash log --at end --output-base a --output b").code(2).says(&["--base"]);
}

#[test]
fn one_pair_of_names_says_from_where_to_where() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write 0 4k\nmark a\nwrite 0 4k\nmark b\nwrite 0 4k\n");
    for to in ["--to", "--at"] {
        folder.run(&format!("cut log --from mark:a {to} mark:b --output part{to}")).code(0);
        assert_eq!(folder.run(&format!("ls part{to} --json")).code(0).json().len(), 2);
    }
    assert!(!folder.run("cut --help").code(0).stdout.contains("--at"), "the old name is hidden");
}
