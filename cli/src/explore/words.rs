//! What an exploration has found, in sentences: the same on a terminal, on the page and in a test report.

use indicatif::BinaryBytes;
use logwrites_core::crash::StateCount;

use super::check::Check;
use super::explorer::Verdict;
use super::report::{CrashReport, FindingReport, LostKind, LostWrite, RecoveryReport, Report};
use crate::output::printable::Printable;
use crate::output::style::count;

/// The result of a check as one sentence, in three parts: the word has a colour of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// The check.
    pub check: String,
    /// The verdict in a word.
    pub word: &'static str,
    /// What it means, and what it rests on.
    pub rest: String,
}

impl Sentence {
    /// What a check has come to.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let states = format!("{} states in {}", report.states, count(report.groups, "group", "groups"));
        let nested = report.nested_states.as_ref();
        let nested =
            nested.map_or_else(String::new, |nested| format!(", and {} of crashed recoveries,", nested.0));
        let states = states + &nested;
        let also = if nested.is_empty() { "" } else { ", also during recovery" };
        let runs = format!("{} in {:.1} s", count(report.runs, "run", "runs"), report.seconds);
        let share = percent(&report.decided, &report.states);
        let rest = match report.verdict {
            Verdict::Proved => format!("every crash is survived{also}: {states} decided by {runs}"),
            Verdict::Sampled => format!("no proof: {share} of {states} decided by {runs}"),
            Verdict::Failed => {
                let failing = percent(&report.failing, &report.decided);
                format!("{share} of {states} decided by {runs}; {failing} of them fail")
            }
        };
        Self { check: label(report), word: report.verdict.word(), rest }
    }
}

/// The name of a check, made safe to print.
#[must_use]
pub fn label(report: &Report) -> String {
    Printable(Check::label_of(&report.check).as_bytes()).to_string()
}

/// Why it is not a proof, or not a proof of all.
#[must_use]
pub fn doubts(report: &Report) -> Vec<String> {
    let mut doubts = Vec::new();
    if report.groups_decided < report.groups {
        doubts.push(format!("{} of {} groups are decided", report.groups_decided, report.groups));
    }
    if report.groups_given_up > 0 {
        let given_up = count(report.groups_given_up, "group was", "groups were");
        doubts.push(format!("{given_up} left after many failures; --from POINT begins later"));
    }
    if report.partly {
        let up_to = |most: Option<u64>| most.map_or("none".to_owned(), |most| most.to_string());
        let (loses, keeps) = (up_to(report.loses_at_most), up_to(report.keeps_at_most));
        doubts.push(format!(
            "of the groups that were begun, every state is decided that loses at most {loses} or keeps at most {keeps} of the units"
        ));
    }
    if report.flaky > 0 {
        let flaky = count(report.flaky, "state came", "states came");
        doubts.push(format!("{flaky} to something else the second time"));
    }
    for state in report.flaky_states.iter().take(MAX_FLAKY) {
        doubts.push(format!("state {} failed the first time only", Printable(state.as_bytes())));
    }
    if report.undecided > 0 {
        doubts.push(format!("on {} the check could not tell", count(report.undecided, "run", "runs")));
    }
    if report.contradicted {
        doubts.push(
            "the check is not deterministic: on the same bytes it read something else, or came to another verdict"
                .to_owned(),
        );
    }
    doubts
}

/// How a check has failed, and how often.
#[must_use]
pub fn heading(finding: &FindingReport) -> String {
    let tried = count(finding.tried, "state that was tried", "states that were tried");
    let when = if finding.recovery.is_some() { " after a crash during recovery" } else { "" };
    format!("{}{when} ({tried})", Printable(finding.ended.as_bytes()))
}

/// Where the disk crashed.
#[must_use]
pub fn cause(finding: &FindingReport) -> String {
    let CrashReport { point, one_minimal, last_mark, .. } = &finding.crash;
    let least = if *one_minimal { "the least that fails so" } else { "a state that fails so" };
    format!("{least}: a crash at point {point}{}", after_mark(last_mark.as_deref()))
}

