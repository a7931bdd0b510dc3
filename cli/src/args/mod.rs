//! The command line, as clap reads it.

mod serve;
mod values;

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use colorchoice_clap::Color;
use logwrites_core::{Extent, SectorSize};

pub use self::serve::{DiskArgs, Run, Serve, ServeFuse, ServeNbd};
pub use self::values::{
    DiscardArg, FlagArg, FormatArg, KeepArg, OrderingArg, SuperblockArg, TailArg, VerifyDiscardArg,
};
use self::values::{parse_extent, parse_sector_size};
use crate::device::ImageFormat;
use crate::output::style;
use crate::point::Point;
use crate::size::Size;

/// Record every write to a disk, replay the writes up to any point, and inspect them.
///
/// Logs have the format of Linux dm-log-writes and QEMU's blklogwrites. Neither a kernel module nor root is needed.
#[derive(Debug, Parser)]
#[command(name = "logwrites", version, styles = style::CLAP, after_help = format!("{AFTER_HELP}{START}"), infer_subcommands = false)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to use colour.
    #[command(flatten)]
    pub color: Color,
}

/// A verb.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record and replay a real file system, with nothing else installed
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Run a script of writes on a disk, and log every write
    Record(Record),
    /// Summarise a log
    Info(Info),
    /// List the entries of a log
    Ls(Ls),
    /// List the marks of a log
    Marks(Marks),
    /// Find the next flush, FUA write, discard or mark, or the next write to given sectors
    Find(Find),
    /// Print the data of an entry
    Cat(Cat),
    /// Show the sectors that differ between two points, and the entries that wrote them
    Diff(Diff),
    /// Restore the disk to any point of a log
    Replay(Replay),
    /// Replay a log like replay-log of xfstests, with the same options
    ReplayLog(ReplayLog),
    /// Check a log, and optionally that a base image and the log make a given final image
    Verify(Verify),
    /// Find entries that the superblock does not count, or rebuild a lost superblock
    Recover(Recover),
    /// Add a mark to a closed log, or to the log of a running server
    Mark(Mark),
    /// Serve a disk and log every write to it, or serve it as of an earlier point
    #[command(subcommand)]
    Serve(Serve),
    /// Run a command in a file system on a logged disk, from mkfs to unmount
    Run(Run),
    /// Show the status of a running server
    #[cfg(unix)]
    Status(Status),
    /// Copy part of a log to a new log
    Cut(Cut),
    /// Apply the first part of a log to its base, and keep the rest as a shorter log
    Squash(Squash),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page of logwrites, or of one of its commands
    Man(Man),
}

/// `logwrites demo`
#[cfg(feature = "demo")]
#[derive(Debug, Parser)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct Demo {
    /// Folder to create for the images and the log [default: a temporary folder]
    pub dir: Option<PathBuf>,
}

/// `logwrites record`
#[derive(Debug, Parser)]
#[command(after_help = RECORD_EXAMPLES)]
pub struct Record {
    /// Image or block device to write to
    #[arg(required_unless_present = "base", conflicts_with = "base")]
    pub data: Option<PathBuf>,
    /// Write to an overlay of this image instead: all writes go to the log, and the image stays unchanged
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// Log to write: a new file, or a block device
    #[arg(long)]
    pub log: PathBuf,
    /// Script to run [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Create DATA with this size first; DATA must not exist
    #[arg(long, value_name = "SIZE", requires = "data", conflicts_with_all = ["base", "append"])]
    pub create: Option<Size>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Format of the script
    #[arg(long, value_enum, default_value_t)]
    pub format: FormatArg,
    /// How the log is written.
    #[command(flatten)]
    pub logging: LogArgs,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// How images are read, for each verb that opens one
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ImageArgs {
    /// Read and write images as raw bytes even if they look like qcow2, VMDK, VDI, VHD, VHDX or LUKS
    #[arg(long)]
    pub raw: bool,
}

impl From<ImageArgs> for ImageFormat {
    fn from(args: ImageArgs) -> Self {
        if args.raw { Self::Raw } else { Self::Probed }
    }
}

/// How a log is written, for `record` and `serve`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// Sector size of the log and the disk in bytes: a power of two, at least 32 [default: 512]
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size, conflicts_with = "append")]
    pub sector_size: Option<SectorSize>,
    /// The guarantees of the log.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Maximum size of the log; a write that would exceed it is refused before it reaches the disk
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<Size>,
    /// An existing log.
    #[command(flatten)]
    pub existing: ExistingLogArgs,
}

