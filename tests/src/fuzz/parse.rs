//! Arbitrary bytes as a log.
#![expect(clippy::panic_in_result_fn, reason = "a body panics if something does not hold")]

use embedded_io::ErrorKind;
use logwrites_core::SectorSize;
use logwrites_core::format::{Flags, HEADER_LEN, Superblock, SuperblockError};
use logwrites_core::history::{Discards, ExtentMap, Index, Source};
use logwrites_core::reader::{
    ChunkError, Chunks, Entry, Event, LogSlice, Malformation, Malformed, OpenError, ReadError, Reader,
};

use super::{len_bytes, recover};
use crate::memory::Memory;
use crate::naive;

/// Reads `bytes` as a log in every way there is: in a slice, through `embedded-io`, and in chunks, whose sizes come
/// from `bytes`, too. All must find the same entries and the same error, and a naive reader the same entries. What is
/// found must be emitted as it was, and make an index and maps that a naive search agrees with. What follows
/// the counted entries, or in a log without a superblock, must be what a naive reader finds there.
///
/// It takes O(n) steps for n bytes, and O(m log m) for the m entries in them, whatever they say.
///
/// # Panics
/// If any of that does not hold.
pub fn parse(bytes: &[u8]) {
    recover::assert_recovered(bytes);
    let in_slice = read_slice(bytes);
    let sought = read_sought(bytes);
    let pushed = read_pushed(bytes);
    let Ok(found) = in_slice else {
        assert_eq!(sought, in_slice, "the reader's error");
        assert_eq!(pushed, in_slice, "the chunks' error");
        assert_eq!(naive::Superblock::read(bytes), None, "the slice takes what the naive reader does");
        return;
    };
    let sought = sought.expect("the reader takes a superblock that the slice takes");
    let pushed = pushed.expect("the chunks take a superblock that the slice takes");
    assert_same_entries(&sought, &found);
    assert_same_entries(&pushed, &found);
    assert_eq!(sought.fault, found.fault);
    let faults = (pushed.fault, found.fault);
    assert!(is_fault_without_length(faults.0, faults.1), "{faults:?}");
    assert_naive_agrees(bytes, &found);
    assert_emitted_as_it_was(bytes, &found);
    assert_indexed(bytes, &found);
}

/// The contents of a log.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    superblock: Superblock,
    entries: Vec<FoundEntry>,
    /// What ended the walk, if it was not the last entry.
    fault: Option<Malformed>,
}

#[derive(Debug, PartialEq, Eq)]
struct FoundEntry {
    entry: Entry,
    /// A mark's.
    text: Vec<u8>,
    payload: Vec<u8>,
}

fn read_slice(bytes: &[u8]) -> Result<Found, SuperblockError> {
    let mut log = LogSlice::open(bytes)?;
    let mut found = Found { superblock: log.superblock(), entries: Vec::new(), fault: None };
    while let Some(step) = log.next() {
        match step {
            Ok(entry) => {
                let text = log.mark_text(&entry).unwrap_or_default().to_vec();
                found.entries.push(FoundEntry { entry, text, payload: log.payload(&entry).to_vec() });
            }
            Err(fault) => found.fault = Some(fault),
        }
    }
    Ok(found)
}

fn read_sought(bytes: &[u8]) -> Result<Found, SuperblockError> {
    let mut reader = open(bytes)?;
    let mut found = Found { superblock: reader.superblock(), entries: Vec::new(), fault: None };
    loop {
        let position = reader.position();
        match reader.next_entry() {
            Ok(None) => break,
            Ok(Some(entry)) => {
                let [mut text, mut payload] =
                    [entry.mark_text().unwrap_or(0..0), entry.payload()].map(|range| {
                        let len_bytes = range.end - range.start;
                        vec![0; usize::try_from(len_bytes).expect("what was read over is in memory")]
                    });
                let text_bytes = reader.read_mark(&entry, &mut text).expect("memory does not fail");
                assert_eq!(usize::try_from(text_bytes), Ok(text.len()), "the text has its length");
                let payload_len = reader.read_payload(&entry, 0, &mut payload).expect("memory does not fail");
                assert_eq!(payload_len, payload.len(), "the payload is whole");
                found.entries.push(FoundEntry { entry, text, payload });
            }
            Err(error) => {
                assert_eq!(reader.next_entry(), Err(error), "the same fails again");
                assert_eq!(reader.position(), position, "an error moves nothing");
                found.fault = Some(malformed(error));
                break;
            }
        }
    }
    if found.fault.is_none() {
        let end = reader.position();
        let tail = reader.tail().expect("memory does not fail");
        assert_eq!((tail.start, reader.position()), (end, end), "a look after the end moves nothing");
        assert!(
            tail.nr_entries() == 0 || tail.end.offset_bytes <= len_bytes(bytes),
            "entries are in the log"
        );
    }
    Ok(found)
}

