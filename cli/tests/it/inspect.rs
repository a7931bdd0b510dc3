//! `logwrites info`, `ls`, `marks` and `verify`; what every command does with logs that are none; colours and pipes.

use crate::common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::logs::{Builder, DISCARD, FLUSH, FUA};
use common::{Folder, Loop, Ran};

/// METADATA, and an unknown flag.
const METADATA: u64 = 16;
const UNKNOWN: u64 = 64;

fn example() -> Folder {
    let folder = Folder::new();
    let mut write = vec![0; 512 - 32];
    write.extend([5; 512]);
    let log = Builder::new(512)
        .write(8, &[1; 4096])
        .mark(b"one")
        .raw([100, 0, FLUSH | FUA | METADATA, 0], b"")
        .raw([100, 1, FUA | METADATA, 0], &write)
        .raw([0, 4096, DISCARD, 0], b"")
        .mark(b"\xffnot\x1butf8")
        .raw([3, 1, UNKNOWN, 0], &write)
        .mark(b"one");
    folder.write("log", log.done());
    folder
}

const BAD_LOGS: [(&str, &str); 13] = [
    ("empty", "empty is empty: nothing was logged to it"),
    ("text", "text: not a write log: the magic is 0x"),
    ("zeros", "zeros: not a write log: the magic is 0x0, not 0x6a736677736872"),
    ("short", "short: "),
    ("version", "version: version 2 of the write-log format is unknown; only version 1 exists"),
    (
        "sector",
        "sector: the superblock names a sector of 513 bytes: it must be a power of two from 32 to 8388608",
    ),
    (
        "many",
        "entry 1 at byte 1536 of the log: the log ends here, though its superblock counts 1099511627776 entries",
    ),
    (
        "long",
        "entry 1 at byte 1536 of the log: its 4611686018427387904 sectors at sector 0 reach beyond 2^63 - 1 bytes of the disk",
    ),
    (
        "cut",
        "entry 0 at byte 512 of the log: its payload of 1 sectors reaches beyond the end of the log at byte 1535",
    ),
    ("hole", "entry 1 at byte 1536 of the log: its header is all zeros"),
    ("endless", "entry 1 at byte 1536 of the log: its mark does not end where the header says"),
    (
        "long-mark",
        "entry 1 at byte 1536 of the log: its mark of 480 bytes does not fit into a sector of 512 bytes",
    ),
    ("mark-with-sectors", "entry 1 at byte 1536 of the log: it is a mark, and yet has 1 sectors"),
];

fn bad_logs() -> Folder {
    let folder = Folder::new();
    let good = || Builder::new(512).write(0, &[1; 512]);
    folder.write("empty", "");
    folder.write("text", "write 0 512\n".repeat(100));
    folder.write("zeros", vec![0; 1 << 20]);
    folder.write("short", &good().done()[..20]);
    let mut version = good().done();
    version[8] = 2;
    folder.write("version", version);
    let mut sector = good().done();
    sector[24] = 1;
    folder.write("sector", sector);
    folder.write("many", good().claiming(1 << 40));
    folder.write("long", good().raw([0, 1 << 62, 0, 0], b"").claiming(1 << 40));
    folder.write("cut", &good().done()[..1535]);
    folder.write("hole", good().raw([0; 4], b"").flush().done());
    folder.write("endless", good().raw([0, 0, 8, 3], &[b'x'; 480]).done());
    folder.write("long-mark", good().raw([0, 0, 8, 480], &[b'x'; 480]).done());
    folder.write("mark-with-sectors", good().raw([0, 1, 8, 3], b"abc").flush().done());
    folder
}

