//! What judges a state.
//!
//! | part | what it does |
//! |---|---|
//! | [`Check`] | a preset, a database, promised files, or a command |
//! | `run` | a program that looks at a state, until it ends or has to be ended |
//! | `orphans` | what such a program has left running |
//! | `mounted` | the state mounted by the kernel for as long as that takes |
//! | `extract` | single files of a state |
//! | [`Preset`], [`Database`], [`PromisedFile`] | what the tool knows to check by itself |
//! | `judgement` | what is said of the state |

mod error;
mod extract;
mod judgement;
mod mounted;
mod orphans;
mod preset;
mod promise;
mod run;
mod sqlite;

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use logwrites_core::contents::FileSystemKind;

pub use self::error::CheckError;
pub use self::extract::{InnerPath, ParseInnerPathError};
pub(super) use self::judgement::{Judgement, Outcome};
pub use self::preset::{PRESETS, Preset};
pub use self::promise::{Promise, PromisedFile};
pub(super) use self::run::{Besides, Run, Surroundings};
use self::run::{MOUNT, NBD_URI};
pub use self::sqlite::Database;
use super::recording::Recording;
use crate::host::mkfs::MKFS_MARK;

/// What judges a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A file system's own recovery, and its checker after it.
    Preset(&'static Preset),
    /// A database of SQLite's.
    Sqlite(Database),
    /// Every file that marks promise: a check of each by itself, which takes fewer runs than one of all.
    Files,
    /// A file that marks promise.
    File(PromisedFile),
    /// A command of the person's, run by the shell.
    Command(String),
}

impl Check {
    /// The checks that it consists of.
    ///
    /// # Errors
    /// [`CheckError::NothingPromised`].
    pub fn factors(&self, recording: &Recording) -> Result<Vec<Self>, CheckError> {
        let Self::Files = self else { return Ok(vec![self.clone()]) };
        let files = PromisedFile::all(recording.index());
        if files.is_empty() {
            Err(CheckError::NothingPromised)
        } else {
            Ok(files.into_iter().map(Self::File).collect())
        }
    }

    /// Looks for all that it takes before anything is run.
    ///
    /// # Errors
    /// [`CheckError`], if it could not be run on a disk with that file system.
    pub fn prepare(&self, file_system: Option<FileSystemKind>) -> Result<(), CheckError> {
        match self {
            Self::Preset(preset) => preset.prepare(file_system),
            Self::Sqlite(database) => database.prepare(file_system),
            Self::File(file) => file.prepare(file_system),
            Self::Command(line) if is_told(line, MOUNT) => mounted::prepare(&self.label(), file_system),
            Self::Files | Self::Command(_) => Ok(()),
        }
    }

    /// What it is told of a crash at a point, besides the disk: its verdict depends on that, too.
    pub(super) fn told(&self, recording: &Recording, point: u64) -> Option<String> {
        match self {
            // Before its own first mark a program has said nothing.
            Self::Sqlite(database) if database.has_question() => {
                recording.last_mark(point).filter(|mark| mark != MKFS_MARK)
            }
            Self::Preset(_) | Self::Sqlite(_) | Self::Files => None,
            Self::File(file) => file.promised(recording.index(), point),
            Self::Command(_) => recording.last_mark(point),
        }
    }

    /// Judges the state whose disk is at the image's path.
    pub(super) fn judge(&self, around: Surroundings<'_>, timeout: Duration) -> Result<Judgement, CheckError> {
        let run = Run::new(around, timeout);
        match self {
            Self::Preset(preset) => preset.judge(&run),
            Self::Sqlite(database) => database.judge(&run),
            Self::Files => Err(CheckError::NothingPromised),
            Self::File(file) => file.judge(&run),
            Self::Command(line) if is_told(line, MOUNT) => {
                run.mounted(around.file_system, |_| run.served_to(line, true))
            }
            Self::Command(line) => run.served_to(line, false),
        }
    }

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

impl Run<'_> {
    /// Runs a command of the shell's, with a server for it if it asks for one.
    fn served_to(&self, line: &str, is_mounted: bool) -> Result<Judgement, CheckError> {
        if is_told(line, NBD_URI) {
            self.served(|uri| self.shell(line, Besides { is_mounted, nbd_uri: Some(uri) }))
        } else {
            self.shell(line, Besides { is_mounted, nbd_uri: None })
        }
    }

    /// Runs a command of the shell's, which finds the state by its environment.
    fn shell(&self, line: &str, besides: Besides<'_>) -> Result<Judgement, CheckError> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line);
        self.around.tell(&mut command, besides);
        self.command(line, command, &[0])
    }
}

/// Whether a command asks for something: it names the variable.
fn is_told(line: &str, variable: &str) -> bool {
    line.contains(variable)
}

/// A preset's name, `sqlite:PATH`, `files`, or a command.
impl FromStr for Check {
    type Err = ParseCheckError;

    fn from_str(text: &str) -> Result<Self, ParseCheckError> {
        if text.trim().is_empty() {
            return Err(ParseCheckError::Empty);
        }
        if let Some(preset) = Preset::named(text) {
            return Ok(Self::Preset(preset));
        }
        match text.split_once(':') {
            _ if text == FILES => Ok(Self::Files),
            Some((FILES, path)) => Ok(Self::File(path.parse()?)),
            Some((SQLITE, database)) => Ok(Self::Sqlite(database.parse()?)),
            _ => Ok(Self::Command(text.to_owned())),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(preset) => f.write_str(preset.name),
            Self::Sqlite(database) => write!(f, "{SQLITE}:{database}"),
            Self::Files => f.write_str(FILES),
            Self::File(file) => write!(f, "{FILES}:{file}"),
            Self::Command(line) => f.write_str(line),
        }
    }
}

/// Not a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCheckError {
    /// It has no word.
    #[error("expected a preset or a command")]
    Empty,
    /// The file to check has no proper path.
    #[error(transparent)]
    Path(#[from] ParseInnerPathError),
}

const FILES: &str = "files";
const SQLITE: &str = "sqlite";

const MAX_LABEL_CHARS: usize = 60;
