//! The bodies of the fuzz targets: each takes arbitrary bytes, and panics if something does not hold.
//!
//! They are functions of a library, so that the targets in `fuzz/` are one line each, and property tests run the
//! same bodies where there is no fuzzer.

mod parse;

pub use parse::parse;
