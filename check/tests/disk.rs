//! Engines on a disk: what survives is decided, what does not is found and said with its line.
#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::time::Duration;

use logwrites_check::{Disk, Outcome, disk};

/// A register that holds a number, in two copies with a checksum each, written by turns.
struct Register<'a> {
    disk: &'a Disk,
    has_flushes: bool,
}

impl Register<'_> {
    fn write(&self, number: u64) -> std::io::Result<()> {
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(&number.to_le_bytes());
        sector[8..16].copy_from_slice(&checksum(number).to_le_bytes());
        self.disk.write_at(&sector, number % 2 * 512)?;
        if self.has_flushes { self.disk.flush() } else { Ok(()) }
    }

    fn read(&self) -> std::io::Result<Option<u64>> {
        let mut newest = None;
        for copy in 0..2 {
            let mut sector = [0; 512];
            self.disk.read_at(&mut sector, copy * 512)?;
            let number = u64::from_le_bytes(sector[..8].try_into().unwrap());
            let is_whole = u64::from_le_bytes(sector[8..16].try_into().unwrap()) == checksum(number);
            newest = newest.max(is_whole.then_some(number));
        }
        Ok(newest)
    }
}

fn checksum(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn count_to_twenty(disk: &Disk, has_flushes: bool) -> Outcome {
    let register = Register { disk, has_flushes };
    for number in 1..=20 {
        register.write(number)?;
        disk.mark(&format!("wrote {number}"));
        // Data that nobody looks at.
        disk.write_at(&[7; 512], 4096 + number * 512)?;
    }
    Ok(())
}

fn holds_what_was_marked(crash: &logwrites_check::Crash<Disk>) -> Outcome {
    let found = Register { disk: crash.disk(), has_flushes: true }.read()?;
    let marked =
        crash.last_mark().and_then(|mark| mark.strip_prefix("wrote ")).map(str::parse).transpose()?;
    assert!(found >= marked, "found {found:?}, and {marked:?} was written");
    Ok(())
}

#[test]
fn a_register_that_flushes_survives_everything() {
    let recording = disk(1 << 20).record(|disk| count_to_twenty(disk, true));
    let report = recording.survives(holds_what_was_marked);
    assert!(report.is_decided());
    assert_eq!(report.decided(), report.total());
    assert!(report.nr_runs() < 100, "{report}");
}

#[test]
fn a_register_without_flushes_loses_what_was_marked() {
    let recording = disk(1 << 20).record(|disk| count_to_twenty(disk, false));
    // In one thread, the same failure is found first each time.
    let failure = recording.threads(1).search(holds_what_was_marked).unwrap_err();
    println!("{failure}");
    assert_eq!((failure.nr_lost(), failure.state()), (1, "2^0"), "{failure}");
    let text = failure.to_string();
    let [write, call] = ["self.disk.write_at(&sector", "register.write(number)?;"].map(line_of);
    assert!(
        text.contains(&format!("check/tests/disk.rs:{write}, from check/tests/disk.rs:{call}")),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "LOGWRITES_STATE='{}' cargo test a_register_without_flushes",
            failure.state()
        ))
    );
}

/// Each thread has a register of its own; a flush of one makes the others' writes durable too.
#[test]
fn threads_may_use_the_disk_at_the_same_time() {
    let place = |thread: u64| thread * 4096;
    let recording = disk(1 << 20).record(|disk| {
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                scope.spawn(move || {
                    for number in 1..=10u8 {
                        disk.write_at(&[number; 512], place(thread)).unwrap();
                        disk.flush().unwrap();
                        disk.mark(&format!("{thread} {number}"));
                    }
                });
            }
        });
        Ok(())
    });
    let report = recording.survives(|crash| {
        for thread in 0..4 {
            let marks = crash.marks();
            let marks = marks.iter().filter_map(|mark| mark.strip_prefix(&format!("{thread} ")));
            let marked = marks.map(|number| number.parse().unwrap()).max().unwrap_or(0);
            let mut sector = [0; 512];
            crash.disk().read_at(&mut sector, place(thread))?;
            assert!(sector[0] >= marked && sector.iter().all(|byte| *byte == sector[0]));
        }
        Ok(())
    });
    assert!(report.is_decided());
}

