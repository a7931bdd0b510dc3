//! The verbs, a file each.

mod demo;
mod info;
mod ls;
mod marks;
mod record;
mod replay;
mod verify;

use std::path::Path;

use crate::args::{Args, Command};
use crate::device::{Disk, DiskError};
use crate::error::Failure;

/// Carries out a command.
///
/// # Errors
/// What went wrong, with its context; see [`exit_code`](crate::error::exit_code).
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Demo(args) => demo::run(args),
        Command::Record(args) => record::run(args),
        Command::Info(args) => info::run(args),
        Command::Ls(args) => ls::run(args),
        Command::Marks(args) => marks::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Verify(args) => verify::run(args),
    }
}

/// The size of a disk, in bytes.
fn len_of(disk: &Disk) -> Result<u64, DiskError> {
    disk.len_bytes().map_err(|error| DiskError::new("find the size of", disk.path(), error))
}

/// The refusal to read and write one file.
fn same_file(a: &Path, b: &Path) -> Failure {
    Failure::Usage(format!("{} and {} are the same file", a.display(), b.display()))
}
