//! `logwrites run`: that a database keeps what it has committed, at every mark and between; that all is undone, however it
//! ends.
#![cfg(target_os = "linux")]

use crate::common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::fuse::{Mount, number_of, program};
use common::images::are_equal;
use common::random::Random;
use common::{Folder, Ran, signal, wait_until};

/// At the mark of a transaction are its rows and those before; between two marks are those of the first, and perhaps all of
/// the second's.
#[test]
fn a_database_has_what_it_has_committed() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let nr_between = number_of("LOGWRITES_CRASH_POINTS", 3);
    // A rollback journal's removal is durable with EXTRA only.
    for (journal, synchronous, kind) in
        [("DELETE", "EXTRA", "ext4"), ("WAL", "FULL", "ext4"), ("WAL", "FULL", "btrfs")]
    {
        let stage = Stage::new();
        stage.folder.write("write.py", WRITE);
        let script = stage.folder.path("write.py");
        let size = if kind == "btrfs" { "160M" } else { "48M" };
        let args = format!("run --mkfs {kind} --size {size} --log log -- /usr/bin/python3");
        let mut command = stage.folder.command(&args);
        command.arg(script).args([journal, synchronous]).env("TMPDIR", stage.folder.path("tmp"));
        Ran::of(&mut command).code(0);
        stage.check_cleared();

        let marks = stage.folder.run("marks log --json").code(0).json();
        let points: Vec<u64> =
            marks.iter().map(|mark| mark["entry"].as_u64().expect("a number") + 1).collect();
        assert_eq!(points.len(), 1 + NR_TRANSACTIONS, "mkfs, and each transaction");
        for (done, pair) in points[1..].windows(2).enumerate() {
            let done = u64::try_from(done).expect("few") + 1;
            assert_eq!(stage.rows_at(size, pair[0]), done, "{kind}, {journal}: after mark {done}");
            let gap = pair[1] - pair[0] - 1;
            for _ in 0..nr_between.min(gap) {
                let point = pair[0] + 1 + random.below(gap);
                let found = stage.rows_at(size, point);
                assert!(
                    (done..=done + 1).contains(&found),
                    "{kind}, {journal}: {found} at {point}, {done} before"
                );
            }
        }
    }
}

const NR_TRANSACTIONS: usize = 12;

/// Transactions of a few rows each, updates of old ones too, and a mark as soon as each is committed.
const WRITE: &str = r#"
import os, sqlite3, sys
db = sqlite3.connect("db", isolation_level=None)
db.execute("PRAGMA journal_mode=" + sys.argv[1])
db.execute("PRAGMA synchronous=" + sys.argv[2])
db.execute("CREATE TABLE rows (tx INTEGER, n INTEGER, text TEXT, last INTEGER)")
for tx in range(1, 13):
    db.execute("BEGIN")
    for n in range(20):
        db.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", (tx, n, "x" * (tx * 37 + n * 11), tx))
    db.execute("UPDATE rows SET last = ?", (tx,))
    db.execute("COMMIT")
    with open(os.environ["LOGWRITES_CONTROL"], "w") as control:
        control.write(f"mark tx {tx}\n")
os._exit(0)  # not closed: what is in the log is what was committed
"#;

/// What is committed: so many whole transactions, the last of which has updated all rows.
const READ: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1] + "/db")
assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
found = db.execute("SELECT tx, count(*), min(last), max(last) FROM rows GROUP BY tx ORDER BY tx").fetchall()
done = len(found)
assert found == [(tx, 20, done, done) for tx in range(1, done + 1)], found
assert all(len(text) == tx * 37 + n * 11 for tx, n, text in db.execute("SELECT tx, n, text FROM rows"))
print(done)
"#;

#[test]
fn the_exit_code_is_the_commands_and_nothing_is_left() {
    let stage = Stage::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("exec ./none", 127)] {
        let ran = stage.run(&["--mkfs", "ext4", "--size", "16M", "--force"], &["sh", "-c", script]);
        ran.code(code).says(&["log holds"]);
        stage.check_cleared();
    }
    // Where it runs, and what it is told; relative paths are the person's.
    let script =
        "test -d lost+found && test $PWD = $(pwd) && test -f $OLDPWD/here && test -w $LOGWRITES_CONTROL";
    stage.folder.write("here", format!("#!/bin/sh\n{script}"));
    std::fs::set_permissions(stage.folder.path("here"), PermissionsExt::from_mode(0o755)).expect("a mode");
    stage.run(&["--mkfs", "ext4", "--size", "16M", "--force"], &["./here"]).code(0);
    // Nothing was made yet when these are found out.
    for (command, code) in [("no-such-program", 127), ("./none", 127)] {
        let _ = std::fs::remove_file(stage.folder.path("log"));
        let ran = stage.run(&["--mkfs", "ext4", "--size", "16M"], &[command]).code(code);
        assert!(ran.stderr.contains("cannot start"), "{ran:#?}");
    }
    stage.check_cleared();
}

