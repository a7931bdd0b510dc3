//! A disk to be served: a live one, or a disk as of some points of its log.

mod limits;
mod live;
mod past;

pub use self::live::{LiveOptions, Under};
pub use self::past::PastOptions;
use crate::serve::exports::ExportTable;

/// Which disk to serve.
#[derive(Clone, Debug)]
pub enum DiskOptions {
    /// A disk in use.
    Live(LiveOptions),
    /// A disk as of some points.
    Past(PastOptions),
}

impl DiskOptions {
    /// Opens the disk as exports of this name.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(&self, name: &str) -> anyhow::Result<ExportTable> {
        match self {
            Self::Live(options) => live::open(options, name),
            Self::Past(options) => past::open(options, name),
        }
    }
}
