//! The write-log format on disk: superblock, entry header, flags, marks.
//!
//! Version 1, everything little-endian, every unit the superblock's sector size:
//!
//! ```text
//! sector 0    superblock  0  u64 magic       72 68 73 77 66 73 6a 00
//!                         8  u64 version     1
//!                        16  u64 nr_entries
//!                        24  u32 sectorsize  then zeros to the end of the sector
//! sector 1…   entry       0  u64 sector      where on the data device, in log sectors
//!                         8  u64 nr_sectors  how much, in log sectors
//!                        16  u64 flags       FLUSH 1, FUA 2, DISCARD 4, MARK 8, METADATA 16
//!                        24  u64 data_len    0; for a mark the length of its text without the NUL
//!                        32  text of a mark and its NUL, then zeros to the end of the sector,
//!                            then nr_sectors sectors of payload (none for a discard or a mark)
//! ```
//!
//! Sources: Linux `drivers/md/dm-log-writes.c` and its page in the kernel documentation; QEMU
//! `block/blklogwrites.c`. Where the two differ, the item says so.
//!
//! The types here are the layout. What an entry means, and what is wrong with one, is said by the
//! [reader](crate::reader).

use bitflags::bitflags;
use zerocopy::byteorder::{LE, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::geometry::{InvalidSectorSize, SectorSize};
use crate::num::widen;

/// The first eight bytes of a log, as a little-endian number.
pub const MAGIC: u64 = 0x006a_7366_7773_6872;

/// The one version of the format.
pub const VERSION: u64 = 1;

/// Bytes that a superblock and an entry header take before their padding.
pub const HEADER_LEN: usize = 32;

/// The text of the mark that Linux writes when a log target goes away, and that ends our logs in durability
/// order.
pub const END_MARK: &str = "dm-log-writes-end";

/// The first word of a mark that says: a data write failed, and this extent holds any mixture of old and new.
/// A space and the extent as `SECTOR+NR`, in log sectors, follow.
pub const INDETERMINATE_MARK: &str = "logwrites-indeterminate";

bitflags! {
    /// What an entry is. Combinations are normal: an ext4 commit is `FLUSH | FUA | METADATA` without a
    /// payload, then `FUA | METADATA` with one. Undefined bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Flags: u64 {
        /// Everything that completed before it is durable.
        const FLUSH = 1;
        /// The entry's own payload is durable when it completes.
        const FUA = 2;
        /// The extent was discarded; there is no payload, whatever `nr_sectors` says.
        const DISCARD = 4;
        /// A mark: no extent, a text.
        const MARK = 8;
        /// The file system called the write metadata. Only Linux sets it; it implies no order.
        const METADATA = 16;

        const _ = !0;
    }
}

/// A flag that has a name, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedFlag {
    /// The flag.
    pub flag: Flags,
    /// Its name, in lower case.
    pub name: &'static str,
    /// What an entry is that has it, in a few words.
    pub meaning: &'static str,
}

impl Flags {
    /// Every flag that has a name, in the order of their bits.
    pub const TABLE: [NamedFlag; 5] = [
        NamedFlag { flag: Self::FLUSH, name: "flush", meaning: "Flush: earlier writes are durable" },
        NamedFlag { flag: Self::FUA, name: "fua", meaning: "FUA write: its own data is durable" },
        NamedFlag { flag: Self::DISCARD, name: "discard", meaning: "Discard" },
        NamedFlag { flag: Self::MARK, name: "mark", meaning: "Mark" },
        NamedFlag {
            flag: Self::METADATA,
            name: "metadata",
            meaning: "Write that the file system marked as metadata",
        },
    ];

    /// The flags that are set and have a name.
    pub fn named(self) -> impl Iterator<Item = NamedFlag> {
        Self::TABLE.into_iter().filter(move |named| self.contains(named.flag))
    }

    /// The flags that are set and have no name.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self::TABLE.iter().fold(self, |rest, named| rest.difference(named.flag))
    }

    /// Whether an entry is a write that says nothing of when it is durable: METADATA implies no order.
    #[must_use]
    pub const fn is_plain_write(self) -> bool {
        self.difference(Self::METADATA).is_empty()
    }
}

/// The first sector of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Superblock {
    /// How many entries the writer of the log guarantees. More entries may follow them.
    pub nr_entries: u64,
    /// The unit of everything in the log.
    pub sector_size: SectorSize,
}

