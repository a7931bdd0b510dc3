//! The tool is killed, interrupted, or runs out of room, at any moment: what it leaves can be used, and says the truth.

use crate::common;

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::logs::{Builder, DISCARD, Entry, FLUSH, FUA, MARK, entries, narrow, replayed, superblock, wide};
use common::random::Random;
use common::{Folder, Loop, SmallDisk, signal, wait_until};

#[test]
fn a_killed_recording_leaves_a_prefix_of_its_script() {
    let mut early = 0;
    let kills = Kills::of("record", 240).run(|round, random| {
        let story = Story { has_all: round % 4 < 2, len: 3000, first: 0 };
        let ordering = if story.has_all { "completion" } else { "durability" };
        let policy = ["with-flush", "barrier"][narrow(round % 2)];
        let interval = ["1000000", "4096", "5"][narrow(random.below(3))];
        let options = format!("--ordering {ordering} --superblock {policy} --super-interval {interval}");
        let folder = story_folder(&story);
        let is_killed = kill_at(
            &folder,
            &format!("record disk --log log --script script {options}"),
            random.below(40_000),
        );
        if !folder.has("log") || folder.read("log").len() < 512 {
            // Nothing was acknowledged: what the disk has got was in flight.
            early += 1;
            return is_killed;
        }
        check_left(&folder, &story.wanted(), 0);
        go_on(&folder, &options, random.once_in(2));
        is_killed
    });
    println!("{kills} recordings were killed, {early} of them before they had a log");
}

#[test]
fn a_killed_appending_leaves_what_was_there_and_a_prefix() {
    let first = Story { has_all: true, len: 50, first: 0 };
    let closed = story_folder(&first);
    closed.run("record disk --log log --script script").code(0).no_stderr();
    let (log, disk) = (closed.read("log"), closed.read("disk"));
    let nr_entries = entries(&log).len();
    let kills = Kills::of("record --append", 80).run(|round, random| {
        let story = Story { has_all: round % 4 < 2, len: 3000, first: 50 };
        let ordering = if story.has_all { "completion" } else { "durability" };
        let policy = ["with-flush", "barrier"][narrow(round % 2)];
        let options = format!("--ordering {ordering} --superblock {policy} --super-interval 100");
        let folder = story_folder(&story);
        folder.write("log", &log);
        folder.write("disk", &disk);
        let is_killed = kill_at(
            &folder,
            &format!("record disk --log log --append --script script {options}"),
            random.below(40_000),
        );
        let left = folder.read("log");
        let old = 512..log.len();
        assert!(left[old.clone()] == log[old], "what was there is there");
        check_left(&folder, &story.wanted(), nr_entries);
        go_on(&folder, &options, random.once_in(2));
        is_killed
    });
    println!("{kills} appendings were killed");
}

#[test]
fn a_killed_replay_leaves_no_image_or_a_whole_one() {
    let folder = closed_log(800);
    let whole = replayed(&folder.read("log"), &base(), usize::MAX).0;
    let mut lasts = Lasts::of(&folder, "replay log --base base --output first");
    assert!(folder.read("first") == whole);
    let before = folder.names();
    let mut complete = 0;
    let kills = Kills::of("replay --output", 60).run(|_, random| {
        let is_killed = lasts.kill(&folder, "replay log --base base --output image", random);
        if folder.has("image") {
            complete += 1;
            assert!(folder.read("image") == whole);
            std::fs::remove_file(folder.path("image")).expect("remove");
        }
        assert_eq!(folder.names(), before, "nothing is left beside it");
        is_killed
    });
    println!("{kills} replays were killed, {complete} when the image was there");
    let (mut old, mut new) = (0, 0);
    let kills = Kills::of("replay --output --force", 60).run(|_, random| {
        folder.write("image", b"of value");
        let is_killed = lasts.kill(&folder, "replay log --base base --output image --force", random);
        let image = folder.read("image");
        assert!(image == b"of value" || image == whole, "the old one or the new one");
        old += u64::from(image != whole);
        new += u64::from(image == whole);
        is_killed
    });
    println!("{kills} replays over an image were killed: {old} left the old one, {new} the new one");
    let kills = Kills::of("replay --onto", 40).run(|_, random| {
        folder.write("work", base());
        let is_killed = lasts.kill(&folder, "replay log --onto work", random);
        folder.run("replay log --onto work").code(0).no_stderr();
        assert!(folder.read("work") == whole, "the same again makes it whole");
        is_killed
    });
    println!("{kills} replays onto an image were killed");
}

