//! What an exploration has found, as data: what `--json` prints, and what the folder of an exploration keeps.

use std::io;
use std::ops::RangeInclusive;

use logwrites_core::crash::{Group, Search, State, StateCount};
use logwrites_core::format::Flags;
use logwrites_core::history::Discards;
use logwrites_core::reader::Entry;
use serde::{Deserialize, Serialize};

use super::block::Block;
use super::explorer::{Explored, Verdict};
use super::finding::{Finding, InRecovery};
use super::names::Names;
use super::recording::AnyRecording;
use super::way::Signature;
use crate::point::Crash;

/// An exploration by one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The check, as it was given.
    pub check: String,
    /// The result in a word.
    pub verdict: Verdict,
    /// How many groups of states there are.
    pub groups: u64,
    /// How many of them are decided.
    pub groups_decided: u64,
    /// How many groups were left since so many of their states fail.
    pub groups_given_up: u64,
    /// How many states there are.
    #[serde(with = "decimal")]
    pub states: StateCount,
    /// The same as a binary logarithm; missing where there is none.
    pub states_log2: Option<f64>,
    /// How many of the states are decided.
    #[serde(with = "decimal")]
    pub decided: StateCount,
    /// How many of those fail.
    #[serde(with = "decimal")]
    pub failing: StateCount,
    /// The share of the states that are decided.
    pub decided_share: f64,
    /// The share of the states that fail.
    pub failing_share: f64,
    /// How many states that a second crash can leave, during the recovery, are decided; missing where recoveries are not
    /// crashed. A state that was decided by an earlier run has the same ones, and adds none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nested_states: Option<Decimal>,
    /// How many times the checker was run.
    pub runs: u64,
    /// How many runs were spared since an earlier one had read the same.
    pub reused: u64,
    /// How many states that were decided without a run were run all the same, to see.
    pub cross_checks: u64,
    /// States that came to something else the second time.
    pub flaky: u64,
    /// Runs that took too long.
    pub timeouts: u64,
    /// Runs whose check could not tell.
    pub undecided: u64,
    /// Whether what was run to see contradicts what was decided.
    pub contradicted: bool,
    /// Whether some of the groups were begun, and not decided as a whole: then the next two count.
    pub partly: bool,
    /// Of those groups, every state that loses at most so many units is decided.
    pub loses_at_most: Option<u64>,
    /// Of those groups, every state that keeps at most so many units is decided.
    pub keeps_at_most: Option<u64>,
    /// States on which the check failed once, and passed the second time.
    pub flaky_states: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// Each way to fail, with its cause.
    pub findings: Vec<FindingReport>,
    /// The first 10,000 groups, one by one, in log order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_group: Vec<GroupReport>,
}

/// One group of states, and what is decided of it.
///
/// Its size does not depend on that of the group, whose number of states can have a hundred thousand digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The last point of its crashes.
    pub point: u64,
    /// How many units it has: it has 2 to the power of that many states.
    pub units: u64,
    /// Whether all of its states are decided.
    pub is_decided: bool,
    /// The share of its states that are decided.
    pub decided_share: f64,
    /// The binary logarithm of the number of its states that fail; missing where none does.
    pub failing_log2: Option<f64>,
}

/// One way to fail, and the least that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingReport {
    /// The state that loses the least of those that fail so.
    #[serde(flatten)]
    pub crash: CrashReport,
    /// The crash of the recovery that fails; missing where the state itself does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<RecoveryReport>,
    /// How the check ended, as in "exit code 4".
    pub ended: String,
    /// What makes it another way to fail than the others: the same in each exploration by the same check.
    pub signature: Option<Signature>,
    /// How many of the states that were tried have failed so.
    pub tried: u64,
    /// The end of what the check printed.
    pub output: String,
    /// The command that shows it again.
    pub again: String,
}

/// A crash that fails, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashReport {
    /// The state that it leaves.
    pub state: String,
    /// Its point.
    pub point: u64,
    /// What it has lost, as in its name.
    pub lost: String,
    /// The same, one by one, as far as it is not too much.
    pub lost_writes: Vec<LostWrite>,
    /// Whether every state that loses one of the writes less passes, or fails in another way.
    pub one_minimal: bool,
    /// With nothing lost: the last point that passes.
    pub last_good: Option<u64>,
    /// With nothing lost: the point after it, which fails.
    pub first_bad: Option<u64>,
    /// The nearest state that passes, as far as one was found.
    pub passing: Option<String>,
    /// The first blocks in which the two differ.
    pub blocks: Vec<Block>,
    /// The last mark before the crash.
    pub last_mark: Option<String>,
}

/// A crash of a recovery. Its state, point and entries are those of what the check has written to the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// The crash.
    #[serde(flatten)]
    pub crash: CrashReport,
    /// How far the recovery was: the last write that the disk was told.
    pub last_write: Option<LostWrite>,
}

