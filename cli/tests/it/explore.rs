//! `logwrites explore`: that it proves what survives every crash, finds what does not, and says the least that it takes.
#![cfg(target_os = "linux")]

use crate::common;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::golden::golden;
use common::images::unpack;
use common::{Folder, Ran, signal, wait_until};
use logwrites::device::{ImageFormat, OriginOptions};
use logwrites::explore::Recording;
use logwrites::log::Log;
use logwrites_core::Extent;
use logwrites_core::crash::{
    Group, Groups, Layers, Model, Proved, Rules, Search, StateCount, Verdict, ordering_of,
};
use logwrites_core::history::{Checkpoints, Discards, Piece};
use serde_json::Value;

/// What the last line of `--json` says of all checks, and what the lines before say of each.
fn explored(ran: &Ran) -> (Value, Vec<Value>) {
    let mut lines = ran.json();
    (lines.pop().expect("a summary"), lines)
}

/// `e2fsck` by its own, in one command, so that tests of the harness need no preset.
fn explore(folder: &Folder, args: &[&str]) -> Ran {
    run_of(folder, ["explore", "log", "--size", "1M", "--json"].iter().chain(args))
}

fn run(folder: &Folder, args: &str) -> Ran {
    run_of(folder, args.split_whitespace())
}

/// Runs the tool, and looks whether it leaves anything mounted.
fn run_of(folder: &Folder, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let ran = Ran::of(&mut command_of(folder, args));
    assert!(!has_mounts(folder), "nothing is left mounted");
    ran
}

/// The tool, with its temporary files in the folder.
fn command_of(folder: &Folder, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = folder.command_of(args);
    command.env("TMPDIR", folder.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What is told on standard output.
fn prints(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stdout.contains(text), "no {text:?} in {ran:#?}");
    }
}

/// Whether anything is mounted in the folder.
fn has_mounts(folder: &Folder) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("Linux has it");
    mounts.contains(folder.path("").to_str().expect("a plain path"))
}

#[test]
fn ext4_survives_every_crash_of_a_kernel_log() {
    let folder = golden("ext4-64m");
    for order in ["", "--log-order completion"] {
        let ran =
            run(&folder, &format!("explore log --base base --check ext4 --from mark:mkfs --json {order}"));
        let (summary, checks) = explored(&ran.code(0));
        assert_eq!(summary["verdict"], "proved");
        assert_eq!((&summary["groups"], &summary["groups_decided"]), (&77.into(), &77.into()));
        assert!(
            summary["states_log2"].as_f64().is_some_and(|log2| (66.0..66.1).contains(&log2)),
            "{summary}"
        );
        assert!(
            summary["states"].as_str().is_some_and(|states| states.starts_with("7378") && states.len() == 20)
        );
        assert!(summary["runs"].as_u64().is_some_and(|runs| runs < 200), "{summary}");
        assert_eq!((checks.len(), &checks[0]["check"]), (1, &"ext4".into()));
    }
}

#[test]
fn ext4_survives_every_crash_of_a_log_of_qemu() {
    let folder = golden("qemu-ext4-64m");
    // The first flushes are those of mkfs, in the midst of which there is no file system.
    let ran = run(&folder, "explore log --base base --check ext4 --from flush:6 --json").code(0);
    assert_eq!(explored(&ran).0["verdict"], "proved");
    let ran = run(&folder, "explore log --base base --check ext4 --to flush:6").code(1);
    prints(&ran, &["failed", "exit code 8", "no write is lost"]);
}

#[test]
fn torn_writes_are_those_of_the_atomic_unit() {
    let folder = golden("ext4-64m");
    let explore = "explore log --base base --check ext4 --from mark:mkfs --model torn";
    let ran = run(&folder, &format!("{explore} --atomic-unit 4k --json")).code(0);
    assert_eq!(explored(&ran).0["verdict"], "proved");
    // A superblock of ext4 has 1 KiB, which a disk with sectors of 512 bytes can tear.
    let (summary, checks) = explored(&run(&folder, &format!("{explore} --json")).code(1));
    assert_eq!((&summary["verdict"], &summary["distinct_failures"]), (&"failed".into(), &1.into()));
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["ended"], &finding["one_minimal"]), (&"exit code 8".into(), &true.into()));
    let state = finding["state"].as_str().expect("a name");
    let entry = state.split_once('^').expect("something is lost").1;
    assert!(entry.contains(':') && !entry.contains(','), "a part of one write: {state}");
    let again =
        run_of(&folder, ["explore", "log", "--base", "base", "--check", "ext4", "--state", state]).code(1);
    prints(&again, &["exit code 8", "superblock", state]);
    assert_eq!(finding["lost_writes"][0]["names"], serde_json::json!(["superblock"]), "{finding}");
    let whole = run_of(&folder, ["explore", "log", "--base", "base", "--check", "ext4", "--state", "103"]);
    prints(&whole.code(0), &["passed"]);
}

