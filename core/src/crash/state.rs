//! The name of one state.

use core::fmt;
use core::str::FromStr;

use crate::format::Flags;
use crate::history::{Discards, EntrySet, ExtentMap, Index, ParseEntrySetError};
use crate::reader::Entry;

/// One state that a crash can leave: the disk at a point of the log, without what was lost.
///
/// It is spelled `POINT[^LOST]`, as in `117^103,105-109,112:0-3`; see [`EntrySet`]. The name needs only the log to be understood,
/// not the model by which the state was found. [`Checkpoints::map_at`](crate::history::Checkpoints::map_at) makes its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// How many entries of the log the disk was told.
    pub point: u64,
    /// What it lost of them.
    pub lost: EntrySet,
}

impl State {
    /// All that may differ between this state and another one of the same log: what is in only one of them, and what was
    /// written over that. O(n log n) for n entries between them.
    #[must_use]
    pub fn changed_to(&self, other: &Self, index: &Index, discards: Discards) -> ExtentMap {
        let lost = [&self.lost, &other.lost].into_iter().filter_map(EntrySet::first);
        let first = lost.fold(self.point.min(other.point), u64::min);
        index.map_of(first..self.point.max(other.point), discards)
    }

    /// Whether a crash can leave it: the point is one of the log, and whatever is lost could be. Of the last entry, also a
    /// FUA write can be lost, which was in flight then.
    ///
    /// # Errors
    /// [`StateError`] says what cannot have been lost, and why. O(1) for each entry of the epoch and each lost one.
    pub fn check(&self, index: &Index) -> Result<(), StateError> {
        let Self { point, .. } = *self;
        if point > index.nr_entries() {
            return Err(StateError::Point { point, nr_entries: index.nr_entries() });
        }
        let epoch = index.epoch_at(point);
        for (entries, sectors) in self.lost.ranges() {
            if *entries.end() >= point {
                return Err(StateError::After { entry: *entries.end(), point });
            }
            for entry in index.entries(*entries.start()..*entries.end() + 1) {
                let number = entry.index;
                let is_in_flight = number + 1 == point && entry.changes_disk();
                if !epoch.is_volatile(number) && !is_in_flight {
                    return Err(why_not_lost(index, &entry, point));
                }
                let nr_sectors = entry.extent().nr_sectors();
                if let Some(sectors) = &sectors
                    && *sectors.end() >= nr_sectors
                {
                    return Err(StateError::Sector { entry: number, sector: *sectors.end(), nr_sectors });
                }
            }
        }
        Ok(())
    }
}

fn why_not_lost(index: &Index, entry: &Entry, point: u64) -> StateError {
    let number = entry.index;
    if !entry.changes_disk() {
        return StateError::Unchanging { entry: number };
    }
    match index.next_flush(number + 1).filter(|flush| *flush < point) {
        Some(flush) => StateError::Flushed { entry: number, flush, point },
        None => {
            debug_assert!(entry.flags().contains(Flags::FUA), "nothing else is durable by itself");
            StateError::Fua { entry: number }
        }
    }
}

/// Nothing is lost at `point`.
impl From<u64> for State {
    fn from(point: u64) -> Self {
        Self { point, lost: EntrySet::empty() }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.point.fmt(f)?;
        if self.lost.is_empty() {
            return Ok(());
        }
        write!(f, "^{}", self.lost)
    }
}

impl FromStr for State {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        let (point, lost) = match text.split_once('^') {
            Some((point, lost)) if !lost.is_empty() => (point, lost.parse()?),
            Some(_) => return Err(ParseStateError::Lost(ParseEntrySetError::Number)),
            None => (text, EntrySet::empty()),
        };
        if !point.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseStateError::Point);
        }
        let point = point.parse().map_err(|_| ParseStateError::Point)?;
        Ok(Self { point, lost })
    }
}

/// A text that is not the name of a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseStateError {
    /// What is before the `^` is not the number of a point.
    #[error("expected a point and what was lost, such as 117^103,105-109")]
    Point,
    /// What is after it is not a set of entries.
    #[error(transparent)]
    Lost(#[from] ParseEntrySetError),
}

/// A state that a crash cannot leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The log does not reach the point.
    #[error("point {point} is after the end of the log, which has {nr_entries} entries")]
    Point {
        /// The point.
        point: u64,
        /// How many entries there are.
        nr_entries: u64,
    },
    /// An entry comes after the crash.
    #[error("entry {entry} is not before point {point}: a crash there cannot lose it")]
    After {
        /// The number of the entry.
        entry: u64,
        /// The point.
        point: u64,
    },
    /// An entry changes nothing on the disk.
    #[error("entry {entry} changes nothing on the disk: there is nothing to lose")]
    Unchanging {
        /// The number of the entry.
        entry: u64,
    },
    /// A flush made the entry durable.
    #[error("entry {entry} is durable at point {point}: flush {flush} covers it")]
    Flushed {
        /// The number of the entry.
        entry: u64,
        /// The number of the flush.
        flush: u64,
        /// The point.
        point: u64,
    },
    /// The entry is durable by itself.
    #[error("entry {entry} is a FUA write: it is durable when it is done")]
    Fua {
        /// The number of the entry.
        entry: u64,
    },
    /// The entry has fewer sectors.
    #[error("entry {entry} has {nr_sectors} sectors, counted from 0: it cannot lose sector {sector}")]
    Sector {
        /// The number of the entry.
        entry: u64,
        /// The sector, counted from the first of the entry.
        sector: u64,
        /// How many sectors the entry has.
        nr_sectors: u64,
    },
}
