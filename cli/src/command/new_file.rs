//! A file that stays only if it was completed.

use std::io;
use std::path::{Path, PathBuf};

use super::same_file;
use crate::device::{Access, Disk, DiskError};
use crate::error::Failure;

/// A new file, deleted again unless it is kept.
#[derive(Debug)]
pub(super) struct NewFile {
    disk: Disk,
    unfinished: Unfinished,
}

impl NewFile {
    /// Creates it; it must not exist. `hint` says what to do if it does.
    pub(super) fn create(path: &Path, hint: &str) -> anyhow::Result<Self> {
        let disk = Disk::open(path, Access::CreateNew).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow::Error::new(Failure::Usage(format!("{} exists{hint}", path.display())))
            }
            _ => error.into(),
        })?;
        Ok(Self { disk, unfinished: Unfinished { path: Some(path.to_owned()) } })
    }

    /// Creates it in place of an older file, as long as that is none of `others`.
    pub(super) fn replace(path: &Path, others: &[&Disk]) -> anyhow::Result<Self> {
        if path.exists() {
            let old = Disk::open(path, Access::Write)?;
            if old.is_block_device() {
                return Err(
                    Failure::Usage(format!("{} is a block device, not a file", path.display())).into()
                );
            }
            for other in others {
                if old.is_same(other)? {
                    return Err(same_file(path, other.path()).into());
                }
            }
            std::fs::remove_file(path).map_err(|error| DiskError::new("replace", path, error))?;
        }
        Self::create(path, "")
    }

    /// The file.
    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The file, for good.
    pub(super) fn keep(self) -> Disk {
        let Self { disk, mut unfinished } = self;
        unfinished.path = None;
        disk
    }
}

/// A file that is deleted when this goes.
#[derive(Debug)]
struct Unfinished {
    path: Option<PathBuf>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Whatever made the file unfinished is the error to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}
