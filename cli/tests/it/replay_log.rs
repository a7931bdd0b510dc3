//! `logwrites replay-log` against xfstests' replay-log: every case that was recorded of the original, and a naive replayer
//! for what was not.

#![cfg(unix)]

use crate::common;

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::images::{sha256, unpack};
use common::logs::{Builder, DISCARD, Entry, FLUSH, FUA, MARK, entries, narrow, wide};
use common::random::Random;
use common::{Folder, Loop, Ran};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[test]
fn every_case_of_raw_512() {
    Golden::unpack("raw-512").check_all(75);
}

#[test]
fn every_case_of_ext4() {
    Golden::unpack("ext4-64m").check_all(61);
}

/// What a check sees is what a replay up to there leaves, and where the original was recorded, what it left.
#[test]
fn a_check_sees_the_disk_at_its_entry() {
    let golden = Golden::unpack("raw-512");
    let naive = golden.naive();
    for (when, flag) in [("flush", FLUSH), ("fua", FUA), ("discard", DISCARD), ("9", 0)] {
        let (mut disk, mut expected) = (golden.folder.read("base"), String::new());
        for (index, entry) in naive.entries.iter().enumerate() {
            naive.apply(&mut disk, entry);
            if entry.flags & flag != 0 || (flag == 0 && (index + 1) % 9 == 0) {
                writeln!(expected, "{}", hex(&Sha256::digest(&disk))).unwrap();
            }
        }
        assert!(expected.lines().count() > 1, "{when}");
        golden.folder.write("hashes", "");
        golden.reset();
        let fsck = "sha256sum img | cut -d ' ' -f 1 >> hashes";
        let ran = golden.run_of(&["--replay", "img", "--check", when, "--fsck", fsck]);
        ran.code(0).no_stderr();
        assert_eq!(String::from_utf8(golden.folder.read("hashes")).unwrap(), expected, "{when}");
        assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img"));
        if when == "flush" {
            assert_eq!(expected.lines().next(), Some(&*golden.image_of("--replay img --next-flush")));
        }
    }
}

#[test]
fn checks_end_a_replay_as_they_end() {
    let golden = Golden::unpack("raw-512");
    for (fsck, detail) in [
        ("exit 3", "exit code 3"),
        ("kill -KILL $$", "killed"),
        ("kill -TERM $$", "killed"),
        ("no-such-program-at-all", "exit code 127"),
    ] {
        golden.reset();
        let ran = golden.run_of(&["-v", "--replay", "img", "--check", "fua", "--fsck", fsck]);
        let ran = ran.code(1).says(&["Fsck errored out on entry 22\n", detail]);
        assert!(ran.stderr.starts_with("Fsck") || fsck.starts_with("no-"), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 23);
        assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img --next-fua"));
    }
    // The last good and the first bad state can be told apart.
    golden.reset();
    let fsck = "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; echo checked; [ $n -lt 4 ]";
    let ran = golden.run_of(&["-v", "--replay", "img", "--check=flush", "--fsck", fsck, "--limit=1000"]);
    let ran = ran.code(1).says(&["Fsck errored out on entry 30\n"]);
    let checked: Vec<usize> =
        (0..).zip(ran.stdout.lines()).filter(|(_, line)| *line == "checked").map(|(at, _)| at).collect();
    assert_eq!(checked, [20, 26, 29, 32, 35], "each after its entry: {}", ran.stdout);
    for args in [&["--check", "flush"][..], &["--fsck", "true"]] {
        let ran = golden.run_of(&[&["--replay", "img"], args].concat()).code(1).no_stderr();
        assert_eq!(ran.stdout, "");
    }
    for when in ["0", "x", ""] {
        let ran = golden.run_of(&["--replay", "img", "--check", when, "--fsck", "true"]);
        ran.code(1).says(&["Invalid entry number"]);
    }
}

