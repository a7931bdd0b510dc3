//! An exploration as one file of HTML: opened offline, it asks for nothing.
//!
//! Everything from a log, a check or a folder is hostile: it is escaped by maud, made printable, and bounded, and the page's
//! policy lets nothing run but its own script.

mod block;
mod check;
mod finding;
mod picture;
mod policy;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::explorer::Verdict;
use super::report::{Report, Summary};
use super::timeline::Timeline;
use super::words::Sentence;
use crate::output::printable::Printable;

/// All that the page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The name of the log, for the title.
    pub log: &'a str,
    /// All checks together.
    pub summary: &'a Summary,
    /// What each check has come to.
    pub reports: &'a [Report],
    /// The log as a picture; nothing where the log could not be read.
    pub timeline: Option<&'a Timeline>,
}

impl Page<'_> {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let log = Printable(self.log.as_bytes()).to_string();
        let word = self.summary.verdict.word();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy::policy(STYLE, SCRIPT));
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (log) ": " (word) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { b { "logwrites" } span.muted { "every crash of " (log) } }
                    main {
                        (self.verdict())
                        (picture::picture(self.timeline, self.reports))
                        @for (nth, report) in self.reports.iter().enumerate() {
                            (check::section(nth, report))
                        }
                    }
                    footer {
                        @if self.reports.iter().any(|report| !report.findings.is_empty()) {
                            kbd { "j" } " " kbd { "k" } " next and previous finding"
                        }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    /// The result in a word and a sentence, and where there are several checks, that of each.
    fn verdict(&self) -> Markup {
        let verdict = self.summary.verdict;
        let sentences: Vec<Sentence> = self.reports.iter().map(Sentence::of).collect();
        html! {
            section class={ "card verdict " (verdict.word()) } {
                h1 { (verdict.word()) }
                @if let [Sentence { check, rest, .. }] = &sentences[..] {
                    p { b { (check) } ": " (rest) }
                } @else {
                    p { (self.headline()) }
                    ul.checks {
                        @for (nth, (report, Sentence { check, word, rest })) in self.reports.iter().zip(&sentences).enumerate() {
                            li class=(word) {
                                span.pill { (word) }
                                a href=(check::href(nth)) { b { (check) } }
                                @if report.verdict == Verdict::Failed && !report.findings.is_empty() {
                                    span.muted { (finding::ways(report)) }
                                } @else { span.muted { (rest) } }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Several checks in one sentence.
    fn headline(&self) -> String {
        let nr = self.reports.len();
        let nr_with = |verdict| self.reports.iter().filter(|report| report.verdict == verdict).count();
        match self.summary.verdict {
            Verdict::Failed => format!("{} of {nr} checks failed after a crash", nr_with(Verdict::Failed)),
            Verdict::Sampled => format!("no proof: {} of {nr} checks are proved", nr_with(Verdict::Proved)),
            Verdict::Proved => format!("every crash is survived, as each of {nr} checks has proved"),
        }
    }
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Block, example};

    fn page(log: &str, reports: &[Report]) -> String {
        let timeline = Timeline {
            nr_entries: 9,
            disk_bytes: 8192,
            sector_bytes: 512,
            nr_columns: 9,
            nr_rows: 16,
            cells: vec![(3, 8, 8)],
            discards: vec![],
            flushes: vec![4],
            marks: vec![(2, "a<b".to_owned())],
        };
        let summary = Summary::new(reports);
        Page { log, summary: &summary, reports, timeline: Some(&timeline) }.to_html()
    }

    #[test]
    fn it_says_what_the_text_says_and_how_to_see_it_again() {
        let mut reports = example::reports();
        let block = Block { offset_bytes: 4096, names: vec![], passing: vec![0; 512], failing: vec![7; 512] };
        reports[0].findings[0].crash.blocks.push(block);
        let page = page("disk.log", &reports);
        for part in [
            "1 of 2 checks failed after a crash",
            "every crash is survived: 12 states in 3 groups decided by 7 runs in 1.0 s",
            "almost 100 % of 1.3e30 states in 5 groups decided by 12 runs in 2.5 s",
            "3 of 5 groups are decided",
            "2<sup>100</sup>",
            "1267650600228229401496703205376",
            "the least that fails so: a crash at point 4, after mark a&lt;b",
            "&lt;inode&gt; 12",
            "with nothing lost it first fails at point 99; point 98 passes",
            "512 bytes differ",
            "logwrites explore log --check ext4 --state '4^3' &amp;&amp; echo",
            "href=\"#finding-1-2\"",
            "id=\"finding-1-2\"",
        ] {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
    }

    #[test]
    fn hostile_texts_are_only_texts() {
        let page = page("</title><script>", &example::reports());
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("</pre>").count(), page.matches("<pre").count(), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
        // Neither of them ends where it begins, and nothing is asked for.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("), "{page}");
    }

    #[test]
    fn a_page_without_a_log_shows_what_is_decided() {
        let reports = example::reports();
        let summary = Summary::new(&reports);
        let page = Page { log: "x", summary: &summary, reports: &reports[1..], timeline: None }.to_html();
        assert!(page.contains("e2fsck &lt;fn&gt;") && page.contains("class=\"passes\""), "{page}");
    }
}
