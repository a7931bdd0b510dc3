//! What a log says about the disk at any point: the index of its entries, and where each byte came from.
//!
//! | structure | bytes | built in |
//! |---|---|---|
//! | [`Index`] | 32 for each entry, and for each mark its text and about 60 | one walk over the headers |
//! | [`ExtentMap`] | 28 to 50 for each run, a run being what is left visible of an entry | O(log n) for each entry |
//! | [`Checkpoints`] | maps at up to 16 points, which share what is equal | on the way to the points that are asked for |
//!
//! A *point* is a number of entries applied to the base image: point 0 is the base, entry `i` is in at point
//! `i + 1`.

mod checkpoints;
mod entry_set;
mod epoch;
mod extent_map;
mod index;
mod read;

pub use checkpoints::Checkpoints;
pub use entry_set::{EntrySet, ParseEntrySetError};
pub(crate) use epoch::is_volatile;
pub use epoch::{Epoch, Epochs};
pub use extent_map::{ExtentMap, Piece, Pieces, Run, Runs, Source};
pub use index::{Index, Mark};
pub use read::{Place, read_pieces};

use crate::format::Flags;
use crate::reader::Entry;

/// What a discard leaves when a log is replayed. The format does not say; Linux logs it even where the device
/// did nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Discards {
    /// Zeros.
    #[default]
    Zero,
    /// What was there before.
    Ignore,
}

impl ExtentMap {
    /// Applies an entry: its extent now comes from its payload, or is zeros if it is a discard. Marks and flushes
    /// change nothing. O(log n) amortised for n runs.
    pub fn apply(&mut self, entry: &Entry, discards: Discards) {
        if discards == Discards::Zero || !entry.flags().contains(Flags::DISCARD) {
            self.insert(entry.extent(), entry.source());
        }
    }

    /// As [`apply`](Self::apply), for an entry of which a crash may have lost a part.
    pub fn apply_kept(&mut self, entry: &Entry, lost: &EntrySet, discards: Discards) {
        if discards == Discards::Ignore && entry.flags().contains(Flags::DISCARD) {
            return;
        }
        for kept in lost.rest_of(entry) {
            let skipped_bytes = entry.sector_size.bytes_of(kept.sector() - entry.extent().sector());
            self.insert(kept, entry.source().skip(skipped_bytes));
        }
    }
}

impl Entry {
    /// Where the bytes of its extent come from once it is applied: its payload, or nowhere if it is a discard.
    pub(crate) fn source(&self) -> Source {
        if self.flags().contains(Flags::DISCARD) {
            Source::Zeros { entry_offset_bytes: self.offset_bytes }
        } else {
            Source::Log { offset_bytes: self.payload().start }
        }
    }
}