/// A store that says in a header that its data is there.
const STORE: &str = "write -P 1 64k 4k\nFLUSH write -P 2 0 512\nflush\nmark stored\n";

/// The data must be there if the header says so, and the header must after the mark.
const INTACT: &str = r#"
    header() { dd if="$CRASH_IMAGE" bs=512 count=1 2>/dev/null | tr '\2' H | grep -q H; }
    data() { dd if="$CRASH_IMAGE" bs=4k skip=16 count=1 2>/dev/null | tr '\1' D | grep -q D; }
    if header; then data || { echo "no data"; exit 1; }
    elif [ "$CRASH_LAST_MARK" = stored ]; then echo "nothing was stored"; exit 1; fi
"#;

fn store(barrier: &str) -> Folder {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", &STORE.replace("FLUSH ", barrier));
    folder
}

#[test]
fn a_store_that_flushes_its_data_first_is_proved() {
    let ran = explore(&store("flush\n"), &["--check", INTACT]).code(0);
    let (summary, _) = explored(&ran);
    assert_eq!((&summary["verdict"], &summary["decided_share"]), (&"proved".into(), &1.0.into()));
}

#[test]
fn a_store_that_forgets_a_flush_is_shown_the_write_that_it_may_not_lose() {
    let folder = store("");
    let (summary, checks) = explored(&explore(&folder, &["--check", INTACT]).code(1));
    assert_eq!((&summary["verdict"], &summary["failures"]), (&"failed".into(), &1.into()));
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["state"], &finding["one_minimal"]), (&"2^0".into(), &true.into()));
    assert_eq!((&finding["ended"], &finding["output"]), (&"exit code 1".into(), &"no data".into()));
    folder.run("replay log --size 1M --output crashed --at 2^0").code(0);
    let crashed = folder.read("crashed");
    assert!(crashed[..512] == [2; 512] && crashed[512..].iter().all(|byte| *byte == 0));
    let again = ["explore", "log", "--size", "1M", "--check", INTACT, "--state", "mark:stored~2^0"];
    prints(&run_of(&folder, again).code(1), &["no data", "exit code 1 on state 2^0"]);
    let ran = run_of(&folder, ["explore", "log", "--size", "1M", "--check", INTACT]).code(1);
    prints(&ran, &["lost: entry 0, a write of 4.00 KiB at sector 128", "--state '2^0'", "| no data"]);
}

/// The mark says that it is stored, and it is written afterwards.
#[test]
fn a_store_that_promises_too_early_is_shown_the_point() {
    let folder = Folder::new();
    let script = "write -P 1 64k 4k\nflush\nwrite -P 7 32k 4k\nmark stored\nflush\nwrite -P 2 0 512\nflush\n";
    folder.record("disk --create 1M --log log", script);
    let (summary, checks) = explored(&explore(&folder, &["--check", INTACT]).code(1));
    assert_eq!(summary["verdict"], "failed");
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["lost"], &finding["output"]), (&"".into(), &"nothing was stored".into()));
    assert_eq!((&finding["last_good"], &finding["first_bad"]), (&3.into(), &4.into()));
    let ran = run_of(&folder, ["explore", "log", "--size", "1M", "--check", INTACT]).code(1);
    prints(&ran, &["first fails at point 4; point 3 passes"]);
}