/// A write that a crash has lost, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostWrite {
    /// The number of its entry.
    pub entry: u64,
    /// What it is.
    pub kind: LostKind,
    /// Its first sector.
    pub sector: u64,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// The first and the last of its sectors that are lost, counted from its first; missing where all are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sectors: Option<(u64, u64)>,
    /// What it is to the file system, as in "inode bitmap of group 0"; empty where that is not known.
    #[serde(default)]
    pub names: Vec<String>,
    /// The last mark before it.
    pub last_mark: Option<String>,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostKind {
    /// A discard: what was there before is there again.
    Discard,
    /// A write, of data or of zeros.
    Write,
}

/// A number of states; in JSON it is a string of every digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decimal(#[serde(with = "decimal")] pub StateCount);

/// All checks together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    groups: u64,
    groups_decided: u64,
    states: String,
    states_log2: Option<f64>,
    decided_share: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    nested_states: Option<Decimal>,
    runs: u64,
    reused: u64,
    failures: u64,
    distinct_failures: usize,
    flaky: u64,
    timeouts: u64,
    seconds: f64,
    /// The worst of all.
    pub verdict: Verdict,
}

impl Report {
    /// What an exploration has come to. `again` gives the command that shows a state once more.
    ///
    /// # Errors
    /// Those of reading the disk.
    pub fn new(
        explored: &Explored,
        recording: &AnyRecording,
        discards: Discards,
        again: impl Fn(&Crash) -> String,
    ) -> io::Result<Self> {
        let findings = explored
            .findings
            .iter()
            .map(|finding| FindingReport::new(finding, recording, discards, again(&finding.crash())));
        Ok(Self {
            check: explored.check.to_string(),
            verdict: explored.verdict(),
            groups: explored.groups,
            groups_decided: explored.groups_decided,
            groups_given_up: explored.groups_given_up,
            states_log2: finite(explored.states.log2()),
            decided_share: explored.decided.share_of(&explored.states),
            failing_share: explored.failing.share_of(&explored.states),
            states: explored.states.clone(),
            decided: explored.decided.clone(),
            failing: explored.failing.clone(),
            nested_states: explored.nested.clone().map(Decimal),
            runs: explored.runs,
            reused: explored.reused,
            cross_checks: explored.cross_checks,
            flaky: explored.flaky,
            timeouts: explored.timeouts,
            undecided: explored.undecided,
            contradicted: explored.is_contradicted,
            partly: explored.guarantee.is_some(),
            loses_at_most: explored.guarantee.and_then(|guarantee| guarantee.loses_at_most),
            keeps_at_most: explored.guarantee.and_then(|guarantee| guarantee.keeps_at_most),
            flaky_states: explored.flaky_states.iter().map(State::to_string).collect(),
            seconds: explored.took.as_secs_f64(),
            findings: findings.collect::<io::Result<_>>()?,
            by_group: explored.by_group.clone(),
        })
    }

    /// The same without its groups: as long as its findings, however long the log is.
    #[must_use]
    pub fn without_groups(&self) -> Self {
        Self { by_group: Vec::new(), ..self.clone() }
    }

    /// Computes what follows from the counts.
    pub(super) fn renew_shares(&mut self) {
        self.states_log2 = finite(self.states.log2());
        self.decided_share = self.decided.share_of(&self.states);
        self.failing_share = self.failing.share_of(&self.states);
    }
}

impl GroupReport {
    /// A group of which nothing was tried.
    #[must_use]
    pub const fn untried(group: &Group) -> Self {
        Self {
            point: group.point(),
            units: group.nr_units(),
            is_decided: false,
            decided_share: 0.0,
            failing_log2: None,
        }
    }

    /// What a search has decided of its group.
    #[must_use]
    pub fn of(search: &Search) -> Self {
        Self {
            is_decided: search.is_decided(),
            decided_share: search.decided().share_of(search.total()),
            failing_log2: finite(search.failing().log2()),
            ..Self::untried(search.layers().group())
        }
    }
}

impl FindingReport {
    fn new(
        finding: &Finding,
        recording: &AnyRecording,
        discards: Discards,
        again: String,
    ) -> io::Result<Self> {
        Ok(Self {
            crash: CrashReport::new(finding, recording, discards)?,
            recovery: finding.in_recovery().map(RecoveryReport::new).transpose()?,
            ended: finding.ended(),
            signature: finding.way().signature(),
            tried: finding.nr_tried(),
            output: finding.output().to_owned(),
            again,
        })
    }

    /// The crash that a check judges: that of the recovery, if there is one.
    #[must_use]
    pub fn last_crash(&self) -> &CrashReport {
        self.recovery.as_ref().map_or(&self.crash, |recovery| &recovery.crash)
    }
}

