//! Going on with a log: `logwrites record --append`, and `logwrites mark`.

use crate::common;

use std::path::Path;

use common::golden::{golden, single};
use common::images::sha256;
use common::logs::{Builder, FLUSH, MARK, entries, narrow, superblock};
use common::qemu::qemu_io;
use common::random::Random;
use common::{Folder, Loop, Ran};

#[test]
fn our_logs_are_continued_many_times() {
    for ordering in ["completion", "durability"] {
        for policy in ["with-flush", "barrier"] {
            for sector_size in [64, 512, 4096, 65536] {
                let options = format!("--ordering {ordering} --superblock {policy} --super-interval 7");
                let mut random = Random::new(sector_size);
                let folder = Folder::new();
                folder.write("base", vec![9; narrow(NR_SECTORS * sector_size)]);
                folder.write("disk", vec![9; narrow(NR_SECTORS * sector_size)]);
                let first = script(&mut random, sector_size, 10);
                folder.record(&format!("disk --log log --sector-size {sector_size} {options}"), &first);
                for round in 0..8 {
                    let before = folder.read("log");
                    let more = format!("mark round {round}\n{}", script(&mut random, sector_size, 10));
                    folder.record(&format!("disk --log log --append {options}"), &more);
                    let after = folder.read("log");
                    assert!(
                        after[narrow(sector_size)..].starts_with(&before[narrow(sector_size)..]),
                        "{options}"
                    );
                    folder.run("verify log --base base --final disk").code(0).no_stderr();
                    assert_eq!(superblock(&after).0, narrow(sector_size), "the log's own");
                }
                // What the sessions have written, each at its mark.
                for round in 0..8 {
                    let mut command = folder.command("find log --json --mark");
                    Ran::of(command.arg(format!("round {round}"))).code(0).no_stderr();
                }
            }
        }
    }
}

#[test]
fn each_session_may_have_an_ordering_of_its_own() {
    let folder = Folder::new();
    folder.write("base", vec![9; narrow(NR_SECTORS * 512)]);
    folder.write("disk", vec![9; narrow(NR_SECTORS * 512)]);
    let mut random = Random::new(5);
    folder.record("disk --log log", &script(&mut random, 512, 5));
    for round in 0..12 {
        let ordering = ["completion", "durability"][round % 2];
        let policy = ["with-flush", "barrier"][round / 2 % 2];
        let more = script(&mut random, 512, 5);
        folder.record(&format!("disk --log log --append --ordering {ordering} --superblock {policy}"), &more);
        folder.run("verify log --base base --final disk").code(0).no_stderr();
    }
}

#[test]
fn many_short_sessions_make_one_log() {
    let folder = Folder::new();
    folder.write("base", vec![0; 64 << 10]);
    folder.write("disk", vec![0; 64 << 10]);
    folder.record("disk --log log", "write -P 1 0 512");
    for i in 1..60 {
        folder
            .record("disk --log log --append", &format!("write -P {i} {} 512\nread -P {i} {0} 512", i * 512));
    }
    let log = folder.read("log");
    let flags: Vec<u64> = entries(&log).iter().map(|entry| entry.flags).collect();
    assert_eq!(flags, [0, FLUSH].repeat(60), "a write and the closing flush, again and again");
    folder.run("verify log --base base --final disk").code(0).no_stderr();
    // A session that does nothing changes nothing.
    for script in ["", "flush", "read 0 512", "# nothing"] {
        folder.record("disk --log log --append", script);
        assert!(folder.read("log") == log, "{script}");
    }
}

#[test]
fn the_parts_make_the_same_log_as_the_whole() {
    let folder = Folder::new();
    let mut random = Random::new(11);
    let parts: Vec<String> = (0..6).map(|_| format!("{}flush\n", script(&mut random, 512, 8))).collect();
    for name in ["whole", "parts"] {
        folder.write(name, vec![9; narrow(NR_SECTORS * 512)]);
    }
    folder.record("whole --log whole.log", &parts.concat());
    folder.record("parts --log parts.log", "");
    for part in &parts {
        folder.record("parts --log parts.log --append", part);
    }
    assert!(folder.read("whole.log") == folder.read("parts.log"));
    assert!(folder.read("whole") == folder.read("parts"));
}

