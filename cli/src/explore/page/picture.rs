//! The log as a picture: time from left to right, the disk from top to bottom, marks above, flushes below; and below
//! these, a strip for each check with what is decided of each group.
//!
//! It is as wide as the page, without a script: places along time are in percent, heights in pixels, and what is dense
//! is in boxes of their own that are stretched.

use std::fmt::Write as _;

use logwrites_core::num::widen;
use maud::{Markup, html};

use super::finding;
use crate::explore::report::{FindingReport, GroupReport, Report};
use crate::explore::timeline::Timeline;
use crate::explore::words;
use crate::output::printable::Printable;

/// The picture of a log and of what its checks have come to. Without the log, what they have come to.
pub(super) fn picture(timeline: Option<&Timeline>, reports: &[Report]) -> Markup {
    let groups = reports.iter().flat_map(|report| &report.by_group);
    let last = groups.map(|group| group.point).max().unwrap_or(0);
    let scale = Scale::new(timeline.map_or(last, |timeline| timeline.nr_entries));
    if timeline.is_none() && last == 0 {
        return html! {};
    }
    html! {
        section.card {
            h2 { "The log" }
            div.picture {
                @if let Some(timeline) = timeline { (log(timeline, scale, reports)) }
                @for (nth, report) in reports.iter().enumerate().take(MAX_STRIPS) { (strip(nth, report, scale)) }
                (axis(scale))
            }
            (legend(timeline, reports))
        }
    }
}

/// Where along time an entry is.
#[derive(Clone, Copy, Debug)]
struct Scale {
    nr_entries: u64,
}

impl Scale {
    const fn new(nr_entries: u64) -> Self {
        Self { nr_entries }
    }

    /// From 0 to 1. A log with few entries does not fill the picture.
    fn at(self, entry: u64) -> f64 {
        ratio(entry.min(self.nr_entries), self.nr_entries.max(MIN_ENTRIES))
    }

    fn percent(self, entry: u64) -> String {
        percent(self.at(entry))
    }
}

/// The log itself, with the writes that are lost and the crashes that fail.
fn log(timeline: &Timeline, scale: Scale, reports: &[Report]) -> Markup {
    let findings = || reports.iter().flat_map(|report| report.findings.iter().take(MAX_FINDINGS));
    let has_room = timeline.flushes.len() <= MAX_EPOCHS;
    html! {
        svg height=(MARKS_PX + DISK_PX + FLUSHES_PX) role="img" aria-label=(described(timeline)) {
            rect.frame x="0" y=(MARKS_PX) width="100%" height=(DISK_PX) rx="3" {}
            (cells(timeline, scale))
            @for flush in timeline.flushes.iter().take(MAX_TICKS) {
                @let x = scale.percent(*flush);
                @if has_room { line.epoch x1=(x) x2=(x) y1=(MARKS_PX) y2=(MARKS_PX + DISK_PX) {} }
                line.flush x1=(x) x2=(x) y1=(MARKS_PX + DISK_PX + 3) y2=(MARKS_PX + DISK_PX + FLUSHES_PX) {}
            }
            @for finding in findings() { (lost(finding, timeline, scale)) }
            @for finding in findings() {
                @let x = scale.percent(finding.crash.point);
                line.crash x1=(x) x2=(x) y1=(MARKS_PX) y2=(MARKS_PX + DISK_PX + FLUSHES_PX) {}
            }
            text.halo x="5" y=(MARKS_PX + 14) { "0" }
            text.halo x="5" y=(MARKS_PX + DISK_PX - 6) { (size(timeline.disk_bytes)) }
            (marks(timeline, scale))
        }
    }
}

/// For those that hear the page.
fn described(timeline: &Timeline) -> String {
    format!(
        "{} entries on a disk of {}: {} marks, {} flushes as far as they can be told apart",
        timeline.nr_entries,
        size(timeline.disk_bytes),
        timeline.marks.len(),
        timeline.flushes.len()
    )
}

