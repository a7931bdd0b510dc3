//! What the disk and the log that a script is for can take.

use logwrites_core::SectorSize;
use logwrites_core::format::{MarkText, MarkTextError};
use logwrites_core::geometry::ExtentError;

/// The disk and the log that a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of the disk, in bytes.
    pub disk_bytes: u64,
    /// The log's sector size.
    pub sector_size: SectorSize,
}

impl Limits {
    /// Whether a command may have this extent. An empty one must be aligned and inside the disk, too.
    ///
    /// # Errors
    /// [`LimitError`] if not.
    pub const fn check_extent(&self, offset_bytes: u64, len_bytes: u64) -> Result<(), LimitError> {
        if len_bytes > MAX_REQUEST_BYTES {
            return Err(LimitError::TooLong { len_bytes });
        }
        if let Err(error) = self.sector_size.extent(offset_bytes, len_bytes) {
            return Err(LimitError::Extent(error));
        }
        let disk_bytes = self.disk_bytes;
        match disk_bytes.checked_sub(offset_bytes) {
            Some(room) if len_bytes <= room => Ok(()),
            None | Some(0) => Err(LimitError::OffsetBehindEnd { offset_bytes, disk_bytes }),
            Some(_) => Err(LimitError::BeyondEnd { offset_bytes, len_bytes, disk_bytes }),
        }
    }

    /// Whether `text` fits into a mark.
    ///
    /// # Errors
    /// [`MarkTextError`] if not.
    pub fn check_mark(&self, text: &[u8]) -> Result<(), MarkTextError> {
        MarkText::new(text, self.sector_size).map(drop)
    }
}

/// Why a disk and a log cannot take an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It is longer than [`MAX_REQUEST_BYTES`].
    #[error("length {len_bytes} exceeds 2147483136 bytes, the most that one command can take")]
    TooLong {
        /// The length, in bytes.
        len_bytes: u64,
    },
    /// It is not aligned to the log's sectors.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// It starts where the disk has ended.
    #[error("offset {offset_bytes} is past the end of the disk, which has {disk_bytes} bytes")]
    OffsetBehindEnd {
        /// The offset, in bytes.
        offset_bytes: u64,
        /// The size of the disk, in bytes.
        disk_bytes: u64,
    },
    /// It does not end inside the disk.
    #[error(
        "{len_bytes} bytes at offset {offset_bytes} reach beyond the end of the disk, which has {disk_bytes} \
         bytes"
    )]
    BeyondEnd {
        /// The offset, in bytes.
        offset_bytes: u64,
        /// The length, in bytes.
        len_bytes: u64,
        /// The size of the disk, in bytes.
        disk_bytes: u64,
    },
}

impl LimitError {
    /// Whether the offset is to blame, rather than the length.
    #[must_use]
    pub const fn is_about_the_offset(&self) -> bool {
        match self {
            Self::Extent(ExtentError::UnalignedOffset { .. } | ExtentError::TooFar { .. })
            | Self::OffsetBehindEnd { .. } => true,
            Self::Extent(ExtentError::UnalignedLength { .. })
            | Self::TooLong { .. }
            | Self::BeyondEnd { .. } => false,
        }
    }
}

/// The longest extent of one command, in bytes: QEMU's limit for a request, 2 GiB less a sector of 512 bytes.
pub const MAX_REQUEST_BYTES: u64 = 2_147_483_136;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { disk_bytes: 4 << 40, sector_size: SectorSize::B512 };

    /// As qemu-io 10.0.2, with a disk of 4 TiB.
    #[test]
    fn the_longest_command_is_qemus() {
        assert_eq!(LIMITS.check_extent(0, 2_147_483_136), Ok(()));
        for len_bytes in [2_147_483_137, 2 << 30, 3 << 30, u64::MAX] {
            assert_eq!(LIMITS.check_extent(0, len_bytes), Err(LimitError::TooLong { len_bytes }));
        }
    }

    /// As qemu-io 10.0.2, but for the alignment.
    #[test]
    fn extents_lie_inside_the_disk() {
        let end = LIMITS.disk_bytes;
        assert_eq!(LIMITS.check_extent(end - 512, 512), Ok(()));
        assert_eq!(LIMITS.check_extent(end, 0), Ok(()));
        for (offset_bytes, len_bytes) in [(end, 512), (end + 512, 0), (7 << 60, 512)] {
            let error = LimitError::OffsetBehindEnd { offset_bytes, disk_bytes: end };
            assert_eq!(LIMITS.check_extent(offset_bytes, len_bytes), Err(error));
            assert!(error.is_about_the_offset());
        }
        let error = LIMITS.check_extent(end - 512, 1024).unwrap_err();
        assert!(matches!(error, LimitError::BeyondEnd { .. }));
        assert!(!error.is_about_the_offset());
    }

    #[test]
    fn extents_are_aligned_even_if_empty() {
        let error = LIMITS.check_extent(1, 0).unwrap_err();
        assert_eq!(error.to_string(), "offset 1 is not a multiple of the sector size 512");
        assert!(error.is_about_the_offset());
        let error = LIMITS.check_extent(512, 513).unwrap_err();
        assert_eq!(error.to_string(), "length 513 is not a multiple of the sector size 512");
        assert!(!error.is_about_the_offset());
    }

    #[test]
    fn a_disk_of_any_size_has_an_end() {
        let limits = Limits { disk_bytes: 1000, ..LIMITS };
        assert_eq!(limits.check_extent(0, 512), Ok(()));
        assert!(matches!(limits.check_extent(512, 512), Err(LimitError::BeyondEnd { .. })));
        let limits = Limits { disk_bytes: u64::MAX, ..LIMITS };
        let offset_bytes = 1 << 63;
        assert!(matches!(limits.check_extent(offset_bytes, 512), Err(LimitError::Extent(_))));
    }
}