#[test]
fn qemu_and_we_take_turns() {
    for (seed, sector_size) in [(1, 512), (2, 4096), (3, 512), (4, 64)] {
        let mut random = Random::new(seed);
        let folder = Folder::new();
        folder.write("base", vec![9; narrow(NR_SECTORS * sector_size)]);
        folder.write("disk", vec![9; narrow(NR_SECTORS * sector_size)]);
        let plain = |random: &mut Random| without_fua(&script(random, sector_size, 8));
        qemu_io(&folder, "disk", "log", &format!("log-sector-size={sector_size}"), &plain(&mut random));
        for round in 0..6 {
            let ordering = ["completion", "durability"][round % 2];
            let more = format!("mark ours {round}\n{}", script(&mut random, sector_size, 8));
            folder.record(&format!("disk --log log --append --ordering {ordering}"), &more);
            folder.run("verify log --base base --final disk").code(0).no_stderr();
            qemu_io(&folder, "disk", "log", "log-append=on", &plain(&mut random));
            folder.run("verify log --base base --final disk").code(0).no_stderr();
        }
        let marks = folder.run("marks log --json").code(0).json();
        let ours =
            marks.iter().filter(|mark| mark["mark"].as_str().is_some_and(|text| text.starts_with("ours ")));
        assert_eq!(ours.count(), 6);
    }
}

#[test]
fn the_logs_of_linux_are_continued() {
    for (name, sector_size) in
        [("raw-4096", 4096), ("ext4-64m", 512), ("raw-512", 512), ("qemu-ext4-64m", 512)]
    {
        let folder = golden(name);
        folder.run("replay log --base base --output disk").code(0).no_stderr();
        let marks = texts_of_marks(&folder);
        let mut random = Random::new(sector_size);
        for ordering in ["completion", "durability"] {
            let more = format!("mark more\n{}", script(&mut random, sector_size, 12));
            folder.record(&format!("disk --log log --append --ordering {ordering}"), &more);
            folder.run("verify log --base base --final disk").code(0).no_stderr();
        }
        assert!(texts_of_marks(&folder).starts_with(&marks), "{name}: the marks are there");
    }
}

#[test]
fn an_overlay_reads_what_earlier_sessions_wrote() {
    for sector_size in [512, 4096] {
        let folder = Folder::new();
        folder.write("base", vec![9; 256 << 10]);
        folder.write("copy", vec![9; 256 << 10]);
        let before = sha256(&folder.path("base"));
        let sessions = [
            "write -P 1 0 64k\ndiscard 32k 16k\nwrite -z 96k 64k",
            "read -P 1 0 32k\nread -P 0 32k 16k\nread -P 1 48k 16k\nread -P 9 64k 32k\nwrite -P 2 4k 4k",
            "read -P 1 0 4k\nread -P 2 4k 4k\nread -P 0 96k 64k\nwrite -f -P 3 0 4k\nmark third",
            "read -P 3 0 4k\nread -P 2 4k 4k\nread -P 1 8k 4k\nflush\ndiscard 0 8k\nread -P 0 0 8k",
        ];
        for (number, session) in sessions.iter().enumerate() {
            let append =
                if number == 0 { format!("--sector-size {sector_size}") } else { "--append".to_owned() };
            folder.record(&format!("--base base --log overlay.log {append}"), session);
            folder.record(&format!("copy --log copy.log {append}"), session);
            assert!(folder.read("overlay.log") == folder.read("copy.log"), "session {number}");
        }
        assert_eq!(sha256(&folder.path("base")), before);
        folder.run("verify overlay.log --base base --final copy").code(0).no_stderr();
        folder
            .run_with("record --base base --log overlay.log --append", "read -P 7 0 4k")
            .code(1)
            .says(&["is 0x00, not 0x07"]);
        folder
            .run_with("record --base base --log overlay.log --append --ordering durability", "write 0 4k")
            .refuses(&["--ordering completion"]);
        assert!(folder.read("overlay.log") == folder.read("copy.log"), "the failures left no trace");
    }
    // On top of what Linux has logged.
    let folder = golden("ext4-64m");
    folder.run("replay log --base base --output disk").code(0).no_stderr();
    let disk = folder.read("disk");
    let same =
        (0..disk.len()).step_by(512).filter(|at| disk[*at..at + 512].iter().all(|byte| *byte == disk[*at]));
    let reads = common::lines(same.step_by(97), |at| format!("read -P {} {at} 512\n", disk[at]));
    folder.record("--base base --log log --append", &format!("{reads}write -P 1 0 512\nread -P 1 0 512"));
}