#[test]
fn bad_logs_are_named_and_take_no_time() {
    let folder = bad_logs();
    let start = Instant::now();
    for (log, message) in BAD_LOGS {
        for command in
            ["info", "info --json", "ls", "ls --json", "marks", "marks --json", "verify", "verify --json"]
        {
            let ran = folder.run(&format!("{command} {log}")).code(2).says(&["error: ", message]);
            let nr_errors = ran.stderr.lines().filter(|line| !line.starts_with("hint: ")).count();
            assert_eq!(nr_errors, 1, "{ran:#?}");
        }
        folder.run(&format!("replay {log} --size 1M --output out")).refuses(&[message]);
        assert!(!folder.has("out"));
    }
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_can_be_read_of_a_bad_log_is_shown() {
    let folder = bad_logs();
    for log in ["many", "long", "hole", "endless", "long-mark", "mark-with-sectors"] {
        assert_eq!(folder.run(&format!("ls {log} --json")).json().len(), 1, "{log}");
        folder.run(&format!("ls {log} --to 1")).code(0).no_stderr();
        let info = folder.run(&format!("info {log} --json")).json().remove(0);
        assert_eq!((&info["readable_entries"], &info["used_bytes"]), (&1.into(), &1536.into()), "{log}");
        assert!(
            info["error"].as_str().is_some_and(|error| error.starts_with("entry 1 at byte 1536")),
            "{info}"
        );
        let verify = folder.run(&format!("verify {log} --json")).json().remove(0);
        assert_eq!((&verify["ok"], &verify["readable_entries"]), (&false.into(), &1.into()), "{log}");
        assert_eq!(verify["error"], info["error"]);
    }
}

#[test]
fn entries_that_the_superblock_does_not_count_are_counted_but_not_believed() {
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 512]).flush().mark(b"m").write(1, &[2; 512]);
    folder.write("log", log.claiming(2));
    let info = folder.run("info log --json").code(0).json().remove(0);
    assert_eq!(
        (&info["nr_entries"], &info["tail_entries"], &info["tail_end_bytes"]),
        (&2.into(), &2.into(), &3584.into())
    );
    assert!(folder.run("info log").stdout.contains("2 whole entries seem to follow"));
    assert_eq!(folder.run("ls log --json").json().len(), 2);
    assert_eq!(folder.run("marks log --json").json().len(), 0);
    assert!(folder.run("verify log").code(0).stdout.contains("note: 2 whole entries seem to follow"));
    folder
        .run("replay log --size 4k --output out --at mark:m")
        .refuses(&["there is no mark 'm': the log has no marks"]);
}

#[test]
fn what_a_flush_writes_itself_begins_an_epoch() {
    let folder = Folder::new();
    let mut write = vec![0; 512 - 32];
    write.extend([5; 512]);
    let log = Builder::new(512).write(8, &[1; 512]).raw([9, 1, FLUSH, 0], &write);
    folder.write("open", log.done());
    folder.write("ended", Builder::new(512).write(8, &[1; 512]).flush().mark(b"one").done());
    let epochs = |name: &str| folder.run(&format!("info {name} --json")).code(0).json()[0]["epochs"].clone();
    assert_eq!((epochs("open"), epochs("ended")), (2.into(), 1.into()));
}

#[test]
fn every_field_of_the_objects_is_there() {
    let folder = example();
    let info = folder.run("info log --json").code(0).no_stderr().json();
    let expected = serde_json::json!({
        "log": "log", "version": 1, "sector_size_bytes": 512, "nr_entries": 8, "readable_entries": 8,
        "used_bytes": 9728, "log_bytes": 9728, "payload_bytes": 5120, "discarded_bytes": 2_097_152,
        "largest_extent_bytes": 2_097_152, "largest_extent_entry": 4, "writes": 1, "flushes": 1, "fuas": 2, "discards": 1, "marks": 3,
        "metadata": 2, "epochs": 2, "touched_start_bytes": 0, "touched_end_bytes": 2_097_152,
        "tail_entries": 0, "tail_end_bytes": 9728,
    });
    assert_eq!(info, [expected]);
    let ls = folder.run("ls log --json").code(0).no_stderr().json();
    assert_eq!(
        ls[0],
        serde_json::json!({
            "entry": 0, "offset_bytes": 512, "sector": 8, "nr_sectors": 8, "len_bytes": 4096, "payload_bytes": 4096,
            "flags": [], "flags_bits": 0,
        })
    );
    assert_eq!(ls[2]["flags"], serde_json::json!(["flush", "fua", "metadata"]));
    assert_eq!((&ls[2]["sector"], &ls[2]["payload_bytes"]), (&100.into(), &0.into()));
    assert_eq!((&ls[4]["len_bytes"], &ls[4]["payload_bytes"]), (&2_097_152.into(), &0.into()));
    assert_eq!(
        (&ls[5]["mark"], &ls[5]["mark_hex"]),
        (&"\u{fffd}not\u{1b}utf8".into(), &"ff6e6f741b75746638".into())
    );
    assert_eq!((&ls[6]["flags"], &ls[6]["flags_bits"]), (&serde_json::json!([]), &64.into()));
    let marks = folder.run("marks log --json").code(0).no_stderr().json();
    assert_eq!(marks[0], serde_json::json!({"entry": 1, "point": "mark:one#1", "mark": "one"}));
    assert_eq!(marks[1]["point"], "mark:%FFnot%1Butf8");
    assert_eq!(marks[2]["point"], "mark:one#2");
    let verify = folder.run("verify log --json").code(0).no_stderr().json();
    let ok = serde_json::json!({"ok": true, "readable_entries": 8, "nr_entries": 8, "tail_entries": 0});
    assert_eq!(verify, [ok]);
}

