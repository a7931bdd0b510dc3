//! What is wrong with a script, and where.

use core::fmt;
use core::ops::Range;

use logwrites_core::format::MarkTextError;
use logwrites_core::num::widen;

use super::limits::LimitError;
use super::line::Word;
use crate::output::printable::{Printable, printable};

/// The first thing that is wrong with a script. Its `Display` has three lines:
///
/// ```text
/// script:3:9: expected a length such as 4096, 0x1000 or 4k, found "4q"
///     write 0 4q
///             ^^
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    name: Box<str>,
    line: u32,
    column: u64,
    kind: ScriptErrorKind,
    excerpt: Excerpt,
}

impl ScriptError {
    /// The error at the bytes `at` of `text`, which is line number `line`.
    pub(super) fn new(line: u32, text: &[u8], Fault { at, kind }: Fault) -> Self {
        let (before, rest) = text.split_at(at.start.min(text.len()));
        let (found, after) = rest.split_at(at.len().min(rest.len()));
        let column = nr_chars(before).saturating_add(1);
        Self { name: "script".into(), line, column, kind, excerpt: Excerpt::new(before, found, after) }
    }

    /// The same error in the script of this name, usually its file's.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The line, counted from 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The column, counted from 1, in characters.
    #[must_use]
    pub const fn column(&self) -> u64 {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &ScriptErrorKind {
        &self.kind
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, line, column, kind, excerpt } = self;
        write!(f, "{}:{line}:{column}: {kind}\n{excerpt}", Printable(name.as_bytes()))
    }
}

impl core::error::Error for ScriptError {}

/// What can be wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptErrorKind {
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// What was found there.
        found: Found,
    },
    /// The command does not have this option.
    #[error("{command} has no option {found}; it takes {options}")]
    UnknownOption {
        /// The command.
        command: &'static str,
        /// The option.
        found: Found,
        /// The options that the command has.
        options: &'static str,
    },
    /// A command that only `qemu-io` has.
    #[error("qemu-io's {command} is not supported in a script")]
    UnsupportedCommand {
        /// The command.
        command: &'static str,
    },
    /// An option that only `qemu-io` has.
    #[error("qemu-io's option -{option} of {command} is not supported")]
    UnsupportedOption {
        /// The command.
        command: &'static str,
        /// The option.
        option: char,
    },
    /// `-z` with `-P`, which says what to write instead of zeros, or with `-r`, as in `qemu-io`.
    #[error("-z and -{option} cannot be given together")]
    NotWithZeroes {
        /// The option.
        option: char,
    },
    /// `-u` or `-n` without `-z`.
    #[error("-{option} requires -z")]
    RequiresZeroes {
        /// The option.
        option: char,
    },
    /// An extent that the disk or the log cannot take.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A mark that the log cannot take.
    #[error(transparent)]
    Mark(#[from] MarkTextError),
}

/// What was found where something else should be: a word, in quotes, or the end of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    word: Option<Box<str>>,
}

impl Found {
    pub(super) const END: Self = Self { word: None };

    /// `word`, cut if it is very long.
    pub(super) fn word(word: &[u8]) -> Self {
        Self { word: Some(first_chars(word, MAX_FOUND_CHARS).into()) }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.word {
            Some(word) => write!(f, "\"{word}\""),
            None => f.write_str("the end of the line"),
        }
    }
}

/// Something wrong in a line, before the line has got its number.
#[derive(Debug)]
pub(super) struct Fault {
    /// Which bytes of the line it is about; none, for what is missing there.
    pub(super) at: Range<usize>,
    pub(super) kind: ScriptErrorKind,
}

impl Fault {
    pub(super) fn unexpected(word: &Word<'_>, expected: &'static str) -> Self {
        let found = Found::word(word.bytes);
        Self { at: word.span(), kind: ScriptErrorKind::Unexpected { expected, found } }
    }

    pub(super) const fn missing(at: Range<usize>, expected: &'static str) -> Self {
        Self { at, kind: ScriptErrorKind::Unexpected { expected, found: Found::END } }
    }
}

/// A part of a line with carets under what is wrong in it, short and safe to print whatever the line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: Box<str>,
    indent: usize,
    nr_carets: usize,
}

impl Excerpt {
    fn new(before: &[u8], found: &[u8], after: &[u8]) -> Self {
        let before = last_chars(before, MAX_BEFORE_CHARS);
        let found = first_chars(found, MAX_FOUND_CHARS);
        let after = first_chars(after.trim_ascii_end(), MAX_AFTER_CHARS);
        let (indent, nr_carets) = (before.chars().count(), found.chars().count().max(1));
        Self { text: format!("{before}{found}{after}").into(), indent, nr_carets }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, indent, nr_carets } = self;
        write!(f, "    {text}\n    {:indent$}{:^<nr_carets$}", "", "")
    }
}

