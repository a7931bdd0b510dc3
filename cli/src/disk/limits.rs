//! What servers can do.

use logwrites_core::SectorSize;

use crate::error::Failure;
use crate::serve::nbd::MAX_SECTOR_BYTES;

/// Checks that servers have a unit of so many bytes.
pub(super) fn check_sector_size(sector_size: SectorSize) -> Result<(), Failure> {
    if sector_size.bytes_u32() <= MAX_SECTOR_BYTES {
        return Ok(());
    }
    let message = format!("a server has sectors of at most {MAX_SECTOR_BYTES} bytes, not {sector_size}");
    Err(Failure::Usage(message))
}
