//! `logwrites serve`: a disk for others, every write of theirs logged; or a disk as it was.

mod disk;
#[cfg(target_os = "linux")]
mod fuse;
mod nbd;
mod past;
mod record;
mod sector_size;
mod watch;

#[cfg(target_os = "linux")]
pub(super) use self::disk::open_disk;
#[cfg(target_os = "linux")]
pub(super) use self::fuse::DISK_NAME;
#[cfg(target_os = "linux")]
pub(super) use self::watch::log_to_stderr;

use crate::args::Serve;
#[cfg(not(target_os = "linux"))]
use crate::error::Failure;

pub(super) fn run(args: &Serve) -> anyhow::Result<()> {
    match args {
        Serve::Nbd(args) => nbd::run(args),
        #[cfg(target_os = "linux")]
        Serve::Fuse(args) => fuse::run(args),
        #[cfg(not(target_os = "linux"))]
        Serve::Fuse(_) => Err(Failure::Usage(
            "files are served on Linux only; `logwrites serve nbd` is there on every system".to_owned(),
        )
        .into()),
    }
}
