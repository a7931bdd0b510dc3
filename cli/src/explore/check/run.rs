//! Programs that are run for one judgement.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::contents::FileSystemKind;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::error::CheckError;
use super::judgement::{Judgement, Outcome};
use super::orphans::Orphans;
use crate::explore::state_file::Slot;
use crate::explore::state_nbd::StateServer;
use crate::host::process::{Process, wait_for_one};
use crate::host::processor::Stay;
use crate::host::program;

/// What a check finds around it.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct Surroundings<'a> {
    /// The disk: the same path for all states.
    pub(in crate::explore) image: &'a Path,
    /// What the disk is served from.
    pub(in crate::explore) slot: &'a Arc<Slot>,
    /// A folder of its own, empty.
    pub(in crate::explore) tmpdir: &'a Path,
    /// A folder to mount the disk on.
    pub(in crate::explore) mountpoint: &'a Path,
    /// Where NBD clients may find the disk.
    pub(in crate::explore) socket: &'a Path,
    /// What the check is told of the state; see [`Check::told`](super::Check::told).
    pub(in crate::explore) told: Option<&'a str>,
    /// The file system of the disk at the end, where nothing is lost.
    pub(in crate::explore) file_system: Option<FileSystemKind>,
    /// How the disk is mounted, as for `mount -o`.
    pub(in crate::explore) mount_options: Option<&'a str>,
}

impl Surroundings<'_> {
    /// Lets a command find all this by its environment.
    pub(in crate::explore) fn tell(&self, command: &mut Command, besides: Besides<'_>) {
        command.env("CRASH_IMAGE", self.image).env("CRASH_TMPDIR", self.tmpdir);
        command.env("CRASH_LAST_MARK", self.told.unwrap_or_default());
        let mountpoint = besides.is_mounted.then_some(self.mountpoint.as_os_str());
        for (name, value) in [(MOUNT, mountpoint), (NBD_URI, besides.nbd_uri.map(OsStr::new))] {
            match value {
                Some(value) => command.env(name, value),
                // One that was there before has another meaning.
                None => command.env_remove(name),
            };
        }
    }
}

/// In which ways a command finds the disk besides the image.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct Besides<'a> {
    pub(in crate::explore) is_mounted: bool,
    pub(in crate::explore) nbd_uri: Option<&'a str>,
}

/// The run of a check: its programs, one after the other, have one deadline.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct Run<'a> {
    pub(super) around: Surroundings<'a>,
    deadline: Instant,
}

/// A program of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// Its first arguments.
    pub(super) args: &'static [&'static str],
    /// The exit codes that are good news.
    pub(super) passes: &'static [i32],
}

impl Program {
    /// Where it is.
    pub(super) fn command(&self) -> Result<Command, CheckError> {
        let Self { name: program, package, args, .. } = *self;
        let path = program::find(program).ok_or(CheckError::Missing { program, package })?;
        let mut command = Command::new(path);
        command.args(args);
        Ok(command)
    }
}

impl<'a> Run<'a> {
    pub(in crate::explore) fn new(around: Surroundings<'a>, timeout: Duration) -> Self {
        Self { around, deadline: Instant::now() + timeout }
    }

    /// Has a check look at the disk as a client of NBD, and ends its connections.
    pub(super) fn served(
        &self,
        inside: impl FnOnce(&str) -> Result<Judgement, CheckError>,
    ) -> Result<Judgement, CheckError> {
        let Surroundings { socket, slot, .. } = self.around;
        let started = slot.with(|disk| Ok(disk.sector_size()));
        let started = started.and_then(|sector_size| StateServer::start(socket, slot, sector_size));
        let server = started.map_err(|source| CheckError::Nbd { path: socket.to_owned(), source })?;
        inside(&server.uri())
    }

    /// Runs a program on the image, or on something else.
    pub(super) fn program(&self, program: &Program, on: &Path) -> Result<Judgement, CheckError> {
        let mut command = program.command()?;
        command.arg(on);
        self.command(program.name, command, program.passes)
    }

    /// Runs a command to its end, or to the deadline, and then ends whatever it has left.
    pub(super) fn command(
        &self,
        name: &str,
        command: Command,
        passes: &[i32],
    ) -> Result<Judgement, CheckError> {
        let system = |source| CheckError::System { check: name.to_owned(), source };
        let (mut child, pipe) = self.start(command).map_err(system)?;
        let (status, output) = self.wait(&mut child, pipe).map_err(system)?;
        let output = output.into_text();
        let outcome = match status {
            None => Outcome::TimedOut,
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) if passes.contains(&code) => Outcome::Pass,
                (Some(UNDECIDED), _) => Outcome::Undecided,
                (Some(code @ (126 | 127)), _) => {
                    return Err(CheckError::Harness { check: name.to_owned(), code, output });
                }
                (Some(code), _) => Outcome::Fail(code),
                (None, signal) => Outcome::Signal(signal.unwrap_or_default()),
            },
        };
        Ok(Judgement { outcome, output })
    }

    fn start(&self, mut command: Command) -> io::Result<(Child, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .env("TMPDIR", self.around.tmpdir);
        let _stay = Stay::begin(self.around.slot.processor());
        Ok((command.spawn()?, reader))
    }

    /// Waits for it; no status if it had to be ended. What it has left running is ended in any case.
    fn wait(&self, child: &mut Child, mut pipe: PipeReader) -> io::Result<(Option<ExitStatus>, Tail)> {
        let process = Process::open(Pid::from_child(child))?;
        let mut tail = Tail::default();
        let has_ended = self.read_until_end(&process, &mut pipe, &mut tail);
        // The group is there for as long as its first process was not waited for.
        match kill_process_group(Pid::from_child(child), Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        let status = child.wait()?;
        Orphans::of(self.around.tmpdir).end().map_err(io::Error::other)?;
        tail.take_what_is_there(&mut pipe)?;
        Ok((has_ended?.then_some(status), tail))
    }

    /// Reads what it prints until it ends; false if it has not by the deadline.
    fn read_until_end(&self, process: &Process, pipe: &mut PipeReader, tail: &mut Tail) -> io::Result<bool> {
        let mut is_open = true;
        loop {
            let mut events = vec![process.end()];
            if is_open {
                events.push(PollFd::new(&*pipe, PollFlags::IN));
            }
            if !wait_for_one(&mut events, self.deadline)? {
                return Ok(false);
            }
            if !events[0].revents().is_empty() {
                return Ok(true);
            }
            is_open = tail.take_what_is_there(pipe)?;
        }
    }
}

/// The end of what a program has printed.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Takes in what can be read without waiting, and not more than so much; false at the end.
    fn take_what_is_there(&mut self, pipe: &mut PipeReader) -> io::Result<bool> {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..MAX_READS {
            match pipe.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => self.push(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let superfluous = self.bytes.len().saturating_sub(MAX_OUTPUT_BYTES);
        self.bytes.drain(..superfluous);
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

/// Where a command that names it finds the state mounted.
pub(super) const MOUNT: &str = "CRASH_MOUNT";

/// Where a command that names it finds the state by NBD.
pub(super) const NBD_URI: &str = "CRASH_NBD_URI";

/// As in `git bisect run`.
const UNDECIDED: i32 = 125;

/// How much of what a check prints is kept.
const MAX_OUTPUT_BYTES: usize = 64 << 10;

/// How much is read at a time.
const READ_BYTES: usize = 8 << 10;

/// After so many reads the deadline is looked at, however fast something prints.
const MAX_READS: usize = 16;
