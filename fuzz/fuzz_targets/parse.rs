//! Arbitrary bytes as a log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::parse(bytes));
