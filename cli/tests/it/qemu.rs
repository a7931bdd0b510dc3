//! QEMU's blklogwrites as the oracle: the same script through `qemu-io` and through `logwrites record`, compared byte for
//! byte.
//!
//! Where the two differ on purpose is in [`EXCEPTIONS`], and nowhere else.

use crate::common;

use std::fmt::Write as _;
use std::process::Command;

use common::Folder;
use common::logs::{Builder, Entry, FLUSH, FUA, MARK, entries, superblock, wide};
use common::random::Random;

#[test]
fn sectors_of_32_to_256_bytes() {
    for sector_size in [32, 64, 128, 256] {
        compare_random_scripts(sector_size, 12);
    }
}

#[test]
fn sectors_of_512_bytes() {
    compare_random_scripts(512, 24);
}

#[test]
fn sectors_of_1024_bytes() {
    compare_random_scripts(1024, 16);
}

#[test]
fn sectors_of_4096_bytes() {
    compare_random_scripts(4096, 16);
}

#[test]
fn sectors_of_64_kib() {
    compare_random_scripts(64 << 10, 8);
}

/// Short ones find other faults than long ones: what a session begins and ends with.
#[test]
fn two_thousand_short_scripts() {
    for seed in 0..2000 {
        let sector_size = [512, 4096, 64, 1024][common::logs::narrow(seed % 4)];
        let setup = Setup { sector_size, interval: 1 + seed % 5, seed: seed + 10_000 };
        let lines = setup.script(common::logs::narrow(1 + seed % 13), &Options::default());
        if let Some(difference) = difference(setup, &lines, &Options::default()) {
            panic!("{setup:?}: {difference}\n{}", lines.join("\n"));
        }
    }
}

/// Many requests in flight at once: what QEMU logs then is not ours to repeat, but ours to replay.
#[test]
fn a_log_of_concurrent_requests_makes_the_disk() {
    for (pattern, depth) in [(17, 64), (230, 16)] {
        let folder = Folder::new();
        folder.write("base", vec![0; 16 << 20]);
        folder.write("disk", vec![0; 16 << 20]);
        folder.write("log", []);
        let image = "driver=blklogwrites,log-sector-size=512,file.driver=file,file.filename=disk,\
                     log.driver=file,log.filename=log";
        let bench = format!(
            "bench -w -t writeback -d {depth} -c 3000 -s 4096 -S 20480 --pattern={pattern} \
             --flush-interval=100 --no-drain --image-opts {image}"
        );
        let ran =
            Command::new("qemu-img").args(bench.split_whitespace()).current_dir(folder.path("")).output();
        let ran = ran.expect("qemu-img is missing: apt-get install qemu-utils");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        verify(&folder, "log", "disk", &format!("{depth} requests at once"));
    }
}

#[test]
fn scripts_that_once_differed() {
    for (name, sector_size, lines) in REGRESSIONS {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let setup = Setup { sector_size: *sector_size, interval: 4096, seed: 0 };
        assert_eq!(difference(setup, &lines, &Options::default()), None, "{name}");
    }
}

#[test]
fn a_script_that_differs_is_shrunk_to_what_matters() {
    let script = Setup { sector_size: 512, interval: 1, seed: 1 }.script(100, &Options::default());
    let (one, other) = (without_patterns(&script)[17].clone(), without_patterns(&script)[80].clone());
    let small = shrink(script, |script| script.contains(&one) && script.contains(&other));
    assert_eq!(small, [one, other]);
}

#[test]
fn the_exceptions_are_what_the_table_says() {
    for exception in EXCEPTIONS {
        println!("{}: {}", exception.what, exception.reason);
        (exception.check)();
    }
}

