//! Logs made to do harm: every command that reads one ends, with a message that says where, in little memory.
//!
//! The memory is bounded by a limit of the system, so a command that needed more would fail, and so is the time.

use crate::common;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::Folder;
use common::logs::{Builder, DISCARD, FLUSH, MARK, narrow, wide};

/// What a command may map, in bytes.
const LIMIT_BYTES: u64 = 512 << 20;

/// How long a command may work, in seconds of a processor: many times what it needs.
const LIMIT_S: u64 = 600;

/// Every command that reads a log; `LOG` is its name.
const COMMANDS: [&str; 9] = [
    "info LOG",
    "ls LOG",
    "marks LOG",
    "find LOG --next flush",
    "verify LOG",
    "replay LOG --size 1M --output out",
    "cat LOG 0",
    "diff LOG start end",
    "recover LOG",
];

#[test]
fn a_malformed_log_is_named_with_entry_and_byte() {
    let folder = Folder::new();
    let cases = malformed();
    for (name, log, message) in &cases {
        folder.write(name, log);
        for command in COMMANDS {
            let ran = bounded(&folder, &command.replace("LOG", name));
            let nr_errors = ran.stderr.lines().filter(|line| !line.starts_with("hint: ")).count();
            let is_told = ran.code == 2 && ran.stderr.contains(message) && nr_errors == 1;
            // These look at no more than they must, or are made for such logs.
            let may_work = ["cat", "diff", "find", "recover"].iter().any(|verb| command.starts_with(verb));
            assert!(is_told || may_work && ran.code <= 2, "{command} {name}: {ran:#?}");
        }
        assert!(!folder.has("out"), "{name}");
    }
    println!("hostile: {} inputs, {} runs", cases.len(), cases.len() * COMMANDS.len());
}

#[test]
fn a_log_that_is_cut_anywhere_is_malformed() {
    let folder = Folder::new();
    let log = Builder::new(512).write(0, &[1; 1024]).mark(b"m").flush().write(7, &[2; 512]).done();
    let lens: Vec<usize> =
        (0..log.len()).step_by(31).chain([511, 512, 513, 543, 544, log.len() - 1]).collect();
    for len in &lens {
        folder.write("log", &log[..*len]);
        let ran = bounded(&folder, "info log");
        let is_told =
            ["is empty", "not a write log", "of the log: "].iter().any(|text| ran.stderr.contains(text));
        assert!(ran.code == 2 && is_told, "{len} bytes: {ran:#?}");
    }
    println!("hostile: {0} inputs, {0} runs", lens.len());
}

#[test]
fn what_is_valid_and_does_not_fit_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    folder.write("base", vec![0; 1 << 20]);
    folder.write("discard", Builder::new(512).write(0, &[1; 512]).discard(2000, 1 << 50).done());
    folder.write("beyond", Builder::new(512).write(0, &[1; 512]).write(1 << 40, &[1; 512]).done());
    for name in ["discard", "beyond"] {
        for command in ["info LOG", "ls LOG", "marks LOG", "verify LOG", "diff LOG start end", "recover LOG"]
        {
            assert_eq!(bounded(&folder, &command.replace("LOG", name)).code, 0, "{command} {name}");
        }
        for command in [
            "replay LOG --size 1M --output out",
            "replay LOG --base base --output out",
            "replay LOG --onto base",
            "verify LOG --base base --final base",
        ] {
            let ran = bounded(&folder, &command.replace("LOG", name));
            let says = "entry 1 at byte 1536 of the log covers sectors";
            assert!(ran.code == 2 && ran.stderr.contains(says), "{command} {name}: {ran:#?}");
        }
        assert!(!folder.has("out") && folder.read("base") == vec![0; 1 << 20]);
    }
    folder.write("flags", Builder::new(512).raw([3, 1, 1 << 40 | 64, 0], &[0; 992]).done());
    for command in COMMANDS.iter().filter(|command| !command.starts_with("find")) {
        assert_eq!(bounded(&folder, &command.replace("LOG", "flags")).code, 0, "{command}: unknown flags");
    }
    println!("hostile: 3 inputs, {} runs", 2 * (6 + 4) + COMMANDS.len() - 1);
}

#[test]
fn what_is_not_a_file_is_not_a_log() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    for command in COMMANDS {
        for name in ["folder", "missing"] {
            let ran = bounded(&folder, &command.replace("LOG", name));
            assert!((2..=3).contains(&ran.code) && ran.stderr.contains(name), "{command} {name}: {ran:#?}");
        }
    }
    println!("hostile: 2 inputs, {} runs", 2 * COMMANDS.len());
}

