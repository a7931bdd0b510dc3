//! What an exploration has found, for people.

use std::io::{self, Write};

use indicatif::BinaryBytes;
use logwrites_core::crash::{State, StateCount};
use logwrites_core::num::widen;

use super::Subject;
use crate::explore::{Check, FindingReport, LostKind, LostWrite, Report, Verdict};
use crate::output::printable::Printable;
use crate::output::style::{self, count, paint};

/// Prints a page that is understood at once: what was proved, what failed, and the least that it takes.
pub(super) fn print_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let label = Check::label_of(&report.check);
    let check = Printable(label.as_bytes());
    let states = format!("{} states in {}", report.states, count(report.groups, "group", "groups"));
    let runs = format!("{} in {:.1} s", count(report.runs, "run", "runs"), report.seconds);
    match report.verdict {
        Verdict::Proved => {
            let word = paint(style::GOOD, "proved");
            writeln!(out, "{check}: {word}: every crash is survived: {states} decided by {runs}")?;
        }
        Verdict::Sampled => {
            let word = paint(style::WARNING, "sampled");
            let share = percent(&report.decided, &report.states);
            writeln!(out, "{check}: {word}: no proof: {share} of {states} decided by {runs}")?;
            print_doubts(out, report)?;
        }
        Verdict::Failed => {
            let word = paint(style::ERROR, "failed");
            let (share, failing) =
                (percent(&report.decided, &report.states), percent(&report.failing, &report.decided));
            writeln!(out, "{check}: {word}: {share} of {states} decided by {runs}; {failing} of them fail")?;
            print_doubts(out, report)?;
            for (nth, finding) in report.findings.iter().enumerate() {
                print_finding(out, nth + 1, finding)?;
            }
        }
    }
    Ok(())
}

/// Why it is not a proof.
fn print_doubts(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.groups_decided < report.groups {
        let decided = report.groups_decided;
        writeln!(out, "  {decided} of {} groups are decided", report.groups)?;
    }
    if report.groups_given_up > 0 {
        let given_up = count(report.groups_given_up, "group was", "groups were");
        writeln!(out, "  {given_up} left after many failures; --from POINT begins later")?;
    }
    if report.partly {
        let up_to = |most: Option<u64>| most.map_or("none".to_owned(), |most| most.to_string());
        let (loses, keeps) = (up_to(report.loses_at_most), up_to(report.keeps_at_most));
        writeln!(
            out,
            "  of the groups that were begun, every state is decided that loses at most {loses} or keeps at most {keeps} of the units"
        )?;
    }
    if report.flaky > 0 {
        writeln!(
            out,
            "  {} to something else the second time",
            count(report.flaky, "state came", "states came")
        )?;
    }
    for state in report.flaky_states.iter().take(MAX_LOST) {
        writeln!(out, "  state {} failed the first time only", Printable(state.as_bytes()))?;
    }
    if report.undecided > 0 {
        writeln!(out, "  on {} the check could not tell", count(report.undecided, "run", "runs"))?;
    }
    if report.contradicted {
        writeln!(
            out,
            "  the check is not deterministic: on the same bytes it read something else, or came to another verdict"
        )?;
    }
    Ok(())
}

fn print_finding(out: &mut impl Write, nth: usize, finding: &FindingReport) -> io::Result<()> {
    let tried = count(finding.tried, "state that was tried", "states that were tried");
    writeln!(out)?;
    let ended = Printable(finding.ended.as_bytes());
    writeln!(out, "{}", paint(style::HEADING, format!("{nth}. {ended} ({tried})")))?;
    let least = if finding.one_minimal { "the least that fails so" } else { "a state that fails so" };
    let mark = after_mark(finding.last_mark.as_deref());
    writeln!(out, "   {least}: a crash at point {}{mark}", finding.point)?;
    print_lost(out, finding)?;
    if let (Some(good), Some(bad)) = (finding.last_good, finding.first_bad) {
        writeln!(out, "   with nothing lost it first fails at point {bad}; point {good} passes")?;
    }
    print_blocks(out, finding)?;
    for line in last_lines(&finding.output) {
        writeln!(out, "   {} {}", paint(style::DIM, "|"), Printable(line.as_bytes()))?;
    }
    let again = finding.again.lines().map(|line| Printable(line.as_bytes()).to_string());
    writeln!(out, "   again: {}", again.collect::<Vec<_>>().join("\n"))
}

/// The lost writes, one a line.
fn print_lost(out: &mut impl Write, finding: &FindingReport) -> io::Result<()> {
    if finding.lost_writes.is_empty() {
        return writeln!(out, "   no write is lost: what is missing was not yet written");
    }
    for write in finding.lost_writes.iter().take(MAX_LOST) {
        writeln!(out, "   lost: {}", lost_write(write))?;
    }
    if finding.lost_writes.len() > MAX_LOST {
        return writeln!(out, "   … {}", Printable(finding.lost.as_bytes()));
    }
    Ok(())
}

/// Where the disk differs from that of the nearest state that passes.
fn print_blocks(out: &mut impl Write, finding: &FindingReport) -> io::Result<()> {
    let Some(passing) = &finding.passing else { return Ok(()) };
    writeln!(out, "   the nearest state that passes: {}", Printable(passing.as_bytes()))?;
    for block in finding.blocks.iter().take(MAX_BLOCKS) {
        let names = names(&block.names);
        writeln!(
            out,
            "   differs: block of {} at byte {}{names}",
            BinaryBytes(widen(block.failing.len())),
            block.offset_bytes
        )?;
    }
    Ok(())
}

fn lost_write(write: &LostWrite) -> String {
    let what = match write.kind {
        LostKind::Discard => "discard",
        LostKind::Write => "write",
    };
    let len = BinaryBytes(write.len_bytes);
    let part = write.sectors.map_or_else(String::new, named);
    let mark = after_mark(write.last_mark.as_deref());
    let names = names(&write.names);
    format!("{part}entry {}, a {what} of {len} at sector {}{names}{mark}", write.entry, write.sector)
}

/// What it is to the file system, as far as that fits.
fn names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).map(|name| Printable(name.as_bytes()).to_string());
    let shown = shown.collect::<Vec<_>>().join("; ");
    match names.len() {
        0 => String::new(),
        nr if nr > MAX_NAMES => format!(": {shown} and {} more", nr - MAX_NAMES),
        _ => format!(": {shown}"),
    }
}

fn after_mark(mark: Option<&str>) -> String {
    mark.map_or(String::new(), |mark| format!(", after mark {}", Printable(mark.as_bytes())))
}

/// Sectors of an entry, as a part of it.
fn named((first, last): (u64, u64)) -> String {
    if first == last { format!("sector {first} of ") } else { format!("sectors {first} to {last} of ") }
}

/// The command that shows a state again.
pub(super) fn again(subject: &Subject<'_>, state: &State, check: &Check) -> String {
    let mut words = vec!["logwrites".to_owned(), "explore".to_owned()];
    words.extend(subject.words());
    words.extend(["--check".to_owned(), check.to_string(), "--state".to_owned(), state.to_string()]);
    command_line(words)
}

/// Words as a shell takes them.
pub(in crate::command) fn command_line(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(&word)).collect();
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

/// How many lost writes are printed.
const MAX_LOST: usize = 12;

/// How many names of a lost write are printed.
const MAX_NAMES: usize = 4;

/// How many blocks that differ are printed.
const MAX_BLOCKS: usize = 3;

/// How much of what a check printed is shown.
const MAX_LINES: usize = 8;
