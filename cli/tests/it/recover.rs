//! `logwrites recover`: after kills, full logs, lost superblocks and broken entries.

use crate::common;

use std::path::Path;

use common::golden::{golden, single};
use common::images::sha256;
use common::logs::{Builder, DISCARD, Entry, FLUSH, FUA, MARK, entries, narrow, superblock, wide};
use common::random::Random;
use common::{Folder, Loop, SmallDisk, wait_until};
use serde_json::{Value, json};

#[test]
fn a_killed_recording_is_recovered_to_a_prefix_of_its_script() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let (mut salvaged, mut certain) = (0, 0);
    for round in 0..24 {
        let mut random = Random::new(seed + round);
        let ordering = ["completion", "durability"][narrow(round % 2)];
        let policy = ["with-flush", "barrier"][narrow(round / 2 % 2)];
        let interval = ["1000000", "4096", "5"][narrow(random.below(3))];
        let sector_size = [64, 512, 4096][narrow(random.below(3))];
        let script = LongScript {
            sector_size,
            has_flushes: random.once_in(2),
            // These are logged ahead of what waits for a flush.
            has_fuas: ordering == "completion" && random.once_in(2),
        };
        let folder = Folder::new();
        folder.write("script", script.text());
        folder.write("base", script.base());
        folder.write("disk", script.base());
        let options = format!("--ordering {ordering} --superblock {policy} --super-interval {interval}");
        let args = format!("record disk --log log --script script --sector-size {sector_size} {options}");
        let what = format!("{args}, {script:?}, round {round}");
        let mut child = folder.start(&args);
        let enough = 1 + random.below(2_000_000);
        wait_until("the log grows", || {
            len_of(&folder.path("log")) > enough || child.try_wait().expect("wait").is_some()
        });
        child.kill().expect("kill");
        child.wait().expect("wait");
        let found = recovered(&folder);
        assert!(found["has_superblock"] == true && found["error"].is_null(), "{what}: {found}");
        assert_eq!(found["certain_entries"], found["nr_entries"], "{what}");
        certain += number(&found["certain_entries"]);
        salvaged += number(&found["salvage_entries"]);
        let log = folder.read("log");
        let nr_entries = entries(&log).len();
        script.check_prefix(&log, nr_entries, &what);
        folder.run("verify log").code(0).no_stderr();
        folder.run("replay log --base base --output replayed").code(0).no_stderr();
        assert!(folder.read("replayed") == script.disk_after(nr_entries), "{what}: {nr_entries} entries");
    }
    println!("{certain} certain, {salvaged} salvaged");
    assert!(salvaged > 0, "no kill left anything to be salvaged");
}

#[test]
fn a_killed_appending_is_recovered_too() {
    let script = LongScript { sector_size: 512, has_flushes: false, has_fuas: false };
    let folder = Folder::new();
    folder.write("script", script.text());
    for name in ["base", "disk"] {
        folder.write(name, script.base());
    }
    folder.record("disk --log log", "write -P 200 0 512\nflush\nmark first");
    for round in 0..5 {
        let before = len_of(&folder.path("log"));
        let mut child =
            folder.start("record disk --log log --append --script script --super-interval 1000000");
        wait_until("the log grows", || len_of(&folder.path("log")) > before + 50_000 * (round + 1));
        child.kill().expect("kill");
        child.wait().expect("wait");
        let found = recovered(&folder);
        assert!(number(&found["certain_entries"]) >= 3 && number(&found["salvage_entries"]) > 0, "{found}");
        assert!(folder.has(&format!("log.superblock.{round}")), "each one is saved under a name of its own");
        folder.run("verify log").code(0).no_stderr();
        assert_eq!(folder.run("marks log --json").code(0).json()[0]["mark"], "first");
        // The disk may lack what was logged last, or have more: it is made anew.
        folder.run("replay log --base base --output disk --force").code(0);
    }
    folder.record("disk --log log --append", "read -P 0 0 0\nflush");
    folder.run("verify log --base base --final disk").code(0).no_stderr();
}

