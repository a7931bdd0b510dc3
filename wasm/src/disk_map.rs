//! Where the bytes of a disk are.

use logwrites_core::Extent;
use logwrites_core::history::{ExtentMap, Run, Source};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;
use crate::number::{to_f64, to_u64};

/// A disk at a point: for each byte whether it comes from the base, from the log, or is a zero.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct DiskMap {
    map: ExtentMap,
}

#[wasm_bindgen]
impl DiskMap {
    /// The pieces that make up a range of bytes, in order: three numbers each, its length, where it is
    /// (0 base, 1 log, 2 zeros), and its offset there.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn pieces(&self, offset: f64, length: f64) -> Result<Vec<f64>, Error> {
        pieces(&self.map, offset, length)
    }

    /// The runs that are not the base's, from byte `from` on, `max` of them: three numbers each, offset, length, and 1
    /// for zeros or 0 for bytes of the log.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn runs(&self, from: f64, max: usize) -> Result<Vec<f64>, Error> {
        let sector_size = self.map.sector_size();
        let rest = Extent::between(sector_size.sectors_for(to_u64(from)?), self.map.end_sector());
        Ok(self.map.runs_in(rest).take(max).flat_map(|run| self.run(run)).collect())
    }

    /// The first byte after all runs: from here on everything is base.
    #[wasm_bindgen(getter, js_name = endBytes)]
    #[must_use]
    pub fn end_bytes(&self) -> f64 {
        to_f64(self.map.sector_size().bytes_of(self.map.end_sector()))
    }

    /// How many runs there are.
    #[wasm_bindgen(getter, js_name = nrRuns)]
    #[must_use]
    pub fn nr_runs(&self) -> usize {
        self.map.len()
    }
}

impl DiskMap {
    pub(crate) const fn new(map: ExtentMap) -> Self {
        Self { map }
    }

    pub(crate) const fn map(&self) -> &ExtentMap {
        &self.map
    }

    fn run(&self, run: Run) -> [f64; 3] {
        let sector_size = self.map.sector_size();
        let bytes_of = |sectors| to_f64(sector_size.bytes_of(sectors));
        let is_zeros = matches!(run.source, Source::Zeros { .. });
        [bytes_of(run.extent.sector()), bytes_of(run.extent.nr_sectors()), f64::from(u8::from(is_zeros))]
    }
}

/// As [`DiskMap::pieces`].
pub(crate) fn pieces(map: &ExtentMap, offset: f64, length: f64) -> Result<Vec<f64>, Error> {
    let (start, sector_size) = (to_u64(offset)?, map.sector_size());
    let end = to_u64(offset + length)?;
    if start >= end {
        return Ok(Vec::new());
    }
    let extent = Extent::between(start / sector_size.bytes(), sector_size.sectors_for(end));
    let mut flat = Vec::with_capacity(3);
    for piece in map.pieces(extent) {
        let first = sector_size.bytes_of(piece.extent.sector());
        let (from, to) = (first.max(start), sector_size.bytes_of(piece.extent.end()).min(end));
        let (place, at) = match piece.source {
            None => (BASE, from),
            Some(Source::Log { offset_bytes }) => (LOG, offset_bytes + (from - first)),
            Some(Source::Zeros { .. }) => (ZEROS, 0),
        };
        flat.extend([to_f64(to - from), place, to_f64(at)]);
    }
    Ok(flat)
}

const BASE: f64 = 0.0;
const LOG: f64 = 1.0;
const ZEROS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;

    /// Sectors 2 and 3 from byte 1024 of the log on, sector 4 zeros.
    fn map() -> DiskMap {
        let mut map = ExtentMap::new(SectorSize::B512);
        map.insert(Extent::new(2, 2).unwrap(), Source::Log { offset_bytes: 1024 });
        map.insert(Extent::new(4, 1).unwrap(), Source::Zeros { entry_offset_bytes: 9 });
        DiskMap::new(map)
    }

    fn whole(numbers: &[f64]) -> Vec<u64> {
        numbers.iter().map(|number| to_u64(*number).unwrap()).collect()
    }

    #[test]
    fn pieces_are_clipped_to_bytes() {
        let pieces = |offset, length| whole(&map().pieces(offset, length).unwrap());
        assert_eq!(pieces(1000.0, 1600.0), [24, 0, 1000, 1024, 1, 1024, 512, 2, 0, 40, 0, 2560]);
        assert_eq!(pieces(1100.0, 10.0), [10, 1, 1100]);
        assert_eq!(pieces(1100.0, 0.0), []);
        assert!(map().pieces(0.5, 1.0).is_err() && map().pieces(1.0, f64::MAX).is_err());
    }

    #[test]
    fn runs_come_a_few_at_a_time() {
        let map = map();
        assert_eq!(whole(&map.runs(0.0, 1).unwrap()), [1024, 1024, 0]);
        assert_eq!(whole(&map.runs(2048.0, 9).unwrap()), [2048, 512, 1]);
        assert_eq!((map.nr_runs(), whole(&[map.end_bytes()])), (2, vec![2560]));
    }
}