/// Many groups fail in the same way, and which of them is tried first depends on the jobs.
#[test]
fn whatever_the_jobs_are_a_finding_is_the_same() {
    let folder = Folder::new();
    let rounds = (1..=8).map(|nth| format!("write -P {nth} {}k 4k\nwrite -P {nth} 0 512\nflush\n", 64 * nth));
    folder.record("disk --create 1M --log log", &rounds.collect::<String>());
    let check = r#"
        header=$(od -An -tu1 -N1 "$CRASH_IMAGE" | tr -d ' ')
        dd if="$CRASH_IMAGE" bs=4k skip=$((header * 16)) count=1 2>/dev/null | tr -d '\0' | grep -q . ||
            [ "$header" = 0 ] || { echo "no data"; exit 1; }"#;
    let findings = |jobs: &str| {
        let (_, checks) = explored(&explore(&folder, &["--jobs", jobs, "--check", check]).code(1));
        let mut findings = checks[0]["findings"].clone();
        assert!(findings[0]["tried"].as_u64() >= Some(1), "{findings}");
        findings[0]["again"].take();
        findings
    };
    let alone = findings("1");
    assert_eq!((&alone[0]["state"], &alone[1]), (&"2^0".into(), &Value::Null));
    for jobs in ["2", "7"] {
        assert_eq!(findings(jobs), alone);
    }
}

/// With a flush between them, and in the wrong order.
#[test]
fn a_store_that_writes_its_header_first_is_shown_the_point() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -P 2 0 512\nflush\nwrite -P 1 64k 4k\nflush\n");
    let (summary, checks) = explored(&explore(&folder, &["--check", INTACT]).code(1));
    assert_eq!(summary["verdict"], "failed");
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["lost"], &finding["output"]), (&"".into(), &"no data".into()));
    assert_eq!((&finding["last_good"], &finding["first_bad"]), (&0.into(), &1.into()));
}

/// A record whose length says that it is there, and nothing else.
#[test]
fn a_record_without_a_checksum_is_torn() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -P 7 64k 4k\nflush\n");
    let check = r#"
        record() { dd if="$CRASH_IMAGE" bs=512 skip=$1 count=1 2>/dev/null | tr -d '\0' | wc -c; }
        first=$(record 128)
        for sector in 129 130 131 132 133 134 135; do
            [ "$(record $sector)" = "$first" ] || { echo "a torn record"; exit 1; }
        done"#;
    let verdict = |args: &[&str], code| {
        let args = ["--check", check].iter().chain(args).copied().collect::<Vec<_>>();
        explored(&explore(&folder, &args).code(code))
    };
    assert_eq!(verdict(&[], 0).0["verdict"], "proved");
    assert_eq!(verdict(&["--model", "torn", "--atomic-unit", "4k"], 0).0["verdict"], "proved");
    let (summary, checks) = verdict(&["--model", "torn"], 1);
    assert_eq!((&summary["states"], &checks[0]["failing"]), (&"256".into(), &"254".into()), "{summary}");
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["output"], &finding["one_minimal"]), (&"a torn record".into(), &true.into()));
    let lost = &finding["lost_writes"];
    assert_eq!((&lost[0]["entry"], &lost[1]), (&0.into(), &Value::Null), "{finding}");
    assert_eq!(lost[0]["sectors"][0], lost[0]["sectors"][1], "one sector of it is enough: {finding}");
}

#[test]
fn checks_are_decided_each_on_its_own() {
    let folder = store("");
    let only = |what: &str| INTACT.replace("data || { echo", &format!("{what} || {{ echo"));
    let (good, bad) = (only("true"), only("data"));
    let (summary, checks) = explored(&explore(&folder, &["--check", &good, "--check", &bad]).code(1));
    let verdicts: Vec<&Value> = checks.iter().map(|check| &check["verdict"]).collect();
    assert_eq!(verdicts, ["proved", "failed"]);
    assert_eq!(summary["verdict"], "failed");
}

