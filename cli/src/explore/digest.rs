//! Hashes of contents.

use std::io;

use logwrites_core::num::{clip, widen};
use sha2::digest::FixedOutput as _;
use sha2::{Digest as _, Sha256};

use crate::interrupt;
use crate::output::hex;

/// The first half of a SHA-256: 128 bits, so that not even what was made for it is taken for something else.
pub(super) fn half(hasher: Sha256) -> u128 {
    hasher.finalize_fixed().into_iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(byte))
}

/// The SHA-256 of so many bytes, in hexadecimal, as `sha256sum` prints it.
pub(super) fn hex_of(
    len_bytes: u64,
    mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut offset_bytes = 0;
    while offset_bytes < len_bytes {
        if interrupt::is_requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let part = &mut buffer[..clip(len_bytes - offset_bytes, READ_BYTES)];
        read_at(offset_bytes, part)?;
        hasher.update(&*part);
        offset_bytes += widen(part.len());
    }
    Ok(hex::digits(&hasher.finalize()))
}

/// How much is read at a time.
const READ_BYTES: usize = 1 << 20;
