//! What can end an exploration early.

use std::io;

use indicatif::BinaryBytes;
use logwrites_core::crash::StateError;

use super::check::CheckError;
use super::out_dir::OutDirError;
use crate::explain::{End, Explain};
use crate::interrupt::Interrupted;
use crate::serve::fuse::{MountError, MountpointError, UnmountError};

/// Why an exploration has ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// A checker cannot be run.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The disk fails the check without a crash.
    #[error(
        "the check `{check}` does not pass on the disk at the end, where nothing is lost ({ended}): {output}"
    )]
    FailsWhole {
        /// The check.
        check: String,
        /// How it ended.
        ended: String,
        /// What it printed.
        output: String,
    },
    /// A checker has read nothing.
    #[error("the check `{check}` never read the disk, and so proves nothing")]
    ReadsNothing {
        /// The check.
        check: String,
    },
    /// Something that the check, or the shell, has started still uses the disk.
    #[error("{what} has left a process or a mount that uses the disk")]
    StillOpen {
        /// What was run.
        what: String,
    },
    /// A recovery writes more than can be crashed.
    #[error("the check `{check}` has written more to the disk than the {} that --nested keeps of a run", BinaryBytes(*.max_bytes))]
    WritesTooMuch {
        /// The check.
        check: String,
        /// How much may be written, some for each write included.
        max_bytes: u64,
    },
    /// A crash cannot leave what is asked for of a check's own writes.
    #[error("a crash of what the check `{check}` has written to the disk cannot leave that")]
    NotInRecovery {
        /// The check.
        check: String,
        /// Why not.
        source: StateError,
    },
    /// A check's temporary folder cannot be emptied.
    #[error("the check `{check}` has left something in $CRASH_TMPDIR that cannot be removed")]
    Leftovers {
        /// The check.
        check: String,
        /// Why not.
        source: io::Error,
    },
    /// The person's shell cannot be run.
    #[error(transparent)]
    Shell(Box<dyn std::error::Error + Send + Sync>),
    /// The log or the base cannot be read.
    #[error("cannot read the recorded disk")]
    Read(#[source] io::Error),
    /// A temporary folder, or a thread, cannot be made.
    #[error("cannot prepare the jobs")]
    Prepare(#[source] io::Error),
    /// The folder of the exploration cannot be used.
    #[error(transparent)]
    OutDir(#[from] OutDirError),
    /// The states cannot be served.
    #[error(transparent)]
    Mountpoint(#[from] MountpointError),
    /// The states cannot be served.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The states cannot be taken away again.
    #[error(transparent)]
    Unmount(#[from] UnmountError),
    /// A group is too large.
    #[error(transparent)]
    TooManyUnits(#[from] logwrites_core::crash::TooManyUnits),
    /// The person asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for ExploreError {
    fn end(&self) -> Option<End> {
        match self {
            Self::FailsWhole { .. }
            | Self::Check(
                CheckError::NothingPromised | CheckError::NeedsRoot { .. } | CheckError::NotInKernel { .. },
            )
            | Self::ReadsNothing { .. }
            | Self::StillOpen { .. }
            | Self::WritesTooMuch { .. }
            | Self::NotInRecovery { .. }
            | Self::Leftovers { .. }
            | Self::TooManyUnits(_) => Some(End::Malformed),
            Self::OutDir(error) => error.end(),
            Self::Interrupted(_) => Some(End::Interrupted),
            Self::Check(_)
            | Self::Shell(_)
            | Self::Read(_)
            | Self::Prepare(_)
            | Self::Mountpoint(_)
            | Self::Mount(_)
            | Self::Unmount(_) => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::FailsWhole { .. } => Some(
                "a check must pass where there was no crash; --to POINT ends the exploration before the last entries"
                    .to_owned(),
            ),
            Self::OutDir(error) => error.hint(),
            Self::Check(CheckError::NothingPromised) => Some(
                "`logwrites mark --promise FILE`, while it records, promises that a file is on the disk from then on".to_owned(),
            ),
            Self::ReadsNothing { .. } => Some("the disk is at $CRASH_IMAGE".to_owned()),
            _ => None,
        }
    }
}