#[test]
fn every_point_that_marks_gives_is_a_point() {
    let folder = example();
    for mark in folder.run("marks log --json").json() {
        let (point, entry) =
            (mark["point"].as_str().expect("a point"), mark["entry"].as_u64().expect("a number"));
        let mut command = folder.command("ls log --json --from");
        let behind = Ran::of(command.arg(point)).code(0).json();
        assert_eq!(
            behind.first().map_or(8, |next| next["entry"].as_u64().unwrap_or(0)),
            entry + 1,
            "{point}"
        );
    }
}

#[test]
fn entries_are_chosen() {
    let folder = example();
    for (options, wanted) in [
        ("", vec![0, 1, 2, 3, 4, 5, 6, 7]),
        ("--from 2", vec![2, 3, 4, 5, 6, 7]),
        ("--to 2", vec![0, 1]),
        ("--from flush:1 --to mark:one#2", vec![3, 4, 5, 6, 7]),
        ("--from 5 --to 5", vec![]),
        ("--from 5 --to 2", vec![]),
        ("--flag fua", vec![2, 3]),
        ("--flag fua,flush", vec![2]),
        ("--flag fua --flag metadata --flag flush", vec![2]),
        ("--flag mark", vec![1, 5, 7]),
        ("--flag discard", vec![4]),
        ("--flag discard,mark", vec![]),
        ("--touching 8", vec![0, 4]),
        ("--touching 15+1", vec![0, 4]),
        ("--touching 16+84", vec![4]),
        ("--touching 16+85", vec![3, 4]),
        ("--touching 4096", vec![]),
        ("--touching 0+8 --from 5", vec![6]),
    ] {
        let ls = folder.run(&format!("ls log --json {options}")).code(0).no_stderr().json();
        let entries: Vec<u64> = ls.iter().filter_map(|entry| entry["entry"].as_u64()).collect();
        assert_eq!(entries, wanted, "{options}");
        let lines = folder.run(&format!("ls log {options}")).code(0).stdout.lines().count();
        assert_eq!(lines, wanted.len() + 1, "{options}: a heading and the entries");
    }
    for (options, message) in [
        ("--flag sync", "flush, fua, discard, mark, metadata"),
        ("--touching x", "expected SECTOR or SECTOR+COUNT in log sectors, such as 2048 or 2048+16"),
        ("--touching 8+0", "expected SECTOR"),
        ("--touching 18446744073709551615+2", "expected SECTOR"),
    ] {
        folder.run(&format!("ls log {options}")).refuses(&[message]);
    }
}

/// What is not seen, or shows the rest in another order, is not printed, from wherever it comes.
#[test]
fn no_text_shows_another() {
    let name = "log\u{202e}gol\u{200b}";
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 512]).mark("safe\u{202e}efas\u{2066}\u{200b}".as_bytes());
    folder.write(name, log.done());
    let run = |args: &[&str]| Ran::of(folder.command("").args(args));
    for args in [
        &["ls", name][..],
        &["marks", name],
        &["info", name],
        &["verify", name],
        &["find", name, "--next", "mark"],
        &["cut", name, "--output", "\u{202e}cut"],
        &["replay", name, "--size", "4k", "--output", "\u{202e}replayed"],
        &["info", "no\u{202e}such"],
        &["mark", name, "again\u{202e}", "--flush"],
        &["replay", name, "--size", "4k", "--output", "out", "--at", "mark:\u{202e}"],
        &["record", "new", "--create", "4k", "--log", "log2", "--script", "no\u{202e}such"],
    ] {
        let ran = run(args);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{200b}']), "{args:?}: {ran:?}");
        }
        assert!(ran.code.is_some_and(|code| code < 4), "{ran:?}");
    }
    assert!(run(&["ls", name]).stdout.contains("safe\u{fffd}efas"), "the rest of it is shown");
    // Machines get it as it is.
    assert!(run(&["marks", name, "--json"]).stdout.contains("safe\u{202e}efas"));
}

