//! `logwrites explore --nested`: a crash during recovery. That it proves a recovery that can be begun again, finds one that
//! cannot, and shows where.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::common::golden::golden;
use crate::common::{Folder, Ran, signal};

use serde_json::Value;

/// A store that writes two copies of a byte, and before that the byte to a journal and a header that says that it is there.
fn store() -> Folder {
    let folder = Folder::new();
    let (journal, copies) = (
        "write -P 7 1k 512\nflush\nwrite -P 74 512 512\nflush\n",
        "write -P 7 4k 512\nwrite -P 7 4608 512\n",
    );
    folder.record(
        "disk --create 1M --log log",
        &format!("{journal}{copies}flush\nwrite -P 0 512 512\nflush\n"),
    );
    folder
}

/// It recovers by its journal, in some order, and looks whether the copies are the same.
fn check(recover: &str) -> String {
    let store = r#"
        byte() { dd if="$CRASH_IMAGE" bs=512 skip=$1 count=1 2>/dev/null | od -An -tu1 -N1 | tr -d ' '; }
        put() { dd of="$CRASH_IMAGE" bs=512 seek=$1 count=1 iflag=fullblock conv=notrunc$2 2>/dev/null; }
        copy() { dd if="$CRASH_IMAGE" bs=512 skip=2 count=1 2>/dev/null | put $1 $2; }
        clear() { head -c 512 /dev/zero | put 1 $1; }
        if [ "$(byte 1)" = 74 ]; then RECOVER; fi
        [ "$(byte 8)" = "$(byte 9)" ] || { echo "half of it is there"; exit 1; }"#;
    store.replace("RECOVER", recover)
}

/// The journal is cleared last, and after a flush.
const RIGHT: &str = "copy 8; copy 9 ,fsync; clear ,fsync";

/// It is cleared first.
const CLEARED_FIRST: &str = "clear ,fsync; copy 8 ,fsync; copy 9 ,fsync";

/// It is cleared last, and nothing tells the disk so.
const NOT_FLUSHED: &str = "copy 8; copy 9; clear ,fsync";

fn explore(folder: &Folder, recover: &str, args: &[&str]) -> Ran {
    let check = check(recover);
    let explore = ["explore", "log", "--size", "1M", "--check", &check];
    folder.run_of(explore.iter().chain(args))
}

/// What `--json` says of the one check.
fn found(ran: &Ran) -> Value {
    ran.json().swap_remove(0)
}

#[test]
fn a_recovery_that_can_be_begun_again_is_proved() {
    let folder = store();
    // How many of these states are run, and which are decided by others, depends on the jobs.
    let ran = explore(&folder, RIGHT, &["--nested", "--jobs", "1", "--json"]).code(0);
    let (report, summary) = (found(&ran), ran.json().swap_remove(1));
    assert_eq!((&report["verdict"], &report["decided_share"]), (&"proved".into(), &1.0.into()));
    let nested: u64 = report["nested_states"].as_str().expect("a string").parse().expect("a number");
    assert!(nested > 4, "{report}");
    assert_eq!(report["nested_states"], summary["nested_states"]);
    let ran = explore(&folder, RIGHT, &["--nested", "--jobs", "1"]).code(0);
    assert!(ran.stdout.contains("proved: every crash is survived, also during recovery: "), "{ran:#?}");
    assert!(ran.stdout.contains(&format!(", and {nested} of crashed recoveries, decided by ")), "{ran:#?}");
    // Nothing is said of recoveries that are not crashed.
    let ran = explore(&folder, RIGHT, &["--json"]).code(0);
    assert_eq!(
        (found(&ran)["verdict"].as_str(), &found(&ran)["nested_states"]),
        (Some("proved"), &Value::Null)
    );
}

