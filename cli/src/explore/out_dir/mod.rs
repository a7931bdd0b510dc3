//! The folder of an exploration: what was asked, a line for each run, so that nothing is run twice, and what was
//! found.
//!
//! | file | what it has |
//! |---|---|
//! | `plan.json` | what the exploration is about: the hashes of its log and base, the checks, the model |
//! | `timeline.json` | the log as a picture |
//! | `outcomes.jsonl` | a line for each run |
//! | `results.json` | what it has come to, as a report for each check |
//! | `failures/N` | for each way to fail: `failure.json` is what was found, `crash.img` the disk as the crash has left it, `written.log` what the check wrote to it, `output.txt` what the check printed |
//!
//! A line has what the run read, by a hash of its contents. So it proves the same for any state with these contents: an
//! exploration that is resumed goes through its states again, and finds those that are decided without a run.

mod error;
mod lines;
mod plan;
mod results;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::error::OutDirError;
pub(super) use self::lines::Line;
use self::lines::read_lines;
use self::plan::VERSION;
pub use self::plan::{Hashed, Plan};
pub use self::results::Results;
use super::timeline::Timeline;

/// The folder.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
    /// Lines are added at its end.
    outcomes: Mutex<File>,
    known: Vec<Line>,
    nr_failures: AtomicUsize,
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
    pub fn create(path: &Path, plan: &Plan, timeline: &Timeline) -> Result<Self, OutDirError> {
        let system = |source| OutDirError::System { path: path.to_owned(), source };
        Self::check_new(path)?;
        fs::create_dir_all(path).map_err(system)?;
        let outcomes = File::create_new(path.join(OUTCOMES)).map_err(system)?;
        write_json(&path.join(TIMELINE), timeline)?;
        write_json(&path.join(PLAN), plan)?;
        Ok(Self::new(path, outcomes, Vec::new()))
    }

    /// Opens the folder of an exploration that has ended early, or was killed. Its results go: there will be others. A folder
    /// that is new or empty, or whose exploration was killed before it had a plan, is [made](Self::create), so that a scheduler
    /// can run the same command again and again.
    ///
    /// # Errors
    /// [`OutDirError`], also if it was about something else.
    pub fn resume(path: &Path, plan: &Plan, timeline: &Timeline) -> Result<Self, OutDirError> {
        let system = |source| OutDirError::System { path: path.to_owned(), source };
        if !path.join(PLAN).exists() {
            clear_unplanned(path).map_err(system)?;
            return Self::create(path, plan, timeline);
        }
        if let Some(what) = Self::plan(path)?.difference(plan) {
            return Err(OutDirError::OtherPlan { path: path.to_owned(), what });
        }
        let name = path.join(OUTCOMES);
        let mut file = OpenOptions::new().read(true).append(true).open(&name).map_err(system)?;
        let (known, end_bytes) = read_lines(&mut file, &name)?;
        // A line that was being written when the process was killed.
        file.set_len(end_bytes).map_err(system)?;
        for gone in [fs::remove_file(path.join(RESULTS)), fs::remove_dir_all(path.join(FAILURES))] {
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system(error)),
                _ => {}
            }
        }
        Ok(Self::new(path, file, known))
    }

    fn new(path: &Path, outcomes: File, known: Vec<Line>) -> Self {
        let outcomes = Mutex::new(outcomes);
        Self { path: path.to_owned(), outcomes, known, nr_failures: AtomicUsize::new(0) }
    }

    /// What the exploration of a folder is about.
    ///
    /// # Errors
    /// [`OutDirError`], also if another version of the tool has made it.
    pub fn plan(path: &Path) -> Result<Plan, OutDirError> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version: found } = read_json(&path.join(PLAN))?;
        if found != VERSION {
            return Err(OutDirError::OtherVersion { path: path.to_owned(), found });
        }
        read_json(&path.join(PLAN))
    }

    /// The picture of the log.
    ///
    /// # Errors
    /// [`OutDirError`].
    pub fn timeline(path: &Path) -> Result<Timeline, OutDirError> {
        read_json(&path.join(TIMELINE))
    }

    /// What the exploration of a folder has come to.
    ///
    /// # Errors
    /// [`OutDirError`], also if it was killed.
    pub fn results(path: &Path) -> Result<Results, OutDirError> {
        Self::plan(path)?;
        match read_json(&path.join(RESULTS)) {
            Err(OutDirError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(OutDirError::NoResults { path: path.to_owned() })
            }
            read => read,
        }
    }

    /// Keeps what the exploration has come to.
    ///
    /// # Errors
    /// [`OutDirError`]; the results are there as a whole, or not at all.
    pub fn keep(&self, results: &Results) -> Result<(), OutDirError> {
        write_json(&self.path.join(RESULTS), results)
    }

    /// Makes a folder for all that shows one way to fail.
    ///
    /// # Errors
    /// [`OutDirError`].
    pub fn new_failure(&self) -> Result<PathBuf, OutDirError> {
        let nth = self.nr_failures.fetch_add(1, Relaxed) + 1;
        let path = Self::failure(&self.path, nth);
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(OutDirError::System { path, source }),
        }
    }

    /// The folder of the nth way to fail, counted from 1.
    #[must_use]
    pub(super) fn failure(path: &Path, nth: usize) -> PathBuf {
        path.join(FAILURES).join(nth.to_string())
    }

    /// Adds all runs of another exploration.
    pub(super) fn add_runs_of(&self, other: &Path) -> Result<(), OutDirError> {
        let name = other.join(OUTCOMES);
        let system = |source| OutDirError::System { path: name.clone(), source };
        let (lines, _) = read_lines(&mut File::open(&name).map_err(system)?, &name)?;
        lines.iter().try_for_each(|line| self.add(line))
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

/// Removes what there is in a folder before there is a plan. Anything else stays, and so does a line of a run, which nothing
/// but an exploration with a plan can have written.
fn clear_unplanned(path: &Path) -> io::Result<()> {
    let outcomes = path.join(OUTCOMES);
    let is_first = fs::metadata(&outcomes).is_ok_and(|metadata| metadata.len() == 0);
    if is_first {
        for file in
            [draft_of(&path.join(PLAN)), path.join(TIMELINE), draft_of(&path.join(TIMELINE)), outcomes]
        {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, OutDirError> {
    let text = fs::read(path).map_err(|source| OutDirError::System { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| OutDirError::Malformed {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// Makes a file as a whole, or not at all.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), OutDirError> {
    let system = |source| OutDirError::System { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(value).map_err(|error| system(error.into()))?;
    let draft = draft_of(path);
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, path)).map_err(system)
}

/// What a file is called until it is whole.
fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("new")
}

const PLAN: &str = "plan.json";
const OUTCOMES: &str = "outcomes.jsonl";
const TIMELINE: &str = "timeline.json";
const RESULTS: &str = "results.json";
const FAILURES: &str = "failures";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Partition;
    use crate::explore::check::Outcome;
    use logwrites_core::Extent;

    pub(super) fn plan(nr_entries: u64) -> Plan {
        Plan {
            version: VERSION,
            tool: "1.0.0".to_owned(),
            log: Hashed { path: "log".into(), sha256: "a".to_owned() },
            nr_entries,
            base: None,
            disk_bytes: 1024,
            rules: "lost".to_owned(),
            points: (0, nr_entries),
            checks: vec!["ext4".to_owned()],
            mount_options: None,
            nested: false,
            seed: 0,
            partition: Partition::WHOLE,
        }
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
            in_recovery: true,
            reads: None,
        };
        line.set_reads(&[(Extent::new(8, 2).unwrap(), 0xabc)]);
        OutDir::create(&path, &plan(9), &Timeline::default()).unwrap().add(&line).unwrap();
        assert!(matches!(
            OutDir::create(&path, &plan(9), &Timeline::default()),
            Err(OutDirError::NotEmpty { .. })
        ));
        let whole = fs::read(path.join(OUTCOMES)).unwrap();
        fs::write(path.join(OUTCOMES), [&whole[..], &whole[..20]].concat()).unwrap();
        let resumed = OutDir::resume(&path, &plan(9), &Timeline::default()).unwrap();
        assert_eq!(resumed.known(), std::slice::from_ref(&line));
        assert_eq!(resumed.known()[0].reads(), Some(vec![(Extent::new(8, 2).unwrap(), 0xabc)]));
        resumed.add(&line).unwrap();
        assert_eq!(fs::read(path.join(OUTCOMES)).unwrap(), whole.repeat(2));
        assert!(matches!(
            OutDir::resume(&path, &plan(8), &Timeline::default()),
            Err(OutDirError::OtherPlan { .. })
        ));
        assert!(matches!(OutDir::results(&path), Err(OutDirError::NoResults { .. })));
        resumed.keep(&Results::new(Vec::new(), true)).unwrap();
        assert_eq!(OutDir::results(&path).unwrap(), Results::new(Vec::new(), true));
        let text = fs::read_to_string(path.join(PLAN)).unwrap();
        fs::write(path.join(PLAN), r#"{"version": 1}"#).unwrap();
        assert!(matches!(OutDir::results(&path), Err(OutDirError::OtherVersion { found: 1, .. })));
        fs::write(path.join(PLAN), text).unwrap();
        fs::write(path.join(OUTCOMES), "{}\n").unwrap();
        assert!(matches!(
            OutDir::resume(&path, &plan(9), &Timeline::default()),
            Err(OutDirError::Malformed { line: 1, .. })
        ));
    }

    #[test]
    fn what_has_not_begun_is_begun_by_resuming_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let resume = || OutDir::resume(&path, &plan(9), &Timeline::default());
        assert_eq!(resume().unwrap().known(), []);
        assert_eq!(OutDir::plan(&path).unwrap(), plan(9));
        // As if it had been killed right before the plan was there.
        fs::rename(path.join(PLAN), draft_of(&path.join(PLAN))).unwrap();
        resume().unwrap();
        assert!(!draft_of(&path.join(PLAN)).exists());
        // What somebody else has there stays.
        fs::remove_file(path.join(PLAN)).unwrap();
        fs::write(path.join("notes"), "mine").unwrap();
        assert!(matches!(resume(), Err(OutDirError::NotEmpty { .. })));
        assert_eq!(fs::read(path.join("notes")).unwrap(), b"mine");
    }
}
