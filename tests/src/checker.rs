//! Judges a log against a history, no matter what recorded it.
//!
//! It sees what a reader sees: the bytes of the log. Which operation an entry is of, it finds out from the
//! payload, which names its writer, or from kind and extent. A FLUSH has no name: it may be that of any flush that
//! makes the log right.

use logwrites_core::format::{END_MARK, Flags, INDETERMINATE_MARK};
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::{Entry, LogSlice};
use logwrites_core::{Extent, Op, SectorSize};

use crate::content::{Stamp, mark_text};
use crate::model::{Model, OpId, Record};
use crate::rule::{Rule, Violation, ensure};

/// Everything that a log is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What happened.
    pub model: &'a Model,
    /// The log. The entries that its superblock counts are judged.
    pub log: &'a [u8],
    /// The first entry of this history: those before it are of another session.
    pub first_entry: usize,
    /// The number of the disk's first sector.
    pub first_sector: u64,
    /// What the disk held before.
    pub base: &'a [Stamp],
    /// What the disk holds now.
    pub disk: &'a [Stamp],
    /// Whether the recorder was closed in good order, so that everything must be there.
    pub is_whole: bool,
}

/// One entry, and what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// What it is of.
    pub what: What,
    /// Its place on the disk.
    pub extent: Extent,
}

/// What an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The recorder's mark that the log ends.
    EndMark,
    /// Some flush.
    Flush,
    /// The recorder's mark that an operation failed.
    Indeterminate(OpId),
    /// A user's mark.
    Mark(OpId),
    /// A write, write-zeroes or discard.
    Mutation(OpId),
}

/// The first rule that the log breaks.
///
/// # Errors
/// [`Violation`] if there is one.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    check_all(evidence).into_iter().next().map_or(Ok(()), Err)
}

/// Every rule that the log breaks, once each.
#[must_use]
pub fn check_all(evidence: &Evidence<'_>) -> Vec<Violation> {
    let entries = match decode(evidence) {
        Ok(entries) => entries,
        Err(violation) => return vec![violation],
    };
    let rules = [check_once, check_order, check_flushes, check_prefixes, check_content];
    rules.iter().filter_map(|rule| rule(evidence, &entries).err()).collect()
}

/// Reads the entries, and finds out what each is of.
///
/// # Errors
/// [`Violation`] of [`Rule::Parse`] if the log cannot be read, of [`Rule::LoggedOnce`] if an entry is of nothing
/// that happened.
pub fn decode(evidence: &Evidence<'_>) -> Result<Vec<Logged>, Violation> {
    let parse = |error: &dyn core::fmt::Display| Violation::new(Rule::Parse, error.to_string());
    let mut slice = LogSlice::open(evidence.log).map_err(|error| parse(&error))?;
    let sector_size = slice.superblock().sector_size;
    let mut entries: Vec<Logged> = Vec::new();
    while let Some(entry) = slice.next() {
        let entry = entry.map_err(|error| parse(&error))?;
        if narrow(entry.index) < evidence.first_entry {
            continue;
        }
        let what = identify(evidence.model, &entries, &slice, &entry, sector_size)?;
        entries.push(Logged { what, extent: entry.extent() });
    }
    Ok(entries)
}

