//! The command, and the signals that are meant for it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

use super::error::CommandError;
use super::program;

/// A command that is there.
pub(crate) struct Program<'a> {
    path: PathBuf,
    name: &'a OsStr,
    args: &'a [OsString],
    /// Where the person is.
    here: PathBuf,
}

impl<'a> Program<'a> {
    /// Looks for it.
    pub(crate) fn find(words: &'a [OsString]) -> Result<Self, CommandError> {
        let (name, args) = words.split_first().ok_or(CommandError::Missing)?;
        let here = std::env::current_dir().map_err(CommandError::Here)?;
        let path = if Path::new(name).components().count() > 1 {
            here.join(name)
        } else {
            let found = name.to_str().and_then(program::find);
            found.ok_or_else(|| CommandError::NotFound { name: name.clone() })?
        };
        Ok(Self { path, name, args, here })
    }

    /// Runs it in a folder to its end, and gives its exit code; 128 + N if signal N has ended it.
    pub(crate) fn run(&self, folder: &Path, control: &Path) -> Result<u8, CommandError> {
        let mut command = Command::new(&self.path);
        command.arg0(self.name).args(self.args).current_dir(folder);
        command.env(CONTROL, control).env("PWD", folder).env("OLDPWD", &self.here);
        Ok(code_of(run_in_foreground(self.name, &mut command)?))
    }
}

/// Runs a command to its end in the process group that this process is in, so that it has the terminal if this one has it.
/// Signals that come meanwhile are meant for the command.
pub(crate) fn run_in_foreground(name: &OsStr, command: &mut Command) -> Result<ExitStatus, CommandError> {
    let mut signals = Signals::catch()?;
    let mut child = command.spawn().map_err(|error| CommandError::not_started(name, error))?;
    wait(&mut child, &mut signals).map_err(CommandError::Wait)
}

fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    let mut nr_sent = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for signal in signals.wait() {
            nr_sent += 1;
            // A user who insists does not want to wait any longer.
            let signal = if nr_sent > 2 { Signal::KILL } else { signal };
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                kill_process(pid, signal)?;
            }
        }
    }
}

/// Signals that came to this process and are meant for the command.
struct Signals {
    caught: signal_hook::iterator::Signals,
}

impl Signals {
    fn catch() -> Result<Self, CommandError> {
        // The last one says that a child has ended.
        let signals = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, Signal::CHILD];
        let caught = signal_hook::iterator::Signals::new(signals.map(Signal::as_raw));
        Ok(Self { caught: caught.map_err(CommandError::Signals)? })
    }

    /// Waits for signals, and gives those that the command has not been sent by the terminal as well: none if a child has
    /// ended.
    fn wait(&mut self) -> impl Iterator<Item = Signal> {
        let come = self.caught.wait().filter_map(Signal::from_named_raw);
        come.filter(|signal| *signal != Signal::CHILD && !is_from_terminal(*signal))
    }
}

/// Whether a key has sent it: then all in the foreground have it.
fn is_from_terminal(signal: Signal) -> bool {
    let is_key = signal == Signal::INT || signal == Signal::QUIT;
    is_key
        && rustix::termios::tcgetpgrp(io::stdin())
            .is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Where a command finds the file that takes marks.
const CONTROL: &str = "LOGWRITES_CONTROL";
