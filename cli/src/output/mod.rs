//! What people and machines see.

pub mod hex;
pub mod json;
pub mod listing;
pub mod live_line;
pub mod printable;
pub mod progress;
pub mod style;

mod stdout;

use std::io::{self, Write};

pub use self::stdout::{Stdout, stdout};

/// Prints one object on one line.
///
/// # Errors
/// The writer's.
pub fn print_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