#[test]
fn a_tail_is_kept_or_dropped_only_if_asked() {
    let log = || Builder::new(512).write(0, &[1; 512]).flush().write(1, &[2; 512]).mark(b"tail").claiming(2);
    for (tail, nr_kept) in [("keep", 4), ("drop", 2)] {
        for mode in ["disk", "--base base"] {
            let folder = Folder::new();
            folder.write("log", log());
            folder.write("base", [0; 4096]);
            let command = if tail == "keep" { "recover log --write" } else { "info log" };
            folder.run("replay log --base base --output disk").code(0);
            folder.run_with(&format!("record {mode} --log log --append"), "write 0 512").refuses(&[
                "log: 2 entries were found after the 2 that the superblock counts",
                "--tail keep",
                "--tail drop",
                "recover",
            ]);
            folder.run("mark log x").refuses(&["2 entries were found after the 2"]);
            assert!(folder.read("log") == log(), "a refusal changes nothing");
            // The disk as the log leaves it: with the tail, or without.
            folder.write("counted", log());
            folder.run(&command.replace("log", "counted")).code(0);
            folder.run("replay counted --base base --output disk --force").code(0);
            let args = format!("record {mode} --log log --append --tail {tail}");
            folder.run_with(&args, "write -P 3 2k 512").code(0).no_stderr();
            let after = entries(&folder.read("log"));
            assert_eq!((after[nr_kept].sector, after.len()), (4, nr_kept + 2));
            let info = folder.run("info log --json").code(0).json().remove(0);
            assert_eq!(info["tail_entries"], 0);
            if mode == "disk" {
                folder.run("verify log --base base --final disk").code(0).no_stderr();
            } else {
                folder.run("verify log").code(0).no_stderr();
            }
        }
    }
    let folder = Folder::new();
    folder.write("log", Builder::new(512).flush().done());
    folder.write("disk", [0; 4096]);
    for tail in ["keep", "drop"] {
        folder.record(&format!("disk --log log --append --tail {tail}"), "write 0 512");
    }
    folder.run("record disk --log new --tail keep").refuses(&["--append"]);
    folder.run("record disk --log log --append --tail both").refuses(&["keep, drop"]);
}

#[test]
fn what_cannot_be_continued_is_refused_and_unchanged() {
    let folder = Folder::new();
    folder.write("base", [0; 8192]);
    folder.write("disk", [0; 8192]);
    folder.write("odd", [0; 1000]);
    folder.write("empty", "");
    folder.write("text", "write 0 512\n".repeat(100));
    folder.write("broken", Builder::new(512).write(0, &[1; 512]).raw([0; 4], b"").flush().done());
    folder.record("disk --log log", "write -P 1 4k 4k");
    let names = ["base", "disk", "odd", "empty", "text", "broken", "log"];
    let before = names.map(|name| folder.read(name));
    for (args, texts) in [
        ("disk --log empty --append", vec!["empty is empty: nothing was logged to it"]),
        ("disk --log text --append", vec!["text: not a write log"]),
        ("disk --log broken --append", vec!["1 of 3 entries can be read", "entry 1 at byte 1536"]),
        ("disk --log disk --append", vec!["disk and disk are the same file"]),
        ("log --log log --append", vec!["log and log are the same file"]),
        ("--base log --log log --append", vec!["log and log are the same file"]),
        (
            "odd --log log --append",
            vec!["odd has 1000 bytes, which is not a multiple of the sector size 512"],
        ),
        ("disk --log log --append --force", vec!["cannot be used with"]),
        ("new --create 8k --log log --append", vec!["cannot be used with"]),
        ("disk --log log --append --sector-size 512", vec!["cannot be used with"]),
        ("disk --log log --append --log-size 4k", vec!["log", "too small"]),
    ] {
        folder.run_with(&format!("record {args}"), "write 0 512").refuses(&texts);
    }
    for script in ["write 0 100", "wirte", "write 8k 512"] {
        folder.run_with("record disk --log log --append", script).refuses(&["standard input:1:"]);
    }
    folder.run_with("record disk --log missing --append", "write 0 512").code(3).says(&["missing"]);
    folder.run_with("record missing --log log --append", "write 0 512").code(3).says(&["missing"]);
    folder.run_with("record disk --log log --append", "read -P 7 0 512").code(1).says(&["line 1"]);
    assert!(names.map(|name| folder.read(name)) == before);
    assert!(!folder.has("missing") && !folder.has("new"));
}

