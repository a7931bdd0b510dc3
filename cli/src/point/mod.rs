//! Points in a log: how many of its entries are applied.
//!
//! ```text
//! POINT  = ANCHOR [~N | +N]
//! ANCHOR = N | start | end | flush:K | fua:K | mark:NAME[#J]
//! ```
//!
//! - `N` is a number of entries; the first entry is in at 1. `start` is 0, `end` is all of them.
//! - `flush:K`, `fua:K` and `mark:NAME#J` are the points at which that entry has just been applied. `K` and
//!   `J` count from 1, or from the end: `flush:-1` is the last flush. A name that is in the log more than
//!   once needs its `#J`.
//! - `~N` goes N entries back, `+N` on.
//! - In `NAME` the characters `~ + # % ^` are written `%7E %2B %23 %25 %5E`; any byte may be written so.
//!
//! `STATE = POINT[^LOST]` is the disk at a point without the entries that a crash there has lost, as in
//! `117^103,105-109,112:0-3`. In `NAME` a `^` may also stand for itself where no entries come after it.
//!
//! `CRASH = STATE[/STATE]` is what a second crash leaves, during a recovery; the second state is one of what the recovery has
//! written, as in `117^103/5^3`.

mod crash;
mod parse;
mod resolve;
mod state;

use core::fmt;
use core::num::NonZeroI64;

pub use self::crash::{Crash, ParseCrashError};
pub use self::parse::PointError;
pub use self::resolve::{Anchors, ResolveError};
pub use self::state::StateArg;
use crate::output::printable::printable;

/// A point in some log. [`resolve`](Self::resolve) finds it in a particular one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// What it is counted from.
    pub anchor: Anchor,
    /// How far from there.
    pub shift: Option<Shift>,
}

/// What a [`Point`] is counted from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// So many entries are applied.
    Entries(u64),
    /// No entry is.
    Start,
    /// Every entry is.
    End,
    /// This flush has just been applied.
    Flush(Nth),
    /// This FUA write has just been applied.
    Fua(Nth),
    /// This mark has just been applied.
    Mark {
        /// Its text.
        name: Box<[u8]>,
        /// Which of those with this text; none is only right if there is one.
        nth: Option<Nth>,
    },
}

/// How far a [`Point`] is from its anchor, in entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shift {
    /// So many entries before it.
    Before(u64),
    /// So many entries after it.
    After(u64),
}

/// Which one of several things: from 1 on, or from the end, where -1 is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nth(NonZeroI64);

impl Nth {
    /// The one with this number, or `None` for 0.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        NonZeroI64::new(number).map(Self)
    }
}

impl Anchor {
    /// Whether it is counted from the end, so that all of the log must be known to find it.
    #[must_use]
    pub fn counts_from_end(&self) -> bool {
        match self {
            Self::End => true,
            Self::Flush(nth) | Self::Fua(nth) | Self::Mark { nth: Some(nth), .. } => nth.0.is_negative(),
            Self::Entries(_) | Self::Start | Self::Mark { nth: None, .. } => false,
        }
    }

    /// Whether it means the only one of its kind, so that all of the log must be known to be sure.
    #[must_use]
    pub const fn must_be_unique(&self) -> bool {
        matches!(self, Self::Mark { nth: None, .. })
    }
}

impl From<Anchor> for Point {
    fn from(anchor: Anchor) -> Self {
        Self { anchor, shift: None }
    }
}

/// As it is parsed.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.anchor.fmt(f)?;
        match self.shift {
            None => Ok(()),
            Some(Shift::Before(nr)) => write!(f, "~{nr}"),
            Some(Shift::After(nr)) => write!(f, "+{nr}"),
        }
    }
}

/// As it is parsed.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(nr) => nr.fmt(f),
            Self::Start => f.write_str("start"),
            Self::End => f.write_str("end"),
            Self::Flush(nth) => write!(f, "flush:{nth}"),
            Self::Fua(nth) => write!(f, "fua:{nth}"),
            Self::Mark { name, nth: None } => write!(f, "mark:{}", Encoded(name)),
            Self::Mark { name, nth: Some(nth) } => write!(f, "mark:{}#{nth}", Encoded(name)),
        }
    }
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a mark as a [`Point`] has it: with `~ + # % ^`, what is not [printable] and what is not
/// UTF-8 percent-encoded.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a>(
    /// The text of the mark.
    pub &'a [u8],
);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))
        };
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '~' | '+' | '#' | '%' | '^' => encode(f, char.encode_utf8(&mut [0; 4]).as_bytes())?,
                    _ if printable(char) != char => encode(f, char.encode_utf8(&mut [0; 4]).as_bytes())?,
                    _ => write!(f, "{char}")?,
                }
            }
            encode(f, chunk.invalid())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_shown_encoded() {
        let shown = |name: &[u8]| Encoded(name).to_string();
        assert_eq!(shown("a b\u{e9}'".as_bytes()), "a b\u{e9}'");
        assert_eq!(shown(b"~+#%^\n\x1b\x7f\xff"), "%7E%2B%23%25%5E%0A%1B%7F%FF");
        assert_eq!(shown("\u{9b}\u{202e}".as_bytes()), "%C2%9B%E2%80%AE");
    }

    fn points() -> impl Strategy<Value = Point> {
        let nth = || any::<i64>().prop_filter_map("not zero", Nth::new);
        let name = prop_oneof![
            any::<Vec<u8>>(),
            "[a-c~+#%^\u{e9}\u{9b}\u{202e}:-]{0,6}".prop_map(String::into_bytes)
        ];
        let anchor = prop_oneof![
            any::<u64>().prop_map(Anchor::Entries),
            Just(Anchor::Start),
            Just(Anchor::End),
            nth().prop_map(Anchor::Flush),
            nth().prop_map(Anchor::Fua),
            (name, proptest::option::of(nth()))
                .prop_map(|(name, nth)| Anchor::Mark { name: name.into(), nth }),
        ];
        let shift = prop_oneof![
            Just(None),
            any::<u64>().prop_map(|nr| Some(Shift::Before(nr))),
            any::<u64>().prop_map(|nr| Some(Shift::After(nr))),
        ];
        (anchor, shift).prop_map(|(anchor, shift)| Point { anchor, shift })
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(point in points()) {
            prop_assert_eq!(point.to_string().parse(), Ok(point));
        }
    }
}