/// Where the recovery from that crashed.
#[must_use]
pub fn recovery(recovery: &RecoveryReport) -> String {
    let at =
        format!("then a crash during recovery: at point {} of what the check writes", recovery.crash.point);
    match &recovery.last_write {
        Some(last) => format!("{at}, right after {}{}", place(last), names(&last.names)),
        None => at,
    }
}

/// Where it fails although nothing is lost, if it does.
#[must_use]
pub fn first(crash: &CrashReport) -> Option<String> {
    let (good, bad) = crash.last_good.zip(crash.first_bad)?;
    Some(format!("with nothing lost it first fails at point {bad}; point {good} passes"))
}

/// The same of a crash of the recovery.
#[must_use]
pub fn first_in_recovery(recovery: &RecoveryReport) -> Option<String> {
    let (good, bad) = recovery.crash.last_good.zip(recovery.crash.first_bad)?;
    Some(format!(
        "with none of the check's writes lost it first fails at its point {bad}; its point {good} passes"
    ))
}

/// A lost write, with as many of its names as fit on a line.
#[must_use]
pub fn lost_write(write: &LostWrite) -> String {
    let shown = names(&write.names);
    format!("{}{shown}{}", place(write), after_mark(write.last_mark.as_deref()))
}

/// A lost write by its numbers.
#[must_use]
pub fn place(write: &LostWrite) -> String {
    let what = match write.kind {
        LostKind::Discard => "discard",
        LostKind::Write => "write",
    };
    let part = write.sectors.map_or_else(String::new, part_of);
    let len = BinaryBytes(write.len_bytes);
    format!("{part}entry {}, a {what} of {len} at sector {}", write.entry, write.sector)
}

/// What is said where a state has lost nothing.
pub const NOTHING_LOST: &str = "no write is lost: what is missing was not yet written";

/// Names, after a colon, as far as they fit on a line.
#[must_use]
pub fn names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).map(|name| Printable(name.as_bytes()).to_string());
    let shown = shown.collect::<Vec<_>>().join("; ");
    match names.len() {
        0 => String::new(),
        nr if nr > MAX_NAMES => format!(": {shown} and {} more", nr - MAX_NAMES),
        _ => format!(": {shown}"),
    }
}

/// The mark that was reached, after a comma.
#[must_use]
pub fn after_mark(mark: Option<&str>) -> String {
    mark.map_or(String::new(), |mark| format!(", after mark {}", Printable(mark.as_bytes())))
}

/// A share; all only where it is all.
#[must_use]
pub fn percent(part: &StateCount, whole: &StateCount) -> String {
    if part == whole { "100 %".to_owned() } else { percent_of(part.share_of(whole)) }
}

/// A share that is not all.
#[must_use]
pub fn percent_of(share: f64) -> String {
    let share = share * 100.0;
    if share > 99.9 { "almost 100 %".to_owned() } else { format!("{share:.1} %") }
}

/// 2 to the power of this.
#[must_use]
pub fn power_of_two(exponent: u64) -> String {
    if exponent < 20 { (1u64 << exponent).to_string() } else { format!("2^{exponent}") }
}

/// A number of which the binary logarithm is known: exact where it is small.
#[must_use]
pub fn about(log2: f64) -> String {
    if log2 < 20.0 { format!("{:.0}", log2.exp2()) } else { format!("about 2^{log2:.1}") }
}

/// Sectors of an entry, as a part of it.
fn part_of((first, last): (u64, u64)) -> String {
    if first == last { format!("sector {first} of ") } else { format!("sectors {first} to {last} of ") }
}

/// How many states that failed the first time only are named.
const MAX_FLAKY: usize = 12;

/// How many names are put on a line.
const MAX_NAMES: usize = 4;
