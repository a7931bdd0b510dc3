//! What an exploration has found, for people.

use std::io::{self, Write};

use indicatif::BinaryBytes;
use logwrites_core::num::widen;

use super::Subject;
use crate::explore::words::{self, Sentence};
use crate::explore::{Check, CrashReport, FindingReport, Report, Verdict};
use crate::output::printable::Printable;
use crate::output::style::{self, count, paint};
use crate::point::Crash;

/// Prints a page that is understood at once: what was proved, what failed, and the least that it takes.
pub(super) fn print_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Sentence { check, word, rest } = Sentence::of(report);
    let style = match report.verdict {
        Verdict::Proved => style::GOOD,
        Verdict::Sampled => style::WARNING,
        Verdict::Failed => style::ERROR,
    };
    writeln!(out, "{check}: {}: {rest}", paint(style, word))?;
    if report.verdict != Verdict::Proved {
        for doubt in words::doubts(report) {
            writeln!(out, "  {doubt}")?;
        }
    }
    for (nth, finding) in report.findings.iter().enumerate().take(MAX_FINDINGS) {
        print_finding(out, nth + 1, finding)?;
    }
    if let Some(more @ 1..) = report.findings.len().checked_sub(MAX_FINDINGS) {
        let more = count(widen(more), "more way to fail", "more ways to fail");
        writeln!(out, "\n{more}; --json prints all of them, and --out DIR keeps them")?;
    }
    Ok(())
}

fn print_finding(out: &mut impl Write, nth: usize, finding: &FindingReport) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{}", paint(style::HEADING, format!("{nth}. {}", words::heading(finding))))?;
    writeln!(out, "   {}", words::cause(finding))?;
    if finding.crash.lost_writes.is_empty() {
        writeln!(out, "   {}", words::NOTHING_LOST)?;
    }
    print_lost(out, &finding.crash)?;
    if let Some(first) = words::first(&finding.crash) {
        writeln!(out, "   {first}")?;
    }
    if let Some(recovery) = &finding.recovery {
        writeln!(out, "   {}", words::recovery(recovery))?;
        print_lost(out, &recovery.crash)?;
        if let Some(first) = words::first_in_recovery(recovery) {
            writeln!(out, "   {first}")?;
        }
    }
    print_blocks(out, finding)?;
    for line in last_lines(&finding.output) {
        writeln!(out, "   {} {}", paint(style::DIM, "|"), Printable(line.as_bytes()))?;
    }
    let again = finding.again.lines().map(|line| Printable(line.as_bytes()).to_string());
    writeln!(out, "   again: {}", again.collect::<Vec<_>>().join("\n"))
}

/// The lost writes, one a line.
fn print_lost(out: &mut impl Write, crash: &CrashReport) -> io::Result<()> {
    for write in crash.lost_writes.iter().take(MAX_LOST) {
        writeln!(out, "   lost: {}", words::lost_write(write))?;
    }
    if crash.lost_writes.len() > MAX_LOST {
        writeln!(out, "   … {}", Printable(crash.lost.as_bytes()))?;
    }
    Ok(())
}

/// Where the disk differs from that of the nearest state that passes.
fn print_blocks(out: &mut impl Write, finding: &FindingReport) -> io::Result<()> {
    let crash = finding.last_crash();
    let Some(passing) = &crash.passing else { return Ok(()) };
    let state = finding.recovery.as_ref().map_or(String::new(), |_| format!("{}/", finding.crash.state));
    writeln!(out, "   the nearest state that passes: {}", Printable(format!("{state}{passing}").as_bytes()))?;
    for block in crash.blocks.iter().take(MAX_BLOCKS) {
        let (len, names) = (BinaryBytes(widen(block.failing.len())), words::names(&block.names));
        writeln!(out, "   differs: block of {len} at byte {}{names}", block.offset_bytes)?;
    }
    Ok(())
}

/// The command that shows a state again.
pub(super) fn again(subject: &Subject<'_>, crash: &Crash, check: &Check) -> String {
    let mut words = vec!["logwrites".to_owned(), "explore".to_owned()];
    words.extend(subject.words());
    words.extend(["--check".to_owned(), check.to_string(), "--state".to_owned(), crash.to_string()]);
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

/// How many lost writes are printed.
const MAX_LOST: usize = 12;

/// How many ways to fail are printed.
const MAX_FINDINGS: usize = 10;

/// How many blocks that differ are printed.
const MAX_BLOCKS: usize = 3;

/// How much of what a check printed is shown.
const MAX_LINES: usize = 8;