#[test]
fn a_killed_recovery_leaves_the_old_superblock_or_the_new() {
    let mut builder = Builder::new(512);
    for number in 0..3000 {
        builder = builder.write(number % 2000, &[7; 512]);
    }
    let torn = builder.claiming(10);
    let folder = Folder::new();
    folder.write("log", &torn);
    let mut lasts = Lasts::of(&folder, "recover log --write");
    let new = folder.read("log")[..512].to_vec();
    assert_eq!(superblock(&new).1, 3000);
    let (mut old_ones, mut new_ones) = (0, 0);
    let kills = Kills::of("recover --write", 50).run(|_, random| {
        let _ = std::fs::remove_file(folder.path("log.superblock.0"));
        folder.write("log", &torn);
        let is_killed = lasts.kill(&folder, "recover log --write", random);
        let left = folder.read("log");
        assert!(left[512..] == torn[512..], "the entries are left alone");
        if left[..512] == new {
            assert!(folder.read("log.superblock.0") == torn[..512], "the old one is saved first");
            new_ones += 1;
        } else {
            assert!(left == torn, "either the old one or the new");
            old_ones += 1;
            folder.run("recover log --write").code(0).no_stderr();
        }
        assert_eq!(superblock(&folder.read("log")).1, 3000);
        folder.run("verify log").code(0).no_stderr();
        let _ = std::fs::remove_file(folder.path("log.superblock.1"));
        is_killed
    });
    println!("{kills} recoveries were killed: {old_ones} left the old superblock, {new_ones} the new");
}

#[test]
fn a_killed_mark_is_in_the_log_or_not() {
    let folder = closed_log(60);
    let before = folder.read("log");
    let nr_entries = superblock(&before).1;
    let mut lasts = Lasts::of(&folder, "mark log now");
    let mut counts = [0; 3];
    let kills = Kills::of("mark", 50).run(|_, random| {
        folder.write("log", &before);
        let is_killed = lasts.kill(&folder, "mark log now", random);
        let left = folder.read("log");
        assert!(left[512..before.len()] == before[512..], "what was there is there");
        let found = folder.run("recover log --json").code(0).no_stderr().json().remove(0);
        let counted = superblock(&left).1 - nr_entries;
        let tail = found["salvage_entries"].as_u64().expect("a number");
        assert!(counted + tail <= 1, "{found}");
        counts[narrow(counted * 2 + tail)] += 1;
        folder.run("recover log --write").code(0).no_stderr();
        let marks = folder.run("marks log --json").code(0).json();
        let has_mark = marks.last().is_some_and(|mark| mark["mark"] == "now");
        assert_eq!(has_mark, counted + tail == 1);
        is_killed
    });
    println!("{kills} marks were killed: {counts:?} were not there, to be recovered, there");
}

#[test]
fn a_killed_squash_leaves_nothing_that_is_not_whole() {
    let folder = closed_log(800);
    let log = folder.read("log");
    let whole = replayed(&log, &base(), usize::MAX).0;
    let args =
        |out: &str| format!("squash log --base base --at 400 --output-base {out}.img --output {out}.log");
    let mut lasts = Lasts::of(&folder, &args("first"));
    let (first_base, first_log) = (folder.read("first.img"), folder.read("first.log"));
    assert!(replayed(&first_log, &first_base, usize::MAX).0 == whole);
    let before = folder.names();
    let (mut bases, mut logs) = (0, 0);
    let kills = Kills::of("squash", 50).run(|_, random| {
        let is_killed = lasts.kill(&folder, &args("new"), random);
        assert!(folder.read("log") == log && folder.read("base") == base());
        assert!(folder.has("new.img") || !folder.has("new.log"), "a log has its base");
        for (name, first, count) in [("new.img", &first_base, &mut bases), ("new.log", &first_log, &mut logs)]
        {
            if folder.has(name) {
                assert!(folder.read(name) == *first);
                std::fs::remove_file(folder.path(name)).expect("remove");
                *count += 1;
            }
        }
        assert_eq!(folder.names(), before, "nothing is left beside them");
        is_killed
    });
    println!("{kills} squashes were killed, {bases} when the base was there, {logs} when the log was too");
}

