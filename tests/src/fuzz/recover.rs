//! What follows the entries that a superblock counts, and in a log that has lost its superblock.

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom};
use logwrites_core::SectorSize;
use logwrites_core::format::Superblock;
use logwrites_core::reader::{LogSlice, Position, Reader};

use super::len_bytes;
use crate::memory::Memory;
use crate::naive;

/// Goes over `bytes` as a recovery does: after the counted entries, and without a superblock under a
/// usual sector size, which comes from `bytes`, too. What is found must be what a naive reader finds, read back when
/// it is counted, and cost no more reading than there are bytes.
pub(super) fn assert_recovered(bytes: &[u8]) {
    if let Some(superblock) = naive::Superblock::read(bytes) {
        let mut reader = Reader::open(Metered::new(bytes)).expect("the naive reader takes the superblock");
        while let Ok(Some(_)) = reader.next_entry() {}
        if reader.position().index == superblock.nr_entries {
            assert_tail(bytes, reader);
        }
    }
    let usual = USUAL_BYTES[usize::from(bytes.last().copied().unwrap_or_default()) % USUAL_BYTES.len()];
    let sector_size = SectorSize::new(usual).expect("a power of two");
    let superblock = Superblock { nr_entries: 0, sector_size };
    let reader = Reader::with_superblock(Metered::new(bytes), superblock).expect("memory does not fail");
    assert_tail(bytes, reader);
}

/// Recovers what follows a reader that has walked over all entries that are counted.
fn assert_tail(bytes: &[u8], mut reader: Reader<Metered>) {
    let sector_size = reader.superblock().sector_size;
    let before = reader.resume_point();
    let tail = reader.tail().expect("memory does not fail");
    assert_eq!(reader.resume_point(), before, "a look after the end moves nothing");
    assert_eq!(tail.start, before.position, "the tail starts after what is counted");
    reader.count(tail);
    while let Some(entry) = reader.next_entry().expect("what a tail has found is an entry") {
        assert!(entry.end_bytes() <= len_bytes(bytes), "an entry is in the log");
    }
    let point = reader.resume_point();
    assert_eq!(point.position, tail.end, "the walk ends where the tail does");

    let sector_bytes = usize::try_from(sector_size.bytes()).expect("at most 8 MiB");
    let is_counted = |index: usize| u64::try_from(index).is_ok_and(|index| index < tail.start.index);
    let (nr_naive, last) = naive::entries(bytes, sector_bytes, u64::MAX)
        .enumerate()
        .take_while(|(index, entry)| is_counted(*index) || entry.looks_written())
        .fold((0, None), |(nr_naive, _), (_, entry)| (nr_naive + 1, Some(entry)));
    let end = last.as_ref().map_or(sector_bytes, |entry| entry.end);
    let end_bytes = u64::try_from(end).expect("at most 8 MiB, or in the log");
    assert_eq!(point.position, Position { index: nr_naive, offset_bytes: end_bytes });
    assert_eq!(point.unflushed, last.is_some_and(|entry| !entry.is_bare_flush()));
    // 33 bytes a header of at least 32, each mark's text once more, three walks, and the ends of these.
    let nr_bytes_max = 3 * (2 * len_bytes(bytes) + len_bytes(bytes) / 16 + 66);
    assert!(reader.source().read_bytes <= nr_bytes_max, "{} bytes were read", reader.source().read_bytes);
    assert_counted(bytes, Superblock { nr_entries: tail.end.index, sector_size }, tail.end);
}

/// A log whose superblock counts what was recovered is one without a fault.
fn assert_counted(bytes: &[u8], superblock: Superblock, end: Position) {
    if bytes.len() < superblock.emit().len() {
        return;
    }
    let mut counted = bytes.to_vec();
    counted[..superblock.emit().len()].copy_from_slice(&superblock.emit());
    let mut log = LogSlice::open(&counted).expect("it has a superblock");
    let last = log.by_ref().map(|entry| entry.expect("what was recovered is an entry")).last();
    assert_eq!(last.map_or(superblock.sector_size.bytes(), |entry| entry.end_bytes()), end.offset_bytes);
}

/// A source that counts what is read of it.
#[derive(Debug)]
struct Metered {
    memory: Memory,
    read_bytes: u64,
}

impl Metered {
    fn new(bytes: &[u8]) -> Self {
        Self { memory: Memory::new(bytes.to_vec()), read_bytes: 0 }
    }
}

impl ErrorType for Metered {
    type Error = ErrorKind;
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let got = self.memory.read(buffer)?;
        self.read_bytes += len_bytes(&buffer[..got]);
        Ok(got)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
        self.memory.seek(to)
    }
}

/// The smallest size, those of tests, and those of disks.
const USUAL_BYTES: [u32; 4] = [32, 64, 512, 4096];
