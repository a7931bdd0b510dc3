//! The objects that `--json` prints of entries and marks, one a line; what a command did or found is an object of its own,
//! beside the command. Every front end uses these names.
//!
//! Numbers of bytes end in `_bytes`, numbers of log sectors in `_sectors`; `sector` and `entry` are positions, counted
//! from 0.

use std::borrow::Cow;

use logwrites_core::format::Flags;
use logwrites_core::history::Mark;
use logwrites_core::reader::Entry;
use serde::Serialize;

use super::hex;

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

fn hex_unless_utf8(text: &[u8]) -> Option<String> {
    std::str::from_utf8(text).is_err().then(|| hex::digits(text))
}