#[test]
fn a_killed_cut_leaves_no_log_or_a_whole_one() {
    let folder = closed_log(800);
    let mut lasts = Lasts::of(&folder, "cut log --output first --from 100");
    let first = folder.read("first");
    let before = folder.names();
    let mut complete = 0;
    let kills = Kills::of("cut", 50).run(|_, random| {
        let is_killed = lasts.kill(&folder, "cut log --output new --from 100", random);
        if folder.has("new") {
            complete += 1;
            assert!(folder.read("new") == first);
            std::fs::remove_file(folder.path("new")).expect("remove");
        }
        assert_eq!(folder.names(), before, "nothing is left beside it");
        is_killed
    });
    println!("{kills} cuts were killed, {complete} when the log was there");
}

#[test]
fn an_interrupt_at_any_moment_closes_the_log() {
    let mut interrupted = 0;
    for round in 0..40 {
        let mut random = Random::new(round);
        let story = Story { has_all: round % 4 < 2, len: 20_000, first: 0 };
        let ordering = if story.has_all { "completion" } else { "durability" };
        let folder = story_folder(&story);
        let args = format!("record disk --log log --script script --ordering {ordering}");
        let child = folder.start(&args);
        wait_until("the log begins", || {
            std::fs::metadata(folder.path("log")).is_ok_and(|log| log.len() > 512)
        });
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        signal(&child, ["INT", "TERM"][narrow(round % 2)]);
        let output = child.wait_with_output().expect("wait");
        let is_interrupted = output.status.code() == Some(130);
        assert!(is_interrupted || output.status.success(), "{output:?}");
        interrupted += u64::from(is_interrupted);
        let log = folder.read("log");
        let all = entries(&log);
        let last = all.last().expect("an entry");
        let own = usize::from(last.flags == MARK && ordering == "durability");
        let wanted = story.wanted();
        for (entry, wanted) in all[..all.len() - own].iter().zip(&wanted) {
            let is_closing = entry == last && entry.flags == FLUSH;
            assert!(is_closing || wanted.is(&log, entry), "{entry:?} is not {wanted:?}");
        }
        folder.run("verify log --base base --final disk").code(0).no_stderr();
        assert!(replayed(&log, &base(), usize::MAX).0 == folder.read("disk"));
        let found = folder.run("recover log --json").code(0).json().remove(0);
        assert_eq!(found["salvage_entries"], 0, "nothing follows");
        go_on(&folder, &format!("--ordering {ordering}"), round % 4 < 2);
    }
    println!("{interrupted} recordings were interrupted");
    assert!(interrupted > 20);
}

#[test]
fn a_full_disk_leaves_a_prefix() {
    for (number, size) in ["64k", "160k", "700k"].into_iter().enumerate() {
        let story = Story { has_all: number != 1, len: 2000, first: 0 };
        let ordering = if story.has_all { "completion" } else { "durability" };
        for policy in ["with-flush", "barrier"] {
            let folder = story_folder(&story);
            let _small = SmallDisk::new(folder.path("small"), size);
            let args = format!(
                "record disk --log small/log --script script --ordering {ordering} --superblock {policy}"
            );
            folder
                .run(&args)
                .code(3)
                .says(&["the file system of the log is full", "No space left on device"]);
            folder.write("log", folder.read("small/log"));
            // It was closed in good order: what there was no room for was refused before the disk was touched.
            folder.run("verify log --base base --final disk").code(0).no_stderr();
            assert!(replayed(&folder.read("log"), &base(), usize::MAX).0 == folder.read("disk"), "{args}");
            assert!(superblock(&folder.read("log")).1 > 0, "{args}");
            go_on(&folder, &format!("--ordering {ordering} --superblock {policy}"), number % 2 == 0);
        }
    }
}

