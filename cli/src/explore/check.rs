//! What judges a state: a preset, or a command.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use logwrites_core::num::widen;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::host::process::{Process, wait_for_one};
use crate::host::program;

/// What judges a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A file system's own recovery, and its checker after it.
    Preset(&'static Preset),
    /// A command of the person's, run by the shell.
    Command(String),
}

/// How a file system is checked: it recovers as it would at boot, then its checker looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// For the help.
    pub help: &'static str,
    /// The Debian package that has the programs.
    package: &'static str,
    steps: &'static [Step],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    program: &'static str,
    args: &'static [&'static str],
    /// The exit codes that are good news.
    passes: &'static [i32],
}

/// The presets. `e2fsck -fn` alone would skip the journal, see an almost empty file system, and be content.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "ext4",
        help: "e2fsck replays the journal, then checks everything; also for ext2 and ext3",
        package: "e2fsprogs",
        steps: &[
            Step { program: "e2fsck", args: &["-E", "journal_only", "-p"], passes: &[0, 1] },
            Step { program: "e2fsck", args: &["-fn"], passes: &[0] },
        ],
    },
    Preset {
        name: "vfat",
        help: "fsck.fat checks FAT12, FAT16 and FAT32",
        package: "dosfstools",
        steps: &[Step { program: "fsck.fat", args: &["-n"], passes: &[0] }],
    },
];

/// What a check has to say about a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) outcome: Outcome,
    /// The end of what it printed.
    pub(super) output: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Pass,
    /// It says that it cannot tell.
    Undecided,
    /// It failed, with this exit code.
    Fail(i32),
    /// A signal ended it.
    Signal(i32),
    TimedOut,
}

impl Outcome {
    /// Whether the software did not survive.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::Fail(_) | Self::Signal(_) | Self::TimedOut)
    }

    /// Whether it depends on the disk alone. How long something takes does not.
    pub(super) const fn is_repeatable(self) -> bool {
        !matches!(self, Self::TimedOut)
    }
}

impl Judgement {
    /// The last lines of what was printed.
    pub(super) fn last_words(&self) -> String {
        let nr_lines = self.output.lines().count();
        let last: Vec<&str> = self.output.lines().skip(nr_lines.saturating_sub(MAX_LAST_LINES)).collect();
        last.join(" / ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("passed"),
            Self::Undecided => f.write_str("undecided"),
            Self::Fail(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

/// What a check finds around it.
pub(super) struct Surroundings<'a> {
    /// The disk: the same path for all states.
    pub(super) image: &'a Path,
    /// A folder of its own, empty.
    pub(super) tmpdir: &'a Path,
    pub(super) last_mark: Option<&'a str>,
    pub(super) timeout: Duration,
}

impl Check {
    /// Looks for the programs before anything is run.
    ///
    /// # Errors
    /// [`CheckError::Missing`].
    pub fn find_programs(&self) -> Result<(), CheckError> {
        let Self::Preset(preset) = self else { return Ok(()) };
        for step in preset.steps {
            if program::find(step.program).is_none() {
                return Err(CheckError::Missing { program: step.program, package: preset.package });
            }
        }
        Ok(())
    }

    /// Judges the state whose disk is at the image's path.
    pub(super) fn judge(&self, around: &Surroundings<'_>) -> Result<Judgement, CheckError> {
        let deadline = Instant::now() + around.timeout;
        match self {
            Self::Preset(preset) => {
                for step in preset.steps {
                    let mut command = Command::new(program::find(step.program).unwrap_or_default());
                    command.args(step.args).arg(around.image);
                    let judgement = run(step.program, command, around, step.passes, deadline)?;
                    if judgement.outcome != Outcome::Pass {
                        return Ok(judgement);
                    }
                }
                Ok(Judgement { outcome: Outcome::Pass, output: String::new() })
            }
            Self::Command(line) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(line);
                run(line, command, around, &[0], deadline)
            }
        }
    }
}

impl Check {
    /// What a line calls it: the preset's name, or the first line of the command.
    #[must_use]
    pub fn label(&self) -> String {
        Self::label_of(&self.to_string())
    }

    /// The same for a check that is given as text.
    #[must_use]
    pub fn label_of(text: &str) -> String {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let short: String = first.chars().take(MAX_LABEL_CHARS).collect();
        if short.len() < first.len() || lines.next().is_some() { short + " …" } else { short }
    }
}

/// A preset's name, or a command.
impl FromStr for Check {
    type Err = ParseCheckError;

    fn from_str(text: &str) -> Result<Self, ParseCheckError> {
        if text.trim().is_empty() {
            return Err(ParseCheckError);
        }
        let preset = PRESETS.iter().find(|preset| preset.name == text);
        Ok(preset.map_or_else(|| Self::Command(text.to_owned()), Self::Preset))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preset(preset) => preset.name,
            Self::Command(line) => line,
        })
    }
}

/// A check without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a preset or a command")]
pub struct ParseCheckError;

/// A check that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A program is not there.
    #[error("{program} is missing; install it with `apt-get install {package}`")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The command itself cannot be run, so that nothing is said about the disk.
    #[error("the check `{check}` cannot be run (exit code {code}): {output}")]
    Harness {
        /// The check.
        check: String,
        /// 126 or 127, as shells say it.
        code: i32,
        /// What the shell printed.
        output: String,
    },
    /// The system's.
    #[error("cannot run the check `{check}`")]
    System {
        /// The check.
        check: String,
        /// Why not.
        source: io::Error,
    },
}

/// Runs a command to its end, or to the deadline, and then ends all of its process group.
fn run(
    name: &str,
    command: Command,
    around: &Surroundings<'_>,
    passes: &[i32],
    deadline: Instant,
) -> Result<Judgement, CheckError> {
    let system = |source| CheckError::System { check: name.to_owned(), source };
    let mut output = tempfile::tempfile().map_err(system)?;
    let mut child = start(command, around, &output).map_err(system)?;
    let status = wait(&mut child, deadline).map_err(system)?;
    let output = last_of(&mut output).map_err(system)?;
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

fn start(mut command: Command, around: &Surroundings<'_>, output: &File) -> io::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .process_group(0)
        .env("CRASH_IMAGE", around.image)
        .env("CRASH_TMPDIR", around.tmpdir)
        .env("TMPDIR", around.tmpdir)
        .env("CRASH_LAST_MARK", around.last_mark.map_or(OsStr::new(""), OsStr::new))
        .spawn()
}

/// Waits for it; `None` if it had to be ended. What it has left running is ended in any case.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without a number"))?;
    let process = Process::open(pid)?;
    let has_ended = wait_for_one(&mut [process.end()], deadline)?;
    // The group is there for as long as its first process was not waited for.
    match kill_process_group(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    let status = child.wait()?;
    Ok(has_ended.then_some(status))
}

fn last_of(output: &mut File) -> io::Result<String> {
    let len_bytes = output.seek(SeekFrom::End(0))?;
    output.seek(SeekFrom::Start(len_bytes.saturating_sub(widen(MAX_OUTPUT_BYTES))))?;
    let mut bytes = Vec::new();
    output.take(widen(MAX_OUTPUT_BYTES)).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

const MAX_LABEL_CHARS: usize = 60;

const MAX_LAST_LINES: usize = 3;

/// As in `git bisect run`.
const UNDECIDED: i32 = 125;

/// How much of what a check prints is kept.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
