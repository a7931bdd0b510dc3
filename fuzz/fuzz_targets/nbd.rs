//! Arbitrary bytes as what an NBD client sends.
#![no_main]

#[path = "../../cli/tests/it/bodies/nbd.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::nbd(bytes));
