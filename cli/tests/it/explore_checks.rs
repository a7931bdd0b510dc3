//! The checks that `logwrites explore` has ready: that they find what software loses, and raise no false alarm.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;

use crate::common::fuse::{Files, program};
use crate::common::golden::golden;
use crate::common::{Folder, Ran};

use serde_json::{Value, json};

/// Records what a shell does in a new file system.
fn recorded(kind: &str, size: &str, options: &[&str], script: &str) -> Folder {
    let folder = Folder::new();
    let (run, command) =
        (["run", "--mkfs", kind, "--size", size, "--log", "log"], ["--", "sh", "-ec", script]);
    folder.run_of(run.iter().chain(options).chain(&command)).code(0);
    folder
}

/// Explores from the first moment of the file system on; gives the checks' objects.
fn explored(folder: &Folder, size: &str, code: i32, args: &[&str]) -> Vec<Value> {
    let explore = ["explore", "log", "--size", size, "--from", "mark:mkfs", "--json"];
    let mut lines = folder.run_of(explore.iter().chain(args)).code(code).json();
    lines.pop().expect("a summary");
    lines
}

fn verdicts(checks: &[Value]) -> Vec<&str> {
    checks.iter().filter_map(|check| check["verdict"].as_str()).collect()
}

/// The first way to fail.
fn finding(checks: &[Value]) -> &Value {
    &checks[0]["findings"][0]
}

/// What file systems have most trouble with: names that change while files grow.
const NAMES: &str = "
    for i in 1 2; do
        echo hello$i >a$i; sync a$i; mv a$i b$i; sync .; echo more >>b$i; mkdir d$i; ln b$i d$i/l; sync b$i
    done
    rm b1; sync
";

#[test]
fn file_systems_with_a_journal_survive_every_crash() {
    for (kind, size, checks) in [("ext4", "32M", ["ext4", "mount"]), ("btrfs", "128M", ["btrfs", "mount"])] {
        let folder = recorded(kind, size, &[], NAMES);
        let checks = explored(&folder, size, 0, &["--check", checks[0], "--check", checks[1]]);
        assert_eq!(verdicts(&checks), ["proved", "proved"], "{checks:#?}");
    }
}

/// Its recovery reads all that it may have to write, so that few states share a run: three writes of a file.
#[test]
fn xfs_survives_every_crash() {
    let folder = recorded("xfs", "300M", &[], "echo hello >a; sync a; mv a b; sync .");
    let checks = explored(&folder, "300M", 0, &["--check", "xfs", "--to", "flush:-3"]);
    assert_eq!(verdicts(&checks), ["proved"], "{checks:#?}");
}

/// FAT has no journal: either of the writes by which a file comes to be may be the one that is lost.
#[test]
fn vfat_does_not_and_its_sectors_are_named() {
    let folder = Folder::new();
    let files = Files::start(&folder, "--log log --size 4M");
    let disk = files.disk();
    let args: [&OsStr; 5] = ["-F".as_ref(), "16".as_ref(), "-s".as_ref(), "1".as_ref(), disk.as_ref()];
    program("dosfstools", "mkfs.fat", &args);
    files.mark("mkfs");
    folder.write("notes", [b'n'; 1600]);
    let notes = folder.path("notes");
    program("mtools", "mcopy", &["-i".as_ref(), disk.as_ref(), notes.as_ref(), "::/notes.txt".as_ref()]);
    files.mark("stored");
    files.stop().code(0);
    let checks = explored(&folder, "4M", 1, &["--check", "vfat"]);
    let findings = checks[0]["findings"].as_array().expect("a list");
    let mut names: Vec<&Value> = findings.iter().map(|finding| &finding["lost_writes"][0]["names"]).collect();
    names.sort_by_key(ToString::to_string);
    let expected = [
        json!(["FAT 1, clusters 2 to 5 (/notes.txt)", "FAT 2, clusters 2 to 5 (/notes.txt)"]),
        json!(["root directory", "data of /notes.txt at byte 0"]),
    ];
    assert_eq!(names, expected.iter().collect::<Vec<_>>(), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding["one_minimal"] == true), "{findings:#?}");
}

#[test]
fn ext4_without_barriers_does_not() {
    let folder = recorded("ext4", "32M", &["--mount-options", "barrier=0"], NAMES);
    let checks = explored(&folder, "32M", 1, &["--check", "ext4"]);
    assert_eq!(finding(&checks)["one_minimal"], true, "{checks:#?}");
}

/// Eight transactions, each of which is said to be there.
fn database(journal: &str, synchronous: &str) -> Folder {
    let script = format!(
        r#"
        db() {{ sqlite3 -batch -bail t.db "PRAGMA journal_mode={journal}; PRAGMA synchronous={synchronous}; $1" >/dev/null; }}
        db 'CREATE TABLE t(n INTEGER PRIMARY KEY, pad BLOB)'
        for i in 1 2 3; do
            db "INSERT INTO t VALUES($i, randomblob(900))"
            echo mark $i >$LOGWRITES_CONTROL
        done
        "#
    );
    recorded("ext4", "32M", &[], &script)
}

const ALL_COMMITTED: &str = "sqlite:t.db?(SELECT count(*) FROM t) >= :mark";

