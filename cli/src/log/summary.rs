//! A log in a few numbers.

use logwrites_core::format::Flags;
use logwrites_core::history::Epochs;
use logwrites_core::reader::{Entry, Tail};
use serde::Serialize;

/// A log in numbers, counted entry by entry. As JSON, it is what `info --json` prints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogSummary {
    /// The log's path.
    pub log: String,
    /// The version of the format.
    pub version: u64,
    /// The unit of the log.
    pub sector_size_bytes: u64,
    /// How many entries the superblock counts.
    pub nr_entries: u64,
    /// How many of them could be read: all, unless `error` is set.
    pub readable_entries: u64,
    /// Where the last of these ends.
    pub used_bytes: u64,
    /// The size of the log's file or device.
    pub log_bytes: u64,
    /// Payloads, together.
    pub payload_bytes: u64,
    /// Extents that were discarded, together.
    pub discarded_bytes: u64,
    /// The largest extent of an entry.
    pub largest_extent_bytes: u64,
    /// The first entry with that extent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_extent_entry: Option<u64>,
    /// What that entry is.
    #[serde(skip)]
    pub largest_extent_flags: Flags,
    /// Entries without any flag but `metadata`.
    pub writes: u64,
    /// Entries with `flush`.
    pub flushes: u64,
    /// Entries with `fua`.
    pub fuas: u64,
    /// Entries with `discard`.
    pub discards: u64,
    /// Entries with `mark`.
    pub marks: u64,
    /// Entries with `metadata`.
    pub metadata: u64,
    /// Epochs: what lies between two flushes, and what has changed the disk after the last one.
    #[serde(serialize_with = "count_of")]
    pub epochs: Epochs,
    /// The first byte of the disk that an entry touches.
    pub touched_start_bytes: u64,
    /// The first byte after everything that entries touch: the disk is at least this large.
    pub touched_end_bytes: u64,
    /// Whole entries that seem to follow those that the superblock counts.
    pub tail_entries: u64,
    /// Where the last of these ends.
    pub tail_end_bytes: u64,
    /// Why the rest could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl LogSummary {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        let flags = entry.flags();
        let len_bytes = entry.header.nr_sectors.saturating_mul(self.sector_size_bytes);
        let start_bytes = entry.header.sector.saturating_mul(self.sector_size_bytes);
        let payload = entry.payload();
        self.readable_entries += 1;
        self.used_bytes = payload.end;
        self.payload_bytes += payload.end - payload.start;
        self.writes += u64::from(flags.is_plain_write());
        self.flushes += u64::from(flags.contains(Flags::FLUSH));
        self.fuas += u64::from(flags.contains(Flags::FUA));
        self.discards += u64::from(flags.contains(Flags::DISCARD));
        self.marks += u64::from(flags.contains(Flags::MARK));
        self.metadata += u64::from(flags.contains(Flags::METADATA));
        if flags.contains(Flags::DISCARD) {
            self.discarded_bytes = self.discarded_bytes.saturating_add(len_bytes);
        }
        if len_bytes > 0 {
            let is_first = self.touched_end_bytes == 0;
            self.touched_start_bytes =
                if is_first { start_bytes } else { self.touched_start_bytes.min(start_bytes) };
            self.touched_end_bytes = self.touched_end_bytes.max(start_bytes.saturating_add(len_bytes));
            if len_bytes > self.largest_extent_bytes {
                self.largest_extent_bytes = len_bytes;
                self.largest_extent_entry = Some(entry.index);
                self.largest_extent_flags = flags;
            }
        }
        self.epochs.add(&entry.header);
    }

    /// Notes the entries after those that are counted.
    pub fn set_tail(&mut self, tail: Tail) {
        self.tail_entries = tail.nr_entries();
        self.tail_end_bytes = tail.end.offset_bytes;
    }
}

fn count_of<S: serde::Serializer>(epochs: &Epochs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(epochs.count())
}
