//! The parts of an exploration as one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use logwrites_core::crash::State;

use super::out_dir::{OutDir, OutDirError, Plan, Results};
use super::partition::Partition;
use super::report::{FindingReport, Report};
use super::schedule::MAX_REPORTED;
use crate::device::{Access, Disk};
use crate::explain::{End, Explain};

/// Merges the folders of all parts of an exploration (`--partition`), in any order, into a new folder. It has what an
/// exploration in one would have decided and found; the runs are the sum of the parts', which could not use each other's.
///
/// # Errors
/// [`MergeError`] if a part is missing, is there twice, has ended early, or is of another exploration.
pub fn merge(paths: &[PathBuf], to: &Path) -> Result<Results, MergeError> {
    let mut parts = paths.iter().map(|path| Part::open(path)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.plan.partition);
    let plan = check_whole(&parts)?;
    let out = OutDir::create(to, &plan, &OutDir::timeline(parts[0].path)?)?;
    let mut checks: Vec<Report> = Vec::new();
    for part in &parts {
        out.add_runs_of(part.path)?;
        for report in &part.results.checks {
            match checks.iter_mut().find(|known| known.check == report.check) {
                Some(known) => known.add(report),
                None => checks.push(report.clone()),
            }
        }
    }
    for report in &mut checks {
        report.findings.sort_by_cached_key(FindingReport::order);
        for finding in &report.findings {
            let from = source_of(&parts, &report.check, finding)
                .unwrap_or_else(|| unreachable!("each finding is one of a part"));
            let to = out.new_failure()?;
            copy(&from, &to).map_err(|source| OutDirError::System { path: to, source })?;
        }
    }
    let results = Results::new(checks, false);
    out.keep(&results)?;
    Ok(results)
}

/// A folder that is to be merged.
struct Part<'a> {
    path: &'a Path,
    plan: Plan,
    results: Results,
}

impl<'a> Part<'a> {
    fn open(path: &'a Path) -> Result<Self, MergeError> {
        let (plan, results) = (OutDir::plan(path)?, OutDir::results(path)?);
        if results.ended_early {
            return Err(MergeError::EndedEarly { path: path.to_owned() });
        }
        Ok(Self { path, plan, results })
    }
}

