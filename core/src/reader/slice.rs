//! A log in a slice of bytes.

use crate::format::{HEADER_LEN, Superblock, SuperblockError};
use crate::num::clip;
use crate::reader::{Entry, HEADER_BYTES, Malformed, Walk};

/// A log in memory. As an iterator it gives the entries that the superblock counts, and ends after the first
/// error.
///
/// ```
/// use logwrites_core::format::{EntryHeader, Superblock};
/// use logwrites_core::reader::LogSlice;
/// use logwrites_core::SectorSize;
///
/// let mut log = vec![0; 3 * 512];
/// log[..32].copy_from_slice(&Superblock { nr_entries: 1, sector_size: SectorSize::B512 }.emit());
/// let header = EntryHeader { sector: 7, nr_sectors: 1, ..EntryHeader::default() };
/// log[512..544].copy_from_slice(&header.emit());
/// log[1024..].fill(0xaa);
///
/// let mut entries = LogSlice::open(&log)?;
/// let entry = entries.next().unwrap()?;
/// assert_eq!(entry.extent().sector(), 7);
/// assert_eq!(entries.payload(&entry), [0xaa; 512]);
/// assert!(entries.next().is_none());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogSlice<'a> {
    log: &'a [u8],
    walk: Walk,
    failed: bool,
}

impl<'a> LogSlice<'a> {
    /// Reads the superblock.
    ///
    /// # Errors
    /// [`SuperblockError`]; a slice too short for a superblock has no magic.
    pub fn open(log: &'a [u8]) -> Result<Self, SuperblockError> {
        let bytes: &[u8; HEADER_LEN] = log.first_chunk().ok_or(SuperblockError::Magic { found: 0 })?;
        let len_bytes = u64::try_from(log.len()).ok();
        Ok(Self { log, walk: Walk::new(Superblock::parse(bytes)?, len_bytes), failed: false })
    }

    /// The log's superblock.
    #[must_use]
    pub const fn superblock(&self) -> Superblock {
        self.walk.superblock()
    }

    /// The payload of an entry of this log.
    #[must_use]
    pub fn payload(&self, entry: &Entry) -> &'a [u8] {
        self.bytes(entry.payload())
    }

    /// The text of a mark of this log, without its NUL; `None` for any other entry.
    #[must_use]
    pub fn mark_text(&self, entry: &Entry) -> Option<&'a [u8]> {
        entry.mark_text().map(|range| self.bytes(range))
    }

    /// What the log has of a range of bytes: less where it ends before.
    fn bytes(&self, range: core::ops::Range<u64>) -> &'a [u8] {
        let end = clip(range.end, self.log.len());
        &self.log[clip(range.start, end)..end]
    }

    fn step(&mut self) -> Result<Entry, Malformed> {
        let start = self.walk.position().offset_bytes;
        let header = self.bytes(start..start.saturating_add(HEADER_BYTES));
        let entry = self.walk.step(header.first_chunk().ok_or(self.walk.truncated())?)?;
        Walk::check_text(&entry, 0, self.bytes(entry.text_check()))?;
        Ok(entry)
    }
}

impl Iterator for LogSlice<'_> {
    type Item = Result<Entry, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.walk.is_done() {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }
}
