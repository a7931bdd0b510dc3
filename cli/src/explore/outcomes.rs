//! The folder of an exploration: what was asked, and a line for each run, so that nothing is run twice.
//!
//! A line has what the run read, by a hash of its contents. So it proves the same for any state with these contents: an
//! exploration that is resumed goes through its states again, and finds those that are decided without a run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use logwrites_core::Extent;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::check::Outcome;
use super::way::{Signature, Way};

/// The folder.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
    /// Lines are added at its end.
    outcomes: Mutex<File>,
    known: Vec<Line>,
}

/// What an exploration is about. An exploration that is resumed must be about the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this format.
    pub version: u32,
    /// How many entries the log has.
    pub nr_entries: u64,
    /// Where the log ends, in bytes.
    pub log_bytes: u64,
    /// The size of the disk in bytes.
    pub disk_bytes: u64,
    /// The rules, as text.
    pub rules: String,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) check: String,
    pub(super) state: String,
    /// What the check was told as the last mark.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) last_mark: Option<String>,
    pub(super) ended: Outcome,
    /// Of a failure: what tells it from others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) signature: Option<Signature>,
    /// What it read, in order: the first sector, how many, and the hash of what they held. Missing where the run decides
    /// its own state alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) reads: Option<Vec<(u64, u64, String)>>,
}

impl Line {
    /// How it ended; `None` if it does not say it as a whole.
    pub(super) fn way(&self) -> Option<Way> {
        Way::known(self.ended, self.signature)
    }

    /// What it read, if all of it is well-formed.
    pub(super) fn reads(&self) -> Option<Vec<(Extent, u128)>> {
        let read = |(sector, nr_sectors, hash): &(u64, u64, String)| {
            let extent = Extent::new(*sector, *nr_sectors).filter(|extent| !extent.is_empty())?;
            Some((extent, u128::from_str_radix(hash, 16).ok()?))
        };
        self.reads.as_ref()?.iter().map(read).collect()
    }

    pub(super) fn set_reads(&mut self, reads: &[(Extent, u128)]) {
        let read =
            |(extent, hash): &(Extent, u128)| (extent.sector(), extent.nr_sectors(), format!("{hash:032x}"));
        self.reads = Some(reads.iter().map(read).collect());
    }
}

impl OutDir {
    /// Whether the folder can be [made](Self::create).
    ///
    /// # Errors
    /// [`OutDirError`] if it is there, and is not empty.
    pub fn check_new(path: &Path) -> Result<(), OutDirError> {
        let is_empty = match fs::read_dir(path) {
            Ok(mut names) => names.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(OutDirError::System { path: path.to_owned(), source }),
        };
        if is_empty { Ok(()) } else { Err(OutDirError::NotEmpty { path: path.to_owned() }) }
    }

    /// Makes the folder, which must be new or empty.
    ///
    /// # Errors
    /// [`OutDirError`].
    pub fn create(path: &Path, plan: &Plan) -> Result<Self, OutDirError> {
        let system = |source| OutDirError::System { path: path.to_owned(), source };
        Self::check_new(path)?;
        fs::create_dir_all(path).map_err(system)?;
        let text = serde_json::to_vec_pretty(plan).map_err(|error| system(error.into()))?;
        fs::write(path.join(PLAN), text).map_err(system)?;
        let outcomes = File::create_new(path.join(OUTCOMES)).map_err(system)?;
        Ok(Self { path: path.to_owned(), outcomes: Mutex::new(outcomes), known: Vec::new() })
    }

