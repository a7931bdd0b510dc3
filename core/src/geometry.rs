//! Sector sizes and extents, and every conversion between bytes and sectors.
//!
//! A log counts in *log sectors*, whose size its superblock states; a program counts in bytes. All the
//! arithmetic between the two is here, checked, so that the rest of the crate can add and compare.

use core::fmt;
use core::ops::Range;

/// The size of a log sector: a power of two from 32 bytes to 8 MiB.
///
/// The kernel uses the data device's logical block size (512 or 4096); QEMU takes any power of two in this
/// range as `log-sector-size`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectorSize {
    shift: u8,
}

impl SectorSize {
    /// The smallest sector, 32 bytes: an entry header fills it.
    pub const MIN_BYTES: u32 = 32;
    /// The largest sector, 8 MiB, QEMU's limit.
    pub const MAX_BYTES: u32 = 8 << 20;
    /// 512 bytes, the usual size.
    pub const B512: Self = Self { shift: 9 };
    /// 4096 bytes, the size for disks with 4 KiB logical blocks.
    pub const B4096: Self = Self { shift: 12 };

    /// The sector size of so many `bytes`, or `None` unless it is a power of two in
    /// [`MIN_BYTES`](Self::MIN_BYTES)`..=`[`MAX_BYTES`](Self::MAX_BYTES).
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        if !bytes.is_power_of_two() || bytes < Self::MIN_BYTES || bytes > Self::MAX_BYTES {
            return None;
        }
        // Lossless: the exponent of a u32 is at most 31.
        #[expect(clippy::as_conversions, reason = "From is not const yet")]
        #[expect(clippy::cast_possible_truncation, reason = "at most 31")]
        Some(Self { shift: bytes.trailing_zeros() as u8 })
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.shift
    }

    /// The size in bytes, in the width in which the superblock stores it.
    #[must_use]
    pub const fn bytes_u32(self) -> u32 {
        1 << self.shift
    }

    /// `nr_sectors` in bytes, or `None` if that passes `u64::MAX`.
    #[must_use]
    pub const fn checked_bytes_of(self, nr_sectors: u64) -> Option<u64> {
        nr_sectors.checked_mul(self.bytes())
    }

    /// `nr_sectors` in bytes, saturating at `u64::MAX`.
    ///
    /// For sector numbers that a [`Logger`](crate::Logger) or a [reader](crate::reader) has accepted: those
    /// lie below [`MAX_OFFSET_BYTES`] and never saturate.
    #[must_use]
    pub const fn bytes_of(self, nr_sectors: u64) -> u64 {
        nr_sectors.saturating_mul(self.bytes())
    }

    /// How many sectors hold `bytes`, rounded up.
    #[must_use]
    pub const fn sectors_for(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.bytes())
    }

    /// Whether `bytes` is a whole number of sectors.
    #[must_use]
    pub const fn is_aligned(self, bytes: u64) -> bool {
        bytes & (self.bytes() - 1) == 0
    }

    /// The extent of `len_bytes` bytes at `offset_bytes`.
    ///
    /// # Errors
    /// [`ExtentError`] if either is not a whole number of sectors, or the end lies beyond
    /// [`MAX_OFFSET_BYTES`].
    pub const fn extent(self, offset_bytes: u64, len_bytes: u64) -> Result<Extent, ExtentError> {
        if !self.is_aligned(offset_bytes) {
            return Err(ExtentError::UnalignedOffset { offset_bytes, sector_size: self });
        }
        if !self.is_aligned(len_bytes) {
            return Err(ExtentError::UnalignedLength { len_bytes, sector_size: self });
        }
        match offset_bytes.checked_add(len_bytes) {
            Some(end) if end <= MAX_OFFSET_BYTES => {
                Ok(Extent { sector: offset_bytes >> self.shift, nr_sectors: len_bytes >> self.shift })
            }
            _ => Err(ExtentError::TooFar { offset_bytes, len_bytes }),
        }
    }

    /// The bytes that `extent` covers, or `None` if they reach beyond [`MAX_OFFSET_BYTES`].
    #[must_use]
    pub const fn byte_range(self, extent: Extent) -> Option<Range<u64>> {
        if extent.end() > MAX_OFFSET_BYTES >> self.shift {
            return None;
        }
        Some(extent.sector << self.shift..extent.end() << self.shift)
    }

    /// The longest text of a mark, in bytes: the rest of the entry's own sector less a NUL. `None` where no
    /// mark fits at all, which is so for sectors of 32 bytes.
    #[must_use]
    pub const fn max_mark_len(self) -> Option<u32> {
        self.bytes_u32().checked_sub(33)
    }
}

