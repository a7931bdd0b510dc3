//! The bodies of the fuzz targets: each takes arbitrary bytes, and panics if something does not hold.
//!
//! They are functions of a library, so that the targets in `fuzz/` are one line each, and property tests run the
//! same bodies where there is no fuzzer.

mod contents;
mod crash;
mod encode;
mod parse;
mod recover;
mod resume;
mod schedule;
mod session;

pub use contents::contents;
pub use crash::crash;
pub use encode::encode;
pub use parse::parse;
pub use resume::resume;
pub use schedule::schedule;

fn len_bytes<T>(bytes: &[T]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
