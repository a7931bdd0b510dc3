//! The state machines that an engine can drive.

use logwrites_core::drive::Recorder;
use logwrites_core::history::Piece;
use logwrites_core::overlay::Overlay;
use logwrites_core::{Extent, Logger};

/// How many operations may be in flight.
pub const SLOTS: usize = 256;

/// A recorder that knows where the bytes of the disk are.
pub trait Machine: Recorder + Send {
    /// Whether the data device has all of the disk, always.
    const IS_ALL_DATA: bool;

    /// Where the bytes of an extent are: at most `max` pieces from its start on.
    fn pieces(&self, extent: Extent, max: usize) -> Vec<Piece>;

    /// How many runs it has to know of to say that.
    fn nr_runs(&self) -> usize;
}

impl Machine for Logger<SLOTS> {
    const IS_ALL_DATA: bool = true;

    fn pieces(&self, extent: Extent, _max: usize) -> Vec<Piece> {
        vec![Piece { extent, source: None }]
    }

    fn nr_runs(&self) -> usize {
        0
    }
}

impl Machine for Overlay<SLOTS> {
    const IS_ALL_DATA: bool = false;

    fn pieces(&self, extent: Extent, max: usize) -> Vec<Piece> {
        self.map().pieces(extent).take(max).collect()
    }

    fn nr_runs(&self) -> usize {
        self.map().len()
    }
}
