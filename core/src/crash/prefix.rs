//! A part of a group as a value, to be stored and sent.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::crash::chain::Chain;
use crate::crash::layers::Layers;
use crate::history::{EntrySet, ParseEntrySetError};

/// The states of a group in which some units are kept and some are lost; all others are either.
///
/// The whole group is the prefix that says nothing. It is spelled `KEPT^LOST`, each as an [`EntrySet`] is: `3-5^7,9:0-1`
/// has the states that keep entries 3 to 5, and lose entry 7 and two sectors of entry 9. Only with its group does it
/// mean anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    kept: EntrySet,
    lost: EntrySet,
}

impl Prefix {
    /// What is kept in all of its states.
    #[must_use]
    pub const fn kept(&self) -> &EntrySet {
        &self.kept
    }

    /// What is lost in all of its states.
    #[must_use]
    pub const fn lost(&self) -> &EntrySet {
        &self.lost
    }

    pub(super) fn new(layers: &Layers, chain: &Chain) -> Self {
        let units = |is_kept: bool| {
            let units = chain.literals().filter(|literal| literal.1 == is_kept);
            let mut units: Vec<u32> = units.map(|literal| literal.0).collect();
            units.sort_unstable();
            layers.entry_set(units)
        };
        Self { kept: units(true), lost: units(false) }
    }

    /// As units of a group.
    pub(super) fn chain(&self, layers: &Layers) -> Result<Chain, UnknownUnit> {
        let mut chain = Chain::default();
        let mut units = BTreeMap::new();
        for (set, is_kept) in [(&self.kept, true), (&self.lost, false)] {
            for (entries, sectors) in set.ranges() {
                let unknown = UnknownUnit { entry: *entries.end() };
                for unit in layers.units_at(entries, sectors).ok_or(unknown)? {
                    if units.insert(unit, is_kept).is_some() {
                        return Err(unknown);
                    }
                    chain = chain.and(unit, is_kept);
                }
            }
        }
        Ok(chain)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}^{}", self.kept, self.lost)
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePrefixError> {
        let (kept, lost) = text.split_once('^').ok_or(ParsePrefixError::Caret)?;
        Ok(Self { kept: kept.parse()?, lost: lost.parse()? })
    }
}

/// A text that is not the spelling of a [`Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    /// It has no `^`.
    #[error("expected what is kept and what is lost, such as 3-5^7")]
    Caret,
    /// One of its two sides is not a set of entries.
    #[error(transparent)]
    Set(#[from] ParseEntrySetError),
}

/// A [`Prefix`] that is not of the group: it was made for another log, point or model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}, or the part of it that is named, is not a unit of the group")]
pub struct UnknownUnit {
    /// The number of the entry, or the last one of a range.
    pub entry: u64,
}