impl Superblock {
    /// Reads a superblock from the first [`HEADER_LEN`] bytes of a log.
    ///
    /// The last four of them are ignored: Linux may leave rubbish there.
    ///
    /// # Errors
    /// [`SuperblockError`]; then nothing after this sector can be trusted.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, SuperblockError> {
        let raw: RawSuperblock = zerocopy::transmute!(*bytes);
        if raw.magic.get() != MAGIC {
            return Err(SuperblockError::Magic { found: raw.magic.get() });
        }
        if raw.version.get() != VERSION {
            return Err(SuperblockError::Version { found: raw.version.get() });
        }
        let sector_size = SectorSize::try_from(raw.sector_size.get())?;
        Ok(Self { nr_entries: raw.nr_entries.get(), sector_size })
    }

    /// The first [`HEADER_LEN`] bytes of the superblock; zeros fill the rest of its sector.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        zerocopy::transmute!(RawSuperblock {
            magic: MAGIC.into(),
            version: VERSION.into(),
            nr_entries: self.nr_entries.into(),
            sector_size: self.sector_size.bytes_u32().into(),
            padding: [0; 4],
        })
    }
}

/// The header of an entry, as it is on disk: any 32 bytes are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntryHeader {
    /// Where on the data device, in log sectors.
    pub sector: u64,
    /// How much, in log sectors.
    pub nr_sectors: u64,
    /// What the entry is.
    pub flags: Flags,
    /// The length of a mark's text in bytes, without its NUL. Old kernels set it for other entries too.
    pub data_len: u64,
}

impl EntryHeader {
    /// The header of a mark with a text of so many bytes.
    pub(crate) fn mark(len_bytes: u32) -> Self {
        Self { flags: Flags::MARK, data_len: len_bytes.into(), ..Self::default() }
    }

    /// Reads a header.
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let raw: RawEntryHeader = zerocopy::transmute!(*bytes);
        Self {
            sector: raw.sector.get(),
            nr_sectors: raw.nr_sectors.get(),
            flags: Flags::from_bits_retain(raw.flags.get()),
            data_len: raw.data_len.get(),
        }
    }

    /// The bytes of the header; a mark's text or zeros fill the rest of its sector.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        zerocopy::transmute!(RawEntryHeader {
            sector: self.sector.into(),
            nr_sectors: self.nr_sectors.into(),
            flags: self.flags.bits().into(),
            data_len: self.data_len.into(),
        })
    }
}

/// The text of a mark that fits into a log: short enough for its sectors, and without a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarkText<'a> {
    bytes: &'a [u8],
}

impl<'a> MarkText<'a> {
    /// Checks that `bytes` can be the text of a mark in a log of this sector size.
    ///
    /// # Errors
    /// [`MarkTextError`] if it is too long or holds a NUL, at which readers would cut it.
    pub fn new(bytes: &'a [u8], sector_size: SectorSize) -> Result<Self, MarkTextError> {
        let max_bytes = sector_size.max_mark_len().ok_or(MarkTextError::NoRoom)?;
        if widen(bytes.len()) > u64::from(max_bytes) {
            return Err(MarkTextError::TooLong { len_bytes: bytes.len(), max_bytes });
        }
        match bytes.iter().position(|&byte| byte == 0) {
            Some(at) => Err(MarkTextError::Nul { at }),
            None => Ok(Self { bytes }),
        }
    }

    /// The text, without its NUL.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The length of the text in bytes, without its NUL.
    #[must_use]
    pub fn len_bytes(self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or_else(|_| unreachable!("a text is shorter than a sector"))
    }
}

/// What makes 32 bytes no superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// The first eight bytes are not [`MAGIC`]. A log that Linux is still writing may have none yet.
    #[error("not a write log: the magic is {found:#x}, not 0x6a736677736872")]
    Magic {
        /// The value found there.
        found: u64,
    },
    /// A version other than [`VERSION`].
    #[error("version {found} of the write-log format is unknown; only version 1 exists")]
    Version {
        /// The value found there.
        found: u64,
    },
    /// An impossible sector size.
    #[error("the superblock names {0}")]
    SectorSize(#[from] InvalidSectorSize),
}