/// The cells that are written to, the stronger the more is written, over those that are discarded.
fn cells(timeline: &Timeline, scale: Scale) -> Markup {
    let (nr_columns, nr_rows) = (timeline.nr_columns.max(1), timeline.nr_rows.max(1));
    let is_inside = |column: u32, row: u32| column < nr_columns && row < nr_rows;
    let most = timeline.cells.iter().map(|(_, _, sectors)| *sectors).max().unwrap_or(1);
    let mut written = vec![Path::default(); NR_LEVELS];
    for (column, row, sectors) in timeline.cells.iter().filter(|cell| is_inside(cell.0, cell.1)) {
        written[level(*sectors, most)].add(*column, *row);
    }
    let mut discarded = Path::default();
    for (column, row) in timeline.discards.iter().filter(|cell| is_inside(cell.0, cell.1)) {
        discarded.add(*column, *row);
    }
    let width = percent(scale.at(timeline.nr_entries));
    html! {
        svg y=(MARKS_PX) width=(width) height=(DISK_PX) viewBox=(format!("0 0 {nr_columns} {nr_rows}"))
            preserveAspectRatio="none" {
            path.discarded d=(discarded.into_text(1.0)) {}
            @for (level, path) in written.into_iter().enumerate() {
                @let gap = if nr_columns < MAX_APART { 0.85 } else { 1.0 };
                path.written opacity=(OPACITIES[level]) d=(path.into_text(gap)) {}
            }
        }
    }
}

/// How strong a cell is, by the logarithm of what is written.
fn level(sectors: u64, most: u64) -> usize {
    let (part, whole) = (sectors.max(1).ilog2(), most.max(1).ilog2().max(1));
    let level = u64::from(part) * (widen(NR_LEVELS) - 1) / u64::from(whole);
    usize::try_from(level).unwrap_or(NR_LEVELS).min(NR_LEVELS - 1)
}

/// Cells as a path, those on top of each other as one box.
#[derive(Clone, Debug, Default)]
struct Path {
    boxes: Vec<(u32, u32, u32)>,
}

impl Path {
    fn add(&mut self, column: u32, row: u32) {
        match self.boxes.last_mut() {
            Some((same, start, len)) if *same == column && *start + *len == row => *len += 1,
            _ => self.boxes.push((column, row, 1)),
        }
    }

    fn into_text(self, width: f64) -> String {
        self.boxes.into_iter().fold(String::new(), |mut text, (column, row, len)| {
            // Writing to a String cannot fail.
            let _ = write!(text, "M{column} {row}h{width}v{len}h-{width}z");
            text
        })
    }
}

/// The writes that a state has lost, as boxes.
fn lost(finding: &FindingReport, timeline: &Timeline, scale: Scale) -> Markup {
    let sector_bytes = u64::from(timeline.sector_bytes);
    let y = |offset_bytes: u64| {
        ratio(offset_bytes.min(timeline.disk_bytes), timeline.disk_bytes) * f64::from(DISK_PX)
    };
    html! {
        @for write in &finding.crash.lost_writes {
            @let start = write.sector.saturating_mul(sector_bytes);
            @let (top, end) = (y(start), y(start.saturating_add(write.len_bytes)));
            @let width = percent((scale.at(write.entry.saturating_add(1)) - scale.at(write.entry)).max(0.005));
            rect.lost x=(scale.percent(write.entry)) y=(format!("{:.1}", f64::from(MARKS_PX) + top)) width=(width)
                height=(format!("{:.1}", (end - top).max(5.0))) rx="1" {
                title { (words::lost_write(write)) }
            }
        }
    }
}

/// Marks as flags, with as many of their names as have room.
fn marks(timeline: &Timeline, scale: Scale) -> Markup {
    let marks = &timeline.marks[..timeline.marks.len().min(MAX_TICKS)];
    let labels = labels(marks, scale);
    let pole_px = if marks.len() <= MAX_POLES { MARKS_PX + DISK_PX } else { MARKS_PX };
    html! {
        @for ((entry, text), label) in marks.iter().zip(labels) {
            @let x = scale.percent(*entry);
            g {
                title { "mark " (Printable(text.as_bytes())) ", entry " (entry) }
                line.flag-pole.long x1=(x) x2=(x) y1=(MARKS_PX) y2=(pole_px) {}
                svg x=(x) y="2" width="9" height=(MARKS_PX) {
                    path.flag d=(format!("M0 2l8 4-8 4v{}h-1v-18z", MARKS_PX - 14)) {}
                }
                @if let Some(label) = label {
                    svg x=(x) overflow="visible" class=[label.is_wide.then_some("wide")] {
                        @if label.is_left { text.label.end x="-5" y="12" { (label.text) } }
                        @else { text.label x="11" y="12" { (label.text) } }
                    }
                }
            }
        }
    }
}

