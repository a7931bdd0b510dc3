//! Every entry of a log, at hand.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use embedded_io::{Read, Seek};
use std_shims::collections::HashMap;

use crate::format::{EntryHeader, Flags, Superblock};
use crate::geometry::{Extent, SectorSize};
use crate::history::{Discards, ExtentMap, Source};
use crate::num::{clip, narrow, widen};
use crate::reader::{Entry, Position, ReadError, Reader, ResumePoint, Walk};

/// The entries and marks of a log, in memory: 32 bytes for each entry.
///
/// Build it with [`read`](Self::read), or with [`new`](Self::new) and [`push`](Self::push) where the walk needs
/// something beside, such as a progress bar.
#[derive(Clone, Debug)]
pub struct Index {
    superblock: Superblock,
    entries: Vec<Record>,
    end: Position,
    marks: Vec<MarkRecord>,
    texts: Vec<u8>,
    by_name: HashMap<Box<[u8]>, Vec<usize>>,
}

impl Index {
    /// The index of a log before its first entry.
    #[must_use]
    pub fn new(superblock: Superblock) -> Self {
        Self {
            superblock,
            entries: Vec::new(),
            end: Walk::new(superblock, None).position(),
            marks: Vec::new(),
            texts: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    /// Walks over the rest of a log. Memory grows with the entries that are really there, whatever the superblock
    /// says.
    ///
    /// # Errors
    /// The reader's: [`ReadError`].
    pub fn read<R: Read + Seek>(reader: &mut Reader<R>) -> Result<Self, ReadError<R::Error>> {
        let mut index = Self::new(reader.superblock());
        let mut text = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            index.push_from(reader, &entry, &mut text)?;
        }
        Ok(index)
    }

    /// Adds the entry that `reader` has just given, with its mark's text. `text` is room to read it into, kept from
    /// call to call.
    ///
    /// # Errors
    /// The reader's: [`ReadError`].
    pub fn push_from<R: Read + Seek>(
        &mut self,
        reader: &mut Reader<R>,
        entry: &Entry,
        text: &mut Vec<u8>,
    ) -> Result<(), ReadError<R::Error>> {
        text.clear();
        if entry.mark_text().is_some() {
            text.resize(narrow(entry.header.data_len), 0);
            reader.read_mark(entry, text)?;
        }
        self.push(entry, text);
        Ok(())
    }

    /// Adds the next entry; `text` is a mark's text. O(1) amortised.
    ///
    /// # Panics
    /// If the entry is not the next one.
    pub fn push(&mut self, entry: &Entry, text: &[u8]) {
        assert_eq!(entry.index, self.end.index, "entries are added in order");
        let EntryHeader { sector, nr_sectors, flags, .. } = entry.header;
        self.entries.push(Record { offset_bytes: entry.offset_bytes, sector, nr_sectors, flags });
        self.end = Position { index: entry.index + 1, offset_bytes: entry.end_bytes() };
        if entry.mark_text().is_some() {
            let start = self.texts.len();
            self.texts.extend_from_slice(text);
            self.by_name.entry(text.into()).or_default().push(self.marks.len());
            self.marks.push(MarkRecord { entry: entry.index, text: start..self.texts.len() });
        }
    }

    /// Forgets the entries from number `point` on. O(1) for each mark among them.
    pub fn truncate(&mut self, point: u64) {
        let Some(gone) = self.entry(point) else {
            return;
        };
        self.end = Position { index: point, offset_bytes: gone.offset_bytes };
        self.entries.truncate(narrow(point));
        let nr_marks = self.marks.partition_point(|mark| mark.entry < point);
        while self.marks.len() > nr_marks
            && let Some(mark) = self.marks.pop()
        {
            let text = self.texts.split_off(mark.text.start);
            // The name's last mark, since they go from the end.
            if let Some(marks) = self.by_name.get_mut(text.as_slice())
                && marks.pop().is_some()
                && marks.is_empty()
            {
                self.by_name.remove(text.as_slice());
            }
        }
    }

    /// Where a logger that appends to these entries continues.
    #[must_use]
    pub fn resume_point(&self) -> ResumePoint {
        let last = self.end.index.checked_sub(1).and_then(|last| self.entry(last));
        ResumePoint { position: self.end, unflushed: last.is_some_and(|last| !last.is_bare_flush()) }
    }

    /// The log's superblock.
    #[must_use]
    pub const fn superblock(&self) -> Superblock {
        self.superblock
    }

    /// The unit of the log.
    #[must_use]
    pub const fn sector_size(&self) -> SectorSize {
        self.superblock.sector_size
    }

    /// How many entries it holds.
    #[must_use]
    pub const fn nr_entries(&self) -> u64 {
        self.end.index
    }

    /// The first byte of the log after the last entry.
    #[must_use]
    pub const fn end_bytes(&self) -> u64 {
        self.end.offset_bytes
    }

    /// The entry with this number. O(1).
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<Entry> {
        let record = self.entries.get(usize::try_from(index).ok()?)?;
        Some(self.expand(index, record))
    }

    /// The entries with these numbers, as far as there are such.
    #[must_use]
    pub fn entries(&self, range: Range<u64>) -> impl DoubleEndedIterator<Item = Entry> + '_ {
        self.records(range).map(|(index, record)| self.expand(index, record))
    }