/// As generic/455, 457 and 482 and btrfs/190 and 192 call it.
#[test]
fn the_usual_calls_of_xfstests() {
    let golden = Golden::unpack("ext4-64m");
    let entry_of = |args: &str| {
        let ran = golden.run(&format!("--find {args}")).code(0).no_stderr();
        ran.stdout.split_once('@').expect("idx@sector").0.parse::<u64>().expect("a number")
    };
    // To a mark: its entry, and a limit after it.
    let mkfs = entry_of("--end-mark mkfs");
    golden.reset();
    golden.run(&format!("-vv --replay img --limit {}", mkfs + 1)).code(0);
    assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img --end-mark mkfs"));
    // From FUA to FUA.
    let naive = golden.naive();
    let fuas = (0..).zip(&naive.entries).filter(|(_, entry)| entry.flags & FUA != 0).map(|(index, _)| index);
    let fuas: Vec<u64> = fuas.collect();
    let (mut at, mut found) = (mkfs + 1, Vec::new());
    while let Some(next) = fuas.iter().find(|fua| **fua >= at) {
        assert_eq!(entry_of(&format!("--next-fua --start-entry {at}")), *next);
        found.push(*next);
        at = next + 1;
    }
    assert_eq!(found.len(), 109);
    golden.run(&format!("--find --next-fua --start-entry {at}")).code(1).says(&["Couldn't find entry"]);
    // Forwards in steps, as btrfs/190 does.
    golden.reset();
    let fsync12 = entry_of("--end-mark fsync12");
    for start in (0..=fsync12).step_by(40) {
        let limit = (fsync12 + 1 - start).min(40);
        golden.run(&format!("--replay img --start-entry {start} --limit {limit}")).code(0);
    }
    assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img --end-mark fsync12"));
    // Every FUA checked on the way, as btrfs/192 does.
    golden.reset();
    let start = (mkfs + 1).to_string();
    let fsck = "echo x >> checks";
    golden.run("--replay img --end-mark mkfs").code(0);
    let args = ["--replay", "img", "--start-entry", &start, "--fsck", fsck, "--check", "fua"];
    golden.run_of(&args).code(0).no_stderr();
    assert_eq!(golden.folder.read("checks").len(), 2 * found.len());
    assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img"));
}

#[test]
fn modes_have_an_order() {
    let golden = Golden::unpack("raw-512");
    let says = |args: &str, stdout: &str| {
        let ran = golden.run(args).code(0).no_stderr();
        assert_eq!(ran.stdout, stdout, "{args}");
    };
    golden.reset();
    says("--num-entries --replay img --find --end-mark start", "0@2\n");
    says("--replay img --num-entries", "140\n");
    says("--limit 5 --no-discard -vv", "Log version=1, sectorsize=512, entries=140\n");
    assert!(golden.folder.read("img") == golden.folder.read("base"));
    says("--find --start-mark w-1M-direct --next-flush", "19@2077\n");
    // The mark wins, and so does it over the flags.
    says("--find --start-entry 100 --start-mark w-1M-direct --next-flush", "19@2077\n");
    says("--find --end-mark w-512 --next-flush --next-fua", "21@2079\n");
    says("--find --next-flush --next-fua --start-entry 20", "22@2088\n");
    says("--find --end-mark w-512 --limit 3", "2@132\n");
    let ran = golden.run_of(&["--find", "--end-mark", "a mark with spaces"]).code(0);
    assert_eq!(ran.stdout, "116@2574\n");
    let ran = golden.run_of(&["--find", "--end-mark", "a mark with space"]).code(1);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("", "Couldn't find entry\n"));
}

