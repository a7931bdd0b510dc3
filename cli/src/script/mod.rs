//! Scripts for `logwrites record`: what a disk is told, one command a line.
//!
//! The language is `qemu-io`'s, cut down to what changes a disk or orders changes, with marks and comments
//! added:
//!
//! ```text
//! # a comment
//! write [-z [-u] [-n] | -P PATTERN] [-f] OFF LEN      also w
//! writev [-P PATTERN] [-f] OFF LEN...                 one write as long as all the LENs together
//! discard OFF LEN                                     also d
//! flush                                               also f
//! read [-P PATTERN] OFF LEN                           also r; with -P the bytes must be the pattern
//! readv [-P PATTERN] OFF LEN...                       one read as long as all the LENs together
//! mark NAME                                           NAME is the rest of the line
//! ```
//!
//! - `OFF` and `LEN` are [sizes](crate::size). `PATTERN` is a byte in decimal, in hexadecimal after `0x` or
//!   in octal after `0`; a write without one writes 0xcd.
//! - `-z` writes zeros, with `-u` the device may unmap them; `-f` is force unit access.
//! - Accepted without effect, so that scripts for `qemu-io` run: `-n` (no slow zeros: the log gets its zeros
//!   in any case), `-q`, `-C`, `-p`, `-r`, `-v`.
//! - Options may be joined (`-zu`, `-P0xaa`) and may follow the operands; `--` ends them.
//! - Words are separated by spaces and tabs; there is no quoting. A line may end with CR LF.
//! - A word that starts with `#` starts a comment, which goes to the end of the line. The name of a mark is
//!   the exception: it is everything after `mark`, without the blanks around it.
//!
//! What `qemu-io` refuses is refused here too. Beyond that, extents must be aligned to the log's sectors:
//! `qemu-io` reads and rewrites the rest of a sector, which a log shows as a larger write.
//!
//! A script is read as a whole before its first command runs.
//!
//! fio's iolog is understood too; its file describes it. Another language would be one more file beside these, with one
//! more constructor of [`Script`]; [`Limits`] and [`ScriptError`] serve it as they are.

mod error;
mod iolog;
mod limits;
mod line;
mod qemu_io;

use core::fmt;

pub use error::{Found, ScriptError, ScriptErrorKind};
pub use limits::{LimitError, Limits, MAX_REQUEST_BYTES};

/// What a disk is to be told, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    commands: Vec<ScriptCommand>,
    /// The line of each command.
    lines: Vec<u32>,
}

impl Script {
    /// Reads a script in the language of `qemu-io`, and checks it against the disk and the log it is for.
    ///
    /// # Errors
    /// [`ScriptError`] for the first line that is wrong.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, ScriptError> {
        qemu_io::parse(text, limits)
    }

    /// Reads an iolog of fio, version 2 or 3, and checks it against the disk and the log it is for. What was written
    /// is not in it: each write gets a byte that changes from write to write.
    ///
    /// # Errors
    /// [`ScriptError`] for the first line that is wrong.
    pub fn parse_iolog(text: &[u8], limits: &Limits) -> Result<Self, ScriptError> {
        iolog::parse(text, limits)
    }

    /// The commands, in order.
    #[must_use]
    pub fn commands(&self) -> &[ScriptCommand] {
        &self.commands
    }

    /// The line, counted from 1, of the command with this index. Lines beyond `u32::MAX` are all shown as
    /// that one.
    #[must_use]
    pub fn line(&self, index: usize) -> Option<u32> {
        self.lines.get(index).copied()
    }

    /// The commands, each with its line, counted from 1.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &ScriptCommand)> {
        self.lines.iter().copied().zip(&self.commands)
    }

    fn push(&mut self, line: u32, command: ScriptCommand) {
        self.commands.push(command);
        self.lines.push(line);
    }
}

/// A command of a script. All numbers are in bytes, and within the [`Limits`] that it was read with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScriptCommand {
    /// Writes `len_bytes` times the byte `pattern`.
    Write {
        /// Where to.
        offset_bytes: u64,
        /// How much.
        len_bytes: u64,
        /// With what.
        pattern: u8,
        /// Whether it must be durable when it is done.
        fua: bool,
    },
    /// Makes the extent read as zeros.
    WriteZeroes {
        /// Where.
        offset_bytes: u64,
        /// How much.
        len_bytes: u64,
        /// Whether the device may give the storage back.
        unmap: bool,
        /// Whether it must be durable when it is done.
        fua: bool,
    },
    /// Gives the extent's storage back.
    Discard {
        /// Where.
        offset_bytes: u64,
        /// How much.
        len_bytes: u64,
    },
    /// Makes everything before it durable.
    Flush,
    /// Reads the extent.
    Read {
        /// Where from.
        offset_bytes: u64,
        /// How much.
        len_bytes: u64,
        /// The byte that all of it must be, if it is to be compared.
        pattern: Option<u8>,
    },
    /// Puts a mark into the log.
    Mark {
        /// Its text.
        text: Box<[u8]>,
    },
}