/// The name of a mark, and where there is room for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    text: String,
    /// Whether it is left of its mark.
    is_left: bool,
    /// Whether there is only room on a wide page.
    is_wide: bool,
}

/// Names that do not overlap: first as many as a phone has room for, and then as many more as a wide page has.
fn labels(marks: &[(u64, String)], scale: Scale) -> Vec<Option<Label>> {
    let mut labels: Vec<Option<Label>> = vec![None; marks.len()];
    for (width_px, is_wide) in [(NARROW_PX, false), (WIDE_PX, true)] {
        // Boxes of names and flags, where names may not be.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        let x_px = |entry: u64| scale.at(entry) * width_px;
        for ((entry, _), label) in marks.iter().zip(&labels) {
            let x = x_px(*entry);
            taken.push((x, x + FLAG_PX));
            taken.extend(label.as_ref().map(|label| label.span_px(x)));
        }
        for ((entry, text), slot) in marks.iter().zip(&mut labels) {
            if slot.is_some() {
                continue;
            }
            let text = shortened(text);
            let x = x_px(*entry);
            let of = |is_left| Label { text: text.clone(), is_left, is_wide };
            let is_free = |label: &Label| {
                let (from, to) = label.span_px(x);
                from >= 0.0 && to <= width_px && taken.iter().all(|(start, end)| to <= *start || from >= *end)
            };
            *slot = [of(false), of(true)].into_iter().find(is_free);
            taken.extend(slot.as_ref().map(|label| label.span_px(x)));
        }
    }
    labels
}

impl Label {
    /// From where to where it is, if its mark is at `x`.
    fn span_px(&self, x: f64) -> (f64, f64) {
        let len = f64::from(u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX)) * LETTER_PX;
        if self.is_left { (x - 5.0 - len, x - 1.0) } else { (x + FLAG_PX, x + FLAG_PX + 6.0 + len) }
    }
}

fn shortened(text: &str) -> String {
    let text = Printable(text.as_bytes()).to_string();
    if text.chars().count() <= MAX_LETTERS {
        return text;
    }
    text.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
}

/// What is decided of each group of a check, and where its findings are.
fn strip(nth: usize, report: &Report, scale: Scale) -> Markup {
    let findings = &report.findings[..report.findings.len().min(MAX_FINDINGS)];
    let bubbles_px = if findings.is_empty() { 0 } else { BUBBLES_PX };
    html! {
        svg height=(NAME_PX + GROUPS_PX + bubbles_px) role="group" aria-label=(words::label(report)) {
            text.check-name x="0" y=(NAME_PX - 6) { (shortened(&words::label(report))) }
            (bars(report, scale))
            @for (at, (finding, x)) in findings.iter().zip(bubbles(findings, scale)).enumerate() {
                a.bubble href=(format!("#{}", finding::id(nth, at))) aria-label=(format!("finding {}", at + 1)) {
                    title { (words::heading(finding)) ", point " (finding.crash.point) }
                    svg x=(percent(x)) y=(NAME_PX + GROUPS_PX) overflow="visible" {
                        circle cx="0" cy="13" r="9" {}
                        text x="0" y="17" { (at + 1) }
                    }
                }
            }
        }
    }
}

/// A box for each group, as high as it has units, or for several where there are too many.
fn bars(report: &Report, scale: Scale) -> Markup {
    let bars = Bar::of(&report.by_group);
    let most = bars.iter().map(|bar| bar.units).max().unwrap_or(0);
    html! {
        svg y=(NAME_PX) width="100%" height=(GROUPS_PX) viewBox="0 0 1000 100" preserveAspectRatio="none" {
            rect.frame x="0" y="0" width="1000" height="100" {}
            @for bar in &bars {
                @let (x, end) = (scale.at(bar.from) * 1000.0, scale.at(bar.to) * 1000.0);
                @let width = ((end - x) * 0.94).max(1.0);
                @let height = 16.0 + 84.0 * ratio(bar.units, most.max(1)).sqrt();
                g {
                    title { (bar.told()) }
                    @let decided = if bar.fails || bar.is_decided { height } else { height * bar.share };
                    @if decided < height { (rect("open", x, width, height)) }
                    @if decided > 0.0 { (rect(if bar.fails { "fails" } else { "passes" }, x, width, decided)) }
                }
            }
        }
    }
}

