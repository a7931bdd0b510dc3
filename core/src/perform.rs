//! What every driver does with a command, whatever its threads are: an operation on the data device, the pieces of a log
//! write. Payloads are checked here.

use core::fmt;

use crate::command::{Segment, Segments};
use crate::device::{DataDevice, Piece};
use crate::geometry::SectorSize;
use crate::op::{Op, Outcome, ShortPayload, start_of};

/// Does an operation that a logger has accepted on the data device. `kept` is what the front end keeps under its tag.
///
/// # Errors
/// [`PerformError`]. Where the payload is too short, nothing was written.
pub fn data<D: DataDevice>(
    device: &mut D,
    op: Op,
    kept: &[u8],
    sector_size: SectorSize,
) -> Result<Outcome, PerformError<D::Error>> {
    let bytes_of = |nr_sectors| sector_size.bytes_of(nr_sectors);
    let done = match op {
        Op::Write { extent, flags } => {
            let payload = op.payload(kept, sector_size)?;
            device.write(bytes_of(extent.sector()), payload, flags)
        }
        Op::WriteZeroes { extent, flags } => {
            device.write_zeroes(bytes_of(extent.sector()), bytes_of(extent.nr_sectors()), flags)
        }
        Op::Discard { extent } => {
            let outcome = device.discard(bytes_of(extent.sector()), bytes_of(extent.nr_sectors()));
            return outcome.map_err(PerformError::Device);
        }
        Op::Flush => device.flush(),
        // It is of the log alone.
        Op::Mark { .. } => Ok(()),
    };
    done.map(|()| Outcome::Ok).map_err(PerformError::Device)
}

/// The pieces of a log write that has these segments, in order. `kept` is what the front end keeps under the
/// [tag whose payload](crate::LogWrite::payload_tag) is among them.
pub fn pieces<'a>(
    segments: &'a Segments,
    kept: &'a [u8],
) -> impl Iterator<Item = Result<Piece<'a>, ShortPayload>> {
    segments.iter().map(move |segment| {
        Ok(match segment {
            Segment::Header(bytes) => Piece::Bytes(bytes),
            Segment::Text(text) => Piece::Bytes(text.as_bytes()),
            Segment::Payload { len_bytes, .. } => Piece::Bytes(start_of(kept, *len_bytes)?),
            Segment::Zeros { len_bytes } => Piece::Zeros { len_bytes: *len_bytes },
        })
    })
}

/// Why an operation on the data device was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PerformError<E: fmt::Debug> {
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(E),
    /// The payload is too short.
    #[error(transparent)]
    Payload(#[from] ShortPayload),
}
