//! Real logs, recorded by Linux and QEMU: every point with a known hash, reached in every way.

use crate::common;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::Folder;
use common::images::{are_equal, sha256, sha256_up_to, unpack};
use common::logs::{entries, narrow};
use logwrites::log::Log;
use logwrites_core::Ordering;
use logwrites_core::crash::{Choice, Groups, Layers, Model, Rules};
use logwrites_core::history::{Checkpoints, Discards};

#[test]
fn raw_512() {
    let golden = Golden::unpack("raw-512");
    golden.check_all();
    golden.check_guest(&[("final", "mark:end"), ("final-device", "end")]);
}

#[test]
fn raw_4096() {
    let golden = Golden::unpack("raw-4096");
    golden.check_all();
    golden.check_guest(&[("final", "mark:end"), ("final-device", "end")]);
}

#[test]
fn ext4() {
    let golden = Golden::unpack("ext4-64m");
    golden.check_all();
    golden.check_guest(&MARKS_OF_FILE_SYSTEMS);
}

#[test]
fn xfs() {
    let golden = Golden::unpack("xfs-300m");
    golden.check_all();
    golden.check_guest(&MARKS_OF_FILE_SYSTEMS);
}

/// QEMU's logs have no marks: these flushes are the first ones at which the guest's hashes come up, and they come up in
/// the order in which the guest has seen them.
#[test]
fn ext4_through_qemu() {
    let golden = Golden::unpack("qemu-ext4-64m");
    golden.check_all();
    golden.check_guest(&FLUSHES_OF_QEMU);
}

#[test]
fn a_fua_that_overtook_a_write_is_replayed_as_the_log_has_it() {
    let single = Single::unpack("kernel-6.12-fua-overtakes-write", 4096);
    single.is_at("start", &[]);
    single.is_at("fua:1", &[(0..512, 0xbb)]);
    // The device holds 0xbb here: the fault is the recorder's, and a replay must not hide it.
    single.is_at("flush:1", &[(0..512, 0xaa)]);
    single.is_at("end", &[(0..512, 0xaa)]);
    single.folder.write("device", expected(4096, &[(0..512, 0xbb)]));
    let ran = single.folder.run("verify log --base base --final device");
    ran.code(1).says(&["first at byte 0 (sector 0), in 1 sectors", "entry 1 wrote"]);
}

#[test]
fn a_failed_write_that_linux_logged_is_replayed() {
    let single = Single::unpack("kernel-6.12-4kn-failedwrite", 64 << 10);
    single.is_at("1", &[(0..4096, 0xaa)]);
    single.is_at("flush:-1~2", &[(0..4096, 0xaa), (40960..45056, 0xbb)]);
    single.is_at("end", &[(0..4096, 0xaa), (40960..45056, 0xbb), (8192..12288, 0xcc)]);
    let marks: Vec<String> = single.folder.run("marks log --json").code(0).json().iter().map(mark).collect();
    assert_eq!(marks, ["L".repeat(4063), "dm-log-writes-end".to_owned()], "the longest mark that fits");
    single.is_at(
        &format!("mark:{}", "L".repeat(4063)),
        &[(0..4096, 0xaa), (40960..45056, 0xbb), (8192..12288, 0xcc)],
    );
}

#[test]
fn a_discard_that_the_device_ignored_is_a_choice() {
    let single = Single::unpack("kernel-6.12-discard-unsupported", 128 << 10);
    single.is_at("flush:1", &[(0..65536, 0xaa)]);
    single.is_at("end", &[(32768..65536, 0xaa)]);
    // The device kept what it had, and so does a replay that is told so.
    let device = expected(128 << 10, &[(0..65536, 0xaa)]);
    single.folder.write("device", &device);
    single.folder.run("replay log --base base --output ignored --discard ignore").code(0);
    assert!(single.folder.read("ignored") == device);
    single.folder.run("verify log --base base --final device --discard ignore").code(0);
    single.folder.run("verify log --base base --final device").code(1);
}

