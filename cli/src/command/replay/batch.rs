//! Small pieces, joined to large writes.

use std::io;

use crate::device::Disk;

/// Collects bytes for a disk, and writes neighbours in one: for a few KiB, a system call costs more than the copy.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    target: &'a Disk,
    /// Where the collected bytes belong, in bytes.
    offset_bytes: u64,
    len: usize,
    room: Vec<u8>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(target: &'a Disk) -> Self {
        Self { target, offset_bytes: 0, len: 0, room: Vec::new() }
    }

    /// Copies a piece of a source.
    pub(super) fn copy(
        &mut self,
        source: &Disk,
        source_offset_bytes: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> io::Result<()> {
        let len = usize::try_from(len_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if offset_bytes != self.end_bytes() || self.len + len > self.room.len() {
            self.flush()?;
            self.offset_bytes = offset_bytes;
        }
        if self.room.len() < len {
            self.room = vec![0; len.max(ROOM_BYTES)];
        }
        let to = self.room.get_mut(self.len..self.len + len).unwrap_or_default();
        source.read_at(source_offset_bytes, to)?;
        self.len += len;
        Ok(())
    }

    /// Writes what was collected.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let bytes = self.room.get(..std::mem::take(&mut self.len)).unwrap_or_default();
        self.target.write_at(self.offset_bytes, bytes)
    }

    fn end_bytes(&self) -> u64 {
        self.offset_bytes + u64::try_from(self.len).unwrap_or(u64::MAX)
    }
}

const ROOM_BYTES: usize = 1 << 20;

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
        let mut batch = Batch::new(&target);
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
}