impl CrashReport {
    fn new(finding: &Finding, recording: &AnyRecording, discards: Discards) -> io::Result<Self> {
        let state = &finding.state();
        let mut names = Names::new(recording, discards, state);
        let passing = finding.passing();
        let blocks = passing
            .map(|passing| Block::differing(recording, discards, (state, passing), &names))
            .transpose()?;
        Ok(Self {
            state: state.to_string(),
            point: state.point,
            lost: state.lost.to_string(),
            lost_writes: lost_writes(state, recording, &mut names),
            one_minimal: finding.is_one_minimal(),
            last_good: finding.first().map(|first| first.last_good),
            first_bad: finding.first().map(|first| first.first_bad),
            passing: passing.map(State::to_string),
            blocks: blocks.unwrap_or_default(),
            last_mark: recording.last_mark(state.point),
        })
    }
}

impl RecoveryReport {
    fn new(found: &InRecovery) -> io::Result<Self> {
        let recording: &AnyRecording = &*found.recording;
        let state = found.finding.state();
        let mut names = Names::new(recording, Discards::Zero, &state);
        let last = recording.index().entries(0..state.point).rev().find(Entry::changes_disk);
        Ok(Self {
            crash: CrashReport::new(&found.finding, recording, Discards::Zero)?,
            last_write: last.map(|entry| LostWrite::new(&entry, None, recording, &mut names)),
        })
    }
}

/// The lost writes of a state, one by one.
fn lost_writes(state: &State, recording: &AnyRecording, all: &mut Names<'_>) -> Vec<LostWrite> {
    let ranges = state.lost.ranges();
    let entries = ranges.flat_map(|(entries, sectors)| entries.map(move |entry| (entry, sectors.clone())));
    let writes = entries.filter_map(|(number, sectors)| {
        let entry = recording.index().entry(number)?;
        Some(LostWrite::new(&entry, sectors, recording, all))
    });
    writes.take(MAX_LOST_WRITES).collect()
}

impl LostWrite {
    /// An entry, or some of its sectors.
    fn new(
        entry: &Entry,
        sectors: Option<RangeInclusive<u64>>,
        recording: &AnyRecording,
        all: &mut Names<'_>,
    ) -> Self {
        let extent = entry.extent();
        let is_discard = entry.flags().contains(Flags::DISCARD);
        Self {
            entry: entry.index,
            names: all.of(entry, sectors.as_ref()).iter().map(ToString::to_string).collect(),
            kind: if is_discard { LostKind::Discard } else { LostKind::Write },
            sector: extent.sector(),
            len_bytes: recording.sector_size().bytes_of(extent.nr_sectors()),
            sectors: sectors.map(RangeInclusive::into_inner),
            last_mark: recording.last_mark(entry.index),
        }
    }
}

impl Summary {
    /// Of the shares and the groups that are decided, those of the check that has decided the least.
    #[must_use]
    pub fn new(all: &[Report]) -> Self {
        let sum = |of: fn(&Report) -> u64| all.iter().map(of).sum();
        let states = all.first().map(|report| report.states.clone()).unwrap_or_default();
        let shares = all.iter().map(|report| report.decided_share);
        let worst = all.iter().map(|report| report.verdict).max();
        let findings = || all.iter().flat_map(|report| &report.findings);
        Self {
            groups: all.first().map_or(0, |report| report.groups),
            groups_decided: all.iter().map(|report| report.groups_decided).min().unwrap_or(0),
            states: states.decimal(),
            states_log2: finite(states.log2()),
            decided_share: shares.fold(1.0, f64::min),
            nested_states: sum_of_nested(all),
            runs: sum(|report| report.runs),
            reused: sum(|report| report.reused),
            failures: findings().map(|finding| finding.tried).sum(),
            distinct_failures: findings().count(),
            flaky: sum(|report| report.flaky),
            timeouts: sum(|report| report.timeouts),
            seconds: all.iter().map(|report| report.seconds).sum(),
            verdict: worst.unwrap_or(Verdict::Proved),
        }
    }
}

/// Of all checks, if recoveries are crashed.
fn sum_of_nested(all: &[Report]) -> Option<Decimal> {
    let mut sum = None;
    for Decimal(states) in all.iter().filter_map(|report| report.nested_states.as_ref()) {
        sum.get_or_insert_with(Decimal::default).0 += states;
    }
    sum
}

fn finite(number: f64) -> Option<f64> {
    Some(number).filter(|number| number.is_finite())
}

/// A number of states as a string of every digit.
mod decimal {
    use logwrites_core::crash::StateCount;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(count: &StateCount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&count.decimal())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StateCount, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > MAX_DIGITS {
            return Err(D::Error::custom("a number of states has too many digits"));
        }
        text.parse().map_err(D::Error::custom)
    }

    /// Some seconds' worth.
    const MAX_DIGITS: usize = 1_000_000;
}

/// How many lost writes are told one by one.
const MAX_LOST_WRITES: usize = 64;