fn identify(
    model: &Model,
    before: &[Logged],
    slice: &LogSlice<'_>,
    entry: &Entry,
    sector_size: SectorSize,
) -> Result<What, Violation> {
    let flags = entry.flags();
    if let Some(text) = slice.mark_text(entry) {
        return identify_mark(model, before, text);
    }
    if flags == Flags::FLUSH && entry.extent().is_empty() {
        return Ok(What::Flush);
    }
    let mut stamps = slice.payload(entry).chunks(narrow(sector_size.bytes())).map(Stamp::read);
    let id = match stamps.clone().next() {
        Some(Some(stamp)) if stamp != Stamp::ZERO => {
            let id = stamp.writer().map(|(id, _)| id);
            let id = id.filter(|id| id.0 < model.nr_ops()).ok_or_else(|| stranger(entry))?;
            let is_its = stamps.enumerate().all(|(at, stamp)| stamp == Some(Stamp::written(id, at)));
            ensure!(is_its, Parse, "the payload of entry {} is not that of {id}", entry.index);
            id
        }
        first => {
            let is_zeros = stamps.all(|stamp| stamp == Some(Stamp::ZERO));
            ensure!(is_zeros, Parse, "the payload of entry {} is a mixture", entry.index);
            // What has the same extent overlaps, and so has an order: the oldest is logged first.
            let is_discard = first.is_none();
            let same = |record: &Record| match record.op {
                Op::WriteZeroes { extent, .. } => !is_discard && extent == entry.extent(),
                Op::Discard { extent } => is_discard && extent == entry.extent(),
                _ => false,
            };
            let is_new = |id: &OpId| !before.iter().any(|logged| logged.what == What::Mutation(*id));
            let candidates =
                || model.records().filter(|(id, record)| same(record) && is_new(id)).map(|(id, _)| id);
            let best = candidates().find(|id| model.record(*id).has_changed());
            best.or_else(|| candidates().next()).ok_or_else(|| stranger(entry))?
        }
    };
    let record = model.record(id);
    let fua = if record.op.is_fua() { Flags::FUA } else { Flags::empty() };
    let discard = if matches!(record.op, Op::Discard { .. }) { Flags::DISCARD } else { Flags::empty() };
    let is_same = record.extent() == entry.extent() && flags.difference(Flags::METADATA) == fua | discard;
    ensure!(is_same, Parse, "entry {} is of {id}, and has another place or other flags", entry.index);
    Ok(What::Mutation(id))
}

fn identify_mark(model: &Model, before: &[Logged], text: &[u8]) -> Result<What, Violation> {
    if text == END_MARK.as_bytes() {
        return Ok(What::EndMark);
    }
    let is_new =
        |id: OpId| !before.iter().any(|at| at.what == What::Mark(id) || at.what == What::Indeterminate(id));
    let mark = model.records().find(|(id, record)| match record.op {
        Op::Mark { len_bytes } => is_new(*id) && mark_text(*id, len_bytes) == text,
        _ => false,
    });
    if let Some((id, _)) = mark {
        return Ok(What::Mark(id));
    }
    let failed = model
        .records()
        .find(|(id, record)| record.has_failed() && is_new(*id) && indeterminate_text(record) == text);
    let name = String::from_utf8_lossy(text);
    let stranger = || Violation::new(Rule::LoggedOnce, format!("the mark {name:?} belongs to no operation"));
    failed.map(|(id, _)| What::Indeterminate(id)).ok_or_else(stranger)
}

/// The text of the mark for an operation that failed.
fn indeterminate_text(record: &Record) -> Vec<u8> {
    format!("{INDETERMINATE_MARK} {}+{}", record.extent().sector(), record.extent().nr_sectors()).into_bytes()
}

/// Whether an entry says that the operation failed: it did, and there is room to say so.
#[must_use]
pub fn wants_indeterminate(record: &Record, sector_size: SectorSize) -> bool {
    record.is_mutation()
        && record.has_failed()
        && widen(indeterminate_text(record).len()) + 33 <= sector_size.bytes()
}

fn stranger(entry: &Entry) -> Violation {
    let (index, flags, extent) = (entry.index, entry.flags(), entry.extent());
    Violation::new(Rule::LoggedOnce, format!("entry {index}, {flags:?} at {extent}, belongs to no operation"))
}

