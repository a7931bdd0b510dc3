//! Arbitrary text as a script, an iolog, a point and a size.
#![no_main]

#[path = "../../cli/tests/it/bodies/script.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::script(bytes));