/// A log of ours, marks and FUA and all, continues in QEMU.
#[test]
fn qemu_appends_to_our_logs() {
    for (seed, extra) in [
        (1, ""),
        (2, "--superblock barrier --super-interval 7"),
        (3, "--ordering durability"),
        (4, "--ordering durability --superblock barrier --sector-size 4096"),
        (5, "--sector-size 64"),
    ] {
        let sector_size =
            extra.split_once("--sector-size ").map_or(512, |(_, size)| size.parse().expect("a size"));
        let setup = Setup { sector_size, interval: 4096, seed };
        let folder = Folder::new();
        folder.write("base", setup.base());
        folder.write("disk", setup.base());
        let options = Options { marks: true, fua: true };
        folder.record(&format!("disk --log log {extra}"), &setup.script(120, &options).join("\n"));
        let marks = folder.run("marks log").code(0).stdout;
        let more = Setup { seed: seed + 100, ..setup }.script(120, &Options::default());
        qemu_io(&folder, "disk", "log", "log-append=on", &without_patterns(&more));
        assert_eq!(folder.run("marks log").code(0).stdout, marks, "every mark is still there");
        verify(&folder, "log", "disk", &format!("appended, seed {seed}, {extra}"));
    }
}

/// What a comparison is about.
#[derive(Clone, Copy, Debug)]
struct Setup {
    sector_size: u64,
    /// Every so many entries a superblock.
    interval: u64,
    seed: u64,
}

/// What a script may have in it beyond what both sides do alike.
#[derive(Default)]
struct Options {
    fua: bool,
    marks: bool,
}

impl Setup {
    const fn nr_sectors(self) -> u64 {
        if self.sector_size > 4096 { 96 } else { 384 }
    }

    /// The byte that each sector of the disk is full of at the start.
    fn base_patterns(self) -> Vec<u8> {
        let mut random = Random::new(self.seed ^ 0xba5e);
        (0..self.nr_sectors()).map(|_| if random.once_in(2) { 0 } else { random.byte() }).collect()
    }

    fn base(self) -> Vec<u8> {
        self.image_of(&self.base_patterns())
    }

    fn image_of(self, patterns: &[u8]) -> Vec<u8> {
        let len = common::logs::narrow(self.sector_size);
        patterns.iter().flat_map(|pattern| std::iter::repeat_n(*pattern, len)).collect()
    }

    /// A random script. Its reads know what they must find.
    fn script(self, nr_lines: usize, options: &Options) -> Vec<String> {
        let mut writer = Writer { setup: self, random: Random::new(self.seed), disk: self.base_patterns() };
        (0..nr_lines).map(|_| writer.line(options)).collect()
    }
}

/// Writes a script, and knows what the disk holds.
struct Writer {
    setup: Setup,
    random: Random,
    disk: Vec<u8>,
}

impl Writer {
    fn line(&mut self, options: &Options) -> String {
        match self.random.below(100) {
            0..40 => self.write(options),
            40..48 => self.zeroes("write -z", options),
            48..56 => self.zeroes("write -z -u", options),
            56..66 => self.writev(),
            66..78 => {
                let (sector, nr_sectors) = self.extent(self.setup.nr_sectors());
                self.fill(sector, nr_sectors, 0);
                format!(
                    "{} {}",
                    self.one_of(&["discard", "d", "discard -q"]),
                    self.operands(sector, &[nr_sectors])
                )
            }
            78..90 if options.marks && self.setup.sector_size > 64 && self.random.once_in(4) => {
                format!("mark some mark {}", self.random.below(5))
            }
            78..90 => self.one_of(&["flush", "f"]).to_owned(),
            _ => self.read(),
        }
    }

    fn write(&mut self, options: &Options) -> String {
        let (sector, nr_sectors) = self.extent(24);
        let (pattern, byte) = self.pattern();
        self.fill(sector, nr_sectors, byte);
        let fua = if options.fua && self.random.once_in(3) { " -f" } else { "" };
        format!(
            "{}{fua}{pattern} {}",
            self.one_of(&["write", "w", "write -q"]),
            self.operands(sector, &[nr_sectors])
        )
    }

    fn zeroes(&mut self, command: &str, options: &Options) -> String {
        let (sector, nr_sectors) = self.extent(self.setup.nr_sectors());
        self.fill(sector, nr_sectors, 0);
        let fua = if options.fua && self.random.once_in(3) { " -f" } else { "" };
        format!("{command}{fua} {}", self.operands(sector, &[nr_sectors]))
    }

