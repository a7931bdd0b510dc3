//! A set of entries of a log, whole or some of their sectors: what a crash has lost.

use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use crate::geometry::Extent;
use crate::reader::Entry;

/// Entries of a log, each whole or some of its sectors: what a crash has lost, for one.
///
/// It is spelled `103,105-109,112:0-3`: entry 103, entries 105 to 109, and of entry 112 the first four sectors. An entry
/// with several ranges of sectors is repeated, as in `112:0-3,112:6`. Numbers ascend, so that there is one spelling for each
/// set. It takes memory for its ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntrySet {
    /// Ascending; no two could be one.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    /// Whole entries: the first and the last.
    Entries(u64, u64),
    /// An entry, and the first and the last of the sectors, counted from its first.
    Sectors(u64, u64, u64),
}

impl EntrySet {
    /// No entry.
    #[must_use]
    pub const fn empty() -> Self {
        Self { parts: Vec::new() }
    }

    /// Whether there is no entry in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds an entry after all that are there. O(1).
    ///
    /// # Panics
    /// If it does not ascend.
    pub fn push_entry(&mut self, entry: u64) {
        assert!(self.push(Part::Entries(entry, entry)), "entries ascend");
    }

    /// Adds some sectors of an entry, counted from the entry's first, after all that are there. O(1).
    ///
    /// # Panics
    /// If they do not ascend, or if there are none.
    pub fn push_sectors(&mut self, entry: u64, sectors: RangeInclusive<u64>) {
        let (from, to) = sectors.into_inner();
        assert!(from <= to, "there are some");
        assert!(self.push(Part::Sectors(entry, from, to)), "entries and sectors ascend");
    }

    /// What either has. The two share no entry. O(n) for n ranges of both.
    ///
    /// # Panics
    /// If they share one.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut parts: Vec<Part> = self.parts.iter().chain(&other.parts).copied().collect();
        parts.sort_unstable_by_key(Part::first);
        let mut union = Self::empty();
        for part in parts {
            assert!(union.push(part), "they share no entry");
        }
        union
    }

    /// Adds a part after all that are there, joined with the last one if they touch. Says whether it does ascend; if not,
    /// nothing is done.
    fn push(&mut self, part: Part) -> bool {
        let Some(last) = self.parts.last_mut() else {
            self.parts.push(part);
            return true;
        };
        match (last, part) {
            (Part::Entries(_, last), Part::Entries(first, to)) if *last + 1 == first => *last = to,
            (Part::Sectors(of, _, last), Part::Sectors(entry, from, to))
                if *of == entry && *last + 1 == from =>
            {
                *last = to;
            }
            (last, part) if last.is_before(&part) => self.parts.push(part),
            _ => return false,
        }
        true
    }

    /// The first entry of which something is in it.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.parts.first().map(Part::first)
    }

    /// The last entry of which something is in it.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.parts.last().map(Part::last)
    }

    /// Ascending: ranges of whole entries, and entries with some of their sectors, the first of the entry being 0.
    pub fn ranges(&self) -> impl Iterator<Item = (RangeInclusive<u64>, Option<RangeInclusive<u64>>)> + '_ {
        self.parts.iter().map(|part| match *part {
            Part::Entries(first, last) => (first..=last, None),
            Part::Sectors(entry, from, to) => (entry..=entry, Some(from..=to)),
        })
    }

    /// The parts of an entry's extent that are not in it, in order. O(log n) for n ranges, and O(1) for each part.
    pub fn rest_of(&self, entry: &Entry) -> impl Iterator<Item = Extent> + '_ {
        let (index, extent) = (entry.index, entry.extent());
        let at = self.parts.partition_point(|part| part.last() < index);
        let mut parts = self.parts[at..].iter();
        let mut rest = extent;
        core::iter::from_fn(move || {
            while !rest.is_empty() {
                let (rest_end, next) = match parts.next() {
                    Some(Part::Entries(first, _)) if *first <= index => (rest.sector(), extent.end()),
                    Some(Part::Sectors(of, from, to)) if *of == index => {
                        let sector = |nth: u64| extent.sector().saturating_add(nth).min(extent.end());
                        (sector(*from), sector(to.saturating_add(1)))
                    }
                    _ => (extent.end(), extent.end()),
                };
                let part = Extent::between(rest.sector(), rest_end);
                rest = Extent::between(next, extent.end());
                if !part.is_empty() {
                    return Some(part);
                }
            }
            None
        })
    }
}

impl Part {
    /// Whether another one may come after it.
    const fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sectors(entry, _, last), Self::Sectors(other, from, _)) if *entry == *other => {
                *last < *from
            }
            _ => self.last() < other.first(),
        }
    }

    const fn first(&self) -> u64 {
        match *self {
            Self::Entries(entry, _) | Self::Sectors(entry, _, _) => entry,
        }
    }

    const fn last(&self) -> u64 {
        match *self {
            Self::Entries(_, entry) | Self::Sectors(entry, _, _) => entry,
        }
    }
}