/// 4: what changed the disk is there once, what failed or was ignored does not.
fn check_once(evidence: &Evidence<'_>, entries: &[Logged]) -> Result<(), Violation> {
    let sector_size = LogSlice::open(evidence.log)
        .map_err(|error| Violation::new(Rule::Parse, error.to_string()))?
        .superblock()
        .sector_size;
    for (id, record) in evidence.model.records() {
        let times = |what| entries.iter().filter(|entry| entry.what == what).count();
        let mutations = times(What::Mutation(id));
        let is_void = record.is_mutation() && !record.has_changed();
        ensure!(mutations == 0 || !is_void, FailedLogged, "{id} did not change the disk, and is logged");
        ensure!(mutations <= 1, LoggedOnce, "{id} is logged {mutations} times");
        if !evidence.is_whole {
            continue;
        }
        ensure!(
            mutations == 1 || !record.has_changed(),
            LoggedOnce,
            "{id} changed the disk, and is not logged"
        );
        let is_mark = matches!(record.op, Op::Mark { .. });
        let is_missing = is_mark && record.done_ok_at().is_some() && times(What::Mark(id)) == 0;
        ensure!(!is_missing, LoggedOnce, "the mark {id} is not logged");
        let wanted = wants_indeterminate(record, sector_size);
        ensure!(
            times(What::Indeterminate(id)) == usize::from(wanted),
            LoggedOnce,
            "{id} failed, and the log does not say so once",
        );
    }
    Ok(())
}

/// 6: overlapping operations are in the order in which they changed the disk, none left out.
fn check_order(evidence: &Evidence<'_>, entries: &[Logged]) -> Result<(), Violation> {
    for sector in sectors(evidence) {
        let versions = evidence.model.versions_of(sector);
        let logged = entries.iter().filter_map(|entry| version(entry, sector));
        let logged = logged.filter(|id| evidence.model.record(*id).has_changed());
        for (expected, found) in versions.iter().zip(logged) {
            ensure!(
                *expected == found,
                Order,
                "at sector {sector} {found} is logged where {expected} is due"
            );
        }
    }
    Ok(())
}

/// 6: each FLUSH is that of a flush which covers everything before it, and nothing after it.
fn check_flushes(evidence: &Evidence<'_>, entries: &[Logged]) -> Result<(), Violation> {
    let model = evidence.model;
    let mut positions = vec![usize::MAX; model.nr_ops()];
    for (at, entry) in entries.iter().enumerate() {
        if let What::Mutation(id) = entry.what {
            positions[id.0] = at;
        }
    }
    let position = |id: OpId| positions[id.0];
    let mut flushes =
        model.records().filter(|(_, record)| record.is_flush() && record.is_completed_ok()).peekable();
    let mut last_flush = None;
    for (at, _) in entries.iter().enumerate().filter(|(_, entry)| entry.what == What::Flush) {
        last_flush = Some(at);
        let claimed = entries[..at].iter().filter_map(|entry| match entry.what {
            What::Mutation(id) if !model.record(id).op.is_fua() => model.record(id).completed_at(),
            _ => None,
        });
        let claimed = claimed.max().unwrap_or(0);
        while flushes.next_if(|(_, flush)| flush.submitted <= claimed).is_some() {}
        let Some((id, _)) = flushes.next() else {
            let detail = format!("no flush covers all that is before the FLUSH in entry {at}");
            return Err(Violation::new(Rule::OverClaim, detail));
        };
        for covered in model.covered_by(id) {
            ensure!(position(covered) < at, UnderClaim, "{covered} is after the FLUSH of {id}");
        }
    }
    let acknowledged =
        model.records().filter(|(_, record)| record.is_flush() && record.done_ok_at().is_some());
    for (id, _) in acknowledged {
        for covered in model.covered_by(id) {
            let is_before = last_flush.is_some_and(|last| position(covered) < last);
            ensure!(is_before, UnderClaim, "{id} was acknowledged, and {covered} is not followed by a FLUSH");
        }
    }
    Ok(())
}