/// "The disk must be as the log left it": one that is too small for the log never was.
#[test]
fn a_disk_that_is_too_small_for_the_log_is_refused() {
    let folder = Folder::new();
    folder.record("disk --create 64k --log log", "write -P 1 60k 4k");
    folder.write("small", [0; 4096]);
    let before = folder.read("log");
    for disk in ["small", "--base small"] {
        folder
            .run_with(&format!("record {disk} --log log --append"), "write 0 512")
            .refuses(&["the log reaches beyond small"]);
    }
    assert!(folder.read("log") == before);
}

#[test]
fn a_full_log_refuses_and_still_verifies() {
    let folder = Folder::new();
    folder.write("base", vec![0; 64 << 10]);
    folder.write("disk", vec![0; 64 << 10]);
    folder.record("disk --log log", "write -P 1 0 4k\nflush");
    for ordering in ["completion", "durability"] {
        let args = format!("record disk --log log --append --log-size 32k --ordering {ordering}");
        let script = common::lines(1..9, |i| format!("write -P {i} {} 4k\n", i * 4096));
        folder.run_with(&args, script).code(3).says(&["the log is full: "]);
        folder.run("verify log --base base --final disk").code(0).no_stderr();
    }
    // A device that bounds the log.
    folder.write("device", vec![0; 16 << 10]);
    let device = Loop::of(&folder.path("device"), &[]);
    let device = device.device();
    folder.write("disk", vec![0; 64 << 10]);
    folder.record(&format!("disk --log {device}"), "write -P 1 0 4k");
    let script = "write -P 2 4k 4k\nwrite -P 3 8k 2k\nwrite -P 4 16k 4k";
    folder
        .run_with(&format!("record disk --log {device} --append"), script)
        .code(3)
        .says(&["line 3", "is full"]);
    folder.run(&format!("verify {device} --base base --final disk")).code(0).no_stderr();
    // Filled up to the last sector, by marks: each says whether it was taken.
    let mut nr_marks = 0;
    loop {
        let nr_entries = nr_entries(&folder, device);
        let ran = folder.run(&format!("mark {device} filler"));
        if ran.code != Some(0) {
            ran.code(2).says(&[device, "too small"]);
            assert_eq!(self::nr_entries(&folder, device), nr_entries, "nothing was marked");
            break;
        }
        nr_marks += 1;
        assert!(nr_marks < 32, "the log is never full");
    }
    assert!(nr_marks > 3, "{nr_marks}");
    folder.run(&format!("verify {device} --base base --final disk")).code(0).no_stderr();
}