    /// Opens the folder of an exploration that has ended early, or was killed.
    ///
    /// # Errors
    /// [`OutDirError`], also if it was about something else.
    pub fn resume(path: &Path, plan: &Plan) -> Result<Self, OutDirError> {
        let system = |source| OutDirError::System { path: path.to_owned(), source };
        let text = fs::read(path.join(PLAN)).map_err(system)?;
        let known: Plan = serde_json::from_slice(&text).map_err(|error| OutDirError::Malformed {
            path: path.join(PLAN),
            line: 1,
            source: error,
        })?;
        if known != *plan {
            return Err(OutDirError::OtherPlan { path: path.to_owned() });
        }
        let name = path.join(OUTCOMES);
        let mut file = OpenOptions::new().read(true).append(true).open(&name).map_err(system)?;
        let (known, end_bytes) = read_lines(&mut file, &name)?;
        // A line that was being written when the process was killed.
        file.set_len(end_bytes).map_err(system)?;
        Ok(Self { path: path.to_owned(), outcomes: Mutex::new(file), known })
    }

    /// The lines that were there when it was opened.
    pub(super) fn known(&self) -> &[Line] {
        &self.known
    }

    /// Adds a run. It is there for good as soon as this returns, if the system goes on.
    pub(super) fn add(&self, line: &Line) -> Result<(), OutDirError> {
        let system = |source| OutDirError::System { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(line).map_err(|error| system(error.into()))?;
        text.push(b'\n');
        self.outcomes.lock().write_all(&text).map_err(system)
    }
}

/// All whole lines, and where they end.
fn read_lines(file: &mut File, path: &Path) -> Result<(Vec<Line>, u64), OutDirError> {
    let system = |source| OutDirError::System { path: path.to_owned(), source };
    let (mut lines, mut end_bytes) = (Vec::new(), 0);
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        text.clear();
        let len = reader.read_until(b'\n', &mut text).map_err(system)?;
        if text.last() != Some(&b'\n') {
            return Ok((lines, end_bytes));
        }
        let line = serde_json::from_slice(&text).map_err(|source| OutDirError::Malformed {
            path: path.to_owned(),
            line: lines.len() + 1,
            source,
        })?;
        lines.push(line);
        end_bytes += logwrites_core::num::widen(len);
    }
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutDirError {
    /// A new exploration needs a new folder.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// It was made for something else.
    #[error("{} is of an exploration of another log, disk or model", path.display())]
    OtherPlan {
        /// The folder.
        path: PathBuf,
    },
    /// A file in it is not what it should be.
    #[error("line {line} of {} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system's.
    #[error("cannot use {}", path.display())]
    System {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

const PLAN: &str = "plan.json";
const OUTCOMES: &str = "outcomes.jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(nr_entries: u64) -> Plan {
        Plan { version: 1, nr_entries, log_bytes: 512, disk_bytes: 1024, rules: "lost".to_owned() }
    }

    #[test]
    fn a_line_that_was_being_written_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut line = Line {
            check: "ext4".to_owned(),
            state: "7^3".to_owned(),
            last_mark: None,
            ended: Outcome::Fail(4),
            signature: "abc".parse().ok(),
            reads: None,
        };
        line.set_reads(&[(Extent::new(8, 2).unwrap(), 0xabc)]);
        OutDir::create(&path, &plan(9)).unwrap().add(&line).unwrap();
        assert!(matches!(OutDir::create(&path, &plan(9)), Err(OutDirError::NotEmpty { .. })));
        let whole = fs::read(path.join(OUTCOMES)).unwrap();
        fs::write(path.join(OUTCOMES), [&whole[..], &whole[..20]].concat()).unwrap();
        let resumed = OutDir::resume(&path, &plan(9)).unwrap();
        assert_eq!(resumed.known(), std::slice::from_ref(&line));
        assert_eq!(resumed.known()[0].reads(), Some(vec![(Extent::new(8, 2).unwrap(), 0xabc)]));
        resumed.add(&line).unwrap();
        assert_eq!(fs::read(path.join(OUTCOMES)).unwrap(), whole.repeat(2));
        assert!(matches!(OutDir::resume(&path, &plan(8)), Err(OutDirError::OtherPlan { .. })));
        fs::write(path.join(OUTCOMES), "{}\n").unwrap();
        assert!(matches!(OutDir::resume(&path, &plan(9)), Err(OutDirError::Malformed { line: 1, .. })));
    }
}
