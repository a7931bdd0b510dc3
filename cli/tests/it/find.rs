//! `logwrites find` and `cat`: the next entry of a kind, and what it wrote.

use crate::common;

use std::process::{Command, Stdio};

use common::golden::{golden, single};
use common::logs::{Builder, DISCARD, Entry, FLUSH, FUA, MARK, entries, superblock, wide};
use common::{Folder, Ran};
use serde_json::{Value, json};

const KINDS: [(&str, u64); 4] = [("flush", FLUSH), ("fua", FUA), ("discard", DISCARD), ("mark", MARK)];

const REAL_LOGS: [&str; 4] = ["raw-512", "raw-4096", "ext4-64m", "qemu-ext4-64m"];

#[test]
fn every_kind_is_found_in_turn() {
    for name in REAL_LOGS {
        let folder = golden(name);
        let naive = entries(&folder.read("log"));
        for (kind, flag) in KINDS {
            let found = in_turn(&folder, &["--next", kind]);
            assert_eq!(
                numbers_of(&found),
                positions(&naive, |entry| entry.flags & flag != 0),
                "{name}: {kind}"
            );
            let listed = folder.run(&format!("ls log --json --flag {kind}")).code(0).json();
            assert_eq!(without_points(found), listed, "{name}: {kind}, as ls prints it");
        }
    }
}

#[test]
fn who_touches_a_sector_is_found_in_turn() {
    for name in REAL_LOGS {
        let folder = golden(name);
        let naive = entries(&folder.read("log"));
        // One inside a write in the middle, a whole one, its neighbours, and the last sector that anybody touches.
        let middle = naive.iter().filter(|entry| entry.nr_sectors > 1).nth(5).expect("a write");
        let end = naive.iter().map(|entry| entry.sector + entry.nr_sectors).max().expect("an entry");
        for (sector, nr_sectors) in [
            (middle.sector + 1, 1),
            (middle.sector, middle.nr_sectors),
            (middle.sector + middle.nr_sectors, 2),
            (end - 1, 1000),
            (end, 1),
        ] {
            let wanted = positions(&naive, |entry| {
                entry.sector < sector + nr_sectors
                    && sector < entry.sector + entry.nr_sectors
                    && entry.nr_sectors > 0
            });
            let extent = format!("{sector}+{nr_sectors}");
            let found = in_turn(&folder, &["--touching", &extent]);
            assert_eq!(numbers_of(&found), wanted, "{name}: {extent}");
            let listed = folder.run(&format!("ls log --json --touching {extent}")).code(0).json();
            assert_eq!(without_points(found), listed, "{name}: {extent}");
        }
    }
}

