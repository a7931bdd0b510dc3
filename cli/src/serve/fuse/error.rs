//! Why a folder cannot be served, mounted or unmounted.

use std::io;
use std::path::PathBuf;

use crate::explain::{End, Explain};

/// Why files cannot be served on a folder.
#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    /// There is no such folder.
    #[error("there is no folder {0}; make it with: mkdir {0}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// What is there is not a folder.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The mount would hide files.
    #[error("{} is not empty; --nonempty mounts over it, and hides its files", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A server that no longer exists has mounted it.
    #[error("{0} was left by a server that was killed; free it with: {command} {0}", path.display())]
    Left {
        /// The folder.
        path: PathBuf,
        /// What frees it.
        command: &'static str,
    },
    /// It cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel does not serve files.
    #[error(
        "there is no {}, which is needed to serve files: load the module with `modprobe fuse`, or give the \
         container the device, as with `docker run --device /dev/fuse --cap-add SYS_ADMIN`",
        device.display()
    )]
    NoDevice {
        /// The device of FUSE.
        device: PathBuf,
    },
    /// The person may not serve files.
    #[error(
        "you may not open {0}: run `chmod 666 {0}` as root, which is the default of most systems",
        device.display()
    )]
    DeviceRefused {
        /// The device of FUSE.
        device: PathBuf,
    },
    /// The device cannot be opened.
    #[error("cannot open {}", device.display())]
    Device {
        /// The device of FUSE.
        device: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The program that mounts without root is missing.
    #[error(
        "without root, mounting takes {HELPER}, which is missing: sudo apt-get install fuse3, or what the system \
         calls that package"
    )]
    NoHelper,
}

impl Explain for MountpointError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Missing { .. } | Self::NotAFolder { .. } | Self::NotEmpty { .. } => Some(End::Malformed),
            Self::Left { .. }
            | Self::Unreadable { .. }
            | Self::NoDevice { .. }
            | Self::DeviceRefused { .. }
            | Self::Device { .. }
            | Self::NoHelper => None,
        }
    }
}

/// A file that a mount would hide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} {} is inside the mountpoint {}, which would hide it", path.display(), folder.display())]
pub struct Hidden {
    /// What names the file.
    pub(super) option: &'static str,
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
}

impl Explain for Hidden {
    fn end(&self) -> Option<End> {
        Some(End::Malformed)
    }
}

/// Why a folder is not mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The system refused.
    #[error("cannot mount on {}", path.display())]
    Mount {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There are no more threads.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why a folder was not unmounted, or was not served until then.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// The system refused to unmount it.
    #[error("cannot unmount {}", path.display())]
    Detach {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel could not be served.
    #[error("serving {}", path.display())]
    Served {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread did not come to its end.
    #[error("a thread that served {} panicked", path.display())]
    Panicked {
        /// The folder.
        path: PathBuf,
    },
}

/// What mounts and unmounts without root.
pub(super) const HELPER: &str = "fusermount3";