    fn writev(&mut self) -> String {
        let (sector, nr_sectors) = self.extent(24);
        let (pattern, byte) = self.pattern();
        self.fill(sector, nr_sectors, byte);
        let first = 1 + self.random.below(nr_sectors);
        let parts = if first < nr_sectors { vec![first, nr_sectors - first] } else { vec![first] };
        format!("writev{pattern} {}", self.operands(sector, &parts))
    }

    fn read(&mut self) -> String {
        let (sector, wanted) = self.extent(24);
        let disk = &self.disk[range(sector, wanted)];
        let same = disk.iter().take_while(|byte| **byte == disk[0]).count();
        let byte = disk[0];
        if self.random.once_in(4) {
            return format!("read {}", self.operands(sector, &[wanted]));
        }
        format!("read -P {byte} {}", self.operands(sector, &[wide(same)]))
    }

    /// An extent of at most so many sectors; short ones come more often.
    fn extent(&mut self, max_sectors: u64) -> (u64, u64) {
        let max_sectors = if self.random.once_in(5) { max_sectors } else { max_sectors.min(8) };
        let sector = self.random.below(self.setup.nr_sectors());
        let nr_sectors = 1 + self.random.below(max_sectors.min(self.setup.nr_sectors() - sector));
        (sector, nr_sectors)
    }

    fn fill(&mut self, sector: u64, nr_sectors: u64, byte: u8) {
        self.disk[range(sector, nr_sectors)].fill(byte);
    }

    /// An option that says a pattern, and the pattern.
    fn pattern(&mut self) -> (String, u8) {
        let byte = self.random.byte();
        match self.random.below(5) {
            0 => (String::new(), 0xcd),
            1 => (format!(" -P {byte}"), byte),
            2 => (format!(" -P 0{byte:o}"), byte),
            3 => (" -P 0".to_owned(), 0),
            _ => (format!(" -P {byte:#x}"), byte),
        }
    }

    fn operands(&mut self, sector: u64, lengths: &[u64]) -> String {
        let mut text = self.size(sector);
        for length in lengths {
            let _ = write!(text, " {}", self.size(*length));
        }
        text
    }

    /// A number of sectors as a size in one of the ways to say it.
    fn size(&mut self, nr_sectors: u64) -> String {
        let bytes = nr_sectors * self.setup.sector_size;
        match self.random.below(3) {
            0 if bytes.is_multiple_of(1024) => format!("{}k", bytes / 1024),
            1 => format!("{bytes:#x}"),
            _ => bytes.to_string(),
        }
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[common::logs::narrow(self.random.below(wide(words.len())))]
    }
}

fn range(sector: u64, nr_sectors: u64) -> std::ops::Range<usize> {
    common::logs::narrow(sector)..common::logs::narrow(sector + nr_sectors)
}

/// Scripts from a fixed list of seeds and from a random one.
fn compare_random_scripts(sector_size: u64, nr_scripts: u64) {
    let fresh = Random::fresh_seed();
    println!("sectors of {sector_size} bytes: the fresh seed is {fresh}");
    for seed in (0..nr_scripts).chain([fresh]) {
        let interval = [4096, 1, 2, 7, 64][common::logs::narrow(seed % 5)];
        let setup = Setup { sector_size, interval, seed };
        let script = setup.script(NR_LINES, &Options::default());
        if let Some(what) = difference(setup, &script, &Options::default()) {
            let small = shrink(script, |script| difference(setup, script, &Options::default()).is_some());
            panic!("{setup:?}: {what}; the smallest script found:\n{}", small.join("\n"));
        }
    }
}

