//! A line of a script, and its words.

use core::ops::Range;

/// The words of a line, each with its place. A word that starts with `#` ends them.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    rest: &'a [u8],
    rest_at: usize,
    /// Where the last word that was given ended.
    end: usize,
}

impl<'a> Words<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self { rest: line, rest_at: 0, end: 0 }
    }

    /// Where the line ends, as long as it has been read.
    pub(super) const fn end(&self) -> Range<usize> {
        self.end..self.end
    }

    /// What has not been read, comments and all, without the blanks around it.
    pub(super) fn remainder(&self) -> Word<'a> {
        let (blanks, rest) = split_while(self.rest, is_blank);
        let len = rest.iter().rposition(|&byte| !is_blank(byte)).map_or(0, |last| last + 1);
        Word { bytes: rest.split_at(len).0, at: self.rest_at + blanks.len() }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let (blanks, rest) = split_while(self.rest, is_blank);
        if rest.first().is_none_or(|&byte| byte == COMMENT) {
            return None;
        }
        let (bytes, rest) = split_while(rest, |byte| !is_blank(byte));
        let word = Word { bytes, at: self.rest_at + blanks.len() };
        *self = Self { rest, rest_at: word.span().end, end: word.span().end };
        Some(word)
    }
}

/// A word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) bytes: &'a [u8],
    /// The index of its first byte in the line.
    pub(super) at: usize,
}

impl Word<'_> {
    /// Its place in the line, in bytes.
    pub(super) const fn span(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }
}

/// The longest start of `bytes` all of whose bytes are `wanted`, and the rest.
fn split_while(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|&&byte| wanted(byte)).count())
}

/// A carriage return is a blank, so that a line may end with CR LF.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

const COMMENT: u8 = b'#';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_places() {
        let mut words = Words::new(b" write\t0x10 5#  # 7\r");
        assert_eq!(words.next(), Some(Word { bytes: b"write", at: 1 }));
        assert_eq!(words.remainder(), Word { bytes: b"0x10 5#  # 7", at: 7 });
        assert_eq!(words.next(), Some(Word { bytes: b"0x10", at: 7 }));
        assert_eq!(words.next(), Some(Word { bytes: b"5#", at: 12 }));
        assert_eq!((words.next(), words.next()), (None, None));
        assert_eq!(words.end(), 14..14);
        assert_eq!(words.remainder(), Word { bytes: b"# 7", at: 16 });
    }

    #[test]
    fn blank_lines_have_no_words() {
        for line in [b"".as_slice(), b" \t\r", b"  # write"] {
            assert_eq!(Words::new(line).next(), None);
        }
        assert_eq!(Words::new(b"  ").remainder(), Word { bytes: b"", at: 2 });
    }
}