#[test]
fn nothing_wakes_while_the_command_runs() {
    let stage = Stage::new();
    let script = "echo >$OLDPWD/started; exec sleep 4";
    let child = stage.command(&["--mkfs", "ext4", "--size", "16M"], &["sh", "-c", script]).spawn();
    let mut child = child.expect("the tool starts");
    wait_until("the command runs", || stage.folder.has("started"));
    // The file system may still write; who waits for the command does not.
    common::assert_idle(&child, |number| number == child.id().to_string());
    assert!(child.wait().expect("its end").success());
    stage.check_cleared();
}

#[test]
fn what_it_leaves_running_is_ended() {
    let stage = Stage::new();
    let script = "(trap '' TERM; sleep 987.5 > busy) & cd /; setsid sleep 987.25 & sleep 0.1; echo done";
    let ran = stage.run(&["--mkfs", "ext4", "--size", "16M"], &["sh", "-c", script]).code(0);
    assert_eq!(ran.stdout, "done\n");
    stage.check_cleared();
    stage.folder.run("verify log").code(0);
}

#[test]
fn signals_are_the_commands_and_all_is_undone() {
    for (name, trap, code) in [
        ("TERM", "", 143),
        ("INT", "", 130),
        ("HUP", "trap 'exit 9' HUP; ", 9),
        ("TERM", "trap '' TERM; ", 137),
    ] {
        let stage = Stage::new();
        let script = format!(
            "{trap}echo data > file; sync; echo mark there > $LOGWRITES_CONTROL; touch $OLDPWD/up; while :; do sleep 0.02; done"
        );
        let mut command = stage.command(&["--mkfs", "ext4", "--size", "16M"], &["sh", "-c", &script]);
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        wait_until("the command runs", || stage.folder.has("up"));
        signal(&child, name);
        if code == 137 {
            // A user who insists is heard.
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(50));
                signal(&child, name);
            }
        }
        Ran::end_of(child).code(code).says(&["log holds"]);
        stage.check_cleared();
        assert_eq!(stage.file_at("16M", "mark:there", "file"), b"data\n");
        let found = stage.folder.run("recover log --json").code(0).json().remove(0);
        assert_eq!(found["salvage_entries"], 0, "all are counted");
    }
}

