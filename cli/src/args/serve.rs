//! The command line of live disks: `serve` and `run`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand};

use super::values::parse_export_name;
use super::{ImageArgs, LogArgs};
use crate::host::mkfs::{FILE_SYSTEM_TYPES, FileSystemType};
use crate::point::Point;
use crate::size::Size;

/// `logwrites serve`
#[derive(Debug, Subcommand)]
pub enum Serve {
    /// Serve the disk to NBD clients, such as qemu, nbdcopy, nbdfuse and the kernel's nbd-client
    Nbd(ServeNbd),
    /// Serve the disk as a file in a folder, also for file systems on a loop device (Linux only)
    Fuse(ServeFuse),
}

/// The options that all servers share: a live disk and its log, or a disk as of an earlier point.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("disk").required(true).args(["data", "base", "size"]))]
pub struct DiskArgs {
    /// Log to write: a new file, or a block device; with --at, the log to read
    #[arg(long)]
    pub log: PathBuf,
    /// Serve this image or block device; writes go to it and to the log
    #[arg(long, value_name = "IMAGE", conflicts_with = "at")]
    pub data: Option<PathBuf>,
    /// Serve an overlay of this image: all writes go to the log, and the image stays unchanged
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<PathBuf>,
    /// Serve an overlay of a disk of zeros of this size
    #[arg(long)]
    pub size: Option<Size>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Serve the disk as of this point instead, and throw changes away; may be given several times. Each disk is called
    /// NAME@POINT, and clients can ask for other points too
    #[arg(long, value_name = "POINT", allow_negative_numbers = true, conflicts_with_all = ["append", "force", "log_size", "ordering", "superblock", "super_interval", "sector_size"])]
    pub at: Vec<Point>,
    /// With a single --at: keep the changes in a new log
    #[arg(long, value_name = "FILE", requires = "at")]
    pub keep: Option<PathBuf>,
    /// How the log is written.
    #[command(flatten)]
    pub logging: LogArgs,
    /// Report clients, marks and failures on standard error; -vv also reports refused requests
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// `logwrites serve nbd`
#[derive(Debug, Parser)]
#[command(after_help = NBD_EXAMPLES, group = clap::ArgGroup::new("address").args(["socket", "listen"]))]
pub struct ServeNbd {
    /// The disk.
    #[command(flatten)]
    pub disk: DiskArgs,
    /// Listen on this Unix socket, which only you can access
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Listen on this TCP port instead; anyone who can reach it can read and write the disk
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Name of the export
    #[arg(long, default_value = "disk", value_parser = parse_export_name)]
    pub name: String,
    /// Listen on this Unix socket for `logwrites mark` and `logwrites status`
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "at")]
    pub control: Option<PathBuf>,
    /// Maximum number of connected clients
    #[arg(long, value_name = "NUMBER", default_value = "1024")]
    pub max_connections: NonZeroU64,
}

/// `logwrites serve fuse`
#[derive(Debug, Parser)]
#[command(after_help = FUSE_EXAMPLES)]
pub struct ServeFuse {
    /// Empty folder in which the files `disk` and `control` appear; only you can access them
    pub mountpoint: PathBuf,
    /// The disk.
    #[command(flatten)]
    pub disk: DiskArgs,
    /// Number of requests to process at once [default: one per processor, at least 2 and at most 4]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
    /// Mount over a folder that is not empty; what is in it is hidden until the end
    #[arg(long)]
    pub nonempty: bool,
}

