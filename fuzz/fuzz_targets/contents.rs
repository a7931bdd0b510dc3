//! What is on a disk with an arbitrary file system.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| logwrites_tests::fuzz::contents(bytes));
