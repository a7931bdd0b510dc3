//! The message about a state that fails.

use std::collections::BTreeSet;
use std::fmt;

use logwrites_core::crash::State;
use logwrites_core::format::Flags;
use logwrites_core::reader::Entry;

use crate::device::Device;
use crate::recording::Recording;
use crate::run::found::Found;
use crate::run::level::{Level, STATE_VARIABLE};
use crate::run::report::Report;

/// What is to be said.
pub(crate) struct Message<'a, D: Device> {
    pub(crate) recording: &'a Recording<D>,
    pub(crate) found: &'a Found<D::Setup>,
    pub(crate) report: &'a Report,
}

impl<D: Device> fmt::Display for Message<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recording, found, report } = self;
        let Found { level, path, choice, failure, is_minimal } = found;
        if choice.is_none() {
            return write!(f, "the check fails without a crash, at the end of the workload:\n  {failure}");
        }
        writeln!(f, "the check fails after the crash {path}:")?;
        writeln!(f, "  {failure}")?;
        self.lost(f)?;
        if found.nr_lost() > 0 {
            let minimal = match (*is_minimal, found.nr_lost()) {
                (false, _) => "fewer may do",
                (true, 1) => "with it kept, this failure is gone",
                (true, _) => "with any one of them kept, this failure is gone",
            };
            writeln!(f, "  ({minimal})")?;
        }
        let marks = recording.index.last_mark(level.marks_point(path.0[0].point));
        if let Some(mark) = marks {
            writeln!(f, "the last mark before the crash: {:?}", String::from_utf8_lossy(mark.text))?;
        }
        let (decided, total) = (report.decided(), report.total());
        writeln!(f, "found after {decided} of {total} states, by {} runs", report.nr_runs())?;
        if let Some(log) = &recording.path {
            writeln!(f, "log: {}", log.display())?;
        }
        let test = recording.name.test.as_deref().unwrap_or("-- TEST");
        write!(f, "to repeat it: {STATE_VARIABLE}='{path}' cargo test {test}")
    }
}

impl<D: Device> Message<'_, D> {
    /// The writes that are lost, each with what it is and where it came from.
    fn lost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = &self.found.level;
        let Some(state) = self.found.path.0.last() else { return Ok(()) };
        let nr_lost = self.found.nr_lost();
        let epoch = level.index.epoch_at(state.point);
        // A durable write that was in flight can be torn.
        let lost = state.lost.ranges().flat_map(|(entries, _)| entries);
        let in_flight = lost.filter(|entry| !epoch.is_volatile(*entry));
        let nr_volatile = epoch.volatile().count() + in_flight.collect::<BTreeSet<u64>>().len();
        if nr_lost == 0 {
            return writeln!(
                f,
                "nothing is lost: it fails with all writes up to point {} there",
                state.point
            );
        }
        let plural = if nr_volatile == 1 { "write that was" } else { "writes that were" };
        writeln!(f, "lost, of {nr_volatile} {plural} not durable:")?;
        let lines = lost_lines(level, state);
        for (entries, text) in lines.iter().take(MAX_LINES) {
            let (noun, numbers) = (if entries.len() == 1 { "entry" } else { "entries" }, entries.join(", "));
            writeln!(f, "  {noun} {numbers}: {text}")?;
        }
        match lines.len().checked_sub(MAX_LINES) {
            Some(more) if more > 0 => writeln!(f, "  and {more} more"),
            _ => Ok(()),
        }
    }
}

/// What is lost, with the numbers of the entries that are described in the same words and follow each other.
fn lost_lines<S>(level: &Level<S>, state: &State) -> Vec<(Vec<String>, String)> {
    let mut lines: Vec<(Vec<String>, String)> = Vec::new();
    for (entries, sectors) in state.lost.ranges() {
        let part = sectors.map(|sectors| match sectors.into_inner() {
            (first, last) if first == last => format!(" (of it, sector {first})"),
            (first, last) => format!(" (of it, sectors {first} to {last})"),
        });
        for entry in entries.filter_map(|number| level.index.entry(number)) {
            let text = described(level, &entry, part.as_deref().unwrap_or_default());
            match lines.last_mut() {
                Some((numbers, last)) if *last == text => numbers.push(entry.index.to_string()),
                _ => lines.push((vec![entry.index.to_string()], text)),
            }
        }
    }
    lines
}

/// `the length of db, 0 -> 4096 bytes, after mark "made"`, and where it came from.
fn described<S>(level: &Level<S>, entry: &Entry, part: &str) -> String {
    let bytes = level.sector_size().byte_range(entry.extent()).unwrap_or_default();
    let note = usize::try_from(entry.index).ok().and_then(|index| level.notes.get(index));
    let verb = if entry.flags().contains(Flags::DISCARD) { "discarded" } else { "written" };
    let what = match note.and_then(|note| note.meaning.as_deref()) {
        Some(meaning) => meaning.to_owned(),
        None => format!("{} bytes {verb} at {}", bytes.end - bytes.start, bytes.start),
    };
    let mark = level.index.last_mark(entry.index);
    let mark = mark.map(|mark| format!(", after mark {:?}", String::from_utf8_lossy(mark.text)));
    let origin = note.map(|note| note.origin.describe()).filter(|origin| !origin.is_empty());
    let origin = origin.map(|origin| format!("\n    at {origin}"));
    format!("{what}{part}{}{}", mark.unwrap_or_default(), origin.unwrap_or_default())
}

const MAX_LINES: usize = 8;