#[test]
fn what_was_found_is_reported() {
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 512]).flush().mark(b"m").write(1, &[2; 512]);
    folder.write("log", log.claiming(2));
    let before = folder.read("log");
    assert_eq!(
        folder.run("recover log --json").code(0).no_stderr().json(),
        [json!({
            "has_superblock": true, "sector_size_bytes": 512, "nr_entries": 2, "certain_entries": 2,
            "salvage_entries": 2, "end_bytes": 3584,
        })]
    );
    let ran = folder.run("recover log").code(0).no_stderr();
    for text in [
        "counts 2 entries",
        "2 entries, up to byte 2048",
        "2 entries, up to byte 3584",
        "no checksum",
        "--write makes",
    ] {
        assert!(ran.stdout.contains(text), "{text}: {ran:?}");
    }
    assert!(
        folder.read("log") == before && !folder.has("log.superblock.0"),
        "without --write nothing changes"
    );
    let written = folder.run("recover log --write --json").code(0).no_stderr().json().remove(0);
    assert_eq!(written["old_superblock"], "log.superblock.0");
    assert_eq!(superblock(&folder.read("log")), (512, 4));
    assert!(folder.read("log")[512..] == before[512..], "nothing but the superblock is written");
    assert_eq!(folder.read("log.superblock.0"), before[..512]);
    // With the old one put back, it is as it was.
    let mut back = folder.read("log");
    back[..512].copy_from_slice(&folder.read("log.superblock.0"));
    assert!(back == before);
}

#[test]
fn a_log_that_needs_nothing_is_left_alone() {
    let folder = golden("raw-512");
    let before = sha256(&folder.path("log"));
    for options in ["", "--write"] {
        let ran = folder.run(&format!("recover log {options}")).code(0).no_stderr();
        assert!(ran.stdout.ends_with("nothing needs to be recovered\n"), "{ran:?}");
        let json = folder.run(&format!("recover log --json {options}")).code(0).no_stderr().json().remove(0);
        assert_eq!((&json["certain_entries"], &json["salvage_entries"]), (&140.into(), &0.into()));
        assert!(json["old_superblock"].is_null());
    }
    assert_eq!(sha256(&folder.path("log")), before);
    assert!(!folder.has("log.superblock.0"));
}

#[test]
fn a_full_log_needs_nothing() {
    let script = common::lines(0..90, |i| format!("write -P 1 {} 8k\nflush\n", i * 8192));
    let folder = Folder::new();
    let _small = SmallDisk::new(folder.path("small"), "256k");
    for (log, options) in [("log", "--log-size 256k"), ("small/log", "")] {
        for ordering in ["completion", "durability"] {
            let args = format!("record disk --log {log} {options} --force --ordering {ordering}");
            folder.write("disk", vec![0; 1 << 20]);
            folder.run_with(&args, &script).code(3);
            let found = folder.run(&format!("recover {log} --json")).code(0).no_stderr().json().remove(0);
            assert!(number(&found["certain_entries"]) > 20, "{found}");
            assert_eq!((&found["salvage_entries"], &found["error"]), (&0.into(), &Value::Null), "{found}");
            folder.run(&format!("verify {log}")).code(0).no_stderr();
        }
    }
    // Where the file system is full, the old superblock cannot be saved, and so nothing is changed.
    let log = Builder::new(512).write(0, &vec![1; 150 << 10]).write(0, &vec![2; 100 << 10]).claiming(1);
    folder.write("small/log", b"");
    folder.write("small/log", &log);
    folder.write("small/rest", vec![0; (256 << 10) - log.len().next_multiple_of(4096)]);
    folder
        .run("recover small/log --write")
        .code(3)
        .says(&["small/log.superblock.0", "No space left on device"]);
    assert!(folder.read("small/log") == log);
}

