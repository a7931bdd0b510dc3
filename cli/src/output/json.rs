//! The objects that `--json` prints, one a line. Every front end uses these names.
//!
//! Numbers of bytes end in `_bytes`, numbers of log sectors in `_sectors`; `sector` and `entry` are positions, counted
//! from 0.

use std::borrow::Cow;

use logwrites_core::format::Flags;
use logwrites_core::history::{Epochs, Mark};
use logwrites_core::reader::{Entry, Tail};
use serde::Serialize;

/// An entry, as `ls` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct EntryJson<'a> {
    /// Its number.
    pub entry: u64,
    /// Where in the log its header is.
    pub offset_bytes: u64,
    /// Where on the disk it belongs, in log sectors.
    pub sector: u64,
    /// How much of the disk it covers, in log sectors.
    pub nr_sectors: u64,
    /// The same in bytes.
    pub len_bytes: u64,
    /// How much of it is in the log.
    pub payload_bytes: u64,
    /// `flush`, `fua`, `discard`, `mark`, `metadata`; none for a plain write.
    pub flags: FlagList,
    /// The flags as the number in the log.
    pub flags_bits: u64,
    /// The text of a mark. Bytes that are not UTF-8 are replaced; `mark_hex` has all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Cow<'a, str>>,
    /// The bytes of a mark that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_hex: Option<String>,
}

impl<'a> EntryJson<'a> {
    /// An entry and, for a mark, its text.
    #[must_use]
    pub fn new(entry: &Entry, sector_bytes: u64, mark: Option<&'a [u8]>) -> Self {
        let payload = entry.payload();
        Self {
            entry: entry.index,
            offset_bytes: entry.offset_bytes,
            sector: entry.header.sector,
            nr_sectors: entry.header.nr_sectors,
            len_bytes: entry.header.nr_sectors.saturating_mul(sector_bytes),
            payload_bytes: payload.end - payload.start,
            flags: FlagList(entry.flags()),
            flags_bits: entry.flags().bits(),
            mark: mark.map(String::from_utf8_lossy),
            mark_hex: mark.and_then(hex_unless_utf8),
        }
    }
}

/// The words for flags, as a list; unknown ones have none.
#[derive(Clone, Copy, Debug)]
pub struct FlagList(pub Flags);

impl Serialize for FlagList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.named().map(|named| named.name))
    }
}

/// A mark, as `marks` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct MarkJson {
    /// The number of its entry.
    pub entry: u64,
    /// The point that names it: `mark:NAME`, or `mark:NAME#J` where the name is not unique.
    pub point: String,
    /// Its text. Bytes that are not UTF-8 are replaced; `mark_hex` has all of them.
    pub mark: String,
    /// The bytes of a mark that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_hex: Option<String>,
}

impl MarkJson {
    /// A mark and the point that names it.
    #[must_use]
    pub fn new(mark: &Mark<'_>, point: String) -> Self {
        Self {
            entry: mark.entry,
            point,
            mark: String::from_utf8_lossy(mark.text).into_owned(),
            mark_hex: hex_unless_utf8(mark.text),
        }
    }
}

/// An entry and the point after it, as `find` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct FoundJson<'a> {
    /// The point at which the entry has just been applied.
    pub point: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: EntryJson<'a>,
}

impl<'a> FoundJson<'a> {
    /// An entry and, for a mark, its text.
    #[must_use]
    pub fn new(entry: &Entry, sector_bytes: u64, mark: Option<&'a [u8]>) -> Self {
        Self { point: entry.index + 1, entry: EntryJson::new(entry, sector_bytes, mark) }
    }
}

/// An extent that differs between two points, as `diff` prints it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DifferenceJson {
    /// Where it starts, in log sectors.
    pub sector: u64,
    /// How long it is, in log sectors.
    pub nr_sectors: u64,
    /// Where it starts, in bytes.
    pub offset_bytes: u64,
    /// How long it is, in bytes.
    pub len_bytes: u64,
    /// The entry that made what was there at point A; missing where that is the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_a: Option<u64>,
    /// The entry that wrote the contents at point B; missing if they are the base's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_b: Option<u64>,
}

/// A log, as `info` prints it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InfoJson {
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

impl InfoJson {
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

/// What `replay` did.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayJson {
    /// How many entries the disk now has.
    pub point: u64,
    /// How many entries the superblock of the log counts.
    pub nr_entries: u64,
    /// The last mark at or before the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_mark: Option<String>,
    /// How many entries are between that mark and the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries_after_mark: Option<u64>,
    /// What was written from the log.
    pub log_bytes: u64,
    /// What was zeroed or discarded.
    pub zero_bytes: u64,
    /// What was copied from the base.
    pub base_bytes: u64,
}

/// What `recover` found.
#[derive(Clone, Debug, Serialize)]
pub struct RecoverJson {
    /// Whether the log has a superblock.
    pub has_superblock: bool,
    /// The unit of the log, detected if there is no superblock.
    pub sector_size_bytes: u64,
    /// How many entries the superblock counts.
    pub nr_entries: u64,
    /// How many of them can be read.
    pub certain_entries: u64,
    /// How many whole entries seem to follow them.
    pub salvage_entries: u64,
    /// Where the last of those ends.
    pub end_bytes: u64,
    /// Why an entry that is counted cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where the old superblock was saved, if a new one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_superblock: Option<String>,
}

/// What `cut` made.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CutJson {
    /// How many entries the new log has.
    pub nr_entries: u64,
    /// How large it is.
    pub log_bytes: u64,
    /// How many entries between the two points it has not.
    pub left_out_entries: u64,
    /// How many of those changed the disk.
    pub left_out_changes: u64,
}

/// What `squash` made.
#[derive(Clone, Debug, Serialize)]
pub struct SquashJson {
    /// The point at which the new base is.
    pub point: u64,
    /// The new base.
    pub base: ReplayJson,
    /// The new log.
    pub log: CutJson,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyJson {
    /// Whether everything is as it should be.
    pub ok: bool,
    /// How many entries could be read.
    pub readable_entries: u64,
    /// How many entries the superblock counts.
    pub nr_entries: u64,
    /// Whole entries that seem to follow those.
    pub tail_entries: u64,
    /// What is wrong with the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// An entry that seems to have another one inside its payload: a known fault of old recorders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlapped_entry: Option<u64>,
    /// How much of the image was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_bytes: Option<u64>,
    /// How much of the image was left out, because a write to it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indeterminate_bytes: Option<u64>,
    /// How many log sectors of the image differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub different_sectors: Option<u64>,
    /// The first byte of the image that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_difference_bytes: Option<u64>,
    /// The entry that wrote that byte; missing where it comes from the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_difference_entry: Option<u64>,
}

/// What `record` did.
#[derive(Clone, Debug, Serialize)]
pub struct RecordJson {
    /// The log's path.
    pub log: String,
    /// How many entries it holds.
    pub nr_entries: u64,
    /// How much of the log's file or device it takes.
    pub log_bytes: u64,
    /// How many commands of the script were carried out.
    pub commands: u64,
}

fn count_of<S: serde::Serializer>(epochs: &Epochs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(epochs.count())
}

fn hex_unless_utf8(text: &[u8]) -> Option<String> {
    use std::fmt::Write as _;
    std::str::from_utf8(text).is_err().then(|| {
        text.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    })
}
