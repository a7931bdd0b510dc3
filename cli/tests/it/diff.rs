//! `logwrites diff`, against two disks that were replayed the naive way and compared sector by sector.

use crate::common;

use std::process::Command;

use common::golden::golden;
use common::images::sha256;
use common::logs::{Builder, DISCARD, entries, narrow, replayed, superblock, wide};
use common::random::Random;
use common::{Folder, Ran};
use serde_json::{Value, json};

#[test]
fn random_logs_differ_where_they_differ() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    for round in 0..12 {
        let mut random = Random::new(seed + round);
        let sector_size = [32, 64, 512, 4096][narrow(random.below(4))];
        let folder = Folder::new();
        folder.write("log", random_log(&mut random, sector_size));
        let base: Vec<u8> =
            (0..NR_SECTORS).flat_map(|_| vec![u8::from(random.once_in(2)); sector_size]).collect();
        folder.write("base", base);
        let comparison = Comparison::of(folder);
        for _ in 0..20 {
            let (a, b) = (random.below(NR_ENTRIES + 1), random.below(NR_ENTRIES + 1));
            comparison.check(narrow(a), narrow(b));
        }
        comparison.check(0, narrow(NR_ENTRIES));
        comparison.check(narrow(NR_ENTRIES), 0);
    }
}

#[test]
fn real_logs_differ_where_they_differ() {
    for (name, points) in [
        ("raw-512", vec![0, 1, 20, 21, 87, 91, 92, 93, 113, 137, 140]),
        ("raw-4096", vec![0, 20, 85, 90, 91, 111, 138]),
        ("ext4-64m", vec![0, 102, 278, 586, 614, 654, 696]),
        ("qemu-ext4-64m", vec![0, 100, 419]),
    ] {
        let comparison = Comparison::of(golden(name));
        for pair in points.windows(2) {
            comparison.check(pair[0], pair[1]);
        }
        comparison.check(points[0], points[points.len() - 1]);
        comparison.check(points[points.len() - 1], points[1]);
    }
}

#[test]
fn marks_are_points() {
    let folder = golden("ext4-64m");
    let by_name = folder.run("diff log mark:mkfs mark:frozen1 --json").code(0).no_stderr().stdout;
    assert_eq!(by_name, folder.run("diff log 102 278 --json").code(0).no_stderr().stdout);
    assert!(by_name.lines().count() > 10);
}

#[test]
fn a_point_and_a_state_differ_where_entries_are_lost() {
    let folder = Folder::new();
    let log = Builder::new(512)
        .write(4, &[1; 1024])
        .flush()
        .write(4, &[2; 2048])
        .write(9, &[3; 512])
        .write(5, &[4; 512])
        .mark(b"m");
    folder.write("log", log.done());
    folder.write("base", [0; 8192]);
    let of = |args: &str| folder.run(&format!("diff log {args}")).code(0).no_stderr().stdout;
    assert_eq!(
        of("5 5^3 --base base"),
        "from point 5 to state 5^3\nsectors 9+1                  from entry 3 to the base\n"
    );
    assert_eq!(
        of("mark:m^2 5"),
        "from state 6^2 (mark:m^2) to point 5\n\
         sectors 4+1                  from entry 0 to entry 2\n\
         sectors 6+2                  from the base to entry 2\n"
    );
    assert_eq!(of("5^2-4 2"), "no difference between state 5^2-4 and point 2\n");
    assert_eq!(
        of("5^3 5^2:3,4"),
        "from state 5^3 to state 5^2:3,4\n\
         sectors 5+1                  from entry 4 to entry 2\n\
         sectors 7+1                  from entry 2 to the base\n\
         sectors 9+1                  from the base to entry 3\n"
    );
}

#[test]
fn the_bytes_are_shown_as_they_were_and_as_they_are() {
    for (name, a, b) in [("raw-512", 20, 113), ("raw-4096", 138, 85), ("ext4-64m", 585, 600)] {
        let comparison = Comparison::of(golden(name));
        comparison.check_bytes(a, b);
        comparison.check_bytes(b, a);
    }
    let folder = Folder::new();
    folder.write("log", Builder::new(512).write(0, &[1; 512]).write(0, &[2; 512]).done());
    let expected = "\
        from point 1 to point 2\n\
        sectors 0+1                  from entry 0 to entry 1\n  \
        - 000000000000  01 01 01 01 01 01 01 01  01 01 01 01 01 01 01 01  |................|\n  \
        + 000000000000  02 02 02 02 02 02 02 02  02 02 02 02 02 02 02 02  |................|\n";
    let ran = folder.run("diff log 1 2 --hex").code(0).no_stderr();
    assert!(ran.stdout.starts_with(expected), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 2 + 2 * 32);
}