impl TryFrom<u32> for SectorSize {
    type Error = InvalidSectorSize;

    fn try_from(bytes: u32) -> Result<Self, InvalidSectorSize> {
        Self::new(bytes).ok_or(InvalidSectorSize { bytes })
    }
}

impl Default for SectorSize {
    fn default() -> Self {
        Self::B512
    }
}

impl fmt::Debug for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SectorSize({})", self.bytes())
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

/// A run of log sectors on the data device: `nr_sectors` from `sector` on.
///
/// It may be empty, and its end never passes `u64::MAX` sectors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    sector: u64,
    nr_sectors: u64,
}

impl Extent {
    /// No sectors, at sector 0.
    pub const EMPTY: Self = Self { sector: 0, nr_sectors: 0 };

    /// `nr_sectors` sectors from `sector` on, or `None` if the end passes `u64::MAX`.
    #[must_use]
    pub const fn new(sector: u64, nr_sectors: u64) -> Option<Self> {
        match sector.checked_add(nr_sectors) {
            Some(_) => Some(Self { sector, nr_sectors }),
            None => None,
        }
    }

    /// The sectors from `start` up to, not including, `end`; empty where `end` lies before `start`.
    #[must_use]
    pub const fn between(start: u64, end: u64) -> Self {
        Self { sector: start, nr_sectors: end.saturating_sub(start) }
    }

    /// The first sector.
    #[must_use]
    pub const fn sector(self) -> u64 {
        self.sector
    }

    /// The number of sectors.
    #[must_use]
    pub const fn nr_sectors(self) -> u64 {
        self.nr_sectors
    }

    /// The first sector after the extent.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.sector + self.nr_sectors
    }

    /// Whether it has no sectors.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.nr_sectors == 0
    }

    /// Whether the two share a sector. An empty extent shares none.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        !self.intersection(other).is_empty()
    }

    /// The sectors that both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let start = if self.sector > other.sector { self.sector } else { other.sector };
        let end = if self.end() < other.end() { self.end() } else { other.end() };
        Self::between(start, end)
    }

    /// The smallest extent that holds both.
    #[must_use]
    pub const fn hull(self, other: Self) -> Self {
        let start = if self.sector < other.sector { self.sector } else { other.sector };
        let end = if self.end() > other.end() { self.end() } else { other.end() };
        Self::between(start, end)
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({self})")
    }
}

/// `SECTOR+NR`, as the command line reads it.
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.sector, self.nr_sectors)
    }
}

/// A number of bytes that is not a sector size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sector of {bytes} bytes: it must be a power of two from 32 to 8388608")]
pub struct InvalidSectorSize {
    /// The size that was asked for, in bytes.
    pub bytes: u32,
}

/// A range of bytes that is not an [`Extent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtentError {
    /// The offset lies inside a sector.
    #[error("offset {offset_bytes} is not a multiple of the sector size {sector_size}")]
    UnalignedOffset {
        /// The offset, in bytes.
        offset_bytes: u64,
        /// The sector size that it should be a multiple of.
        sector_size: SectorSize,
    },
    /// The length is not a whole number of sectors.
    #[error("length {len_bytes} is not a multiple of the sector size {sector_size}")]
    UnalignedLength {
        /// The length, in bytes.
        len_bytes: u64,
        /// The sector size that it should be a multiple of.
        sector_size: SectorSize,
    },
    /// The end lies beyond [`MAX_OFFSET_BYTES`].
    #[error("{len_bytes} bytes at offset {offset_bytes} reach beyond 2^63 - 1 bytes")]
    TooFar {
        /// The offset, in bytes.
        offset_bytes: u64,
        /// The length, in bytes.
        len_bytes: u64,
    },
}

