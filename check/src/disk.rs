//! The disk that a workload writes to, and a checker reads from: the same type.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use logwrites_core::geometry::{Extent, SectorSize};
use logwrites_core::num::{narrow, widen};
use logwrites_core::{Op, WriteFlags};
use parking_lot::Mutex;

use crate::media::{Media, Note, widened};
use crate::origin::Origin;
use crate::overdue::stop_if_overdue;

/// A disk in memory whose writes are logged.
///
/// It is read and written at positions ([`read_at`](Self::read_at), [`write_at`](Self::write_at)), or through `Read`,
/// `Write` and `Seek` of `std::io` and of `embedded-io`, which `&Disk` has too. What is no whole sector is widened to
/// sectors, as a driver does it: read, changed, written.
///
/// A write is volatile until a [`flush`](Self::flush) after it has returned: a crash may lose it and keep any other. A
/// clone is another handle of the same disk, with a position of its own; threads may use it at the same time.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    position: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    media: Mutex<Media>,
    sector_size: SectorSize,
    size_bytes: u64,
    /// Whether what led to a write is worth the microseconds to note it.
    notes_stacks: bool,
    /// Set when the checker that uses it has run for too long.
    is_overdue: Arc<AtomicBool>,
}

/// What a disk is made with.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) sector_size: SectorSize,
    pub(crate) size_bytes: u64,
    pub(crate) notes_stacks: bool,
    pub(crate) is_overdue: Arc<AtomicBool>,
}

/// Positions.
impl Disk {
    /// How long the disk is, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared.size_bytes
    }

    /// The size of a sector, in bytes: what is written is lost or kept by sectors at the finest.
    #[must_use]
    pub fn sector_bytes(&self) -> u64 {
        self.shared.sector_size.bytes()
    }

    /// Reads the bytes at an offset, all of `buffer`.
    ///
    /// # Errors
    /// Of the kind `UnexpectedEof` if they reach beyond the end of the disk.
    pub fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.check_range(offset_bytes, widen(buffer.len()), io::ErrorKind::UnexpectedEof)?;
        let mut media = self.lock();
        read_bytes(&mut media, buffer, offset_bytes, self.shared.sector_size);
        Ok(())
    }

    /// Writes all of `bytes` at an offset.
    ///
    /// # Errors
    /// Of the kind `StorageFull` if they reach beyond the end of the disk; then nothing is written.
    #[track_caller]
    pub fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.write_noted(bytes, offset_bytes, WriteFlags::empty(), self.here())
    }

    /// As [`write_at`](Self::write_at), and durable when it returns, as by Force Unit Access. It covers no other write.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    #[track_caller]
    pub fn write_fua_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.write_noted(bytes, offset_bytes, WriteFlags::FUA, self.here())
    }

    /// Makes a range of whole sectors read as zeros.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if the range is not of whole sectors, `StorageFull` if it reaches beyond the end.
    #[track_caller]
    pub fn write_zeroes_at(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let extent = self.extent(offset_bytes, len_bytes)?;
        self.submit(Op::WriteZeroes { extent, flags: WriteFlags::empty() }, self.here())
    }

    /// Discards a range of whole sectors: it reads as zeros, or, where a crash loses the discard, as before.
    ///
    /// # Errors
    /// As [`write_zeroes_at`](Self::write_zeroes_at).
    #[track_caller]
    pub fn discard_at(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let extent = self.extent(offset_bytes, len_bytes)?;
        self.submit(Op::Discard { extent }, self.here())
    }

    /// Makes every write that has returned durable.
    ///
    /// # Errors
    /// None on this disk.
    #[track_caller]
    pub fn flush(&self) -> io::Result<()> {
        self.submit(Op::Flush, self.here())
    }

    /// Notes in the log that something was reached; a checker asks for it with `is_marked`. The mark is at the
    /// place of the call among the writes, and makes nothing durable.
    ///
    /// # Panics
    /// If the name is longer than a sector less 33 bytes, or holds a NUL.
    #[track_caller]
    pub fn mark(&self, name: &str) {
        let note = self.here();
        let marked = self.lock().mark(name, note);
        marked.expect("the name of a mark fits into a sector");
    }
}

/// For the crate.
impl Disk {
    pub(crate) fn new(media: Media, shape: Shape) -> Self {
        let Shape { sector_size, size_bytes, notes_stacks, is_overdue } = shape;
        let media = Mutex::new(media);
        let shared = Shared { media, sector_size, size_bytes, notes_stacks, is_overdue };
        Self { shared: Arc::new(shared), position: AtomicU64::new(0) }
    }

    /// A note of the caller's place.
    #[track_caller]
    pub(crate) fn here(&self) -> Note {
        let caller = Origin::caller();
        let origin = if self.shared.notes_stacks { caller.with_stack() } else { caller };
        Note { origin, meaning: None }
    }