#[test]
fn a_large_log_takes_bounded_memory() {
    let folder = Folder::new();
    let start = Instant::now();
    large(&folder.path("flushes"), 512, 1 << 21, |_| [0, 0, FLUSH, 0]);
    large(&folder.path("marks"), 64, 1_000_000, |_| [0, 0, MARK, 1]);
    // Each leaves an extent of its own.
    large(&folder.path("extents"), 64, 1 << 20, |number| [number * 2 % 16_384, 1, DISCARD, 0]);
    large(&folder.path("scattered"), 64, 1 << 20, |number| [number * 0x9e37 % (1 << 34), 1, DISCARD, 0]);
    folder.write("zeros", Builder::new(512).claiming(1 << 21));
    let zeros = File::options().write(true).open(folder.path("zeros")).expect("open");
    zeros.set_len(1 << 30).expect("a length");
    println!("made in {:.1?}", start.elapsed());
    for name in ["flushes", "marks", "extents", "scattered", "zeros"] {
        let size = if name == "scattered" { "1T" } else { "1M" };
        assert_bounded(&folder, name, size, LIMIT_BYTES);
    }
    let ran = bounded(&folder, "replay marks --size 1M --output out --at mark:x");
    assert!(ran.code == 2 && ran.stderr.contains("mark:x#") && ran.stderr.len() < 1000, "{ran:#?}");
}

/// As many entries as a GiB can hold, each with an extent of its own or none: what a command needs grows with the
/// log, to so many times its size, and no further.
#[test]
#[ignore = "it takes minutes, 2 GiB of disk, and 6 GiB of memory: tests/prove runs it"]
fn a_gib_of_entries_takes_bounded_memory_and_time() {
    let folder = Folder::new();
    large(&folder.path("flushes"), 32, (1 << 25) - 1, |_| [0, 0, FLUSH, 0]);
    assert_bounded(&folder, "flushes", "1M", 6 << 30);
    std::fs::remove_file(folder.path("flushes")).expect("remove");
    large(&folder.path("scattered"), 32, (1 << 25) - 1, |number| {
        [number * 0x9e37 % (1 << 34), 1, DISCARD, 0]
    });
    assert_bounded(&folder, "scattered", "1T", 6 << 30);
}

/// Every command reads it within a limit of memory and time, and prints what it needed.
#[track_caller]
fn assert_bounded(folder: &Folder, name: &str, size: &str, limit_bytes: u64) {
    for command in COMMANDS {
        let ran = bounded_by(folder, &command.replace("LOG", name).replace("1M", size), limit_bytes);
        println!("{name:>10} {command:<36} exit {} {:>8} KiB {:>6} s", ran.code, ran.peak_kib, ran.seconds);
        let is_whole = name != "zeros";
        assert!(
            ran.code <= 2 && (!is_whole || ran.code < 2 || may_refuse(command)),
            "{command} {name}: {ran:#?}"
        );
        if !is_whole && ran.code == 2 && !may_refuse(command) {
            assert!(
                ran.stderr.contains("entry 0 at byte 512 of the log: its header is all zeros"),
                "{ran:#?}"
            );
        }
        let _ = std::fs::remove_file(folder.path("out"));
    }
    println!("hostile: 1 inputs, {} runs", COMMANDS.len());
}

/// Of a log without payloads nothing can be printed by `cat`.
fn may_refuse(command: &str) -> bool {
    command.starts_with("cat")
}

