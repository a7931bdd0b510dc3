//! Hashes of contents.

use sha2::Sha256;
use sha2::digest::FixedOutput as _;

/// The first half of a SHA-256: 128 bits, so that not even what was made for it is taken for something else.
pub(super) fn half(hasher: Sha256) -> u128 {
    hasher.finalize_fixed().into_iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(byte))
}
