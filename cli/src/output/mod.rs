//! What people and machines see.

pub mod hex;
pub mod json;
pub mod progress;
pub mod style;

use std::io::{self, Write};

/// Standard output: colours where a person looks, none in a pipe, buffered.
#[must_use]
pub fn stdout() -> impl Write {
    io::BufWriter::with_capacity(64 << 10, anstream::AutoStream::auto(io::stdout().lock()))
}

/// Prints one object on one line.
///
/// # Errors
/// The writer's.
pub fn print_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
