//! What `logwrites explore --state` does with one state besides checking it.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use crate::common::golden::golden;
use crate::common::nbd::client;
use crate::common::{Folder, Ran, signal};

/// A state of the log of a kernel's ext4 that has lost a write.
const STATE: &str = "105^103";

fn explore(folder: &Folder, args: &str) -> Ran {
    folder.run(&format!("explore log --base base --state {STATE} {args}"))
}

#[test]
fn an_export_is_what_replay_makes() {
    let folder = golden("ext4-64m");
    let ran = explore(&folder, "--export exported").code(0).no_stderr();
    assert!(
        ran.stdout.contains("exported is the disk at point 105") && ran.stdout.contains("without entry 103"),
        "{ran:#?}"
    );
    let whole = folder.run("replay log --base base --output replayed --at 105").code(0);
    assert!(whole.stderr.is_empty());
    assert!(folder.read("exported") != folder.read("replayed"), "what is lost makes a difference");
    folder.run(&format!("replay log --base base --output replayed --force --at {STATE}")).code(0);
    assert!(folder.read("exported") == folder.read("replayed"));

    explore(&folder, "--export exported").code(2).says(&["exported exists"]);
    folder.run("explore log --size 1M --state 105 --export small").code(2).says(&["1"]);
    assert!(!folder.has("small"), "nothing is left of what was not made");
}