#[test]
fn a_used_device_shows_nothing_stale_after_what_was_appended() {
    let folder = Folder::new();
    folder.write("base", vec![0; 1 << 20]);
    folder.write("disk", vec![0; 1 << 20]);
    let old = (0..500).fold(Builder::new(512), |log, i| log.write(i, &[1; 512])).done();
    let new = Builder::new(512).write(0, &[2; 512]).flush().flush().done();
    let mut used = old;
    used[..new.len()].copy_from_slice(&new);
    used.resize(1 << 20, 0);
    folder.write("device", used);
    let device = Loop::of(&folder.path("device"), &[]);
    let device = device.device();
    folder.run(&format!("replay {device} --base base --output disk --force")).code(0);
    folder.run_with(&format!("record disk --log {device} --append"), "write 0 512").refuses(&["--tail keep"]);
    let ran =
        folder.run_with(&format!("record disk --log {device} --append --tail drop"), "write -P 3 512 512");
    ran.code(0).no_stderr();
    let info = folder.run(&format!("info {device} --json")).code(0).json().remove(0);
    assert_eq!((&info["nr_entries"], &info["tail_entries"]), (&5.into(), &0.into()));
    folder.run(&format!("verify {device} --base base --final disk")).code(0).no_stderr();
}

#[test]
fn a_mark_is_put_at_the_end_of_any_closed_log() {
    let ours = |options: &str| {
        let folder = Folder::new();
        folder.record(&format!("disk --create 64k --log log {options}"), "write -P 1 0 4k\nmark there");
        folder
    };
    for (what, folder) in [
        ("ours", ours("")),
        ("ours, durable", ours("--ordering durability --superblock barrier")),
        ("ours, 64", ours("--sector-size 64")),
        ("raw-4096", golden("raw-4096")),
        ("ext4-64m", golden("ext4-64m")),
        ("qemu-ext4-64m", golden("qemu-ext4-64m")),
        ("failedwrite", single("kernel-6.12-4kn-failedwrite")),
        ("QEMU's", single("qemu-10.0.2-small")),
    ] {
        let before = folder.read("log");
        let (sector_size, nr_entries) = superblock(&before);
        let used_bytes = entries(&before).last().expect("an entry").bytes.end;
        for (number, name) in ["a", "two words \u{e9}\u{2713}", "-dash", "a"].iter().enumerate() {
            let mut command = folder.command("mark log --");
            let ran = Ran::of(command.arg(name)).code(0).no_stderr();
            assert_eq!(ran.stdout, "");
            let log = folder.read("log");
            let last = entries(&log).pop().expect("an entry");
            assert_eq!(
                superblock(&log),
                (sector_size, nr_entries + 1 + u64::try_from(number).expect("small"))
            );
            assert_eq!((last.flags, last.nr_sectors), (MARK, 0), "{what}");
            assert_eq!(log[last.bytes.start + 32..][..name.len()], *name.as_bytes());
            assert!(
                log[sector_size..].starts_with(&before[sector_size..used_bytes]),
                "{what}: the rest stays"
            );
        }
        folder.run("verify log").code(0).no_stderr();
        let marks = folder.run("marks log --json").code(0).json();
        assert_eq!(marks[marks.len() - 1]["point"], "mark:a#2", "{what}");
    }
}

#[test]
fn a_mark_and_more_writes_replay() {
    let folder = golden("raw-512");
    folder.run("replay log --base base --output disk").code(0);
    folder.run("mark log before").code(0).no_stderr();
    folder.record("disk --log log --append", "write -P 7 0 64k");
    folder.run("verify log --base base --final disk").code(0).no_stderr();
    folder.run("replay log --base base --output then --at mark:before").code(0);
    let mut disk = folder.read("then");
    disk[..64 << 10].fill(7);
    assert!(disk == folder.read("disk"));
}

#[test]
fn a_mark_that_cannot_be_is_refused() {
    for (sector_size, max) in [(64, 31), (512, 479), (4096, 4063)] {
        let folder = Folder::new();
        folder.write("log", Builder::new(sector_size).flush().done());
        let before = folder.read("log");
        let mark = |len: usize| Ran::of(folder.command("mark log").arg("x".repeat(len)));
        mark(max + 1)
            .refuses(&[&format!("a mark of {} bytes: the sector size allows at most {max}", max + 1)]);
        assert!(folder.read("log") == before);
        mark(max).code(0).no_stderr();
        folder.run("verify log").code(0).no_stderr();
    }
    let folder = Folder::new();
    folder.write("log", Builder::new(32).flush().done());
    folder.run("mark log a").refuses(&["32-byte sectors cannot hold"]);
    folder.write("broken", Builder::new(512).raw([0; 4], b"").done());
    folder.run("mark broken a").refuses(&["0 of 1 entries can be read"]);
    folder.write("empty", "");
    folder.run("mark empty a").refuses(&["empty is empty"]);
    folder.run("mark missing a").code(3).says(&["missing"]);
    folder.run("mark log").refuses(&["<NAME>"]);
    folder.run("mark log two words").refuses(&["unexpected argument"]);
    let read_only = Builder::new(512).flush().done();
    folder.write("device", read_only.repeat(4));
    let device = Loop::of(&folder.path("device"), &["--read-only"]);
    folder.run(&format!("mark {} a --", device.device())).code(3).says(&[device.device()]);
}