#[test]
fn a_recovery_that_clears_its_journal_first_is_shown_how_far_it_was() {
    let folder = store();
    let proved = explore(&folder, CLEARED_FIRST, &[]).code(0);
    assert!(proved.stdout.contains("proved: "), "without a second crash it is right: {proved:#?}");
    let report = found(&explore(&folder, CLEARED_FIRST, &["--nested", "--json"]).code(1));
    let finding = &report["findings"][0];
    assert_eq!((&finding["state"], &finding["output"]), (&"3".into(), &"half of it is there".into()));
    let recovery = &finding["recovery"];
    assert_eq!((&recovery["state"], &recovery["lost"]), (&"3".into(), &"".into()), "{finding}");
    assert_eq!((&recovery["last_good"], &recovery["first_bad"]), (&2.into(), &3.into()));
    assert_eq!((&recovery["last_write"]["entry"], &recovery["last_write"]["sector"]), (&2.into(), &8.into()));
    assert_eq!(recovery["blocks"][0]["offset_bytes"], 4096, "{finding}");
    let ran = explore(&folder, CLEARED_FIRST, &["--nested"]).code(1);
    for text in [
        "1. exit code 1 after a crash during recovery (",
        "   the least that fails so: a crash at point 3\n",
        "   then a crash during recovery: at point 3 of what the check writes, right after entry 2, a write of 512 B at sector 8\n",
        "   with none of the check's writes lost it first fails at its point 3; its point 2 passes\n",
        "   the nearest state that passes: 3/2\n",
        " --state 3/3\n",
    ] {
        assert!(ran.stdout.contains(text), "no {text:?} in {ran:#?}");
    }
}

#[test]
fn a_recovery_that_forgets_a_flush_is_shown_the_write_that_it_may_not_lose() {
    let folder = store();
    explore(&folder, NOT_FLUSHED, &[]).code(0);
    let ran = explore(&folder, NOT_FLUSHED, &["--nested", "--jobs", "1"]).code(1);
    let lost = "   lost: entry 0, a write of 512 B at sector 8\n";
    assert!(ran.stdout.contains(lost) && ran.stdout.contains(" --state '3/3^0'\n"), "{ran:#?}");
    let report = found(&explore(&folder, NOT_FLUSHED, &["--nested", "--json"]).code(1));
    let recovery = &report["findings"][0]["recovery"];
    assert_eq!((&recovery["state"], &recovery["one_minimal"]), (&"3^0".into(), &true.into()), "{report}");
    // The writes are durable where the file is opened so.
    let durable = NOT_FLUSHED.replace("copy 8; copy 9;", "sync_copy 8; sync_copy 9;");
    let durable = format!(
        r#"sync_copy() {{ dd if="$CRASH_IMAGE" bs=512 skip=2 count=1 2>/dev/null | dd of="$CRASH_IMAGE" bs=512 seek=$1 count=1 oflag=dsync conv=notrunc 2>/dev/null; }}; {durable}"#
    );
    explore(&folder, &durable, &["--nested"]).code(0);
}

#[test]
fn a_crash_of_a_recovery_is_shown_again() {
    let folder = store();
    let again = |args: &[&str]| explore(&folder, CLEARED_FIRST, args);
    let ran = again(&["--state", "3/3"]).code(1);
    assert!(
        ran.stdout.contains("half of it is there") && ran.stdout.contains("exit code 1 on state 3/3"),
        "{ran:#?}"
    );
    assert!(again(&["--state", "3/2"]).code(0).stdout.contains("passed on state 3/2"));
    assert!(again(&["--state", "3"]).code(0).stdout.contains("passed on state 3\n"));
    assert!(again(&["--state", "3", "--nested"]).code(1).stdout.contains("exit code 1 on state 3/3"));
    again(&["--state", "3/9"]).code(2).says(&["a crash of what the check", "point 9 is after the end"]);
    again(&["--state", "3/3^0"]).code(2).says(&["entry 0 is durable at point 3: flush 1 covers it"]);
    again(&["--state", "3/x"]).code(2).says(&["after the /, in the check's own writes: expected a point"]);

    again(&["--state", "3/3", "--export", "exported"]).code(0);
    let exported = folder.read("exported");
    assert_eq!((exported[512], exported[4096], exported[4608], exported[1024]), (0, 7, 0, 7));
    again(&["--state", "3", "--export", "other"]).code(2).says(&["--check cannot be used with --export"]);
    let alone = ["explore", "log", "--size", "1M", "--state", "3/3", "--export", "other"];
    folder.run_of(alone).code(2).says(&["needs --check CHECK"]);
    assert!(!folder.has("other"));

    let check = check(CLEARED_FIRST);
    let args = ["explore", "log", "--size", "1M", "--check", &check, "--state", "3/3"];
    let mut shell = folder.command_of(args.iter().chain(&["--shell"]));
    let mut shell = shell
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let commands = b"cmp $CRASH_IMAGE exported && echo same";
    shell.stdin.take().expect("a pipe").write_all(commands).expect("the shell reads");
    assert_eq!(Ran::end_of(shell).code(0).stdout, "same\n");

    fs::create_dir(folder.path("mnt")).expect("a folder");
    let mut serving = folder.command_of(args.iter().chain(&["--serve", "fuse", "--mountpoint", "mnt"]));
    let mut serving = serving.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut greeting = String::new();
    BufReader::new(serving.stdout.as_mut().expect("a pipe")).read_line(&mut greeting).expect("a line");
    let disk = folder.read("mnt/disk@3");
    signal(&serving, "TERM");
    assert!(serving.wait().expect("it ends").success() && disk == exported, "{greeting}");
}

