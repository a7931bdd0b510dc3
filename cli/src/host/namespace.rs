//! Mounts that end with the process.

use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// From now on what is mounted is seen by this process and its children alone, and is gone when they are, whatever ends
/// them. Only root can ask for it; it must be called before there are threads that mount.
pub(crate) fn keep_mounts_to_ourselves() -> Result<(), NamespaceError> {
    // SAFETY: what is unsafe about it are unshared tables of files, which this does not ask for.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(|error| NamespaceError::Make(error.into()))?;
    let changed = mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC);
    changed.map_err(|error| NamespaceError::Keep(error.into()))
}

/// Mounts cannot be kept to the process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    /// There is no namespace of its own.
    #[error("cannot make a mount namespace")]
    Make(#[source] io::Error),
    /// Mounts would be seen outside.
    #[error("cannot keep mounts to this process")]
    Keep(#[source] io::Error),
}
