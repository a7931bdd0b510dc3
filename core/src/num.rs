//! Numbers of bytes in memory as numbers of the format, and back.

/// A length in memory as a number of the format.
pub(crate) const fn widen(len: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS, "no memory is larger") };
    #[expect(clippy::as_conversions, reason = "From is not const yet; asserted above")]
    let len = len as u64;
    len
}
