//! Arbitrary words as a command line.

use std::ffi::{OsStr, OsString};

use clap::Parser as _;
use logwrites::command::Cli;
use logwrites::error::Failure;
use logwrites::replay_log::options::{
    Check, Discards, Mode, Options, Request, Skip, Start, Stop, Verbosity, When, parse,
};
use logwrites_core::format::Flags;

/// Takes the lines of `bytes` as the words of a command line. As `replay-log` reads them they must ask for something
/// that, said in other words, is the same, or be refused as the original does. What else `bytes` choose to ask for must
/// be understood as it is meant. Behind `logwrites replay-log --` they
/// must arrive as they are, whatever they look like; as the words of `logwrites` itself, and of `replay-log` without
/// the `--`, they must be understood or refused.
///
/// clap takes its time, so that it has its turn with one in eight of the lines, as their length says.
pub(crate) fn replay_log_args(bytes: &[u8]) {
    let words: Vec<OsString> = bytes.split(|byte| *byte == b'\n').take(MAX_WORDS).map(word).collect();
    assert_read(&words);
    let asked = asked(bytes);
    let said = said(&asked);
    assert_eq!(parse(&said).ok(), Some(Request::Run(asked)), "{said:?}");
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

/// Something to ask for, as the bytes choose.
fn asked(bytes: &[u8]) -> Options {
    let mut rest = bytes.iter().copied();
    let mut below = |bound: u8| rest.next().unwrap_or(0) % bound;
    let mode = [Mode::Find, Mode::NumEntries, Mode::Replay][usize::from(below(3))];
    let discards = [Discards::Pass, Discards::Zero, Discards::Drop][usize::from(below(3))];
    let verbosity = [Verbosity::Quiet, Verbosity::Replayed, Verbosity::All][usize::from(below(3))];
    let some = [Flags::FLUSH, Flags::FUA, Flags::DISCARD];
    let mut flags = |nr: u8| some.into_iter().take(nr.into()).filter(|_| below(2) == 1).collect::<Flags>();
    let (stop_flags, check_flags) = (flags(2), flags(3));
    let mut number = || (0..=below(8)).fold(0, |number, _| number << 8 | u64::from(below(255)));
    let (limit, entry, every) = (number(), number(), number());
    let skip = Skip { start_sector: number(), end_sector: number() };
    let text: Vec<u8> = rest.filter(|byte| *byte != b'\n').collect();
    let mark = (!text.is_empty()).then(|| text.clone());
    let is_checked = every != 0 || !check_flags.is_empty();
    let when = When { every, flags: check_flags };
    Options {
        log: word(&text).into(),
        mode,
        replay: mark.as_deref().map(|name| word(name).into()),
        start: Start { entry, mark: mark.clone() },
        stop: Stop { mark, flags: stop_flags },
        limit,
        skip,
        discards,
        check: is_checked.then(|| Check { when, command: word(&text) }),
        verbosity,
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
        Cli::try_parse_from([start, words.to_vec()].concat())
    };
    match line(&["logwrites", "replay-log", "--"]) {
        Ok(cli) => assert_eq!(cli.replay_log_words(), Some(words)),
        Err(error) => panic!("{words:?} are not replay-log's: {error}"),
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
