//! The place of a point in a particular log, or why it has none.

use core::fmt;

use super::{Anchor, Encoded, Nth, Point, Shift};

/// What a [`Point`] needs to know of a log. Entries are given by their index, from 0, and in log order.
pub trait Anchors {
    /// How many entries the log has.
    fn nr_entries(&self) -> u64;

    /// The entries that are flushes.
    fn flushes(&self) -> impl DoubleEndedIterator<Item = u64>;

    /// The entries that are FUA writes.
    fn fuas(&self) -> impl DoubleEndedIterator<Item = u64>;

    /// The marks with exactly this text.
    fn marks_named(&self, name: &[u8]) -> impl Iterator<Item = u64>;

    /// The texts of the log's marks, once each or more often.
    fn mark_names(&self) -> impl Iterator<Item = &[u8]>;
}

impl Point {
    /// How many entries of this log are applied at the point, at most
    /// [`nr_entries`](Anchors::nr_entries).
    ///
    /// # Errors
    /// [`ResolveError`] if the log has no such point, or more than one.
    pub fn resolve(&self, log: &impl Anchors) -> Result<u64, ResolveError> {
        let nr_entries = log.nr_entries();
        let behind_end = || ResolveError::BehindEnd { point: self.to_string(), nr_entries };
        let nr_applied = self.anchor.resolve(log)?;
        if nr_applied > nr_entries {
            return Err(behind_end());
        }
        match self.shift {
            None => Ok(nr_applied),
            Some(Shift::Before(nr)) => nr_applied.checked_sub(nr).ok_or_else(|| {
                let (point, anchor) = (self.to_string(), self.anchor.to_string());
                ResolveError::BeforeStart { point, anchor, nr_applied }
            }),
            Some(Shift::After(nr)) => {
                nr_applied.checked_add(nr).filter(|&at| at <= nr_entries).ok_or_else(behind_end)
            }
        }
    }
}

impl Nth {
    /// That one of `things`, or `None` if there are too few.
    fn of<T>(self, mut things: impl DoubleEndedIterator<Item = T>) -> Option<T> {
        let nr_skipped = usize::try_from(self.0.unsigned_abs().get() - 1).ok()?;
        if self.0.is_positive() { things.nth(nr_skipped) } else { things.nth_back(nr_skipped) }
    }
}

impl Anchor {
    /// How many entries are applied at it; beyond the end if a number says so.
    fn resolve(&self, log: &impl Anchors) -> Result<u64, ResolveError> {
        let entry = match self {
            Self::Entries(nr_entries) => return Ok(*nr_entries),
            Self::Start => return Ok(0),
            Self::End => return Ok(log.nr_entries()),
            Self::Flush(nth) => nth.of(log.flushes()).ok_or_else(|| {
                let nr_flushes = log.flushes().count();
                ResolveError::NoFlush { anchor: self.to_string(), nr_flushes }
            })?,
            Self::Fua(nth) => nth.of(log.fuas()).ok_or_else(|| {
                let nr_fuas = log.fuas().count();
                ResolveError::NoFua { anchor: self.to_string(), nr_fuas }
            })?,
            Self::Mark { name, nth } => self.resolve_mark(name, *nth, log)?,
        };
        // Never saturates: it is the index of an entry.
        Ok(entry.saturating_add(1))
    }

    /// The entry of this mark.
    fn resolve_mark(&self, name: &[u8], nth: Option<Nth>, log: &impl Anchors) -> Result<u64, ResolveError> {
        let entries: Vec<u64> = log.marks_named(name).collect();
        match (entries.as_slice(), nth) {
            ([], _) => Err(no_mark(name, log)),
            (&[entry], None) => Ok(entry),
            (_, None) => Err(ambiguous(name, &entries)),
            (_, Some(nth)) => nth.of(entries.iter().copied()).ok_or_else(|| ResolveError::NoNthMark {
                anchor: self.to_string(),
                name: Encoded(name).to_string(),
                nr_marks: entries.len(),
            }),
        }
    }
}