/// `logwrites run`
#[derive(Debug, Parser)]
#[command(
    after_help = RUN_EXAMPLES,
    group = clap::ArgGroup::new("disk").required(true).args(["mkfs", "base"])
)]
pub struct Run {
    /// Log to create
    #[arg(long)]
    pub log: PathBuf,
    /// Image of a file system to use; all writes go to the log, and the image stays unchanged
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Make a file system on a disk of zeros first; log this too, and then add the mark `mkfs`
    #[arg(long, value_parser = file_system_types(), value_name = "TYPE", requires = "size")]
    pub mkfs: Option<&'static FileSystemType>,
    /// With --mkfs: size of the disk
    #[arg(long, conflicts_with = "base")]
    pub size: Option<Size>,
    /// Mount options, such as noatime,data=journal
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub mount_options: Option<String>,
    /// Maximum size of the log; a write that would exceed it fails before it reaches the disk
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<Size>,
    /// Overwrite an existing log
    #[arg(long)]
    pub force: bool,
    /// Command to run, in the root of the file system
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Each file system of the table, with its help.
fn file_system_types() -> impl TypedValueParser<Value = &'static FileSystemType> {
    let names = FILE_SYSTEM_TYPES.iter().map(|kind| PossibleValue::new(kind.name).help(kind.help));
    PossibleValuesParser::new(names)
        .try_map(|name| FileSystemType::named(&name).ok_or("it is not in the table"))
}

const NBD_EXAMPLES: &str = "\
Examples:
  logwrites serve nbd --log run.log --base golden.img --socket disk.sock --control control.sock
  logwrites serve nbd --log run.log --data disk.img --listen 127.0.0.1:10809
  logwrites serve nbd --log run.log --size 1G --socket disk.sock
  logwrites serve nbd --log run.log --base golden.img --at mark:boot --at flush:-1 --socket past.sock

Clients:
  qemu-system-x86_64 -drive file=nbd+unix:///?socket=disk.sock,format=raw,cache=writeback …
  nbdcopy disk.img nbd+unix:///?socket=disk.sock
  nbdinfo --list nbd+unix:///?socket=past.sock

Ctrl-C or SIGTERM closes the log and ends the server. If the server is killed, `logwrites recover`
finds the entries that the superblock does not count.";

const FUSE_EXAMPLES: &str = "\
Examples:
  logwrites serve fuse --log run.log --size 1G mnt
  logwrites serve fuse --log run.log --base golden.img mnt
  logwrites serve fuse --log run.log --base golden.img --at mark:installed --at flush:-1 mnt

To use a file system of the kernel, as root:
  device=$(losetup --find --show --direct-io=on mnt/disk)
  mkfs.ext4 $device
  mount $device somewhere

Marks and status:
  echo 'mark installed' > mnt/control           or: logwrites mark mnt/control installed
  echo 'mark --flush installed' > mnt/control   or: logwrites mark mnt/control installed --flush
  cat mnt/control                               or: logwrites status mnt/control

With --at, mnt has a file disk@POINT for each point; other points can be opened by their names. In
these names, write the / of a mark's name as %2F.

Ctrl-C, SIGTERM or unmounting mnt closes the log and ends the server. If the server is killed,
`logwrites recover` finds the entries that the superblock does not count, and `umount mnt` (without
root: `fusermount3 -u mnt`) frees the folder.";

const RUN_EXAMPLES: &str = "\
Examples:
  logwrites run --mkfs ext4 --size 256M --log run.log -- make -C /src/project check
  logwrites run --mkfs xfs --size 1G --log run.log -- sh -c 'cp -r /etc . && sync'
  logwrites run --base golden.img --log run.log -- bash

Then:
  logwrites marks run.log
  logwrites replay run.log --size 256M --output crash.img --at flush:-1

COMMAND can add marks: `echo mark NAME >$LOGWRITES_CONTROL`, or `logwrites mark $LOGWRITES_CONTROL
NAME`. OLDPWD is the folder that logwrites was called from. The exit code is that of COMMAND, or 127
if COMMAND does not exist.

As root, the file system is mounted by the kernel, over a loop device; only COMMAND and its children
see the mount. Without root, ext4 is mounted by fuse2fs. When COMMAND ends, and on Ctrl-C, SIGTERM
and errors, processes that COMMAND left running are ended, the file system is unmounted, and the log
is closed. Signals are passed on to COMMAND; the third one kills COMMAND.";