/// The guarantees of a log that is being written
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PolicyArgs {
    /// When an entry is added to the log
    #[arg(long, value_enum, default_value_t)]
    pub ordering: OrderingArg,
    /// How the log is flushed when the superblock is written
    #[arg(long, value_enum, default_value_t)]
    pub superblock: SuperblockArg,
    /// Write the superblock at least once every ENTRIES entries
    #[arg(long, value_name = "ENTRIES", default_value_t = SUPER_INTERVAL)]
    pub super_interval: NonZeroU64,
}

impl Default for PolicyArgs {
    fn default() -> Self {
        Self {
            ordering: OrderingArg::default(),
            superblock: SuperblockArg::default(),
            super_interval: SUPER_INTERVAL,
        }
    }
}

const SUPER_INTERVAL: NonZeroU64 = NonZeroU64::new(4096).unwrap();

/// What to do with an existing log
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ExistingLogArgs {
    /// Overwrite an existing log
    #[arg(long)]
    pub force: bool,
    /// Append to an existing log; the disk must be in the state in which the log ends
    #[arg(long, conflicts_with = "force")]
    pub append: bool,
    /// With --append: what to do with entries that the superblock does not count
    #[arg(long, value_enum, requires = "append")]
    pub tail: Option<TailArg>,
}

/// `logwrites info`
#[derive(Debug, Parser)]
#[command(after_help = INFO_EXAMPLES)]
pub struct Info {
    /// Log to read
    pub log: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites ls`
#[derive(Debug, Parser)]
#[command(after_help = LS_EXAMPLES)]
pub struct Ls {
    /// Log to read
    pub log: PathBuf,
    /// Only entries after this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub to: Option<Point>,
    /// Only entries with this flag; with several flags, only entries that have all of them
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    pub flag: Vec<FlagArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites marks`
#[derive(Debug, Parser)]
#[command(after_help = MARKS_EXAMPLES)]
pub struct Marks {
    /// Log to read
    pub log: PathBuf,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites find`
#[derive(Debug, Parser)]
#[command(after_help = FIND_EXAMPLES, group = clap::ArgGroup::new("what").required(true).multiple(true).args(["next", "mark", "touching"]))]
pub struct Find {
    /// Log to read
    pub log: PathBuf,
    /// Find the next entry with this flag
    #[arg(long, value_enum)]
    pub next: Option<FlagArg>,
    /// Find the next mark with this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["next", "touching"])]
    pub mark: Option<String>,
    /// Find the next entry that touches these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Search after this point [default: start]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub from: Option<Point>,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites cat`
#[derive(Debug, Parser)]
#[command(after_help = CAT_EXAMPLES)]
pub struct Cat {
    /// Log to read
    pub log: PathBuf,
    /// Number of the entry, counted from 0
    pub entry: u64,
    /// Print a hex dump, even if standard output is not a terminal
    #[arg(long)]
    pub hex: bool,
}

/// `logwrites diff`
#[derive(Debug, Parser)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct Diff {
    /// Log to read
    pub log: PathBuf,
    /// First point
    #[arg(allow_negative_numbers = true)]
    pub a: Point,
    /// Second point
    #[arg(allow_negative_numbers = true)]
    pub b: Point,
    /// Image of the disk before the first entry; without it, every sector that the log overwrote counts as different from it
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero")]
    pub discard: VerifyDiscardArg,
    /// Show the bytes that differ
    #[arg(long, conflicts_with = "json")]
    pub hex: bool,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites recover`
#[derive(Debug, Parser)]
#[command(after_help = RECOVER_EXAMPLES)]
pub struct Recover {
    /// Log to read
    pub log: PathBuf,
    /// Make the superblock count the entries found, and save the old one in LOG.superblock.N
    #[arg(long)]
    pub write: bool,
    /// Assume that the superblock is lost, and that the log had this sector size
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<SectorSize>,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites mark`
#[derive(Debug, Parser)]
#[command(after_help = MARK_EXAMPLES)]
pub struct Mark {
    /// Closed log, or the control socket or control file of a running server
    pub log: PathBuf,
    /// Name of the mark
    pub name: String,
    /// Flush the disk first; a closed log is flushed in any case
    #[arg(long)]
    pub flush: bool,
}

/// `logwrites status`
#[cfg(unix)]
#[derive(Debug, Parser)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct Status {
    /// Control socket or control file of a running server
    pub control: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites cut`
#[derive(Debug, Parser)]
#[command(after_help = CUT_EXAMPLES)]
pub struct Cut {
    /// Log to read
    pub log: PathBuf,
    /// Log to create
    #[arg(long, value_name = "NEW")]
    pub output: PathBuf,
    /// Only entries after this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT", alias = "at", allow_negative_numbers = true)]
    pub to: Option<Point>,
    /// Only entries of these kinds
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    pub keep: Vec<KeepArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites squash`
#[derive(Debug, Parser)]
#[command(after_help = SQUASH_EXAMPLES)]
pub struct Squash {
    /// Log to read
    pub log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long, required_unless_present = "size", conflicts_with = "size")]
    pub base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long)]
    pub size: Option<Size>,
    /// Point up to which entries are applied to the base
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub at: Point,
    /// Base image to create
    #[arg(long, value_name = "NEWBASE")]
    pub output_base: PathBuf,
    /// Log to create
    #[arg(long, value_name = "NEWLOG")]
    pub output: PathBuf,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites completions`
#[derive(Clone, Copy, Debug, Parser)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    /// Shell to print completions for
    pub shell: clap_complete::Shell,
}

/// `logwrites man`
#[derive(Debug, Parser)]
#[command(after_help = MAN_EXAMPLES)]
pub struct Man {
    /// Command to describe, such as `serve nbd` [default: logwrites itself]
    pub command: Vec<String>,
}

/// `logwrites replay`
#[derive(Debug, Parser)]
#[command(after_help = REPLAY_EXAMPLES, group = clap::ArgGroup::new("target").required(true).args(["output", "onto"]))]
pub struct Replay {
    /// Log to read
    pub log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long, conflicts_with_all = ["base", "onto"])]
    pub size: Option<Size>,
    /// Image to create; sparse where the disk is zero, and sharing blocks with the base if the file system can
    #[arg(long, value_name = "OUT", conflicts_with = "from")]
    pub output: Option<PathBuf>,
    /// Image or block device to change in place
    #[arg(long, value_name = "DEVICE")]
    pub onto: Option<PathBuf>,
    /// Point that DEVICE is at now
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub from: Option<Point>,
    /// Point to replay to [default: end]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    pub at: Option<Point>,
    /// How to replay a discard
    #[arg(long, value_enum, default_value_t)]
    pub discard: DiscardArg,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Overwrite OUT if it exists
    #[arg(long, conflicts_with = "onto")]
    pub force: bool,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites replay-log`, whose options are not clap's: see [`command`](crate::command).
