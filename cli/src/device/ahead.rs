//! A disk read from front to back by two threads.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use logwrites_core::num::widen;

use super::disk::Disk;

/// Some bytes of a disk, in room that is used again.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    offset_bytes: u64,
    len: usize,
    /// A page longer than needed, so that the bytes can begin on a page.
    room: Vec<u8>,
}

impl Chunk {
    /// Reads as much as there is, up to `len` bytes.
    pub(super) fn fill(&mut self, disk: &Disk, offset_bytes: u64, len: usize) -> io::Result<()> {
        if self.room.len() < len + PAGE_BYTES {
            self.room = vec![0; len + PAGE_BYTES];
        }
        let start = self.start();
        (self.offset_bytes, self.len) = (offset_bytes, 0);
        let to = &mut self.room[start..start + len];
        self.len = disk.read_up_to(offset_bytes, to)?;
        Ok(())
    }

    /// Where on the disk it begins, in bytes.
    pub(super) const fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let start = self.start();
        &self.room[start..start + self.len]
    }

    /// What it holds from a byte of the disk on.
    pub(super) fn from(&self, offset_bytes: u64) -> &[u8] {
        let skip = offset_bytes.checked_sub(self.offset_bytes).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes().get(skip..)).unwrap_or_default()
    }

    /// To a place a few bytes after that of the source within a page, as an allocator likes to give, some processors
    /// copy four times as slowly.
    fn start(&self) -> usize {
        // Nowhere but at the start, as long as there is no room.
        self.room.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES).min(self.room.len())
    }
}

/// Reads a disk from front to back. Copying out of the page cache takes far longer than looking at headers, so another
/// thread reads every second chunk.
#[derive(Debug)]
pub(super) struct Ahead {
    disk: Arc<Disk>,
    /// None before there is something to be read ahead, or if the system has no thread to give.
    helper: Option<Helper>,
    /// Where the chunk starts that the helper is reading or has read, in bytes.
    asked_bytes: Option<u64>,
}

impl Ahead {
    pub(super) const fn new(disk: Arc<Disk>) -> Self {
        Self { disk, helper: None, asked_bytes: None }
    }

    /// Reads a chunk that begins at or before `offset_bytes`. It does not reach there only if the disk does not.
    ///
    /// `len_bytes` is the length of the disk as far as is known: nothing is read ahead beyond it.
    pub(super) fn read(&mut self, offset_bytes: u64, len_bytes: u64, chunk: &mut Chunk) -> io::Result<()> {
        let chunk_bytes = widen(CHUNK_BYTES);
        let is_there = |asked_bytes: u64| (asked_bytes..asked_bytes + chunk_bytes).contains(&offset_bytes);
        if let Some(asked_bytes) = self.asked_bytes.filter(|asked_bytes| is_there(*asked_bytes))
            && let Some(read) = self.take().filter(|read| !read.from(offset_bytes).is_empty())
        {
            let used = std::mem::replace(chunk, read);
            self.ask(used, asked_bytes + 2 * chunk_bytes, len_bytes);
            return Ok(());
        }
        let is_next = |asked_bytes: u64| (offset_bytes..=offset_bytes + chunk_bytes).contains(&asked_bytes);
        if !self.asked_bytes.is_some_and(is_next) {
            let room = self.take().unwrap_or_default();
            self.ask(room, offset_bytes + chunk_bytes, len_bytes);
        }
        // Up to where the helper's begins.
        let gap_bytes = self.asked_bytes.map_or(chunk_bytes, |asked_bytes| asked_bytes - offset_bytes);
        chunk.fill(&self.disk, offset_bytes, usize::try_from(gap_bytes).unwrap_or(CHUNK_BYTES))
    }

    /// Asks the helper for a chunk, if there is one left.
    fn ask(&mut self, room: Chunk, offset_bytes: u64, len_bytes: u64) {
        if offset_bytes >= len_bytes {
            return;
        }
        if self.helper.is_none() {
            self.helper = Helper::start(Arc::clone(&self.disk)).ok();
        }
        if let Some(helper) = &self.helper
            && helper.requests.send((room, offset_bytes)).is_ok()
        {
            self.asked_bytes = Some(offset_bytes);
        }
    }