/// Whole entries, in any order.
impl FromIterator<u64> for EntrySet {
    fn from_iter<T: IntoIterator<Item = u64>>(entries: T) -> Self {
        let mut entries: Vec<u64> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        let mut set = Self::empty();
        for entry in entries {
            set.push_entry(entry);
        }
        set
    }
}

impl fmt::Display for EntrySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, part) in self.parts.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { "," })?;
            let (from, to) = match *part {
                Part::Entries(first, last) => (first, last),
                Part::Sectors(entry, from, to) => {
                    write!(f, "{entry}:")?;
                    (from, to)
                }
            };
            from.fmt(f)?;
            if to > from {
                write!(f, "-{to}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for EntrySet {
    type Err = ParseEntrySetError;

    fn from_str(text: &str) -> Result<Self, ParseEntrySetError> {
        let mut set = Self::empty();
        if text.is_empty() {
            return Ok(set);
        }
        for part in text.split(',') {
            set.parse_part(part)?;
        }
        Ok(set)
    }
}

impl EntrySet {
    fn parse_part(&mut self, text: &str) -> Result<(), ParseEntrySetError> {
        let part = match text.split_once(':') {
            None => {
                let (first, last) = parse_range(text)?;
                Part::Entries(first, last)
            }
            Some((entry, sectors)) => {
                let (from, to) = parse_range(sectors)?;
                Part::Sectors(parse_number(entry)?, from, to)
            }
        };
        if self.push(part) { Ok(()) } else { Err(ParseEntrySetError::Order) }
    }
}

fn parse_range(text: &str) -> Result<(u64, u64), ParseEntrySetError> {
    let Some((first, last)) = text.split_once('-') else {
        return parse_number(text).map(|number| (number, number));
    };
    let (first, last) = (parse_number(first)?, parse_number(last)?);
    if first < last { Ok((first, last)) } else { Err(ParseEntrySetError::Order) }
}

/// Digits only: `u64` would take a sign. The largest number of all is not one of an entry, so that one more is a number.
fn parse_number(text: &str) -> Result<u64, ParseEntrySetError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseEntrySetError::Number);
    }
    text.parse().ok().filter(|number| *number < u64::MAX).ok_or(ParseEntrySetError::Number)
}

/// A text that is not the spelling of a [`EntrySet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseEntrySetError {
    /// Something is not a decimal number that an entry can have.
    #[error("expected numbers of entries, such as 103,105-109,112:0-3")]
    Number,
    /// Numbers do not ascend.
    #[error("entries and their sectors must be in ascending order, each once")]
    Order,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{EntryHeader, Flags};
    use crate::geometry::SectorSize;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::string::{String, ToString};
    use std::vec;

    #[test]
    fn there_is_one_spelling() {
        for text in ["", "0", "103,105-109,112:0-3", "1:0,1:2-5,2,4-5", "18446744073709551614"] {
            assert_eq!(text.parse::<EntrySet>().map(|lost| lost.to_string()), Ok(String::from(text)));
        }
        assert_eq!("1,2,3,5-6,7:0,7:1".parse::<EntrySet>().unwrap().to_string(), "1-3,5-6,7:0-1");
    }

    #[test]
    fn what_is_not_a_spelling_is_refused() {
        for text in ["a", "1,", ",", "+1", "1:", ":1", "1-", "-1", "1:2:3", "18446744073709551615", " 1"] {
            assert_eq!(text.parse::<EntrySet>(), Err(ParseEntrySetError::Number), "{text}");
        }
        for text in ["2,1", "1,1", "2-1", "1-1", "1,1:0", "1:0,1", "1:3,1:2", "1:2-1", "5-9,7"] {
            assert_eq!(text.parse::<EntrySet>(), Err(ParseEntrySetError::Order), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_set_survives_its_text_and_says_what_it_leaves(
            lost in proptest::collection::btree_map(0u64..12, proptest::collection::btree_set(0u64..6, 0..6), 0..6),
        ) {
            // No sector of an entry stands here for the whole entry.
            let mut set = EntrySet::empty();
            for (entry, sectors) in &lost {
                if sectors.is_empty() {
                    set.push_entry(*entry);
                }
                for sector in sectors {
                    set.push_sectors(*entry, *sector..=*sector);
                }
            }
            prop_assert_eq!(set.to_string().parse::<EntrySet>(), Ok(set.clone()));
            prop_assert_eq!(set.first(), lost.keys().next().copied());
            for index in 0..12 {
                let header = EntryHeader { sector: 100, nr_sectors: 4, flags: Flags::empty(), data_len: 0 };
                let entry = Entry { index, offset_bytes: 512, header, sector_size: SectorSize::B512 };
                let kept: Vec<u64> =
                    set.rest_of(&entry).flat_map(|extent| extent.sector()..extent.end()).collect();
                let expected = match lost.get(&index) {
                    None => vec![100, 101, 102, 103],
                    Some(sectors) if sectors.is_empty() => vec![],
                    Some(sectors) => {
                        let all = BTreeSet::from([0, 1, 2, 3]);
                        all.difference(sectors).map(|sector| 100 + sector).collect()
                    }
                };
                prop_assert_eq!(kept, expected);
            }
        }
    }
}
