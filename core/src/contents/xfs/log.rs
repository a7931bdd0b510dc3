//! The log of XFS, its journal: what the records that are written to it say.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::super::fields::Fields;
use crate::num::{clip, widen};

/// A place in the log, and the n-th time that the log was written from its start, as each record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lsn {
    cycle: u32,
    sector: u32,
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cycle, self.sector)
    }
}

/// A record, as far as it was written at once.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) lsn: Lsn,
    nr_operations: u32,
    body: Vec<u8>,
}

/// What a record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Changes of some bytes of the disk.
    Buffer(Range<u64>),
    /// The end of what belongs together.
    Commit,
    /// Changes of an inode.
    Inode(u64),
    /// The file system was unmounted.
    Unmount,
}

/// The records that begin in what is written to the log.
pub(super) fn records(now: &[u8]) -> impl Iterator<Item = Record> {
    (0..now.len()).step_by(SECTOR_BYTES).filter_map(|at| Record::parse(&now[at..]))
}

impl Record {
    /// The record that these bytes begin with. Of each sector of its body the header has the first bytes: in their place is how
    /// often the log was written, by which a record is known that was not written as a whole.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Fields(bytes);
        let lsn = Lsn { cycle: header.be32(16), sector: header.be32(20) };
        if !header.has(0, MAGIC) || header.be32(4) != lsn.cycle {
            return None;
        }
        let nr_headers = match header.be32(8) & VERSION_2 {
            0 => 1,
            _ => {
                usize::try_from(header.be32(320)).ok()?.div_ceil(SECTOR_BYTES * CYCLES).clamp(1, MAX_HEADERS)
            }
        };
        let rest = header.from(nr_headers * SECTOR_BYTES);
        let mut body = rest[..clip(header.be32(12).into(), rest.len())].to_vec();
        for (nth, sector) in body.chunks_mut(SECTOR_BYTES).enumerate() {
            let at = match nth / CYCLES {
                0 => 44,
                header => header * SECTOR_BYTES + 4,
            };
            let first = header.part(at + nth % CYCLES * 4, sector.len().min(4));
            sector[..first.len()].copy_from_slice(first);
        }
        Some(Self { lsn, nr_operations: header.be32(40), body })
    }

    /// What it has, in order. Changes that were taken back are left out.
    pub(super) fn items(&self) -> impl Iterator<Item = Item> {
        let body = Fields(&self.body);
        let mut at = 0;
        (0..self.nr_operations)
            .map_while(move |_| {
                let operation = Fields(body.from(at));
                let len = usize::try_from(operation.be32(4)).ok()?;
                at = at.checked_add(OPERATION_BYTES)?.checked_add(len)?;
                (operation.0.len() >= OPERATION_BYTES).then(|| item(operation, len))
            })
            .flatten()
    }
}

/// What an operation has, if it begins something that is told. It is in the order of bytes of the machine that has written it:
/// little-endian.
fn item(operation: Fields<'_>, len: usize) -> Option<Item> {
    let flags = operation.byte(9);
    if flags & COMMIT != 0 {
        return Some(Item::Commit);
    }
    if flags & UNMOUNT != 0 {
        return Some(Item::Unmount);
    }
    let region = Fields(operation.part(OPERATION_BYTES, len));
    match (region.le16(0), region.0.len()) {
        (INODE, INODE_BYTES) => Some(Item::Inode(region.le64(16))),
        (BUFFER, len)
            if widen(len) == 20 + 4 * u64::from(region.le32(16)) && region.le16(4) & CANCEL == 0 =>
        {
            let start = region.le64(8).saturating_mul(widen(SECTOR_BYTES));
            Some(Item::Buffer(start..start.saturating_add(u64::from(region.le16(6)) * widen(SECTOR_BYTES))))
        }
        _ => None,
    }
}

/// How long a sector of the log is, in bytes, whatever those of the disk are.
const SECTOR_BYTES: usize = 512;

const MAGIC: &[u8] = b"\xfe\xed\xba\xbe";
const VERSION_2: u32 = 2;

/// How many sectors a header has the first bytes of.
const CYCLES: usize = 64;

/// A record has 256 KiB at most.
const MAX_HEADERS: usize = 8;

const OPERATION_BYTES: usize = 12;
const COMMIT: u8 = 0x2;
const UNMOUNT: u8 = 0x20;

const INODE: u16 = 0x123b;
const INODE_BYTES: usize = 56;
const BUFFER: u16 = 0x123c;
const CANCEL: u16 = 0x2;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// A header, and a body of 512 bytes that begins with these.
    fn record(nr_operations: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..12].copy_from_slice(&[0xfe, 0xed, 0xba, 0xbe, 0, 0, 0, 7, 0, 0, 0, 2]);
        bytes[14] = 2;
        bytes[19] = 7;
        bytes[23] = 9;
        bytes[43] = nr_operations;
        bytes[322] = 0x80;
        bytes[512..512 + body.len()].copy_from_slice(body);
        // Its first bytes are in the header.
        bytes.copy_within(512..516, 44);
        bytes[512..516].copy_from_slice(&[0, 0, 0, 7]);
        bytes
    }

    fn operation(len: u8, flags: u8, region: &[u8]) -> Vec<u8> {
        [&[1, 2, 3, 4, 0, 0, 0, len, 0x69, flags, 0, 0], region].concat()
    }

    #[test]
    fn a_record_has_inodes_and_buffers() {
        let mut inode = vec![0; 56];
        (inode[0], inode[1], inode[16]) = (0x3b, 0x12, 131);
        let buffer = |flags: u8| {
            let mut buffer = vec![0; 24];
            buffer[..9].copy_from_slice(&[0x3c, 0x12, 2, 0, flags, 0, 8, 0, 16]);
            buffer[16] = 1;
            buffer
        };
        let operations = [
            operation(0, 1, &[]),
            operation(56, 0, &inode),
            operation(24, 0, &buffer(0)),
            operation(24, 0, &buffer(2)),
            operation(0, 2, &[]),
        ];
        let bytes = record(5, &operations.concat());
        let records: Vec<Record> = records(&bytes).collect();
        let [record] = &records[..] else { panic!("one record: {records:?}") };
        assert_eq!(record.lsn, Lsn { cycle: 7, sector: 9 });
        let items: Vec<Item> = record.items().collect();
        assert_eq!(items, [Item::Inode(131), Item::Buffer(8192..12_288), Item::Commit]);
    }

    #[test]
    fn what_is_cut_off_or_makes_no_sense_ends() {
        let bytes = record(255, &operation(255, 2, &[0xff; 300]));
        for len in [8, 100, 512, 513, 530, 1024] {
            let items = records(&bytes[..len]).flat_map(|record| record.items().collect::<Vec<_>>());
            assert!(items.count() <= 2, "{len} bytes");
        }
        let mut other = bytes;
        other[16] = 1;
        assert_eq!(records(&other).count(), 0, "its cycle is another");
    }
}
