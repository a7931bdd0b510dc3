//! The command language of `qemu-io`, as far as a script has it.

use logwrites_core::format::MarkTextError;

use super::error::{Fault, Found, ScriptError, ScriptErrorKind};
use super::limits::Limits;
use super::line::{Word, Words};
use super::{DEFAULT_PATTERN, Script, ScriptCommand};
use crate::size::{SizeError, parse_size};

pub(super) fn parse(text: &[u8], limits: &Limits) -> Result<Script, ScriptError> {
    let mut parser = Parser { limits, operands: Vec::new() };
    let mut script = Script::default();
    let mut number: u32 = 0;
    for line in text.split(|&byte| byte == b'\n') {
        number = number.saturating_add(1);
        match parser.line(line) {
            Ok(Some(command)) => script.push(number, command),
            Ok(None) => {}
            Err(fault) => return Err(ScriptError::new(number, line, fault)),
        }
    }
    Ok(script)
}

struct Parser<'a> {
    limits: &'a Limits,
    /// The words of the line that are neither its command nor options. Kept for its storage.
    operands: Vec<Word<'a>>,
}

impl<'a> Parser<'a> {
    /// The command of a line; none if the line is blank or a comment.
    fn line(&mut self, line: &'a [u8]) -> Result<Option<ScriptCommand>, Fault> {
        let mut words = Words::new(line);
        let Some(verb) = words.next() else { return Ok(None) };
        let command = match verb.bytes {
            b"write" | b"w" => self.write(&mut words, &WRITE)?,
            b"writev" => self.write(&mut words, &WRITEV)?,
            b"discard" | b"d" => self.discard(&mut words)?,
            b"flush" | b"f" => flush(&mut words)?,
            b"read" | b"r" => self.read(&mut words, &READ)?,
            b"readv" => self.read(&mut words, &READV)?,
            b"mark" => self.mark(&words)?,
            _ => return Err(unknown_command(&verb)),
        };
        Ok(Some(command))
    }

    fn write(&mut self, words: &mut Words<'a>, grammar: &Grammar) -> Result<ScriptCommand, Fault> {
        let options = self.options(words, grammar)?;
        options.check_zeroes()?;
        let (offset_bytes, len_bytes) = self.extent(words, grammar)?;
        let Options { fua, zeroes, .. } = options;
        Ok(if zeroes {
            ScriptCommand::WriteZeroes { offset_bytes, len_bytes, unmap: options.unmap_at.is_some(), fua }
        } else {
            let pattern = options.pattern.map_or(DEFAULT_PATTERN, |(pattern, _)| pattern);
            ScriptCommand::Write { offset_bytes, len_bytes, pattern, fua }
        })
    }

    fn discard(&mut self, words: &mut Words<'a>) -> Result<ScriptCommand, Fault> {
        self.options(words, &DISCARD)?;
        let (offset_bytes, len_bytes) = self.extent(words, &DISCARD)?;
        Ok(ScriptCommand::Discard { offset_bytes, len_bytes })
    }

    fn read(&mut self, words: &mut Words<'a>, grammar: &Grammar) -> Result<ScriptCommand, Fault> {
        let options = self.options(words, grammar)?;
        let (offset_bytes, len_bytes) = self.extent(words, grammar)?;
        let pattern = options.pattern.map(|(pattern, _)| pattern);
        Ok(ScriptCommand::Read { offset_bytes, len_bytes, pattern })
    }

    fn mark(&self, words: &Words<'_>) -> Result<ScriptCommand, Fault> {
        let name = words.remainder();
        if name.bytes.is_empty() {
            return Err(Fault::missing(words.end(), "the name of the mark"));
        }
        match self.limits.check_mark(name.bytes) {
            Ok(()) => Ok(ScriptCommand::Mark { text: name.bytes.into() }),
            Err(error) => {
                let at = match error {
                    MarkTextError::Nul { at } => name.at + at..name.at + at + 1,
                    MarkTextError::NoRoom | MarkTextError::TooLong { .. } => name.span(),
                };
                Err(Fault { at, kind: error.into() })
            }
        }
    }