#[test]
fn equal_points_are_reported_as_equal() {
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 512]).mark(b"a").flush().write(0, &[1; 512]).discard(9, 1);
    folder.write("log", log.done());
    folder.write("base", [0; 8192]);
    for (points, base) in
        [("1 3", ""), ("3 1", ""), ("2 2", ""), ("1 4", ""), ("4 end", "--base base"), ("0 0", "")]
    {
        let ran = folder.run(&format!("diff log {points} {base}")).code(0).no_stderr();
        assert!(ran.stdout.starts_with("no difference between point "), "{points}: {ran:?}");
        assert_eq!(folder.run(&format!("diff log {points} {base} --json")).code(0).no_stderr().stdout, "");
    }
    // Without a base, what was discarded may have been something.
    assert_eq!(
        folder.run("diff log 4 5").code(0).stdout,
        "from point 4 to point 5\nsectors 9+1                  from the base to entry 4\n"
    );
    assert_eq!(
        folder.run("diff log 4 end --discard ignore").code(0).stdout,
        "no difference between point 4 and point 5 (end)\n"
    );
}

#[test]
fn every_field_is_there() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).write(8, &[1; 1024]).write(9, &[2; 512]).done());
    folder.write("base", [0; 8192]);
    let of = |args: &str| folder.run(&format!("diff log {args} --json")).code(0).no_stderr().json();
    let extent = |sector: u64, nr_sectors: u64| json!({"sector": sector, "nr_sectors": nr_sectors, "offset_bytes": sector * 512, "len_bytes": nr_sectors * 512});
    let with = |mut object: Value, fields: &[(&str, u64)]| {
        for (name, value) in fields {
            object[name] = (*value).into();
        }
        object
    };
    assert_eq!(of("0 1"), [with(extent(8, 2), &[("entry_b", 0)])]);
    assert_eq!(of("1 0 --base base"), [with(extent(8, 2), &[("entry_a", 0)])]);
    assert_eq!(of("1 2"), [with(extent(9, 1), &[("entry_a", 0), ("entry_b", 1)])]);
    assert_eq!(of("0 2"), [with(extent(8, 1), &[("entry_b", 0)]), with(extent(9, 1), &[("entry_b", 1)])]);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = Folder::new();
    folder.write("log", Builder::new(512).write(8, &[1; 1024]).mark(b"m").mark(b"m").done());
    folder.write("small", [0; 4096]);
    folder.write("odd", [0; 5000]);
    for (args, message) in [
        ("log 0", "<B>"),
        ("log -1 0", "did you mean end~1 or flush:-1?"),
        ("log 0 m", "did you mean mark:m?"),
        ("log 0 4", "4 is past the end: the log has 3 entries"),
        ("log 0 mark:x", "there is no mark 'x'"),
        ("log 0 mark:m", "the log has 2 marks 'm'; say which"),
        ("log 0 1 --base small", "the log reaches beyond small"),
        ("log 0 1 --base odd", "odd has 5000 bytes, which is not a multiple"),
        ("log 0 1 --hex --json", "cannot be used with"),
        ("log 0 1 --discard pass", "zero, ignore"),
    ] {
        folder.run(&format!("diff {args}")).refuses(&[message]);
    }
    folder.run("diff log 0 1 --hex").code(2).says(&["--hex needs --base BASE"]);
    folder.run("diff log 0 1 --base missing").code(3).says(&["cannot open missing"]);
    folder.run("diff missing 0 1").code(3).says(&["cannot open missing"]);
    // Up to the point before the first write, the small disk is large enough.
    assert_eq!(
        folder.run("diff log start 0 --base small").code(0).stdout,
        "no difference between point 0 (start) and point 0\n"
    );
    let broken = Builder::new(512).write(0, &[1; 512]).raw([0; 4], b"").flush().done();
    folder.write("broken", broken);
    assert_eq!(folder.run("diff broken 0 1 --json").code(0).no_stderr().json().len(), 1);
    folder.run("diff broken 0 end").refuses(&["1 of 3 entries can be read"]);
    folder.run("diff broken 0 2").refuses(&["1 of 3 entries can be read"]);
}

#[test]
fn a_reader_that_has_enough_is_not_a_failure() {
    let folder = golden("ext4-64m");
    let tool = env!("CARGO_BIN_EXE_logwrites");
    for options in ["", "--json", "--hex --base base"] {
        let pipe = format!("set -o pipefail; {tool} diff log 0 end {options} | head -1");
        let ran = Ran::of(Command::new("bash").args(["-c", &pipe]).current_dir(folder.path("."))).code(0);
        assert_eq!(ran.no_stderr().stdout.lines().count(), 1, "{options}");
    }
}

const NR_SECTORS: u64 = 48;
const NR_ENTRIES: u64 = 60;

