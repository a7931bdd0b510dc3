//! The verbs, a file each.

mod append;
mod cat;
mod completions;
mod cut;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod find;
mod info;
mod log_place;
mod ls;
mod man;
mod mark;
mod marks;
mod new_file;
mod record;
mod recover;
mod replay;
pub mod replay_log;
#[cfg(target_os = "linux")]
mod run;
mod serve;
mod squash;
#[cfg(unix)]
mod status;
mod verify;

use std::path::Path;

use logwrites_core::SectorSize;

use crate::args::{Args, Command};
use crate::device::{Disk, DiskError};
use crate::error::Failure;

pub(crate) use self::replay_log::HELP as REPLAY_LOG_HELP;

/// Carries out a command.
///
/// # Errors
/// What went wrong, with its context; see [`exit_code`](crate::error::exit_code).
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
        Command::Record(args) => record::run(args),
        Command::Info(args) => info::run(args),
        Command::Ls(args) => ls::run(args),
        Command::Marks(args) => marks::run(args),
        Command::Find(args) => find::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Replay(args) => replay::run(args),
        Command::ReplayLog(args) => replay_log::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Recover(args) => recover::run(args),
        Command::Mark(args) => mark::run(args),
        Command::Serve(args) => serve::run(args),
        #[cfg(target_os = "linux")]
        Command::Run(args) => run::run(args),
        #[cfg(not(target_os = "linux"))]
        Command::Run(_) => Err(Failure::Usage("file systems are mounted on Linux only".to_owned()).into()),
        #[cfg(unix)]
        Command::Status(args) => status::run(args),
        Command::Cut(args) => cut::run(args),
        Command::Squash(args) => squash::run(args),
        Command::Completions(args) => completions::run(*args),
        Command::Man(args) => man::run(args),
    }
}

/// The size of a disk, in bytes.
fn len_of(disk: &Disk) -> Result<u64, DiskError> {
    disk.len_bytes().map_err(|error| DiskError::new("find the size of", disk.path(), error))
}

/// A disk that is written has whole sectors of its log.
fn check_alignment(len_bytes: u64, path: &Path, sector_size: SectorSize) -> Result<(), Failure> {
    if sector_size.is_aligned(len_bytes) {
        return Ok(());
    }
    Err(Failure::Malformed(format!(
        "{} has {len_bytes} bytes, which is not a multiple of the sector size {sector_size}; --sector-size sets a different one",
        path.display(),
    )))
}

/// The refusal to read and write one file.
fn same_file(a: &Path, b: &Path) -> Failure {
    Failure::Usage(format!("{} and {} are the same file", a.display(), b.display()))
}
