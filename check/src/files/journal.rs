//! The journal of a folder: changes of names, and of lengths where they are ordered, one after the other.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use logwrites_core::WriteFlags;
use logwrites_core::num::narrow;

use crate::disk::Disk;
use crate::files::layout::{AREA_BYTES, HEAD_SECTOR};
use crate::files::record::{
    Head, Record, SECTOR, SECTOR_BYTES, nr_sectors_of, sector_of, text_of, too_scattered,
};
use crate::files::setup::{Profile, Setup};
use crate::media::Note;

/// The names of a folder.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, u64>);

impl Names {
    pub(crate) fn find(&self, name: &str) -> io::Result<u64> {
        let file = self.0.get(name).copied();
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no file is called {name}")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn name_of(&self, file: u64) -> Option<&str> {
        self.0.iter().find(|(_, of)| **of == file).map(|(name, _)| name.as_str())
    }

    /// Takes in a record, whichever others were lost before it.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Link { file, name } => {
                self.0.insert(name, file);
            }
            Record::Unlink { file, name } => self.unlink(file, &name),
            Record::Move { file, from, to } => {
                self.unlink(file, &from);
                self.0.insert(to, file);
            }
            Record::Length { .. } => {}
        }
    }

    /// The records that make these names.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.0.iter().map(|(name, file)| Record::Link { file: *file, name: name.clone() })
    }

    fn unlink(&mut self, file: u64, name: &str) {
        if self.0.get(name) == Some(&file) {
            self.0.remove(name);
        }
    }
}

/// Records one after the other, each a sector, after a snapshot of what was true when the journal began.
#[derive(Debug)]
pub(crate) struct Journal {
    head: Head,
    nr_records: u64,
    /// The last records, which nothing has made durable.
    pending: Vec<Record>,
    /// Whether records may be added: not after a crash, since lost ones may lie between those that are there.
    is_writable: bool,
    /// How many records a mount expects at most.
    max_records: u64,
    /// Whether that may become more, since no mount has relied on it.
    is_first: bool,
}

impl Journal {
    /// Reads the journal of a disk, and gives each record that counts, in order: all that are there, or, where they
    /// are ordered, those before the first that is not there.
    pub(crate) fn mount(disk: &Disk, setup: &Setup, mut take: impl FnMut(Record)) -> io::Result<Self> {
        let mut sector = [0; SECTOR_BYTES];
        disk.read_at(&mut sector, HEAD_SECTOR * SECTOR)?;
        let head = Head::parse(text_of(&sector)).unwrap_or(FIRST);
        let mut snapshot = vec![0; narrow(head.nr_snapshot_sectors * SECTOR)];
        disk.read_at(&mut snapshot, head.area * AREA_BYTES)?;
        text_of(&snapshot).lines().filter_map(Record::parse).for_each(&mut take);
        match setup.profile {
            // One after the other, since what is after a lost one does not count.
            Profile::Ordered => {
                for nth in 0..setup.max_records {
                    disk.read_at(&mut sector, place_of(head, nth))?;
                    let Some(record) = Record::parse(text_of(&sector)) else { break };
                    take(record);
                }
            }
            Profile::Strict => {
                let mut sectors = vec![0; narrow(setup.max_records * SECTOR)];
                disk.read_at(&mut sectors, place_of(head, 0))?;
                let records =
                    sectors.chunks(SECTOR_BYTES).filter_map(|sector| Record::parse(text_of(sector)));
                records.for_each(take);
            }
        }
        let Setup { is_new, max_records, .. } = *setup;
        Ok(Self {
            head,
            nr_records: 0,
            pending: Vec::new(),
            is_writable: is_new,
            max_records,
            is_first: is_new,
        })
    }

    pub(crate) const fn max_records(&self) -> u64 {
        self.max_records
    }

    pub(crate) const fn is_writable(&self) -> bool {
        self.is_writable
    }

    pub(crate) fn is_pending(&self, mut is_meant: impl FnMut(&Record) -> bool) -> bool {
        self.pending.iter().any(&mut is_meant)
    }

    /// Whether all of it is durable, and it is so long that reading it takes a while.
    pub(crate) const fn is_long(&self) -> bool {
        self.pending.is_empty() && self.nr_records >= MAX_RECORDS
    }

    /// Begins a new journal in an area that was never used. What is true is in it once its head is, in one step.
    pub(crate) fn begin(&mut self, disk: &Disk, area: u64, truth: &[Record], note: &Note) -> io::Result<()> {
        let lines: Vec<String> = truth.iter().map(ToString::to_string).collect();
        let snapshot = lines.join("\n");
        let head = Head { area, nr_snapshot_sectors: nr_sectors_of(&snapshot) };
        let mut bytes = snapshot.into_bytes();
        bytes.resize(narrow(head.nr_snapshot_sectors * SECTOR), 0);
        let note = Note { meaning: Some("the folder's journal".into()), ..note.clone() };
        disk.write_noted(&bytes, area * AREA_BYTES, WriteFlags::FUA, note.clone())?;
        let sector = sector_of(&head.to_string()).expect("two numbers fit into a sector");
        disk.write_noted(&sector, HEAD_SECTOR * SECTOR, WriteFlags::FUA, note)?;
        (self.head, self.nr_records, self.is_writable) = (head, 0, true);
        self.pending.clear();
        Ok(())
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, disk: &Disk, record: &Record, note: Note) -> io::Result<()> {
        if self.nr_records >= self.max_records && !self.is_first {
            let message = "a recovery that changes so many names and lengths without a sync";
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        let sector = sector_of(&record.to_string()).ok_or_else(too_scattered)?;
        let meaning = note.meaning.clone().unwrap_or_else(|| meaning_of(record).into());
        let note = Note { meaning: Some(meaning), ..note };
        disk.write_noted(&sector, place_of(self.head, self.nr_records), WriteFlags::empty(), note)?;
        self.nr_records += 1;
        self.max_records = self.max_records.max(self.nr_records);
        self.pending.push(record.clone());
        Ok(())
    }

    /// Writes the pending records again, durably and in one.
    pub(crate) fn commit(&mut self, disk: &Disk, note: &Note) -> io::Result<()> {
        let range = self.pending_range();
        let sectors = self.pending.iter().filter_map(|record| sector_of(&record.to_string()));
        let bytes: Vec<u8> = sectors.flatten().collect();
        if !range.is_empty() {
            disk.write_noted(&bytes, place_of(self.head, range.start), WriteFlags::FUA, note.clone())?;
        }
        self.pending.clear();
        Ok(())
    }

    /// A flush has made everything durable.
    pub(crate) fn is_flushed(&mut self) {
        self.pending.clear();
    }

    fn pending_range(&self) -> Range<u64> {
        self.nr_records - logwrites_core::num::widen(self.pending.len())..self.nr_records
    }
}

fn meaning_of(record: &Record) -> String {
    match record {
        Record::Link { name, .. } => format!("the name {name}"),
        Record::Unlink { name, .. } => format!("the removal of {name}"),
        Record::Move { from, to, .. } => format!("the renaming of {from} to {to}"),
        Record::Length { file, length } => format!("the length of file {file}, {} bytes", length.len_bytes),
    }
}

/// Where on the disk a record is.
const fn place_of(head: Head, nth: u64) -> u64 {
    head.area * AREA_BYTES + (head.nr_snapshot_sectors + nth) * SECTOR
}

/// The journal of a disk that has no head.
const FIRST: Head = Head { area: 1, nr_snapshot_sectors: 0 };

/// A longer one is begun anew.
const MAX_RECORDS: u64 = 32;
