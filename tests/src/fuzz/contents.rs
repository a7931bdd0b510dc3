//! Arbitrary bytes as a disk with a file system.

use std::collections::BTreeMap;

use logwrites_core::contents::{Contents, FileSystemKind, MAX_ROLES, Written};
use logwrites_core::num::narrow;

use super::len_bytes;

/// Takes `bytes` for a disk of zeros with a few pieces that are not: its length in sectors (4 bytes), and then, for each
/// piece, where it is in units of its length (2 bytes), and its 64 bytes. Asks what is on the disk, what its ranges are, and
/// what writing each piece is.
///
/// # Panics
/// If something is read that is not on the disk, if more is read than is promised, or if a range has no role.
pub fn contents(bytes: &[u8]) {
    let Some((disk, pieces)) = SparseDisk::parse(bytes) else { return };
    let mut nr_bytes = 0;
    let contents = Contents::of(disk.len_bytes, |at, buffer| disk.read(at, buffer, &mut nr_bytes));
    let contents = contents.expect("what is read is on the disk");
    assert!(nr_bytes <= MAX_READ_BYTES, "{nr_bytes} bytes were read");
    let Some(contents) = contents else { return };
    let kind = FileSystemKind::recognise(disk.len_bytes, |at, buffer| disk.read(at, buffer, &mut 0));
    assert_eq!(kind, Ok(Some(contents.kind())));
    for range in [0..disk.len_bytes, 0..1, 1000..70_000, disk.len_bytes - 1..u64::MAX] {
        let roles = contents.roles(range.clone());
        assert!((1..=MAX_ROLES).contains(&roles.len()), "{} roles of {range:?}", roles.len());
    }
    let offsets = pieces.into_iter().map(|at| at * len_bytes(&[0; PIECE_BYTES]));
    for offset_bytes in offsets.filter(|offset| *offset < disk.len_bytes).take(MAX_WRITES) {
        let mut nr_bytes = 0;
        let mut now = [0; WRITE_BYTES];
        let now = &mut now[..narrow(disk.len_bytes - offset_bytes).min(WRITE_BYTES)];
        disk.read(offset_bytes, now, &mut nr_bytes).expect("the write is cut at the end of the disk");
        for before in [&[][..], &[0; PIECE_BYTES]] {
            let written = Written { offset_bytes, bytes: now, before };
            let told = contents.told(written, |at, buffer| disk.read(at, buffer, &mut nr_bytes));
            let told = told.expect("what is read is on the disk");
            assert!((1..=MAX_ROLES).contains(&told.len()), "{} roles of a write", told.len());
        }
        assert!(nr_bytes <= 3 * MAX_READ_BYTES, "{nr_bytes} bytes were read");
    }
}

/// Zeros but for some pieces.
struct SparseDisk<'a> {
    len_bytes: u64,
    pieces: BTreeMap<u64, &'a [u8; PIECE_BYTES]>,
}

impl<'a> SparseDisk<'a> {
    /// A disk, and where its pieces are in the order in which they are given.
    fn parse(bytes: &'a [u8]) -> Option<(Self, Vec<u64>)> {
        let (len, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut disk = Self { len_bytes: (number(len) + 1) * 512, pieces: BTreeMap::new() };
        let mut order = Vec::new();
        while let Some((at, after)) = rest.split_first_chunk::<2>()
            && let Some((piece, after)) = after.split_first_chunk()
        {
            let at = number(at);
            disk.pieces.insert(at, piece);
            order.push(at);
            rest = after;
        }
        Some((disk, order))
    }

    /// Reads, and counts the bytes; fails if some are not on the disk.
    fn read(&self, offset_bytes: u64, buffer: &mut [u8], nr_bytes: &mut u64) -> Result<(), String> {
        let end = offset_bytes.checked_add(len_bytes(buffer)).expect("an offset of the disk");
        if end > self.len_bytes {
            return Err(format!("{offset_bytes} to {end}, of {} bytes", self.len_bytes));
        }
        *nr_bytes += len_bytes(buffer);
        buffer.fill(0);
        let piece_bytes = len_bytes(&[0; PIECE_BYTES]);
        for (at, piece) in self.pieces.range(offset_bytes / piece_bytes..end.div_ceil(piece_bytes)) {
            let start = at * piece_bytes;
            let skipped = narrow(offset_bytes.saturating_sub(start));
            let to = narrow(start.saturating_sub(offset_bytes));
            let part = &piece[skipped..];
            let nr = part.len().min(buffer.len() - to);
            buffer[to..to + nr].copy_from_slice(&part[..nr]);
        }
        Ok(())
    }
}

/// A number, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

const PIECE_BYTES: usize = 64;

/// How long a write is: some blocks.
const WRITE_BYTES: usize = 4096;

/// How many writes are tried.
const MAX_WRITES: usize = 32;

/// 256 MiB, as is promised, and the last read, which may go beyond.
const MAX_READ_BYTES: u64 = (256 << 20) + (1 << 20);