#[derive(Debug, Parser)]
#[command(disable_help_flag = true, override_help = crate::command::REPLAY_LOG_HELP)]
pub struct ReplayLog {
    /// Its options, unparsed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// `logwrites verify`
#[derive(Debug, Parser)]
#[command(after_help = VERIFY_EXAMPLES, group = clap::ArgGroup::new("start").args(["base", "size"]))]
pub struct Verify {
    /// Log to read
    pub log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long, requires = "final_image")]
    pub base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long, requires = "final_image", conflicts_with = "base")]
    pub size: Option<Size>,
    /// Image of the disk at the end of the log, to compare with
    #[arg(long = "final", id = "final_image", value_name = "IMAGE", requires = "start")]
    pub final_image: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero")]
    pub discard: VerifyDiscardArg,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
A POINT of a log is ANCHOR[~N|+N], where ANCHOR is
  N            after the first N entries (point 1 includes entry 0)
  start, end   before the first entry, after the last one
  flush:K      after the K-th flush; flush:-1 is after the last one
  fua:K        after the K-th FUA write
  mark:NAME    after a mark; mark:NAME#J if several marks have this name
and ~N moves the point N entries back, +N moves it N entries forward. In NAME, write the characters
~ + # % as %7E %2B %23 %25.

Exit codes: 0 success, 1 a check failed, 2 wrong usage or malformed input, 3 I/O error,
130 interrupted.";

const START: &str = if cfg!(feature = "demo") { "\n\nStart with:  logwrites demo" } else { "" };

#[cfg(feature = "demo")]
const DEMO_EXAMPLES: &str = "\
Examples:
  logwrites demo               use a temporary folder
  logwrites demo try-it        create the folder try-it";

