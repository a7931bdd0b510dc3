//! Arbitrary words as a command line.

use std::ffi::OsString;

use clap::Parser as _;
use logwrites::args::{Args, Command};

/// Takes the lines of `bytes` as the words of a command line: behind `logwrites replay-log --` they must arrive as they
/// are, whatever they look like; as the words of `logwrites` itself, and of `replay-log` without the `--`, they must
/// be understood or refused.
pub(crate) fn replay_log_args(bytes: &[u8]) {
    let words: Vec<OsString> = bytes.split(|byte| *byte == b'\n').take(MAX_WORDS).map(word).collect();
    let line = |start: &[&str]| {
        let start: Vec<OsString> = start.iter().map(OsString::from).collect();
        Args::try_parse_from([start, words.clone()].concat())
    };
    match line(&["logwrites", "replay-log", "--"]) {
        Ok(Args { command: Command::ReplayLog(replay_log), .. }) => assert_eq!(replay_log.words, words),
        other => panic!("{words:?} are not replay-log's: {other:?}"),
    }
    for start in [&["logwrites"][..], &["logwrites", "replay-log"]] {
        if let Err(error) = line(start) {
            drop(error.to_string());
        }
    }
}

#[cfg(unix)]
fn word(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn word(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

const MAX_WORDS: usize = 64;
