//! Every crash state of an arbitrary log, beside the search that decides them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::crash(bytes));