/// Runs commands in a shell in that state; it reads them from a pipe, as from a terminal.
fn visit(folder: &Folder, commands: &str) -> Ran {
    let mut command = folder.command(&format!("explore log --base base --state {STATE} --shell"));
    command.env("SHELL", "/bin/sh").env("TMPDIR", folder.path(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    child.stdin.take().expect("a pipe").write_all(commands.as_bytes()).expect("the shell reads");
    Ran::end_of(child)
}

#[test]
fn a_shell_sees_the_state_and_throws_its_changes_away() {
    let folder = golden("ext4-64m");
    explore(&folder, "--export exported").code(0);
    let look =
        "cmp \"$CRASH_IMAGE\" exported && echo same; echo mark=$CRASH_LAST_MARK; ls -A \"$CRASH_TMPDIR\"\n";
    let scribble = "printf changed | dd of=\"$CRASH_IMAGE\" bs=1 seek=4096 conv=notrunc 2>/dev/null
        cmp \"$CRASH_IMAGE\" exported || echo differs
        echo left >\"$CRASH_TMPDIR/left\"
        cd \"$CRASH_MOUNT\" && mkdir new && ls -d lost+found new
        exit 7\n";
    let first = visit(&folder, &format!("{look}{scribble}")).code(0);
    let first =
        first.says(&["a shell on the disk in state 105^103; `exit` leaves it", "CRASH_IMAGE", "CRASH_MOUNT"]);
    let mark = folder.run("marks log").stdout;
    assert!(mark.contains("mkfs"), "{mark}");
    for text in ["same\nmark=mkfs\n", "differs\n", "lost+found\nnew\n"] {
        assert!(first.stdout.contains(text), "no {text:?} in {first:#?}");
    }
    let second = visit(&folder, &format!("{look}ls \"$CRASH_MOUNT\"\n")).code(0);
    assert!(second.stdout.starts_with("same\nmark=mkfs\n") && !second.stdout.contains("new"), "{second:#?}");
    assert_eq!(folder.names(), ["base", "exported", "log"], "nothing is left of the shells");
}

#[test]
fn a_disk_that_cannot_be_mounted_has_a_shell_all_the_same() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write -P 7 0 4k\n");
    let mut command = folder.command("explore log --size 1M --state 1 --shell");
    command.env("SHELL", "/bin/sh").env("CRASH_MOUNT", "another's").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
    let commands = b"echo mount=$CRASH_MOUNT; cmp $CRASH_IMAGE disk && echo same";
    child.stdin.take().expect("a pipe").write_all(commands).expect("the shell reads");
    let ran = Ran::end_of(child).code(0).says(&["$CRASH_MOUNT  is not there: "]);
    assert_eq!(ran.stdout, "mount=\nsame\n");

    let mut missing = folder.command("explore log --size 1M --state 1 --shell");
    Ran::of(missing.env("SHELL", "/no/such/shell")).code(3).says(&["cannot start /no/such/shell"]);
}

#[test]
fn what_a_shell_leaves_in_the_disk_is_told() {
    let folder = golden("ext4-64m");
    let ran = visit(&folder, "sleep 4 <\"$CRASH_IMAGE\" >/dev/null 2>&1 &\n");
    ran.code(2).says(&["the shell has left a process"]);
}

/// A server of one state, which is ended with this.
struct Serving(Child);

impl Serving {
    fn start(folder: &Folder, args: &str) -> Self {
        let mut child = folder.start(&format!("explore log --base base --state {STATE} --serve {args}"));
        let mut greeting = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut greeting).expect("a line");
        assert!(greeting.starts_with("serving "), "{greeting}: {:#?}", Ran::end_of(child));
        Self(child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        signal(&self.0, "TERM");
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_served_is_what_is_exported() {
    let folder = golden("ext4-64m");
    explore(&folder, "--export exported").code(0);
    let exported = folder.read("exported");

    let nbd = Serving::start(&folder, "nbd --socket disk.sock");
    let copy = ["convert", "-f", "raw", "-O", "raw", "nbd+unix:///?socket=disk.sock", "by-nbd"];
    client(&folder, "qemu-utils", "qemu-img", &copy);
    drop(nbd);
    assert!(folder.read("by-nbd") == exported);
    assert!(!folder.has("disk.sock"));

    std::fs::create_dir(folder.path("mnt")).expect("a folder");
    let fuse = Serving::start(&folder, "fuse --mountpoint mnt");
    let by_fuse = folder.read(&format!("mnt/disk@{STATE}"));
    drop(fuse);
    assert!(by_fuse == exported);
}

#[test]
fn a_server_needs_an_address_that_suits_it() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write 0 4k\n");
    let refuses = |args: &str, texts: &[&str]| {
        folder.run(&format!("explore log --size 1M --state 1 {args}")).refuses(texts);
    };
    refuses("--serve nbd", &["--socket PATH or --listen ADDR:PORT is needed"]);
    refuses("--serve fuse", &["--mountpoint <DIR>"]);
    refuses("--serve fuse --socket s", &["--mountpoint <DIR>"]);
    refuses("--serve fuse --mountpoint m --socket s", &["cannot be used with"]);
    refuses("--serve nbd --socket s --listen localhost:0", &["cannot be used with"]);
    refuses("--export out --socket s", &["cannot be used with"]);
    refuses("--shell --mountpoint m", &["cannot be used with"]);
    refuses("--check ext4 --listen localhost:0", &["--serve"]);
    refuses("--serve nbd --socket s --discard ignore", &["cannot be used with"]);
    refuses("--serve nbd --socket s --mount-options ro", &["cannot be used with"]);
}

#[test]
fn one_act_is_chosen_and_it_takes_no_options_of_the_search() {
    let folder = Folder::new();
    folder.record("disk --create 1M --log log", "write 0 4k\n");
    let refuses =
        |args: &str, texts: &[&str]| folder.run(&format!("explore log --size 1M {args}")).refuses(texts);
    refuses("--state 1", &["--check", "--export"]);
    refuses("--state 1 --export out --shell", &["cannot be used with"]);
    for act in ["--export out", "--shell", "--serve nbd"] {
        refuses(act, &["--state"]);
    }
    refuses("--state 1 --export out --check ext4", &["cannot be used with"]);
    for option in ["--model torn", "--budget 5", "--out dir", "--jobs 2", "--seed 1", "--resume --out dir"] {
        refuses(&format!("--state 1 --export out {option}"), &["cannot be used with"]);
    }
    refuses("--state 1 --export out --timeout 1s", &["--check"]);
    for option in ["--from 0", "--to 1", "--partition 1/2", "--log-order completion", "--json"] {
        refuses(&format!("--state 1 --export out {option}"), &["cannot be used with"]);
    }
    refuses("--state 1 --export out --mount-options ro", &["cannot be used with"]);
    assert!(!folder.has("out"));
}
