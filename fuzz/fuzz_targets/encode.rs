//! Arbitrary operations as a log, which a second reader reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::encode(bytes));
