//! The files of one folder, and how what is done to them is logged as writes to a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use logwrites_core::WriteFlags;
use logwrites_core::num::{clip, narrow, widen};

use crate::disk::Disk;
use crate::files::journal::{Journal, Names};
use crate::files::layout::{AREA_BYTES, LENGTHS_SECTOR};
use crate::files::record::{Length, Record, SECTOR, Segment, sector_of, text_of, too_scattered};
use crate::files::setup::{Profile, Setup};
use crate::media::Note;

/// What is known of the folder in memory, as a kernel has it: names and lengths as they are for those that use the files,
/// whatever of it is durable.
#[derive(Debug)]
pub(crate) struct Folder {
    profile: Profile,
    /// Whether what is done is recorded, to be crashed.
    is_recorded: bool,
    names: Names,
    files: BTreeMap<u64, State>,
    journal: Journal,
    /// The number of the next file or area.
    next_number: u64,
}

/// What is known of one file.
#[derive(Debug)]
struct State {
    length: Length,
    /// Whether there may be bytes after the end, which must read as zeros if the file grows.
    has_stale_end: bool,
    /// The pages that nothing has made durable.
    pending_pages: BTreeSet<u64>,
    /// Whether the length is in a sector of its own that nothing has made durable.
    is_length_pending: bool,
}

impl State {
    fn new(length: Length, has_stale_end: bool) -> Self {
        Self { length, has_stale_end, pending_pages: BTreeSet::new(), is_length_pending: false }
    }

    fn is_pending(&self) -> bool {
        self.is_length_pending || !self.pending_pages.is_empty()
    }
}

/// Names.
impl Folder {
    /// The folder as it is on a disk.
    pub(crate) fn mount(disk: &Disk, setup: &Setup) -> io::Result<Self> {
        let mut names = Names::default();
        let mut files = BTreeMap::new();
        let journal = Journal::mount(disk, setup, |record| match record {
            Record::Length { file, length } => {
                files.insert(file, State::new(length, true));
            }
            record => names.apply(record),
        })?;
        let Setup { profile, is_recorded, next_number, .. } = *setup;
        Ok(Self { profile, is_recorded, names, files, journal, next_number })
    }