#[test]
fn every_mark_is_found_by_its_name() {
    for name in ["raw-512", "raw-4096", "ext4-64m"] {
        let folder = golden(name);
        for mark in folder.run("marks log --json").code(0).json() {
            let text = mark["mark"].as_str().expect("a text");
            assert_eq!(
                numbers_of(&in_turn(&folder, &["--mark", text])),
                [number(&mark["entry"])],
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn a_repeated_name_is_found_after_the_first_mark() {
    let folder = Folder::new();
    let log = Builder::new(512).mark(b"a").write(0, &[1; 512]).mark(b"ab").mark(b"a").flush().mark(b"a");
    folder.write("log", log.done());
    for (options, entry) in [
        ("", 0),
        ("--from 0", 0),
        ("--from 1", 3),
        ("--from mark:a#1", 3),
        ("--from mark:ab", 3),
        ("--from 4", 5),
    ] {
        let found = folder.run(&format!("find log --mark a --json {options}")).code(0).no_stderr().json();
        assert_eq!(
            (&found[0]["entry"], &found[0]["point"]),
            (&entry.into(), &(entry + 1).into()),
            "{options}"
        );
    }
    for options in
        ["--mark a --from 6", "--mark a --from end", "--mark b", "--mark A", "--next fua", "--touching 1"]
    {
        let ran =
            folder.run(&format!("find log {options}")).code(1).says(&["error: log: no matching entry after"]);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn every_field_is_there() {
    let folder = Folder::new();
    let log = Builder::new(512).write(8, &[1; 1024]).mark(b"one").discard(16, 4).mark(b"\xff\x1b[31m");
    folder.write("log", log.done());
    let found = |options: &str| folder.run(&format!("find log --json {options}")).code(0).no_stderr().json();
    assert_eq!(
        found("--touching 9"),
        [json!({
            "point": 1, "entry": 0, "offset_bytes": 512, "sector": 8, "nr_sectors": 2, "len_bytes": 1024,
            "payload_bytes": 1024, "flags": [], "flags_bits": 0,
        })]
    );
    assert_eq!(
        found("--next discard"),
        [json!({
            "point": 3, "entry": 2, "offset_bytes": 2560, "sector": 16, "nr_sectors": 4, "len_bytes": 2048,
            "payload_bytes": 0, "flags": ["discard"], "flags_bits": 4,
        })]
    );
    assert_eq!(
        (&found("--next mark")[0]["mark"], &found("--mark one")[0]["mark"]),
        (&"one".into(), &"one".into())
    );
    let strange = &found("--next mark --from 2")[0];
    assert_eq!(
        (&strange["mark"], &strange["mark_hex"]),
        (&"\u{fffd}\u{1b}[31m".into(), &"ff1b5b33316d".into())
    );
    let ran = folder.run("find log --next mark --from 2").code(0).no_stderr();
    assert!(!ran.stdout.contains('\u{1b}'), "a mark does not steer the terminal: {ran:?}");
    assert!(ran.stdout.ends_with("--at 4 is the disk with it, --at 3 the disk before\n"), "{ran:?}");
}

#[test]
fn a_kind_and_an_extent_are_sought_together() {
    let folder = Folder::new();
    let mut payload = vec![0; 512 - 32];
    payload.extend([5; 512]);
    let log =
        Builder::new(512).raw([4, 1, FUA, 0], &payload).write(8, &[1; 512]).raw([8, 1, FUA, 0], &payload);
    folder.write("log", log.done());
    let found = folder.run("find log --next fua --touching 8 --json").code(0).no_stderr().json();
    assert_eq!(found[0]["entry"], 2);
}

#[test]
fn what_is_before_the_break_is_found() {
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 512]).mark(b"m").raw([0; 4], b"").flush().mark(b"n");
    folder.write("log", log.done());
    for (options, entry) in
        [("--mark m", 1), ("--next mark", 1), ("--touching 0", 0), ("--next mark --from 1", 1)]
    {
        let found = folder.run(&format!("find log --json {options}")).code(0).no_stderr().json();
        assert_eq!(found[0]["entry"], entry, "{options}");
    }
    for options in [
        "--mark n",
        "--next flush",
        "--touching 1",
        "--next mark --from 2",
        "--next mark --from 3",
        "--mark m --from 2",
    ] {
        folder
            .run(&format!("find log {options}"))
            .refuses(&["2 of 5 entries can be read", "entry 2 at byte 2048 of the log"]);
    }
    assert_eq!(folder.bytes_of("cat log 0"), [1; 512]);
    folder.run("cat log 2").refuses(&["entry 2 at byte 2048 of the log"]);
    folder.run("cat log 99").refuses(&["entry 2 at byte 2048 of the log"]);
    let qemus = single("qemu-10.0.2-zerolen");
    assert_eq!(qemus.run("find log --touching 0 --json").code(0).json()[0]["entry"], 0);
    qemus.run("find log --next flush").refuses(&["1 of 4 entries can be read"]);
    assert_eq!(qemus.bytes_of("cat log 0"), [0xcd; 512]);
}

#[test]
fn something_must_be_sought() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).flush().done());
    for args in [
        "find log",
        "find log --from 1",
        "find",
        "find log --mark a --next flush",
        "find log --mark a --touching 1",
    ] {
        folder.run(args).refuses(&["Usage: logwrites find"]);
    }
    folder.run("find log --next write").refuses(&["flush, fua, discard, mark"]);
    folder.run("find log --next flush --from mark:x").refuses(&["there is no mark 'x'"]);
    folder.run("find log --next flush --from 2").refuses(&["2 is past the end: the log has 1 entry"]);
    folder.run("find missing --next flush").code(3).says(&["cannot open missing"]);
    folder.run("cat missing 0").code(3).says(&["cannot open missing"]);
}

#[test]
fn every_payload_of_a_real_log_is_printed_as_it_is_in_the_log() {
    for name in REAL_LOGS {
        let folder = golden(name);
        let log = folder.read("log");
        let (sector_size, _) = superblock(&log);
        for (number, entry) in entries(&log).iter().enumerate() {
            let text = &log[entry.bytes.start + 32..];
            let expected = if entry.flags & MARK == 0 {
                &log[entry.bytes.start + sector_size..entry.bytes.end]
            } else {
                &text[..common::logs::narrow(entry.data_len)]
            };
            assert!(folder.bytes_of(&format!("cat log {number}")) == expected, "{name}: entry {number}");
        }
    }
}

#[test]
fn a_payload_is_not_touched_on_its_way() {
    let folder = Folder::new();
    // Escapes as for a terminal, every byte, ends of lines, and more than one piece of all that.
    let payload: Vec<u8> =
        b"\x1b[31mred\x1b[0m\r\n".iter().copied().chain(0..=255).cycle().take(3 << 20).collect();
    folder.write("log", Builder::new(512).write(0, &payload).done());
    for color in ["", "--color always", "--color never"] {
        assert!(folder.bytes_of(&format!("cat log 0 {color}")) == payload, "{color}");
    }
    // A reader that has enough is not a failure.
    let tool = env!("CARGO_BIN_EXE_logwrites");
    for options in ["", "--hex"] {
        let pipe = format!("set -o pipefail; {tool} cat log 0 {options} | head -c 5 > start");
        Ran::of(Command::new("bash").args(["-c", &pipe]).current_dir(folder.path("."))).code(0).no_stderr();
        assert_eq!(folder.read("start").len(), 5, "{options}");
    }
}

#[test]
fn a_dump_has_offsets_on_the_disk() {
    let folder = Folder::new();
    let mut payload = vec![7; 1024];
    payload[..5].copy_from_slice(b"hi \x1b!");
    payload[1023] = 8;
    folder.write("log", Builder::new(512).write(8, &payload).mark(b"a mark").discard(0, 8).flush().done());
    let expected = "\
        000000001000  68 69 20 1b 21 07 07 07  07 07 07 07 07 07 07 07  |hi .!...........|\n\
        000000001010  07 07 07 07 07 07 07 07  07 07 07 07 07 07 07 07  |................|\n\
        *\n\
        0000000013f0  07 07 07 07 07 07 07 07  07 07 07 07 07 07 07 08  |................|\n";
    assert_eq!(folder.run("cat log 0 --hex").code(0).no_stderr().stdout, expected);
    assert!(folder.run("cat log 1 --hex").code(0).stdout.contains("|a mark|"));
    for entry in [2, 3] {
        assert_eq!(folder.bytes_of(&format!("cat log {entry} --hex")), b"", "a discard, a flush: nothing");
    }
    folder.run("cat log 4").refuses(&["log has 4 entries; there is no entry 4"]);
    folder.run("cat log x").refuses(&["invalid value 'x' for '<ENTRY>'"]);
    folder.run("cat log").refuses(&["<ENTRY>"]);
}

#[test]
fn a_large_dump_is_one_dump() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).write(0, &vec![7; (2 << 20) + 512]).done());
    let expected = "\
        000000000000  07 07 07 07 07 07 07 07  07 07 07 07 07 07 07 07  |................|\n\
        *\n\
        000000200200\n";
    assert_eq!(folder.run("cat log 0 --hex").code(0).no_stderr().stdout, expected);
}