    /// Reads the rest of the line as `getopt` does: options anywhere before `--`, the rest into `operands`.
    fn options(&mut self, words: &mut Words<'a>, grammar: &Grammar) -> Result<Options, Fault> {
        self.operands.clear();
        let mut options = Options::default();
        let mut ended = false;
        while let Some(word) = words.next() {
            match word.bytes {
                b"--" if !ended => ended = true,
                [b'-', _, ..] if !ended => options.take(&word, words, grammar)?,
                _ => self.operands.push(word),
            }
        }
        Ok(options)
    }

    /// The offset and the length that the operands say.
    fn extent(&self, words: &Words<'_>, grammar: &Grammar) -> Result<(u64, u64), Fault> {
        let missing = |expected| Fault::missing(words.end(), expected);
        let mut operands = self.operands.iter();
        let offset = operands.next().ok_or_else(|| missing(OFFSET))?;
        let offset_bytes = size(offset, OFFSET)?;
        let first = operands.next().ok_or_else(|| missing(LENGTH))?;
        let mut len_bytes = size(first, LENGTH)?;
        let mut lengths_at = first.span();
        for word in operands {
            if !grammar.vectored {
                return Err(Fault::unexpected(word, "the end of the line"));
            }
            len_bytes = len_bytes.saturating_add(size(word, LENGTH)?);
            lengths_at.end = word.span().end;
        }
        self.limits.check_extent(offset_bytes, len_bytes).map_err(|error| Fault {
            at: if error.is_about_the_offset() { offset.span() } else { lengths_at },
            kind: error.into(),
        })?;
        Ok((offset_bytes, len_bytes))
    }
}

/// The options of one line that have an effect, or need another one; each place is that of its letter.
#[derive(Default)]
struct Options {
    pattern: Option<(u8, usize)>,
    zeroes: bool,
    unmap_at: Option<usize>,
    no_fallback_at: Option<usize>,
    registered_at: Option<usize>,
    fua: bool,
}

