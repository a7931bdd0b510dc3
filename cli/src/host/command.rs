//! The command, and the signals that are meant for it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::program;
use crate::error::Failure;

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
    pub(crate) fn find(words: &'a [OsString]) -> anyhow::Result<Self> {
        let (name, args) = words.split_first().context("there is a command")?;
        let here = std::env::current_dir().context("cannot tell where this runs")?;
        let path = if Path::new(name).components().count() > 1 {
            here.join(name)
        } else {
            let found = name.to_str().and_then(program::find);
            found.ok_or_else(|| not_started(&io::ErrorKind::NotFound.into(), name))?
        };
        Ok(Self { path, name, args, here })
    }

    /// Runs it in a folder to its end, and gives its exit code; 128 + N if signal N has ended it.
    pub(crate) fn run(&self, folder: &Path, control: &Path) -> anyhow::Result<u8> {
        let mut signals = Signals::catch()?;
        let mut command = Command::new(&self.path);
        command.arg0(self.name).args(self.args).current_dir(folder);
        command.env(CONTROL, control).env("PWD", folder).env("OLDPWD", &self.here);
        let mut child = command.spawn().map_err(|error| not_started(&error, self.name))?;
        let status = wait(&mut child, &mut signals).context("cannot wait for the command")?;
        Ok(code_of(status))
    }
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
    fn catch() -> anyhow::Result<Self> {
        // The last one says that a child has ended.
        let signals = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, Signal::CHILD];
        let caught = signal_hook::iterator::Signals::new(signals.map(Signal::as_raw));
        Ok(Self { caught: caught.context("cannot catch signals")? })
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

fn not_started(error: &io::Error, name: &OsStr) -> Failure {
    // As shells and env have it.
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound => (127, "command not found".to_owned()),
        _ => (126, error.to_string()),
    };
    Failure::Peer { code, words: format!("logwrites run: cannot start {}: {why}", name.display()) }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Where a command finds the file that takes marks.
const CONTROL: &str = "LOGWRITES_CONTROL";
