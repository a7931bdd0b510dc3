//! fio's iolog, version 2 and 3: what `--write_iolog` has recorded.
//!
//! ```text
//! fio version 2 iolog               fio version 3 iolog
//! FILE add                          MSEC FILE add
//! FILE open                         MSEC FILE open
//! FILE write OFFSET LENGTH          MSEC FILE write OFFSET LENGTH
//! FILE read OFFSET LENGTH           MSEC FILE read OFFSET LENGTH
//! FILE trim OFFSET LENGTH           MSEC FILE trim OFFSET LENGTH
//! FILE sync 0 0                     MSEC FILE sync 0 0
//! FILE datasync 0 0                 MSEC FILE datasync 0 0
//! FILE wait USEC 0
//! FILE close                        MSEC FILE close
//! ```
//!
//! An iolog does not say what was written: each write gets a byte of its own, which changes from write to write. Times
//! have no effect. An iolog of more than one file is refused, since there is one disk.

use super::error::{Fault, ScriptError};
use super::limits::Limits;
use super::line::{Word, Words};
use super::{Script, ScriptCommand};

pub(super) fn parse(text: &[u8], limits: &Limits) -> Result<Script, ScriptError> {
    let mut lines = (1_u32..).zip(text.split(|&byte| byte == b'\n'));
    let (number, first) = lines.next().unwrap_or((1, b""));
    let version = version(first).map_err(|fault| ScriptError::new(number, first, fault))?;
    let mut parser = Parser { limits, version, file: None, nr_writes: 0 };
    let mut script = Script::default();
    for (number, line) in lines {
        match parser.line(line) {
            Ok(Some(command)) => script.push(number, command),
            Ok(None) => {}
            Err(fault) => return Err(ScriptError::new(number, line, fault)),
        }
    }
    Ok(script)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Two,
    Three,
}

fn version(line: &[u8]) -> Result<Version, Fault> {
    let mut words = Words::new(line);
    for expected in [&b"fio"[..], b"version"] {
        expect(&mut words, HEADING, |word| (word == expected).then_some(()))?;
    }
    let version = expect(&mut words, HEADING, |word| match word {
        b"2" => Some(Version::Two),
        b"3" => Some(Version::Three),
        _ => None,
    })?;
    expect(&mut words, HEADING, |word| (word == b"iolog").then_some(()))?;
    end(&mut words)?;
    Ok(version)
}

struct Parser<'a> {
    limits: &'a Limits,
    version: Version,
    /// The one file of the log.
    file: Option<&'a [u8]>,
    nr_writes: u64,
}

impl<'a> Parser<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<Option<ScriptCommand>, Fault> {
        let mut words = Words::new(line);
        if words.clone().next().is_none() {
            return Ok(None);
        }
        if self.version == Version::Three {
            expect(&mut words, "a time in milliseconds", number)?;
        }
        self.file(&mut words)?;
        let action = words.next().ok_or_else(|| Fault::missing(words.end(), ACTION))?;
        match action.bytes {
            b"add" | b"open" | b"close" => {
                end(&mut words)?;
                Ok(None)
            }
            b"wait" => {
                expect(&mut words, "a time in microseconds", number)?;
                numbers(&mut words)?;
                Ok(None)
            }
            b"sync" | b"datasync" => {
                numbers(&mut words)?;
                Ok(Some(ScriptCommand::Flush))
            }
            b"write" => {
                let (offset_bytes, len_bytes) = self.extent(&mut words)?;
                self.nr_writes += 1;
                // From 1 to 255: never the zeros of a disk that was not written.
                let pattern = u8::try_from((self.nr_writes - 1) % 255 + 1).unwrap_or(u8::MAX);
                Ok(Some(ScriptCommand::Write { offset_bytes, len_bytes, pattern, fua: false }))
            }
            b"read" => {
                let (offset_bytes, len_bytes) = self.extent(&mut words)?;
                Ok(Some(ScriptCommand::Read { offset_bytes, len_bytes, pattern: None }))
            }
            b"trim" => {
                let (offset_bytes, len_bytes) = self.extent(&mut words)?;
                Ok(Some(ScriptCommand::Discard { offset_bytes, len_bytes }))
            }
            _ => Err(Fault::unexpected(&action, ACTION)),
        }
    }

    /// The file of a line, which must be the same in all.
    fn file(&mut self, words: &mut Words<'a>) -> Result<(), Fault> {
        let word = words.next().ok_or_else(|| Fault::missing(words.end(), "the name of the file"))?;
        if *self.file.get_or_insert(word.bytes) != word.bytes {
            return Err(Fault::unexpected(&word, "the file of the lines before: there is one disk"));
        }
        Ok(())
    }

    fn extent(&self, words: &mut Words<'a>) -> Result<(u64, u64), Fault> {
        let mut next = |expected| {
            let word = words.next().ok_or_else(|| Fault::missing(words.end(), expected))?;
            let value = number(word.bytes).ok_or_else(|| Fault::unexpected(&word, expected))?;
            Ok((word, value))
        };
        let (offset, offset_bytes) = next("an offset in bytes")?;
        let (len, len_bytes) = next("a length in bytes")?;
        end(words)?;
        self.limits.check_extent(offset_bytes, len_bytes).map_err(|error| Fault {
            at: if error.is_about_the_offset() { offset.span() } else { len.span() },
            kind: error.into(),
        })?;
        Ok((offset_bytes, len_bytes))
    }
}