/// Why a log does not have a [`Point`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It lies before the first entry.
    #[error("{point} is before the start of the log: {anchor} is at {nr_applied}")]
    BeforeStart {
        /// The point that was asked for.
        point: String,
        /// Its anchor.
        anchor: String,
        /// How many entries are applied there.
        nr_applied: u64,
    },
    /// It is past the last entry.
    #[error("{point} is past the end: the log has {}", Count(.nr_entries, "entry", "entries"))]
    BehindEnd {
        /// The point that was asked for.
        point: String,
        /// How many entries the log has.
        nr_entries: u64,
    },
    /// There are too few flushes.
    #[error("the log has {}; {anchor} does not exist", Count(.nr_flushes, "flush", "flushes"))]
    NoFlush {
        /// The anchor that was asked for.
        anchor: String,
        /// How many flushes the log has.
        nr_flushes: usize,
    },
    /// There are too few FUA writes.
    #[error("the log has {}; {anchor} does not exist", Count(.nr_fuas, "FUA write", "FUA writes"))]
    NoFua {
        /// The anchor that was asked for.
        anchor: String,
        /// How many FUA writes the log has.
        nr_fuas: usize,
    },
    /// There is no mark with this text, but there are others.
    #[error("there is no mark '{name}'{} `logwrites marks LOG` lists them", DidYouMean(.similar))]
    NoMark {
        /// The name that was asked for, encoded.
        name: String,
        /// The most similar one there is, encoded, if one is similar.
        similar: Option<String>,
    },
    /// There is no mark at all.
    #[error("there is no mark '{name}': the log has no marks")]
    NoMarks {
        /// The name that was asked for, encoded.
        name: String,
    },
    /// There are too few marks with this text.
    #[error("the log has {} '{name}'; {anchor} does not exist", Count(.nr_marks, "mark", "marks"))]
    NoNthMark {
        /// The anchor that was asked for.
        anchor: String,
        /// Its name, encoded.
        name: String,
        /// How many marks have that name.
        nr_marks: usize,
    },
    /// There is more than one mark with this text, and none was chosen.
    #[error("the log has {nr_marks} marks '{name}'; say which:{}", Choices(.name, .entries, .nr_marks))]
    Ambiguous {
        /// The name that was asked for, encoded.
        name: String,
        /// The entries of the first of them.
        entries: Vec<u64>,
        /// How many there are.
        nr_marks: usize,
    },
}

fn no_mark(name: &[u8], log: &impl Anchors) -> ResolveError {
    let shown = Encoded(name).to_string();
    let mut names = log.mark_names().take(MAX_SIMILAR_NAMES).peekable();
    if names.peek().is_none() {
        return ResolveError::NoMarks { name: shown };
    }
    let similar = names.filter_map(|other| Some((distance(name, other)?, other)));
    let nearest = similar.min_by_key(|&(distance, _)| distance);
    ResolveError::NoMark { name: shown, similar: nearest.map(|(_, other)| Encoded(other).to_string()) }
}

fn ambiguous(name: &[u8], entries: &[u64]) -> ResolveError {
    ResolveError::Ambiguous {
        name: Encoded(name).to_string(),
        entries: entries.iter().copied().take(MAX_CHOICES).collect(),
        nr_marks: entries.len(),
    }
}

/// How many bytes must be changed, added or left out to make one name the other, whatever the case of its
/// letters. None if they are not similar: if it is more than a third of the name, or more than three.
fn distance(name: &[u8], other: &[u8]) -> Option<usize> {
    let max_distance = (name.len().saturating_add(1) / 3).min(MAX_DISTANCE);
    if name.len() > MAX_SIMILAR_LEN || name.len().abs_diff(other.len()) > max_distance {
        return None;
    }
    let distance = strsim::generic_levenshtein(&name.to_ascii_lowercase(), &other.to_ascii_lowercase());
    (distance <= max_distance).then_some(distance)
}

/// A number of things with their name: `no flushes`, `1 flush`, `2 flushes`.
struct Count<'a, N>(&'a N, &'static str, &'static str);

impl<N: Copy + fmt::Display + TryInto<u8>> fmt::Display for Count<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Count(count, singular, plural) = self;
        match (*count).try_into() {
            Ok(0) => write!(f, "no {plural}"),
            Ok(1) => write!(f, "1 {singular}"),
            _ => write!(f, "{count} {plural}"),
        }
    }
}

struct DidYouMean<'a>(&'a Option<String>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(similar) => write!(f, "; did you mean '{similar}'?"),
            None => f.write_str(";"),
        }
    }
}

/// Each mark of a name, on a line of its own, and how many there are beyond those.
struct Choices<'a>(&'a str, &'a [u64], &'a usize);

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Choices(name, entries, nr_marks) = self;
        for (number, entry) in (1..).zip(entries) {
            let number: u64 = number;
            write!(f, "\n  mark:{name}#{number} is entry {entry}")?;
        }
        match nr_marks.checked_sub(entries.len()) {
            None | Some(0) => Ok(()),
            Some(nr_more) => write!(f, "\n  and {nr_more} more"),
        }
    }
}

/// How many marks of the same name an error lists.
const MAX_CHOICES: usize = 20;