#[test]
fn stale_entries_are_only_salvage() {
    let folder = Folder::new();
    let old = (0..20).fold(Builder::new(512), |log, i| log.write(i, &[1; 512])).done();
    let new = Builder::new(512).write(0, &[9; 512]).flush().write(1, &[9; 512]).write(2, &[9; 512]);
    // Two entries are counted, two are written after them, and after those the old log shows through.
    let new = new.claiming(2);
    let mut reused = old.clone();
    reused[..new.len()].copy_from_slice(&new);
    folder.write("log", &reused);
    let json = folder.run("recover log --json").code(0).no_stderr().json().remove(0);
    assert_eq!(json["certain_entries"], 2);
    assert!(number(&json["salvage_entries"]) >= 2, "{json}");
    assert!(folder.run("recover log").code(0).stdout.contains("on a log that was reused they may be stale"));
    assert!(folder.read("log") == reused);
    // The same on a device, whose old superblock goes beside the name that it was called by.
    let device = Loop::of(&folder.path("log"), &[]);
    std::os::unix::fs::symlink(device.device(), folder.path("device")).expect("link");
    let there = folder.run("recover device --json").code(0).no_stderr().json().remove(0);
    assert_eq!(there["salvage_entries"], json["salvage_entries"]);
    folder.run("recover device --write").code(0).no_stderr();
    assert_eq!(folder.read("device.superblock.0"), new[..512]);
    folder.run("verify device").code(0);
    // A file that was truncated when it was reused, as ours are, has nothing stale.
    folder.write("ours", &old);
    folder.record("disk --create 64k --log ours --force", "write 0 512");
    assert_eq!(folder.run("recover ours --json").code(0).json()[0]["salvage_entries"], 0);
}

#[test]
fn a_lost_superblock_is_found_by_the_entries() {
    for (name, sector_size) in
        [("raw-512", 512), ("raw-4096", 4096), ("ext4-64m", 512), ("qemu-ext4-64m", 512)]
    {
        let folder = golden(name);
        recover_lost(&folder, sector_size, "");
    }
    for name in
        ["kernel-6.12-4kn-failedwrite", "kernel-6.12-discard-unsupported", "kernel-6.12-fua-overtakes-write"]
    {
        let folder = single(name);
        let (sector_size, _) = superblock(&folder.read("log"));
        recover_lost(&folder, sector_size, "");
    }
    for sector_size in [32, 64, 2048, 65536] {
        let folder = Folder::new();
        folder.record(
            &format!("disk --create 256k --log log --sector-size {sector_size}"),
            "write -P 7 0 128k\nflush\ndiscard 0 64k\nwrite -f -P 8 64k 64k",
        );
        recover_lost(&folder, sector_size, &format!("--sector-size {sector_size}"));
    }
    // Such sectors are not tried unless asked for.
    let folder = Folder::new();
    let mut log = Builder::new(64).write(0, &[1; 512]).flush().done();
    log[..64].fill(0);
    folder.write("log", log);
    folder
        .run("recover log")
        .refuses(&["there is neither a superblock nor a first entry", "log: not a write log"]);
}

#[test]
fn a_superblock_of_another_kind_is_not_a_lost_one() {
    let folder = Folder::new();
    let mut log = Builder::new(512).write(0, &[1; 512]).flush().done();
    log[8] = 2;
    folder.write("log", log);
    // A later version may mean something else by every byte.
    folder.run("recover log").refuses(&["version 2 of the write-log format is unknown"]);
    folder.run("recover log --write").refuses(&["version 2 of the write-log format is unknown"]);
}

#[test]
fn a_broken_entry_in_the_middle_ends_what_is_certain() {
    let real = single("qemu-10.0.2-zerolen");
    let found = recovered(&real);
    assert_eq!((&found["nr_entries"], &found["certain_entries"]), (&4.into(), &1.into()));
    assert!(found["error"].as_str().is_some_and(|error| error.contains("all zeros")), "{found}");
    assert_eq!(real.run("ls log --json").code(0).no_stderr().json().len(), 1);
    for (middle, text) in [
        ([0, 0, 0, 0], "all zeros"),
        ([0, 1 << 62, 0, 0], "reach beyond"),
        ([0, 9999, 0, 0], "reaches beyond the end of the log"),
    ] {
        let folder = Folder::new();
        let log = Builder::new(512).write(0, &[1; 512]).mark(b"m").raw(middle, b"").flush().done();
        folder.write("log", &log);
        let ran = folder.run("recover log").code(0).no_stderr();
        assert!(ran.stdout.contains(text) && ran.stdout.contains("--write makes"), "{ran:?}");
        assert!(folder.read("log") == log);
        let found = recovered(&folder);
        assert_eq!((&found["certain_entries"], &found["salvage_entries"]), (&2.into(), &0.into()));
        folder.run("verify log").code(0).no_stderr();
    }
}