/// The number of the line in this file that has some code first.
fn line_of(code: &str) -> usize {
    include_str!("disk.rs").lines().position(|line| line.contains(code)).unwrap() + 1
}

#[test]
fn an_error_and_a_loop_fail_as_a_panic_does() {
    let recording = disk(8192).record(|disk| Ok(disk.write_at(&[1; 512], 0)?));
    let failure = recording.search(|crash| {
        let mut first = [0];
        crash.disk().read_at(&mut first, 0)?;
        if first == [0] { Err("it is gone".into()) } else { Ok(()) }
    });
    assert!(failure.unwrap_err().to_string().contains("it is gone"));
    let failure = recording.timeout(Duration::from_millis(50)).search(|crash| {
        let mut first = [0];
        while first == [0] {
            crash.disk().read_at(&mut first, 0)?;
        }
        Ok(())
    });
    assert!(failure.unwrap_err().to_string().contains("more than 0.05 s"));
}

#[test]
fn a_checker_that_depends_on_chance_is_caught() {
    let recording = disk(1 << 16).record(|disk| {
        (0..16).try_for_each(|sector| disk.write_at(&[1; 512], sector * 512))?;
        Ok(())
    });
    let nr_runs = std::sync::atomic::AtomicU64::new(0);
    let failure = recording.search(|crash| {
        let nth = nr_runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut byte = [0];
        crash.disk().read_at(&mut byte, nth % 16 * 512)?;
        if nth == 7 { Err("the seventh".into()) } else { Ok(()) }
    });
    assert!(failure.unwrap_err().to_string().contains("not deterministic"));
}

/// What `LOGWRITES_STATE` repeats: this very program is started with it.
#[test]
fn one_state_is_repeated_by_its_name() {
    let repeat = |state: &str| {
        let program = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(program);
        command
            .args(["--exact", "a_state_to_be_repeated", "--ignored", "--nocapture"])
            .env("LOGWRITES_STATE", state);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (has_passed, text) = repeat("2^0");
    assert!(!has_passed && text.contains("the check fails on state 2^0: found None"), "{text}");
    assert!(text.contains("the checker is run"), "what it prints is seen: {text}");
    let (has_passed, text) = repeat("2");
    assert!(has_passed && text.contains("the check passes on state 2"), "{text}");
    let (has_passed, text) = repeat("7000");
    assert!(has_passed && text.contains("no state 7000 in a_state_to_be_repeated"), "{text}");
}

#[test]
#[ignore = "it is for one_state_is_repeated_by_its_name"]
fn a_state_to_be_repeated() {
    let recording = disk(1 << 20).record(|disk| count_to_twenty(disk, false));
    recording.survives(|crash| {
        eprintln!("the checker is run");
        holds_what_was_marked(crash)
    });
}

#[test]
fn a_search_that_is_ended_early_says_what_is_decided() {
    let recording = disk(1 << 20).record(|disk| {
        (0..20).try_for_each(|sector| disk.write_at(&[1; 512], sector * 512))?;
        Ok(())
    });
    let all = |crash: &logwrites_check::Crash<Disk>| Ok(crash.disk().read_at(&mut [0; 20 * 512], 0)?);
    let report = recording.threads(1).limit(500).survives(all);
    assert!(!report.is_decided() && report.decided() != report.total());
    assert_eq!(report.nr_runs(), 500);
    assert!(
        report.to_string().contains("every state that loses at most 2 writes or keeps at most 2"),
        "{report}"
    );
}

#[test]
fn a_workload_without_writes_has_one_state() {
    let report = disk(512).record(|_| Ok(())).survives(|_| Ok(()));
    assert_eq!(report.to_string(), "1 state decided by 2 runs");
}
