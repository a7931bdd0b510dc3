//! Arbitrary words as a command line.
#![no_main]

#[path = "../../cli/tests/it/bodies/replay_log_args.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::replay_log_args(bytes));