impl Options {
    /// Takes the options of `word`, and the word after it if that is the last one's argument.
    fn take<'a>(&mut self, word: &Word<'a>, words: &mut Words<'a>, grammar: &Grammar) -> Result<(), Fault> {
        let mut rest = word.bytes.iter();
        let mut at = word.at;
        rest.next();
        while let Some(&letter) = rest.next() {
            at += 1;
            grammar.check_option(letter, at, word)?;
            match letter {
                b'P' => {
                    let joined = Word { bytes: rest.as_slice(), at: at + 1 };
                    let argument = if joined.bytes.is_empty() { words.next() } else { Some(joined) };
                    let argument = argument.ok_or_else(|| Fault::missing(words.end(), PATTERN))?;
                    let pattern = pattern(argument.bytes);
                    let pattern = pattern.ok_or_else(|| Fault::unexpected(&argument, PATTERN))?;
                    self.pattern = Some((pattern, at));
                    return Ok(());
                }
                b'z' => self.zeroes = true,
                b'u' => self.unmap_at = Some(at),
                b'n' => self.no_fallback_at = Some(at),
                b'r' => self.registered_at = Some(at),
                b'f' => self.fua = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses what does not go with `-z`, or without it.
    fn check_zeroes(&self) -> Result<(), Fault> {
        let (at, kind) = match *self {
            Self { zeroes: true, pattern: Some((_, at)), .. } => {
                (at, ScriptErrorKind::NotWithZeroes { option: 'P' })
            }
            Self { zeroes: true, registered_at: Some(at), .. } => {
                (at, ScriptErrorKind::NotWithZeroes { option: 'r' })
            }
            Self { zeroes: false, unmap_at: Some(at), .. } => {
                (at, ScriptErrorKind::RequiresZeroes { option: 'u' })
            }
            Self { zeroes: false, no_fallback_at: Some(at), .. } => {
                (at, ScriptErrorKind::RequiresZeroes { option: 'n' })
            }
            _ => return Ok(()),
        };
        Err(Fault { at: at..at + 1, kind })
    }
}

/// What a command takes.
struct Grammar {
    name: &'static str,
    /// The letters of its options, and how an error lists them.
    options: &'static [u8],
    options_shown: &'static str,
    /// The letters of the options that it has in `qemu-io` alone.
    unsupported: &'static [u8],
    /// Whether it takes more than one length.
    vectored: bool,
}

impl Grammar {
    fn check_option(&self, letter: u8, at: usize, word: &Word<'_>) -> Result<(), Fault> {
        if self.options.contains(&letter) {
            return Ok(());
        }
        let kind = if self.unsupported.contains(&letter) {
            ScriptErrorKind::UnsupportedOption { command: self.name, option: char::from(letter) }
        } else {
            let option = [b'-', letter];
            let found = Found::word(if letter.is_ascii() { &option } else { word.bytes });
            ScriptErrorKind::UnknownOption { command: self.name, found, options: self.options_shown }
        };
        Err(Fault { at: at..at + 1, kind })
    }
}

fn flush(words: &mut Words<'_>) -> Result<ScriptCommand, Fault> {
    match words.next() {
        Some(word) => Err(Fault::unexpected(&word, "the end of the line")),
        None => Ok(ScriptCommand::Flush),
    }
}

fn unknown_command(verb: &Word<'_>) -> Fault {
    match UNSUPPORTED_COMMANDS.iter().find(|command| command.as_bytes() == verb.bytes) {
        Some(command) => Fault { at: verb.span(), kind: ScriptErrorKind::UnsupportedCommand { command } },
        None => Fault::unexpected(verb, COMMAND),
    }
}

/// A size, or the fault that names what was `expected`.
fn size(word: &Word<'_>, expected: &'static str) -> Result<u64, Fault> {
    parse_size(word.bytes).map_err(|error| {
        let expected = match error {
            SizeError::NotASize => expected,
            SizeError::FractionOfAByte => "a whole number of bytes, or a suffix as in 1.5k",
            SizeError::TooLarge => "at most 9223372036854775807 bytes",
        };
        Fault::unexpected(word, expected)
    })
}

/// The byte that `text` says in one of C's bases, with any sign: as `strtol` with base 0.
fn pattern(text: &[u8]) -> Option<u8> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let byte = digits.iter().try_fold(0u8, |number, &byte| {
        let digit = u8::try_from(char::from(byte).to_digit(radix)?).ok()?;
        number.checked_mul(u8::try_from(radix).ok()?)?.checked_add(digit)
    });
    byte.filter(|&byte| byte == 0 || !is_negative)
}

const WRITE: Grammar = Grammar {
    name: "write",
    options: b"CPfnpqruz",
    options_shown: "-P PATTERN, -z, -u, -n, -f, -q, -C, -p, -r",
    unsupported: b"bcs",
    vectored: false,
};

const WRITEV: Grammar = Grammar {
    name: "writev",
    options: b"CPfqr",
    options_shown: "-P PATTERN, -f, -q, -C, -r",
    unsupported: b"",
    vectored: true,
};

const DISCARD: Grammar =
    Grammar { name: "discard", options: b"Cq", options_shown: "-q, -C", unsupported: b"", vectored: false };

const READ: Grammar = Grammar {
    name: "read",
    options: b"CPpqrv",
    options_shown: "-P PATTERN, -q, -C, -p, -r, -v",
    unsupported: b"bls",
    vectored: false,
};

const READV: Grammar = Grammar {
    name: "readv",
    options: b"CPqrv",
    options_shown: "-P PATTERN, -q, -C, -r, -v",
    unsupported: b"",
    vectored: true,
};

/// The commands that `qemu-io` 10.0.2 has and a script does not, with their short names.
const UNSUPPORTED_COMMANDS: [&str; 34] = [
    "?",
    "a",
    "abort",
    "aio_flush",
    "aio_read",
    "aio_write",
    "alloc",
    "break",
    "c",
    "close",
    "help",
    "i",
    "info",
    "l",
    "length",
    "map",
    "o",
    "open",
    "q",
    "quit",
    "remove_break",
    "reopen",
    "resume",
    "sigraise",
    "sleep",
    "t",
    "truncate",
    "wait_break",
    "zone_append",
    "zone_close",
    "zone_finish",
    "zone_open",
    "zone_report",
    "zone_reset",
];

const COMMAND: &str = "one of write, writev, discard, flush, read, readv, mark";
const OFFSET: &str = "an offset such as 4096, 0x1000 or 4k";
const LENGTH: &str = "a length such as 4096, 0x1000 or 4k";
const PATTERN: &str = "a pattern from 0 to 255, or 0x00 to 0xff";

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;