#[test]
fn options_are_read_as_getopt_long_does() {
    let golden = Golden::unpack("raw-512");
    let says = |args: &str, stdout: &str| {
        let ran = golden.run(args).code(0).no_stderr();
        assert_eq!(ran.stdout, stdout, "{args}");
    };
    says("--num", "140\n");
    says("--fin --next-fl", "19@2077\n");
    says("--find --end-m=start", "0@2\n");
    says("--find --start-e 0x32 --next-flush", "50@2228\n");
    says("--find --start-entry 062 --next-flush", "50@2228\n");
    says("--find --start-entry=50 --next-flush ignored words", "50@2228\n");
    says("--num-entries -- --bogus", "140\n");
    says("--discard-zeroes-data --num-entries", "140\n");
    let refuses = |args: &str, first: &str| {
        let ran = golden.run(args).code(1);
        assert_eq!(ran.stderr.lines().next(), Some(first), "{args}");
        assert_eq!(ran.stdout, "", "{args}");
    };
    refuses("--number-entries", "replay-log: unrecognized option '--number-entries'");
    refuses("--find=1", "replay-log: option '--find' doesn't allow an argument");
    refuses("--find --end-mark", "replay-log: option '--end-mark' requires an argument");
    refuses("-q", "replay-log: invalid option -- 'q'");
    refuses("--limit 10k --bogus", "Invalid entry number");
    refuses("--bogus --limit 10k", "replay-log: unrecognized option '--bogus'");
    refuses("--start-entry 140", "Invalid entry number");
    refuses("--replay nosuch --start-entry 140", "Couldn't open replay file nosuch: 2");
    refuses("--replay .", "Couldn't open replay file .: 21");
    refuses("--replay log", "log is the log itself");
    let ran = golden.run("--start=1").code(1);
    assert!(ran.stderr.starts_with("replay-log: option '--start=1' is ambiguous; possibilities:"), "{ran:?}");
    let ran = golden.folder.run("replay-log --num-entries").code(1);
    assert_eq!(ran.stdout, "");
    golden.folder.run("replay-log --log nosuch").code(1).says(&["nosuch: 2"]);
}

#[test]
fn help_is_ours() {
    let folder = Folder::new();
    let help = folder.run("replay-log --help").code(0).no_stderr().stdout;
    for text in [
        "--start-sector",
        "Examples:",
        "Differences from the original",
        "signal",
        "128 MiB",
        "--discard-zeroes-data",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
    assert_eq!(folder.run("replay-log --log x --he").code(0).stdout, help);
    assert_eq!(folder.run("help replay-log").code(0).stdout.trim(), help.trim());
    assert_eq!(Ran::of(&mut linked(&folder, &["-h"])).code(0).stdout, help);
    // Under any path, with the arguments untouched.
    let ran = Ran::of(linked(&folder, &["--color", "never"]).arg0("/usr/local/bin/replay-log")).code(1);
    assert_eq!(ran.stderr.lines().next(), Some("replay-log: unrecognized option '--color'"));
    Ran::of(linked(&folder, &["ls", "--log", "x"]).arg0("logwrites")).code(2);
}

#[test]
fn logs_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    folder.write("img", vec![0x11; 8192]);
    let first = |args: &str, code: i32| {
        let ran = folder.run(&format!("replay-log --log log {args}")).code(code);
        (ran.stdout, ran.stderr.lines().next().unwrap_or_default().to_owned())
    };
    let malformed = (String::new(), "Malformed entry @3".to_owned());
    let payload = [0xcd; 512];
    // An entry of zeros, and text where none belongs.
    unpack(&data().join("qemu-10.0.2-zerolen.log.zst"), &folder.path("log"));
    let zerolen = folder.read("log");
    let text = Builder::new(512).write(0, &payload).raw([0, 0, FLUSH, 0], b"x").flush().done();
    let far = Builder::new(512).write(0, &payload).raw([1 << 60, 9, 0, 0], b"").flush().done();
    let long = Builder::new(512).write(0, &payload).raw([0, 1 << 62, 0, 0], b"").flush().done();
    let claims = Builder::new(512).write(0, &payload).claiming(1 << 60);
    for log in [zerolen, text, far, long, claims] {
        folder.write("log", log);
        assert_eq!(first("--num-entries", 0).1, "");
        assert_eq!(first("", 0).1, "");
        assert_eq!(first("--find --next-flush", 255), malformed);
        assert_eq!(first("--find --limit 1", 0), ("0@3\n".to_owned(), String::new()));
        assert_eq!(first("--find --start-entry 2", 1), malformed);
        assert_eq!(first("--find --start-mark x", 1), malformed);
        // What is before it is replayed.
        folder.write("img", vec![0x11; 8192]);
        let (stdout, stderr) = first("-v --replay img", 1);
        assert_eq!(stdout, "replaying 0@2: sector 0, size 512, flags 0x0(NONE)\n");
        assert_eq!(stderr, malformed.1);
        assert!(folder.read("img") == [&payload[..], &[0x11; 7680]].concat());
    }
    folder.write("log", Builder::new(512).done());
    for args in ["", "--num-entries", "--find --next-flush", "--replay img", "--start-mark x"] {
        assert_eq!(first(args, 1), (String::new(), "Invalid entry number".to_owned()), "{args}");
    }
    for log in [vec![], vec![0; 4096], b"hello".to_vec()] {
        folder.write("log", log);
        assert_eq!(first("--num-entries", 1), (String::new(), "Magic doesn't match".to_owned()));
    }
    let mut version = Builder::new(512).flush().done();
    version[8] = 2;
    folder.write("log", version);
    assert!(first("--num-entries", 1).1.contains("version 2"));
}

