//! `logwrites run --check`: that one line records a program and says whether it survives every crash, and what it does where
//! there is nothing to explore.
#![cfg(target_os = "linux")]

use crate::common;

use std::process::{Command, Stdio};

use crate::run::Stage;
use common::{Ran, signal, wait_until};

const EXT4: [&str; 4] = ["--mkfs", "ext4", "--size", "16M"];

/// A program that says that its note is there once it has done `sync`.
fn note(sync: &str) -> String {
    format!("echo hello >note; {sync}; echo mark noted >$LOGWRITES_CONTROL")
}

/// After the mark the note must be there.
const NOTED: &str = r#"
    e2fsck -E journal_only -p "$CRASH_IMAGE" >/dev/null || [ $? = 1 ] || exit 1
    [ "$CRASH_LAST_MARK" = noted ] || exit 0
    [ "$(debugfs -R 'cat /note' "$CRASH_IMAGE" 2>/dev/null)" = hello ] || { echo "the note is lost"; exit 1; }
"#;

fn run_sh(stage: &Stage, args: &[&str], script: &str) -> Ran {
    let ran = stage.run(&[&EXT4, args].concat(), &["sh", "-c", script]);
    stage.check_cleared();
    ran
}

#[test]
fn one_line_proves_a_program() {
    let stage = Stage::new();
    let script = format!("{}; echo out", note("sync note"));
    let ran = run_sh(&stage, &["--check", "ext4", "--check", NOTED], &script).code(0);
    assert_eq!(ran.stdout, "out\n", "standard output is the command's");
    let ran = ran.says(&["log holds", "ext4: proved: every crash is survived"]);
    assert_eq!(ran.stderr.matches(": proved: ").count(), 2, "{ran:#?}");
}

#[test]
fn one_line_shows_the_crash_that_a_program_does_not_survive() {
    let stage = Stage::new();
    let ran = run_sh(&stage, &["--check", NOTED], &note("true")).code(1);
    let ran = ran.says(&["failed", "after mark noted", "| the note is lost", "1 of 1 checks failed"]);
    // The line that shows it again can be typed as it is.
    let (_, again) = ran.stderr.split_once("again: logwrites ").expect("a line");
    let (again, _) = again.split_once("\nerror:").expect("the end follows");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{} {again}", env!("CARGO_BIN_EXE_logwrites"))]);
    let ran = Ran::of(shell.current_dir(stage.folder.path("")).env("TMPDIR", stage.folder.path("tmp")));
    assert!(ran.code(1).stdout.contains("exit code 1 on state"));
    // A crash before the mark loses nothing that was promised.
    let early = ["--force", "--check", NOTED, "--from", "end"];
    run_sh(&stage, &early, &note("true")).code(0).says(&["proved", "in 1 group"]);
}

#[test]
fn an_image_is_explored_as_what_was_before_the_log() {
    let stage = Stage::new();
    stage.run(&EXT4, &["sh", "-c", "echo hello >note"]).code(0);
    stage.folder.run("replay log --size 16M --output base.img").code(0);
    let script = "echo mark noted >$LOGWRITES_CONTROL; echo more >more";
    let args = ["--base", "base.img", "--force", "--check", NOTED];
    stage.run(&args, &["sh", "-c", script]).code(0).says(&[": proved: "]);
    stage.run(&args, &["sh", "-c", &format!("{script}; rm note")]).code(2).says(&["where nothing is lost"]);
    let script = "mv note other; sync other; echo mark noted >$LOGWRITES_CONTROL; mv other note";
    let ran = stage.run(&args, &["sh", "-c", script]).code(1);
    ran.says(&["| the note is lost", "again: logwrites explore log --base base.img --check"]);
    stage.check_cleared();
}

#[test]
fn a_command_that_fails_is_not_explored() {
    let stage = Stage::new();
    let ran = run_sh(&stage, &["--check", "ext4", "--model", "torn"], "exit 7").code(7);
    let again = "logwrites explore log --size 16777216 --from mark:mkfs --check ext4 --model torn";
    let ran = ran.says(&["not explored, since the command has failed", again]);
    assert!(!ran.stderr.contains("proved"), "{ran:#?}");
    // It has ended well, and an end was asked for all the same.
    let script = "trap 'exit 0' TERM; touch $OLDPWD/up; while :; do sleep 0.02; done";
    let args = [&EXT4[..], &["--force", "--check", "ext4"]].concat();
    let child = stage.command(&args, &["sh", "-c", script]).stderr(Stdio::piped()).spawn();
    let child = child.expect("it starts");
    wait_until("the command runs", || stage.folder.has("up"));
    signal(&child, "TERM");
    Ran::end_of(child).code(130).says(&["not explored, since an end was asked for", "the log is whole"]);
    stage.check_cleared();
}

#[test]
fn an_interrupt_ends_the_exploration_and_leaves_nothing() {
    let stage = Stage::new();
    let began = stage.folder.path("began");
    let check = format!("echo >>{}; sleep 1; {NOTED}", began.display());
    let args = [&EXT4[..], &["--check", &check]].concat();
    let child = stage.command(&args, &["sh", "-c", &note("sync note")]).stderr(Stdio::piped()).spawn();
    let child = child.expect("it starts");
    wait_until("a check runs", || began.exists());
    signal(&child, "INT");
    Ran::end_of(child).code(130).says(&["interrupted"]);
    stage.check_cleared();
    stage.folder.run("verify log").code(0);
}

#[test]
fn what_cannot_be_explored_is_refused_before_anything_runs() {
    let stage = Stage::new();
    std::fs::create_dir(stage.folder.path("full")).expect("a folder");
    stage.folder.write("full/file", "of value");
    let refused = |args: &[&str], texts: &[&str]| {
        run_sh(&stage, args, "touch $OLDPWD/ran").code(2).says(texts);
        assert!(!stage.folder.has("ran") && !stage.folder.has("log"), "nothing was run");
    };
    refused(&["--model", "torn"], &["--check"]);
    refused(&["--from", "end"], &["--check"]);
    refused(&["--check", "ext4", "--atomic-unit", "4k"], &["--model torn"]);
    refused(&["--check", "ext4", "--out", "full"], &["full is not empty"]);
    // The check itself is wrong, which the disk alone tells.
    run_sh(&stage, &["--check", "true"], "true").code(2).says(&["never read the disk"]);
}