    const LIMITS: Limits = Limits { disk_bytes: 4 << 40, sector_size: SectorSize::B512 };

    fn command(line: &str) -> ScriptCommand {
        let script = Script::parse(line.as_bytes(), &LIMITS).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(script.commands().len(), 1, "{line}");
        script.commands()[0].clone()
    }

    /// The column and the message of the error in `line`.
    fn refusal(line: &str) -> (u64, String) {
        let error = Script::parse(line.as_bytes(), &LIMITS).expect_err(line);
        (error.column(), error.kind().to_string())
    }

    fn assert_refused(line: &str, column: u64, message: &str) {
        assert_eq!(refusal(line), (column, message.to_owned()), "{line}");
    }

    fn write(pattern: u8, fua: bool) -> ScriptCommand {
        ScriptCommand::Write { offset_bytes: 512, len_bytes: 1024, pattern, fua }
    }

    fn zeroes(unmap: bool, fua: bool) -> ScriptCommand {
        ScriptCommand::WriteZeroes { offset_bytes: 512, len_bytes: 1024, unmap, fua }
    }

    fn read(pattern: Option<u8>) -> ScriptCommand {
        ScriptCommand::Read { offset_bytes: 512, len_bytes: 1024, pattern }
    }

    /// All of these pass in qemu-io 10.0.2.
    #[test]
    fn what_qemu_io_accepts() {
        for line in [
            "write 512 1k",
            "w 0x200 1024",
            "  write  0.5k   1K  ",
            "write -qCprP0xCD 512 1k",
            "write 512 1k -q",
            "write 512 -q 1k",
            "write -- 512 1k",
            "write -q -- +512 1k",
            "write -P 1 -P 205 512 1k",
            "write -P 0315 512 1k",
            "write -P +205 512 1k",
            "writev 512 512 512",
            "writev 512 1k",
            "writev 512 0 511 513",
            "writev -qCr 512 0 1k -P 0XcD",
        ] {
            assert_eq!(command(line), write(0xcd, false), "{line}");
        }
        assert_eq!(command("write -f -P 0xaa 512 1k"), write(0xaa, true));
        assert_eq!(command("writev -fP 00 512 1k"), write(0, true));
        assert_eq!(command("write -P -0 512 1k"), write(0, false));
        assert_eq!(command("write -z 512 1k"), zeroes(false, false));
        assert_eq!(command("write -zn -z 512 1k"), zeroes(false, false));
        assert_eq!(command("write -uz -f -q -C -n 512 1k"), zeroes(true, true));
        assert_eq!(command("write -u 512 1k -z"), zeroes(true, false));
        for line in ["discard 512 1k", "d 512 1k", "discard -qC 512 1k"] {
            assert_eq!(command(line), ScriptCommand::Discard { offset_bytes: 512, len_bytes: 1024 });
        }
        for line in ["flush", "f", " flush "] {
            assert_eq!(command(line), ScriptCommand::Flush);
        }
        for line in ["read 512 1k", "r 512 1k", "read -vqCpr 512 1k", "readv -v 512 512 512"] {
            assert_eq!(command(line), read(None));
        }
        assert_eq!(command("read -vP 3 512 1k"), read(Some(3)));
        assert_eq!(command("readv -P 3 512 1k 0"), read(Some(3)));
    }

    #[test]
    fn tabs_and_comments_are_ours() {
        assert_eq!(command("\twrite\t512\t1k\r"), write(0xcd, false));
        assert_eq!(command("write 512 1k # of what"), write(0xcd, false));
        assert_eq!(command("flush #"), ScriptCommand::Flush);
        assert_refused(
            "write -P #1 512 1k",
            9,
            "expected a pattern from 0 to 255, or 0x00 to 0xff, found the end of the line",
        );
        assert_refused("write 0 1#k", 9, "expected a length such as 4096, 0x1000 or 4k, found \"1#k\"");
    }

