//! Arbitrary bytes as an interleaving of everything that can happen to a logger.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::schedule(bytes));