    /// As [`entries`](Self::entries), as they are kept.
    pub(super) fn records(&self, range: Range<u64>) -> impl DoubleEndedIterator<Item = (u64, &Record)> {
        let end = clip(range.end, self.entries.len());
        let numbered = self.entries[clip(range.start, end)..end].iter().enumerate();
        numbered.map(move |(nth, record)| (range.start + widen(nth), record))
    }

    /// The marks, in log order.
    #[must_use]
    pub fn marks(&self) -> impl ExactSizeIterator<Item = Mark<'_>> {
        self.marks.iter().map(|mark| self.mark(mark))
    }

    /// The last mark before point `point`: what had been reached there. O(log n) for n marks.
    #[must_use]
    pub fn last_mark(&self, point: u64) -> Option<Mark<'_>> {
        let after = self.marks.partition_point(|mark| mark.entry < point);
        self.marks.get(after.checked_sub(1)?).map(|mark| self.mark(mark))
    }

    /// The numbers of the entries that are marks with this text, in log order. O(1).
    pub fn marks_named<'a>(&'a self, text: &[u8]) -> impl ExactSizeIterator<Item = u64> + 'a {
        let marks = self.by_name.get(text).map(Vec::as_slice).unwrap_or_default();
        marks.iter().map(|mark| self.marks[*mark].entry)
    }

    /// The numbers of the entries that have all of `flags`, in log order. O(1) for each entry passed.
    #[must_use]
    pub fn flagged(&self, flags: Flags) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let records = self.entries.iter().enumerate().filter(move |(_, record)| record.flags.contains(flags));
        records.map(|(index, _)| widen(index))
    }

    /// The number of the entry that holds this byte of the log in its header or payload. O(log n) for n entries.
    #[must_use]
    pub fn entry_at(&self, offset_bytes: u64) -> Option<u64> {
        if offset_bytes >= self.end.offset_bytes {
            return None;
        }
        let after = self.entries.partition_point(|record| record.offset_bytes <= offset_bytes);
        after.checked_sub(1).map(widen)
    }

    /// The number of the entry that made what a source points to. O(log n) for n entries.
    #[must_use]
    pub fn writer_of(&self, source: Source) -> Option<u64> {
        match source {
            Source::Log { offset_bytes } | Source::Zeros { entry_offset_bytes: offset_bytes } => {
                self.entry_at(offset_bytes)
            }
        }
    }

    /// Where the bytes of the disk are at point `point`. O(p log p) for p entries before it.
    #[must_use]
    pub fn map_at(&self, point: u64, discards: Discards) -> ExtentMap {
        self.map_of(0..point, discards)
    }

    /// What these entries have changed, and where the bytes are. O(p log p) for p entries.
    #[must_use]
    pub fn map_of(&self, entries: Range<u64>, discards: Discards) -> ExtentMap {
        let mut map = ExtentMap::new(self.sector_size());
        for entry in self.entries(entries) {
            map.apply(&entry, discards);
        }
        map
    }

    fn expand(&self, index: u64, record: &Record) -> Entry {
        let data_len = if record.flags.contains(Flags::MARK) { self.text_len(index) } else { 0 };
        let Record { offset_bytes, sector, nr_sectors, flags } = *record;
        let header = EntryHeader { sector, nr_sectors, flags, data_len };
        Entry { index, offset_bytes, header, sector_size: self.sector_size() }
    }

    fn text_len(&self, index: u64) -> u64 {
        let found = self.marks.binary_search_by_key(&index, |mark| mark.entry);
        let at = found.expect("each entry that is a mark was put among the marks");
        widen(self.marks[at].text.len())
    }

    fn mark(&self, mark: &MarkRecord) -> Mark<'_> {
        Mark { entry: mark.entry, text: &self.texts[mark.text.clone()] }
    }
}

/// A mark of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// The number of its entry.
    pub entry: u64,
    /// Its text, without its NUL. Usually UTF-8; the format does not say.
    pub text: &'a [u8],
}

impl Mark<'_> {
    /// The extent whose write failed and whose content is not known, if the mark is a logger's word for that; see
    /// [`INDETERMINATE_MARK`](crate::format::INDETERMINATE_MARK).
    #[must_use]
    pub fn indeterminate(&self) -> Option<Extent> {
        let text = core::str::from_utf8(self.text).ok()?;
        let (sector, nr_sectors) =
            text.strip_prefix(crate::format::INDETERMINATE_MARK)?.strip_prefix(' ')?.split_once('+')?;
        Extent::new(sector.parse().ok()?, nr_sectors.parse().ok()?)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    offset_bytes: u64,
    sector: u64,
    pub(super) nr_sectors: u64,
    pub(super) flags: Flags,
}