#[test]
fn a_terminal_gets_a_dump() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).write(0, &[0x1b; 512]).done());
    let tool = format!("{} cat log 0", env!("CARGO_BIN_EXE_logwrites"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &tool, "/dev/null"]).current_dir(folder.path("."));
    let ran = Ran::of(command.stdin(Stdio::null())).code(0);
    assert!(ran.stdout.contains("1b 1b") && !ran.stdout.contains('\u{1b}'), "{ran:?}");
}

/// All that `find` finds, continuing after each.
fn in_turn(folder: &Folder, options: &[&str]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut point = 0;
    loop {
        let mut command = folder.command("find log --json");
        let ran = Ran::of(command.args(options).args(["--from", &point.to_string()]));
        if ran.code == Some(1) {
            return found;
        }
        let entry = ran.code(0).no_stderr().json().remove(0);
        point = number(&entry["point"]);
        assert_eq!(point, number(&entry["entry"]) + 1, "{options:?}");
        found.push(entry);
    }
}

fn numbers_of(found: &[Value]) -> Vec<u64> {
    found.iter().map(|entry| number(&entry["entry"])).collect()
}

fn without_points(mut found: Vec<Value>) -> Vec<Value> {
    for entry in &mut found {
        entry.as_object_mut().expect("an object").remove("point");
    }
    found
}

fn positions(entries: &[Entry], is_wanted: impl Fn(&Entry) -> bool) -> Vec<u64> {
    let wanted = entries.iter().enumerate().filter(|(_, entry)| is_wanted(entry));
    wanted.map(|(number, _)| wide(number)).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}