/// What the kernel's own log says of crashes, by the two orders. In durability order, which it has, the overtaken write is in
/// no state before the flush: the device never had it over the FUA write. Completion order would believe the log.
#[test]
fn a_crash_keeps_no_write_that_a_fua_has_overtaken() {
    let single = Single::unpack("kernel-6.12-fua-overtakes-write", 4096);
    let (nothing, fua, write) = ([].as_slice(), [(0..512, 0xbb)], [(0..512, 0xaa)]);
    // A state that differs from an earlier one in its last mark alone is another state.
    single.crashes(Ordering::Durability, &[("0", nothing), ("2^1", &fua), ("3", &write), ("5", &write)]);
    single.crashes(Ordering::Completion, &[("0", nothing), ("2", &write), ("2^1", &fua), ("5", &write)]);
}

#[test]
fn a_crash_loses_any_of_the_writes_that_the_kernel_has_not_flushed() {
    let single = Single::unpack("kernel-6.12-4kn-failedwrite", 64 << 10);
    let [first, second, third] = [(0..4096, 0xaa), (40960..45056, 0xbb), (8192..12288, 0xcc)];
    let all = [first.clone(), second, third.clone()];
    for order in [Ordering::Durability, Ordering::Completion] {
        single.crashes(
            order,
            &[
                ("3", &all),
                ("3^0", &all[1..]),
                ("3^0-1", &all[2..]),
                ("3^0,2", &all[1..2]),
                ("3^0-2", &[]),
                ("3^1", &[first.clone(), third.clone()]),
                ("3^1-2", &all[..1]),
                ("3^2", &all[..2]),
                ("5", &all),
                ("6", &all),
            ],
        );
    }
}

#[test]
fn a_crash_loses_a_discard_and_not_what_was_flushed_before_it() {
    let single = Single::unpack("kernel-6.12-discard-unsupported", 128 << 10);
    let (written, discarded) = ([(0..65536, 0xaa)], [(32768..65536, 0xaa)]);
    for order in [Ordering::Durability, Ordering::Completion] {
        single.crashes(
            order,
            &[("1", &written), ("1^0", &[]), ("3", &discarded), ("3^2", &written), ("5", &discarded)],
        );
    }
}

#[test]
fn a_small_log_of_qemus() {
    let single = Single::unpack("qemu-10.0.2-small", 128 << 10);
    // Something to be overwritten with zeros.
    single.folder.write("base", expected(128 << 10, &[(0..131_072, 0x11)]));
    let first = [(0..131_072, 0x11), (0..4096, 0xaa), (4096..4608, 0xbb)];
    single.is_at("flush:1", &first);
    let zeroed = [(8192..12288, 0), (32768..40960, 0)];
    single.is_at("5", &[&first[..], &zeroed[..]].concat());
    let last = [&first[..], &zeroed[..], &[(65536..66560, 0xcc)]].concat();
    single.is_at("flush:2", &last);
    single.is_at("end", &last);
}

#[test]
fn an_entry_of_zeros_ends_what_can_be_read() {
    let single = Single::unpack("qemu-10.0.2-zerolen", 4096);
    let where_it_broke = ["1 of 4 entries can be read", "entry 1 at byte 1536 of the log", "all zeros"];
    for command in ["ls log", "marks log", "info log", "verify log", "ls log --json"] {
        single.folder.run(command).code(2).says(&where_it_broke);
    }
    let listed = single.folder.run("ls log --json").json();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["sector"], &listed[0]["nr_sectors"]), (&0.into(), &1.into()));
    single.is_at("start", &[]);
    single.is_at("1", &[(0..512, 0xcd)]);
    std::fs::remove_file(single.folder.path("out")).expect("remove");
    for point in ["2", "end", "flush:1", "flush:-1", "mark:x", "1+1"] {
        let ran = single.folder.run(&format!("replay log --base base --output out --at {point}"));
        ran.refuses(&where_it_broke);
        assert!(!single.folder.has("out"), "{point}");
    }
    single.folder.run("replay log --base base --output out").refuses(&where_it_broke);
    assert!(!single.folder.has("out"));
}

/// One of the folders of real logs.
struct Golden {
    name: &'static str,
    folder: Folder,
    base: PathBuf,
    log: PathBuf,
}