#[test]
fn what_is_not_a_log_is_left_unchanged() {
    let folder = Folder::new();
    folder.write("text", "write 0 512\n".repeat(1000));
    folder.write("zeros", vec![0; 1 << 20]);
    folder.write("ones", vec![0xff; 1 << 20]);
    folder.write("empty", "");
    let mut random = Random::new(1);
    folder.write("noise", (0..1 << 20).map(|_| random.byte()).collect::<Vec<_>>());
    for name in ["text", "zeros", "ones", "empty", "noise"] {
        let before = folder.read(name);
        for options in ["", "--write", "--write --sector-size 512", "--write --sector-size 32", "--json"] {
            let ran = folder.run(&format!("recover {name} {options}")).code(2);
            assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{ran:?}");
            assert!(folder.read(name) == before && !folder.has(&format!("{name}.superblock.0")), "{name}");
        }
    }
    for name in ["missing", "."] {
        folder.run(&format!("recover {name} --write")).code(3).says(&["cannot open"]);
    }
    folder.run("recover text --sector-size 513").refuses(&["power of two"]);
}

#[test]
fn who_records_is_not_disturbed() {
    let folder = Folder::new();
    folder.write("script", LongScript { sector_size: 512, has_flushes: true, has_fuas: true }.text());
    let mut child =
        folder.start("record disk --create 1M --log log --script script --super-interval 1000000");
    wait_until("the log grows", || len_of(&folder.path("log")) > 100_000);
    // Looking does no harm; whether there is a tail depends on the moment.
    folder.run("recover log").code(0).no_stderr();
    let ran = folder.run("recover log --write");
    if ran.code != Some(0) {
        ran.code(3).says(&["cannot lock log", "another process is writing to it"]);
    }
    assert!(!folder.has("log.superblock.0"));
    child.kill().expect("kill");
    child.wait().expect("wait");
}