/// A line of a script with the same meaning. Only bytes of a mark that are not UTF-8 are lost.
impl fmt::Display for ScriptCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { offset_bytes, len_bytes, pattern, fua } => {
                let fua = if *fua { " -f" } else { "" };
                write!(f, "write{fua} -P {pattern:#04x} {offset_bytes} {len_bytes}")
            }
            Self::WriteZeroes { offset_bytes, len_bytes, unmap, fua } => {
                let unmap = if *unmap { " -u" } else { "" };
                let fua = if *fua { " -f" } else { "" };
                write!(f, "write -z{unmap}{fua} {offset_bytes} {len_bytes}")
            }
            Self::Discard { offset_bytes, len_bytes } => write!(f, "discard {offset_bytes} {len_bytes}"),
            Self::Flush => f.write_str("flush"),
            Self::Read { offset_bytes, len_bytes, pattern: None } => {
                write!(f, "read {offset_bytes} {len_bytes}")
            }
            Self::Read { offset_bytes, len_bytes, pattern: Some(pattern) } => {
                write!(f, "read -P {pattern:#04x} {offset_bytes} {len_bytes}")
            }
            Self::Mark { text } => write!(f, "mark {}", String::from_utf8_lossy(text)),
        }
    }
}

/// The byte that a write writes if it names none, `qemu-io`'s.
pub const DEFAULT_PATTERN: u8 = 0xcd;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { disk_bytes: 1 << 40, sector_size: SectorSize::B512 };

    #[test]
    fn a_command_takes_24_bytes() {
        assert_eq!(size_of::<ScriptCommand>(), 24);
    }

    #[test]
    fn each_command_knows_its_line() {
        let script =
            Script::parse(b"# two comments\n \t# here\r\n\nflush\n\nmark a # b \r\nf", &LIMITS).unwrap();
        let mark = ScriptCommand::Mark { text: (*b"a # b").into() };
        let lines: Vec<_> = script.iter().collect();
        assert_eq!(lines, [(4, &ScriptCommand::Flush), (6, &mark), (7, &ScriptCommand::Flush)]);
        assert_eq!((script.line(1), script.line(3)), (Some(6), None));
        assert_eq!(script.commands().len(), 3);
    }

    #[test]
    fn nothing_is_a_script() {
        assert_eq!(Script::parse(b"", &LIMITS), Ok(Script::default()));
        assert_eq!(Script::parse(b"\n\r\n  \n#", &LIMITS), Ok(Script::default()));
    }

    fn commands() -> impl Strategy<Value = Vec<ScriptCommand>> {
        let extent = || (0u64..1 << 30, 0..MAX_REQUEST_BYTES / 512).prop_map(|(at, nr)| (at * 512, nr * 512));
        let command = prop_oneof![
            (extent(), any::<u8>(), any::<bool>()).prop_map(|((offset_bytes, len_bytes), pattern, fua)| {
                ScriptCommand::Write { offset_bytes, len_bytes, pattern, fua }
            }),
            (extent(), any::<bool>(), any::<bool>()).prop_map(|((offset_bytes, len_bytes), unmap, fua)| {
                ScriptCommand::WriteZeroes { offset_bytes, len_bytes, unmap, fua }
            }),
            extent().prop_map(|(offset_bytes, len_bytes)| ScriptCommand::Discard { offset_bytes, len_bytes }),
            Just(ScriptCommand::Flush),
            (extent(), any::<Option<u8>>()).prop_map(|((offset_bytes, len_bytes), pattern)| {
                ScriptCommand::Read { offset_bytes, len_bytes, pattern }
            }),
            "[^ \t\r\n\0]([^\n\0]{0,40}[^ \t\r\n\0])?"
                .prop_map(|text| ScriptCommand::Mark { text: text.into_bytes().into() }),
        ];
        proptest::collection::vec(command, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(commands in commands()) {
            let lines: Vec<String> = commands.iter().map(ToString::to_string).collect();
            let text = lines.join("\n");
            let script = Script::parse(text.as_bytes(), &LIMITS);
            prop_assert_eq!(script.map(|script| script.commands), Ok(commands));
        }

        #[test]
        fn any_bytes_give_an_answer(text: Vec<u8>) {
            let _ = Script::parse(&text, &LIMITS).map_err(|error| error.to_string());
        }

        #[test]
        fn any_words_give_an_answer(
            text in concat!(
                "((w|r|d|f|write|writev|read|mark|#|--|-[CPbcfnpqsuvxz\u{e9}0]{1,4}",
                "|-?[0-9]{1,20}[kE.]?|\u{e9}|\0)[ \t\r]{0,2}){0,9}",
            ),
            shift in 5u32..=23,
            disk_bytes: u64,
        ) {
            let limits = Limits { disk_bytes, sector_size: SectorSize::new(1 << shift).unwrap() };
            let _ = Script::parse(text.as_bytes(), &limits).map_err(|error| error.to_string());
        }
    }
}