impl Golden {
    fn unpack(name: &'static str) -> Self {
        let folder = Folder::new();
        let (base, log) = (folder.path("base"), folder.path("log"));
        unpack(&data().join(name).join("base.img.zst"), &base);
        unpack(&data().join(name).join("log.zst"), &log);
        Self { name, folder, base, log }
    }

    fn check_all(&self) {
        self.check_info();
        self.check_marks();
        self.check_end();
        self.check_points();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(data().join(self.name).join(name)).expect(name)
    }

    /// `info` and the independent replayer count the same.
    fn check_info(&self) {
        let stat = Stat::parse(&self.text("stat.txt"));
        let info = self.folder.run("info log --json").code(0).no_stderr().json().remove(0);
        let same = [
            ("version", "version"),
            ("entries", "nr_entries"),
            ("entries", "readable_entries"),
            ("sectorsize", "sector_size_bytes"),
            ("used_bytes", "used_bytes"),
            ("data", "payload_bytes"),
            ("discarded", "discarded_bytes"),
            ("max_entry", "largest_extent_bytes"),
        ];
        for (theirs, ours) in same {
            assert_eq!(info[ours], stat.numbers[theirs], "{theirs}");
        }
        let flags = [
            ("FLUSH", "flushes"),
            ("FUA", "fuas"),
            ("DISCARD", "discards"),
            ("MARK", "marks"),
            ("META", "metadata"),
        ];
        for (theirs, ours) in flags {
            assert_eq!(info[ours], stat.with_flag(theirs), "{theirs}");
        }
        assert_eq!(info["writes"], stat.without_flags());
        assert_eq!(info["marks"], stat.marks.len());
        assert_eq!(sha256_up_to(&self.log, stat.numbers["used_bytes"]), stat.sha256, "unpacked well");
        let ls = self.folder.run("ls log --json").code(0).no_stderr().json();
        let naive = entries(&self.folder.read("log"));
        assert_eq!(ls.len(), naive.len());
        for (ls, naive) in ls.iter().zip(naive) {
            assert_eq!(ls["offset_bytes"], naive.bytes.start, "{ls}");
            assert_eq!((&ls["sector"], &ls["nr_sectors"]), (&naive.sector.into(), &naive.nr_sectors.into()));
            assert_eq!(ls["flags_bits"], naive.flags, "{ls}");
        }
    }

    /// `marks` lists what the independent replayer has seen.
    fn check_marks(&self) {
        let stat = Stat::parse(&self.text("stat.txt"));
        let marks = self.folder.run("marks log --json").code(0).no_stderr().json();
        assert_eq!(marks.len(), stat.marks.len());
        let longest = narrow(stat.numbers["sectorsize"]) - 33;
        for (mark, (entry, text)) in marks.iter().zip(&stat.marks) {
            assert_eq!(mark["entry"], *entry);
            let ours = mark["mark"].as_str().expect("a text");
            if text.starts_with("LLLL") {
                // Longer than the file with the figures shows it.
                assert!(ours.len() <= longest && ours.starts_with(text), "{ours}");
            } else {
                assert_eq!(ours, text);
            }
        }
    }

    fn check_end(&self) {
        let out = self.make("end", "end");
        assert_eq!(sha256(&out), self.text("final.sha256").trim());
        let args = ["verify", "log", "--base", "base", "--final", "end"];
        common::Ran::of(&mut self.folder.command_of(args)).code(0).no_stderr();
        std::fs::remove_file(out).expect("remove");
    }