/// The smallest script that still differs, by leaving out lines.
fn shrink(mut script: Vec<String>, differs: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut chunk = script.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < script.len() {
            let mut shorter = script.clone();
            shorter.drain(at..(at + chunk).min(shorter.len()));
            if differs(&without_patterns(&shorter)) {
                script = without_patterns(&shorter);
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    script
}

/// The script with reads that expect nothing: without the lines before them they would fail.
fn without_patterns(script: &[String]) -> Vec<String> {
    let plain = |line: &String| match line.strip_prefix("read -P ") {
        Some(rest) => rest.split_once(' ').map_or(line.clone(), |(_, operands)| format!("read {operands}")),
        None => line.clone(),
    };
    script.iter().map(plain).collect()
}

/// What differs after a script has gone through both recorders, if anything does.
fn difference(setup: Setup, script: &[String], options: &Options) -> Option<String> {
    let folder = Folder::new();
    let Setup { sector_size, interval, .. } = setup;
    for name in ["base", "ours", "qemus"] {
        folder.write(name, setup.base());
    }
    let args = format!("record ours --log ours.log --sector-size {sector_size} --super-interval {interval}");
    let ran = folder.run_with(&args, script.join("\n"));
    if ran.code != Some(0) || !ran.stderr.is_empty() {
        return Some(format!("record failed: {ran:?}"));
    }
    let extra = format!("log-sector-size={sector_size},log-super-update-interval={interval}");
    let output = qemu_io(&folder, "qemus", "qemus.log", &extra, script);
    if output.contains("failed") {
        return Some(format!("QEMU finds something else on the disk: {output}"));
    }
    let (ours, qemus) = (folder.read("ours.log"), folder.read("qemus.log"));
    let expected = if options.fua { as_qemu_emulates_fua(&ours) } else { ours };
    if qemus.is_empty() && entries(&expected).is_empty() {
        return None;
    }
    if expected != qemus {
        let at = expected.iter().zip(&qemus).take_while(|(a, b)| a == b).count();
        return Some(format!(
            "the logs have {} and {} bytes, and differ at {at}",
            expected.len(),
            qemus.len()
        ));
    }
    if folder.read("ours") != folder.read("qemus") {
        return Some("the disks differ".to_owned());
    }
    verify(&folder, "qemus.log", "qemus", "QEMU's log and disk");
    None
}

/// A log and the base make a disk, say `verify` and `replay`.
#[track_caller]
fn verify(folder: &Folder, log: &str, disk: &str, what: &str) {
    let ran = folder.run(&format!("verify {log} --base base --final {disk}"));
    assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
    folder.run(&format!("replay {log} --base base --output {disk}.replayed --force")).code(0).no_stderr();
    assert!(folder.read(&format!("{disk}.replayed")) == folder.read(disk), "{what}");
}

/// Runs commands through blklogwrites; the files must not be in use. Gives what `qemu-io` printed.
#[track_caller]
fn qemu_io(folder: &Folder, disk: &str, log: &str, extra: &str, script: &[String]) -> String {
    if !folder.has(log) {
        folder.write(log, "");
    }
    let path = |name: &str| folder.path(name).display().to_string();
    let options = format!(
        "driver=blklogwrites,discard=unmap,file.driver=file,file.discard=unmap,file.filename={},log.driver=file,log.filename={},{}",
        path(disk),
        path(log),
        extra,
    );
    let mut command = Command::new("qemu-io");
    command.args(["-t", "writeback", "-d", "unmap", "--image-opts", &options]);
    for line in script {
        command.args(["-c", line]);
    }
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("these tests compare with QEMU, which is missing ({error}): apt-get install qemu-utils")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "qemu-io: {command:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What QEMU makes of a log of ours: no FUA flag, and after each such write a FLUSH if the node was dirty before. The
/// write itself counts as dirty all the same.
fn as_qemu_emulates_fua(log: &[u8]) -> Vec<u8> {
    let (sector_size, _) = superblock(log);
    let mut expected = Builder::new(sector_size);
    let mut is_dirty = false;
    for entry in entries(log) {
        expected = expected.copy(log, &entry, entry.flags & !FUA);
        if entry.flags & FUA != 0 && is_dirty {
            expected = expected.flush();
        }
        is_dirty = entry.flags & FLUSH == 0;
    }
    expected.done()
}

/// A difference that is meant.
struct Exception {
    what: &'static str,
    reason: &'static str,
    /// Checks what the difference is.
    check: fn(),
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        what: "FUA",
        reason: "QEMU never flags it: it emulates it as a write and a flush, and leaves the FLUSH out on a clean node",
        check: fua_is_a_flag,
    },
    Exception {
        what: "unaligned requests",
        reason: "QEMU reads and rewrites whole sectors; a log of what the guest did not write is of no use",
        check: unaligned_requests_are_refused,
    },
    Exception {
        what: "writes of no bytes",
        reason: "QEMU logs a header without sectors and flags, at which readers stop",
        check: empty_writes_are_not_logged,
    },
    Exception {
        what: "discards of no bytes",
        reason: "QEMU logs nothing, and yet closes with a FLUSH",
        check: empty_discards_leave_nothing,
    },
    Exception {
        what: "sessions without writes",
        reason: "QEMU leaves a log of 0 bytes, which no reader takes",
        check: an_empty_session_is_a_log,
    },
    Exception { what: "marks", reason: "QEMU has none", check: marks_are_ours },
    Exception {
        what: "a read that finds something else",
        reason: "qemu-io continues; a script that continues would log what was not meant",
        check: a_wrong_read_ends_the_script,
    },
];

fn fua_is_a_flag() {
    for sector_size in [512, 4096, 64] {
        for seed in 0..6 {
            let setup = Setup { sector_size, interval: 4096, seed };
            let options = Options { fua: true, marks: false };
            let script = setup.script(NR_LINES / 2, &options);
            assert_eq!(difference(setup, &script, &options), None, "{setup:?}");
            assert!(difference(setup, &script, &Options::default()).is_some(), "a difference is found");
        }
    }
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -f 0 4k\nwrite 4k 4k\nwrite -z -f 0 512");
    let flags: Vec<u64> = entries(&folder.read("log")).iter().map(|entry| entry.flags).collect();
    assert_eq!(flags, [FUA, 0, FUA, FLUSH]);
}

fn unaligned_requests_are_refused() {
    for (line, message, qemus) in [
        ("write 100 100", "script:1:7: offset 100 is not a multiple of the sector size 512", vec![(0, 1, 0)]),
        ("write 0 100", "script:1:9: length 100 is not a multiple", vec![(0, 1, 0)]),
        ("write -z 100 2000", "script:1:10: offset 100", vec![(0, 1, 0), (1, 3, 0), (4, 1, 0)]),
    ] {
        let folder = Folder::new();
        folder.write("ours", vec![7; 1 << 20]);
        folder.write("qemus", vec![7; 1 << 20]);
        folder.write("script", line);
        folder.run("record ours --log ours.log --script script").refuses(&[message]);
        assert!(!folder.has("ours.log"), "nothing was written");
        assert!(folder.read("ours") == vec![7; 1 << 20]);
        qemu_io(&folder, "qemus", "qemus.log", "log-sector-size=512", &[line.to_owned()]);
        let mut widened = qemus;
        widened.push((0, 0, FLUSH));
        let theirs = folder.read("qemus.log");
        let theirs: Vec<_> =
            entries(&theirs).iter().map(|entry| (entry.sector, entry.nr_sectors, entry.flags)).collect();
        assert_eq!(theirs, widened, "{line}");
    }
}

fn empty_writes_are_not_logged() {
    let (ours, qemus) = logs_of("write -P 1 0 512\nwrite -P 2 512 0\nwrite -P 2 0 0\nwrite -P 3 1k 512");
    let is_nothing = |entry: &Entry| entry.nr_sectors == 0 && entry.flags == 0;
    let (nothing, rest): (Vec<_>, Vec<_>) = entries(&qemus).into_iter().partition(is_nothing);
    assert_eq!(nothing.iter().map(|entry| entry.sector).collect::<Vec<_>>(), [1, 0]);
    let expected = rest.iter().fold(Builder::new(512), |log, entry| log.copy(&qemus, entry, entry.flags));
    assert!(ours == expected.done(), "otherwise the same");
}

fn empty_discards_leave_nothing() {
    let (ours, qemus) = logs_of("discard 0 0");
    assert!(ours == Builder::new(512).done() && qemus == Builder::new(512).flush().done());
    let (ours, qemus) = logs_of("write -P 1 0 512\nflush\ndiscard 0 0");
    let expected =
        entries(&ours).iter().fold(Builder::new(512), |log, entry| log.copy(&ours, entry, entry.flags));
    assert!(qemus == expected.flush().done(), "one FLUSH more");
}

fn an_empty_session_is_a_log() {
    for script in ["flush", "read 0 512", "flush\nflush\nread 0 4k", "write -z 0 0", "write -z -u 0 0"] {
        let (ours, qemus) = logs_of(script);
        assert_eq!(ours, Builder::new(512).done(), "{script}");
        assert!(qemus.is_empty(), "{script}");
    }
}

fn marks_are_ours() {
    for seed in 0..4 {
        let setup = Setup { sector_size: 512, interval: 4096, seed };
        let script = setup.script(NR_LINES / 2, &Options { fua: false, marks: true });
        let is_mark = |line: &&String| line.starts_with("mark ");
        assert!(script.iter().any(|line| is_mark(&line)));
        let folder = Folder::new();
        folder.write("ours", setup.base());
        folder.write("qemus", setup.base());
        folder.record("ours --log ours.log", &script.join("\n"));
        let plain: Vec<String> = script.iter().filter(|line| !is_mark(line)).cloned().collect();
        qemu_io(&folder, "qemus", "qemus.log", "log-sector-size=512", &plain);
        let ours = folder.read("ours.log");
        assert!(without_marks(&ours) == folder.read("qemus.log"), "{setup:?}");
        assert!(folder.read("ours") == folder.read("qemus"));
    }
}

fn a_wrong_read_ends_the_script() {
    let script = ["write -P 1 0 512", "read -P 2 0 512", "write -P 3 0 512"];
    let folder = Folder::new();
    folder.write("qemus", vec![0; 4096]);
    folder
        .run_with("record ours --create 4k --log ours.log", script.join("\n"))
        .code(1)
        .says(&["line 2: read -P 0x02 0 512", "byte 0 of the disk is 0x01, not 0x02"]);
    let lines = script.map(str::to_owned);
    let output = qemu_io(&folder, "qemus", "qemus.log", "log-sector-size=512", &lines);
    assert!(output.contains("Pattern verification failed at offset 0, 512 bytes"), "{output}");
    assert_eq!(folder.read("ours")[0], 1);
    assert_eq!(folder.read("qemus")[0], 3);
    assert_eq!(entries(&folder.read("ours.log")).len(), 2, "a write and the closing flush");
}

/// Our log and QEMU's of a script, with sectors of 512 bytes and disks that end the same.
fn logs_of(script: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = Folder::new();
    folder.write("qemus", vec![0; 64 << 10]);
    folder.record("ours --create 64k --log ours.log", script);
    let lines: Vec<String> = script.lines().map(str::to_owned).collect();
    qemu_io(&folder, "qemus", "qemus.log", "log-sector-size=512", &lines);
    assert!(folder.read("ours") == folder.read("qemus"), "{script}");
    (folder.read("ours.log"), folder.read("qemus.log"))
}

/// A log without its marks, and without the flushes that then have nothing to flush.
fn without_marks(log: &[u8]) -> Vec<u8> {
    let mut kept = Builder::new(superblock(log).0);
    let mut is_dirty = false;
    for entry in entries(log) {
        let is_flush = entry.flags & FLUSH != 0;
        if entry.flags & MARK == 0 && (is_dirty || !is_flush) {
            kept = kept.copy(log, &entry, entry.flags);
            is_dirty = !is_flush;
        }
    }
    kept.done()
}

/// The lines of a random script.
const NR_LINES: usize = 250;

/// Scripts that once differed: a name, the sector size, the lines.
const REGRESSIONS: &[(&str, u64, &[&str])] = &[
    ("long zeros at the end of the log", 512, &["write -z 0 192k"]),
    ("long zeros before a write", 4096, &["write -z -u 0 1m", "write -P 1 0 4k", "discard 0 64k"]),
];
