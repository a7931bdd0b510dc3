//! Numbers of the format as lengths in memory, and back.

/// A length in memory as a number of the format.
#[must_use]
pub const fn widen(len: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS, "no memory is larger") };
    #[expect(clippy::as_conversions, reason = "From is not const yet; asserted above")]
    let len = len as u64;
    len
}

/// A number of the format that is known to be a length or an index in memory.
///
/// # Panics
/// If it is not.
#[must_use]
pub fn narrow(number: u64) -> usize {
    usize::try_from(number).expect("what is in memory has its length there")
}

/// As much of a length as there is room for in memory.
#[must_use]
pub fn clip(len: u64, room: usize) -> usize {
    usize::try_from(len).map_or(room, |len| len.min(room))
}
