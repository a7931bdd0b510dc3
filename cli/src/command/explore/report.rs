//! What an exploration has found, for people and for machines.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use indicatif::BinaryBytes;
use logwrites_core::crash::{State, StateCount};
use logwrites_core::format::Flags;
use logwrites_core::history::Discards;
use serde::Serialize;

use super::Args;
use crate::explore::{Check, Explored, Finding, Recording, Verdict};
use crate::output::printable::Printable;
use crate::output::style::{self, count, paint};
use crate::size::Size;

/// Prints a page that is understood at once: what was proved, what failed, and the least that it takes.
pub(super) fn print_report(
    out: &mut impl Write,
    args: &Args,
    explored: &Explored,
    recording: &Recording,
) -> io::Result<()> {
    let label = explored.check.label();
    let check = Printable(label.as_bytes());
    let states = format!("{} states in {}", explored.states, count(explored.groups, "group", "groups"));
    let runs = format!("{} in {:.1} s", count(explored.runs, "run", "runs"), explored.took.as_secs_f64());
    match explored.verdict() {
        Verdict::Proved => {
            let word = paint(style::GOOD, "proved");
            writeln!(out, "{check}: {word}: every crash is survived: {states} decided by {runs}")?;
        }
        Verdict::Sampled => {
            let word = paint(style::WARNING, "sampled");
            let share = percent(&explored.decided, &explored.states);
            writeln!(out, "{check}: {word}: no proof: {share} of {states} decided by {runs}")?;
            print_doubts(out, explored)?;
        }
        Verdict::Failed => {
            let word = paint(style::ERROR, "failed");
            let (share, failing) =
                (percent(&explored.decided, &explored.states), percent(&explored.failing, &explored.decided));
            writeln!(out, "{check}: {word}: {share} of {states} decided by {runs}; {failing} of them fail")?;
            print_doubts(out, explored)?;
            for (nth, finding) in explored.findings.iter().enumerate() {
                print_finding(out, args, nth + 1, finding, recording, &explored.check)?;
            }
        }
    }
    Ok(())
}

/// Why it is not a proof.
fn print_doubts(out: &mut impl Write, explored: &Explored) -> io::Result<()> {
    if explored.groups_decided < explored.groups {
        let decided = explored.groups_decided;
        writeln!(out, "  {decided} of {} groups are decided", explored.groups)?;
    }
    if explored.groups_given_up > 0 {
        let given_up = count(explored.groups_given_up, "group was", "groups were");
        writeln!(out, "  {given_up} left after many failures; --from POINT begins later")?;
    }
    if let Some(guarantee) = explored.guarantee {
        let up_to = |most: Option<u64>| most.map_or("none".to_owned(), |most| most.to_string());
        let (loses, keeps) = (up_to(guarantee.loses_at_most), up_to(guarantee.keeps_at_most));
        writeln!(
            out,
            "  of the groups that were begun, every state is decided that loses at most {loses} or keeps at most {keeps} of the units"
        )?;
    }
    if explored.flaky > 0 {
        writeln!(
            out,
            "  {} to something else the second time",
            count(explored.flaky, "state came", "states came")
        )?;
    }
    for state in explored.flaky_states.iter().take(MAX_LOST) {
        writeln!(out, "  state {state} failed the first time only")?;
    }
    if explored.undecided > 0 {
        writeln!(out, "  on {} the check could not tell", count(explored.undecided, "run", "runs"))?;
    }
    if explored.is_contradicted {
        writeln!(
            out,
            "  the check is not deterministic: on the same bytes it read something else, or came to another verdict"
        )?;
    }
    Ok(())
}