    /// Each mark by name, by number, and in place: forwards from the base, then backwards from the end.
    fn check_points(&self) {
        let marks = self.hashed_marks();
        let (forward, backward) = (self.folder.path("forward"), self.folder.path("backward"));
        copy_sparse(&self.base, &forward);
        let mut at = "start".to_owned();
        for mark in &marks {
            let by_name = self.make(&mark.point, "by-name");
            assert_eq!(sha256(&by_name), mark.sha256, "{}", mark.point);
            let by_number = self.make(&mark.number, "by-number");
            assert!(are_equal(&by_name, &by_number), "{} by number", mark.point);
            self.change(&["--onto", "forward", "--from", &at, "--at", &mark.point]);
            assert!(are_equal(&by_name, &forward), "{} in place from {at}", mark.point);
            at.clone_from(&mark.point);
        }
        self.change(&["--onto", "forward", "--from", &at]);
        std::fs::rename(&forward, &backward).expect("rename");
        assert_eq!(sha256(&backward), self.text("final.sha256").trim());
        let mut at = "end";
        for mark in marks.iter().rev() {
            let by_number = self.make(&mark.number, "by-number");
            self.change(&["--base", "base", "--onto", "backward", "--from", at, "--at", &mark.number]);
            assert!(are_equal(&by_number, &backward), "{} in place back from {at}", mark.point);
            at = &mark.point;
        }
        self.change(&["--base", "base", "--onto", "backward", "--from", at, "--at", "start"]);
        assert!(are_equal(&self.base, &backward), "{}: back to the start", self.name);
    }

    /// The hashes that the guest itself made of its device.
    fn check_guest(&self, points: &[(&str, &str)]) {
        let text = self.text("guest.txt");
        let hashes: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix("HASH ")?.split_once(' ')).collect();
        let names: Vec<&str> = hashes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, points.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for ((name, hash), (_, point)) in hashes.iter().zip(points) {
            assert_eq!(sha256(&self.make(point, "guest")), *hash, "{name}, {point}");
        }
    }

    /// The marks at which the independent replayer has hashed the disk.
    fn hashed_marks(&self) -> Vec<HashedMark> {
        let text = self.text("replay-marks.txt");
        let lines = text.lines().filter(|line| !line.starts_with("end "));
        let marks = self.folder.run("marks log --json").code(0).json();
        let mut seen = HashMap::new();
        let hashed: Vec<HashedMark> = marks
            .iter()
            .zip(lines)
            .map(|(mark, line)| {
                let (entry, rest) = line.split_once(' ').expect("an entry");
                let (text, sha256) = rest.rsplit_once(' ').expect("a hash");
                let name = mark["mark"].as_str().expect("a text").to_owned();
                assert!(name.starts_with(&from_latin1(text)), "{name}");
                assert_eq!(mark["entry"].to_string(), entry);
                let nth: &mut u64 = seen.entry(name.clone()).or_default();
                *nth += 1;
                let entry: u64 = entry.parse().expect("a number");
                HashedMark {
                    point: format!("mark:{name}#{nth}"),
                    number: (entry + 1).to_string(),
                    sha256: sha256.to_owned(),
                }
            })
            .collect();
        assert_eq!(hashed.len(), marks.len());
        hashed
    }

    /// A new image of a point.
    fn make(&self, point: &str, name: &str) -> PathBuf {
        self.change(&["--base", "base", "--output", name, "--force", "--at", point]);
        self.folder.path(name)
    }

    fn change(&self, args: &[&str]) {
        let args = ["replay", "log"].iter().chain(args);
        common::Ran::of(&mut self.folder.command_of(args)).code(0).no_stderr();
    }
}

/// A mark, and the disk at it.
struct HashedMark {
    point: String,
    number: String,
    sha256: String,
}

/// A log without a disk.
struct Single {
    folder: Folder,
}

impl Single {
    fn unpack(name: &str, disk_len: usize) -> Self {
        let folder = Folder::new();
        unpack(&data().join(format!("{name}.log.zst")), &folder.path("log"));
        folder.write("base", vec![0; disk_len]);
        Self { folder }
    }

    /// Checks the disk at a point, where later ranges lie over earlier ones and the rest is zero.
    #[track_caller]
    fn is_at(&self, point: &str, ranges: &[(std::ops::Range<usize>, u8)]) {
        let args = ["replay", "log", "--base", "base", "--output", "out", "--force", "--at", point];
        common::Ran::of(&mut self.folder.command_of(args)).code(0).no_stderr();
        let got = self.folder.read("out");
        assert!(got == expected(got.len(), ranges), "the disk at {point}");
    }
}

/// Where bytes of a disk are not zero: what they are.
type Bytes = [(std::ops::Range<usize>, u8)];