/// A log in which sectors are often written with what they have.
fn random_log(random: &mut Random, sector_size: usize) -> Vec<u8> {
    let mut log = Builder::new(sector_size);
    for _ in 0..NR_ENTRIES {
        let sector = random.below(NR_SECTORS);
        let nr_sectors = 1 + random.below((NR_SECTORS - sector).min(12));
        log = match random.below(10) {
            0..6 => {
                let payload: Vec<u8> = (0..nr_sectors)
                    .flat_map(|_| {
                        let mut one = vec![u8::from(random.once_in(2)); sector_size];
                        one[sector_size - 1] ^= u8::from(random.once_in(8));
                        one
                    })
                    .collect();
                log.write(sector, &payload)
            }
            6..8 => log.discard(sector, nr_sectors),
            8 => log.flush(),
            _ => log.raw([sector, 0, 16, 0], b""),
        };
    }
    log.done()
}

/// A log and its base, `log` and `base` in a folder.
struct Comparison {
    folder: Folder,
    log: Vec<u8>,
    base: Vec<u8>,
    sector_size: usize,
}

impl Comparison {
    fn of(folder: Folder) -> Self {
        let (log, base) = (folder.read("log"), folder.read("base"));
        let (sector_size, _) = superblock(&log);
        Self { folder, log, base, sector_size }
    }

    /// Checks what the tool says of two points: every sector that differs is listed once, with its writers, and no
    /// other. The inputs stay as they are.
    fn check(&self, a: usize, b: usize) {
        let hashes = || ["log", "base"].map(|name| sha256(&self.folder.path(name)));
        let before = hashes();
        let ((disk_a, by_a), (disk_b, by_b)) =
            (replayed(&self.log, &self.base, a), replayed(&self.log, &self.base, b));
        let sector = |disk: &[u8], at: usize| disk[at * self.sector_size..][..self.sector_size].to_vec();
        for has_base in [true, false] {
            let expected: Vec<_> = (0..by_a.len())
                .filter(|&at| {
                    let differs = sector(&disk_a, at) != sector(&disk_b, at);
                    let is_known = has_base || (by_a[at].is_some() && by_b[at].is_some());
                    if is_known { differs } else { by_a[at] != by_b[at] }
                })
                .map(|at| (wide(at), by_a[at].map(wide), by_b[at].map(wide)))
                .collect();
            let found = self.sectors(&format!("{a} {b}{}", if has_base { " --base base" } else { "" }));
            let first = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            assert!(
                found == expected,
                "{a} to {b}, base: {has_base}; {} found, {} expected, first {first:?}",
                found.len(),
                expected.len()
            );
        }
        if entries(&self.log)[a.min(b)..a.max(b)].iter().all(|entry| entry.flags & DISCARD == 0) && a <= b {
            // Those that differ are those that were touched in between, at most.
            let listed = self.sectors(&format!("{a} {b}"));
            assert!(listed.iter().all(|(_, _, by_b)| by_b.is_some_and(|entry| entry >= wide(a))));
        }
        assert_eq!(hashes(), before, "{a} to {b}");
    }

    /// Each sector that the tool lists, and who wrote it before and after.
    fn sectors(&self, args: &str) -> Vec<(u64, Option<u64>, Option<u64>)> {
        let listed = self.folder.run(&format!("diff log {args} --json")).code(0).no_stderr().json();
        let mut sectors = Vec::new();
        for difference in listed {
            let number = |name: &str| difference[name].as_u64();
            let (sector, nr) = (number("sector").expect("a sector"), number("nr_sectors").expect("a number"));
            assert!(nr > 0, "{difference}");
            sectors
                .extend((sector..sector + nr).map(|sector| (sector, number("entry_a"), number("entry_b"))));
        }
        sectors
    }

    /// Checks the lines of bytes.
    fn check_bytes(&self, a: usize, b: usize) {
        let (disk_a, disk_b) = (replayed(&self.log, &self.base, a).0, replayed(&self.log, &self.base, b).0);
        let mut expected = Vec::new();
        for (row, (before, after)) in disk_a.chunks(16).zip(disk_b.chunks(16)).enumerate() {
            if before != after {
                let line = |sign: &str, bytes: &[u8]| {
                    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("  {sign} {:012x}  {}  {}", row * 16, hex[..8].join(" "), hex[8..].join(" "))
                };
                expected.extend([line("-", before), line("+", after)]);
            }
        }
        let ran = self.folder.run(&format!("diff log {a} {b} --base base --hex")).code(0).no_stderr();
        let lines = ran.stdout.lines().filter(|line| line.starts_with(' '));
        let found: Vec<&str> = lines.map(|line| line.split_once("  |").expect("a text").0).collect();
        assert!(!expected.is_empty());
        assert!(found == expected, "{a} to {b}");
    }
}