    /// What another mount of this disk has to know.
    pub(crate) fn setup(&self) -> Setup {
        let Self { profile, is_recorded, next_number, .. } = *self;
        Setup { profile, is_recorded, next_number, is_new: false, max_records: self.journal.max_records() }
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn create(&mut self, disk: &Disk, name: &str, note: Note) -> io::Result<u64> {
        check_name(name)?;
        let file = self.number();
        self.change(disk, Record::Link { file, name: name.into() }, note)?;
        self.files.insert(file, State::new(Length::new(file), false));
        Ok(file)
    }

    pub(crate) fn rename(&mut self, disk: &Disk, from: &str, to: &str, note: Note) -> io::Result<()> {
        check_name(to)?;
        let file = self.names.find(from)?;
        if from == to {
            return Ok(());
        }
        self.change(disk, Record::Move { file, from: from.into(), to: to.into() }, note)
    }

    pub(crate) fn remove(&mut self, disk: &Disk, name: &str, note: Note) -> io::Result<()> {
        let file = self.names.find(name)?;
        self.change(disk, Record::Unlink { file, name: name.into() }, note)
    }

    fn change(&mut self, disk: &Disk, record: Record, note: Note) -> io::Result<()> {
        self.begin_journal(disk, &note)?;
        self.journal.push(disk, &record, note)?;
        self.names.apply(record);
        Ok(())
    }

    /// Before the first change after a crash, what survived begins a new journal: as a file system does when it is
    /// mounted.
    fn begin_journal(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        if self.journal.is_writable() { Ok(()) } else { self.renew_journal(disk, note) }
    }

    fn renew_journal(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        let area = self.number();
        let names = self.names.records();
        let is_ordered = self.profile == Profile::Ordered;
        let is_there = |file| is_ordered && self.names.name_of(file).is_some();
        let lengths = self.files.iter().filter(|(file, _)| is_there(**file));
        let lengths =
            lengths.map(|(file, state)| Record::Length { file: *file, length: state.length.clone() });
        let records: Vec<Record> = names.chain(lengths).collect();
        self.journal.begin(disk, area, &records, note)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

/// Bytes.
impl Folder {
    pub(crate) fn len_bytes(&mut self, disk: &Disk, file: u64) -> io::Result<u64> {
        Ok(self.state(disk, file)?.length.len_bytes)
    }

    /// Reads what the file has of `buffer` at an offset, and says how much that is.
    pub(crate) fn read(
        &mut self,
        disk: &Disk,
        file: u64,
        buffer: &mut [u8],
        offset_bytes: u64,
    ) -> io::Result<usize> {
        let length = &self.state(disk, file)?.length;
        let len = clip(length.len_bytes.saturating_sub(offset_bytes), buffer.len());
        let mut at = offset_bytes;
        let mut rest = &mut buffer[..len];
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(clip(segment_end(length, at) - at, rest.len()));
            disk.read_at(part, place_of(length, at))?;
            at += widen(part.len());
            rest = after;
        }
        Ok(len)
    }

    pub(crate) fn write(
        &mut self,
        disk: &Disk,
        file: u64,
        bytes: &[u8],
        offset_bytes: u64,
        note: &Note,
    ) -> io::Result<()> {
        let end = offset_bytes + widen(bytes.len());
        let old_end = self.state(disk, file)?.length.len_bytes;
        check_len(end)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if end > old_end {
            self.clear_end(disk, file, note)?;
        }
        // With ordered data, what is appended is on the disk before the length says so.
        let split = if self.profile == Profile::Ordered {
            clip(old_end.saturating_sub(offset_bytes), bytes.len())
        } else {
            bytes.len()
        };
        let (over, appended) = bytes.split_at(split);
        self.write_pages(disk, file, over, offset_bytes, note)?;
        self.write_appended(disk, file, appended, offset_bytes + widen(split), note)?;
        if end > old_end {
            self.set_length(disk, file, end, note)?;
        }
        Ok(())
    }

    pub(crate) fn set_len(&mut self, disk: &Disk, file: u64, len_bytes: u64, note: &Note) -> io::Result<()> {
        let old = self.state(disk, file)?.length.len_bytes;
        check_len(len_bytes)?;
        if len_bytes == old {
            return Ok(());
        }
        if len_bytes > old {
            self.clear_end(disk, file, note)?;
        } else {
            let state = self.state(disk, file)?;
            state.has_stale_end = true;
            state.pending_pages.split_off(&len_bytes.div_ceil(PAGE));
        }
        self.set_length(disk, file, len_bytes, note)
    }

    /// Writes each page that `bytes` touch as a write of its own.
    fn write_pages(
        &mut self,
        disk: &Disk,
        file: u64,
        bytes: &[u8],
        offset_bytes: u64,
        note: &Note,
    ) -> io::Result<()> {
        // Nobody sees in what parts it is written where it is not recorded, and a part needs less to be read.
        let page_bytes = if self.is_recorded { PAGE } else { SECTOR };
        let state = self.state(disk, file)?;
        let (mut at, mut rest) = (offset_bytes, bytes);
        let mut page = vec![0; narrow(page_bytes)];
        while !rest.is_empty() {
            let start = at - at % page_bytes;
            let (part, after) = rest.split_at(clip(page_bytes - (at - start), rest.len()));
            let place = place_of(&state.length, start);
            if part.len() < page.len() {
                disk.read_at(&mut page, place)?;
            }
            let within = narrow(at - start);
            page[within..within + part.len()].copy_from_slice(part);
            disk.write_noted(&page, place, WriteFlags::empty(), note.clone())?;
            state.pending_pages.insert(at / PAGE);
            at += widen(part.len());
            rest = after;
        }
        Ok(())
    }

    /// Writes what is after the end of the file, where nobody sees it before the length has changed.
    fn write_appended(
        &mut self,
        disk: &Disk,
        file: u64,
        bytes: &[u8],
        offset_bytes: u64,
        note: &Note,
    ) -> io::Result<()> {
        let length = &self.state(disk, file)?.length;
        let (mut at, mut rest) = (offset_bytes, bytes);
        while !rest.is_empty() {
            let segment_end = segment_end(length, at);
            let (part, after) = rest.split_at(clip(segment_end - at, rest.len()));
            disk.write_noted(part, place_of(length, at), WriteFlags::FUA, note.clone())?;
            at += widen(part.len());
            rest = after;
        }
        Ok(())
    }

    /// Before a file grows: makes what is after its end zeros, by leaving what is there behind. The page that the
    /// end is in goes along; nobody sees that before the length has changed.
    fn clear_end(&mut self, disk: &Disk, file: u64, note: &Note) -> io::Result<()> {
        if !self.state(disk, file)?.has_stale_end {
            return Ok(());
        }
        let area = self.number();
        let state = self.state(disk, file)?;
        let end = state.length.len_bytes;
        let first_page = end / PAGE;
        let mut page = vec![0; narrow(end % PAGE)];
        if !page.is_empty() {
            disk.read_at(&mut page, place_of(&state.length, first_page * PAGE))?;
        }
        state.length.segments.retain(|segment| segment.first_page < first_page);
        state.length.segments.push(Segment { first_page, area });
        state.has_stale_end = false;
        if !page.is_empty() {
            disk.write_noted(
                &page,
                place_of(&state.length, first_page * PAGE),
                WriteFlags::FUA,
                note.clone(),
            )?;
        }
        Ok(())
    }

    fn set_length(&mut self, disk: &Disk, file: u64, len_bytes: u64, note: &Note) -> io::Result<()> {
        let profile = self.profile;
        if profile == Profile::Ordered {
            self.begin_journal(disk, note)?;
        }
        let name = self.names.name_of(file).unwrap_or("a file without a name").to_owned();
        let state = self.state(disk, file)?;
        let meaning = format!("the length of {name}, {} -> {len_bytes} bytes", state.length.len_bytes);
        let note = Note { meaning: Some(meaning.into()), ..note.clone() };
        state.length.len_bytes = len_bytes;
        let record = Record::Length { file, length: state.length.clone() };
        match profile {
            Profile::Strict => {
                state.is_length_pending = true;
                write_length(disk, &record, file, WriteFlags::empty(), note)
            }
            Profile::Ordered => self.journal.push(disk, &record, note),
        }
    }

    /// What is known of a file, read from the disk if it was not known yet.
    fn state(&mut self, disk: &Disk, file: u64) -> io::Result<&mut State> {
        if !self.files.contains_key(&file) {
            let length = match self.profile {
                Profile::Strict => read_length(disk, file)?,
                Profile::Ordered => None,
            };
            self.files.insert(file, State::new(length.unwrap_or_else(|| Length::new(file)), true));
        }
        Ok(self.files.get_mut(&file).expect("it was added"))
    }
}

/// Durability.
impl Folder {
    /// `fdatasync` or, with `is_all`, `fsync`.
    pub(crate) fn sync(&mut self, disk: &Disk, file: u64, is_all: bool, note: &Note) -> io::Result<()> {
        if !self.is_recorded {
            return Ok(());
        }
        let is_changed = self.state(disk, file)?.is_pending();
        let is_journal = match self.profile {
            Profile::Strict => false,
            Profile::Ordered => {
                self.journal.is_pending(|record| needs(record, file, is_all)) || (is_all && is_changed)
            }
        };
        let is_others = self.files.iter().any(|(other, state)| *other != file && state.is_pending());
        if !is_others && (is_journal || !self.journal.is_pending(|_| true)) {
            return self.flush(disk, note);
        }
        self.sync_pages(disk, file, note)?;
        if is_journal {
            self.commit(disk, note)?;
        }
        Ok(())
    }

    /// `fsync` of the folder.
    pub(crate) fn sync_names(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        if !self.is_recorded {
            return Ok(());
        }
        if self.files.values().any(State::is_pending) {
            self.commit(disk, note)
        } else {
            self.flush(disk, note)
        }
    }

    /// Everything that is pending is wanted: a flush does it.
    fn flush(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        disk.submit(logwrites_core::Op::Flush, note.clone())?;
        for state in self.files.values_mut() {
            state.pending_pages.clear();
            state.is_length_pending = false;
        }
        self.journal.is_flushed();
        self.shorten_journal(disk, note)
    }

    fn commit(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        self.journal.commit(disk, note)?;
        self.shorten_journal(disk, note)
    }

    fn shorten_journal(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        if self.journal.is_long() { self.renew_journal(disk, note) } else { Ok(()) }
    }

    /// Writes what is pending of one file again, durably: other files' writes stay as they are.
    fn sync_pages(&mut self, disk: &Disk, file: u64, note: &Note) -> io::Result<()> {
        let state = self.state(disk, file)?;
        let length = state.length.clone();
        for run in runs(&std::mem::take(&mut state.pending_pages), &length) {
            let mut bytes = vec![0; narrow((run.end - run.start) * PAGE)];
            let place = place_of(&length, run.start * PAGE);
            disk.read_at(&mut bytes, place)?;
            disk.write_noted(&bytes, place, WriteFlags::FUA, note.clone())?;
        }
        if std::mem::take(&mut state.is_length_pending) {
            write_length(disk, &Record::Length { file, length }, file, WriteFlags::FUA, note.clone())?;
        }
        Ok(())
    }
}

/// Whether a file may have this length.
fn check_len(len_bytes: u64) -> io::Result<()> {
    if len_bytes > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a file here has at most 1 TiB"));
    }
    Ok(())
}

/// Whether a sync of `file` needs a record to be durable.
fn needs(record: &Record, file: u64, is_all: bool) -> bool {
    match record {
        Record::Length { file: of, .. } | Record::Link { file: of, .. } => *of == file,
        Record::Move { file: of, .. } | Record::Unlink { file: of, .. } => is_all && *of == file,
    }
}

/// The pages as runs that follow each other on the disk.
fn runs(pages: &BTreeSet<u64>, length: &Length) -> Vec<std::ops::Range<u64>> {
    let mut runs: Vec<std::ops::Range<u64>> = Vec::new();
    for &page in pages {
        match runs.last_mut() {
            Some(run) if run.end == page && length.segment_of(page) == length.segment_of(run.start) => {
                run.end += 1;
            }
            _ => runs.push(page..page + 1),
        }
    }
    runs
}

/// Where on the disk a byte of a file is.
fn place_of(length: &Length, offset_bytes: u64) -> u64 {
    length.segment_of(offset_bytes / PAGE).area * AREA_BYTES + offset_bytes
}

/// Up to which byte of the file its bytes follow each other on the disk, from an offset on.
fn segment_end(length: &Length, offset_bytes: u64) -> u64 {
    let segment = length.segment_of(offset_bytes / PAGE);
    let next = length.segments.iter().find(|other| other.first_page > segment.first_page);
    next.map_or(u64::MAX, |next| next.first_page * PAGE)
}

fn read_length(disk: &Disk, file: u64) -> io::Result<Option<Length>> {
    let mut sector = [0; 512];
    disk.read_at(&mut sector, length_place(file))?;
    Ok(match Record::parse(text_of(&sector)) {
        Some(Record::Length { length, .. }) => Some(length),
        _ => None,
    })
}

fn write_length(disk: &Disk, record: &Record, file: u64, flags: WriteFlags, note: Note) -> io::Result<()> {
    let sector = sector_of(&record.to_string()).ok_or_else(too_scattered)?;
    disk.write_noted(&sector, length_place(file), flags, note)
}

/// Where the length of a file is, where lengths have a sector each.
const fn length_place(file: u64) -> u64 {
    (LENGTHS_SECTOR + file) * SECTOR
}

fn check_name(name: &str) -> io::Result<()> {
    let is_valid =
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(['\0', '\t', '\n', '/']);
    if is_valid { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidFilename, format!("{name:?}"))) }
}

/// What is lost or kept as a whole of a file's bytes: what a page cache writes back.
pub(crate) const PAGE: u64 = 4096;

const MAX_FILE_BYTES: u64 = AREA_BYTES;

/// Two of them and a verb fit into a sector.
const MAX_NAME_BYTES: usize = 200;
