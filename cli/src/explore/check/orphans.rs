//! What a check has left running, in whatever process group or session: it would reach into the next state.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::host::error::StrayError;
use crate::host::strays;

/// How the orphans of one job's checks are told from those of other jobs.
#[derive(Debug)]
pub(super) enum Orphans<'a> {
    /// By their mount namespace, which only root can give each job.
    In(PathBuf),
    /// By the folder for temporary files in their environment.
    With(&'a Path),
}

impl<'a> Orphans<'a> {
    /// Those of this thread's job, whose checks have this folder.
    pub(super) fn of(tmpdir: &'a Path) -> Self {
        let own = rustix::process::geteuid().is_root().then(|| fs::read_link("/proc/thread-self/ns/mnt"));
        own.and_then(Result::ok).map_or(Self::With(tmpdir), Self::In)
    }

    /// Ends them, and waits for it.
    pub(super) fn end(&self) -> Result<(), StrayError> {
        strays::end_adopted(|pid| self.have(pid))
    }

    fn have(&self, pid: Pid) -> bool {
        let pid = pid.as_raw_nonzero();
        match self {
            Self::In(namespace) => {
                fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|theirs| theirs == *namespace)
            }
            Self::With(tmpdir) => fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                let folders =
                    environment.split(|&byte| byte == 0).filter_map(|line| line.strip_prefix(b"TMPDIR="));
                folders.into_iter().any(|folder| folder == tmpdir.as_os_str().as_bytes())
            }),
        }
    }
}
