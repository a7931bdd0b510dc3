//! Two contents of a disk, compared sector by sector: for `diff` and `verify`.

use logwrites_core::num::narrow;
use logwrites_core::{Extent, SectorSize};

use crate::interrupt;

/// Reads an extent twice, a step at a time, and calls `differs` with each sector that is not the same in both, and with
/// its two contents.
pub(super) fn compare(
    sector_size: SectorSize,
    extent: Extent,
    mut read_a: impl FnMut(Extent, &mut [u8]) -> anyhow::Result<()>,
    mut read_b: impl FnMut(Extent, &mut [u8]) -> anyhow::Result<()>,
    mut differs: impl FnMut(u64, &[u8], &[u8]),
) -> anyhow::Result<()> {
    let sector_len = narrow(sector_size.bytes());
    let step_sectors = (STEP_BYTES / sector_size.bytes()).max(1);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut sector = extent.sector();
    while sector < extent.end() {
        interrupt::check("")?;
        let step = Extent::between(sector, extent.end().min(sector + step_sectors));
        let len = narrow(sector_size.bytes_of(step.nr_sectors()));
        a.resize(len, 0);
        b.resize(len, 0);
        read_a(step, &mut a)?;
        read_b(step, &mut b)?;
        if a != b {
            let sectors = a.chunks(sector_len).zip(b.chunks(sector_len));
            for (at, (a, b)) in (sector..).zip(sectors).filter(|(_, (a, b))| a != b) {
                differs(at, a, b);
            }
        }
        sector = step.end();
    }
    Ok(())
}

/// How much is read at a time, in bytes.
const STEP_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sector_that_differs_is_reported_once() {
        let sector_size = SectorSize::B512;
        let mut other = vec![7; 5 << 20];
        for sector in [3, 2047, 2048, 9999] {
            other[sector * 512 + 511] = 8;
        }
        let bytes_of = |extent: Extent| narrow(extent.sector() * 512)..narrow(extent.end() * 512);
        let mut told = Vec::new();
        compare(
            sector_size,
            Extent::between(3, 9999),
            |_, bytes| {
                bytes.fill(7);
                Ok(())
            },
            |extent, bytes| {
                bytes.copy_from_slice(&other[bytes_of(extent)]);
                Ok(())
            },
            |sector, a, b| {
                assert_eq!((a.len(), a[511], b[511]), (512, 7, 8));
                told.push(sector);
            },
        )
        .unwrap();
        assert_eq!(told, [3, 2047, 2048]);
    }
}
