//! What a person may type, as clap reads it.

mod serve;
mod values;

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use colorchoice_clap::Color;
use logwrites_core::{Extent, SectorSize};

pub use self::serve::{DiskArgs, FileSystem, Run, Serve, ServeFuse, ServeNbd};
pub use self::values::{
    DiscardArg, FlagArg, FormatArg, KeepArg, NextArg, OrderingArg, SuperblockArg, TailArg, VerifyDiscardArg,
};
use self::values::{parse_extent, parse_sector_size};
use crate::output::style;
use crate::point::Point;
use crate::size::Size;

/// Every write a disk receives: recorded, replayed, inspected.
///
/// Logs have the format of Linux dm-log-writes and QEMU's blklogwrites. No kernel module and no root is needed.
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
    /// Show what it is about: a real file system, recorded and replayed, with nothing else installed
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Write to a disk as a script says, and log every write
    Record(Record),
    /// Summarise a log
    Info(Info),
    /// List the entries of a log
    Ls(Ls),
    /// List the marks of a log
    Marks(Marks),
    /// Find the next entry of a kind, a mark, or who touches some sectors
    Find(Find),
    /// Print what an entry wrote
    Cat(Cat),
    /// Show what differs between two points, and which entries wrote it
    Diff(Diff),
    /// Make the disk as it was at any point of a log
    Replay(Replay),
    /// What replay-log of xfstests does, option for option; also where this program is called replay-log
    ReplayLog(ReplayLog),
    /// Check a log, and that a base image and the log make another image
    Verify(Verify),
    /// Look for entries behind what the superblock counts, or for a superblock that was lost
    Recover(Recover),
    /// Put a mark at the end of a closed log, or into that of a running server
    Mark(Mark),
    /// Offer a disk to others, and log every write of theirs; or a disk as it was
    #[command(subcommand)]
    Serve(Serve),
    /// Run a command in a file system on a logged disk: make, mount, run, unmount, in one line
    Run(Run),
    /// Say what a running server has done so far
    #[cfg(unix)]
    Status(Status),
    /// Make a new log of the part that matters
    Cut(Cut),
    /// Fold the first part of a log into a new base
    Squash(Squash),
    /// Print a shell's completions for this program
    Completions(Completions),
    /// Print the manual page of this program, or of one of its commands
    Man(Man),
}

/// `logwrites demo`
#[cfg(feature = "demo")]
#[derive(Debug, Parser)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct Demo {
    /// A new folder for the images and the log; a temporary one where none is named
    pub dir: Option<PathBuf>,
}

/// `logwrites record`
#[derive(Debug, Parser)]
#[command(after_help = RECORD_EXAMPLES)]
pub struct Record {
    /// The image or block device to write to
    #[arg(required_unless_present = "base", conflicts_with = "base")]
    pub data: Option<PathBuf>,
    /// Write to an overlay of this image instead, which lives in the log; the image itself stays as it is
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// The log: a new file, or a block device
    #[arg(long)]
    pub log: PathBuf,
    /// What to do, in the language of qemu-io, with `mark NAME` and `#` comments; standard input where it is missing
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Create DATA with this size first; it must not exist
    #[arg(long, value_name = "SIZE", requires = "data", conflicts_with_all = ["base", "append"])]
    pub create: Option<Size>,
    /// The language of the script
    #[arg(long, value_enum, default_value_t)]
    pub format: FormatArg,
    /// How the log is written.
    #[command(flatten)]
    pub logging: LogArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How a log is written: of `record` and `serve`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// The unit of the log and of the disk in bytes, a power of two from 32 on; 512 where it is missing, and an old log
    /// keeps its own
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size, conflicts_with = "append")]
    pub sector_size: Option<SectorSize>,
    /// What the log promises.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// The most that the log may take; what would pass it is refused before the disk is touched
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<Size>,
    /// The log that is there.
    #[command(flatten)]
    pub existing: ExistingLogArgs,
}

