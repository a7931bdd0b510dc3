//! A text as a point.

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use super::{Anchor, Encoded, Nth, Point, Shift};

impl FromStr for Point {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        let whole = Part::new(text);
        let (_, lost) = whole.split_before(&['^']);
        if !lost.text.is_empty() && !text.starts_with("mark:") {
            return Err(lost.unexpected("a point without lost entries"));
        }
        let (anchor, shift) = whole.split_before(&['~', '+']);
        Ok(Self { anchor: anchor.anchor()?, shift: shift.shift()? })
    }
}

/// What makes a text no [`Point`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {}{}", Quoted(.found), Suggestion(.suggestion.as_deref()))]
pub struct PointError {
    /// Where, counted from 1, in characters.
    pub column: usize,
    /// What was expected there.
    pub expected: &'static str,
    /// The text found there; empty at the end.
    pub found: Box<str>,
    /// What was probably meant.
    pub suggestion: Option<Box<str>>,
}

/// A part of the text of a point.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Where it starts in the whole text, from 1, in characters.
    column: usize,
}

impl<'a> Part<'a> {
    /// All of it.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, column: 1 }
    }

    fn anchor(self) -> Result<Anchor, PointError> {
        if let Some(number) = self.strip_prefix("flush:") {
            Ok(Anchor::Flush(number.nth("the number of a flush, from 1, or -1 for the last")?))
        } else if let Some(number) = self.strip_prefix("fua:") {
            Ok(Anchor::Fua(number.nth("the number of a FUA write, from 1, or -1 for the last")?))
        } else if let Some(mark) = self.strip_prefix("mark:") {
            mark.mark()
        } else {
            match self.text {
                "start" => Ok(Anchor::Start),
                "end" => Ok(Anchor::End),
                _ => Ok(Anchor::Entries(
                    self.number(ANCHOR)
                        .map_err(|error| PointError { suggestion: self.suggestion(), ..error })?,
                )),
            }
        }
    }

    fn mark(self) -> Result<Anchor, PointError> {
        let (name, nth) = self.split_before(&['#']);
        let name = name.decoded()?;
        let nth = nth
            .strip_prefix("#")
            .map(|number| number.nth("the number of a mark, from 1, or -1 for the last"));
        Ok(Anchor::Mark { name, nth: nth.transpose()? })
    }

    fn shift(self) -> Result<Option<Shift>, PointError> {
        if let Some(number) = self.strip_prefix("~") {
            Ok(Some(Shift::Before(number.number("a number of entries after ~")?)))
        } else if let Some(number) = self.strip_prefix("+") {
            Ok(Some(Shift::After(number.number("a number of entries after +")?)))
        } else {
            Ok(None)
        }
    }

    /// Decimal digits.
    fn number(self, expected: &'static str) -> Result<u64, PointError> {
        let is_number = self.text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { self.text.parse().ok() } else { None };
        number.ok_or_else(|| self.unexpected(expected))
    }

    /// Decimal digits, with an optional minus sign, but not zero.
    fn nth(self, expected: &'static str) -> Result<Nth, PointError> {
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { self.text.parse().ok() } else { None };
        number.and_then(Nth::new).ok_or_else(|| self.unexpected(expected))
    }

    /// The bytes that a percent-encoded name says.
    fn decoded(self) -> Result<Box<[u8]>, PointError> {
        let mut name = Vec::with_capacity(self.text.len());
        let mut rest = self;
        loop {
            let (plain, escaped) = rest.split_before(&['%']);
            name.extend_from_slice(plain.text.as_bytes());
            let [b'%', escape @ ..] = escaped.text.as_bytes() else { break };
            let byte = escape.first_chunk().and_then(|&[high, low]| hexadecimal(high, low));
            name.push(byte.ok_or_else(|| escaped.unexpected("% and two hexadecimal digits"))?);
            // An escape is three characters of one byte each.
            rest = escaped.split_at(3).1;
        }
        Ok(name.into())
    }

    fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Self { text, column: self.column + prefix.chars().count() })
    }

    /// The text before the first of these characters, and the rest.
    fn split_before(self, chars: &[char]) -> (Self, Self) {
        self.split_at(self.text.find(chars).unwrap_or(self.text.len()))
    }

    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (before, rest) = self.text.split_at(at);
        let rest = Self { text: rest, column: self.column + before.chars().count() };
        (Self { text: before, ..self }, rest)
    }

    pub(super) fn unexpected(self, expected: &'static str) -> PointError {
        let Self { text, column } = self;
        let found = text.chars().take(MAX_FOUND_CHARS).collect();
        PointError { column, expected, found, suggestion: None }
    }

    /// What a text that is not an anchor may mean: a number from the end, or the name of a mark.
    fn suggestion(self) -> Option<Box<str>> {
        let number = self.text.strip_prefix('-').filter(|digits| digits.parse::<NonZeroU64>().is_ok());
        let is_anchor_cut_short = ANCHOR_WORDS.contains(&self.text);
        match number {
            Some(digits) => Some(format!("end~{digits} or flush:-{digits}").into()),
            None if self.text.is_empty() || is_anchor_cut_short || self.text.len() > MAX_FOUND_CHARS => None,
            None => Some(format!("mark:{}", Encoded(self.text.as_bytes())).into()),
        }
    }
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| u8::try_from(char::from(byte).to_digit(16)?).ok();
    Some(digit(high)? << 4 | digit(low)?)
}

