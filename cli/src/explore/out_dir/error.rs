//! What can be wrong with the folder of an exploration.

use std::io;
use std::path::PathBuf;

use super::plan::VERSION;
use crate::explain::{End, Explain};

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutDirError {
    /// A new exploration needs a new folder.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// It was made for something else.
    #[error("{} is of an exploration with another {what}", path.display())]
    OtherPlan {
        /// The folder.
        path: PathBuf,
        /// What is not the same.
        what: &'static str,
    },
    /// It was made by a tool with another format.
    #[error("{} is an exploration in version {found} of the format, and not {VERSION}", path.display())]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// The version.
        found: u32,
    },
    /// There is no result yet.
    #[error("{} has no results: its exploration was killed", path.display())]
    NoResults {
        /// The folder.
        path: PathBuf,
    },
    /// A file in it is not what it should be.
    #[error("line {line} of {} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system's.
    #[error("cannot use {}", path.display())]
    System {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Explain for OutDirError {
    fn end(&self) -> Option<End> {
        match self {
            Self::System { .. } => None,
            _ => Some(End::Malformed),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotEmpty { .. } => "--resume continues an exploration; a new one needs a new folder",
            Self::NoResults { .. } => "the same `logwrites explore` with --resume continues it",
            Self::OtherVersion { .. } => "explore again, into a new folder",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
