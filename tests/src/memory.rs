//! A device in memory, with `embedded-io`'s traits.

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

/// Bytes with a position, as a file has one: reads end at the end, writes go beyond it, and what they skip is zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    bytes: Vec<u8>,
    position_bytes: u64,
}

impl Memory {
    /// The most bytes that it takes, so that a wild offset is an error and not all the machine's memory.
    pub const MAX_LEN_BYTES: u64 = 1 << 30;

    /// A device with these bytes, at its start.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, position_bytes: 0 }
    }

    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it holds.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn len_bytes(&self) -> u64 {
        bytes_of(self.bytes.len())
    }
}

impl ErrorType for Memory {
    type Error = ErrorKind;
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let start = usize::try_from(self.position_bytes).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let len = buffer.len().min(rest.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.position_bytes += bytes_of(len);
        Ok(len)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let end_bytes = self.position_bytes.saturating_add(bytes_of(bytes.len()));
        if end_bytes > Self::MAX_LEN_BYTES {
            return Err(ErrorKind::OutOfMemory);
        }
        let end = usize::try_from(end_bytes).map_err(|_| ErrorKind::OutOfMemory)?;
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[end - bytes.len()..end].copy_from_slice(bytes);
        self.position_bytes = end_bytes;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
        let position_bytes = match to {
            SeekFrom::Start(offset_bytes) => Some(offset_bytes),
            SeekFrom::End(by_bytes) => self.len_bytes().checked_add_signed(by_bytes),
            SeekFrom::Current(by_bytes) => self.position_bytes.checked_add_signed(by_bytes),
        };
        self.position_bytes = position_bytes.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position_bytes)
    }
}

fn bytes_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_reads_as_zeros() {
        let mut memory = Memory::new(vec![1]);
        assert_eq!(memory.seek(SeekFrom::End(2)), Ok(3));
        assert_eq!(memory.write(&[2]), Ok(1));
        assert_eq!(memory.seek(SeekFrom::Current(-2)), Ok(2));
        let mut buffer = [9; 4];
        assert_eq!(memory.read(&mut buffer), Ok(2));
        assert_eq!(buffer, [0, 2, 9, 9]);
        assert_eq!(memory.read(&mut buffer), Ok(0));
        assert_eq!(memory.into_bytes(), [1, 0, 0, 2]);
    }

    #[test]
    fn a_wild_offset_is_an_error() {
        let mut memory = Memory::default();
        assert_eq!(memory.seek(SeekFrom::Current(-1)), Err(ErrorKind::InvalidInput));
        assert_eq!(memory.seek(SeekFrom::Start(u64::MAX)), Ok(u64::MAX));
        assert_eq!(memory.read(&mut [0]), Ok(0));
        assert_eq!(memory.write(&[1]), Err(ErrorKind::OutOfMemory));
        assert!(memory.bytes().is_empty());
    }
}