/// A key of the terminal's reaches all in the foreground, and the command alone decides.
#[test]
fn a_key_is_the_commands_own() {
    let stage = Stage::new();
    let script = "trap 'echo heard >> $OLDPWD/heard' INT; touch $OLDPWD/up; while ! test -e $OLDPWD/go; do sleep 0.02; done; exit 4";
    stage.folder.write("script.sh", script);
    let inner = format!(
        "{} run --mkfs ext4 --size 16M --log log -- sh {}",
        env!("CARGO_BIN_EXE_logwrites"),
        stage.folder.path("script.sh").display()
    );
    let mut command = Command::new("/usr/bin/python3");
    command.current_dir(stage.folder.path("")).env("TMPDIR", stage.folder.path("tmp"));
    command.args(["-c", PTY, &inner]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("this test needs python3: apt-get install python3");
    let keys = child.stdin.take().expect("a pipe");
    wait_until("the command runs", || stage.folder.has("up"));
    for times in 1..=4 {
        std::io::Write::write_all(&mut &keys, b"\x03").expect("a key");
        wait_until("it is heard", || {
            std::fs::read_to_string(stage.folder.path("heard"))
                .is_ok_and(|text| text.lines().count() >= times)
        });
    }
    stage.folder.write("go", "");
    Ran::end_of(child).code(4);
    stage.check_cleared();
}

/// Runs a command under a terminal of its own, whose keys come from standard input.
const PTY: &str = r#"
import os, pty, sys
def keys(fd):
    return os.read(fd, 1)
status = pty.spawn(["sh", "-c", "exec " + sys.argv[1]], stdin_read=keys)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Killed, it can undo nothing; but its mounts were its own, and go with the last who sees them.
#[test]
fn killed_it_leaves_no_mount() {
    let stage = Stage::new();
    let script = "echo data > file; sync; echo mark there > $LOGWRITES_CONTROL; echo $$ > $OLDPWD/pid; mv $OLDPWD/pid $OLDPWD/up; exec sleep 986.5";
    let mut command = stage.command(&["--mkfs", "ext4", "--size", "16M"], &["sh", "-c", script]);
    let mut child = command.spawn().expect("it starts");
    wait_until("the command runs", || stage.folder.has("up"));
    child.kill().expect("killed");
    child.wait().expect("it is gone");
    let left = String::from_utf8(stage.folder.read("up")).expect("a number");
    common::system("kill", &["-KILL".as_ref(), left.trim().as_ref()]);
    wait_until("its mounts and loop devices are gone", || stage.left_over().is_empty());
    assert_eq!(stage.file_at("16M", "mark:there", "file"), b"data\n");
}

#[test]
fn what_goes_wrong_is_reported_and_undone() {
    let stage = Stage::new();
    for (kind, size, least) in [("xfs", "16M", "300.00 MiB"), ("btrfs", "16M", "110.00 MiB")] {
        let ran = stage.run(&["--mkfs", kind, "--size", size], &["true"]).code(3);
        let ran =
            ran.says(&["a disk of 16.00 MiB is too small", kind, least, &format!("mkfs.{kind} failed: ")]);
        assert_eq!(ran.stderr.lines().count(), 1, "no page of options: {ran:#?}");
        stage.check_cleared();
        assert!(!stage.folder.has("log"), "nothing was run, so there is no log");
    }
    std::os::unix::fs::symlink("elsewhere", stage.folder.path("log")).expect("a link");
    stage.folder.write("elsewhere", b"");
    stage.run(&["--mkfs", "xfs", "--size", "16M"], &["true"]).code(3);
    assert_eq!(stage.folder.read("elsewhere").len(), 0, "a link stays, and leads to an empty file");
    std::fs::remove_file(stage.folder.path("log")).expect("the link");
    let known = std::fs::read_to_string("/proc/filesystems").expect("the kernel's file systems");
    for kind in ["f2fs", "nilfs2", "exfat"].iter().filter(|kind| !known.contains(**kind)) {
        let ran = stage.run(&["--mkfs", kind, "--size", "256M"], &["true"]).code(2);
        ran.says(&[&format!("this kernel does not have {kind}")]);
    }
    stage.folder.write("log", b"of value");
    stage.run(&["--mkfs", "ext4", "--size", "16M"], &["true"]).refuses(&["log is not empty", "--force"]);
    stage.check_cleared();
    stage.folder.write("noise", vec![7; 1 << 20]);
    stage.run(&["--base", "noise", "--force"], &["true"]).code(3).says(&["mount failed", "mount:"]);
    stage.check_cleared();
    for args in [&["--mkfs", "ext4"][..], &["--size", "16M"], &["--base", "noise", "--size", "1M"]] {
        stage.run(args, &["true"]).code(2);
    }
    let mut command = stage.command(&["--mkfs", "ext4", "--size", "16M", "--force"], &["/bin/true"]);
    command.env("PATH", stage.folder.path(""));
    // What is in root's folders is found all the same.
    Ran::of(&mut command).code(3).says(&["mount is needed but not installed: sudo apt-get install mount"]);
    // The log is full: the file system sees errors, not another disk.
    let fill = ["sh", "-c", "dd if=/dev/urandom of=file bs=64k count=200 conv=fsync"];
    let ran = stage.run(&["--mkfs", "ext4", "--size", "32M", "--log-size", "8M", "--force"], &fill);
    assert_eq!(ran.code, Some(1), "dd sees it: {ran:#?}");
    stage.check_cleared();
    stage.folder.run("verify log").code(0);
    let vfat = stage.run(&["--mkfs", "vfat", "--size", "16M", "--force"], &["touch", "file"]);
    if std::fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("vfat")) {
        vfat.code(0);
    } else {
        vfat.code(2).says(&["this kernel does not have vfat"]);
    }
    stage.check_cleared();
}

#[test]
fn an_image_is_left_unchanged() {
    let stage = Stage::new();
    let script = ["sh", "-c", "echo one > one; echo old > both"];
    stage.run(&["--mkfs", "ext4", "--size", "16M"], &script).code(0);
    stage.folder.run("replay log --size 16M --output base.img").code(0);
    stage.folder.run("replay log --size 16M --output same.img").code(0);
    let script = ["sh", "-c", "cat one both; rm one; echo new > both; grep -c noatime /proc/self/mounts"];
    let ran = stage.run(&["--base", "base.img", "--mount-options", "noatime", "--force"], &script).code(0);
    assert!(ran.stdout.starts_with("one\nold\n"), "{ran:#?}");
    assert!(are_equal(&stage.folder.path("base.img"), &stage.folder.path("same.img")));
    stage.folder.run("replay log --base base.img --output then.img").code(0);
    let mount = Mount::new(&stage.folder.path("then.img"), stage.folder.path("then"), "loop");
    assert_eq!(std::fs::read(mount.path().join("both")).expect("both"), b"new\n");
    assert!(!mount.path().join("one").exists());
}

