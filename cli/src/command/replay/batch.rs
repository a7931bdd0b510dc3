//! Small pieces, joined to large writes.

use std::io;

use crate::device::Disk;

/// Collects bytes for a disk, and writes neighbours in one: for a few KiB, a system call costs more than the copy, and a
/// request to the device more than what it writes.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    target: &'a Disk,
    /// Whether the target is zero wherever nothing was written yet, so that small gaps may be written too.
    is_blank: bool,
    /// Where the collected bytes belong, in bytes.
    offset_bytes: u64,
    len: usize,
    /// How much of it is gaps.
    gaps_len: usize,
    room: Vec<u8>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(target: &'a Disk, is_blank: bool) -> Self {
        Self { target, is_blank, offset_bytes: 0, len: 0, gaps_len: 0, room: Vec::new() }
    }

    /// Copies a piece of a source. What lies between it and the piece before must not have been written meanwhile
    /// without a [`flush`](Self::flush).
    pub(super) fn copy(
        &mut self,
        source: &Disk,
        source_offset_bytes: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> io::Result<()> {
        let len = usize::try_from(len_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        match self.gap_before(offset_bytes).filter(|gap| self.len + gap + len <= self.room.len()) {
            Some(gap) => {
                self.room[self.len..self.len + gap].fill(0);
                self.len += gap;
                self.gaps_len += gap;
            }
            None => {
                self.flush()?;
                self.offset_bytes = offset_bytes;
            }
        }
        if self.room.len() < len {
            self.room = vec![0; len.max(ROOM_BYTES)];
        }
        let to = &mut self.room[self.len..self.len + len];
        source.read_at(source_offset_bytes, to)?;
        self.len += len;
        Ok(())
    }

    /// Writes what was collected.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.gaps_len = 0;
        let bytes = &self.room[..std::mem::take(&mut self.len)];
        self.target.write_at(self.offset_bytes, bytes)
    }

    /// How much has to be written before a piece so that it joins the batch; `None` if it should not.
    fn gap_before(&self, offset_bytes: u64) -> Option<usize> {
        let end_bytes = self.offset_bytes + u64::try_from(self.len).ok()?;
        let gap = usize::try_from(offset_bytes.checked_sub(end_bytes)?).ok()?;
        // An image may take twice the room of what is in it, and not more.
        let data_len = self.len - self.gaps_len;
        let is_small = self.is_blank && gap <= GAP_BYTES && self.gaps_len + gap <= data_len;
        (gap == 0 || is_small).then_some(gap)
    }
}

const ROOM_BYTES: usize = 1 << 20;

/// A larger gap stays a hole.
const GAP_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Access;

    #[test]
    fn pieces_land_where_they_belong() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name| Disk::open(&dir.path().join(name), Access::CreateNew).unwrap();
        let (source, target) = (open("source"), open("target"));
        let bytes: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
        source.write_at(0, &bytes).unwrap();
        target.set_len(4 << 20).unwrap();
        let mut wanted = vec![0; 4 << 20];
        let mut batch = Batch::new(&target, false);
        // Neighbours beyond what fits, then gaps, and one that is larger than all of them.
        let neighbours = (0..300).map(|i| (i * 7777, i * 5000, 5000));
        let gaps = (0..50).map(|i| (i * 333, (2 << 20) + i * 9000, 100 + i * 10));
        for (from, to, len) in neighbours.chain(gaps).chain([(5, 3 << 20, 1 << 20)]) {
            let [from_bytes, to_bytes, len_bytes] = [from, to, len].map(|n| u64::try_from(n).unwrap());
            batch.copy(&source, from_bytes, to_bytes, len_bytes).unwrap();
            wanted[to..to + len].copy_from_slice(&bytes[from..from + len]);
        }
        batch.flush().unwrap();
        let mut got = vec![1; 4 << 20];
        target.read_at(0, &mut got).unwrap();
        assert!(got == wanted);
    }

    #[test]
    fn gaps_are_written_where_they_are_small_and_zero() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name| Disk::open(&dir.path().join(name), Access::CreateNew).unwrap();
        let (source, old, new) = (open("source"), open("old"), open("new"));
        source.write_at(0, &[7; 4096]).unwrap();
        for (target, is_blank, gap) in [(&old, false, 9), (&new, true, 0)] {
            target.write_at(0, &vec![9; 60_000]).unwrap();
            let mut batch = Batch::new(target, is_blank);
            // The second gap is more than the batch so far allows.
            for to_bytes in [0, 8192, 8192 + 4096 + 8192] {
                batch.copy(&source, 0, to_bytes, 4096).unwrap();
            }
            batch.flush().unwrap();
            let mut got = vec![1; 24_576];
            target.read_at(0, &mut got).unwrap();
            let at = |byte: usize| got[byte];
            assert_eq!([at(0), at(4096), at(8192), at(12_288), at(20_479), at(20_480)], [7, gap, 7, 9, 9, 7]);
        }
    }
}