/// What a script says too: a mark has a name.
#[test]
fn a_mark_has_a_name() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).flush().done());
    Ran::of(folder.command("mark log").arg("")).refuses(&["name"]);
    assert_eq!(nr_entries(&folder, "log"), 1);
}

#[test]
fn a_log_in_use_gets_no_mark() {
    let folder = Folder::new();
    let script = common::lines(0..200_000, |i| format!("write -P {} 0 4k\nflush\n", i % 255));
    folder.write("script", script);
    let mut child = folder.start("record disk --create 64k --log log --script script");
    common::wait_until("the log grows", || len_of(&folder.path("log")) > 100_000);
    folder.write("other", [0; 4096]);
    // Whether there is a tail depends on the moment: then it refuses for that.
    for _ in 0..5 {
        let ran = folder.run("mark log a");
        assert!(
            ran.stderr.contains("another process is writing to it") || ran.stderr.contains("found after"),
            "{ran:?}"
        );
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// A recorder that continues a log must know its end for sure: what was said to be in the log is not overwritten by the next one.
#[test]
fn all_that_went_on_with_a_log_at_once_are_in_it() {
    let folder = Folder::new();
    // So many entries that the others come while the first one still reads.
    let log = (0..200_000).fold(Builder::new(64), |log, _| log.discard(0, 1));
    folder.write("log", log.done());
    let started: Vec<_> = (0..6).map(|i| (i, folder.start(&format!("mark log m{i}")))).collect();
    let mut said: Vec<String> = Vec::new();
    for (i, child) in started {
        let ran = Ran::end_of(child);
        if ran.code == Some(0) {
            said.push(format!("m{i}"));
        } else {
            assert!(ran.stderr.contains("another process is writing to it"), "{ran:?}");
        }
    }
    let marks = folder.run("marks log --json").code(0).no_stderr().json();
    let mut marked: Vec<&str> = marks.iter().filter_map(|mark| mark["mark"].as_str()).collect();
    marked.sort_unstable();
    assert_eq!(said, marked);
}

/// Random commands on a disk of `NR_SECTORS`.
fn script(random: &mut Random, sector_size: u64, nr_lines: u64) -> String {
    common::lines(0..nr_lines, |_| {
        let sector = random.below(NR_SECTORS);
        let nr_sectors = 1 + random.below((NR_SECTORS - sector).min(16));
        let operands = format!("{} {}", sector * sector_size, nr_sectors * sector_size);
        let pattern = random.byte();
        match random.below(10) {
            0..5 => format!("write -P {pattern} {operands}\n"),
            5 => format!("write -f -P {pattern} {operands}\n"),
            6 => format!("write -z {operands}\n"),
            7 => format!("discard {operands}\n"),
            _ => "flush\n".to_owned(),
        }
    })
}

fn without_fua(script: &str) -> String {
    script.replace("write -f", "write")
}

fn texts_of_marks(folder: &Folder) -> Vec<(String, String)> {
    let marks = folder.run("marks log --json").code(0).no_stderr().json();
    marks.iter().map(|mark| (mark["entry"].to_string(), mark["mark"].to_string())).collect()
}

fn nr_entries(folder: &Folder, log: &str) -> u64 {
    let info = folder.run(&format!("info {log} --json")).code(0).json().remove(0);
    info["nr_entries"].as_u64().expect("a number")
}

fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

const NR_SECTORS: u64 = 64;
