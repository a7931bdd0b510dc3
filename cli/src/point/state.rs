//! States that a crash can leave, as a person names them.

use core::fmt;
use core::str::FromStr;

use logwrites_core::history::{EntrySet, ParseEntrySetError};

use super::parse::Part;
use super::{Point, PointError};

/// A state that a crash can leave in some log: `POINT[^LOST]`, the disk at a point without what was lost.
/// [`Log::resolve_state`](crate::log::Log::resolve_state) finds it in a particular one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateArg {
    /// Where the crash is.
    pub point: Point,
    /// What the disk lost.
    pub lost: EntrySet,
}

impl From<Point> for StateArg {
    fn from(point: Point) -> Self {
        Self { point, lost: EntrySet::empty() }
    }
}

/// As it is parsed.
impl fmt::Display for StateArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.point.fmt(f)?;
        if self.lost.is_empty() { Ok(()) } else { write!(f, "^{}", self.lost) }
    }
}

impl FromStr for StateArg {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        match text.rsplit_once('^') {
            Some((point, lost)) if !is_mark(point) || can_be_lost(lost) => {
                let (_, lost) = Part::new(text).split_at(point.len());
                Ok(Self { point: point.parse()?, lost: lost.lost()? })
            }
            _ => text.parse().map(|point: Point| point.into()),
        }
    }
}

/// Whether a name comes before a `^`, which is then a part of the name unless what comes after it [can be](can_be_lost) lost.
pub(super) fn is_mark(point: &str) -> bool {
    point.starts_with("mark:")
}

/// Whether a text can be meant as a set of entries.
pub(super) fn can_be_lost(text: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_digit() || b",:-".contains(&byte);
    text.starts_with(|char: char| char.is_ascii_digit()) && text.bytes().all(is_of_it)
}

impl Part<'_> {
    /// The set of entries after a `^`.
    fn lost(self) -> Result<EntrySet, PointError> {
        let (_, lost) = self.split_at(1);
        if lost.text.is_empty() {
            return Err(lost.unexpected(LOST));
        }
        lost.text.parse().map_err(|error| {
            lost.unexpected(match error {
                ParseEntrySetError::Number => LOST,
                ParseEntrySetError::Order => "entries and their sectors in ascending order, each once",
            })
        })
    }
}

const LOST: &str = "the entries that a crash has lost, such as 103,105-109,112:0-3";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Anchor;
    use proptest::prelude::*;

    #[test]
    fn a_state_is_a_point_and_what_is_lost() {
        for (text, point, lost) in [
            ("117", "117", ""),
            ("117^103,105-109,112:0-3", "117", "103,105-109,112:0-3"),
            ("end~2^103", "end~2", "103"),
            ("mark:stored^0", "mark:stored", "0"),
            ("mark:stored#2+1^0:1", "mark:stored#2+1", "0:1"),
            // In a name it is written %5E where it could be meant otherwise.
            ("mark:2%5E0", "mark:2%5E0", ""),
            ("mark:2%5E0^0", "mark:2%5E0", "0"),
            ("mark:2^0", "mark:2", "0"),
            ("mark:a^b", "mark:a%5Eb", ""),
            ("mark:a^b~1", "mark:a%5Eb~1", ""),
            ("mark:a^", "mark:a%5E", ""),
            ("mark:a^-1", "mark:a%5E-1", ""),
            ("mark:a^b^7", "mark:a%5Eb", "7"),
        ] {
            let state: StateArg = text.parse().unwrap();
            assert_eq!((state.point.to_string().as_str(), state.lost.to_string().as_str()), (point, lost));
        }
    }

    #[test]
    fn what_is_not_a_state_is_shown() {
        for (text, message) in [
            ("117^", format!("column 5: expected {LOST}, found nothing")),
            ("117^x", format!("column 5: expected {LOST}, found \"x\"")),
            ("mark:\u{e9}^1,", format!("column 8: expected {LOST}, found \"1,\"")),
            (
                "117^2,1",
                "column 5: expected entries and their sectors in ascending order, each once, found \"2,1\""
                    .into(),
            ),
            ("1^2^3", "column 2: expected a point without lost entries, found \"^2\"".into()),
            ("end^1+1", format!("column 5: expected {LOST}, found \"1+1\"")),
        ] {
            assert_eq!(text.parse::<StateArg>().unwrap_err().to_string(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(
            name in "[a-c^0-9,:~#\u{e9}-]{0,8}",
            nr in any::<u64>(),
            is_mark in any::<bool>(),
            lost in proptest::collection::btree_set(0u64..20, 0..6),
        ) {
            let name = name.into_bytes().into();
            let anchor = if is_mark { Anchor::Mark { name, nth: None } } else { Anchor::Entries(nr) };
            let state = StateArg { point: anchor.into(), lost: lost.into_iter().collect() };
            prop_assert_eq!(state.to_string().parse(), Ok(state));
        }
    }
}