/// What makes some bytes no text of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkTextError {
    /// A sector of 32 bytes holds a header and nothing else.
    #[error("a log with 32-byte sectors cannot hold marks")]
    NoRoom,
    /// It does not fit into the entry's own sector.
    #[error("a mark of {len_bytes} bytes: the sector size allows at most {max_bytes}")]
    TooLong {
        /// The length of the text, in bytes.
        len_bytes: usize,
        /// The longest that fits, in bytes.
        max_bytes: u32,
    },
    /// It holds a NUL, at which readers would cut it.
    #[error("a mark must not hold a NUL byte; there is one at byte {at}")]
    Nul {
        /// The index of the NUL in the text.
        at: usize,
    },
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSuperblock {
    magic: U64<LE>,
    version: U64<LE>,
    nr_entries: U64<LE>,
    sector_size: U32<LE>,
    padding: [u8; 4],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntryHeader {
    sector: U64<LE>,
    nr_sectors: U64<LE>,
    flags: U64<LE>,
    data_len: U64<LE>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::borrow::ToOwned;
    use std::vec::Vec;

    /// The first 28 bytes that QEMU 10.0.2 and Linux 6.12 write for eight entries of 512-byte sectors.
    const PEERS_SUPERBLOCK: [u8; 28] =
        *b"\x72\x68\x73\x77\x66\x73\x6a\x00\x01\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x00\x02\0\0";

    #[test]
    fn every_flag_that_has_a_name_is_in_the_table() {
        let names: Vec<_> =
            Flags::TABLE.iter().map(|named| (named.name.to_uppercase(), named.flag)).collect();
        let defined = Flags::all().iter_names().map(|(name, flag)| (name.to_owned(), flag));
        assert_eq!(names, defined.collect::<Vec<_>>());
        let flags = Flags::FUA | Flags::METADATA | Flags::from_bits_retain(0x60);
        assert_eq!(flags.named().map(|named| named.name).collect::<Vec<_>>(), ["fua", "metadata"]);
        assert_eq!(flags.unnamed().bits(), 0x60);
    }

    #[test]
    fn the_superblock_is_the_peers() {
        let superblock = Superblock { nr_entries: 8, sector_size: SectorSize::B512 };
        let emitted = superblock.emit();
        assert_eq!(emitted[..28], PEERS_SUPERBLOCK);
        assert_eq!(emitted[28..], [0; 4]);
        assert_eq!(Superblock::parse(&emitted), Ok(superblock));
    }

    #[test]
    fn rubbish_behind_the_superblock_is_ignored() {
        let mut bytes = [0xff; HEADER_LEN];
        bytes[..28].copy_from_slice(&PEERS_SUPERBLOCK);
        assert!(Superblock::parse(&bytes).is_ok());
    }

    #[test]
    fn what_is_no_superblock_is_named() {
        let good = Superblock { nr_entries: 0, sector_size: SectorSize::B512 }.emit();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Superblock::parse(&bytes)
        };
        assert!(matches!(with(0, 0), Err(SuperblockError::Magic { .. })));
        assert_eq!(with(8, 2), Err(SuperblockError::Version { found: 2 }));
        assert_eq!(with(24, 1), Err(SuperblockError::SectorSize(InvalidSectorSize { bytes: 513 })));
    }

    #[test]
    fn marks_are_checked() {
        let size = SectorSize::new(64).unwrap();
        assert_eq!(MarkText::new(b"ok", size).map(MarkText::len_bytes), Ok(2));
        assert!(MarkText::new(&[b'x'; 31], size).is_ok());
        assert_eq!(
            MarkText::new(&[b'x'; 32], size),
            Err(MarkTextError::TooLong { len_bytes: 32, max_bytes: 31 })
        );
        assert_eq!(MarkText::new(b"a\0b", size), Err(MarkTextError::Nul { at: 1 }));
        assert_eq!(MarkText::new(b"", SectorSize::new(32).unwrap()), Err(MarkTextError::NoRoom));
    }

    proptest! {
        #[test]
        fn any_header_is_emitted_as_it_was_parsed(bytes: [u8; HEADER_LEN]) {
            prop_assert_eq!(EntryHeader::parse(&bytes).emit(), bytes);
        }

        #[test]
        fn any_superblock_parses_back(nr_entries: u64, shift in 5u32..=23) {
            let superblock = Superblock { nr_entries, sector_size: SectorSize::new(1 << shift).unwrap() };
            prop_assert_eq!(Superblock::parse(&superblock.emit()), Ok(superblock));
        }
    }
}
