//! The content of a disk that is only read: a base, and any number of crash states over each other.

use std::convert::Infallible;
use std::sync::Arc;

use logwrites_core::geometry::{Extent, SectorSize};
use logwrites_core::history::{ExtentMap, Piece, Place, Source, read_pieces};
use logwrites_core::num::{clip, narrow};
use twox_hash::xxhash3_128::Hasher;

/// Bytes by sector. Cloning copies no content.
#[derive(Clone, Debug)]
pub(crate) enum Image {
    /// These bytes, and zeros after them.
    Base(Arc<[u8]>),
    /// What a map says is in a log, over another image.
    State(Arc<State>),
}

#[derive(Debug)]
pub(crate) struct State {
    map: ExtentMap,
    log: Arc<Vec<u8>>,
    below: Image,
}

impl Image {
    /// The image `below` with what `map` says of `log` over it.
    pub(crate) fn state(map: ExtentMap, log: Arc<Vec<u8>>, below: Self) -> Self {
        Self::State(Arc::new(State { map, log, below }))
    }

    /// Reads an extent into `buffer`, which is as long.
    pub(crate) fn read(&self, extent: Extent, buffer: &mut [u8], sector_size: SectorSize) {
        match self {
            Self::Base(bytes) => read_padded(bytes, sector_size.bytes_of(extent.sector()), buffer),
            Self::State(state) => {
                read_over(state.map.pieces(extent), &state.log, &state.below, buffer, sector_size);
            }
        }
    }

    /// A number that stands for the content of `pieces`, whose places are this image and `log` over it.
    pub(crate) fn fingerprint(&self, pieces: &[Piece], log: &[u8], sector_size: SectorSize) -> u128 {
        if let &[Piece { extent, source: Some(Source::Log { offset_bytes }) }] = pieces
            && let Some(bytes) = part(log, offset_bytes, narrow(sector_size.bytes_of(extent.nr_sectors())))
        {
            return Hasher::oneshot(bytes);
        }
        let nr_sectors: u64 = pieces.iter().map(|piece| piece.extent.nr_sectors()).sum();
        let len = narrow(sector_size.bytes_of(nr_sectors));
        let (mut small, mut large) = ([0; SMALL_BYTES], Vec::new());
        let buffer = if len <= SMALL_BYTES {
            &mut small[..len]
        } else {
            large.resize(len, 0);
            &mut large[..]
        };
        read_over(pieces.iter().copied(), log, self, buffer, sector_size);
        Hasher::oneshot(buffer)
    }
}

/// Reads `pieces`, whose places are `log` and the image `below`.
pub(crate) fn read_over(
    pieces: impl IntoIterator<Item = Piece>,
    log: &[u8],
    below: &Image,
    buffer: &mut [u8],
    sector_size: SectorSize,
) {
    let read = |place, offset_bytes, part: &mut [u8]| {
        match place {
            Place::Log => read_padded(log, offset_bytes, part),
            Place::Base => {
                let len_bytes = logwrites_core::num::widen(part.len());
                let extent = sector_size.extent(offset_bytes, len_bytes).expect("pieces are whole sectors");
                below.read(extent, part, sector_size);
            }
        }
        Ok::<(), Infallible>(())
    };
    match read_pieces(sector_size, pieces, buffer, read) {
        Ok(()) => {}
    }
}

/// Reads what `bytes` have from an offset on, and zeros after them.
fn read_padded(bytes: &[u8], offset_bytes: u64, buffer: &mut [u8]) {
    let there = &bytes[clip(offset_bytes, bytes.len())..];
    let (copied, zeros) = buffer.split_at_mut(there.len().min(buffer.len()));
    copied.copy_from_slice(&there[..copied.len()]);
    zeros.fill(0);
}

fn part(bytes: &[u8], offset_bytes: u64, len: usize) -> Option<&[u8]> {
    let start = usize::try_from(offset_bytes).ok()?;
    bytes.get(start..start.checked_add(len)?)
}

/// Content up to this length is gathered without an allocation.
const SMALL_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const SECTOR: SectorSize = SectorSize::B512;

    fn over(below: Image, sector: u64, nr_sectors: u64, log: Vec<u8>) -> Image {
        let mut map = ExtentMap::new(SECTOR);
        map.insert(Extent::new(sector, nr_sectors).unwrap(), Source::Log { offset_bytes: 0 });
        Image::state(map, Arc::new(log), below)
    }

    #[test]
    fn each_state_is_over_the_one_below_and_all_over_the_base() {
        let base = Image::Base(vec![1; 700].into());
        let once = over(base, 1, 2, vec![2; 1024]);
        let twice = over(once, 2, 1, vec![3; 512]);
        let mut buffer = [9; 4 * 512];
        twice.read(Extent::new(0, 4).unwrap(), &mut buffer, SECTOR);
        let firsts: Vec<u8> = buffer.iter().step_by(512).copied().collect();
        assert_eq!(firsts, [1, 2, 3, 0]);
    }

    #[test]
    fn a_fingerprint_is_of_the_content_wherever_it_is() {
        let base = Image::Base(vec![7; 1024].into());
        let extent = Extent::new(0, 1).unwrap();
        let of = |source, log: &[u8]| base.fingerprint(&[Piece { extent, source }], log, SECTOR);
        let in_log = Some(Source::Log { offset_bytes: 512 });
        assert_eq!(of(None, &[]), of(in_log, &[7; 1024]));
        assert_ne!(of(None, &[]), of(in_log, &[8; 1024]));
        assert_ne!(of(None, &[]), of(Some(Source::Zeros { entry_offset_bytes: 0 }), &[]));
    }
}