#[test]
fn unknown_flags_are_printed() {
    let folder = Folder::new();
    folder.write("img", vec![0x11; 4096]);
    let log = Builder::new(512)
        .raw([1, 1, 0x40, 0], &[&[0; 480][..], &[0xaa; 512]].concat())
        .raw([0, 0, 0x141, 0], b"")
        .mark(b"m")
        .raw([6, 1, DISCARD | FUA, 0], b"");
    folder.write("log", log.done());
    let ran = folder.run("replay-log --log log --replay img -vv --end-sector 1").code(0).no_stderr();
    assert_eq!(
        ran.stdout,
        "replaying 0@2: sector 1, size 512, flags 0x40(UNKNOWN.0x40)\n\
         replaying 1@4: sector 0, size 0, flags 0x141(FLUSH|UNKNOWN.0x140)\n\
         replaying 2@5: sector 0, size 0, flags 0x8(MARK)\n\
         skipping 3@6: sector 6, size 512, flags 0x6(FUA|DISCARD)\n\
         replay device doesn't support discard, switching to writing zeros\n"
    );
    assert!(folder.read("img") == [&[0x11; 512][..], &[0xaa; 512], &[0x11; 3072]].concat());
    let ran = folder.run("replay-log --log log -vv --find --start-entry 1 --end-mark m").code(0).no_stderr();
    assert_eq!(
        ran.stdout,
        "seek entry 0@2: 1, size 1, flags 0x40\n\
         seek entry 1@4: 0, size 0, flags 0x141(FLUSH|UNKNOWN.0x140)\n\
         seek entry 2@5: 0, size 0, flags 0x8(MARK)\n\
         2@5\n"
    );
}

/// Random logs with random options, compared with a replayer that does one entry after another.
#[test]
fn random_logs_are_replayed_as_the_naive_replayer_does() {
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    let folder = Folder::new();
    for round in 0..150 {
        let sector_size = 64 << random.below(5);
        let log = random_log(&mut random, sector_size).done();
        folder.write("log", &log);
        let mut naive = Naive::new(log);
        let base = vec![0x11; 64 * sector_size];
        naive.choose(&mut random);
        let (mut disk, expected) = naive.replay(base.clone());
        folder.write("img", &base);
        let ran = folder.run(&format!("replay-log --log log --replay img -vv {}", naive.args()));
        let context = format!("seed {seed}, round {round}: {}", naive.args());
        let ran = ran.code(0).no_stderr();
        let lines: Vec<&str> = ran.stdout.lines().filter(|line| !line.starts_with("seek")).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "{context}");
        let image = folder.read("img");
        disk.resize(image.len(), 0);
        assert!(image == disk, "{context}");
    }
}

#[test]
fn a_file_grows_as_far_as_the_log_reaches() {
    let folder = Folder::new();
    let log = Builder::new(512).write(30, &[0xaa; 1024]).raw([0, 40, DISCARD, 0], b"").write(2, &[0xbb; 512]);
    folder.write("log", log.done());
    folder.write("img", vec![0x11; 2048]);
    folder.run("replay-log --log log --replay img").code(0).no_stderr();
    let image = folder.read("img");
    assert_eq!(image.len(), 40 * 512);
    assert!(image == [&[0; 1024][..], &[0xbb; 512], &vec![0; 37 * 512]].concat());
}