fn read_pushed(bytes: &[u8]) -> Result<Found, SuperblockError> {
    let mut chunks = Chunks::new();
    let mut superblock = None;
    let mut entries: Vec<FoundEntry> = Vec::new();
    let pushed = push_all(&mut chunks, bytes, |event| match event {
        Event::Superblock(first) => assert_eq!(superblock.replace(first), None, "one superblock"),
        Event::Entry(entry) => entries.push(FoundEntry { entry, text: Vec::new(), payload: Vec::new() }),
        Event::Text { entry, at_bytes, bytes } => {
            let last = entries.last_mut().expect("an entry comes before its text");
            assert_eq!((entry, at_bytes), (last.entry, len_bytes(&last.text)), "the text continues");
            last.text.extend(bytes);
        }
        Event::Payload { entry, at_bytes, bytes } => {
            let last = entries.last_mut().expect("an entry comes before its payload");
            assert_eq!((entry, at_bytes), (last.entry, len_bytes(&last.payload)), "the payload continues");
            last.payload.extend(bytes);
        }
    });
    let fault = match pushed {
        Ok(()) => None,
        Err(ChunkError::Superblock(error)) => return Err(error),
        Err(ChunkError::Malformed(fault)) => Some(fault),
    };
    // An entry comes before its text and payload, where it may still fail.
    entries.pop_if(|last| fault.is_some_and(|fault| fault.entry == last.entry.index));
    Ok(Found { superblock: superblock.expect("a log that has no superblock is an error"), entries, fault })
}