fn print_finding(
    out: &mut impl Write,
    args: &Args,
    nth: usize,
    finding: &Finding,
    recording: &Recording,
    check: &Check,
) -> io::Result<()> {
    let state = finding.state();
    let runs = count(finding.nr_runs(), "run", "runs");
    writeln!(out)?;
    writeln!(out, "{}", paint(style::HEADING, format!("{nth}. {} ({runs})", finding.outcome())))?;
    let least = if finding.is_one_minimal() { "the least that fails so" } else { "a state that fails so" };
    writeln!(out, "   {least}: a crash at point {}{}", state.point, after_mark(recording, state.point))?;
    print_lost(out, &state, recording)?;
    if let Some(first) = finding.first() {
        let (good, bad) = (first.last_good, first.first_bad);
        writeln!(out, "   with nothing lost it first fails at point {bad}; point {good} passes")?;
    }
    for line in last_lines(finding.output()) {
        writeln!(out, "   {} {}", paint(style::DIM, "|"), Printable(line.as_bytes()))?;
    }
    writeln!(out, "   again: {}", again(args, &state, check))
}

/// The lost writes, one a line.
fn print_lost(out: &mut impl Write, state: &State, recording: &Recording) -> io::Result<()> {
    if state.lost.is_empty() {
        return writeln!(out, "   no write is lost: what is missing was not yet written");
    }
    let mut nr_left = MAX_LOST;
    for (entries, sectors) in state.lost.ranges() {
        for number in entries {
            let Some(entry) = recording.index().entry(number) else { continue };
            if nr_left == 0 {
                return writeln!(out, "   … {}", state.lost);
            }
            nr_left -= 1;
            let (extent, sector_size) = (entry.extent(), recording.sector_size());
            let what = if entry.flags().contains(Flags::DISCARD) { "discard" } else { "write" };
            let len = BinaryBytes(sector_size.bytes_of(extent.nr_sectors()));
            let part = sectors.as_ref().map_or_else(String::new, named);
            let mark = after_mark(recording, number);
            writeln!(
                out,
                "   lost: {part}entry {number}, a {what} of {len} at sector {}{mark}",
                extent.sector()
            )?;
        }
    }
    Ok(())
}

fn after_mark(recording: &Recording, point: u64) -> String {
    recording
        .last_mark(point)
        .map_or(String::new(), |mark| format!(", after mark {}", Printable(mark.as_bytes())))
}

/// Sectors of an entry, as a part of it.
fn named(sectors: &RangeInclusive<u64>) -> String {
    let (first, last) = (sectors.start(), sectors.end());
    if first == last { format!("sector {first} of ") } else { format!("sectors {first} to {last} of ") }
}

/// The command that shows a state again.
fn again(args: &Args, state: &State, check: &Check) -> String {
    let mut words = vec!["logwrites".to_owned(), "explore".to_owned(), args.log.display().to_string()];
    match (&args.base, args.size) {
        (Some(base), _) => words.extend(["--base".to_owned(), base.display().to_string()]),
        (None, size) => words.extend(["--size".to_owned(), size.map_or(0, Size::bytes).to_string()]),
    }
    if args.images.raw {
        words.push("--raw".to_owned());
    }
    if Discards::from(args.discard) == Discards::Ignore {
        words.extend(["--discard".to_owned(), "ignore".to_owned()]);
    }
    words.extend(["--check".to_owned(), check.to_string(), "--state".to_owned(), state.to_string()]);
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// A word as a shell takes it, on one line and without what could steer a terminal.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:,+=@%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let word = word.replace('\'', r"'\''");
    let lines = word.lines().map(|line| Printable(line.as_bytes()).to_string());
    format!("'{}'", lines.collect::<Vec<_>>().join("\n"))
}

fn last_lines(output: &str) -> impl Iterator<Item = &str> {
    let skipped = output.lines().count().saturating_sub(MAX_LINES);
    output.lines().skip(skipped)
}

/// All only where it is all.
fn percent(part: &StateCount, whole: &StateCount) -> String {
    if part == whole {
        return "100 %".to_owned();
    }
    let share = part.share_of(whole) * 100.0;
    if share > 99.9 { "almost 100 %".to_owned() } else { format!("{share:.1} %") }
}

/// An exploration by one check.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    check: String,
    verdict: &'static str,
    groups: u64,
    groups_decided: u64,
    groups_given_up: u64,
    states: String,
    states_log2: f64,
    decided_share: f64,
    failing_share: f64,
    runs: u64,
    reused: u64,
    cross_checks: u64,
    flaky: u64,
    timeouts: u64,
    undecided: u64,
    contradicted: bool,
    loses_at_most: Option<u64>,
    keeps_at_most: Option<u64>,
    flaky_states: Vec<String>,
    seconds: f64,
    findings: Vec<FindingJson>,
}