#[test]
fn sqlite_survives_every_crash_where_its_documentation_says_so() {
    for (journal, synchronous) in [("WAL", "FULL"), ("DELETE", "EXTRA")] {
        let checks = explored(&database(journal, synchronous), "32M", 0, &["--check", ALL_COMMITTED]);
        assert_eq!(verdicts(&checks), ["proved"], "{journal} {synchronous}: {checks:#?}");
    }
}

/// With the rollback journal, FULL does not sync the folder from which the journal is removed: the transaction is rolled
/// back. The database stays intact.
#[test]
fn sqlite_loses_its_last_transaction_unless_the_folder_is_synced() {
    let folder = database("DELETE", "FULL");
    let checks = explored(&folder, "32M", 1, &["--check", ALL_COMMITTED, "--check", "sqlite:t.db"]);
    assert_eq!(verdicts(&checks), ["failed", "proved"], "{checks:#?}");
    let finding = finding(&checks);
    assert_eq!((&finding["ended"], &finding["one_minimal"]), (&"exit code 1".into(), &true.into()));
    assert!(finding["last_mark"].as_str().is_some_and(|mark| mark != "mkfs"), "{finding}");
}

#[test]
fn sqlite_that_does_not_sync_is_caught() {
    for journal in ["DELETE", "WAL"] {
        let checks = explored(&database(journal, "OFF"), "32M", 1, &["--check", ALL_COMMITTED]);
        assert_eq!(verdicts(&checks), ["failed"]);
    }
}

/// A file is replaced as it should be, or with one of the syncs left out.
fn replaced(sync_file: &str, sync_folder: &str) -> Folder {
    let script = format!(
        "echo old >notes; sync notes .; $LOGWRITES mark $LOGWRITES_CONTROL --promise notes
        $LOGWRITES mark $LOGWRITES_CONTROL --retract notes
        echo new >draft; {sync_file}; mv draft notes; {sync_folder}
        $LOGWRITES mark $LOGWRITES_CONTROL --promise notes"
    )
    .replace("$LOGWRITES ", concat!(env!("CARGO_BIN_EXE_logwrites"), " "));
    recorded("ext4", "32M", &["--mount-options", "noauto_da_alloc"], &script)
}

#[test]
fn a_promised_file_is_there_if_it_and_its_folder_were_synced() {
    let checks = explored(&replaced("sync draft", "sync ."), "32M", 0, &["--check", "files"]);
    assert_eq!((verdicts(&checks), &checks[0]["check"]), (vec!["proved"], &"files:notes".into()));
}

#[test]
fn a_forgotten_sync_is_found_by_what_was_promised() {
    let checks = explored(&replaced("sync draft", ":"), "32M", 1, &["--check", "files"]);
    let output = finding(&checks)["output"].as_str().expect("a text");
    assert!(output.contains("notes does not hold what was promised"), "{output}");
    // Its name is durable, since everything is, but its bytes are not.
    let checks = explored(&replaced(":", "sync ."), "32M", 1, &["--check", "files"]);
    assert_eq!(verdicts(&checks), ["failed"]);
}

#[test]
fn a_command_that_names_the_mount_gets_it() {
    let folder = recorded("ext4", "32M", &[], "echo hello >a; sync a .; echo mark there >$LOGWRITES_CONTROL");
    let check = r#"[ "$CRASH_LAST_MARK" != there ] || grep -qx hello "$CRASH_MOUNT/a""#;
    let checks = explored(&folder, "32M", 0, &["--check", check]);
    assert_eq!(verdicts(&checks), ["proved"]);
    let checks = explored(&folder, "32M", 1, &["--check", &check.replace("there", "mkfs"), "--to", "end"]);
    assert!(finding(&checks)["output"].as_str().is_some_and(|output| output.contains("/a")), "{checks:#?}");
}

/// Two jobs find their disks at the same path, and each sees its own mount.
#[test]
fn the_paths_of_a_check_are_the_same_in_all_jobs() {
    let folder = recorded("ext4", "32M", &[], "for i in 1 2 3 4; do echo $i >a$i; sync a$i; done");
    let paths = folder.path("paths");
    let check = format!(
        r#"echo $CRASH_IMAGE $CRASH_TMPDIR $CRASH_MOUNT >>{}; find "$CRASH_MOUNT" -type f -exec cat {{}} +; e2fsck -fn "$CRASH_IMAGE""#,
        paths.display()
    );
    let check = check.replace("e2fsck", "true");
    explored(&folder, "32M", 0, &["--check", &check, "--jobs", "4"]);
    let text = String::from_utf8(folder.read("paths")).expect("plain paths");
    let mut lines: Vec<&str> = text.lines().collect();
    let nr_runs = lines.len();
    lines.dedup();
    assert!(lines.len() == 1 && nr_runs > 4, "{lines:?}");
}

#[test]
fn a_check_that_cannot_work_here_is_refused_at_once() {
    let folder = golden("ext4-64m");
    let refused = |check: &str, texts: &[&str]| -> Ran {
        folder.run_of(["explore", "log", "--base", "base", "--check", check]).says(texts)
    };
    refused("files", &["no mark of the log promises a file", "--promise"]).code(2);
    refused("sqlite:../t.db", &["expected the path of a file"]).code(2);
    refused("xfs", &["does not pass"]).code(2);
}
