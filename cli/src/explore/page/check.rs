//! What a check has come to: its numbers, what is not certain, its groups that did not pass, its findings.

use logwrites_core::crash::StateCount;
use maud::{Markup, html};

use super::finding;
use crate::explore::explorer::Verdict;
use crate::explore::report::{GroupReport, Report};
use crate::explore::words::{self, Sentence};

/// Where on the page a check is.
pub(super) fn href(nth: usize) -> String {
    format!("#check-{}", nth + 1)
}

/// The check with this number, from 0.
pub(super) fn section(nth: usize, report: &Report) -> Markup {
    let Sentence { check, word, rest } = Sentence::of(report);
    let doubts = if report.verdict == Verdict::Proved { Vec::new() } else { words::doubts(report) };
    html! {
        section class={ "card check " (word) } id=(format!("check-{}", nth + 1)) {
            div.title { h2 { (check) } span.pill { (word) } }
            p.sentence.muted { (rest) }
            (numbers(report))
            @if !doubts.is_empty() {
                ul.doubts { @for doubt in doubts { li { (doubt) } } }
            }
            (exactly(&report.states))
            (groups(report))
            @for (at, finding) in report.findings.iter().enumerate().take(finding::MAX_SHOWN) {
                (finding::article(nth, at, finding))
            }
            @if report.findings.len() > finding::MAX_SHOWN {
                p.part { (report.findings.len() - finding::MAX_SHOWN) " more ways to fail are not shown" }
            }
        }
    }
}

fn numbers(report: &Report) -> Markup {
    let number = |name: &str, value: Markup, note: String| {
        html! { div { dt { (name) } dd { (value) @if !note.is_empty() { small { (note) } } } } }
    };
    let groups = format!("{} of {} groups", report.groups_decided, report.groups);
    let cross_checks = format!("{} of them to cross-check", report.cross_checks);
    html! {
        dl.numbers {
            (number("states", power(&report.states), String::new()))
            (number("decided", html! { (words::percent(&report.decided, &report.states)) }, groups))
            @if !report.failing.is_zero() {
                (number("failing", power(&report.failing), String::new()))
            }
            @if let Some(nested) = &report.nested_states {
                (number("of recoveries", power(&nested.0), "states after a second crash".to_owned()))
            }
            (number("runs", html! { (report.runs) }, cross_checks))
            (number("reused", html! { (report.reused) }, "answered by earlier runs".to_owned()))
            (number("seconds", html! { (format!("{:.1}", report.seconds)) }, String::new()))
        }
    }
}

/// A number of states as a power of two, if it is large.
fn power(states: &StateCount) -> Markup {
    match states.exponent() {
        Some(exponent) if exponent >= 20 => html! { "2" sup { (exponent) } },
        _ => about(states.log2()),
    }
}

/// A number by its binary logarithm: exact where it is small.
fn about(log2: f64) -> Markup {
    if log2 < 20.0 {
        return html! { (format!("{:.0}", log2.exp2())) };
    }
    let exponent = if log2 < 100.0 { format!("{log2:.1}") } else { format!("{log2:.0}") };
    html! { span.muted { "≈ " } "2" sup { (exponent) } }
}

/// Every digit of a large number of states.
fn exactly(states: &StateCount) -> Markup {
    let log2 = states.log2();
    html! {
        @if log2 >= 20.0 {
            details {
                summary { "the exact number of states" }
                @if log2 <= MAX_LOG2 {
                    p.digits { (states.decimal()) }
                } @else {
                    p.digits { (states) ", too long to be written out here" }
                }
            }
        }
    }
}

/// The groups that fail, or are not decided.
fn groups(report: &Report) -> Markup {
    let is_told = |group: &&GroupReport| group.failing_log2.is_some() || !group.is_decided;
    let told: Vec<&GroupReport> = report.by_group.iter().filter(is_told).collect();
    html! {
        @if !told.is_empty() {
            details {
                summary { "groups that fail or are not decided: " (told.len()) }
                div.table tabindex="0" {
                    table {
                        thead { tr { th { "crash up to point" } th { "states" } th { "decided" } th { "fail" } } }
                        tbody {
                            @for group in told.iter().take(MAX_GROUPS) {
                                tr {
                                    td { (group.point) }
                                    td { (power(&StateCount::power_of_two(group.units))) }
                                    td { (decided(group)) }
                                    td { @if let Some(log2) = group.failing_log2 { (about(log2)) } @else { "none" } }
                                }
                            }
                        }
                    }
                }
                @if told.len() > MAX_GROUPS { p.part { (told.len() - MAX_GROUPS) " more are not shown" } }
            }
        }
    }
}

/// How much of a group is decided.
fn decided(group: &GroupReport) -> String {
    if group.is_decided { "all".to_owned() } else { words::percent_of(group.decided_share) }
}

/// Up to so many binary digits a number is written out: some pages of digits.
const MAX_LOG2: f64 = 30_000.0;

/// How many groups are listed.
const MAX_GROUPS: usize = 200;
