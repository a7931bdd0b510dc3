//! What the logger asks of its front end.

use core::fmt::{self, Write as _};

use heapless::Vec;

use crate::format::{END_MARK, EntryHeader, HEADER_LEN, INDETERMINATE_MARK, Superblock};
use crate::geometry::{Extent, SectorSize};
use crate::num::widen;
use crate::op::{Op, OpError, Tag};

/// The next thing for the front end to do, from [`Logger::poll`](crate::Logger::poll).
///
/// Commands may be carried out at once, together and in any order: whatever must wait for something else is
/// not given out before that has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a command that is not carried out stalls the log"]
#[repr(u64)] // what is long begins at a word and is copied in one piece, not as bytes that straddle two stores
pub enum Command {
    /// Do the operation on the data device, then call [`complete`](crate::Logger::complete).
    Data {
        /// What to do; never a mark.
        op: Op,
        /// The operation's handle.
        tag: Tag,
    },
    /// Write to the log device, then call [`log_complete`](crate::Logger::log_complete). Adjacent writes should
    /// be joined into one.
    Log {
        /// Where and what.
        write: LogWrite,
        /// What to report completion of.
        id: LogId,
    },
    /// Make every completed log write durable, then call [`log_complete`](crate::Logger::log_complete).
    FlushLog {
        /// What to report completion of.
        id: LogId,
    },
    /// Acknowledge the operation to its submitter. Comes once for each tag.
    Done {
        /// The operation's handle.
        tag: Tag,
        /// How it went.
        result: Result<(), OpError>,
    },
    /// The payload is no longer needed and the tag is free. Comes once for each tag, after `Done`.
    Release(Tag),
    /// After [`finish`](crate::Logger::finish): nothing more will come.
    Finished,
}

/// The handle of a log write or log flush in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub(crate) LogTarget);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LogTarget {
    Entry(Tag),
    EndMark,
    Superblock,
    Flush,
}

/// One write to the log device: whole sectors of it, at a sector boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogWrite {
    pub(crate) offset_bytes: u64,
    pub(crate) record: Record,
    pub(crate) sector_size: SectorSize,
}

impl LogWrite {
    /// Where it goes, in bytes from the start of the log.
    #[must_use]
    pub const fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        let payload_sectors = match self.record {
            Record::Op { op, .. } => op.payload_sectors(),
            Record::OwnMark(_) | Record::Superblock { .. } => 0,
        };
        self.sector_size.bytes_of(1 + payload_sectors)
    }

    /// The first byte after it, in bytes from the start of the log.
    #[must_use]
    pub fn end_bytes(&self) -> u64 {
        self.offset_bytes + self.len_bytes()
    }

    /// Whether `next` starts where this one ends, so that both can be written as one.
    #[must_use]
    pub fn is_followed_by(&self, next: &Self) -> bool {
        self.end_bytes() == next.offset_bytes()
    }

    /// The header of the entry that it writes; `None` if it is a superblock.
    #[must_use]
    pub fn entry_header(&self) -> Option<EntryHeader> {
        match self.record {
            Record::Op { op, .. } => Some(op.header()),
            Record::OwnMark(mark) => Some(mark.header(self.sector_size)),
            Record::Superblock { .. } => None,
        }
    }

    /// Whose payload is among its bytes, if any: the payload is to be kept until the write has completed.
    #[must_use]
    pub const fn payload_tag(&self) -> Option<Tag> {
        match self.record {
            Record::Op { tag, op: Op::Write { .. } | Op::Mark { .. } } => Some(tag),
            Record::Op { .. } | Record::OwnMark(_) | Record::Superblock { .. } => None,
        }
    }

    /// Its bytes, in order: the header, then what fills its sector, then the payload.
    #[must_use]
    pub fn segments(&self) -> Segments {
        let mut segments = Segments::new();
        let mut push = |segment: Segment| {
            if segment.len_bytes() > 0 {
                let pushed = segments.push(segment);
                debug_assert!(pushed.is_ok(), "at most four segments: header, text, padding, payload");
            }
        };
        push(Segment::Header(self.header()));
        let text = match self.record {
            Record::Op { tag, op: Op::Mark { len_bytes } } => {
                Some(Segment::Payload { tag, len_bytes: len_bytes.into() })
            }
            Record::OwnMark(mark) => Some(Segment::Text(mark.text())),
            Record::Op { .. } | Record::Superblock { .. } => None,
        };
        let mut padding_bytes = self.sector_size.bytes() - HEADER_BYTES;
        if let Some(text) = text {
            padding_bytes -= text.len_bytes();
            push(text);
        }
        push(Segment::Zeros { len_bytes: padding_bytes });
        if let Record::Op { tag, op } = self.record {
            let len_bytes = self.sector_size.bytes_of(op.payload_sectors());
            push(match op {
                Op::Write { .. } => Segment::Payload { tag, len_bytes },
                Op::WriteZeroes { .. } | Op::Discard { .. } | Op::Flush | Op::Mark { .. } => {
                    Segment::Zeros { len_bytes }
                }
            });
        }
        segments
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        match self.record {
            Record::Op { op, .. } => op.header().emit(),
            Record::OwnMark(mark) => mark.header(self.sector_size).emit(),
            Record::Superblock { nr_entries } => {
                Superblock { nr_entries, sector_size: self.sector_size }.emit()
            }
        }
    }
}