#[derive(Debug, Serialize)]
struct FindingJson {
    state: String,
    point: u64,
    lost: String,
    one_minimal: bool,
    ended: String,
    runs: u64,
    last_good: Option<u64>,
    first_bad: Option<u64>,
    last_mark: Option<String>,
    output: String,
}

impl Report {
    pub(super) fn new(explored: &Explored, recording: &Recording) -> Self {
        Self {
            check: explored.check.to_string(),
            verdict: word(explored.verdict()),
            groups: explored.groups,
            groups_decided: explored.groups_decided,
            groups_given_up: explored.groups_given_up,
            states: explored.states.decimal(),
            states_log2: explored.states.log2(),
            decided_share: explored.decided.share_of(&explored.states),
            failing_share: explored.failing.share_of(&explored.states),
            runs: explored.runs,
            reused: explored.reused,
            cross_checks: explored.cross_checks,
            flaky: explored.flaky,
            timeouts: explored.timeouts,
            undecided: explored.undecided,
            contradicted: explored.is_contradicted,
            loses_at_most: explored.guarantee.and_then(|guarantee| guarantee.loses_at_most),
            keeps_at_most: explored.guarantee.and_then(|guarantee| guarantee.keeps_at_most),
            flaky_states: explored.flaky_states.iter().map(State::to_string).collect(),
            seconds: explored.took.as_secs_f64(),
            findings: explored.findings.iter().map(|finding| FindingJson::new(finding, recording)).collect(),
        }
    }
}

impl FindingJson {
    fn new(finding: &Finding, recording: &Recording) -> Self {
        let state = finding.state();
        Self {
            point: state.point,
            lost: state.lost.to_string(),
            one_minimal: finding.is_one_minimal(),
            ended: finding.outcome(),
            runs: finding.nr_runs(),
            last_good: finding.first().map(|first| first.last_good),
            first_bad: finding.first().map(|first| first.first_bad),
            last_mark: recording.last_mark(state.point),
            output: finding.output().to_owned(),
            state: state.to_string(),
        }
    }
}

/// All checks together.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    groups: u64,
    groups_decided: u64,
    states: String,
    states_log2: f64,
    decided_share: f64,
    runs: u64,
    reused: u64,
    failures: u64,
    distinct_failures: usize,
    flaky: u64,
    timeouts: u64,
    seconds: f64,
    verdict: &'static str,
}

impl Summary {
    /// Of the shares and the groups that are decided, those of the check that has decided the least.
    pub(super) fn new(all: &[Explored]) -> Self {
        let sum = |of: fn(&Explored) -> u64| all.iter().map(of).sum();
        let states = all.first().map(|explored| explored.states.clone()).unwrap_or_default();
        let shares = all.iter().map(|explored| explored.decided.share_of(&explored.states));
        let verdicts = [Verdict::Failed, Verdict::Sampled];
        let worst =
            verdicts.into_iter().find(|verdict| all.iter().any(|explored| explored.verdict() == *verdict));
        let findings = || all.iter().flat_map(|explored| &explored.findings);
        Self {
            groups: all.first().map_or(0, |explored| explored.groups),
            groups_decided: all.iter().map(|explored| explored.groups_decided).min().unwrap_or(0),
            states: states.decimal(),
            states_log2: states.log2(),
            decided_share: shares.fold(1.0, f64::min),
            runs: sum(|explored| explored.runs),
            reused: sum(|explored| explored.reused),
            failures: findings().map(Finding::nr_runs).sum(),
            distinct_failures: findings().count(),
            flaky: sum(|explored| explored.flaky),
            timeouts: sum(|explored| explored.timeouts),
            seconds: all.iter().map(|explored| explored.took.as_secs_f64()).sum(),
            verdict: word(worst.unwrap_or(Verdict::Proved)),
        }
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "proved",
        Verdict::Sampled => "sampled",
        Verdict::Failed => "failed",
    }
}

/// How many lost writes are printed.
const MAX_LOST: usize = 12;

/// How much of what a check printed is shown.
const MAX_LINES: usize = 8;