#[test]
fn a_check_that_proves_nothing_is_refused() {
    let folder = store("flush\n");
    let refused =
        |check: &str, code, texts: &[&str]| explore(&folder, &["--check", check]).code(code).says(texts);
    refused("true", 2, &["never read the disk", "CRASH_IMAGE"]);
    refused(r#"cat "$CRASH_IMAGE" >/dev/null; echo broken; exit 3"#, 2, &["exit code 3", "broken"]);
    refused("echo cannot; exit 4", 2, &["exit code 4", "cannot"]);
    refused("no-such-program-anywhere", 3, &["cannot be run", "127"]);
    explore(&folder, &["--check", ""]).code(2).says(&["expected a preset or a command"]);
}

#[test]
fn a_check_that_is_not_deterministic_is_caught() {
    let folder = store("");
    folder.write("n", "0");
    let n = folder.path("n");
    // It fails each third time, whatever it reads.
    let check = format!(
        r#"dd if="$CRASH_IMAGE" bs=64k count=2 of=/dev/null 2>/dev/null; n=$(cat {n}); echo $((n + 1)) >{n}; [ $((n % 3)) != 2 ]"#,
        n = n.display()
    );
    let (summary, _) = explored(&explore(&folder, &["--check", &check, "--jobs", "1"]).code(0));
    assert_eq!(summary["verdict"], "sampled");
    assert!(summary["flaky"].as_u64() > Some(0), "{summary}");
}

#[test]
fn a_check_that_hangs_has_failed_and_is_ended_with_all_that_it_started() {
    let folder = store("");
    let pid = folder.path("pid");
    let hang = format!("setsid sleep 1234 & echo $! >{}; wait", pid.display());
    let check = INTACT.replace(r#"{ echo "no data"; exit 1; }"#, &format!("{{ {hang}; }}"));
    let ran = explore(&folder, &["--check", &check, "--timeout", "2s"]).code(1);
    let (summary, checks) = explored(&ran);
    assert_eq!((&summary["verdict"], &summary["timeouts"]), (&"failed".into(), &1.into()));
    let finding = &checks[0]["findings"][0];
    assert_eq!((&finding["ended"], &finding["state"]), (&"timed out".into(), &"2^0".into()));
    let pid = String::from_utf8(folder.read("pid")).expect("a number");
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "its child has ended, too");
}

/// As [`INTACT`], by NBD; what the client writes, the file has, and the next state has not.
const INTACT_BY_NBD: &str = r#"
env PATH=/usr/bin nbdsh -u "$CRASH_NBD_URI" -c '
import os, sys
has_header = h.pread(512, 0)[0] == 2
if has_header and h.pread(4096, 64 << 10)[0] != 1:
    sys.exit("no data")
if not has_header and os.environ["CRASH_LAST_MARK"] == "stored":
    sys.exit("nothing was stored")
h.pwrite(b"\3" * 512, 0)
h.zero(512, 512)
h.flush()
with open(os.environ["CRASH_IMAGE"], "rb") as image:
    assert image.read(1024) == b"\3" * 512 + bytes(512)
'"#;

#[test]
fn a_check_finds_the_disk_by_nbd_too() {
    let (summary, _) = explored(&explore(&store("flush\n"), &["--check", INTACT_BY_NBD]).code(0));
    assert_eq!(summary["verdict"], "proved");
    let folder = store("");
    // A client that stays is cut off, and does not reach the next state.
    let stays = "setsid env PATH=/usr/bin nbdsh -u \"$CRASH_NBD_URI\" -c 'import time; time.sleep(30)' >/dev/null 2>&1 &";
    let check = format!("{stays}{INTACT_BY_NBD}");
    let (summary, checks) = explored(&explore(&folder, &["--check", &check]).code(1));
    let finding = &checks[0]["findings"][0];
    assert_eq!((&summary["verdict"], &finding["state"]), (&"failed".into(), &"2^0".into()));
    assert_eq!(finding["output"], "no data");
}

#[test]
fn what_a_check_leaves_behind_does_not_reach_the_next_state() {
    let folder = store("");
    let keeper = |how: &str| {
        format!("{how} sh -c 'exec 3<>\"$CRASH_IMAGE\"; sleep 30' >/dev/null 2>&1 &\nsleep 0.1\n{INTACT}")
    };
    // It is ended wherever it has gone: in the check's process group, in a session of its own, as an orphan of an orphan.
    // The verdict is the one that the check alone comes to.
    for how in ["", "setsid", "setsid -f setsid -f"] {
        let (summary, checks) = explored(&explore(&folder, &["--check", &keeper(how)]).code(1));
        let state = &checks[0]["findings"][0]["state"];
        assert_eq!((&summary["verdict"], state), (&"failed".into(), &"2^0".into()), "{how}");
    }

    // A block device is no process: it keeps the disk open.
    let device = folder.path("device");
    let attach = format!("losetup --show -f \"$CRASH_IMAGE\" >{}\n{INTACT}", device.display());
    explore(&folder, &["--check", &attach]).code(2).says(&["has left a process or a mount"]);
    let device = String::from_utf8(folder.read("device")).expect("its name");
    let detached = Command::new("losetup").args(["-d", device.trim()]).status();
    assert!(detached.expect("losetup, as root").success());

    folder.write("precious", "kept");
    let link =
        format!("rm -r \"$CRASH_TMPDIR\"; ln -s {} \"$CRASH_TMPDIR\"; {INTACT}", folder.path("").display());
    explore(&folder, &["--check", &link]).code(1);
    assert_eq!(folder.read("precious"), b"kept");
}

#[test]
fn what_was_found_before_an_error_is_told() {
    let folder = store("");
    let check =
        format!("{}\n[ \"$CRASH_LAST_MARK\" = stored ] || exit 127", INTACT.replace("exit 1", "exit 5"));
    let ran = run_of(&folder, ["explore", "log", "--size", "1M", "--jobs", "1", "--check", &check]).code(3);
    assert!(ran.stderr.contains("cannot be run") && ran.stdout.contains("decided by"), "{ran:#?}");
}

#[test]
fn an_end_before_the_end_says_what_is_decided() {
    let folder = golden("ext4-64m");
    let ran = run(&folder, "explore log --base base --check ext4 --from mark:mkfs --budget 5 --jobs 1");
    prints(&ran.code(0), &["sampled", "groups are decided"]);
    run(&folder, "explore log --base base --check ext4 --budget never").code(2).says(&["--budget"]);
}

#[test]
fn an_interrupt_leaves_nothing_mounted() {
    let folder = store("");
    let marker = folder.path("began");
    let args = ["explore", "log", "--size", "1M", "--timeout", "2s", "--check"];
    let check = format!("cat \"$CRASH_IMAGE\" >/dev/null; echo >>{}; sleep 1", marker.display());
    let mut command = command_of(&folder, args.iter().copied().chain([check.as_str()]));
    let child = command.spawn().expect("it starts");
    wait_until("a checker runs", || marker.exists());
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, "INT");
    Ran::end_of(child).code(130).says(&["interrupted"]);
    assert!(!has_mounts(&folder));
}

