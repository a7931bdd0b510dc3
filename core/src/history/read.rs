//! Reading a disk that is spread over a base image and a log.

use crate::geometry::SectorSize;
use crate::history::{Piece, Source};

/// Which device bytes are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The base image.
    Base,
    /// The log.
    Log,
}

/// Reads what `pieces` cover into `buffer`, which is as long. `read` fills a part of it from an offset, in bytes, of the
/// place that has it; where the disk is zeros there is nothing to be read.
///
/// # Errors
/// The first of `read`.
///
/// # Panics
/// If `buffer` is shorter than the pieces; in a build with debug assertions, if it is longer.
pub fn read_pieces<E>(
    sector_size: SectorSize,
    pieces: impl IntoIterator<Item = Piece>,
    buffer: &mut [u8],
    mut read: impl FnMut(Place, u64, &mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = buffer;
    for Piece { extent, source } in pieces {
        let len_bytes = sector_size.bytes_of(extent.nr_sectors());
        let part = usize::try_from(len_bytes).ok().and_then(|len| rest.split_off_mut(..len));
        let part = part.expect("the buffer is as long as the pieces");
        match source {
            Some(Source::Log { offset_bytes }) => read(Place::Log, offset_bytes, part)?,
            Some(Source::Zeros { .. }) => part.fill(0),
            None => read(Place::Base, sector_size.bytes_of(extent.sector()), part)?,
        }
    }
    debug_assert!(rest.is_empty(), "the buffer is as long as the pieces");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;
    use crate::history::ExtentMap;
    use std::vec;
    use std::vec::Vec;

    /// Sector 1 from the log, sector 2 zeros, the others the base's.
    fn pieces() -> Vec<Piece> {
        let mut map = ExtentMap::new(SectorSize::B512);
        map.insert(Extent::new(1, 1).unwrap(), Source::Log { offset_bytes: 2048 });
        map.insert(Extent::new(2, 1).unwrap(), Source::Zeros { entry_offset_bytes: 9 });
        map.pieces(Extent::new(0, 5).unwrap()).collect()
    }

    #[test]
    fn each_part_comes_from_its_place() {
        let (mut buffer, mut reads) = (vec![7; 5 * 512], vec![]);
        let read = |place, offset_bytes, part: &mut [u8]| {
            reads.push((place, offset_bytes, part.len()));
            part.fill(1);
            Ok::<(), ()>(())
        };
        read_pieces(SectorSize::B512, pieces(), &mut buffer, read).unwrap();
        assert_eq!(reads, [(Place::Base, 0, 512), (Place::Log, 2048, 512), (Place::Base, 1536, 1024)]);
        assert!(buffer[..1024].iter().chain(&buffer[1536..]).all(|byte| *byte == 1));
        assert!(buffer[1024..1536].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_device_that_fails_ends_it() {
        let read = |place, _, _: &mut [u8]| if place == Place::Log { Err("gone") } else { Ok(()) };
        assert_eq!(read_pieces(SectorSize::B512, pieces(), &mut [0; 5 * 512], read), Err("gone"));
    }

    #[test]
    #[should_panic(expected = "as long as the pieces")]
    fn a_buffer_that_is_too_long_is_a_fault() {
        let _ = read_pieces(SectorSize::B512, pieces(), &mut [0; 6 * 512], |_, _, _| Ok::<(), ()>(()));
    }
}
