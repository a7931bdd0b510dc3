//! A file that a command makes, and that is there only if it was completed.

use std::io;
use std::path::Path;

use crate::device::{Access, Disk, DiskError, Draft, SameFile};
use crate::error::Failure;

/// A new file, which appears when it is kept.
#[derive(Debug)]
pub(super) struct NewFile {
    draft: Draft,
    hint: &'static str,
    replaces: bool,
}

impl NewFile {
    /// Makes it; nothing of that name may exist. `hint` says what to do if something does.
    pub(super) fn create(path: &Path, hint: &'static str) -> anyhow::Result<Self> {
        let draft = Draft::new(path).map_err(|error| explain(error, path, hint))?;
        Ok(Self { draft, hint, replaces: false })
    }

    /// Makes it in place of an older file, unless that is one of `others`.
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
                    return Err(SameFile::new(path, other.path()).into());
                }
            }
            // A process that writes to it would continue with a file that no longer has a name.
            old.lock()?;
        }
        Ok(Self { draft: Draft::replacing(path)?, hint: "", replaces: true })
    }

    /// The file.
    pub(super) const fn disk(&self) -> &Disk {
        self.draft.disk()
    }

    /// The file, for good. It should be durable by now.
    pub(super) fn keep(self) -> anyhow::Result<Disk> {
        if self.replaces {
            return Ok(self.draft.publish_replacing()?);
        }
        let path = self.draft.disk().path().to_owned();
        self.draft.publish().map_err(|error| explain(error, &path, self.hint))
    }
}

fn explain(error: DiskError, path: &Path, hint: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let path_name = path.display();
            let message = match path.read_link() {
                Ok(target) if !path.exists() => {
                    format!(
                        "{path_name} is a symbolic link to {}, which does not exist{hint}",
                        target.display()
                    )
                }
                Ok(_) | Err(_) => format!("{path_name} exists{hint}"),
            };
            Failure::Usage(message).into()
        }
        _ => error.into(),
    }
}