#[test]
fn no_mark_steers_the_terminal() {
    let folder = example();
    for command in ["ls log", "marks log", "replay log --size 2M --output out --at 6"] {
        let ran = folder.run(command).code(0);
        assert!(!ran.stdout.contains('\u{1b}') && ran.stdout.contains("not\u{fffd}utf8"), "{ran:?}");
    }
}

#[test]
fn an_image_that_differs_is_described() {
    let folder = Folder::new();
    folder.write("base", vec![9; 64 << 10]);
    folder.write("disk", vec![9; 64 << 10]);
    folder.record("disk --log log", "write -P 1 0 4k\ndiscard 8k 4k");
    folder.run("verify log --base base --final disk").code(0).no_stderr();
    let good = folder.read("disk");
    for (at, by) in [
        (700, "first at byte 700 (sector 1), in 1 sectors in all; entry 0 wrote what should be there"),
        (8192, "first at byte 8192 (sector 16), in 1 sectors in all; entry 1 wrote what should be there"),
        (40_000, "no entry touches it, so base has what should be there"),
    ] {
        let mut bad = good.clone();
        bad[at] = 77;
        folder.write("bad", bad);
        folder.run("verify log --base base --final bad").code(1).says(&["bad differs from base and log", by]);
        let json = folder.run("verify log --base base --final bad --json").code(1).json().remove(0);
        assert_eq!((&json["ok"], &json["different_sectors"]), (&false.into(), &1.into()));
        assert_eq!(json["first_difference_bytes"], at);
        assert_eq!(json["first_difference_entry"].is_null(), at == 40_000);
        assert_eq!(json["compared_bytes"], 65536);
    }
    folder.write("short", &good[..32768]);
    folder
        .run("verify log --base base --final short")
        .code(1)
        .says(&["short has 32768 bytes, base has 65536"]);
    folder.write("tiny", [0; 4096]);
    folder.run("verify log --base tiny --final tiny").code(2).says(&["the log reaches beyond tiny"]);
    folder.run("verify log --base base").refuses(&["--final"]);
    folder.run("verify log --final base").refuses(&["--base"]);
    folder.run("verify log --base base --final missing").code(3).says(&["cannot open missing"]);
    folder.run("verify log --base base --final disk --discard pass").refuses(&["zero, ignore"]);
}

#[test]
fn an_extent_that_a_failed_write_left_is_not_compared() {
    let folder = Folder::new();
    let log = Builder::new(512)
        .write(0, &[1; 512])
        .mark(b"logwrites-indeterminate 4+2")
        .flush()
        .write(5, &[2; 512]);
    folder.write("log", log.done());
    folder.write("base", [0; 4096]);
    let mut disk = [0; 4096];
    disk[..512].fill(1);
    disk[2048..2560].fill(77);
    disk[2560..3072].fill(2);
    folder.write("disk", disk);
    let ran = folder.run("verify log --base base --final disk").code(0);
    assert!(ran.stdout.contains("512 bytes were left out"), "{ran:?}");
    disk[2560] = 77;
    folder.write("disk", disk);
    folder.run("verify log --base base --final disk").code(1).says(&["byte 2560", "entry 3"]);
}

#[test]
fn a_log_may_be_a_device() {
    let folder = example();
    let log = Loop::of(&folder.path("log"), &["--read-only"]);
    let info = folder.run(&format!("info {} --json", log.device())).code(0).json().remove(0);
    assert_eq!(info["nr_entries"], 8);
    folder.run(&format!("verify {}", log.device())).code(0);
}

#[test]
fn a_reader_that_has_enough_is_not_a_failure() {
    let folder = Folder::new();
    let log = (0..200_000u64).fold(Builder::new(512), |log, i| log.raw([i, 1, DISCARD, 0], b""));
    folder.write("log", log.done());
    for command in ["ls log", "ls log --json"] {
        let tool = env!("CARGO_BIN_EXE_logwrites");
        let pipe = format!("set -o pipefail; {tool} {command} | head -1");
        let mut shell = Command::new("bash");
        let ran = Ran::of(shell.args(["-c", &pipe]).current_dir(folder.path("."))).code(0).no_stderr();
        assert_eq!(ran.stdout.lines().count(), 1);
    }
}