/// The output is no longer read: the disk gets everything nevertheless.
#[test]
fn a_reader_that_goes_away_stops_only_the_lines() {
    let golden = Golden::unpack("ext4-64m");
    golden.reset();
    let mut command = golden.folder.command("replay-log --log log -vv --replay img");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(sha256(&golden.folder.path("img")), golden.image_of("--replay img"));
}

/// A block device gets real discards, as a whole; one that cannot gets zeros, however long.
#[test]
fn discards_reach_a_block_device() {
    let folder = Folder::new();
    let note = "replay device doesn't support discard, switching to writing zeros";
    let log =
        Builder::new(512).write(0, &[0xaa; 8192]).raw([0, 4096, DISCARD, 0], b"").write(8, &[0xbb; 512]);
    folder.write("log", log.clone().done());
    let expected = [&[0; 4096][..], &[0xbb; 512], &vec![0; (2 << 20) - 4608], &vec![0x11; 2 << 20]].concat();
    for (options, flag) in [(&[][..], ""), (&[], "--discard-zeroes-data"), (&["--sector-size", "4096"], "")] {
        folder.write("disk", vec![0x11; 4 << 20]);
        let disk = Loop::of(&folder.path("disk"), options);
        let ran = folder.run(&format!("replay-log --log log --replay {} -v {flag}", disk.device())).code(0);
        assert!(!ran.stdout.contains(note), "{options:?} {flag}");
        drop(disk);
        assert!(folder.read("disk") == expected, "{options:?} {flag}");
    }
    // A discard that is not a multiple of the device's sectors cannot be passed on.
    let odd = log.raw([4099, 4, DISCARD, 0], b"").write(4096, &[0xcc; 512]);
    folder.write("log", odd.clone().done());
    folder.write("disk", vec![0x11; 4 << 20]);
    let disk = Loop::of(&folder.path("disk"), &["--sector-size", "4096"]);
    let ran = folder.run(&format!("replay-log --log log --replay {} -v", disk.device())).code(0);
    assert!(
        ran.stdout.ends_with(&format!(
            "replaying 3@22: sector 4099, size 2048, flags 0x4(DISCARD)\n{note}\n\
         replaying 4@23: sector 4096, size 512, flags 0x0(NONE)\n"
        )),
        "{}",
        ran.stdout
    );
    drop(disk);
    let mut image = expected;
    image[4096 * 512..4097 * 512].fill(0xcc);
    image[4099 * 512..4103 * 512].fill(0);
    assert!(folder.read("disk") == image);
    // What does not fit ends the replay; what comes before it remains.
    folder.write("log", odd.write(8192, &[0xdd; 512]).write(0, &[0xee; 512]).done());
    let disk = Loop::of(&folder.path("disk"), &[]);
    let ran = folder.run(&format!("replay-log --log log --replay {} -v", disk.device()));
    let ran = ran.code(1).says(&["entry 5 reaches up to byte 4194816"]);
    assert_eq!(ran.stdout.lines().count(), 6);
    drop(disk);
    assert!(folder.read("disk") == image);
}

/// A folder of real logs, and what the original did with them.
struct Golden {
    folder: Folder,
    cases: Vec<Value>,
}

impl Golden {
    fn unpack(name: &str) -> Self {
        let folder = Folder::new();
        let golden = data().join(name);
        unpack(&golden.join("base.img.zst"), &folder.path("base"));
        unpack(&golden.join("log.zst"), &folder.path("log"));
        let cases = std::fs::read_to_string(golden.join("replay-log.jsonl")).expect("the cases");
        let cases = cases.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        Self { folder, cases }
    }

    /// Every case, through both names of the tool.
    fn check_all(&self, nr_cases: usize) {
        assert_eq!(self.cases.len(), nr_cases);
        for case in &self.cases {
            let args = case["args"].as_str().expect("a text");
            let words: Vec<&str> = ["--log", "log"].into_iter().chain(args.split_whitespace()).collect();
            self.check(case, args, &mut linked(&self.folder, &words));
            let words = ["replay-log"].iter().chain(&words);
            self.check(case, args, &mut self.folder.command_of(words));
        }
    }