const _: () = assert!(size_of::<Record>() == 32, "the documentation says so");

#[derive(Clone, Debug)]
struct MarkRecord {
    entry: u64,
    text: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::LogSlice;
    use std::vec;

    /// Two writes to sector 0, a mark, a discard of sectors 0 and 1, a flush, the same mark.
    fn index() -> Index {
        let sector_size = SectorSize::B512;
        let base = EntryHeader::default();
        let mark = EntryHeader { flags: Flags::MARK, data_len: 1, ..base };
        let headers = [
            (1, EntryHeader { nr_sectors: 1, ..base }),
            (3, EntryHeader { nr_sectors: 2, ..base }),
            (6, mark),
            (7, EntryHeader { nr_sectors: 2, flags: Flags::DISCARD, ..base }),
            (8, EntryHeader { flags: Flags::FLUSH, ..base }),
            (9, mark),
        ];
        let mut log = vec![0; 512 * 10];
        log[..32].copy_from_slice(&Superblock { nr_entries: 6, sector_size }.emit());
        for (sector, header) in headers {
            log[sector * 512..sector * 512 + 32].copy_from_slice(&header.emit());
            log[sector * 512 + 32] = if header == mark { b'm' } else { 0 };
        }
        let mut slice = LogSlice::open(&log).unwrap();
        let mut index = Index::new(slice.superblock());
        while let Some(entry) = slice.next() {
            let entry = entry.unwrap();
            index.push(&entry, slice.mark_text(&entry).unwrap_or_default());
        }
        index
    }

    #[test]
    fn entries_are_found_by_number_flag_name_and_byte() {
        let index = index();
        assert_eq!((index.nr_entries(), index.end_bytes()), (6, 5120));
        assert_eq!(index.entry(1).unwrap().payload(), 2048..3072);
        assert_eq!(index.entry(2).unwrap().header.data_len, 1);
        assert_eq!(index.entry(6), None);
        assert_eq!(index.entries(4..99).map(|entry| entry.index).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(index.flagged(Flags::FLUSH).collect::<Vec<_>>(), [4]);
        assert_eq!(index.marks_named(b"m").collect::<Vec<_>>(), [2, 5]);
        assert_eq!(index.marks_named(b"n").len(), 0);
        assert_eq!(index.last_mark(2), None);
        assert_eq!(index.last_mark(5).unwrap().entry, 2);
        let at = |offset_bytes| index.entry_at(offset_bytes);
        assert_eq!(
            [at(0), at(512), at(1535), at(1536), at(5119), at(5120)],
            [None, Some(0), Some(0), Some(1), Some(5), None]
        );
    }

    #[test]
    fn the_map_at_a_point_is_what_the_entries_before_left() {
        let index = index();
        let at = |point, sector| index.map_at(point, Discards::Zero).get(sector);
        assert_eq!(at(0, 0), None);
        assert_eq!(at(1, 0), Some(Source::Log { offset_bytes: 1024 }));
        assert_eq!(at(1, 1), None);
        assert_eq!(at(2, 1), Some(Source::Log { offset_bytes: 2560 }));
        assert_eq!(at(6, 1), Some(Source::Zeros { entry_offset_bytes: 3584 }));
        assert_eq!(index.map_at(6, Discards::Ignore).get(0), Some(Source::Log { offset_bytes: 2048 }));
    }

    #[test]
    fn a_truncated_index_is_that_of_a_shorter_log() {
        for point in 0..=7 {
            let (whole, mut cut) = (index(), index());
            cut.truncate(point);
            let mut expected = Index::new(whole.superblock());
            for entry in whole.entries(0..point) {
                expected.push(&entry, if entry.mark_text().is_some() { b"m" } else { b"" });
            }
            assert_eq!((cut.nr_entries(), cut.end_bytes()), (expected.nr_entries(), expected.end_bytes()));
            assert_eq!(cut.entries(0..9).collect::<Vec<_>>(), expected.entries(0..9).collect::<Vec<_>>());
            assert_eq!(cut.marks().collect::<Vec<_>>(), expected.marks().collect::<Vec<_>>());
            assert_eq!(
                cut.marks_named(b"m").collect::<Vec<_>>(),
                expected.marks_named(b"m").collect::<Vec<_>>()
            );
            // Only a flush as the last entry leaves nothing to flush, or nothing at all.
            assert_eq!(cut.resume_point().unflushed, !matches!(point, 0 | 5), "point {point}");
            assert_eq!(cut.resume_point().position, cut.end);
        }
    }

    #[test]
    fn the_loggers_own_marks_are_understood() {
        let extent = |text| Mark { entry: 0, text }.indeterminate();
        assert_eq!(extent(b"logwrites-indeterminate 8+16"), Extent::new(8, 16));
        for text in [&b"logwrites-indeterminate"[..], b"logwrites-indeterminate 8", b"8+16", b"\xff"] {
            assert_eq!(extent(text), None);
        }
    }
}