#[test]
fn what_cannot_be_a_state_is_refused() {
    let folder = golden("ext4-64m");
    let state = |state: &str| {
        run_of(&folder, ["explore", "log", "--base", "base", "--check", "ext4", "--state", state])
    };
    state("999").code(2).says(&["999 is past the end"]);
    state("117^3").code(2).says(&["durable at point 117: flush"]);
    state("117^x").code(2).says(&["103,105-109"]);
    let range = "explore log --base base --check ext4 --from 20 --to 10";
    run(&folder, range).code(2).says(&["--from is point 20"]);
    run(&folder, "explore log --base base --check ext4 --atomic-unit 4k").code(2).says(&["--model torn"]);
}

#[test]
fn an_exploration_that_is_resumed_runs_nothing_twice() {
    let folder = golden("ext4-64m");
    let explore = "explore log --base base --check ext4 --from mark:mkfs --out dir --json";
    let (part, _) = explored(&run(&folder, &format!("{explore} --budget 40")).code(0));
    assert_eq!(part["verdict"], "sampled");
    run(&folder, explore).code(2).says(&["dir is not empty", "--resume"]);
    let (whole, _) = explored(&run(&folder, &format!("{explore} --resume")).code(0));
    assert_eq!(whole["verdict"], "proved");
    let runs = |summary: &Value| summary["runs"].as_u64().expect("a number");
    assert!(runs(&part) + runs(&whole) < 200, "{part} {whole}");
    let (again, _) = explored(&run(&folder, &format!("{explore} --resume")).code(0));
    assert_eq!((&again["verdict"], runs(&again)), (&"proved".into(), 0));
    let other = "explore log --base base --check ext4 --from mark:mkfs --out dir --resume --model torn";
    run(&folder, other).code(2).says(&["another model"]);
}

#[test]
fn a_kill_leaves_what_was_proved_and_nothing_mounted() {
    let folder = golden("ext4-64m");
    let explore = "explore log --base base --check ext4 --from mark:mkfs --out dir --json";
    let mut child = command_of(&folder, explore.split_whitespace()).spawn().expect("it starts");
    let outcomes = folder.path("dir/outcomes.jsonl");
    let nr_lines = || std::fs::read(&outcomes).map_or(0, |text| text.split(|byte| *byte == b'\n').count());
    wait_until("some runs are done", || nr_lines() > 20);
    child.kill().expect("it runs");
    child.wait().expect("it was started");
    wait_until("nothing is mounted", || !has_mounts(&folder));
    let (summary, _) = explored(&run(&folder, &format!("{explore} --resume")).code(0));
    assert_eq!(summary["verdict"], "proved");
    assert!(summary["runs"].as_u64() < Some(120), "{summary}");
}