    fn check(&self, case: &Value, args: &str, command: &mut Command) {
        if case["image_sha256"].is_string() {
            self.reset();
        }
        let ran = Ran::of(command);
        assert_eq!(ran.code.map(i64::from), case["exit"].as_i64(), "{args}: {ran:?}");
        if let Some(stdout) = case["stdout"].as_str() {
            assert_eq!(ran.stdout, stdout, "{args}");
        } else {
            assert_eq!(hex(&Sha256::digest(&ran.stdout)), case["stdout_sha256"], "{args}: {}", ran.stdout);
            assert_eq!(wide(ran.stdout.lines().count()), case["stdout_lines"], "{args}");
        }
        let first = ran.stderr.lines().next();
        assert_eq!(first, case["stderr"][0].as_str(), "{args}");
        if let Some(image) = case["image_sha256"].as_str() {
            let ours = sha256(&self.folder.path("img"));
            match SKIPPED_DISCARDS.iter().find(|(fault, _)| *fault == args) {
                Some((_, skip)) if self.cases.len() == 75 => self.check_skipped(*skip, image, &ours),
                _ => assert_eq!(ours, image, "{args}"),
            }
        }
    }

    /// The original carries discards out that are skipped, which ours does not.
    fn check_skipped(&self, skip: [u64; 2], original: &str, ours: &str) {
        let hash = |runs_skipped_discards| {
            let naive = Naive { skip: Some(skip), runs_skipped_discards, ..self.naive() };
            hex(&Sha256::digest(naive.replay(self.folder.read("base")).0))
        };
        assert_eq!(original, hash(true), "this, and only this, is the original's fault");
        assert_eq!(ours, hash(false));
    }

    /// The image that a recorded case has left.
    fn image_of(&self, args: &str) -> String {
        let case = self.cases.iter().find(|case| case["args"] == args).expect("a case that was recorded");
        case["image_sha256"].as_str().expect("a hash").to_owned()
    }

    fn naive(&self) -> Naive {
        Naive::new(self.folder.read("log"))
    }

