//! The bytes of operations in flight.

use logwrites_core::Tag;
use logwrites_core::drive::Payloads;

/// Payloads by tag. Short patterns are made once and shared by all operations that write them; long ones and the texts
/// of marks belong to their operation.
#[derive(Debug, Default)]
pub(super) struct Pool {
    by_tag: Vec<Payload>,
    patterns: Vec<Vec<u8>>,
    own_bytes: usize,
}

#[derive(Debug, Default)]
enum Payload {
    #[default]
    None,
    /// The first so many bytes of the shared pattern.
    Pattern {
        byte: u8,
        len: usize,
    },
    Own(Vec<u8>),
}

impl Pool {
    pub(super) fn set_pattern(&mut self, tag: Tag, byte: u8, len: usize) {
        if len > SHARED_LEN {
            self.set_own(tag, vec![byte; len]);
            return;
        }
        let index = usize::from(byte);
        if self.patterns.len() <= index {
            self.patterns.resize(index + 1, Vec::new());
        }
        if let Some(pattern) = self.patterns.get_mut(index).filter(|pattern| pattern.len() < len) {
            pattern.resize(len, byte);
        }
        self.set(tag, Payload::Pattern { byte, len });
    }

    pub(super) fn set_own(&mut self, tag: Tag, bytes: Vec<u8>) {
        self.own_bytes += bytes.len();
        self.set(tag, Payload::Own(bytes));
    }

    pub(super) fn release(&mut self, tag: Tag) {
        if let Some(slot) = self.by_tag.get_mut(tag.index())
            && let Payload::Own(bytes) = std::mem::take(slot)
        {
            self.own_bytes -= bytes.len();
        }
    }

    /// Whether so much is in memory that the log should be written first.
    pub(super) const fn is_large(&self) -> bool {
        self.own_bytes > LARGE_BYTES
    }

    fn set(&mut self, tag: Tag, payload: Payload) {
        if self.by_tag.len() <= tag.index() {
            self.by_tag.resize_with(tag.index() + 1, Payload::default);
        }
        if let Some(slot) = self.by_tag.get_mut(tag.index()) {
            *slot = payload;
        }
    }
}

impl Payloads for Pool {
    fn payload(&self, tag: Tag) -> &[u8] {
        match self.by_tag.get(tag.index()) {
            Some(Payload::Own(bytes)) => bytes,
            Some(Payload::Pattern { byte, len }) => &self.patterns[usize::from(*byte)][..*len],
            Some(Payload::None) | None => &[],
        }
    }
}

/// The longest pattern that is shared, in bytes: 256 of them are 64 MiB.
const SHARED_LEN: usize = 256 << 10;

/// How much of their own operations in flight may hold, in bytes.
const LARGE_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_shared_and_long_ones_owned() {
        let mut pool = Pool::default();
        let (one, two) = (Tag::new(0), Tag::new(3));
        pool.set_pattern(one, 7, 10);
        pool.set_pattern(two, 7, 20);
        assert_eq!((pool.payload(one), pool.payload(two)), (&[7; 10][..], &[7; 20][..]));
        pool.set_pattern(two, 9, SHARED_LEN + 1);
        assert_eq!((pool.payload(two).len(), pool.own_bytes), (SHARED_LEN + 1, SHARED_LEN + 1));
        pool.release(two);
        assert_eq!((pool.payload(two).len(), pool.own_bytes), (0, 0));
    }
}