/// The last byte offset that a file or device can have (2^63 - 1, as `off_t`), for the data device and the
/// log device alike.
#[expect(clippy::as_conversions, reason = "TryFrom is not const; i64::MAX fits")]
pub const MAX_OFFSET_BYTES: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sector_sizes_are_powers_of_two_from_32_to_8_mib() {
        let valid: u32 = (0..u32::BITS).map(|shift| u32::from(SectorSize::new(1 << shift).is_some())).sum();
        assert_eq!(valid, 19);
        for bytes in [0, 1, 16, 31, 33, 48, 511, 513, 1 << 24, u32::MAX] {
            assert_eq!(SectorSize::try_from(bytes), Err(InvalidSectorSize { bytes }));
        }
        assert_eq!(SectorSize::new(512), Some(SectorSize::B512));
        assert_eq!(SectorSize::B4096.bytes(), 4096);
    }

    #[test]
    fn marks_fit_from_64_bytes_on() {
        assert_eq!(SectorSize::new(32).and_then(SectorSize::max_mark_len), None);
        assert_eq!(SectorSize::new(64).and_then(SectorSize::max_mark_len), Some(31));
        assert_eq!(SectorSize::B512.max_mark_len(), Some(479));
    }

    #[test]
    fn unaligned_and_far_ranges_are_refused() {
        let size = SectorSize::B512;
        assert_eq!(size.extent(1024, 512), Ok(Extent { sector: 2, nr_sectors: 1 }));
        assert_eq!(size.extent(0, 0).map(Extent::is_empty), Ok(true));
        assert!(matches!(size.extent(1, 512), Err(ExtentError::UnalignedOffset { .. })));
        assert!(matches!(size.extent(512, 1), Err(ExtentError::UnalignedLength { .. })));
        assert!(matches!(size.extent(u64::MAX - 511, 512), Err(ExtentError::TooFar { .. })));
        assert!(matches!(size.extent(MAX_OFFSET_BYTES - 511, 512), Err(ExtentError::TooFar { .. })));
        assert_eq!(size.byte_range(Extent { sector: 1 << 62, nr_sectors: 1 }), None);
        assert_eq!(Extent::new(u64::MAX, 1), None);
    }

    proptest! {
        #[test]
        fn overlap_is_a_shared_sector(a in 0u64..40, n in 0u64..20, b in 0u64..40, m in 0u64..20) {
            let (one, two) = (Extent::new(a, n).unwrap(), Extent::new(b, m).unwrap());
            let shared: std::vec::Vec<u64> = (a..a + n).filter(|sector| (b..b + m).contains(sector)).collect();
            prop_assert_eq!(one.overlaps(two), !shared.is_empty());
            prop_assert_eq!(one.intersection(two).nr_sectors(), u64::try_from(shared.len()).unwrap());
            let hull = one.hull(two);
            prop_assert!(hull.sector() <= a.min(b) && hull.end() >= (a + n).max(b + m));
        }

        #[test]
        fn bytes_and_sectors_agree(shift in 5u32..=23, sector in 0u64..1 << 39, nr in 0u64..1 << 20) {
            let size = SectorSize::new(1 << shift).unwrap();
            let extent = Extent::new(sector, nr).unwrap();
            let range = size.byte_range(extent).unwrap();
            prop_assert_eq!(size.extent(range.start, range.end - range.start), Ok(extent));
            prop_assert_eq!(size.sectors_for(range.end), extent.end());
        }
    }
}
