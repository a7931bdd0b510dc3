//! A disk to be served: a live one, or a disk as of some points of its log.

mod error;
mod limits;
mod live;
mod past;

pub use self::error::OpenError;
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
    /// [`OpenError`].
    pub fn open(&self, name: &str) -> Result<ExportTable, OpenError> {
        match self {
            Self::Live(options) => live::open(options, name),
            Self::Past(options) => past::open(options, name),
        }
    }
}