fn rect(class: &str, x: f64, width: f64, height: f64) -> Markup {
    let number = |number: f64| format!("{number:.2}");
    html! {
        rect class=(class) x=(number(x)) y=(number(100.0 - height)) width=(number(width)) height=(number(height)) {}
    }
}

/// One group, or several neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bar {
    from: u64,
    to: u64,
    nr: usize,
    /// The most that one of them has.
    units: u64,
    is_decided: bool,
    /// The least that is decided of one of them.
    share: f64,
    fails: bool,
}

impl Bar {
    fn of(groups: &[GroupReport]) -> Vec<Self> {
        let size = groups.len().div_ceil(MAX_BARS).max(1);
        let mut from = groups.first().map_or(0, |group| group.point.saturating_sub(1));
        let bars = groups.chunks(size).map(|chunk| {
            let to = chunk.iter().map(|group| group.point).max().unwrap_or(from).max(from);
            let bar = Self {
                from,
                to,
                nr: chunk.len(),
                units: chunk.iter().map(|group| group.units).max().unwrap_or(0),
                is_decided: chunk.iter().all(|group| group.is_decided),
                share: chunk.iter().map(|group| group.decided_share.clamp(0.0, 1.0)).fold(1.0, f64::min),
                fails: chunk.iter().any(|group| group.failing_log2.is_some()),
            };
            from = to;
            bar
        });
        bars.collect()
    }

    fn told(&self) -> String {
        let Self { from, to, nr, units, .. } = self;
        let states = words::power_of_two(*units);
        let states = if *nr == 1 {
            format!("{states} states")
        } else {
            format!("{nr} groups of up to {states} states")
        };
        let decided = if self.is_decided {
            "all decided".to_owned()
        } else {
            words::percent_of(self.share) + " decided"
        };
        let fails = if self.fails { ", some fail" } else { "" };
        format!("crashes after point {from}, up to {to}: {states}, {decided}{fails}")
    }
}

/// Where the numbers of findings are: at their points, but beside each other.
fn bubbles(findings: &[FindingReport], scale: Scale) -> Vec<f64> {
    let mut at: Vec<(usize, f64)> =
        findings.iter().map(|finding| scale.at(finding.crash.point)).enumerate().collect();
    at.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut least = BUBBLE / 2.0;
    for (_, x) in &mut at {
        *x = x.max(least);
        least = *x + BUBBLE;
    }
    // What would be pushed out at the end pushes the others back.
    let mut most = 1.0 - BUBBLE / 2.0;
    for (_, x) in at.iter_mut().rev() {
        *x = x.min(most);
        most = *x - BUBBLE;
    }
    at.sort_by_key(|(nth, _)| *nth);
    at.into_iter().map(|(_, x)| x).collect()
}

fn axis(scale: Scale) -> Markup {
    html! {
        svg height="18" aria-hidden="true" {
            text x="0" y="14" { "entry 0" }
            text.end x=(if scale.nr_entries < MIN_ENTRIES { scale.percent(scale.nr_entries) } else { "100%".to_owned() }) y="14" {
                (scale.nr_entries)
            }
        }
    }
}

fn legend(timeline: Option<&Timeline>, reports: &[Report]) -> Markup {
    let has_lost = reports
        .iter()
        .flat_map(|report| &report.findings)
        .any(|finding| !finding.crash.lost_writes.is_empty());
    let groups = || reports.iter().flat_map(|report| &report.by_group);
    html! {
        ul.legend {
            @if let Some(timeline) = timeline {
                li.k-write { "written" }
                @if !timeline.discards.is_empty() { li.k-discard { "discarded" } }
                @if !timeline.flushes.is_empty() { li.k-flush { "flush or FUA" } }
                @if !timeline.marks.is_empty() { li.k-mark { "mark" } }
                @if has_lost { li.k-bad.hollow { "lost in the least that fails" } }
            }
            @if groups().any(|group| group.is_decided && group.failing_log2.is_none()) { li.k-good { "group that passes" } }
            @if groups().any(|group| group.failing_log2.is_some()) { li.k-bad { "group with states that fail" } }
            @if groups().any(|group| !group.is_decided) { li.k-flush { "not decided" } }
        }
    }
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

fn percent(share: f64) -> String {
    format!("{:.3}%", share * 100.0)
}

/// A share that is drawn.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    // To a millionth, which no screen shows.
    let millionths = u128::from(part.min(whole)) * 1_000_000 / u128::from(whole);
    f64::from(u32::try_from(millionths).unwrap_or(1_000_000)) / 1e6
}

