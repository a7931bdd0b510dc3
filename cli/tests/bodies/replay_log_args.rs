//! Arbitrary words as a command line.

use std::ffi::{OsStr, OsString};

use clap::Parser as _;
use logwrites::args::{Args, Command};
use logwrites::command::replay_log::options::{Check, Discards, Mode, Options, Request, Verbosity, parse};
use logwrites::error::Failure;
use logwrites_core::format::Flags;

/// Takes the lines of `bytes` as the words of a command line. As `replay-log` reads them they must ask for something
/// that, said in other words, is the same, or be refused as the original does. Behind `logwrites replay-log --` they
/// must arrive as they are, whatever they look like; as the words of `logwrites` itself, and of `replay-log` without
/// the `--`, they must be understood or refused.
///
/// clap takes its time, so that it has its turn with one in eight of the lines, as their length says.
pub(crate) fn replay_log_args(bytes: &[u8]) {
    let words: Vec<OsString> = bytes.split(|byte| *byte == b'\n').take(MAX_WORDS).map(word).collect();
    assert_read(&words);
    if bytes.len().is_multiple_of(8) {
        assert_understood_or_refused(&words);
    }
}

fn assert_read(words: &[OsString]) {
    match parse(words) {
        Ok(Request::Help) => assert!(words.iter().any(|word| is_short_or_long_help(word)), "{words:?}"),
        Ok(Request::Run(options)) => {
            let said = said(&options);
            let mut again = said.clone();
            again.extend(["--", "--bogus"].map(OsString::from));
            again.insert(0, "no option".into());
            assert_eq!(parse(&again).ok(), Some(Request::Run(options)), "{words:?} are {said:?}");
        }
        Err(Failure::Peer { code, words: told }) => {
            assert!(code == 1 && told.lines().count() <= 2, "{told}");
        }
        Err(other) => panic!("{words:?}: {other}"),
    }
}

fn is_short_or_long_help(word: &OsStr) -> bool {
    match word.as_encoded_bytes() {
        [b'-', b'-', long @ ..] => !long.is_empty() && b"help".starts_with(long),
        [b'-', shorts @ ..] => shorts.contains(&b'h'),
        _ => false,
    }
}

/// Words that ask for just this.
fn said(options: &Options) -> Vec<OsString> {
    let mut words = vec![joined("--log=", options.log.as_os_str())];
    match options.mode {
        Mode::Find => words.push("--find".into()),
        Mode::NumEntries => words.push("--num-entries".into()),
        Mode::Replay => {}
    }
    words.extend(options.replay.as_ref().map(|disk| joined("--replay=", disk.as_os_str())));
    words.push(format!("--start-entry={}", options.start.entry).into());
    let marks = [("--start-mark=", &options.start.mark), ("--end-mark=", &options.stop.mark)];
    words.extend(marks.iter().filter_map(|(name, mark)| Some(joined(name, &word(mark.as_deref()?)))));
    words.extend(flags(options.stop.flags).map(|flag| format!("--next-{flag}").into()));
    words.push(format!("--limit={:#x}", options.limit).into());
    words.push(format!("--start-sector=0{:o}", options.skip.start_sector).into());
    words.push(format!("--end-sector= +{}", options.skip.end_sector).into());
    match options.discards {
        Discards::Pass => {}
        Discards::Zero => words.push("--discard-zeroes-data".into()),
        Discards::Drop => words.push("--no-discard".into()),
    }
    if let Some(Check { when, command }) = &options.check {
        words.extend((when.every != 0).then(|| format!("--check={}", when.every).into()));
        words.extend(flags(when.flags).map(|flag| format!("--check={flag}").into()));
        words.push(joined("--fsck=", command));
    }
    match options.verbosity {
        Verbosity::Quiet => {}
        Verbosity::Replayed => words.push("-v".into()),
        Verbosity::All => words.push("-vv".into()),
    }
    words
}

fn flags(flags: Flags) -> impl Iterator<Item = &'static str> {
    let names = [(Flags::FLUSH, "flush"), (Flags::FUA, "fua"), (Flags::DISCARD, "discard")];
    names.into_iter().filter(move |(flag, _)| flags.contains(*flag)).map(|(_, name)| name)
}

fn joined(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(name);
    word.push(value);
    word
}

fn assert_understood_or_refused(words: &[OsString]) {
    let line = |start: &[&str]| {
        let start: Vec<OsString> = start.iter().map(OsString::from).collect();
        Args::try_parse_from([start, words.to_vec()].concat())
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
