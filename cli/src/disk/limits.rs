//! What servers can do.

use logwrites_core::SectorSize;

use super::error::OpenError;
use crate::serve::nbd::MAX_SECTOR_BYTES;

/// Checks that servers have a unit of so many bytes.
pub(super) fn check_sector_size(sector_size: SectorSize) -> Result<(), OpenError> {
    if sector_size.bytes_u32() <= MAX_SECTOR_BYTES {
        return Ok(());
    }
    Err(OpenError::SectorSize { sector_size })
}