const RECORD_EXAMPLES: &str = "\
Examples:
  printf 'write 0 4k\\nflush\\nmark one\\n' | logwrites record disk.img --create 16M --log disk.log
  logwrites record disk.img --log disk.log --script changes.txt
  logwrites record --base golden.img --log run.log --script changes.txt
  logwrites record disk.img --log disk.log --append --script more.txt
  logwrites record disk.img --log fio.log --format fio --script trace.iolog
  logwrites record disk.img --log small.log --log-size 1M --superblock barrier --script changes.txt

Scripts have one command per line, as in qemu-io:
  write [-P BYTE] [-f] OFFSET LEN        write -z [-u] [-f] OFFSET LEN
  writev [-P BYTE] [-f] OFFSET LEN...    discard OFFSET LEN
  read [-P BYTE] OFFSET LEN              flush
  mark NAME                              # comment
Sizes can be written as 4096, 0x1000, 4k or 1.5M.";

const INFO_EXAMPLES: &str = "\
Examples:
  logwrites info disk.log
  logwrites info disk.log --json | jq .touched_end_bytes";

const LS_EXAMPLES: &str = "\
Examples:
  logwrites ls disk.log
  logwrites ls disk.log --from mark:mkfs --to flush:3
  logwrites ls disk.log --flag fua --touching 2048+8
  logwrites ls disk.log --json | jq -c 'select(.payload_bytes > 1048576)'";

const MARKS_EXAMPLES: &str = "\
Examples:
  logwrites marks disk.log
  logwrites marks disk.log --json | jq -r .point";

const FIND_EXAMPLES: &str = "\
Examples:
  logwrites find disk.log --next flush --from mark:mkfs
  logwrites find disk.log --mark mkfs --json | jq .point
  logwrites find disk.log --touching 2048+8";

const CAT_EXAMPLES: &str = "\
Examples:
  logwrites cat disk.log 17                 print a hex dump to a terminal
  logwrites cat disk.log 17 > sector.bin    write the raw bytes to a file";

const DIFF_EXAMPLES: &str = "\
Examples:
  logwrites diff disk.log mark:before mark:after
  logwrites diff disk.log flush:-2 end --base base.img --hex";

const RECOVER_EXAMPLES: &str = "\
Examples:
  logwrites recover disk.log                       show what can be recovered
  logwrites recover disk.log --write               make the superblock count it
  logwrites recover /dev/sdb --sector-size 4096    the superblock itself is lost";

const MARK_EXAMPLES: &str = "\
Examples:
  logwrites mark disk.log 'before the upgrade'
  logwrites mark control.sock 'before the upgrade' --flush
  logwrites mark mnt/control 'before the upgrade' --flush";

#[cfg(unix)]
const STATUS_EXAMPLES: &str = "\
Examples:
  logwrites status control.sock
  logwrites status mnt/control
  logwrites status control.sock --json | jq .nr_entries";

const CUT_EXAMPLES: &str = "\
Examples:
  logwrites cut huge.log --output part.log --from mark:start --to mark:failed
  logwrites cut huge.log --output meta.log --keep metadata,flush,mark
  logwrites cut huge.log --output super.log --touching 0+16";

const SQUASH_EXAMPLES: &str = "\
Examples:
  logwrites squash run.log --base base.img --at mark:boot --output-base boot.img --output rest.log
  logwrites squash run.log --size 64M --at flush:-2 --output-base base.img --output rest.log";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  logwrites completions bash > ~/.local/share/bash-completion/completions/logwrites
  logwrites completions fish > ~/.config/fish/completions/logwrites.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  logwrites man | man -l -
  logwrites man replay > logwrites-replay.1
  logwrites man serve fuse | man -l -";

const REPLAY_EXAMPLES: &str = "\
Examples:
  logwrites replay disk.log --size 64M --output then.img --at mark:mkfs
  logwrites replay disk.log --base base.img --output crash.img --at flush:-1
  logwrites replay disk.log --onto work.img --from flush:3 --at flush:4
  logwrites replay disk.log --base base.img --onto work.img --from end --at mark:mkfs";

const VERIFY_EXAMPLES: &str = "\
Examples:
  logwrites verify disk.log
  logwrites verify disk.log --base base.img --final disk.img
  logwrites verify disk.log --size 64M --final disk.img";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
