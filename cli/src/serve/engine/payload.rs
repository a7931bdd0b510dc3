//! Buffers for payloads: received into, then written from, without a copy on the way.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use logwrites_core::num::narrow;
use parking_lot::{Condvar, Mutex};

/// Buffers that are used again, and no more than so many bytes of them at once.
pub struct Pool {
    state: Mutex<PoolState>,
    returned: Condvar,
    limit_bytes: usize,
}

#[derive(Default)]
struct PoolState {
    /// By size class: unused buffers.
    free: [Vec<Vec<u8>>; NR_CLASSES],
    used_bytes: usize,
}

impl Pool {
    /// A pool of so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), returned: Condvar::new(), limit_bytes })
    }

    /// A buffer of at least `len` bytes, whatever they are; `None` if there is no room for it now.
    #[must_use]
    pub fn try_take(self: &Arc<Self>, len: usize) -> Option<Buffer> {
        let class = class_of(len);
        let mut state = self.state.lock();
        let is_room = state.used_bytes == 0 || state.used_bytes + class_len(class) <= self.limit_bytes;
        is_room.then(|| self.take_from(&mut state, class))
    }

    /// A buffer of at least `len` bytes; waits for room. The caller must not hold a buffer that others wait for.
    #[must_use]
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let class = class_of(len);
        let mut state = self.state.lock();
        while state.used_bytes > 0 && state.used_bytes + class_len(class) > self.limit_bytes {
            self.returned.wait(&mut state);
        }
        self.take_from(&mut state, class)
    }

    fn take_from(self: &Arc<Self>, state: &mut PoolState, class: usize) -> Buffer {
        state.used_bytes += class_len(class);
        let old = state.free.get_mut(class).and_then(Vec::pop);
        let bytes = old.unwrap_or_else(|| vec![0; class_len(class)]);
        Buffer { bytes, class, pool: Arc::clone(self) }
    }

    fn put_back(&self, bytes: Vec<u8>, class: usize) {
        let mut state = self.state.lock();
        state.used_bytes -= class_len(class);
        if let Some(free) = state.free.get_mut(class)
            && (free.len() + 1) * class_len(class) <= KEPT_BYTES
        {
            free.push(bytes);
        }
        drop(state);
        self.returned.notify_one();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used_bytes = self.state.lock().used_bytes;
        f.debug_struct("Pool").field("used_bytes", &used_bytes).finish_non_exhaustive()
    }
}

/// A buffer of a pool, which it goes back to.
pub struct Buffer {
    bytes: Vec<u8>,
    class: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// All of it, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes.len())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put_back(std::mem::take(&mut self.bytes), self.class);
    }
}

/// The payload of an operation: none, a part of a buffer, or a text.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    bytes: Bytes,
}

#[derive(Clone, Debug, Default)]
enum Bytes {
    #[default]
    None,
    /// The range lies in the buffer.
    Part {
        buffer: Arc<Buffer>,
        range: Range<usize>,
    },
    Text(Arc<[u8]>),
}

impl Payload {
    /// No payload.
    pub const NONE: Self = Self { bytes: Bytes::None };

    /// A part of a buffer, which other operations may have parts of too.
    ///
    /// # Panics
    /// If the buffer has no such part.
    #[must_use]
    pub fn part(buffer: Arc<Buffer>, range: Range<usize>) -> Self {
        assert!(buffer.bytes().get(range.clone()).is_some(), "{range:?} of {buffer:?}");
        Self { bytes: Bytes::Part { buffer, range } }
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: Bytes::Text(text.into()) }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::None => &[],
            Bytes::Part { buffer, range } => &buffer.bytes()[range.clone()],
            Bytes::Text(text) => text,
        }
    }
}

/// Sizes are powers of two from [`MIN_CLASS_BYTES`] on.
const fn class_len(class: usize) -> usize {
    MIN_CLASS_BYTES << class
}

fn class_of(len: usize) -> usize {
    let units = len.div_ceil(MIN_CLASS_BYTES).next_power_of_two();
    narrow(units.trailing_zeros().into()).min(NR_CLASSES - 1)
}

const MIN_CLASS_BYTES: usize = 64 << 10;

/// The largest has 64 MiB.
const NR_CLASSES: usize = 11;

/// How much of each class is kept for later, in bytes.
const KEPT_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_bounded() {
        let pool = Pool::new(256 << 10);
        let mut one = pool.take(1);
        assert_eq!(one.bytes().len(), 64 << 10);
        one.bytes_mut()[0] = 7;
        let two = pool.try_take((64 << 10) + 1).unwrap();
        assert_eq!(two.bytes().len(), 128 << 10);
        assert!(pool.try_take(128 << 10).is_none());
        let payload = Payload::part(Arc::new(one), 0..2);
        let other = payload.clone();
        drop(payload);
        assert!(pool.try_take(128 << 10).is_none());
        assert_eq!(other.bytes(), [7, 0]);
        drop(other);
        assert_eq!(pool.try_take(1).unwrap().bytes()[0], 7, "the same buffer");
    }

    #[test]
    #[should_panic(expected = "65535..65537 of Buffer(65536 bytes)")]
    fn a_part_lies_in_its_buffer() {
        let _ = Payload::part(Arc::new(Pool::new(64 << 10).take(1)), 65_535..65_537);
    }

    #[test]
    fn a_waiting_thread_continues_when_there_is_room() {
        let pool = Pool::new(64 << 10);
        let one = pool.take(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take(64 << 10).bytes().len());
            drop(one);
            assert_eq!(waiting.join().unwrap(), 64 << 10);
        });
    }

    #[test]
    fn every_length_has_its_class() {
        for (len, class) in [(0, 0), (1, 0), (65_536, 0), (65_537, 1), (32 << 20, 9), ((32 << 20) + 1, 10)] {
            assert_eq!(class_of(len), class, "{len}");
        }
    }
}