/// 6: for each prefix there is a moment at which a crash could have left the disk so: after the submission of
/// everything in it, before anything that it lacks was promised to last.
fn check_prefixes(evidence: &Evidence<'_>, entries: &[Logged]) -> Result<(), Violation> {
    let model = evidence.model;
    let durable: Vec<u64> =
        model.records().map(|(id, _)| model.durable_since(id).unwrap_or(u64::MAX)).collect();
    let versions: Vec<Vec<OpId>> = sectors(evidence).map(|sector| model.versions_of(sector)).collect();
    let mut reached = vec![0; versions.len()];
    let mut earliest = 0;
    for nr_entries in 0..=entries.len() {
        let lacking = versions.iter().zip(&reached).filter_map(|(versions, at)| versions.get(*at));
        let latest = lacking.map(|id| durable[id.0]).min().unwrap_or(u64::MAX);
        ensure!(
            earliest < latest,
            Prefix,
            "the first {nr_entries} entries have what was submitted at {earliest}, and lack what had to last from \
             {latest} on",
        );
        let Some(Logged { what: What::Mutation(id), extent }) = entries.get(nr_entries) else { continue };
        earliest = earliest.max(model.record(*id).submitted);
        let start = extent.sector().saturating_sub(evidence.first_sector);
        for at in start..start + extent.nr_sectors() {
            if let Some(reached) = reached.get_mut(narrow(at)) {
                *reached += 1;
            }
        }
    }
    Ok(())
}

/// 6: base and log make the disk, except where a failed operation left anything.
fn check_content(evidence: &Evidence<'_>, entries: &[Logged]) -> Result<(), Violation> {
    if !evidence.is_whole {
        return Ok(());
    }
    for (at, sector) in sectors(evidence).enumerate() {
        let last = entries.iter().rev().find_map(|entry| version(entry, sector).map(|id| (id, entry.extent)));
        let replayed = match last.map(|(id, extent)| (id, evidence.model.record(id).op, extent)) {
            None => evidence.base[at],
            Some((id, Op::Write { .. }, extent)) => Stamp::written(id, narrow(sector - extent.sector())),
            Some(_) => Stamp::ZERO,
        };
        let is_same = replayed == evidence.disk[at] || is_indeterminate(evidence.model, sector);
        ensure!(is_same, Content, "sector {sector}: disk {:?}, log {replayed:?}", evidence.disk[at]);
    }
    Ok(())
}

/// Whether the last that was done to a sector has failed.
fn is_indeterminate(model: &Model, sector: u64) -> bool {
    let probe = Extent::between(sector, sector + 1);
    let last = model
        .records()
        .filter(|(_, record)| {
            record.extent().overlaps(probe) && (record.has_changed() || record.has_failed())
        })
        .max_by_key(|(_, record)| record.completed_at());
    last.is_some_and(|(_, record)| record.has_failed())
}

/// The mutation that an entry is of, if it touches the sector.
fn version(entry: &Logged, sector: u64) -> Option<OpId> {
    match entry.what {
        What::Mutation(id) if (entry.extent.sector()..entry.extent.end()).contains(&sector) => Some(id),
        _ => None,
    }
}