    #[test]
    fn marks_take_the_rest_of_the_line() {
        let mark = |text: &[u8]| ScriptCommand::Mark { text: text.into() };
        assert_eq!(command("mark a"), mark(b"a"));
        assert_eq!(command("mark \t # -q  \"b\" \t\r"), mark(b"# -q  \"b\""));
        let script = Script::parse(b"mark \xff\xfe", &LIMITS).unwrap();
        assert_eq!(script.commands(), [mark(b"\xff\xfe")]);
        for line in ["mark", "mark ", " mark \t\r"] {
            let column = if line.starts_with(' ') { 6 } else { 5 };
            assert_refused(line, column, "expected the name of the mark, found the end of the line");
        }
        assert_refused("mark  a\0b", 8, "a mark must not hold a NUL byte; there is one at byte 1");
        let long = format!("mark {}", "x".repeat(480));
        assert_refused(&long, 6, "a mark of 480 bytes: the sector size allows at most 479");
        let smallest = Limits { sector_size: SectorSize::new(32).unwrap(), ..LIMITS };
        let error = Script::parse(b"mark a", &smallest).unwrap_err();
        assert_eq!(error.kind().to_string(), "a log with 32-byte sectors cannot hold marks");
    }

    /// qemu-io 10.0.2 refuses all of these, too.
    #[test]
    fn what_qemu_io_refuses_of_options() {
        let both = "-z and -P cannot be given together";
        assert_refused("write -z -P 3 0 512", 11, both);
        assert_refused("write -P 3 -z 0 512", 8, both);
        assert_refused("write -zqP 3 0 512", 10, both);
        assert_refused("write -r -z 0 512", 8, "-z and -r cannot be given together");
        assert_refused("write -u 0 512", 8, "-u requires -z");
        assert_refused("write -u -P 3 0 512", 8, "-u requires -z");
        assert_refused("write -qn 0 512", 9, "-n requires -z");
        assert_refused("write 0 512 -nP3", 14, "-n requires -z");
        let options = "it takes -P PATTERN, -z, -u, -n, -f, -q, -C, -p, -r";
        assert_refused("write -qx 0 512", 9, &format!("write has no option \"-x\"; {options}"));
        assert_refused("write --foo 0 512", 8, &format!("write has no option \"--\"; {options}"));
        assert_refused("write -5 512", 8, &format!("write has no option \"-5\"; {options}"));
        assert_refused("write -\u{e9} 512", 8, &format!("write has no option \"-\u{e9}\"; {options}"));
        assert_refused(
            "writev -z 0 512",
            9,
            "writev has no option \"-z\"; it takes -P PATTERN, -f, -q, -C, -r",
        );
        assert_refused("discard -f 0 512", 10, "discard has no option \"-f\"; it takes -q, -C");
        assert_refused(
            "read -z 0 512",
            7,
            "read has no option \"-z\"; it takes -P PATTERN, -q, -C, -p, -r, -v",
        );
        assert_refused("flush -q", 7, "expected the end of the line, found \"-q\"");
    }

    /// qemu-io 10.0.2 refuses all of these, too.
    #[test]
    fn what_qemu_io_refuses_of_patterns() {
        for text in [
            "256",
            "-1",
            "08",
            "0x",
            "3k",
            "0b11",
            "0xAAA",
            "1.0",
            "''",
            "q",
            "4294967297",
            "0x100",
            "0400",
            "--0",
            "99999999999999999999999",
        ] {
            let message = format!("expected a pattern from 0 to 255, or 0x00 to 0xff, found \"{text}\"");
            assert_refused(&format!("write -P {text} 0 512"), 10, &message);
            assert_refused(&format!("read -P{text} 0 512"), 8, &message);
        }
        assert_refused(
            "write -zuPq 0 512",
            11,
            "expected a pattern from 0 to 255, or 0x00 to 0xff, found \"q\"",
        );
        let missing = "expected a pattern from 0 to 255, or 0x00 to 0xff, found the end of the line";
        assert_refused("write 0 512 -P", 15, missing);
    }

