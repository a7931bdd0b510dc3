//! What the tests share: a folder to work in, the tool, naive logs, images.
//!
//! Nothing here uses the library under test, so that a fault in it cannot hide itself.
#![allow(dead_code, reason = "each test file uses another part")]

#[cfg(target_os = "linux")]
pub(crate) mod fuse;
pub(crate) mod golden;
pub(crate) mod images;
pub(crate) mod logs;
#[cfg(unix)]
pub(crate) mod nbd;
pub(crate) mod qemu;
pub(crate) mod random;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder of its own for a test, which is gone afterwards. Commands run in it.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// All that is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(name).map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect(name);
    }

    /// The tool, with arguments separated by blanks, to be changed further.
    pub(crate) fn command(&self, args: &str) -> Command {
        self.command_of(args.split_whitespace())
    }

    /// The tool, with these arguments, to be changed further.
    pub(crate) fn command_of(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logwrites"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the tool with arguments separated by blanks.
    pub(crate) fn run(&self, args: &str) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs the tool with these arguments, which may have blanks.
    pub(crate) fn run_of(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        Ran::of(&mut self.command_of(args))
    }

    /// Runs the tool with arguments separated by blanks and something to read.
    pub(crate) fn run_with(&self, args: &str, stdin: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // A tool that has already refused its arguments reads nothing.
        let _ = pipe.write_all(stdin.as_ref());
        drop(pipe);
        Ran::new(&command, &child.wait_with_output().expect("the tool ends"))
    }

    /// What the tool prints, byte for byte; it must do so without a complaint.
    #[track_caller]
    pub(crate) fn bytes_of(&self, args: &str) -> Vec<u8> {
        let output = self.command(args).output().expect("the tool starts");
        assert!(output.status.success() && output.stderr.is_empty(), "{args}: {output:?}");
        output.stdout
    }

    /// Records a script and expects that it works.
    pub(crate) fn record(&self, args: &str, script: &str) {
        self.run_with(&format!("record {args}"), script).code(0).no_stderr();
    }

    /// Starts the tool, to be stopped on its way.
    pub(crate) fn start(&self, args: &str) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts")
    }
}

/// How a run of the tool ended. The checks give it back, so that they can be chained.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        Self::new(command, &output)
    }

    fn new(command: &Command, output: &Output) -> Self {
        Self {
            command: format!("{command:?}"),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What a process that was started ended with.
    pub(crate) fn end_of(child: Child) -> Self {
        let output = child.wait_with_output().expect("the tool ends");
        Self::new(&Command::new("the tool that was started"), &output)
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Says all of this, in this order.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        let mut rest = self.stderr.as_str();
        for text in texts {
            let Some((_, behind)) = rest.split_once(text) else { panic!("no {text:?} in {self:#?}") };
            rest = behind;
        }
        self
    }

    #[track_caller]
    pub(crate) fn no_stderr(self) -> Self {
        assert_eq!(self.stderr, "", "{self:#?}");
        self
    }

    /// Ends with 2, says all of this on standard error, and nothing on standard output.
    #[track_caller]
    pub(crate) fn refuses(self, texts: &[&str]) {
        let ran = self.code(2).says(texts);
        assert_eq!(ran.stdout, "", "{ran:#?}");
    }

    /// The objects on standard output, one a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Runs a program of the system as root; says what is needed if it cannot be run.
#[track_caller]
pub(crate) fn system(program: &str, args: &[&OsStr]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs the program {program}: {error}"));
    assert!(
        output.status.success(),
        "this test needs root and a working {program}: {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A file as a block device, for as long as it lives.
pub(crate) struct Loop {
    device: String,
}

impl Loop {
    pub(crate) fn of(file: &Path, options: &[&str]) -> Self {
        let mut args: Vec<&OsStr> = vec!["--find".as_ref(), "--show".as_ref()];
        args.extend(options.iter().map(OsStr::new));
        args.push(file.as_os_str());
        Self { device: system("losetup", &args) }
    }

    pub(crate) fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).output();
    }
}

/// A file system that is small, for as long as it lives.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub(crate) fn new(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&path).expect("a mount point");
        let options = format!("size={size}");
        let args = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        args.push(path.as_os_str());
        system("mount", &args);
        Self { path }
    }

    /// The same as an ext4, which finds storage for what is written only later, unless it was taken ahead.
    pub(crate) fn ext4(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&path).expect("a mount point");
        let image = path.with_extension("ext4");
        let image_args: [&OsStr; 3] = ["-q".as_ref(), image.as_ref(), size.as_ref()];
        system("mkfs.ext4", &image_args);
        system("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), path.as_ref()]);
        Self { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).output();
    }
}

/// Sends a signal, as in "INT", to a process that the test has started.
pub(crate) fn signal(child: &Child, name: &str) {
    system("kill", &[format!("-{name}").as_ref(), child.id().to_string().as_ref()]);
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often the threads of a process have given up the processor to wait for something, by their numbers: as long as none
/// of them does anything, this stays the same.
pub(crate) fn switches(child: &Child) -> Vec<(String, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs");
    let switches = threads.filter_map(|thread| {
        let thread = thread.expect("a thread");
        // A thread may end meanwhile.
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let number = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let number = number.and_then(|number| number.trim().parse().ok()).expect("a number");
        Some((thread.file_name().to_string_lossy().into_owned(), number))
    });
    let mut switches: Vec<(String, u64)> = switches.collect();
    switches.sort();
    switches
}

/// None of the chosen threads, by their numbers, is woken for a second: soon, since what was begun may still come to its end.
#[track_caller]
pub(crate) fn assert_idle(child: &Child, is_chosen: impl Fn(&str) -> bool) {
    let chosen = || {
        let mut switches = switches(child);
        switches.retain(|(number, _)| is_chosen(number));
        switches
    };
    let mut before = chosen();
    assert!(!before.is_empty());
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        let now = chosen();
        if now == before {
            return;
        }
        before = now;
    }
    panic!("a thread is woken again and again: {before:?}");
}

/// How many threads a process has, and how many files open.
pub(crate) fn threads_and_files(child: &Child) -> (usize, usize) {
    let count = |name| std::fs::read_dir(format!("/proc/{}/{name}", child.id())).expect("it runs").count();
    (count("task"), count("fd"))
}

/// The same once it no longer changes: a process that says that it serves may still be starting threads.
pub(crate) fn settled_threads_and_files(child: &Child) -> (usize, usize) {
    let (mut last, mut nr_same) = (threads_and_files(child), 0);
    wait_until("its threads run", || {
        std::thread::sleep(Duration::from_millis(10));
        let now = threads_and_files(child);
        nr_same = if now == last { nr_same + 1 } else { 0 };
        last = now;
        nr_same == 20
    });
    last
}

/// How much room the files take that a process has open and that have no name, in blocks of 512 bytes: what it makes gets
/// its name when it is whole.
pub(crate) fn unnamed_blocks(child: &Child) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(links) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return 0 };
    let links = links.filter_map(|link| Some(link.ok()?.path()));
    let unnamed = links.filter(|link| {
        std::fs::read_link(link).is_ok_and(|target| target.to_string_lossy().ends_with(" (deleted)"))
    });
    unnamed.filter_map(|link| Some(link.metadata().ok()?.blocks())).sum()
}

/// A script of a line, or a few, for each of some numbers.
pub(crate) fn lines<T>(numbers: impl IntoIterator<Item = T>, line: impl FnMut(T) -> String) -> String {
    numbers.into_iter().map(line).collect::<Vec<_>>().concat()
}