fn sectors(evidence: &Evidence<'_>) -> core::ops::Range<u64> {
    evidence.first_sector..evidence.first_sector + widen(evidence.base.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Stamp;
    use crate::peers::{Event, FLUSH, KernelRecorder, Played, Tape, entry, fua, ok, play, write};
    use logwrites_core::Outcome;

    const SIZE: SectorSize = SectorSize::B512;

    /// Two writes that overlap and a third, a flush, one more write that is not flushed.
    const SCRIPT: [Event; 10] =
        [write(0, 2), ok(0), write(1, 2), ok(1), write(8, 1), ok(2), FLUSH, ok(3), write(9, 1), ok(4)];

    fn played(script: &[Event]) -> Played {
        play(&mut KernelRecorder::new(SIZE, u64::MAX), script)
    }

    /// The rules that a log with these entries breaks, as the whole record of a history.
    fn broken(played: &Played, ids: &[usize]) -> Vec<Rule> {
        let mut tape = Tape::new(SIZE, u64::MAX);
        for id in ids {
            tape.append(&entry(OpId(*id), played.model.record(OpId(*id)).op, SIZE, true));
        }
        tape.superblock();
        Played { log: tape.bytes, is_whole: true, ..played.clone() }.broken()
    }

    #[test]
    fn a_right_log_is_right() {
        assert_eq!(broken(&played(&SCRIPT), &[0, 1, 2, 3, 4]), []);
        assert_eq!(broken(&played(&SCRIPT), &[2, 0, 1, 3, 4]), [], "what does not overlap has no order");
    }

    #[test]
    fn what_is_missing_or_doubled_is_seen() {
        let played = played(&SCRIPT);
        assert_eq!(broken(&played, &[0, 1, 2, 3]), [Rule::LoggedOnce, Rule::Content]);
        assert!(broken(&played, &[0, 1, 2, 3, 4, 4]).contains(&Rule::LoggedOnce));
        assert!(broken(&played, &[1, 2, 3, 4]).contains(&Rule::Order), "an overlapping write is left out");
    }

    #[test]
    fn a_wrong_order_is_seen() {
        let broken = broken(&played(&SCRIPT), &[1, 0, 2, 3, 4]);
        assert!(broken.contains(&Rule::Order) && broken.contains(&Rule::Content), "{broken:?}");
    }

    #[test]
    fn a_flush_that_moved_is_seen() {
        let played = played(&SCRIPT);
        assert!(broken(&played, &[0, 1, 3, 2, 4]).contains(&Rule::UnderClaim));
        assert!(broken(&played, &[0, 1, 2, 4, 3]).contains(&Rule::OverClaim));
        assert!(broken(&played, &[0, 1, 2, 4]).contains(&Rule::UnderClaim), "it was acknowledged");
        assert!(broken(&played, &[0, 1, 2, 3, 3, 4]).contains(&Rule::OverClaim), "there was but one");
    }

    #[test]
    fn a_prefix_that_no_disk_could_hold_is_seen() {
        // The write was durable before the FUA was submitted.
        let played = played(&[write(0, 1), ok(0), FLUSH, ok(1), fua(4, 1), ok(2)]);
        assert_eq!(broken(&played, &[0, 1, 2]), []);
        assert_eq!(broken(&played, &[2, 0, 1]), [Rule::Prefix]);
        // With both in flight together, the FUA may be found without the write.
        let played = self::played(&[write(0, 1), ok(0), fua(4, 1), FLUSH, ok(1), ok(2)]);
        assert_eq!(broken(&played, &[1, 0, 2]), []);
    }

    #[test]
    fn what_failed_and_is_logged_is_seen() {
        let script = [write(0, 2), Event::Complete(0, Outcome::Failed), FLUSH, ok(1)];
        assert!(broken(&played(&script), &[0, 1]).contains(&Rule::FailedLogged));
        assert_eq!(broken(&played(&script), &[1]), [Rule::LoggedOnce], "nor is it passed over in silence");
    }

    #[test]
    fn other_bytes_are_seen() {
        let mut played = played(&SCRIPT);
        let evidence = Evidence { is_whole: false, ..played.evidence() };
        assert_eq!(
            check(&evidence).map_err(|violation| violation.rule),
            Err(Rule::Parse),
            "there is no superblock"
        );
        let mut tape = Tape::new(SIZE, u64::MAX);
        tape.append(&entry(OpId(0), played.model.record(OpId(0)).op, SIZE, true));
        tape.superblock();
        played.log = tape.bytes;
        assert_eq!(check(&played.evidence()).map_err(|violation| violation.rule), Err(Rule::UnderClaim));
        for at in [512, 520, 528, 1024, 1535, 2047] {
            let mut other = played.clone();
            other.log[at] ^= 0x20;
            let broken = other.broken();
            assert!(
                broken.contains(&Rule::Parse) || broken.contains(&Rule::LoggedOnce),
                "byte {at}: {broken:?}"
            );
        }
    }

    #[test]
    fn another_disk_is_seen() {
        let right = played(&SCRIPT);
        let mut disk = right.data.sectors().to_vec();
        disk[9] = Stamp::ZERO;
        let mut tape = Tape::new(SIZE, u64::MAX);
        for id in 0..5 {
            tape.append(&entry(OpId(id), right.model.record(OpId(id)).op, SIZE, true));
        }
        tape.superblock();
        let evidence = Evidence { log: &tape.bytes, is_whole: true, ..right.evidence() };
        assert_eq!(check(&evidence), Ok(()));
        let evidence = Evidence { disk: &disk, ..evidence };
        assert_eq!(check(&evidence).map_err(|violation| violation.rule), Err(Rule::Content));
    }
}