#[test]
fn a_full_log_leaves_a_prefix_and_the_disk() {
    for size in ["4k", "40k", "100000", "1M"] {
        for has_all in [true, false] {
            let story = Story { has_all, len: 2000, first: 0 };
            let ordering = if has_all { "completion" } else { "durability" };
            let folder = story_folder(&story);
            let args =
                format!("record disk --log log --script script --ordering {ordering} --log-size {size}");
            folder.run(&args).code(3).says(&["the log is full"]);
            // It was closed in good order: what does not fit was refused before the disk was touched.
            folder.run("verify log --base base --final disk").code(0).no_stderr();
            assert!(replayed(&folder.read("log"), &base(), usize::MAX).0 == folder.read("disk"), "{args}");
            go_on(&folder, &format!("--ordering {ordering}"), has_all);
        }
    }
}

/// A device that has no room left for what it has taken says so when it is flushed.
#[test]
fn a_log_device_whose_space_is_gone_keeps_what_it_promised() {
    for (number, ordering) in ["completion", "durability"].into_iter().enumerate() {
        let story = Story { has_all: number == 0, len: 24_000, first: 0 };
        let folder = story_folder(&story);
        // It holds the first stretch that is zeroed ahead of the log, and not the second.
        let _small = SmallDisk::new(folder.path("small"), "40m");
        let backing = folder.path("small/backing");
        std::fs::File::create(&backing).and_then(|file| file.set_len(128 << 20)).expect("a sparse file");
        let log = Loop::of(&backing, &[]);
        let options = format!("--ordering {ordering} --superblock barrier");
        let ran =
            folder.run(&format!("record disk --log {} --script script {options}", log.device())).code(3);
        assert!(ran.stderr.lines().count() == 1, "{ran:#?}");
        // As another program finds it, and not as this one remembers it.
        drop(log);
        let log = Loop::of(&backing, &["--read-only"]);
        let counted = {
            let there = std::fs::read(log.device()).expect("the device");
            let counted = superblock(&there).1;
            let wanted = story.wanted();
            let there_entries = entries(&there);
            assert_eq!(wide(there_entries.len()), counted, "all that is counted is whole");
            for (entry, wanted) in there_entries.iter().zip(&wanted) {
                assert!(wanted.is(&there, entry), "{entry:?} is not {wanted:?}");
            }
            let end = there_entries.last().map_or(512, |entry| entry.bytes.end);
            folder.write("log", &there[..end]);
            counted
        };
        assert!(counted > 1000 && counted < 24_000, "{counted}");
        folder.run(&format!("verify {}", log.device())).code(0).no_stderr();
        folder.run(&format!("recover {} --json", log.device())).code(0).no_stderr();
        go_on(&folder, &options, false);
    }
}

/// Rounds of a command that is to be killed at a random moment: from seeds that are fixed, and one that is printed.
struct Kills {
    name: &'static str,
    nr_kills: u64,
}

impl Kills {
    fn of(name: &'static str, nr_kills: u64) -> Self {
        Self { name, nr_kills }
    }

    /// Runs rounds, each of which says whether the command was killed, until enough were.
    #[track_caller]
    fn run(&self, mut round: impl FnMut(u64, &mut Random) -> bool) -> u64 {
        let start = Instant::now();
        let fresh = Random::fresh_seed();
        println!("{}: the last rounds are from LOGWRITES_SEED={fresh}", self.name);
        let (mut kills, mut rounds) = (0, 0);
        while kills < self.nr_kills {
            assert!(rounds < self.nr_kills * 5, "{}: {kills} of {rounds} were killed", self.name);
            let seed = if kills < self.nr_kills * 3 / 4 { rounds } else { fresh + rounds };
            kills += u64::from(round(rounds, &mut Random::new(seed)));
            rounds += 1;
        }
        println!("{}: {kills} kills in {rounds} rounds, {:.1?}", self.name, start.elapsed());
        kills
    }
}