#[test]
fn what_is_kept_of_a_crash_of_a_recovery_shows_it() {
    let folder = store();
    let nested = ["--nested", "--out", "dir", "--json"];
    let printed = explore(&folder, CLEARED_FIRST, &nested).code(1).json();
    explore(&folder, CLEARED_FIRST, &["--state", "3/3", "--export", "exported"]).code(0);
    assert!(folder.read("dir/failures/1/crash.img") == folder.read("exported"));
    let written = folder.run("ls dir/failures/1/written.log").code(0).stdout;
    let kinds: Vec<&str> =
        written.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(kinds, ["write", "flush", "write", "flush", "write", "flush"], "{written}");
    folder.run("replay log --size 1M --at 3 --output replayed").code(0);
    folder.run("replay dir/failures/1/written.log --at 3 --onto replayed").code(0);
    assert!(folder.read("replayed") == folder.read("exported"));
    assert_eq!(folder.run("explore report dir --json").code(0).json(), printed);
    let html = folder.run("explore report dir --html page.html --junit junit.xml").code(0);
    assert!(html.stdout.contains("then a crash during recovery"));
    for page in ["page.html", "junit.xml"] {
        let page = String::from_utf8(folder.read(page)).expect("it is text");
        assert!(page.contains("then a crash during recovery: at point 3"), "{page}");
    }

    let resume =
        |args: &[&str]| explore(&folder, CLEARED_FIRST, &[&["--out", "dir", "--resume"], args].concat());
    resume(&[]).code(2).says(&["with another --nested"]);
    let again = resume(&["--nested", "--json"]).code(1);
    let findings = |report: &Value| report["findings"].clone();
    assert_eq!(findings(&found(&again)), findings(&printed[0]));
    assert!(found(&again)["runs"].as_u64() < printed[0]["runs"].as_u64(), "{again:#?}");
}

#[test]
fn a_budget_that_ends_in_a_recovery_proves_nothing() {
    let folder = store();
    let whole = found(&explore(&folder, RIGHT, &["--nested", "--json", "--jobs", "1"]).code(0));
    let runs = whole["runs"].as_u64().expect("a number");
    for budget in [2, runs / 2] {
        let args = ["--nested", "--json", "--jobs", "1", "--budget", &budget.to_string()];
        let report = found(&explore(&folder, RIGHT, &args).code(0));
        assert_eq!(
            (&report["verdict"], report["runs"].as_u64()),
            (&"sampled".into(), Some(budget)),
            "{report}"
        );
    }
}

#[test]
fn e2fsck_may_crash_while_it_replays_a_journal() {
    let folder = golden("ext4-64m");
    // There are three transactions in the journal.
    let args = "explore log --base base --check ext4 --nested --from 118 --to 160 --json";
    let report = found(&folder.run(args).code(0));
    assert_eq!(report["verdict"], "proved", "{report}");
    assert!(report["runs"].as_u64() > Some(50), "{report}");
}

#[test]
#[ignore = "it takes half a minute: tests/prove runs it"]
fn e2fsck_may_crash_at_every_crash_of_a_kernels_log() {
    let folder = golden("ext4-64m");
    let ran = folder.run("explore log --base base --check ext4 --nested --from mark:mkfs --json").code(0);
    let report = found(&ran);
    assert_eq!((&report["verdict"], &report["groups_decided"]), (&"proved".into(), &77.into()), "{report}");
    println!(
        "recoveries: {} crashes, {} runs",
        report["nested_states"].as_str().expect("a number"),
        report["runs"]
    );
}
