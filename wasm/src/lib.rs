//! Write logs in a browser, or wherever else JavaScript runs: exports over [`logwrites_core`].
//!
//! These are the raw exports. `wasm/js` makes the package of them, and `wasm/README.md` describes that; nothing else is
//! meant to call them.
//!
//! | type | job |
//! |---|---|
//! | [`Recorder`] | core's overlay, whose commands go to a device that JavaScript implements |
//! | [`Scan`] | core's walk over a log that is somewhere else, a window at a time |
//! | [`History`] | core's index, of a log that is read or of one that grows |
//! | [`DiskMap`] | core's extent map: where the bytes of a disk are |
//!
//! No payload of a log that is written enters the memory of wasm. Offsets and lengths are in bytes, and `f64` that are checked to be whole and
//! below 2^53; a list of records is a flat array, since an object for each would be made a million times.

#![cfg_attr(test, allow(clippy::panic_in_result_fn, reason = "tests assert"))]

mod disk_map;
mod error;
#[cfg(target_arch = "wasm32")]
mod heap;
mod history;
mod number;
mod past;
mod recorder;
mod scan;

pub use disk_map::DiskMap;
pub use error::Error;
pub use history::History;
pub use number::InvalidNumber;
pub use recorder::{Device, Recorder, RecorderOptions};
pub use scan::Scan;

use wasm_bindgen::prelude::wasm_bindgen;

/// Lets a panic, which no input should cause, say where it happened before it traps.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        error::panicked(&format!("logwrites has a fault, at {place}: please report it"));
    }));
}
