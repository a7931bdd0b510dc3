//! The command line, and its verbs, a file each: what a person may type, and what is done about it.

mod cat;
mod compare;
mod completions;
#[cfg(unix)]
mod crash;
mod cut;
#[cfg(feature = "demo")]
mod demo;
mod diff;
#[cfg(target_os = "linux")]
mod explore;
mod find;
mod info;
#[cfg(not(target_os = "linux"))]
mod linux_only;
mod ls;
mod man;
mod mark;
mod marks;
mod new_file;
mod record;
mod recover;
mod replay;
mod replay_log;
#[cfg(target_os = "linux")]
mod run;
mod serve;
mod squash;
#[cfg(unix)]
mod status;
mod verify;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};
use colorchoice_clap::Color;

#[cfg(not(target_os = "linux"))]
use self::linux_only as run;
#[cfg(not(target_os = "linux"))]
use self::linux_only as explore;
#[cfg(not(target_os = "linux"))]
use crate::error::Failure;
use crate::output::style;

/// Record every write to a disk, replay the writes up to any point, and inspect them.
///
/// Logs have the format of Linux dm-log-writes and QEMU's blklogwrites. Neither a kernel module nor root is needed.
#[derive(Debug, Parser)]
#[command(name = "logwrites", version, styles = style::CLAP, after_help = format!("{AFTER_HELP}{START}"), infer_subcommands = false)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// When to use colour.
    #[command(flatten)]
    color: Color,
}

/// A verb.
#[derive(Debug, Subcommand)]
enum Command {
    /// Record and replay a real file system, with nothing else installed
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Run a script of writes on a disk, and log every write
    Record(record::Args),
    /// Summarise a log
    Info(info::Args),
    /// List the entries of a log
    Ls(ls::Args),
    /// List the marks of a log
    Marks(marks::Args),
    /// Find the next flush, FUA write, discard or mark, or the next write to given sectors
    Find(find::Args),
    /// Print the data of an entry
    Cat(cat::Args),
    /// Show the sectors that differ between two points, and the entries that wrote them
    Diff(diff::Args),
    /// Restore the disk to any point of a log
    Replay(replay::Args),
    /// Replay a log like replay-log of xfstests, with the same options
    ReplayLog(replay_log::Args),
    /// Check a log, and optionally that a base image and the log make a given final image
    Verify(verify::Args),
    /// Find entries that the superblock does not count, or rebuild a lost superblock
    Recover(recover::Args),
    /// Add a mark to a closed log, or to the log of a running server
    Mark(mark::Args),
    /// Serve a disk and log every write to it, or serve it as of an earlier point
    #[command(subcommand)]
    Serve(serve::Args),
    /// Run a command in a file system on a logged disk, from mkfs to unmount
    Run(run::Args),
    /// Run a checker on the states that a crash can leave, until every one of them is decided
    Explore(explore::Args),
    /// Crash the disk of a running server at this moment, while its clients go on
    #[cfg(unix)]
    Crash(crash::Args),
    /// Show the status of a running server
    #[cfg(unix)]
    Status(status::Args),
    /// Copy part of a log to a new log
    Cut(cut::Args),
    /// Apply the first part of a log to its base, and keep the rest as a shorter log
    Squash(squash::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page of logwrites, or of one of its commands
    Man(man::Args),
}

impl Cli {
    /// Uses colour as the person wants it.
    pub fn apply_color(&self) {
        self.color.write_global();
    }

    /// The words of `replay-log`, which clap hands on as they are; none for every other verb.
    #[must_use]
    pub fn replay_log_words(&self) -> Option<&[OsString]> {
        match &self.command {
            Command::ReplayLog(args) => Some(args.words()),
            _ => None,
        }
    }
}

/// Carries out a command.
///
/// # Errors
/// What went wrong, with its context; see [`exit_code`](crate::error::exit_code).
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args, &|words| run(&Cli::try_parse_from(words)?)),
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
        #[cfg(target_os = "linux")]
        Command::Explore(args) => explore::run(args),
        #[cfg(not(target_os = "linux"))]
        Command::Explore(_) => Err(Failure::Usage("crash states are served on Linux only".to_owned()).into()),
        #[cfg(unix)]
        Command::Crash(args) => crash::run(args),
        #[cfg(unix)]
        Command::Status(args) => status::run(args),
        Command::Cut(args) => cut::run(args),
        Command::Squash(args) => squash::run(args),
        Command::Completions(args) => completions::run(*args, &mut Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
    }
}

const AFTER_HELP: &str = "\
A POINT of a log is ANCHOR[~N|+N], where ANCHOR is
  N            after the first N entries (point 1 includes entry 0)
  start, end   before the first entry, after the last one
  flush:K      after the K-th flush; flush:-1 is after the last one
  fua:K        after the K-th FUA write
  mark:NAME    after a mark; mark:NAME#J if several marks have this name
and ~N moves the point N entries back, +N moves it N entries forward. In NAME, write the characters
~ + # % ^ as %7E %2B %23 %25 %5E.
A STATE is POINT[^LOST], such as 117^103,105-109,112:0-3: the disk at a point after a crash that
lost some entries, or some sectors of an entry.

Exit codes: 0 success, 1 a check failed, 2 wrong usage or malformed input, 3 I/O error,
130 interrupted.";

const START: &str = if cfg!(feature = "demo") { "\n\nStart with:  logwrites demo" } else { "" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