/// Pushes `bytes` in chunks of 1 to 256 bytes.
fn push_all(chunks: &mut Chunks, bytes: &[u8], mut events: impl FnMut(Event<'_>)) -> Result<(), ChunkError> {
    let mut rest = bytes;
    for size in bytes.iter().rev().map(|byte| usize::from(*byte) + 1) {
        let (mut chunk, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        while !chunk.is_empty() {
            let (used, event) = chunks.push(chunk)?;
            assert!(used > 0, "every push takes something");
            event.into_iter().for_each(&mut events);
            chunk = &chunk[used..];
        }
    }
    chunks.end()
}

fn assert_same_entries(found: &Found, expected: &Found) {
    assert_eq!(found.superblock, expected.superblock);
    assert_eq!(found.entries, expected.entries);
}

/// Whether a walk that does not know the log's length failed as one that does. An entry that reaches beyond the end
/// is refused at its header by the one; the other may find a fault in its text first, and then meets the end.
fn is_fault_without_length(found: Option<Malformed>, expected: Option<Malformed>) -> bool {
    let (Some(with_length), Some(without)) = (expected, found) else {
        return found == expected;
    };
    let Malformation::PayloadTooFar { nr_sectors, .. } = with_length.reason else {
        return found == expected;
    };
    let is_alike = match without.reason {
        Malformation::PayloadTooFar { nr_sectors: other, len_bytes } => {
            (other, len_bytes) == (nr_sectors, None)
        }
        Malformation::Truncated { .. }
        | Malformation::MarkHasNul
        | Malformation::MarkUnterminated
        | Malformation::TextWithoutMark => true,
        _ => false,
    };
    is_alike && place(without) == place(with_length)
}

fn place(fault: Malformed) -> (u64, u64) {
    (fault.entry, fault.offset_bytes)
}

fn assert_naive_agrees(bytes: &[u8], found: &Found) {
    let superblock = naive::Superblock::read(bytes).expect("the naive reader takes what the slice does");
    let sector_bytes = usize::try_from(found.superblock.sector_size.bytes()).ok();
    assert_eq!(Some(superblock.sector_bytes), sector_bytes);
    assert_eq!(superblock.nr_entries, found.superblock.nr_entries);
    let mut naive = naive::entries(bytes, superblock.sector_bytes, superblock.nr_entries);
    for FoundEntry { entry, text, payload } in &found.entries {
        let naive = naive.next().unwrap_or_else(|| panic!("the naive reader takes {entry:?}"));
        assert_eq!(u64::try_from(naive.at), Ok(entry.offset_bytes));
        let header = entry.header;
        assert_eq!((naive.sector, naive.nr_sectors), (header.sector, header.nr_sectors));
        assert_eq!((naive.flags, naive.data_len), (header.flags.bits(), header.data_len));
        assert_eq!((naive.text, naive.payload), (&text[..], &payload[..]));
    }
    assert_eq!(naive.next(), None, "the slice takes what the naive reader does");
}

fn assert_emitted_as_it_was(bytes: &[u8], found: &Found) {
    // Linux leaves rubbish after the sector size.
    assert_eq!(found.superblock.emit()[..28], bytes[..28]);
    let mut offset_bytes = found.superblock.sector_size.bytes();
    for (index, FoundEntry { entry, text, payload }) in (0..).zip(&found.entries) {
        assert_eq!((entry.index, entry.offset_bytes), (index, offset_bytes), "entries are contiguous");
        let at = usize::try_from(offset_bytes).expect("an entry is in the log");
        assert_eq!(entry.header.emit(), bytes[at..at + HEADER_LEN], "{entry:?}");
        assert!(!text.contains(&0), "a mark is a C string");
        assert_eq!(len_bytes(payload), entry.payload().end - entry.payload().start);
        offset_bytes = entry.end_bytes();
        assert!(offset_bytes <= len_bytes(bytes), "an entry is in the log");
    }
}

fn assert_indexed(bytes: &[u8], found: &Found) {
    let mut index = Index::new(found.superblock);
    for FoundEntry { entry, text, .. } in &found.entries {
        index.push(entry, text);
    }
    let nr_entries = index.nr_entries();
    assert_eq!(nr_entries, u64::try_from(found.entries.len()).unwrap_or(u64::MAX));
    for FoundEntry { entry, text, .. } in &found.entries {
        let indexed = index.entry(entry.index).expect("an entry that was added is there");
        assert_eq!((indexed.extent(), indexed.payload()), (entry.extent(), entry.payload()));
        assert_eq!(indexed.flags(), entry.flags());
        assert_eq!(index.entry_at(entry.end_bytes() - 1), Some(entry.index));
        let mark = index.last_mark(entry.index + 1).filter(|mark| mark.entry == entry.index);
        let is_mark = entry.flags().contains(Flags::MARK);
        assert_eq!(
            mark.map(|mark| mark.text),
            is_mark.then_some(&text[..]),
            "marks have names, and no others"
        );
        assert!(!is_mark || index.marks_named(text).len() > 0, "a mark is found by its name");
    }
    let read = Index::read(&mut open(bytes).expect("it was opened before"));
    match (read, found.fault) {
        (Ok(read), None) => {
            assert_eq!((read.nr_entries(), read.end_bytes()), (nr_entries, index.end_bytes()));
            assert!(read.entries(0..nr_entries).eq(index.entries(0..nr_entries)), "both indices agree");
            assert!(read.marks().eq(index.marks()), "both indices agree");
        }
        (Err(error), fault) => assert_eq!(Some(malformed(error)), fault),
        (Ok(_), Some(fault)) => panic!("an index of a log with a fault: {fault}"),
    }
    let some = bytes.iter().rev().take(2).map(|byte| u64::from(*byte) * (nr_entries + 1) / 256);
    for point in some.chain([nr_entries]) {
        for discards in [Discards::Zero, Discards::Ignore] {
            assert_mapped(&index.map_at(point, discards), point, discards, found);
        }
    }
}

fn assert_mapped(map: &ExtentMap, point: u64, discards: Discards, found: &Found) {
    let runs: Vec<_> = map.runs().collect();
    assert_eq!(runs.len(), map.len());
    assert!(runs.is_sorted_by(|a, b| a.extent.end() <= b.extent.sector()), "runs are apart: {runs:?}");
    assert_eq!(runs.last().map_or(0, |run| run.extent.end()), map.end_sector());

    let applied = found.entries.iter().take(usize::try_from(point).unwrap_or(usize::MAX));
    let applied: Vec<_> = applied.map(|found| found.entry).collect();
    let probed = found.entries.iter().rev().take(MAX_PROBED).map(|found| found.entry.extent());
    for sector in probed.flat_map(|extent| [extent.sector(), extent.end().saturating_sub(1), extent.end()]) {
        let expected = source(&applied, sector, discards, found.superblock.sector_size);
        assert_eq!(map.get(sector), expected, "sector {sector} at point {point}, discards: {discards:?}");
    }
}

/// Where the bytes of a sector come from: from the last entry that has it.
fn source(entries: &[Entry], sector: u64, discards: Discards, sector_size: SectorSize) -> Option<Source> {
    let is_discard = |entry: &Entry| entry.flags().contains(Flags::DISCARD);
    let changes = |entry: &Entry| discards == Discards::Zero || !is_discard(entry);
    let has_sector = |entry: &Entry| (entry.extent().sector()..entry.extent().end()).contains(&sector);
    let last = entries.iter().rev().find(|entry| changes(entry) && has_sector(entry))?;
    Some(if is_discard(last) {
        Source::Zeros { entry_offset_bytes: last.offset_bytes }
    } else {
        let skip_bytes = sector_size.bytes_of(sector - last.extent().sector());
        Source::Log { offset_bytes: last.payload().start + skip_bytes }
    })
}

fn open(bytes: &[u8]) -> Result<Reader<Memory>, SuperblockError> {
    Reader::open(Memory::new(bytes.to_vec())).map_err(|error| match error {
        OpenError::Superblock(error) => error,
        OpenError::Io(error) => panic!("memory does not fail: {error}"),
    })
}

fn malformed(error: ReadError<ErrorKind>) -> Malformed {
    match error {
        ReadError::Malformed(fault) => fault,
        ReadError::Io(_) | ReadError::Shrunk { .. } => panic!("memory does not fail: {error}"),
    }
}

/// How many entries of a log are looked up in a map, each by a walk over all.
const MAX_PROBED: usize = 32;
