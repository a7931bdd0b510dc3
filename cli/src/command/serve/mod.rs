//! `logwrites serve`: a disk for clients, whose writes are logged, or a disk as of earlier points.

#[cfg(target_os = "linux")]
mod fuse;
mod nbd;
mod report;
#[cfg(target_os = "linux")]
mod state;
mod watch;

#[cfg(target_os = "linux")]
pub(super) use self::fuse::{Args as FuseArgs, DISK_NAME};
#[cfg(target_os = "linux")]
pub(super) use self::nbd::Args as NbdArgs;
#[cfg(target_os = "linux")]
pub(super) use self::state::ServeArgs;
#[cfg(target_os = "linux")]
pub(super) use self::watch::log_to_stderr;

#[cfg(not(target_os = "linux"))]
use super::linux_only as fuse;
#[cfg(not(target_os = "linux"))]
use crate::error::Failure;

/// `logwrites serve`
#[derive(Debug, clap::Subcommand)]
pub(in crate::command) enum Args {
    /// Serve the disk to NBD clients, such as qemu, nbdcopy, nbdfuse and the kernel's nbd-client
    Nbd(nbd::Args),
    /// Serve the disk as a file in a folder, also for file systems on a loop device (Linux only)
    Fuse(fuse::Args),
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match args {
        Args::Nbd(args) => nbd::run(args),
        #[cfg(target_os = "linux")]
        Args::Fuse(args) => fuse::run(args),
        #[cfg(not(target_os = "linux"))]
        Args::Fuse(_) => Err(Failure::Usage(
            "only Linux can serve files; `logwrites serve nbd` works on every system".to_owned(),
        )
        .into()),
    }
}