/// Logs that are none, and what is said of them.
fn malformed() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = || Builder::new(512).write(0, &[1; 512]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut log = good().done();
        log[at..at + bytes.len()].copy_from_slice(bytes);
        log
    };
    let behind = |text: &[u8]| [text, &vec![b'x'; 480 - text.len()]].concat();
    vec![
        ("entries-2-40", good().claiming(1 << 40), "entry 1 at byte 1536 of the log: the log ends here"),
        ("entries-max", good().claiming(u64::MAX), "entry 1 at byte 1536 of the log: the log ends here"),
        (
            "sectors-2-62",
            good().raw([0, 1 << 62, 0, 0], b"").flush().done(),
            "entry 1 at byte 1536 of the log: its 4611686018427387904 sectors at sector 0 reach beyond",
        ),
        (
            "sector-2-63",
            good().raw([1 << 63, 1, 0, 0], &[0; 992]).flush().done(),
            "entry 1 at byte 1536 of the log: its 1 sectors at sector 9223372036854775808 reach beyond",
        ),
        (
            "payload",
            good().raw([0, 1 << 30, 0, 0], b"").done(),
            "entry 1 at byte 1536 of the log: its payload",
        ),
        (
            "hole",
            good().raw([0; 4], b"").flush().done(),
            "entry 1 at byte 1536 of the log: its header is all zeros",
        ),
        (
            "nothing",
            good().raw([9, 0, 0, 0], b"").flush().done(),
            "entry 1 at byte 1536 of the log: it has neither",
        ),
        (
            "mark-endless",
            good().raw([0, 0, MARK, 3], &behind(b"")).flush().done(),
            "entry 1 at byte 1536 of the log: its mark does not end",
        ),
        (
            "mark-nul",
            good().raw([0, 0, MARK, 3], b"a\0b\0").flush().done(),
            "entry 1 at byte 1536 of the log: its mark has a NUL",
        ),
        (
            "mark-long",
            good().raw([0, 0, MARK, 480], &behind(b"")).flush().done(),
            "entry 1 at byte 1536 of the log: its mark of 480 bytes does not fit",
        ),
        (
            "mark-endless-long",
            good().raw([0, 0, MARK, u64::MAX], &behind(b"")).flush().done(),
            "entry 1 at byte 1536 of the log: its mark of 18446744073709551615 bytes does not fit",
        ),
        (
            "mark-sectors",
            good().raw([0, 1, MARK, 3], b"abc").flush().done(),
            "entry 1 at byte 1536 of the log: it is a mark, and yet has 1 sectors",
        ),
        (
            "text",
            good().raw([0, 1, 0, 0], &[7; 992]).flush().done(),
            "entry 1 at byte 1536 of the log: text follows its header, but it is not a mark",
        ),
        ("magic", changed(0, b"x"), "not a write log: the magic is 0x"),
        ("version", changed(8, &[2]), "version 2 of the write-log format is unknown"),
        ("sector-0", changed(24, &[0, 0, 0, 0]), "a sector of 0 bytes"),
        ("sector-513", changed(24, &[1, 2, 0, 0]), "a sector of 513 bytes"),
        ("sector-16M", changed(24, &[0, 0, 0, 1]), "a sector of 16777216 bytes"),
        ("empty", Vec::new(), "empty is empty: nothing was logged to it"),
        ("short", good().done()[..31].to_vec(), "not a write log"),
    ]
}

/// A log of so many entries without payload, written a stretch at a time.
fn large(path: &Path, sector_size: usize, nr_entries: u64, header: impl Fn(u64) -> [u64; 4]) {
    let mut file = File::create(path).expect("a new file");
    file.write_all(&Builder::new(sector_size).claiming(nr_entries)).expect("write");
    let stretch = 1 << 14;
    let mut bytes = vec![0; sector_size * narrow(stretch)];
    for first in (0..nr_entries).step_by(narrow(stretch)) {
        let count = stretch.min(nr_entries - first);
        for (number, sector) in (first..first + count).zip(bytes.chunks_mut(sector_size)) {
            let fields = header(number);
            for (field, to) in fields.iter().zip(sector.chunks_mut(8)) {
                to.copy_from_slice(&field.to_le_bytes());
            }
            if fields[2] == MARK {
                sector[32] = b'x';
            }
        }
        file.write_all(&bytes[..sector_size * narrow(count)]).expect("write");
    }
    assert_eq!(file.metadata().expect("metadata").len(), (nr_entries + 1) * wide(sector_size));
}

/// How a bounded command has ended.
#[derive(Debug)]
struct Bounded {
    code: i32,
    stderr: String,
    /// The most memory that it used at once, in KiB, and how long it took; as text, where the system can tell.
    peak_kib: String,
    seconds: String,
}

/// Runs the tool with a bound on its memory. It is neither killed nor does it panic.
#[track_caller]
fn bounded(folder: &Folder, args: &str) -> Bounded {
    bounded_by(folder, args, LIMIT_BYTES)
}

/// The same with another bound.
#[track_caller]
fn bounded_by(folder: &Folder, args: &str, limit_bytes: u64) -> Bounded {
    let mut command = Command::new("prlimit");
    command.current_dir(folder.path("")).args([format!("--as={limit_bytes}"), format!("--cpu={LIMIT_S}")]);
    if Path::new(TIME).exists() {
        command.args([TIME, "-q", "-f", "%M %e", "-o", "usage"]);
    }
    command.arg(env!("CARGO_BIN_EXE_logwrites")).args(args.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().unwrap_or_else(|error| {
        panic!("this test needs the program prlimit (Debian package util-linux): {error}")
    });
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap_or(-1);
    assert!((0..=3).contains(&code), "{args}: {output:?}");
    assert!(!stderr.contains("panicked") && !stderr.contains("memory allocation"), "{args}: {stderr}");
    let usage = std::fs::read_to_string(folder.path("usage")).unwrap_or_default();
    let (peak_kib, seconds) = usage.trim().split_once(' ').unwrap_or(("?", "?"));
    Bounded { code, stderr, peak_kib: peak_kib.to_owned(), seconds: seconds.to_owned() }
}

/// GNU time, which tells the memory that was used.
const TIME: &str = "/usr/bin/time";