    fn reset(&self) {
        let (from, to) = (self.folder.path("base"), self.folder.path("img"));
        common::system("cp", &["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()]);
    }

    fn run(&self, args: &str) -> Ran {
        self.run_of(&args.split_whitespace().collect::<Vec<_>>())
    }

    fn run_of(&self, args: &[&str]) -> Ran {
        let words = ["replay-log", "--log", "log"].iter().chain(args);
        Ran::of(&mut self.folder.command_of(words))
    }
}

/// A replayer that does one entry after another.
struct Naive {
    log: Vec<u8>,
    sector_size: usize,
    entries: Vec<Entry>,
    start: usize,
    limit: usize,
    skip: Option<[u64; 2]>,
    drops_discards: bool,
    runs_skipped_discards: bool,
    stop: u64,
}

impl Naive {
    fn new(log: Vec<u8>) -> Self {
        let entries = entries(&log);
        Self {
            sector_size: common::logs::superblock(&log).0,
            entries,
            log,
            start: 0,
            limit: 0,
            skip: None,
            drops_discards: false,
            runs_skipped_discards: false,
            stop: 0,
        }
    }

    /// Some options, by chance.
    fn choose(&mut self, random: &mut Random) {
        let len = wide(self.entries.len());
        self.start = narrow(random.below(len));
        self.limit = if random.once_in(2) { narrow(random.below(len + 5)) } else { 0 };
        let start_sector = random.below(40);
        self.skip = random.once_in(2).then(|| [start_sector, start_sector + random.below(20)]);
        self.drops_discards = random.once_in(4);
        self.stop = if random.once_in(3) { [FLUSH, FUA][narrow(random.below(2))] } else { 0 };
    }

    /// These options, as they are typed.
    fn args(&self) -> String {
        let mut args = format!("--start-entry {} --limit {:#x}", self.start, self.limit);
        if let Some([start, end]) = self.skip {
            write!(args, " --start-sector={start} --end-sector={end:#o}").expect("a text");
        }
        for (is_given, arg) in [
            (self.drops_discards, " --no-discard"),
            (self.stop == FLUSH, " --next-flush"),
            (self.stop == FUA, " --next-fua"),
        ] {
            args += if is_given { arg } else { "" };
        }
        args.replace("0o", "0")
    }

    /// The disk, and the lines of -vv without those of seeking.
    fn replay(&self, mut disk: Vec<u8>) -> (Vec<u8>, String) {
        let (mut lines, mut is_noted) = (String::new(), self.drops_discards);
        for (seen, (index, entry)) in (1..).zip(self.entries.iter().enumerate().skip(self.start)) {
            let end = entry.sector + entry.nr_sectors;
            let skips =
                |[first, last]: [u64; 2]| entry.nr_sectors > 0 && (end <= first || entry.sector > last);
            let is_skipped = self.skip.is_some_and(skips);
            let is_discard = entry.flags & DISCARD != 0;
            let verb = if is_skipped { "skipping" } else { "replaying" };
            let (at, size) =
                (entry.bytes.start / self.sector_size + 1, narrow(entry.nr_sectors) * self.sector_size);
            let flags = entry.flags;
            writeln!(
                lines,
                "{verb} {index}@{at}: sector {}, size {size}, flags {flags:#x}({})",
                entry.sector,
                names(flags)
            )
            .expect("a text");
            if is_discard && !is_noted {
                lines += "replay device doesn't support discard, switching to writing zeros\n";
                is_noted = true;
            }
            let is_dropped = is_discard && self.drops_discards;
            let is_applied = !is_skipped || (is_discard && self.runs_skipped_discards);
            if is_applied && !is_dropped {
                self.apply(&mut disk, entry);
            }
            if seen == self.limit || flags & self.stop != 0 {
                break;
            }
        }
        (disk, lines)
    }

    fn apply(&self, disk: &mut Vec<u8>, entry: &Entry) {
        let (start, len) =
            (narrow(entry.sector) * self.sector_size, narrow(entry.nr_sectors) * self.sector_size);
        if disk.len() < start + len && len > 0 {
            disk.resize(start + len, 0);
        }
        if entry.flags & DISCARD != 0 {
            disk[start..start + len].fill(0);
        } else if len > 0 {
            let data = entry.bytes.start + self.sector_size;
            disk[start..start + len].copy_from_slice(&self.log[data..data + len]);
        }
    }
}

fn names(flags: u64) -> String {
    let names = [(FLUSH, "FLUSH"), (FUA, "FUA"), (DISCARD, "DISCARD"), (MARK, "MARK"), (16, "METADATA")];
    let names: Vec<&str> =
        names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { "NONE".to_owned() } else { names.join("|") }
}

fn random_log(random: &mut Random, sector_size: usize) -> Builder {
    let mut log = Builder::new(sector_size);
    for _ in 0..=random.below(60) {
        let (sector, nr_sectors) = (random.below(50), 1 + random.below(10));
        log = match random.below(10) {
            0 => log.flush(),
            1 => log.mark(b"m"),
            2 => log.raw([sector, nr_sectors, DISCARD, 0], b""),
            3 => log.raw([sector, 0, FLUSH | FUA | 16, 0], b""),
            4 => {
                let payload = vec![random.byte(); narrow(nr_sectors) * sector_size];
                log.raw([sector, nr_sectors, FUA, 0], &[vec![0; sector_size - 32], payload].concat())
            }
            _ => log.write(sector, &vec![random.byte(); narrow(nr_sectors) * sector_size]),
        };
    }
    log
}

/// The tool under its other name.
fn linked(folder: &Folder, args: &[&str]) -> Command {
    let link = folder.path("replay-log");
    if !folder.has("replay-log") {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_logwrites"), &link).expect("a link");
    }
    let mut command = Command::new(link);
    command.current_dir(folder.path(".")).args(args).stdin(Stdio::null());
    command
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The cases of raw-512 in which the original's image shows discards that it should have skipped.
const SKIPPED_DISCARDS: [(&str, [u64; 2]); 2] = [
    ("--replay img --start-sector 0 --end-sector 2000", [0, 2000]),
    ("-v --replay img --start-sector 1000 --end-sector 5000", [1000, 5000]),
];