    /// Waits for the chunk that the helper was asked for. A chunk that it could not read counts as missing: the
    /// reader that needs it tries again, and sees the error.
    fn take(&mut self) -> Option<Chunk> {
        self.asked_bytes.take()?;
        self.helper.as_ref()?.chunks.recv().ok()
    }
}

/// A thread that reads chunks.
#[derive(Debug)]
struct Helper {
    /// When this goes, the thread ends.
    requests: Sender<(Chunk, u64)>,
    chunks: Receiver<Chunk>,
}

impl Helper {
    fn start(disk: Arc<Disk>) -> io::Result<Self> {
        let (requests, asked) = channel::<(Chunk, u64)>();
        let (read, chunks) = channel();
        let work = move || {
            for (mut chunk, offset_bytes) in asked {
                // The chunk is empty then.
                let _ = chunk.fill(&disk, offset_bytes, CHUNK_BYTES);
                if read.send(chunk).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("read ahead".to_owned()).stack_size(STACK_BYTES).spawn(work)?;
        Ok(Self { requests, chunks })
    }
}

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

const PAGE_BYTES: usize = 4096;

const STACK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::super::disk::Access;
    use super::*;
    use std::ops::Range;

    const LEN: usize = 9 * CHUNK_BYTES + 12_345;

    fn disk() -> (tempfile::TempDir, Vec<u8>, Arc<Disk>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        // A period that no chunk is a multiple of.
        let bytes: Vec<u8> = (0..=250).cycle().take(LEN).collect();
        std::fs::write(&path, &bytes).unwrap();
        let disk = Disk::open(&path, Access::Write).unwrap();
        (dir, bytes, Arc::new(disk))
    }

    /// Reads a range with gaps of so many bytes between chunks; gives how many chunks that took.
    fn check(ahead: &mut Ahead, bytes: &[u8], range: Range<usize>, gap: usize) -> usize {
        let mut chunk = Chunk::default();
        let (mut at, mut nr_chunks) = (range.start, 0);
        while at < range.end {
            ahead.read(widen(at), widen(bytes.len()), &mut chunk).unwrap();
            let got = chunk.from(widen(at));
            assert!(!got.is_empty() && got == &bytes[at..at + got.len()], "at {at}");
            at += got.len() + gap;
            nr_chunks += 1;
        }
        nr_chunks
    }

    #[test]
    fn what_is_read_ahead_is_what_the_disk_holds() {
        let (_dir, bytes, disk) = disk();
        for gap in [0, 1, 4096, 60_000] {
            let mut ahead = Ahead::new(Arc::clone(&disk));
            let nr_chunks = check(&mut ahead, &bytes, 0..LEN, gap);
            assert!(nr_chunks <= 12, "{nr_chunks} with gaps of {gap}");
            assert!(ahead.helper.is_some());
            // Back, on, and into the middle of what has been asked for.
            check(&mut ahead, &bytes, 100..3 * CHUNK_BYTES, gap);
            check(&mut ahead, &bytes, 6 * CHUNK_BYTES..LEN, gap);
            check(&mut ahead, &bytes, CHUNK_BYTES / 2..4 * CHUNK_BYTES, gap);
        }
    }

    #[test]
    fn a_disk_that_becomes_shorter_ends_there() {
        let (_dir, bytes, disk) = disk();
        let mut ahead = Ahead::new(Arc::clone(&disk));
        check(&mut ahead, &bytes, 0..CHUNK_BYTES, 0);
        let end = 4 * CHUNK_BYTES + 7;
        disk.set_len(widen(end)).unwrap();
        check(&mut ahead, &bytes, CHUNK_BYTES..end, 0);
        let mut chunk = Chunk::default();
        ahead.read(widen(end), widen(LEN), &mut chunk).unwrap();
        assert!(chunk.bytes().is_empty());
    }

    #[test]
    fn bytes_begin_on_a_page() {
        let (_dir, _, disk) = disk();
        let mut chunk = Chunk::default();
        for len in [1, 4096, CHUNK_BYTES, 3] {
            chunk.fill(&disk, 512, len).unwrap();
            assert_eq!((chunk.bytes().len(), chunk.bytes().as_ptr().align_offset(PAGE_BYTES)), (len, 0));
        }
    }
}