/// Another user, and a device that such may open, in a mount namespace of the test's.
#[test]
fn without_root_fuse2fs_mounts() {
    let stage = Stage::new();
    for name in ["", "tmp"] {
        let path = stage.folder.path(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("a mode");
    }
    let as_nobody = |kind: &str, script: &str| {
        let shell = format!(
            "mknod -m 666 fuse c 10 229 && mount --bind fuse /dev/fuse && exec setpriv --reuid=65534 --regid=65534 \
             --clear-groups {} run --mkfs {kind} --size 32M --force --log log -- sh -c '{script}'",
            env!("CARGO_BIN_EXE_logwrites")
        );
        let _ = std::fs::remove_file(stage.folder.path("fuse"));
        let mut command = Command::new("unshare");
        command.current_dir(stage.folder.path("")).env("TMPDIR", stage.folder.path("tmp"));
        Ran::of(command.args(["--mount", "sh", "-c", &shell]).stdin(Stdio::null()))
    };
    for needed in [("fuse2fs", "fuse2fs"), ("fuse3", "fusermount3")] {
        program(needed.0, needed.1, &["-V".as_ref()]);
    }
    let script = "id -u; echo data > file; sync file; echo mark there > $LOGWRITES_CONTROL; sleep 985.5 > busy & exit 5";
    let ran = as_nobody("ext4", script).code(5);
    assert_eq!(ran.stdout, "65534\n");
    stage.check_cleared();
    stage.folder.run("replay log --size 32M --output end.img").code(0);
    program("e2fsprogs", "e2fsck", &["-fn".as_ref(), stage.folder.path("end.img").as_os_str()]);
    assert_eq!(stage.file_at("32M", "mark:there", "file"), b"data\n");
    as_nobody("xfs", "true").code(2).says(&["only root can mount xfs"]);
    stage.check_cleared();
}

/// A folder to run in, with a folder for what is temporary.
pub(crate) struct Stage {
    pub(crate) folder: Folder,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path("tmp")).expect("a folder");
        Self { folder }
    }

    pub(crate) fn command(&self, args: &[&str], words: &[&str]) -> Command {
        let all = ["run", "--log", "log"].iter().chain(args).chain(&["--"]).chain(words);
        let mut command = self.folder.command_of(all);
        command.env("TMPDIR", self.folder.path("tmp"));
        command
    }

    pub(crate) fn run(&self, args: &[&str], words: &[&str]) -> Ran {
        Ran::of(&mut self.command(args, words))
    }

    /// What is left of a run: mounts, loop devices, processes that the tests let sleep.
    fn left_over(&self) -> Vec<String> {
        let here = self.folder.path("").display().to_string();
        let here = here.trim_end_matches('/');
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mut left: Vec<String> =
            mounts.lines().filter(|line| line.contains(here)).map(ToOwned::to_owned).collect();
        let loops = common::system("losetup", &["--list".as_ref(), "--noheadings".as_ref()]);
        left.extend(loops.lines().filter(|line| line.contains(here)).map(ToOwned::to_owned));
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        for process in processes {
            let of = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
            let is_ours = String::from_utf8_lossy(&of("environ")).contains(here);
            if is_ours && process.file_name() != *std::process::id().to_string() {
                left.push(String::from_utf8_lossy(&of("cmdline")).replace('\0', " "));
            }
        }
        left
    }

    #[track_caller]
    pub(crate) fn check_cleared(&self) {
        assert_eq!(self.left_over(), Vec::<String>::new());
        let temporary = std::fs::read_dir(self.folder.path("tmp")).expect("the folder");
        assert_eq!(temporary.count(), 0, "temporary folders are gone");
    }

    /// How many transactions the database has at a point, once it has recovered; it must be whole.
    #[track_caller]
    fn rows_at(&self, size: &str, point: u64) -> u64 {
        let mount = self.mount_at(size, &point.to_string());
        let args = ["-c", READ, mount.path().to_str().expect("text")];
        let said = program("python3", "/usr/bin/python3", &args.map(AsRef::as_ref));
        mount.end();
        said.trim().parse().expect("a number")
    }

    #[track_caller]
    fn file_at(&self, size: &str, point: &str, name: &str) -> Vec<u8> {
        let mount = self.mount_at(size, point);
        let bytes = std::fs::read(mount.path().join(name)).expect(name);
        mount.end();
        bytes
    }

    fn mount_at(&self, size: &str, point: &str) -> Mount {
        let args = ["replay", "log", "--size", size, "--output", "then.img", "--force", "--at", point];
        self.folder.run_of(args).code(0);
        Mount::new(Path::new(&self.folder.path("then.img")), self.folder.path("then"), "loop")
    }
}