/// What was found, in quotes; or that nothing was.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("nothing") } else { write!(f, "{:?}", self.0) }
    }
}

/// What was probably meant, if that is known.
struct Suggestion<'a>(Option<&'a str>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |suggestion| write!(f, "; did you mean {suggestion}?"))
    }
}

/// Words that an anchor begins with, which name no mark.
const ANCHOR_WORDS: [&str; 3] = ["flush", "fua", "mark"];

const ANCHOR: &str = "a number of entries, start, end, flush:K, fua:K or mark:NAME";

/// How many characters of what was found an error shows.
const MAX_FOUND_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_point_is_shown() {
        for (text, column, expected, found) in [
            ("", 1, ANCHOR, "nothing"),
            ("begin", 1, ANCHOR, "\"begin\""),
            ("-1", 1, ANCHOR, "\"-1\""),
            ("+1", 1, ANCHOR, "nothing"),
            ("end#1", 1, ANCHOR, "\"end#1\""),
            ("18446744073709551616", 1, ANCHOR, "\"18446744073709551616\""),
            ("flush", 1, ANCHOR, "\"flush\""),
            ("flush:0", 7, "the number of a flush, from 1, or -1 for the last", "\"0\""),
            ("flush:+1", 7, "the number of a flush, from 1, or -1 for the last", "nothing"),
            ("fua:--1", 5, "the number of a FUA write, from 1, or -1 for the last", "\"--1\""),
            (
                "fua:9223372036854775808",
                5,
                "the number of a FUA write, from 1, or -1 for the last",
                "\"9223372036854775808\"",
            ),
            ("mark:\u{e9}\u{e9}#-0", 9, "the number of a mark, from 1, or -1 for the last", "\"-0\""),
            ("mark:a#1#2", 8, "the number of a mark, from 1, or -1 for the last", "\"1#2\""),
            ("mark:a%4g", 7, "% and two hexadecimal digits", "\"%4g\""),
            ("mark:%41%", 9, "% and two hexadecimal digits", "\"%\""),
            ("mark:%\u{e9}", 6, "% and two hexadecimal digits", "\"%\u{e9}\""),
            ("mark:%+41", 6, "% and two hexadecimal digits", "\"%\""),
            ("end~", 5, "a number of entries after ~", "nothing"),
            ("end+1+2", 5, "a number of entries after +", "\"1+2\""),
            ("end~+2", 5, "a number of entries after ~", "\"+2\""),
            ("117^103", 4, "a point without lost entries", "\"^103\""),
        ] {
            let error = text.parse::<Point>().unwrap_err().to_string();
            let error = error.split_once("; did you mean").map_or(error.as_str(), |(error, _)| error);
            assert_eq!(error, format!("column {column}: expected {expected}, found {found}"), "{text}");
        }
    }

    #[test]
    fn what_is_probably_meant_is_suggested() {
        for (text, suggestion) in [
            ("-1", Some("end~1 or flush:-1")),
            ("-12", Some("end~12 or flush:-12")),
            ("one", Some("mark:one")),
            ("one~2", Some("mark:one")),
            ("50%", Some("mark:50%25")),
            ("", None),
            ("flush", None),
            ("flush:0", None),
        ] {
            let error = text.parse::<Point>().unwrap_err();
            assert_eq!(error.suggestion.as_deref(), suggestion, "{text}");
        }
    }
}
