//! A new image, which stays only if it was completed.

use std::io;
use std::path::Path;

use super::super::same_file;
use crate::device::{Access, Disk, DiskError};
use crate::error::Failure;
use crate::log::Log;

/// An image that is deleted again unless it was completed.
pub(super) struct NewImage {
    pub(super) disk: Disk,
    is_complete: bool,
}

impl NewImage {
    /// Creates it; with `force` in place of an older file, as long as that is neither the log nor the base.
    pub(super) fn create(
        path: &Path,
        len_bytes: u64,
        force: bool,
        base: Option<&Disk>,
        log: &Log,
    ) -> anyhow::Result<Self> {
        if force && path.exists() {
            let old = Disk::open(path, Access::Write)?;
            let log_disk = Disk::open(log.path(), Access::Read)?;
            if old.is_block_device() {
                let message = format!("{} is a block device: use --onto", path.display());
                return Err(Failure::Usage(message).into());
            }
            for other in base.into_iter().chain([&log_disk]) {
                if old.is_same(other)? {
                    return Err(same_file(path, other.path()).into());
                }
            }
            std::fs::remove_file(path).map_err(|error| DiskError::new("replace", path, error))?;
        }
        let disk = Disk::open(path, Access::CreateNew).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow::Error::new(Failure::Usage(format!(
                "{} exists; --force overwrites it, --onto changes it in place",
                path.display()
            ))),
            _ => error.into(),
        })?;
        let new = Self { disk, is_complete: false };
        new.disk.set_len(len_bytes).map_err(|error| DiskError::new("give a size to", path, error))?;
        Ok(new)
    }

    /// Says that it is complete.
    pub(super) fn keep(mut self) {
        self.is_complete = true;
    }
}

impl Drop for NewImage {
    fn drop(&mut self) {
        if !self.is_complete {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(self.disk.path());
        }
    }
}