#[test]
fn the_parts_of_a_partition_are_the_whole() {
    let folder = golden("ext4-64m");
    let explore = "explore log --base base --check ext4 --from mark:mkfs --json --partition";
    let parts: Vec<Value> = ["1/2", "2/2"]
        .iter()
        .map(|part| explored(&run(&folder, &format!("{explore} {part}")).code(0)).0)
        .collect();
    let groups: u64 = parts.iter().filter_map(|part| part["groups"].as_u64()).sum();
    assert_eq!(groups, 77);
    assert!(parts.iter().all(|part| part["verdict"] == "proved"));
    run(&folder, &format!("{explore} 3/2")).code(2).says(&["expected M/N"]);
}

/// What e2fsck reads of the crash states of a real log, recorded once, in place of e2fsck: the search alone.
#[test]
fn recorded_reads_of_e2fsck_decide_a_kernel_log() {
    let folder = golden("ext4-64m");
    let log = Log::open(&folder.path("log")).expect("a log");
    let from = log.index().marks_named(b"mkfs").next().expect("the mark") + 1;
    let (index, disk) = log.into_parts();
    let origin = OriginOptions::Image(folder.path("base"), ImageFormat::Probed).open().expect("the base");
    let recording = Recording::new(index, disk, origin);
    let e2fsck = recorded();
    for (model, most) in [(Model::Lost, 122), (Model::Ordered, 118)] {
        let rules = Rules { ordering: ordering_of(recording.index()), model, discards: Discards::Zero };
        let groups: Vec<Group> =
            Groups::new(recording.index(), rules, from..recording.index().nr_entries()).collect();
        let (mut states, mut decided) = (StateCount::zero(), StateCount::zero());
        let (mut runs, mut reused) = (0, 0);
        let mut proved = Proved::new();
        let mut checkpoints = Checkpoints::new(Discards::Zero);
        let begin = Instant::now();
        for group in &groups {
            let layers = Layers::new(recording.index(), group, &mut checkpoints).expect("few units");
            let mut search = Search::new(Arc::new(layers));
            while let Some(trial) = search.next_trial() {
                let map = trial.map();
                let contents = |pieces: &[Piece]| recording.fingerprint(pieces);
                let run = e2fsck.look_up(&(), &map, contents).expect("the recorded runs decide every state");
                if proved.look_up(&(), &map, contents).is_some() {
                    reused += 1;
                } else {
                    runs += 1;
                    let found = run.reads.iter().map(|read| {
                        (*read, contents(&map.pieces(*read).collect::<Vec<_>>()).expect("it can be read"))
                    });
                    proved.add((), found, ()).expect("deterministic");
                }
                search.report(trial, &run.reads, Verdict::Pass, contents);
            }
            assert!(search.is_decided());
            states += &group.nr_states();
            decided += search.decided();
        }
        println!(
            "{model:?}: {states} states in {} groups: {} runs, of which {reused} were proved before; {:.1?}",
            groups.len(),
            runs + reused,
            begin.elapsed()
        );
        assert_eq!(decided, states);
        assert!(runs <= most, "{model:?}: {runs} runs");
    }
}

/// The runs of `ext4-64m/explored.jsonl.zst`.
fn recorded() -> Proved<(), ()> {
    let folder = Folder::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/golden/ext4-64m/explored.jsonl.zst");
    unpack(Path::new(path), &folder.path("runs"));
    let mut runs = Proved::new();
    for line in folder.read("runs").split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line).expect("JSON");
        assert_eq!(line["ended"], "pass");
        let reads = line["reads"].as_array().expect("reads").iter().map(|read| {
            let number = |nth: usize| read[nth].as_u64().expect("a number");
            let hash = u128::from_str_radix(read[2].as_str().expect("a hash"), 16).expect("a hash");
            (Extent::new(number(0), number(1)).expect("an extent"), hash)
        });
        runs.add((), reads, ()).expect("deterministic");
    }
    runs
}
