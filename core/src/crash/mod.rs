//! Every state that a crash can leave a disk in, and a search that decides all of them by a few runs of a checker.
//!
//! A disk with a write cache may lose, at a crash, any of the writes that no flush has made durable. After n such writes
//! there are 2^n disks that the software must be able to recover from. Nobody can try them one by one. But a checker that
//! is deterministic looks at very little of the disk, and its verdict depends on nothing else: **one run, with its reads
//! watched, decides every state that has the same bytes where the checker looked.** A few runs decide all 2^n.
//!
//! ```text
//! Index ── Groups ──> Group ── Layers ──> Search ── next() ──> Trial ── map() ──> a disk for the checker
//!          where a    2^n      the writes   ▲                    │
//!          crash      states   of a group   └── report(trial, reads, verdict)
//!          counts
//! ```
//!
//! | part | what it does |
//! |---|---|
//! | [`Groups`] | the crashes of a log, as sets of states that are full products: n units, each kept or lost on its own |
//! | [`Layers`] | the writes of one group over its durable disk; makes the [`ExtentMap`](crate::history::ExtentMap) of any of its states |
//! | [`Search`] | which state to run next, and what each run decides; an exact partition of the group |
//! | [`Proved`] | what earlier runs have proved, by the contents they read, for all groups |
//! | [`Minimise`], [`Bisect`] | from a failing state to the fewest lost writes that still fail; from a failing point to the first |
//! | [`State`] | the name of one state: `117^103,105-109,112:0-3` |
//! | [`StateCount`] | an exact number of states, of any size |
//!
//! Nothing here does I/O or runs a checker: a front end does, and reports what was read. Nothing reads a clock or rolls
//! dice: the same calls give the same states.
//!
//! # When a proof holds
//!
//! The checker must be deterministic, and must see of the state only the bytes that it reads through the front end, all
//! of whose reads are reported: also those that complete a partial write, those of a memory map, and those of
//! a kernel below a mount. Sizes, times and names must be the same for all states of a group, but for the last mark, which
//! belongs to the key of [`Proved`]. A verdict that depends on anything else, a timeout for one, must be reported with
//! [`Search::report_alone`], which decides a single state.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use logwrites_core::crash::{Groups, Layers, Model, Rules, Search, StateCount, Verdict};
//! use logwrites_core::format::{EntryHeader, Flags, Superblock};
//! use logwrites_core::history::{Checkpoints, Discards, Index, Piece};
//! use logwrites_core::reader::Walk;
//! use logwrites_core::{Extent, Ordering, SectorSize};
//!
//! // Forty writes to forty sectors, and no flush.
//! let superblock = Superblock { nr_entries: 40, sector_size: SectorSize::B512 };
//! let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
//! for sector in 0..40 {
//!     let header = EntryHeader { sector, nr_sectors: 1, flags: Flags::empty(), data_len: 0 };
//!     index.push(&walk.step(&header.emit()).unwrap(), b"");
//! }
//!
//! let rules = Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Zero };
//! let group = Groups::new(&index, rules, 0..40).next().unwrap();
//! assert_eq!(group.nr_states(), StateCount::power_of_two(40));
//!
//! // A checker that reads sector 3, and sector 4 if sector 3 was written.
//! let layers = Arc::new(Layers::new(&index, &group, &mut Checkpoints::new(Discards::Zero)).unwrap());
//! let mut search = Search::new(Arc::clone(&layers));
//! let mut nr_runs = 0;
//! while let Some(trial) = search.next_trial() {
//!     let disk = trial.map();
//!     let mut reads = vec![Extent::new(3, 1).unwrap()];
//!     if disk.get(3).is_some() {
//!         reads.push(Extent::new(4, 1).unwrap());
//!     }
//!     // Contents are compared by a hash. Here every write has bytes of its own, and so its place will do.
//!     let fingerprint = |pieces: &[Piece]| Some(u128::from(pieces[0].source.is_some()));
//!     search.report(trial, &reads, Verdict::Pass, fingerprint);
//!     nr_runs += 1;
//! }
//! assert!(search.is_decided());
//! assert_eq!((search.decided(), nr_runs), (&StateCount::power_of_two(40), 3));
//! ```

mod chain;
mod choice;
mod count;
mod groups;
mod layers;
mod minimise;
mod open;
mod prefix;
mod proved;
mod search;
mod stab;
mod state;

pub use choice::Choice;
pub use count::{ParseStateCountError, StateCount};
pub use groups::{Group, Groups};
pub use layers::{Layers, TooManyUnits};
pub use minimise::{Bisect, Minimise};
pub use prefix::{ParsePrefixError, Prefix, UnknownUnit};
pub use proved::{NotDeterministic, Proof, Proved};
pub use search::{Guarantee, Region, Search, Trial, Verdict};
pub use state::{ParseStateError, State, StateError};

use core::num::NonZeroU64;

use crate::config::Ordering;
use crate::format::{END_MARK, Flags};
use crate::history::{Discards, Index};

/// Which states a crash can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// What a prefix of the log means. [`ordering_of`] tells it from the log.
    pub ordering: Ordering,
    /// What a crash does to writes that are not durable.
    pub model: Model,
    /// What a discard leaves. With [`Discards::Ignore`] discards change nothing, and so are not units.
    pub discards: Discards,
}

/// What a crash does to the writes that nothing has made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Model {
    /// It keeps all of them: the states are the prefixes of the log, one for each point that differs from the one before.
    Ordered,
    /// It keeps or loses each on its own: an entry is a unit.
    #[default]
    Lost,
    /// It keeps or loses each atomic part of a write on its own, and also of a FUA write that is in flight. A discard
    /// is one unit.
    Torn {
        /// How many sectors of the disk, from a multiple of it on, are written as a whole or not at all.
        unit_sectors: NonZeroU64,
    },
}

/// The ordering of a log, told by what wrote it: durability order where it holds an entry that only Linux writes, or the
/// mark that ends a log in that order; completion order otherwise.
///
/// A log in durability order that was cut off early cannot be told: say which it is where you know. To take a log in
/// completion order for one in durability order is the safe mistake: it leaves states out, and adds none that cannot be.
/// O(n) for n entries.
#[must_use]
pub fn ordering_of(index: &Index) -> Ordering {
    let is_linux = index.flagged(Flags::METADATA).next().is_some();
    if is_linux || index.marks_named(END_MARK.as_bytes()).len() > 0 {
        Ordering::Durability
    } else {
        Ordering::Completion
    }
}
