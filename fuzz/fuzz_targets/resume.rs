//! An arbitrary log, damaged, recovered, and gone on with.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::resume(bytes));
