//! A reader of logs as naive as can be, to judge the core by.
//!
//! It is written from docs/format.md alone and shares no code with the core, not even a constant: it reads its own
//! bytes, and computes in numbers so wide that nothing overflows. It takes a log as one slice and believes nothing.

use core::fmt;

/// What a superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How many entries are counted.
    pub nr_entries: u64,
    /// The unit of everything.
    pub sector_bytes: usize,
}

impl Superblock {
    /// The superblock at the start of a log, if there is one.
    #[must_use]
    pub fn read(log: &[u8]) -> Option<Self> {
        if log.len() < 32 || number(log, 0, 8) != 0x006a_7366_7773_6872 || number(log, 8, 8) != 1 {
            return None;
        }
        let sector_bytes = usize::try_from(number(log, 24, 4)).ok()?;
        let is_size = sector_bytes.is_power_of_two() && (32..=8 * 1024 * 1024).contains(&sector_bytes);
        is_size.then(|| Self { nr_entries: number(log, 16, 8), sector_bytes })
    }
}

/// The contents of a log between its first sector and the payload of its last entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where its header starts, in bytes.
    pub at: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// The header's first number.
    pub sector: u64,
    /// The header's second number.
    pub nr_sectors: u64,
    /// The header's third number.
    pub flags: u64,
    /// The header's fourth number.
    pub data_len: u64,
    /// The text of a mark, without its NUL.
    pub text: &'a [u8],
    /// What follows header and text in the entry's own sector: zeros, if we wrote it.
    pub padding: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Whether it is a FLUSH and nothing else that has an extent.
    #[must_use]
    pub const fn is_bare_flush(&self) -> bool {
        self.flags & FLUSH != 0 && self.nr_sectors == 0
    }

    /// Whether it looks like something that a recorder of today has written. A payload that is taken for a header
    /// almost never does.
    #[must_use]
    pub const fn looks_written(&self) -> bool {
        self.flags < 32 && (self.flags & MARK != 0 || self.data_len == 0)
    }

    /// The entry whose header starts at byte `at`, if there is one.
    fn read(log: &'a [u8], sector_bytes: usize, at: usize) -> Option<Self> {
        let own_sector = log.get(at..)?.get(..sector_bytes)?;
        let [sector, nr_sectors, flags, data_len] = [0, 8, 16, 24].map(|at| number(own_sector, at, 8));
        let behind_header = own_sector.split_at(32).1;
        if flags == 0 && nr_sectors == 0 {
            return None;
        }
        if (u128::from(sector) + u128::from(nr_sectors)) * wide(sector_bytes) >= 1 << 63 {
            return None;
        }
        let text_len = if flags & MARK == 0 {
            // Only an old kernel's inline data may follow a header that says so.
            if data_len == 0 && behind_header.first().is_some_and(|byte| *byte != 0) {
                return None;
            }
            0
        } else {
            let text_len = usize::try_from(data_len).ok()?;
            if nr_sectors != 0 || behind_header.iter().position(|byte| *byte == 0) != Some(text_len) {
                return None;
            }
            text_len
        };
        let (text, padding) = behind_header.split_at(text_len);
        let payload_bytes =
            if flags & DISCARD == 0 { u128::from(nr_sectors) * wide(sector_bytes) } else { 0 };
        let payload = log.get(at + sector_bytes..)?.get(..usize::try_from(payload_bytes).ok()?)?;
        let end = at + sector_bytes + payload.len();
        Some(Self { at, end, sector, nr_sectors, flags, data_len, text, padding, payload })
    }
}

/// Without the bytes, of which there may be many.
impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, end, sector, nr_sectors, flags, .. } = self;
        write!(f, "{at}..{end}: flags {flags:#x} at {sector}+{nr_sectors}")?;
        write!(f, " {:?}", String::from_utf8_lossy(self.text))
    }
}

/// The first entries of a log, at most so many, up to the first place where none is.
pub fn entries(log: &[u8], sector_bytes: usize, max_entries: u64) -> impl Iterator<Item = Entry<'_>> {
    let mut at = sector_bytes;
    let max_entries = usize::try_from(max_entries).unwrap_or(usize::MAX);
    core::iter::from_fn(move || {
        let entry = Entry::read(log, sector_bytes, at)?;
        at = entry.end;
        Some(entry)
    })
    .take(max_entries)
}

/// Flush, and what is before it.
pub const FLUSH: u64 = 1;
/// Forced unit access.
pub const FUA: u64 = 2;
/// Without payload.
pub const DISCARD: u64 = 4;
/// With text.
pub const MARK: u64 = 8;

/// The number of `len` bytes at byte `at`, the lowest byte first.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn wide(bytes: usize) -> u128 {
    u128::try_from(bytes).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 32 bytes a sector, a write of one sector at 7, then rubbish.
    #[test]
    fn a_log_written_by_hand_is_read() {
        let mut log = vec![0; 4 * 32];
        log[..8].copy_from_slice(b"rhswfsj\0");
        (log[8], log[16], log[24]) = (1, 1, 32);
        (log[32], log[40], log[48]) = (7, 1, 2);
        log[64..96].fill(0xaa);
        assert_eq!(Superblock::read(&log), Some(Superblock { nr_entries: 1, sector_bytes: 32 }));
        let read: Vec<_> = entries(&log, 32, 9).collect();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].sector, read[0].flags, read[0].payload), (7, FUA, &[0xaa; 32][..]));
        assert_eq!((read[0].at, read[0].end), (32, 96));
        log.truncate(95);
        assert_eq!(entries(&log, 32, 9).count(), 0);
    }
}
