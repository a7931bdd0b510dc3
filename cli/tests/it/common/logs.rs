//! Logs, taken apart and put together byte by byte.

use std::ops::Range;

pub(crate) const FLUSH: u64 = 1;
pub(crate) const FUA: u64 = 2;
pub(crate) const DISCARD: u64 = 4;
pub(crate) const MARK: u64 = 8;

/// A header, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sector: u64,
    pub(crate) nr_sectors: u64,
    pub(crate) flags: u64,
    pub(crate) data_len: u64,
    /// The whole entry in the log, payload included.
    pub(crate) bytes: Range<usize>,
}

/// The sector size and the number of entries that a superblock names.
pub(crate) fn superblock(log: &[u8]) -> (usize, u64) {
    assert_eq!(log[..16], *b"\x72\x68\x73\x77\x66\x73\x6a\0\x01\0\0\0\0\0\0\0", "magic and version");
    (narrow(number(log, 24) & 0xffff_ffff), number(log, 16))
}

/// The entries of a log that is known to be good.
pub(crate) fn entries(log: &[u8]) -> Vec<Entry> {
    let (sector_size, nr_entries) = superblock(log);
    let mut at = sector_size;
    let mut entries = Vec::new();
    for _ in 0..nr_entries {
        let [sector, nr_sectors, flags, data_len] = [0, 8, 16, 24].map(|field| number(log, at + field));
        let nr_payload = if flags & DISCARD == 0 { narrow(nr_sectors) } else { 0 };
        let end = at + (1 + nr_payload) * sector_size;
        entries.push(Entry { sector, nr_sectors, flags, data_len, bytes: at..end });
        at = end;
    }
    entries
}

/// A disk after the first entries of a log, discards as zeros, and for each of its sectors the last entry that wrote it.
pub(crate) fn replayed(log: &[u8], base: &[u8], nr_entries: usize) -> (Vec<u8>, Vec<Option<usize>>) {
    let (sector_size, _) = superblock(log);
    let mut disk = base.to_vec();
    let mut writers = vec![None; base.len() / sector_size];
    for (number, entry) in entries(log).iter().enumerate().take(nr_entries) {
        let sectors = narrow(entry.sector)..narrow(entry.sector + entry.nr_sectors);
        let bytes = &mut disk[sectors.start * sector_size..sectors.end * sector_size];
        if entry.flags & DISCARD == 0 {
            bytes.copy_from_slice(&log[entry.bytes.start + sector_size..entry.bytes.end]);
        } else {
            bytes.fill(0);
        }
        writers[sectors].fill(Some(number));
    }
    (disk, writers)
}

/// A log under construction.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    sector_size: usize,
    nr_entries: u64,
    entries: Vec<u8>,
}

impl Builder {
    pub(crate) fn new(sector_size: usize) -> Self {
        Self { sector_size, nr_entries: 0, entries: Vec::new() }
    }

    /// Any header, with any bytes after it; filled up to whole sectors.
    pub(crate) fn raw(mut self, fields: [u64; 4], behind: &[u8]) -> Self {
        for field in fields {
            self.entries.extend(bytes_of(field));
        }
        self.entries.extend(behind);
        self.entries.resize(self.entries.len().next_multiple_of(self.sector_size), 0);
        self.nr_entries += 1;
        self
    }

    pub(crate) fn write(self, sector: u64, payload: &[u8]) -> Self {
        let nr_sectors = wide(payload.len() / self.sector_size);
        let mut behind = vec![0; self.sector_size - 32];
        behind.extend(payload);
        self.raw([sector, nr_sectors, 0, 0], &behind)
    }

    /// Sectors of zeros that belong to no entry.
    pub(crate) fn zeros(mut self, nr_sectors: usize) -> Self {
        self.entries.resize(self.entries.len() + nr_sectors * self.sector_size, 0);
        self
    }

    pub(crate) fn discard(self, sector: u64, nr_sectors: u64) -> Self {
        self.raw([sector, nr_sectors, DISCARD, 0], b"")
    }

    pub(crate) fn flush(self) -> Self {
        self.raw([0, 0, FLUSH, 0], b"")
    }

    pub(crate) fn mark(self, text: &[u8]) -> Self {
        self.raw([0, 0, MARK, wide(text.len())], text)
    }

    /// Entries of another log, with other flags.
    pub(crate) fn copy(mut self, log: &[u8], entry: &Entry, flags: u64) -> Self {
        let at = self.entries.len();
        self.entries.extend(&log[entry.bytes.clone()]);
        self.entries[at + 16..at + 24].copy_from_slice(&bytes_of(flags));
        self.nr_entries += 1;
        self
    }

    /// The log, whose superblock tells the truth.
    pub(crate) fn done(self) -> Vec<u8> {
        let nr_entries = self.nr_entries;
        self.claiming(nr_entries)
    }

    /// The log, whose superblock claims so many entries.
    pub(crate) fn claiming(self, nr_entries: u64) -> Vec<u8> {
        let mut log = Vec::new();
        for field in [0x006a_7366_7773_6872, 1, nr_entries, wide(self.sector_size)] {
            log.extend(bytes_of(field));
        }
        log.resize(self.sector_size, 0);
        log.extend(self.entries);
        log
    }
}

#[expect(clippy::little_endian_bytes, reason = "the naive side of the comparison")]
fn number(log: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*log[at..].first_chunk().expect("the log is long enough"))
}

#[expect(clippy::little_endian_bytes, reason = "the naive side of the comparison")]
fn bytes_of(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

pub(crate) fn narrow(number: u64) -> usize {
    usize::try_from(number).expect("64 bits")
}

pub(crate) fn wide(number: usize) -> u64 {
    u64::try_from(number).expect("64 bits")
}