/// Of how many marks, how long a name, and how different, a similar name is looked for.
const MAX_SIMILAR_NAMES: usize = 10_000;
const MAX_SIMILAR_LEN: usize = 64;
const MAX_DISTANCE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A log of 23 entries.
    struct Log {
        flushes: Vec<u64>,
        fuas: Vec<u64>,
        marks: Vec<(&'static [u8], u64)>,
    }

    impl Anchors for Log {
        fn nr_entries(&self) -> u64 {
            23
        }

        fn flushes(&self) -> impl DoubleEndedIterator<Item = u64> {
            self.flushes.iter().copied()
        }

        fn fuas(&self) -> impl DoubleEndedIterator<Item = u64> {
            self.fuas.iter().copied()
        }

        fn marks_named(&self, name: &[u8]) -> impl Iterator<Item = u64> {
            self.marks.iter().filter(move |mark| mark.0 == name).map(|mark| mark.1)
        }

        fn mark_names(&self) -> impl Iterator<Item = &[u8]> {
            self.marks.iter().map(|mark| mark.0)
        }
    }

    fn log() -> Log {
        let marks: Vec<(&'static [u8], u64)> =
            vec![(b"made", 0), (b"step", 4), (b"step", 9), (b"50%+~#\xff", 12), (b"step", 20)];
        Log { flushes: vec![3, 8, 22], fuas: vec![5], marks }
    }

    fn resolve(text: &str) -> Result<u64, String> {
        text.parse::<Point>().unwrap().resolve(&log()).map_err(|error| error.to_string())
    }

    #[test]
    fn points_are_found() {
        for (text, nr_applied) in [
            ("0", 0),
            ("23", 23),
            ("007", 7),
            ("start", 0),
            ("end", 23),
            ("flush:1", 4),
            ("flush:-1", 23),
            ("flush:-3", 4),
            ("fua:1", 6),
            ("fua:-1", 6),
            ("mark:made", 1),
            ("mark:made#1", 1),
            ("mark:step#2", 10),
            ("mark:step#-1", 21),
            ("mark:50%25%2B%7e%23%FF", 13),
            ("mark:ma%64e+2", 3),
            ("start+23", 23),
            ("end~23", 0),
            ("end+0", 23),
            ("start~0", 0),
            ("flush:2~3", 6),
            ("mark:step#1+1", 6),
        ] {
            assert_eq!(resolve(text), Ok(nr_applied), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (text, message) in [
            ("24", "24 is past the end: the log has 23 entries"),
            ("24~1", "24~1 is past the end: the log has 23 entries"),
            ("end+1", "end+1 is past the end: the log has 23 entries"),
            ("5+18446744073709551615", "5+18446744073709551615 is past the end: the log has 23 entries"),
            ("start~1", "start~1 is before the start of the log: start is at 0"),
            ("flush:1~5", "flush:1~5 is before the start of the log: flush:1 is at 4"),
            ("flush:24", "the log has 3 flushes; flush:24 does not exist"),
            ("flush:-4", "the log has 3 flushes; flush:-4 does not exist"),
            ("fua:2", "the log has 1 FUA write; fua:2 does not exist"),
            ("mark:step#4", "the log has 3 marks 'step'; mark:step#4 does not exist"),
            ("mark:made#-2", "the log has 1 mark 'made'; mark:made#-2 does not exist"),
            ("mark:Mode", "there is no mark 'Mode'; did you mean 'made'? `logwrites marks LOG` lists them"),
            (
                "mark:steps#1",
                "there is no mark 'steps'; did you mean 'step'? `logwrites marks LOG` lists them",
            ),
            ("mark:50%25#9", "there is no mark '50%25'; `logwrites marks LOG` lists them"),
            (
                "mark:50%25%2B%7E%23",
                "there is no mark '50%25%2B%7E%23'; did you mean '50%25%2B%7E%23%FF'? `logwrites marks LOG` \
                 lists them",
            ),
            ("mark:", "there is no mark ''; `logwrites marks LOG` lists them"),
            (
                "mark:step",
                "the log has 3 marks 'step'; say which:\n  mark:step#1 is entry 4\n  mark:step#2 is entry 9\
                 \n  mark:step#3 is entry 20",
            ),
        ] {
            assert_eq!(resolve(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_empty_log_has_neither() {
        let empty = Log { flushes: vec![], fuas: vec![], marks: vec![] };
        let message = |text: &str| text.parse::<Point>().unwrap().resolve(&empty).unwrap_err().to_string();
        assert_eq!(message("flush:-1"), "the log has no flushes; flush:-1 does not exist");
        assert_eq!(message("mark:a"), "there is no mark 'a': the log has no marks");
    }

    #[test]
    fn many_marks_of_one_name_are_cut_short() {
        let many = Log { marks: (0..22).map(|entry| (b"a b".as_slice(), entry)).collect(), ..log() };
        let error = "mark:a b".parse::<Point>().unwrap().resolve(&many).unwrap_err().to_string();
        assert!(error.starts_with("the log has 22 marks 'a b'; say which:\n  mark:a b#1 is entry 0\n"));
        assert!(error.ends_with("\n  mark:a b#20 is entry 19\n  and 2 more"));
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in "\\PC*|(start|end|flush:|fua:|mark:|[0-9~+#%a\u{e9}-]){0,6}") {
            if let Ok(point) = text.parse::<Point>() {
                match point.resolve(&log()) {
                    Ok(nr_applied) => prop_assert!(nr_applied <= 23),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }

        #[test]
        fn similar_names_are_similar_both_ways(one in "[ab]{5,9}", two in "[ab]{5,9}") {
            let (one, two) = (one.as_bytes(), two.as_bytes());
            if let (Some(there), Some(back)) = (distance(one, two), distance(two, one)) {
                prop_assert_eq!(there, back);
                prop_assert_eq!(there == 0, one == two);
            }
        }
    }
}
