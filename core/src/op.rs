//! What a front end submits: block operations, and how they went.

use core::fmt;

use bitflags::bitflags;

use crate::format::{EntryHeader, Flags, MarkText};
use crate::geometry::{Extent, SectorSize};

/// The front end's handle of an operation in flight, an index below the logger's `N`.
///
/// The front end chooses it, keeps the operation's payload under it, and may use it again once the logger has
/// released it, as with ublk's tags or `io_uring`'s user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u16);

impl Tag {
    /// The tag with this index.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its index, below the logger's `N`.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A block operation. Extents are in log sectors; [`SectorSize::extent`](crate::SectorSize::extent) makes one
/// of bytes and refuses what is not aligned. A write, write-zeroes or discard of an empty extent is
/// acknowledged and leaves no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Writes the payload that the front end keeps under the tag, as long as the extent.
    Write {
        /// Where to.
        extent: Extent,
        /// How.
        flags: WriteFlags,
    },
    /// Makes the extent read as zeros. The log gets real zeros.
    WriteZeroes {
        /// Where.
        extent: Extent,
        /// How.
        flags: WriteFlags,
    },
    /// Gives the extent's storage back. One that is logged has made zeros; a device that did nothing reports
    /// [`Outcome::Ignored`].
    Discard {
        /// Where.
        extent: Extent,
    },
    /// Makes everything that completed before its submission durable.
    Flush,
    /// Puts a mark into the log; nothing happens on the data device. The text is the tag's payload.
    Mark {
        /// The length of the text in bytes, as [`MarkText::len_bytes`] gives it.
        len_bytes: u32,
    },
}

impl Op {
    /// The op that logs this mark.
    #[must_use]
    pub fn mark(text: MarkText<'_>) -> Self {
        Self::Mark { len_bytes: text.len_bytes() }
    }

    /// What the operation changes on the data device: `None` for a flush and a mark.
    #[must_use]
    pub const fn extent(self) -> Option<Extent> {
        match self {
            Self::Write { extent, .. } | Self::WriteZeroes { extent, .. } | Self::Discard { extent } => {
                Some(extent)
            }
            Self::Flush | Self::Mark { .. } => None,
        }
    }

    /// How much payload its entry has, in log sectors: none but for a write and write-zeroes.
    #[must_use]
    pub const fn payload_sectors(self) -> u64 {
        match self {
            Self::Write { extent, .. } | Self::WriteZeroes { extent, .. } => extent.nr_sectors(),
            Self::Discard { .. } | Self::Flush | Self::Mark { .. } => 0,
        }
    }

    /// How many bytes the front end keeps under the tag: what a write writes, or the text of a mark.
    #[must_use]
    pub fn payload_bytes(self, sector_size: SectorSize) -> u64 {
        match self {
            Self::Write { extent, .. } => sector_size.bytes_of(extent.nr_sectors()),
            Self::Mark { len_bytes } => len_bytes.into(),
            Self::WriteZeroes { .. } | Self::Discard { .. } | Self::Flush => 0,
        }
    }

    /// The payload of this operation: the start of what the front end keeps under the tag.
    ///
    /// # Errors
    /// [`ShortPayload`] if that is not all there.
    pub fn payload(self, kept: &[u8], sector_size: SectorSize) -> Result<&[u8], ShortPayload> {
        start_of(kept, self.payload_bytes(sector_size))
    }

    /// The header of its entry.
    pub(crate) fn header(self) -> EntryHeader {
        let (extent, flags) = match self {
            Self::Write { extent, flags } | Self::WriteZeroes { extent, flags } => {
                (extent, if flags.contains(WriteFlags::FUA) { Flags::FUA } else { Flags::empty() })
            }
            Self::Discard { extent } => (extent, Flags::DISCARD),
            Self::Flush => (Extent::EMPTY, Flags::FLUSH),
            Self::Mark { len_bytes } => return EntryHeader::mark(len_bytes),
        };
        EntryHeader { sector: extent.sector(), nr_sectors: extent.nr_sectors(), flags, data_len: 0 }
    }

    /// Whether it is a write or write-zeroes that must be durable when it is done.
    #[must_use]
    pub const fn is_fua(self) -> bool {
        match self {
            Self::Write { flags, .. } | Self::WriteZeroes { flags, .. } => flags.contains(WriteFlags::FUA),
            Self::Discard { .. } | Self::Flush | Self::Mark { .. } => false,
        }
    }
}

/// The first `len_bytes` bytes of a payload.
pub(crate) fn start_of(kept: &[u8], len_bytes: u64) -> Result<&[u8], ShortPayload> {
    let start = usize::try_from(len_bytes).ok().and_then(|len| kept.get(..len));
    start.ok_or(ShortPayload { kept_bytes: kept.len(), needed_bytes: len_bytes })
}

/// The front end keeps less under a tag than the operation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload has {kept_bytes} bytes, and the operation writes {needed_bytes}")]
pub struct ShortPayload {
    /// How long the payload is, in bytes.
    pub kept_bytes: usize,
    /// How long it must be at least, in bytes.
    pub needed_bytes: u64,
}

bitflags! {
    /// How a write is to be done.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct WriteFlags: u8 {
        /// Force unit access: durable when acknowledged.
        const FUA = 1;
        /// For write-zeroes: the device may give the storage back. The log does not tell.
        const UNMAP = 2;
    }
}

/// How the data device, or the log device, finished what it was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// The device did nothing, because it does not support a discard. For any other command this counts as a
    /// failure.
    Ignored,
    /// It failed; for a write, any part may have been done.
    Failed,
}

/// Why an accepted operation was not done, or not durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpError {
    /// The data device failed it. What a write's extent now holds is not known; the log says so with a mark.
    #[error("the data device failed the operation")]
    Data,
    /// The log device failed at this entry or before it.
    #[error("the log device failed; nothing more is logged")]
    Log,
    /// A flush of the data or the log device failed, or a superblock could not be written, now or earlier: what a
    /// later flush claimed would prove nothing.
    #[error("a flush failed; nothing later can be called durable")]
    Flush,
}