#[test]
fn a_log_that_grows_can_be_read_at_any_moment() {
    let folder = Folder::new();
    let script = LongScript { sector_size: 512, has_flushes: true, has_fuas: true };
    folder.write("script", script.text());
    for policy in ["with-flush", "barrier"] {
        let args = format!("record disk --create 1M --log log --script script --superblock {policy}");
        let mut child = folder.start(&args);
        wait_until("the log grows", || len_of(&folder.path("log")) > 50_000);
        for _ in 0..50 {
            for command in ["info log --json", "ls log --json --from 5 --to 6", "recover log --json"] {
                let ran = folder.run(command).code(0).no_stderr();
                assert!(!ran.stdout.contains("\"error\""), "{ran:?}");
            }
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        for name in ["disk", "log"] {
            std::fs::remove_file(folder.path(name)).expect("remove");
        }
    }
}

/// Takes the superblock away, and expects every entry back.
fn recover_lost(folder: &Folder, sector_size: usize, options: &str) {
    let log = folder.read("log");
    let before = entries(&log);
    let mut lost = log.clone();
    lost[..sector_size].fill(0);
    folder.write("log", &lost);
    let found =
        folder.run(&format!("recover log --write --json {options}")).code(0).no_stderr().json().remove(0);
    assert_eq!(
        (&found["has_superblock"], &found["sector_size_bytes"]),
        (&false.into(), &sector_size.into()),
        "{found}"
    );
    assert_eq!((&found["certain_entries"], &found["salvage_entries"]), (&0.into(), &before.len().into()));
    let back = folder.read("log");
    assert_eq!((superblock(&back), entries(&back)), ((sector_size, wide(before.len())), before));
    assert!(back[sector_size..] == log[sector_size..]);
    assert!(folder.read("log.superblock.0").iter().all(|byte| *byte == 0));
    folder.run("verify log").code(0).no_stderr();
}

/// What `recover` tells of `log`, which it then makes the superblock count. The old superblock is saved, and nothing else
/// changes.
fn recovered(folder: &Folder) -> Value {
    let before = folder.read("log");
    let found = folder.run("recover log --json").code(0).no_stderr().json().remove(0);
    assert!(folder.read("log") == before, "without --write nothing changes");
    let written = folder.run("recover log --write --json").code(0).no_stderr().json().remove(0);
    let (certain, salvage) = (number(&found["certain_entries"]), number(&found["salvage_entries"]));
    let info = folder.run("info log --json").code(0).no_stderr().json().remove(0);
    assert_eq!(info["nr_entries"], certain + salvage);
    assert_eq!((&info["tail_entries"], &info["used_bytes"]), (&0.into(), &found["end_bytes"]));
    let after = folder.read("log");
    let (sector_size, _) = superblock(&after);
    assert!(after[sector_size..] == before[sector_size..], "only the superblock changes");
    match written["old_superblock"].as_str() {
        Some(saved) => assert_eq!(folder.read(saved), before[..sector_size]),
        None => assert!(after == before && salvage == 0, "{found}"),
    }
    let ran = folder.run("recover log --write").code(0).no_stderr();
    assert!(ran.stdout.ends_with("nothing needs to be recovered\n"), "{ran:?}");
    found
}

/// A script that takes long, with a line for each entry, whose payloads tell where they belong.
#[derive(Debug)]
struct LongScript {
    sector_size: u64,
    has_flushes: bool,
    has_fuas: bool,
}

impl LongScript {
    fn base(&self) -> Vec<u8> {
        vec![0xee; narrow(NR_SECTORS * self.sector_size)]
    }

    fn text(&self) -> String {
        common::lines(0..NR_LINES, |index| self.line(index).text(self.sector_size))
    }

    /// The line of a number, and so the entry of that number.
    fn line(&self, index: u64) -> Line {
        let nr_sectors = 1 + index * 7 % 40;
        let sector = index * 131 % (NR_SECTORS - nr_sectors);
        let pattern = u8::try_from(index % 251 + 1).expect("small");
        match index % 8 {
            3 if self.has_flushes => {
                Line { flags: FLUSH, sector: 0, nr_sectors: 0, pattern: 0, zeros: false }
            }
            7 if self.has_fuas => Line { flags: FUA, sector, nr_sectors, pattern, zeros: false },
            5 => Line { flags: DISCARD, sector, nr_sectors, pattern: 0, zeros: false },
            6 => Line { flags: 0, sector, nr_sectors, pattern: 0, zeros: true },
            _ => Line { flags: 0, sector, nr_sectors, pattern, zeros: false },
        }
    }

    /// Checks that the entries of a log are those of the first lines.
    fn check_prefix(&self, log: &[u8], nr_entries: usize, what: &str) {
        for (entry, index) in entries(log).iter().take(nr_entries).zip(0..) {
            let line = self.line(index);
            let Entry { sector, nr_sectors, flags, .. } = *entry;
            assert_eq!(
                (sector, nr_sectors, flags & !MARK),
                (line.sector, line.nr_sectors, line.flags),
                "{what}: entry {index}"
            );
        }
    }

    /// The disk when the first lines have been carried out.
    fn disk_after(&self, nr_lines: usize) -> Vec<u8> {
        let mut disk = self.base();
        for line in (0..wide(nr_lines)).map(|index| self.line(index)) {
            let start = narrow(line.sector * self.sector_size);
            disk[start..start + narrow(line.nr_sectors * self.sector_size)].fill(line.pattern);
        }
        disk
    }
}

struct Line {
    flags: u64,
    sector: u64,
    nr_sectors: u64,
    pattern: u8,
    zeros: bool,
}

impl Line {
    fn text(&self, sector_size: u64) -> String {
        let operands = format!("{} {}", self.sector * sector_size, self.nr_sectors * sector_size);
        match self.flags {
            FLUSH => "flush\n".to_owned(),
            DISCARD => format!("discard {operands}\n"),
            FUA => format!("write -f -P {} {operands}\n", self.pattern),
            _ if self.zeros => format!("write -z {operands}\n"),
            _ => format!("write -P {} {operands}\n", self.pattern),
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

const NR_SECTORS: u64 = 256;
const NR_LINES: u64 = 60_000;