    /// qemu-io 10.0.2 refuses all of these, too.
    #[test]
    fn what_qemu_io_refuses_of_operands() {
        let no_offset = "expected an offset such as 4096, 0x1000 or 4k, found";
        let no_length = "expected a length such as 4096, 0x1000 or 4k, found";
        assert_refused("write", 6, &format!("{no_offset} the end of the line"));
        assert_refused("write 0 ", 8, &format!("{no_length} the end of the line"));
        assert_refused("write -P 0 512", 15, &format!("{no_length} the end of the line"));
        assert_refused("discard 0", 10, &format!("{no_length} the end of the line"));
        assert_refused("read -q 0", 10, &format!("{no_length} the end of the line"));
        assert_refused("writev 0", 9, &format!("{no_length} the end of the line"));
        assert_refused("write - 512", 7, &format!("{no_offset} \"-\""));
        assert_refused("write -- -- 512", 10, &format!("{no_offset} \"--\""));
        assert_refused("write -- -5 512", 10, &format!("{no_offset} \"-5\""));
        assert_refused("write 0 4q", 9, &format!("{no_length} \"4q\""));
        assert_refused("writev 0 512 4q", 14, &format!("{no_length} \"4q\""));
        assert_refused("write 0 8E", 9, "expected at most 9223372036854775807 bytes, found \"8E\"");
        assert_refused(
            "write 0 1.5",
            9,
            "expected a whole number of bytes, or a suffix as in 1.5k, found \"1.5\"",
        );
        for line in ["write 0 512 512", "discard 0 512 3", "read 0 512 512"] {
            let column = u64::try_from(line.rfind(' ').unwrap()).unwrap() + 2;
            let found = line.split(' ').next_back().unwrap();
            assert_refused(line, column, &format!("expected the end of the line, found \"{found}\""));
        }
        assert_refused("flush x", 7, "expected the end of the line, found \"x\"");
    }

    #[test]
    fn what_only_qemu_io_has_is_named() {
        assert_refused("aio_write 0 512", 1, "qemu-io's aio_write is not supported in a script");
        assert_refused(" q", 2, "qemu-io's q is not supported in a script");
        assert_refused("write -b 0 512", 8, "qemu-io's option -b of write is not supported");
        assert_refused("write -qs file 0 512", 9, "qemu-io's option -s of write is not supported");
        assert_refused("write -c 0 512", 8, "qemu-io's option -c of write is not supported");
        assert_refused("read -P 1 -l 4 0 512", 12, "qemu-io's option -l of read is not supported");
        let expected = "expected one of write, writev, discard, flush, read, readv, mark, found";
        for verb in ["WRITE", "wv", "foo", "\u{e9}", "marks"] {
            assert_refused(verb, 1, &format!("{expected} \"{verb}\""));
        }
    }

    #[test]
    fn limits_name_the_word() {
        let unaligned = "is not a multiple of the sector size 512";
        assert_refused("write 1 512", 7, &format!("offset 1 {unaligned}"));
        assert_refused("discard 0 0x201", 11, &format!("length 513 {unaligned}"));
        assert_refused("writev 0 512 1", 10, &format!("length 513 {unaligned}"));
        let too_long = "exceeds 2147483136 bytes, the most that one command can take";
        assert_refused("write -zn 0 2G", 13, &format!("length 2147483648 {too_long}"));
        assert_refused("writev 0 1G 1G", 10, &format!("length 2147483648 {too_long}"));
        let huge = format!("writev 0 {}", "7E ".repeat(9));
        assert_refused(&huge, 10, &format!("length {} {too_long}", u64::MAX));
        let end = "the end of the disk, which has 4398046511104 bytes";
        assert_refused("read 4T 512", 6, &format!("offset 4398046511104 is past {end}"));
        assert_refused(
            "read 4398046510592 1k",
            20,
            &format!("1024 bytes at offset 4398046510592 reach beyond {end}"),
        );
        assert_eq!(command("discard 4T 0"), ScriptCommand::Discard { offset_bytes: 4 << 40, len_bytes: 0 });
    }

    #[test]
    fn the_first_wrong_line_is_shown() {
        let error = Script::parse(b"flush\n\nwrite 0 4q\nwrong\n", &LIMITS).unwrap_err();
        assert_eq!(
            error.with_name("s.txt").to_string(),
            "s.txt:3:9: expected a length such as 4096, 0x1000 or 4k, found \"4q\"\
             \n    write 0 4q\
             \n            ^^"
        );
        let error = Script::parse(b"writev 0 512 1", &LIMITS).unwrap_err();
        assert!(error.to_string().ends_with("\n    writev 0 512 1\n             ^^^^^"));
    }
}
