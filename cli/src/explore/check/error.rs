//! A check that cannot be run, so that it says nothing about any disk.

use std::io;
use std::path::PathBuf;

/// A check that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A program is not there.
    #[error("{program} is missing; install it with `apt-get install {package}`")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The command itself cannot be run, so that nothing is said about the disk.
    #[error("the check `{check}` cannot be run (exit code {code}): {output}")]
    Harness {
        /// The check.
        check: String,
        /// 126 or 127, as shells say it.
        code: i32,
        /// What the shell printed.
        output: String,
    },
    /// The check mounts each state, which the kernel lets only root do.
    #[error("the check `{check}` mounts the disk, which needs root")]
    NeedsRoot {
        /// The check.
        check: String,
    },
    /// The kernel cannot mount the file system.
    #[error("the check `{check}` mounts {file_system}, which this kernel does not have")]
    NotInKernel {
        /// The check.
        check: String,
        /// The file system, as `mount` calls it.
        file_system: &'static str,
    },
    /// There is nothing to look at.
    #[error("no mark of the log promises a file")]
    NothingPromised,
    /// There is no block device for what is to be mounted.
    #[error("cannot make the disk a block device")]
    Loop {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk cannot be served to clients of NBD.
    #[error("cannot serve the disk on {}", path.display())]
    Nbd {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was mounted cannot be unmounted.
    #[error("cannot unmount {}", path.display())]
    Unmount {
        /// Where it is mounted.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system's.
    #[error("cannot run the check `{check}`")]
    System {
        /// The check.
        check: String,
        /// Why not.
        source: io::Error,
    },
}
