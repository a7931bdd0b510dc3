//! Sector contents that say who wrote them.

use core::fmt;

use logwrites_core::SectorSize;
use logwrites_core::num::{narrow, widen};

use crate::model::OpId;

/// The content of one sector: eight bytes that name their writer, repeated to the sector's end.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// A sector of zeros.
    pub const ZERO: Self = Self(0);

    /// What sector `index` of the disk holds before anything is written.
    #[must_use]
    pub fn base(index: usize) -> Self {
        Self(0x8000_0000_0000_0000 | widen(index))
    }

    /// What operation `id` writes to sector `index` of its extent.
    #[must_use]
    pub fn written(id: OpId, index: usize) -> Self {
        Self((widen(id.0) + 1) << 16 | widen(index))
    }

    /// Who wrote it, and which sector of its extent it is; `None` for zeros and for the base.
    #[must_use]
    pub fn writer(self) -> Option<(OpId, usize)> {
        if self.0 == 0 || self.0 >> 63 == 1 {
            return None;
        }
        Some((OpId(narrow((self.0 >> 16) - 1)), narrow(self.0 & 0xffff)))
    }

    /// The bytes of a sector of this content.
    #[expect(clippy::little_endian_bytes, reason = "content, not a format")]
    pub fn fill(self, sector_size: SectorSize, bytes: &mut Vec<u8>) {
        for _ in 0..sector_size.bytes() / 8 {
            bytes.extend_from_slice(&self.0.to_le_bytes());
        }
    }

    /// The stamp of a sector; `None` if it is a mixture.
    #[must_use]
    #[expect(clippy::little_endian_bytes, reason = "content, not a format")]
    pub fn read(sector: &[u8]) -> Option<Self> {
        let first: &[u8; 8] = sector.first_chunk()?;
        let is_whole = sector.chunks(8).all(|chunk| chunk == first);
        is_whole.then(|| Self(u64::from_le_bytes(*first)))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.writer() {
            Some((id, index)) => write!(f, "{id}[{index}]"),
            None if self.0 == 0 => f.write_str("zero"),
            None => f.write_str("base"),
        }
    }
}

/// The payload of a write of `nr_sectors` sectors.
#[must_use]
pub fn payload(id: OpId, nr_sectors: u64, sector_size: SectorSize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..narrow(nr_sectors) {
        Stamp::written(id, index).fill(sector_size, &mut bytes);
    }
    bytes
}

/// The text of a user's mark: the number of the operation, in so many bytes.
#[must_use]
pub fn mark_text(id: OpId, len_bytes: u32) -> Vec<u8> {
    let len = narrow(u64::from(len_bytes));
    let digits = format!("{:0len$}", id.0).into_bytes();
    digits[digits.len() - len..].to_vec()
}

/// Whether there is nothing but zeros, without a look at each byte: fuzzers count the turns of a loop.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

static ZEROS: [u8; 4096] = [0; 4096];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_names_its_writer() {
        let size = SectorSize::new(32).unwrap();
        let bytes = payload(OpId(7), 3, size);
        assert_eq!(bytes.len(), 96);
        assert_eq!(Stamp::read(&bytes[64..]).and_then(Stamp::writer), Some((OpId(7), 2)));
        assert_eq!(Stamp::read(&bytes[48..80]), None);
        assert_eq!(Stamp::read(&[0; 32]), Some(Stamp::ZERO));
        assert_eq!(Stamp::base(3).writer(), None);
    }

    #[test]
    fn zeros_are_zeros() {
        for len in [0, 1, 4096, 4097, 9000] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            if let Some(last) = bytes.last_mut() {
                *last = 1;
                assert!(!is_zero(&bytes), "{len}");
            }
        }
    }

    #[test]
    fn a_mark_has_the_length_that_it_says() {
        assert_eq!(mark_text(OpId(42), 4), b"0042");
        assert_eq!(mark_text(OpId(42), 1), b"2");
        assert_eq!(mark_text(OpId(42), 0), b"");
    }
}