/// A long script of which it is known what each line leaves in the log.
struct Story {
    /// Also what is not in the log in the order of the script if that is durability: FUAs and marks.
    has_all: bool,
    len: u64,
    /// The number of the first line, so that no two stories are alike.
    first: u64,
}

/// What a line leaves in the log.
#[derive(Debug)]
struct Wanted {
    sector: u64,
    nr_sectors: u64,
    flags: u64,
    fill: u8,
    text: String,
}

impl Story {
    fn wanted(&self) -> Vec<Wanted> {
        (self.first..self.first + self.len).map(|number| self.line(number)).collect()
    }

    fn line(&self, number: u64) -> Wanted {
        let mut random = Random::new(number);
        let (sector, nr_sectors) = (random.below(2032), 1 + random.below(16));
        let fill = 1 + u8::try_from(random.below(254)).expect("below 256");
        let write = Wanted { sector, nr_sectors, flags: 0, fill, text: String::new() };
        let flush = Wanted { sector: 0, nr_sectors: 0, flags: FLUSH, fill: 0, text: String::new() };
        // A write goes before each flush, so that none is left out of the log.
        match (number % 7, random.below(12)) {
            (6, _) => flush,
            (5, _) => write,
            (_, 0) => Wanted { flags: DISCARD, fill: 0, ..write },
            (_, 1) => Wanted { fill: 0, ..write },
            (_, 2 | 3) if self.has_all => Wanted { flags: FUA, ..write },
            (_, 4) if self.has_all => Wanted { flags: MARK, text: format!("m{number}"), ..flush },
            _ => write,
        }
    }

    fn script(&self) -> String {
        let mut text = String::new();
        for Wanted { sector, nr_sectors, flags, fill, text: name } in self.wanted() {
            let (offset, len) = (sector * 512, nr_sectors * 512);
            let line = match flags {
                FLUSH => "flush".to_owned(),
                DISCARD => format!("discard {offset} {len}"),
                MARK => format!("mark {name}"),
                FUA => format!("write -f -P {fill} {offset} {len}"),
                _ if fill == 0 => format!("write -z {offset} {len}"),
                _ => format!("write -P {fill} {offset} {len}"),
            };
            writeln!(text, "{line}").expect("memory");
        }
        text
    }
}

impl Wanted {
    /// Whether an entry of a log is this one, every byte of it.
    fn is(&self, log: &[u8], entry: &Entry) -> bool {
        let Self { sector, nr_sectors, flags, fill, text } = self;
        let head = &log[entry.bytes.start + 32..entry.bytes.start + 512];
        (entry.sector, entry.nr_sectors, entry.flags) == (*sector, *nr_sectors, *flags)
            && entry.data_len == wide(text.len())
            && head.starts_with(text.as_bytes())
            && head[text.len()..].iter().all(|byte| *byte == 0)
            && log[entry.bytes.start + 512..entry.bytes.end].iter().all(|byte| byte == fill)
    }
}

/// The log opens, and everything in it, counted or not, is what the script said, from entry `nr_old` on.
#[track_caller]
fn check_left(folder: &Folder, wanted: &[Wanted], nr_old: usize) {
    let log = folder.read("log");
    let (_, counted) = superblock(&log);
    let info = folder.run("info log --json").code(0).no_stderr().json().remove(0);
    assert_eq!((&info["nr_entries"], &info["readable_entries"]), (&counted.into(), &counted.into()));
    folder.run("verify log").code(0).no_stderr();
    let found = folder.run("recover log --json").code(0).no_stderr().json().remove(0);
    let tail = found["salvage_entries"].as_u64().expect("a number");
    assert_eq!(info["tail_entries"], tail);
    let log = counting(&log, counted + tail);
    let all = entries(&log);
    assert!(all.len() >= nr_old, "{counted} entries are counted, {nr_old} were there");
    for (entry, wanted) in all[nr_old..].iter().zip(wanted) {
        assert!(wanted.is(&log, entry), "{entry:?} is not {wanted:?}; {found}");
    }
}