/// How many characters `bytes` hold. Bytes that are not UTF-8 count as the replacement characters shown for them.
fn nr_chars(bytes: &[u8]) -> u64 {
    let nr_in = |chunk: core::str::Utf8Chunk<'_>| {
        chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty())
    };
    bytes.utf8_chunks().map(|chunk| widen(nr_in(chunk))).sum()
}

/// The first characters of `bytes`, with dots if there are more.
fn first_chars(bytes: &[u8], max_chars: usize) -> String {
    let nr_bytes = bytes.len().min(max_chars.saturating_add(1) * MAX_CHAR_BYTES);
    let text = String::from_utf8_lossy(bytes.split_at(nr_bytes).0);
    let mut chars = text.chars().map(shown);
    let mut shown: String = chars.by_ref().take(max_chars).collect();
    if chars.next().is_some() {
        shown.push_str(DOTS);
    }
    shown
}

/// The last characters of `bytes`, with dots if there are more.
fn last_chars(bytes: &[u8], max_chars: usize) -> String {
    let nr_bytes = bytes.len().min(max_chars.saturating_add(1) * MAX_CHAR_BYTES);
    let text = String::from_utf8_lossy(bytes.split_at(bytes.len() - nr_bytes).1);
    let nr_chars = text.chars().count();
    let dots = if nr_chars > max_chars { DOTS } else { "" };
    let shown = text.chars().skip(nr_chars.saturating_sub(max_chars)).map(shown);
    dots.chars().chain(shown).collect()
}

/// What is shown for `char` in an excerpt, one column wide.
const fn shown(char: char) -> char {
    if char == '\t' { ' ' } else { printable(char) }
}

const DOTS: &str = "...";
const MAX_BEFORE_CHARS: usize = 60;
const MAX_FOUND_CHARS: usize = 40;
const MAX_AFTER_CHARS: usize = 40;
const MAX_CHAR_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &[u8], at: Range<usize>) -> String {
        let kind = ScriptErrorKind::NotWithZeroes { option: 'P' };
        let error = ScriptError::new(7, line, Fault { at, kind });
        error.to_string().replace("-z and -P cannot be given together", "?")
    }

    #[test]
    fn carets_stand_under_the_word() {
        assert_eq!(shown(b"write 0 4q # x\r", 8..10), "script:7:9: ?\n    write 0 4q # x\n            ^^");
        assert_eq!(shown(b"write", 5..5), "script:7:6: ?\n    write\n         ^");
        assert_eq!(shown(b"", 0..0), "script:7:1: ?\n    \n    ^");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(
            shown("mark \u{e9}\u{e9}\0".as_bytes(), 9..10),
            "script:7:8: ?\n    mark \u{e9}\u{e9}\u{fffd}\n           ^"
        );
        assert_eq!(shown(b"\xff\xff\t4q", 3..5), "script:7:4: ?\n    \u{fffd}\u{fffd} 4q\n       ^^");
    }

    #[test]
    fn long_lines_are_cut_around_the_error() {
        let line = [vec![b'a'; 100_000], b"bb".to_vec(), vec![b'c'; 100_000]].concat();
        let excerpt = format!("    ...{}bb{}...\n    {:63}^^", "a".repeat(60), "c".repeat(40), "");
        assert_eq!(shown(&line, 100_000..100_002), format!("script:7:100001: ?\n{excerpt}"));
        assert_eq!(Found::word(&line).to_string(), format!("\"{}...\"", "a".repeat(40)));
    }

    #[test]
    fn no_line_steers_the_terminal() {
        assert_eq!(
            shown("\x1b[2J\u{9b}\u{202e}x".as_bytes(), 0..1),
            "script:7:1: ?\n    \u{fffd}[2J\u{fffd}\u{fffd}x\n    ^"
        );
    }

    #[test]
    fn the_name_is_the_callers() {
        let fault = Fault { at: 0..0, kind: ScriptErrorKind::RequiresZeroes { option: 'u' } };
        let error = ScriptError::new(1, b"", fault).with_name("a/b.txt");
        assert!(error.to_string().starts_with("a/b.txt:1:1: -u requires -z\n"));
        assert_eq!((error.line(), error.column()), (1, 1));
    }
}