/// What a log that is being written promises
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PolicyArgs {
    /// When an entry appears in the log: when its write completes (as QEMU), or when it is durable (as Linux)
    #[arg(long, value_enum, default_value_t)]
    pub ordering: OrderingArg,
    /// When the superblock counts an entry: with one flush of the log, or only after a flush of its own
    #[arg(long, value_enum, default_value_t)]
    pub superblock: SuperblockArg,
    /// Write the superblock at least every so many entries
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

/// What becomes of a log that is there
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ExistingLogArgs {
    /// Overwrite an existing log
    #[arg(long)]
    pub force: bool,
    /// Go on with an existing log; the disk must be as the log left it
    #[arg(long, conflicts_with = "force")]
    pub append: bool,
    /// With --append: what to do with entries behind those that the superblock counts
    #[arg(long, value_enum, requires = "append")]
    pub tail: Option<TailArg>,
}

/// `logwrites info`
#[derive(Debug, Parser)]
#[command(after_help = INFO_EXAMPLES)]
pub struct Info {
    /// The log
    pub log: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites ls`
#[derive(Debug, Parser)]
#[command(after_help = LS_EXAMPLES)]
pub struct Ls {
    /// The log
    pub log: PathBuf,
    /// Only entries behind this point
    #[arg(long, value_name = "POINT")]
    pub from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT")]
    pub to: Option<Point>,
    /// Only entries with this flag; several flags, or the option several times: with all of them
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    pub flag: Vec<FlagArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+NR, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites marks`
#[derive(Debug, Parser)]
#[command(after_help = MARKS_EXAMPLES)]
pub struct Marks {
    /// The log
    pub log: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites find`
#[derive(Debug, Parser)]
#[command(after_help = FIND_EXAMPLES, group = clap::ArgGroup::new("what").required(true).multiple(true).args(["next", "mark", "touching"]))]
pub struct Find {
    /// The log
    pub log: PathBuf,
    /// The next entry with this flag
    #[arg(long, value_enum)]
    pub next: Option<NextArg>,
    /// The next mark with this text
    #[arg(long, value_name = "NAME", conflicts_with_all = ["next", "touching"])]
    pub mark: Option<String>,
    /// The next entry that touches these sectors of the disk: SECTOR or SECTOR+NR, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Behind this point
    #[arg(long, value_name = "POINT")]
    pub from: Option<Point>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites cat`
#[derive(Debug, Parser)]
#[command(after_help = CAT_EXAMPLES)]
pub struct Cat {
    /// The log
    pub log: PathBuf,
    /// The number of the entry, from 0
    pub entry: u64,
    /// As hexadecimal also where no terminal is
    #[arg(long)]
    pub hex: bool,
}

/// `logwrites diff`
#[derive(Debug, Parser)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct Diff {
    /// The log
    pub log: PathBuf,
    /// One point
    pub a: Point,
    /// The other point
    pub b: Point,
    /// The disk as it was before the log began; without it, what was overwritten there is taken to differ
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// What a discard has made: zeros, or nothing
    #[arg(long, value_enum, default_value = "zero")]
    pub discard: VerifyDiscardArg,
    /// Show the bytes
    #[arg(long, conflicts_with = "json")]
    pub hex: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `logwrites recover`
#[derive(Debug, Parser)]
#[command(after_help = RECOVER_EXAMPLES)]
pub struct Recover {
    /// The log
    pub log: PathBuf,
    /// Make the superblock count what was found, the old one saved in LOG.superblock.N
    #[arg(long)]
    pub write: bool,
    /// Take the superblock for lost, and this for the sector size that it had
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<SectorSize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites mark`
#[derive(Debug, Parser)]
#[command(after_help = MARK_EXAMPLES)]
pub struct Mark {
    /// The log, which nobody may be writing to; or the control socket or file of a running server
    pub log: PathBuf,
    /// The text of the mark
    pub name: String,
    /// Flush the disk first; what a closed log holds is flushed anyway
    #[arg(long)]
    pub flush: bool,
}

/// `logwrites status`
#[cfg(unix)]
#[derive(Debug, Parser)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct Status {
    /// The control socket or file of a running server
    pub control: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites cut`
#[derive(Debug, Parser)]
#[command(after_help = CUT_EXAMPLES)]
pub struct Cut {
    /// The log
    pub log: PathBuf,
    /// The new log
    #[arg(long, value_name = "NEW")]
    pub output: PathBuf,
    /// Only entries behind this point
    #[arg(long, value_name = "POINT")]
    pub from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT")]
    pub at: Option<Point>,
    /// Only entries of these kinds
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    pub keep: Vec<KeepArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+NR, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    pub touching: Option<Extent>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites squash`
#[derive(Debug, Parser)]
#[command(after_help = SQUASH_EXAMPLES)]
pub struct Squash {
    /// The log
    pub log: PathBuf,
    /// The disk as it was before the log began
    #[arg(long)]
    pub base: PathBuf,
    /// The point up to which the log is folded into the base
    #[arg(long, value_name = "POINT")]
    pub at: Point,
    /// The new base
    #[arg(long, value_name = "NEWBASE")]
    pub output_base: PathBuf,
    /// The new log
    #[arg(long, value_name = "NEWLOG")]
    pub output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites completions`
#[derive(Clone, Copy, Debug, Parser)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `logwrites man`
#[derive(Debug, Parser)]
#[command(after_help = MAN_EXAMPLES)]
pub struct Man {
    /// The command whose page it is, as in `serve nbd`
    pub command: Vec<String>,
}

/// `logwrites replay`
#[derive(Debug, Parser)]
#[command(after_help = REPLAY_EXAMPLES, group = clap::ArgGroup::new("target").required(true).args(["output", "onto"]))]
pub struct Replay {
    /// The log
    pub log: PathBuf,
    /// The disk as it was before the log began
    #[arg(long)]
    pub base: Option<PathBuf>,
    /// Or its size, if it was all zeros
    #[arg(long, conflicts_with_all = ["base", "onto"])]
    pub size: Option<Size>,
    /// Make this new image; it is sparse where it is zero, and shares blocks with the base where the file system can
    #[arg(long, value_name = "OUT", conflicts_with = "from")]
    pub output: Option<PathBuf>,
    /// Change this image or block device in place
    #[arg(long, value_name = "DEVICE")]
    pub onto: Option<PathBuf>,
    /// The point at which DEVICE is now
    #[arg(long, value_name = "POINT")]
    pub from: Option<Point>,
    /// The point to go to; the end where it is missing
    #[arg(long, value_name = "POINT")]
    pub at: Option<Point>,
    /// What a discard does: make zeros, nothing, or be passed on to DEVICE
    #[arg(long, value_enum, default_value_t)]
    pub discard: DiscardArg,
    /// Overwrite OUT if it exists
    #[arg(long, conflicts_with = "onto")]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `logwrites replay-log`, whose options are not clap's: see [`command`](crate::command).
#[derive(Debug, Parser)]
#[command(disable_help_flag = true, override_help = crate::command::REPLAY_LOG_HELP)]
pub struct ReplayLog {
    /// Its options, as they stand
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// `logwrites verify`
#[derive(Debug, Parser)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct Verify {
    /// The log
    pub log: PathBuf,
    /// The disk as it was before the log began
    #[arg(long, requires = "final_image")]
    pub base: Option<PathBuf>,
    /// The disk as it should be at the end of the log
    #[arg(long = "final", id = "final_image", value_name = "IMAGE", requires = "base")]
    pub final_image: Option<PathBuf>,
    /// What a discard has made: zeros, or nothing
    #[arg(long, value_enum, default_value = "zero")]
    pub discard: VerifyDiscardArg,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
A POINT of a log is ANCHOR[~N|+N], where ANCHOR is
  N            so many entries are applied (entry 0 is in at 1)
  start, end   none, all
  flush:K      just behind the K-th flush; -1 is the last one
  fua:K        just behind the K-th FUA write
  mark:NAME    just behind a mark; mark:NAME#J where the name is not unique
and ~N is N entries before it, +N behind it. In NAME the characters ~ + # % are written %7E %2B %23 %25.

Exit codes: 0 done, 1 a check failed, 2 wrong usage or malformed input, 3 I/O error, 130 interrupted.";

const START: &str = if cfg!(feature = "demo") { "\n\nStart with:  logwrites demo" } else { "" };

#[cfg(feature = "demo")]
const DEMO_EXAMPLES: &str = "\
Examples:
  logwrites demo               in a temporary folder
  logwrites demo try-it        in a new folder of that name";

const RECORD_EXAMPLES: &str = "\
Examples:
  printf 'write -P 0xaa 0 4k\\nflush\\nmark one\\n' | logwrites record disk.img --create 16M --log disk.log
  logwrites record disk.img --log disk.log --script changes.txt
  logwrites record --base golden.img --log run.log --script changes.txt
  logwrites record disk.img --log disk.log --append --script more.txt
  logwrites record disk.img --log fio.log --format fio --script trace.iolog
  logwrites record disk.img --log small.log --log-size 1M --superblock barrier --script changes.txt

Scripts have one command a line:
  write [-P BYTE] [-f] OFF LEN       write [-z [-u]] [-f] OFF LEN       writev [-P BYTE] [-f] OFF LEN...
  discard OFF LEN                    flush                              read [-P BYTE] OFF LEN
  mark NAME                          # a comment
Sizes as in qemu-io: 4096, 0x1000, 4k, 1.5M.";

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
  logwrites cat disk.log 17                 a dump on a terminal, with offsets on the disk
  logwrites cat disk.log 17 > sector.bin    the bytes themselves elsewhere";

const DIFF_EXAMPLES: &str = "\
Examples:
  logwrites diff disk.log mark:before mark:after
  logwrites diff disk.log flush:-2 end --base base.img --hex";

const RECOVER_EXAMPLES: &str = "\
Examples:
  logwrites recover disk.log                          after a kill, a crash, or a full log: what is there?
  logwrites recover disk.log --write                  make the superblock count it
  logwrites recover /dev/sdb --sector-size 4096       when the superblock itself is lost";

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
  logwrites cut huge.log --output part.log --from mark:start --at mark:failed
  logwrites cut huge.log --output meta.log --keep metadata,flush,mark
  logwrites cut huge.log --output super.log --touching 0+16";

const SQUASH_EXAMPLES: &str = "\
Examples:
  logwrites squash long.log --base base.img --at mark:booted --output-base booted.img --output rest.log";

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
  logwrites replay disk.log --base base.img --onto work.img --from end --at mark:mkfs      back in time";

const VERIFY_EXAMPLES: &str = "\
Examples:
  logwrites verify disk.log
  logwrites verify disk.log --base base.img --final disk.img";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