    pub(crate) fn write_noted(
        &self,
        bytes: &[u8],
        offset_bytes: u64,
        flags: WriteFlags,
        note: Note,
    ) -> io::Result<()> {
        self.check_range(offset_bytes, widen(bytes.len()), io::ErrorKind::StorageFull)?;
        let sector_size = self.shared.sector_size;
        let extent = widened(offset_bytes, bytes.len(), sector_size);
        let op = Op::Write { extent, flags };
        let mut media = self.lock();
        if sector_size.extent(offset_bytes, widen(bytes.len())).is_ok() {
            return media.submit(op, bytes, note);
        }
        let mut whole = vec![0; narrow(sector_size.bytes_of(extent.nr_sectors()))];
        for edge in edges(extent, offset_bytes, offset_bytes + widen(bytes.len()), sector_size) {
            let start = narrow(sector_size.bytes_of(edge.sector() - extent.sector()));
            media.read(edge, &mut whole[start..start + narrow(sector_size.bytes())]);
        }
        let start = narrow(offset_bytes - sector_size.bytes_of(extent.sector()));
        whole[start..start + bytes.len()].copy_from_slice(bytes);
        media.submit(op, &whole, note)
    }

    pub(crate) fn submit(&self, op: Op, note: Note) -> io::Result<()> {
        self.lock().submit(op, &[], note)
    }

    /// The media, for as long as no other thread uses the disk.
    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, Media> {
        stop_if_overdue(&self.shared.is_overdue);
        self.shared.media.lock()
    }

    /// What was read and written, once the workload or the checker has returned. A handle that it left to others
    /// has an empty disk from then on.
    pub(crate) fn take(self) -> Media {
        let sector_size = self.shared.sector_size;
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => shared.media.into_inner(),
            Err(shared) => {
                let empty = Media::new(crate::image::Image::Base(Arc::default()), sector_size);
                std::mem::replace(&mut *shared.media.lock(), empty)
            }
        }
    }

    pub(crate) const fn position(&self) -> &AtomicU64 {
        &self.position
    }

    fn check_range(&self, offset_bytes: u64, len_bytes: u64, kind: io::ErrorKind) -> io::Result<()> {
        let size_bytes = self.size_bytes();
        if offset_bytes.checked_add(len_bytes).is_some_and(|end| end <= size_bytes) {
            return Ok(());
        }
        let message = format!("{len_bytes} bytes at {offset_bytes} of a disk of {size_bytes} bytes");
        Err(io::Error::new(kind, message))
    }

    fn extent(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<Extent> {
        self.check_range(offset_bytes, len_bytes, io::ErrorKind::StorageFull)?;
        let extent = self.shared.sector_size.extent(offset_bytes, len_bytes);
        extent.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl Clone for Disk {
    /// Another handle of the same disk, at position 0.
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), position: AtomicU64::new(0) }
    }
}

/// Reads bytes that may begin and end inside sectors.
fn read_bytes(media: &mut Media, buffer: &mut [u8], offset_bytes: u64, sector_size: SectorSize) {
    let extent = widened(offset_bytes, buffer.len(), sector_size);
    if sector_size.extent(offset_bytes, widen(buffer.len())).is_ok() {
        return media.read(extent, buffer);
    }
    let mut whole = vec![0; narrow(sector_size.bytes_of(extent.nr_sectors()))];
    media.read(extent, &mut whole);
    let start = narrow(offset_bytes - sector_size.bytes_of(extent.sector()));
    buffer.copy_from_slice(&whole[start..start + buffer.len()]);
}

/// The sectors of an extent that the bytes from `start` to `end` cover only in part: at most the first and the last.
fn edges(extent: Extent, start: u64, end: u64, sector_size: SectorSize) -> impl Iterator<Item = Extent> {
    let first = (!sector_size.is_aligned(start)).then_some(extent.sector());
    let last = (!sector_size.is_aligned(end)).then(|| extent.end() - 1).filter(|last| Some(*last) != first);
    first.into_iter().chain(last).map(|sector| Extent::between(sector, sector + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use proptest::prelude::*;

    fn disk(base: Vec<u8>) -> Disk {
        let size_bytes = widen(base.len());
        let media = Media::new(Image::Base(base.into()), SectorSize::B512);
        let is_overdue = Arc::default();
        Disk::new(media, Shape { sector_size: SectorSize::B512, size_bytes, notes_stacks: true, is_overdue })
    }

    #[test]
    fn what_reaches_beyond_the_end_is_refused() {
        let disk = disk(vec![0; 1024]);
        let error = disk.write_at(&[1; 513], 512).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read_at(&mut [0; 1], 1024).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(disk.discard_at(0, 100).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.take().nr_entries(), 0);
    }

    #[test]
    fn a_write_of_part_of_a_sector_reads_that_sector_alone() {
        let disk = disk(vec![7; 8 * 512]);
        disk.write_at(&[1; 1500], 600).unwrap();
        let reads = disk.lock().take_reads();
        assert_eq!(reads, [Extent::new(1, 1).unwrap(), Extent::new(4, 1).unwrap()]);
        disk.write_at(&[2; 1024], 0).unwrap();
        assert!(disk.lock().take_reads().is_empty());
    }

    proptest! {
        #[test]
        fn it_is_a_range_of_bytes(writes in proptest::collection::vec((0usize..4000, 1usize..1500, 1u8..), 1..20)) {
            let disk = disk(vec![9; 4096]);
            let mut expected = vec![9; 4096];
            for (start, len, byte) in writes {
                let end = (start + len).min(4096);
                expected[start..end].fill(byte);
                disk.write_at(&expected[start..end], widen(start)).unwrap();
                let mut found = vec![0; end - start / 2];
                disk.read_at(&mut found, widen(start / 2)).unwrap();
                prop_assert_eq!(&found, &expected[start / 2..end]);
            }
            let mut all = vec![0; 4096];
            disk.read_at(&mut all, 0).unwrap();
            prop_assert_eq!(all, expected);
        }
    }
}