/// The heights of the lanes.
const MARKS_PX: u32 = 20;
const DISK_PX: u32 = 220;
const FLUSHES_PX: u32 = 11;
const NAME_PX: u32 = 30;
const GROUPS_PX: u32 = 34;
const BUBBLES_PX: u32 = 26;

/// How strong cells are.
const NR_LEVELS: usize = OPACITIES.len();
const OPACITIES: [&str; 6] = ["0.45", "0.55", "0.65", "0.76", "0.88", "1"];

/// A log with fewer entries does not fill the picture.
const MIN_ENTRIES: u64 = 16;

/// With fewer columns there is room between them.
const MAX_APART: u32 = 160;

/// With more flushes, lines through the picture would hide it; with more marks, too.
const MAX_EPOCHS: usize = 90;
const MAX_POLES: usize = 40;

/// A folder could have any number of them; a picture of a log has one for each column.
const MAX_TICKS: usize = 1_000;
const MAX_STRIPS: usize = 16;
const MAX_BARS: usize = 480;
const MAX_FINDINGS: usize = 20;

/// The widths of pages that names of marks must have room on: the first on any, the second where the style's `wide` is shown.
const NARROW_PX: f64 = 300.0;
const WIDE_PX: f64 = 700.0;
/// About a letter's width, and a flag's.
const LETTER_PX: f64 = 6.4;
const FLAG_PX: f64 = 11.0;
const MAX_LETTERS: usize = 32;

/// The room of a finding's number, as a share of the width.
const BUBBLE: f64 = 0.022;

#[cfg(test)]
mod tests {
    use super::*;

    fn group(point: u64, units: u64, share: f64, failing_log2: Option<f64>) -> GroupReport {
        GroupReport { point, units, is_decided: share >= 1.0, decided_share: share, failing_log2 }
    }

    #[test]
    fn names_of_marks_do_not_overlap() {
        let marks: Vec<(u64, String)> = (0..100).map(|nth| (nth * 10, format!("<mark {nth}>"))).collect();
        let scale = Scale::new(1000);
        let labels = labels(&marks, scale);
        for width_px in [NARROW_PX, WIDE_PX, 1100.0] {
            let shown = marks.iter().zip(&labels).filter_map(|((entry, _), label)| {
                let label = label.as_ref().filter(|label| !label.is_wide || width_px >= WIDE_PX)?;
                Some(label.span_px(scale.at(*entry) * width_px))
            });
            let mut spans: Vec<(f64, f64)> = shown.collect();
            spans.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(spans.is_sorted_by(|a, b| a.1 <= b.0), "{width_px}: {spans:?}");
        }
        let last = labels_of_one(1000);
        assert!(last.is_left && !last.is_wide, "the last mark has its name on its left");
    }

    fn labels_of_one(entry: u64) -> Label {
        labels(&[(entry, "end of it".to_owned())], Scale::new(1000))[0].clone().expect("there is room")
    }

    #[test]
    fn bars_are_as_many_as_fit_and_hide_no_failure() {
        let mut groups: Vec<GroupReport> = (0..10_000).map(|point| group(point, 3, 1.0, None)).collect();
        groups[4321] = group(4321, 70, 0.5, Some(1.0));
        let bars = Bar::of(&groups);
        assert!(bars.len() <= MAX_BARS);
        let failing: Vec<&Bar> = bars.iter().filter(|bar| bar.fails).collect();
        assert_eq!((failing.len(), failing[0].units, failing[0].is_decided), (1, 70, false));
        assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(Bar::of(&[]), []);
    }

    #[test]
    fn any_picture_can_be_drawn() {
        let hostile = Timeline {
            nr_entries: 0,
            nr_columns: 0,
            nr_rows: u32::MAX,
            cells: vec![(0, 0, u64::MAX), (u32::MAX, 1, 1), (0, u32::MAX, 0)],
            discards: vec![(7, 7)],
            flushes: vec![u64::MAX; 5000],
            marks: vec![(u64::MAX, "</svg><script>alert(1)</script>".to_owned()); 5000],
            ..Timeline::default()
        };
        let page = picture(Some(&hostile), &[]).into_string();
        assert!(!page.contains("<script") && page.contains("&lt;script"), "{page}");
        assert!(page.len() < 1_000_000, "{}", page.len());
    }
}
