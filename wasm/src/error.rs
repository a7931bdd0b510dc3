//! What is thrown: an error of the package, with a code for programs and a message for people.

use logwrites_core::config::ConfigError;
use logwrites_core::crash::{ParseStateError, StateError};
use logwrites_core::format::{MarkTextError, SuperblockError};
use logwrites_core::geometry::{ExtentError, InvalidSectorSize};
use logwrites_core::logger::SubmitError;
use logwrites_core::reader::Malformed;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::number::{InvalidNumber, to_f64};

#[wasm_bindgen(raw_module = "../js/error.js")]
extern "C" {
    /// The package's class of errors.
    pub(crate) type LogError;

    #[wasm_bindgen(constructor)]
    fn new(code: &str, message: &str) -> LogError;

    #[wasm_bindgen(static_method_of = LogError)]
    fn malformed(message: &str, entry: f64, offset: f64) -> LogError;

    #[wasm_bindgen(js_name = panicked)]
    pub(crate) fn panicked(message: &str);

    /// Throws.
    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(js_name = outOfMemory)]
    pub(crate) fn out_of_memory();
}

/// Everything that an export can fail with.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Too many flushes wait for the sink.
    #[error("{max} flushes wait for the sink; wait for one of them")]
    Busy {
        /// How many may wait.
        max: usize,
    },
    /// No log can be written so.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A range that is not a whole number of sectors, or is too far.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// An entry is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A text that cannot be a mark.
    #[error(transparent)]
    Mark(#[from] MarkTextError),
    /// Superblocks without an entry between them.
    #[error("a superblock cannot be written every 0 entries")]
    NoInterval,
    /// A number that is neither a count nor an offset.
    #[error(transparent)]
    Number(#[from] InvalidNumber),
    /// There is no such thing.
    #[error("there is no {what} {number}: there are {limit}")]
    OutOfRange {
        /// What it would be.
        what: &'static str,
        /// Its number.
        number: u64,
        /// How many there are.
        limit: u64,
    },
    /// No sector size.
    #[error(transparent)]
    SectorSize(#[from] InvalidSectorSize),
    /// A state that a crash cannot leave.
    #[error(transparent)]
    State(#[from] StateError),
    /// A text that is not the name of a state.
    #[error(transparent)]
    StateName(#[from] ParseStateError),
    /// The logger did not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The log does not begin with a superblock.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    /// A state that cannot be told by whole entries.
    #[error("of entry {entry} only a part is lost")]
    Torn {
        /// The number of the entry.
        entry: u64,
    },
}

impl Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } | Self::Submit(SubmitError::Full) => "BUSY",
            Self::Config(ConfigError::TooSmall { .. }) | Self::Submit(SubmitError::NoSpace { .. }) => {
                "NO_SPACE"
            }
            Self::Config(ConfigError::ResumeOffset { .. }) | Self::NoInterval => "BAD_ARGUMENT",
            Self::Extent(ExtentError::UnalignedLength { .. } | ExtentError::UnalignedOffset { .. }) => {
                "UNALIGNED"
            }
            Self::Extent(ExtentError::TooFar { .. })
            | Self::OutOfRange { .. }
            | Self::State(StateError::Point { .. })
            | Self::Submit(SubmitError::ExtentTooFar { .. }) => "OUT_OF_RANGE",
            Self::Malformed(_) => "MALFORMED",
            Self::Mark(_) | Self::Submit(SubmitError::MarkTooLong { .. }) => "BAD_MARK",
            Self::Number(_) => "UNSAFE_NUMBER",
            Self::SectorSize(_) | Self::Superblock(SuperblockError::SectorSize(_)) => "BAD_SECTOR_SIZE",
            Self::State(_) | Self::StateName(_) => "BAD_STATE",
            Self::Submit(SubmitError::Closed) => "CLOSED",
            Self::Submit(
                SubmitError::LogFailed
                | SubmitError::Payload(_)
                | SubmitError::TagInUse { .. }
                | SubmitError::TagOutOfRange { .. },
            ) => "SINK_FAILED",
            Self::Superblock(SuperblockError::Magic { .. }) => "NOT_A_LOG",
            Self::Torn { .. } => "UNSUPPORTED",
            Self::Superblock(SuperblockError::Version { .. }) => "UNKNOWN_VERSION",
        }
    }
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Malformed(Malformed { entry, offset_bytes, .. }) => {
                LogError::malformed(&message, to_f64(entry), to_f64(offset_bytes)).into()
            }
            _ => LogError::new(error.code(), &message).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use logwrites_core::geometry::MAX_OFFSET_BYTES;

    #[test]
    fn every_code_is_declared_in_javascript() {
        let errors = [
            Error::Busy { max: 1 },
            ConfigError::TooSmall { capacity_bytes: 0, min_bytes: 1 }.into(),
            ConfigError::ResumeOffset { offset_bytes: 1 }.into(),
            SectorSize::B512.extent(1, 512).unwrap_err().into(),
            SectorSize::B512.extent(MAX_OFFSET_BYTES / 512 * 512, 1024).unwrap_err().into(),
            logwrites_core::reader::Walk::new(
                logwrites_core::format::Superblock { nr_entries: 1, sector_size: SectorSize::B512 },
                None,
            )
            .truncated()
            .into(),
            MarkTextError::NoRoom.into(),
            Error::NoInterval,
            InvalidNumber { number: 0.5 }.into(),
            SectorSize::try_from(513).unwrap_err().into(),
            ParseStateError::Point.into(),
            StateError::Fua { entry: 1 }.into(),
            Error::Torn { entry: 1 },
            SubmitError::Closed.into(),
            SubmitError::LogFailed.into(),
            SuperblockError::Magic { found: 0 }.into(),
            SuperblockError::Version { found: 2 }.into(),
        ];
        for error in errors {
            let code = format!("\"{}\"", error.code());
            assert!(include_str!("../js/error.js").contains(&code), "{code} is not declared");
            assert!(
                include_str!("../README.md").contains(&code.replace('"', "`")),
                "{code} is not described"
            );
        }
    }
}