/// The plan of the whole, if the parts, in order, are all of it.
fn check_whole(parts: &[Part<'_>]) -> Result<Plan, MergeError> {
    let Some(first) = parts.first() else { return Err(MergeError::Missing { nth: 1, nr_parts: 1 }) };
    let nr_parts = first.plan.partition.nr_parts();
    for part in parts {
        let of = part.plan.partition.nr_parts();
        let differs = first.plan.difference_of_parts(&part.plan);
        if let Some(what) = differs.or((of != nr_parts).then_some("number of parts")) {
            let (path, other) = (part.path.to_owned(), first.path.to_owned());
            return Err(MergeError::Foreign { path, other, what });
        }
    }
    let mut pairs = parts.windows(2);
    if let Some(pair) = pairs.find(|pair| pair[0].plan.partition == pair[1].plan.partition) {
        let (path, other) = (pair[1].path.to_owned(), pair[0].path.to_owned());
        return Err(MergeError::Twice { path, other });
    }
    for nth in 1..=nr_parts {
        if parts.get(nth - 1).is_none_or(|part| part.plan.partition.nth() != nth) {
            return Err(MergeError::Missing { nth, nr_parts });
        }
    }
    Ok(Plan { partition: Partition::WHOLE, ..first.plan.clone() })
}

impl Report {
    /// Takes in what another part has decided.
    fn add(&mut self, other: &Self) {
        self.groups += other.groups;
        self.groups_decided += other.groups_decided;
        self.groups_given_up += other.groups_given_up;
        self.states += &other.states;
        self.decided += &other.decided;
        self.failing += &other.failing;
        if let Some(nested) = &other.nested_states {
            self.nested_states.get_or_insert_default().0 += &nested.0;
        }
        self.runs += other.runs;
        self.reused += other.reused;
        self.cross_checks += other.cross_checks;
        self.flaky += other.flaky;
        self.timeouts += other.timeouts;
        self.undecided += other.undecided;
        self.contradicted |= other.contradicted;
        self.loses_at_most = weaker(self.partly, self.loses_at_most, other.partly, other.loses_at_most);
        self.keeps_at_most = weaker(self.partly, self.keeps_at_most, other.partly, other.keeps_at_most);
        self.partly |= other.partly;
        self.flaky_states.extend(other.flaky_states.iter().cloned());
        self.seconds += other.seconds;
        self.by_group.extend(other.by_group.iter().copied());
        self.by_group.sort_by_key(|group| group.point);
        self.by_group.truncate(MAX_REPORTED);
        self.verdict = self.verdict.max(other.verdict);
        for finding in &other.findings {
            match self.findings.iter_mut().find(|known| known.is_same_way(finding)) {
                Some(known) => known.add(finding),
                None => self.findings.push(finding.clone()),
            }
        }
        self.renew_shares();
    }
}

/// The weaker of two guarantees, each of which counts only where a part has one.
fn weaker(is_first: bool, first: Option<u64>, is_second: bool, second: Option<u64>) -> Option<u64> {
    match (is_first, is_second) {
        (true, true) => first.zip(second).map(|(first, second)| first.min(second)),
        (true, false) => first,
        (false, _) => second,
    }
}

impl FindingReport {
    /// Takes in the same way to fail: the one that comes first in the log stands for both.
    fn add(&mut self, other: &Self) {
        let tried = self.tried + other.tried;
        if other.order() < self.order() {
            *self = other.clone();
        }
        self.tried = tried;
    }

    fn is_same_way(&self, other: &Self) -> bool {
        let is_in_recovery = |report: &Self| report.recovery.is_some();
        self.signature == other.signature
            && self.ended == other.ended
            && is_in_recovery(self) == is_in_recovery(other)
    }

    /// The order in which findings are told; what is no state comes first.
    fn order(&self) -> Option<State> {
        self.crash.state.parse().ok()
    }
}

/// The folder that has the failure of a finding.
fn source_of(parts: &[Part<'_>], check: &str, finding: &FindingReport) -> Option<PathBuf> {
    parts.iter().find_map(|part| {
        let all = part.results.checks.iter().flat_map(|report| {
            let with_check = |finding| (report.check.as_str(), finding);
            report.findings.iter().map(with_check)
        });
        let is_same = |(of, other): (&str, &FindingReport)| {
            of == check && other.crash.state == finding.crash.state && other.is_same_way(finding)
        };
        (1..).zip(all).find_map(|(nth, found)| is_same(found).then(|| OutDir::failure(part.path, nth)))
    })
}

/// Copies the files of a folder; holes stay holes, and links are left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            copy_sparse(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    File::create_new(to)?;
    let (from, to) = (Disk::open(from, Access::Read), Disk::open(to, Access::Write));
    let (from, to) = (from.map_err(io::Error::other)?, to.map_err(io::Error::other)?);
    let len_bytes = from.len_bytes()?;
    to.set_len(len_bytes)?;
    if to.share_all_of(&from) {
        return Ok(());
    }
    let mut at = 0;
    while let Some(data) = from.next_data(at)? {
        to.copy_from(&from, data.start, data.start, data.end - data.start)?;
        at = data.end;
    }
    Ok(())
}

/// Folders that are not the parts of one exploration.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A part is not among them.
    #[error("part {nth}/{nr_parts} is missing")]
    Missing {
        /// Which one, counted from 1.
        nth: usize,
        /// Of how many.
        nr_parts: usize,
    },
    /// A part is there twice.
    #[error("{} and {} are the same part", other.display(), path.display())]
    Twice {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// It belongs to another exploration.
    #[error("{} is of an exploration with another {what} than {}", path.display(), other.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The first one.
        other: PathBuf,
        /// What is not the same.
        what: &'static str,
    },
    /// Its exploration was interrupted.
    #[error("the exploration of {} has ended early", path.display())]
    EndedEarly {
        /// The folder.
        path: PathBuf,
    },
    /// A folder cannot be used.
    #[error(transparent)]
    OutDir(#[from] OutDirError),
}

impl Explain for MergeError {
    fn end(&self) -> Option<End> {
        match self {
            Self::OutDir(error) => error.end(),
            _ => Some(End::Malformed),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::EndedEarly { .. } => {
                Some("the same `logwrites explore` with --resume continues it".to_owned())
            }
            Self::OutDir(error) => error.hint(),
            _ => None,
        }
    }
}