impl Single {
    /// Checks the names of all states that a crash can leave, and the disk in each.
    #[track_caller]
    fn crashes(&self, ordering: Ordering, states: &[(&str, &Bytes)]) {
        let log = Log::open(&self.folder.path("log")).expect("a log");
        let rules = Rules { ordering, model: Model::Lost, discards: Discards::Zero };
        let mut checkpoints = Checkpoints::new(rules.discards);
        let mut found = BTreeSet::new();
        for group in Groups::new(log.index(), rules, 0..log.index().nr_entries()) {
            let layers = Layers::new(log.index(), &group, &mut checkpoints).expect("a small group");
            let layers = Arc::new(layers);
            for kept in 0..1u64 << group.nr_units() {
                let choice = Choice::of(Arc::clone(&layers), |unit| kept >> unit & 1 == 1);
                found.insert(choice.state().to_string());
            }
        }
        let names: BTreeSet<String> = states.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, names, "{ordering:?}");
        for (name, bytes) in states {
            self.is_at(name, bytes);
        }
    }
}

/// What the independent replayer counted.
struct Stat {
    numbers: HashMap<String, u64>,
    flags: Vec<(String, u64)>,
    marks: Vec<(u64, String)>,
    sha256: String,
}

impl Stat {
    fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let [numbers, flags, marks, sha256] = lines[..] else { panic!("four lines: {text}") };
        let number = |text: &str| text.parse().expect("a number");
        let numbers = numbers.split(' ').filter_map(|pair| pair.split_once('='));
        let flags = flags.trim_matches(['{', '}']).split(", ").filter_map(|pair| pair.split_once(": "));
        let marks = marks.split('(').skip(1).filter_map(|pair| pair.split_once(", '"));
        Self {
            numbers: numbers.map(|(name, value)| (name.to_owned(), number(value))).collect(),
            flags: flags.map(|(name, count)| (name.trim_matches('\'').to_owned(), number(count))).collect(),
            marks: marks.map(|(entry, text)| (number(entry), unquote(text))).collect(),
            sha256: sha256.trim_start_matches("sha256(used) ").to_owned(),
        }
    }

    fn with_flag(&self, flag: &str) -> u64 {
        let has =
            |name: &str| name.split(' ').next().is_some_and(|name| name.split('|').any(|part| part == flag));
        self.flags.iter().filter(|(name, _)| has(name)).map(|(_, count)| count).sum()
    }

    fn without_flags(&self) -> u64 {
        self.flags.iter().filter(|(name, _)| name == "-" || name == "META").map(|(_, count)| count).sum()
    }
}

/// A text of Python's up to its closing quote, whose characters are the bytes of UTF-8.
fn unquote(text: &str) -> String {
    let (text, _) = text.split_once('\'').expect("a quote");
    let mut parts = text.split("\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        plain.push(char::from(u8::from_str_radix(digits, 16).expect("two digits")));
        plain.push_str(rest);
    }
    from_latin1(&plain)
}

fn from_latin1(text: &str) -> String {
    let bytes = text.chars().map(|char| u8::try_from(char).expect("Latin-1")).collect();
    String::from_utf8(bytes).expect("UTF-8")
}

fn mark(json: &serde_json::Value) -> String {
    json["mark"].as_str().expect("a text").to_owned()
}

/// A disk of zeros with these ranges, later ones over earlier ones.
fn expected(len: usize, ranges: &[(std::ops::Range<usize>, u8)]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (range, byte) in ranges {
        bytes[range.clone()].fill(*byte);
    }
    bytes
}

fn copy_sparse(from: &Path, to: &Path) {
    let args = ["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()];
    common::system("cp", &args);
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden")
}

const MARKS_OF_FILE_SYSTEMS: [(&str, &str); 5] = [
    ("mkfs", "mark:mkfs"),
    ("frozen1", "mark:frozen1"),
    ("frozen2", "mark:frozen2"),
    ("umount", "mark:umount"),
    ("final-device", "end"),
];

const FLUSHES_OF_QEMU: [(&str, &str); 5] = [
    ("mkfs", "flush:2"),
    ("frozen1", "flush:37"),
    ("frozen2", "flush:102"),
    ("umount", "flush:112"),
    ("final-device", "end"),
];