/// A second run continues the log that was left, and base and log make the disk.
#[track_caller]
fn go_on(folder: &Folder, options: &str, keeps_tail: bool) {
    let log = folder.read("log");
    let (_, counted) = superblock(&log);
    let found = folder.run("recover log --json").code(0).json().remove(0);
    let tail = found["salvage_entries"].as_u64().expect("a number");
    let kept = if keeps_tail { counted + tail } else { counted };
    folder.write("then", replayed(&counting(&log, kept), &base(), usize::MAX).0);
    let script = "write -P 255 1M 8k\nflush\nwrite -P 254 0 4k\nflush\n";
    let tail = if keeps_tail { "keep" } else { "drop" };
    folder.record(&format!("then --log log --append --tail {tail} {options}"), script);
    folder.run("verify log --base base --final then").code(0).no_stderr();
    let log = folder.read("log");
    assert!(replayed(&log, &base(), usize::MAX).0 == folder.read("then"));
    let added = entries(&log).split_off(narrow(kept));
    let flags: Vec<u64> = added.iter().map(|entry| entry.flags).collect();
    assert!(flags.starts_with(&[0, FLUSH, 0, FLUSH]), "{flags:?}");
}

/// The log with another number in its superblock.
#[expect(clippy::little_endian_bytes, reason = "the naive side of the comparison")]
fn counting(log: &[u8], nr_entries: u64) -> Vec<u8> {
    let mut log = log.to_vec();
    log[16..24].copy_from_slice(&nr_entries.to_le_bytes());
    log
}

/// A folder with a script, a base and a disk.
fn story_folder(story: &Story) -> Folder {
    let folder = Folder::new();
    folder.write("script", story.script());
    folder.write("base", base());
    folder.write("disk", base());
    folder
}

/// A folder with a closed log of so many lines, and its base.
fn closed_log(len: u64) -> Folder {
    let folder = story_folder(&Story { has_all: true, len, first: 0 });
    folder.run("record disk --log log --script script").code(0).no_stderr();
    folder
}

/// One MiB and a bit, so that what comes second has a place of its own.
fn base() -> Vec<u8> {
    vec![9; (1 << 20) + (64 << 10)]
}

/// Starts the tool, and kills it after so many microseconds. Gives whether it was still there to be killed.
#[track_caller]
fn kill_at(folder: &Folder, args: &str, micros: u64) -> bool {
    let mut command = folder.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    std::thread::sleep(Duration::from_micros(micros));
    child.kill().expect("kill");
    let status = ended(child, args);
    status.signal() == Some(9)
}

#[track_caller]
fn ended(child: Child, args: &str) -> ExitStatus {
    let output = child.wait_with_output().expect("wait");
    let status = output.status;
    assert!(status.signal() == Some(9) || status.success(), "{args}: {output:?}");
    status
}

/// How long the tool takes, as seen so far: the processors may be busy with other tests, now or when it was measured.
struct Lasts {
    micros: u64,
}

impl Lasts {
    /// Runs the tool. What it makes is there afterwards.
    fn of(folder: &Folder, args: &str) -> Self {
        let start = Instant::now();
        folder.run(args).code(0).no_stderr();
        Self { micros: u64::try_from(start.elapsed().as_micros()).expect("microseconds") }
    }

    /// Runs the tool, and kills it at a random moment, if it still runs then: in the long run two times of three.
    fn kill(&mut self, folder: &Folder, args: &str, random: &mut Random) -> bool {
        let is_killed = kill_at(folder, args, random.below(self.micros));
        self.micros = if is_killed { self.micros + self.micros / 8 } else { self.micros - self.micros / 4 };
        is_killed
    }
}