/// The next word, as `parse` understands it.
fn expect<T>(
    words: &mut Words<'_>,
    expected: &'static str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, Fault> {
    let word: Word<'_> = words.next().ok_or_else(|| Fault::missing(words.end(), expected))?;
    parse(word.bytes).ok_or_else(|| Fault::unexpected(&word, expected))
}

/// The rest of a line that has offset and length, which mean nothing there.
fn numbers(words: &mut Words<'_>) -> Result<(), Fault> {
    words.try_for_each(|word| match number(word.bytes) {
        Some(_) => Ok(()),
        None => Err(Fault::unexpected(&word, "a number")),
    })
}

fn end(words: &mut Words<'_>) -> Result<(), Fault> {
    match words.next() {
        Some(word) => Err(Fault::unexpected(&word, "the end of the line")),
        None => Ok(()),
    }
}

fn number(word: &[u8]) -> Option<u64> {
    core::str::from_utf8(word).ok()?.parse().ok()
}

const HEADING: &str = "\"fio version 2 iolog\" or \"fio version 3 iolog\"";
const ACTION: &str = "add, open, close, read, write, trim, sync, datasync or wait";

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { disk_bytes: 1 << 20, sector_size: SectorSize::B512 };

    fn commands(text: &str) -> Vec<String> {
        parse(text.as_bytes(), &LIMITS).unwrap().commands().iter().map(ToString::to_string).collect()
    }

    fn error(text: &str) -> String {
        parse(text.as_bytes(), &LIMITS).unwrap_err().to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn both_versions_say_the_same() {
        let lines = [
            "f add",
            "f open",
            "f write 4096 512",
            "f read 0 512",
            "f trim 0 1024",
            "f sync 0 0",
            "f write 0 512",
            "f close",
        ];
        let expected =
            ["write -P 0x01 4096 512", "read 0 512", "discard 0 1024", "flush", "write -P 0x02 0 512"];
        let two = format!("fio version 2 iolog\n{}\nf wait 10 0\n", lines.join("\n"));
        let timed: Vec<String> =
            lines.iter().zip(100..).map(|(line, time)| format!("{time} {line}\r")).collect();
        assert_eq!(commands(&two), expected);
        assert_eq!(commands(&format!("fio version 3 iolog\n{}", timed.join("\n"))), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error("").starts_with("script:1:1: expected \"fio version 2 iolog\""));
        assert!(error("fio version 4 iolog").starts_with("script:1:13:"));
        let of = |line: &str| error(&format!("fio version 2 iolog\n{line}"));
        assert!(of("f").starts_with("script:2:2: expected add, open"));
        assert!(of("f erase 0 1").starts_with("script:2:3: expected add, open"));
        assert!(of("f write 0").starts_with("script:2:10: expected a length"));
        assert!(of("f write 1 512").starts_with("script:2:9: offset 1"));
        assert!(of("f write 0 4k").starts_with("script:2:11: expected a length"));
        assert!(of("f add\ng add").starts_with("script:3:1: expected the file of the lines before"));
        assert!(error("fio version 3 iolog\nf add").starts_with("script:2:1: expected a time"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(fio version [23] iolog\n)?([0-9]{0,3} ?f (write|sync|x|wait) ?[0-9]{0,7} [0-9]*\n?){0,5}.*") {
            let _ = parse(text.as_bytes(), &LIMITS);
        }
    }
}
