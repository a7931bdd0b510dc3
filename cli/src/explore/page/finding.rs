//! A way to fail: the least that it takes, what differs, what the check printed, and how to see it again.

use maud::{Markup, html};

use super::block;
use crate::explore::block::Block;
use crate::explore::report::{CrashReport, FindingReport, LostWrite, Report};
use crate::explore::words;
use crate::output::printable::Printable;
use crate::output::style::count;

/// How many ways to fail there are.
pub(super) fn ways(report: &Report) -> String {
    let nr = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
    format!("fails in {}", count(nr, "way", "ways"))
}

/// Where on the page a finding of a check is; both are numbered from 0.
pub(super) fn id(check: usize, nth: usize) -> String {
    format!("finding-{}-{}", check + 1, nth + 1)
}

pub(super) fn article(check: usize, nth: usize, finding: &FindingReport) -> Markup {
    html! {
        article.finding id=(id(check, nth)) tabindex="-1" {
            h3 { span.number { (nth + 1) } (words::heading(finding)) }
            p.cause { (words::cause(finding)) }
            @if finding.crash.lost_writes.is_empty() { p.cause.muted { (words::NOTHING_LOST) } }
            (lost(&finding.crash))
            @if let Some(first) = words::first(&finding.crash) { p.cause.muted { (first) } }
            @if let Some(recovery) = &finding.recovery {
                p.cause { (words::recovery(recovery)) }
                (lost(&recovery.crash))
                @if let Some(first) = words::first_in_recovery(recovery) { p.cause.muted { (first) } }
            }
            (differing(&finding.last_crash().blocks))
            @if !finding.output.trim().is_empty() {
                p.part { "what the check printed" }
                pre.output tabindex="0" { (printable(&finding.output, MAX_OUTPUT_LINES)) }
            }
            p.part { "to see it again" }
            div.again {
                pre.output { (printable(&finding.again, usize::MAX)) }
                button.copy type="button" hidden { "Copy" }
            }
        }
    }
}

/// The lost writes by name, if there are any.
fn lost(CrashReport { lost, lost_writes, .. }: &CrashReport) -> Markup {
    html! {
        @if !lost_writes.is_empty() {
            p.part { @if lost_writes.len() == 1 { "the write that is lost" } @else { "the writes that are lost" } }
            ul.lost-writes { @for write in lost_writes { (lost_write(write)) } }
        }
        @if lost_writes.len() >= MANY {
            details { summary { "all that is lost" } p.digits { (Printable(lost.as_bytes())) } }
        }
    }
}

fn lost_write(write: &LostWrite) -> Markup {
    html! {
        li {
            @for name in write.names.iter().take(MAX_NAMES) {
                span.name { (Printable(name.as_bytes())) }
            }
            @if write.names.len() > MAX_NAMES { span.place { "and " (write.names.len() - MAX_NAMES) " more; " } }
            span.place { (words::place(write)) (words::after_mark(write.last_mark.as_deref())) }
        }
    }
}

fn differing(blocks: &[Block]) -> Markup {
    let (first, rest) = blocks.split_at(blocks.len().min(NR_OPEN));
    let rest = &rest[..rest.len().min(MAX_BLOCKS)];
    html! {
        @if !first.is_empty() {
            p.part { "what differs: − the nearest state that passes, + the one that fails" }
            div.blocks { @for each in first { (block::block(each)) } }
        }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more blocks" }
                div.blocks { @for each in rest { (block::block(each)) } }
            }
        }
    }
}

/// The last lines of a text, without what is not seen.
fn printable(text: &str, nr_lines: usize) -> String {
    let skipped = text.lines().count().saturating_sub(nr_lines);
    let lines = text.lines().skip(skipped).map(|line| Printable(line.as_bytes()).to_string());
    let lines = lines.collect::<Vec<_>>().join("\n");
    if skipped > 0 { format!("… {skipped} lines before\n{lines}") } else { lines }
}

/// How many findings of a check are shown.
pub(super) const MAX_SHOWN: usize = 100;

/// From how many lost writes on they are told as in the name of the state, too: a report lists no more one by one.
const MANY: usize = 64;

const MAX_NAMES: usize = 4;
const MAX_OUTPUT_LINES: usize = 200;

/// How many blocks are shown at once, and how many more on demand.
const NR_OPEN: usize = 2;
const MAX_BLOCKS: usize = 30;