#[test]
fn colours_are_for_people() {
    let folder = example();
    for command in ["info log", "ls log", "marks log", "verify log", "ls missing", "ls log --to mark:x"] {
        assert!(!has_colour(&folder.run(command)), "{command}: a pipe");
        assert!(has_colour(&folder.run(&format!("{command} --color always"))), "{command} --color always");
        assert!(has_colour(&on_terminal(&folder, command, &[])), "{command}: a terminal");
        assert!(!has_colour(&on_terminal(&folder, command, &[("NO_COLOR", "1")])), "{command}: NO_COLOR");
        assert!(
            !has_colour(&on_terminal(&folder, &format!("{command} --color never"), &[])),
            "{command}: never"
        );
    }
    for command in ["ls log --json", "info log --json", "marks log --json", "verify log --json"] {
        // The example has a control character in a mark, which JSON escapes.
        assert!(!has_colour(&folder.run(&format!("{command} --color always"))), "{command}");
    }
    folder.run("ls log --color sometimes").refuses(&["auto, always, never"]);
}

#[test]
fn help_and_usage_errors_follow_color_too() {
    let folder = example();
    for command in ["--help", "ls --help", "ls", "ls log --to x"] {
        assert!(!has_colour(&folder.run(command)), "{command}: a pipe");
        assert!(has_colour(&on_terminal(&folder, command, &[])), "{command}: a terminal");
        assert!(!has_colour(&on_terminal(&folder, command, &[("NO_COLOR", "1")])), "{command}: NO_COLOR");
        assert!(has_colour(&folder.run(&format!("--color always {command}"))), "--color always {command}");
        let never = on_terminal(&folder, &format!("--color never {command}"), &[]);
        assert!(!has_colour(&never), "--color never {command}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = example();
    for args in [
        "",
        "nothing",
        "ls",
        "info",
        "ls log log",
        "info log --from 1",
        "ls --wrong log",
        "marks log --to 1",
        "inf log",
    ] {
        let ran = folder.run(args).code(2);
        assert!(ran.stderr.contains("Usage: logwrites"), "{ran:?}");
    }
    for args in ["--help", "-h", "help", "--version", "help ls", "ls -h"] {
        folder.run(args).code(0).no_stderr();
    }
    for args in ["info missing", "ls .", "marks /dev/null", "verify missing"] {
        folder.run(args).code(3).says(&["error: cannot open"]);
    }
}

fn has_colour(ran: &Ran) -> bool {
    ran.stdout.contains('\u{1b}') || ran.stderr.contains('\u{1b}')
}

/// Runs the tool on a terminal of its own.
fn on_terminal(folder: &Folder, args: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new("script");
    let tool = format!("{} {args}", env!("CARGO_BIN_EXE_logwrites"));
    command.args(["--quiet", "--return", "--command", &tool, "/dev/null"]).current_dir(folder.path("."));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm").stdin(std::process::Stdio::null()).envs(variables.iter().copied());
    Ran::of(&mut command)
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_named() {
    let folder = example();
    for args in ["ls log", "info log --json"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(folder.command(args).stdout(full));
        ran.code(3).says(&["cannot write to standard output: No space left on device"]);
    }
}

/// The log that qemu-io 5.2 wrote for `write -P 1 0 4k`, `aio_write -z 64k 8k`, `aio_write -P 2 8k 4k`, `aio_flush`,
/// `write -P 3 32k 4k`: the entry of the zeros is followed by the next entry, and that by the zeros.
#[test]
fn zeros_over_other_entries_are_named() {
    let folder = Folder::new();
    let log = Builder::new(512)
        .write(0, &[1; 4096])
        .raw([128, 16, 0, 0], b"")
        .write(16, &[2; 4096])
        .zeros(16)
        .flush()
        .write(64, &[3; 4096]);
    folder.write("log", log.done());
    let ran = folder.run("verify log").code(2);
    ran.says(&[
        "error: log: ",
        "hint: entry 1 seems to have another entry inside its payload",
        "points up to 1",
    ]);
    assert_eq!(folder.run("verify log --json").code(2).json()[0]["overlapped_entry"], 1);
    // A log that is broken in another way has no such entry.
    folder.write(
        "log",
        Builder::new(512).write(0, &[1; 4096]).write(1, &[0; 512]).raw([0; 4], b"").flush().done(),
    );
    let ran = folder.run("verify log").code(2);
    assert!(!ran.stderr.contains("inside its payload"), "{ran:?}");
}
