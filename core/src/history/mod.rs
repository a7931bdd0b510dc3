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
mod epoch;
mod extent_map;
mod index;
mod read;

pub use checkpoints::Checkpoints;
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
        let source = if !entry.flags().contains(Flags::DISCARD) {
            Source::Log { offset_bytes: entry.payload().start }
        } else if discards == Discards::Zero {
            Source::Zeros { entry_offset_bytes: entry.offset_bytes }
        } else {
            return;
        };
        self.insert(entry.extent(), source);
    }
}