/// The segments of one log write, in order.
pub type Segments = Vec<Segment, 4>;

/// A piece of a log write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes: a superblock's or an entry's header.
    Header([u8; HEADER_LEN]),
    /// The text of a mark that the logger itself adds.
    Text(OwnText),
    /// The first `len_bytes` bytes of the payload that the front end keeps under the tag.
    Payload {
        /// Whose payload.
        tag: Tag,
        /// How much of it, in bytes.
        len_bytes: u64,
    },
    /// So many zeros: the rest of a header's sector, or the payload of a write-zeroes, of any length. They may be a
    /// hole where that part of the log device is known to read as zeros, and nowhere else.
    Zeros {
        /// How many, in bytes.
        len_bytes: u64,
    },
}

impl Segment {
    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        match self {
            Self::Header(_) => HEADER_BYTES,
            Self::Text(text) => widen(text.len()),
            Self::Payload { len_bytes, .. } | Self::Zeros { len_bytes } => *len_bytes,
        }
    }
}

/// [`HEADER_LEN`], in the type of all that is added to it.
const HEADER_BYTES: u64 = 32;
const _: () = assert!(HEADER_LEN == 32, "as HEADER_BYTES says");

/// The text of a mark of the logger's own.
pub type OwnText = heapless::String<OWN_TEXT_MAX>;

/// Room for `logwrites-indeterminate`, a space and two numbers of 20 digits with a sign between them.
const OWN_TEXT_MAX: usize = INDETERMINATE_MARK.len() + 42;

/// What is written. Its bytes are made where they are needed, by [`LogWrite::segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The entry of an operation.
    Op { tag: Tag, op: Op },
    /// The entry of a mark of the logger's own.
    OwnMark(OwnMark),
    /// A superblock that counts so many entries.
    Superblock { nr_entries: u64 },
}

/// A mark that the logger adds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnMark {
    /// The log ends here.
    End,
    /// A write to the extent failed.
    Indeterminate(Extent),
}

impl OwnMark {
    pub(crate) fn text(self) -> OwnText {
        let mut text = OwnText::new();
        let written = write!(text, "{self}");
        debug_assert!(written.is_ok(), "OWN_TEXT_MAX has room for every mark of our own");
        text
    }

    /// The header of its entry. It must fit.
    fn header(self, sector_size: SectorSize) -> EntryHeader {
        let len_bytes = self.len_bytes_in(sector_size);
        EntryHeader::mark(len_bytes.expect("a mark of our own that does not fit is left out"))
    }

    /// The length of the text in bytes, if it fits into the entry's own sector.
    pub(crate) fn len_bytes_in(self, sector_size: SectorSize) -> Option<u32> {
        let len_bytes = u32::try_from(self.text().len()).ok()?;
        sector_size.max_mark_len().filter(|max| len_bytes <= *max).map(|_| len_bytes)
    }
}

impl fmt::Display for OwnMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str(END_MARK),
            Self::Indeterminate(extent) => write!(f, "{INDETERMINATE_MARK} {extent}"),
        }
    }
}
