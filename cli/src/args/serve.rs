//! What a person may type for a live disk: `serve` and `run`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::LogArgs;
use super::values::parse_export_name;
use crate::point::Point;
use crate::size::Size;

/// `logwrites serve`
#[derive(Debug, Subcommand)]
pub enum Serve {
    /// Over the network block device protocol, to any NBD client: qemu, nbdcopy, nbdfuse, the kernel's nbd-client
    Nbd(ServeNbd),
    /// As a file in a folder, to anything that reads and writes files, and through a loop device to the kernel's own
    /// file systems; on Linux
    Fuse(ServeFuse),
}

/// A live disk and its log, or a disk as it was: what all servers have in common.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("disk").required(true).args(["data", "base", "size"]))]
pub struct DiskArgs {
    /// The log: a new file, or a block device; with --at the log whose past is served
    #[arg(long)]
    pub log: PathBuf,
    /// Write to this image or block device, and to the log
    #[arg(long, value_name = "IMAGE", conflicts_with = "at")]
    pub data: Option<PathBuf>,
    /// Write to the log alone, which then is the disk over this image; the image stays as it is
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<PathBuf>,
    /// The same over nothing but zeros, of this size
    #[arg(long)]
    pub size: Option<Size>,
    /// Serve the disk as it was at this point instead, with changes that are thrown away; may be given several times.
    /// The disks are called NAME@POINT, for any point that a client asks for
    #[arg(long, value_name = "POINT", conflicts_with_all = ["append", "force", "log_size", "ordering", "superblock", "super_interval", "sector_size"])]
    pub at: Vec<Point>,
    /// With one --at: keep the changes, as a new log of their own
    #[arg(long, value_name = "FILE", requires = "at")]
    pub keep: Option<PathBuf>,
    /// How the log is written.
    #[command(flatten)]
    pub logging: LogArgs,
    /// Say on standard error what happens: clients, marks, failures; twice: refused requests too
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
    /// Listen on this unix socket, which is for you alone
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Listen on this TCP port instead; anybody who reaches it can read and write the disk
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// The name of the export
    #[arg(long, default_value = "disk", value_parser = parse_export_name)]
    pub name: String,
    /// Listen on this unix socket for `logwrites mark` and `logwrites status`
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "at")]
    pub control: Option<PathBuf>,
    /// How many clients may be connected at once
    #[arg(long, value_name = "NUMBER", default_value = "1024")]
    pub max_connections: NonZeroU64,
}

/// `logwrites serve fuse`
#[derive(Debug, Parser)]
#[command(after_help = FUSE_EXAMPLES)]
pub struct ServeFuse {
    /// An empty folder, where the file `disk` appears, and `control` beside it; for you alone
    pub mountpoint: PathBuf,
    /// The disk.
    #[command(flatten)]
    pub disk: DiskArgs,
    /// How many requests are worked on at once; if not set, one for each processor, 2 to 4
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
    /// The log: a new file
    #[arg(long)]
    pub log: PathBuf,
    /// The image of a file system; it stays as it is, since writes go to the log alone
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<PathBuf>,
    /// Make a file system on a disk of zeros first, log that too, and put the mark `mkfs` behind it
    #[arg(long, value_enum, value_name = "TYPE", requires = "size")]
    pub mkfs: Option<FileSystem>,
    /// With --mkfs: the size of the disk
    #[arg(long, conflicts_with = "base")]
    pub size: Option<Size>,
    /// Options for mount, as in noatime,data=journal
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub mount_options: Option<String>,
    /// The most that the log may take; the file system is told of errors before its disk is touched
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<Size>,
    /// Overwrite an existing log
    #[arg(long)]
    pub force: bool,
    /// What to run, in the root of the file system
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `--mkfs`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileSystem {
    /// The only one that is mounted without root, by fuse2fs
    Ext4,
    /// At least 300M
    Xfs,
    /// At least 110M
    Btrfs,
    /// FAT
    Vfat,
}

const NBD_EXAMPLES: &str = "\
Examples:
  logwrites serve nbd --log run.log --base golden.img --socket disk.sock --control control.sock
  logwrites serve nbd --log run.log --data disk.img --listen 127.0.0.1:10809
  logwrites serve nbd --log run.log --size 1G --socket disk.sock
  logwrites serve nbd --log run.log --base golden.img --at mark:installed --at flush:-1 --socket past.sock

Clients:
  qemu-system-x86_64 -drive file=nbd+unix:///?socket=disk.sock,format=raw,cache=writeback …
  nbdcopy disk.img nbd+unix:///?socket=disk.sock
  nbdinfo --list nbd+unix:///?socket=past.sock

Ctrl-C or SIGTERM ends it in good order. After a kill, `logwrites recover` finds what is behind the superblock.";

const FUSE_EXAMPLES: &str = "\
Examples:
  logwrites serve fuse --log run.log --size 1G mnt
  logwrites serve fuse --log run.log --base golden.img mnt
  logwrites serve fuse --log run.log --base golden.img --at mark:installed --at flush:-1 mnt

The file systems of this machine's kernel, as root:
  device=$(losetup --find --show --direct-io=on mnt/disk)
  mkfs.ext4 $device
  mount $device somewhere

Marks and questions:
  echo 'mark installed' > mnt/control           the same: logwrites mark mnt/control installed
  echo 'mark --flush installed' > mnt/control
  cat mnt/control                               the same, for people: logwrites status mnt/control

With --at, mnt has a file disk@POINT for each point, and for any other that is asked for; a / in a
mark's name is %2F.

Ctrl-C, SIGTERM or unmounting mnt ends it in good order. After a kill, `logwrites recover` finds what
is behind the superblock, and `umount mnt` (without root: `fusermount3 -u mnt`) frees the folder.";

const RUN_EXAMPLES: &str = "\
Examples:
  logwrites run --mkfs ext4 --size 256M --log run.log -- make -C /src/project check
  logwrites run --mkfs xfs --size 1G --log run.log -- sh -c 'cp -r /etc . && sync'
  logwrites run --base golden.img --log run.log -- bash

Then:
  logwrites marks run.log
  logwrites replay run.log --size 256M --output crash.img --at flush:-1

COMMAND finds in LOGWRITES_CONTROL the file that takes marks: `echo mark NAME >$LOGWRITES_CONTROL`, or
`logwrites mark $LOGWRITES_CONTROL NAME`; and in OLDPWD the folder that logwrites was called in. The
exit code is COMMAND's; 127 if there is no such command.

As root the kernel mounts the file system, over a loop device, where only COMMAND and what it starts
can see it. Without root fuse2fs mounts ext4. At the end, and on Ctrl-C, SIGTERM and errors, all of it
is undone: what COMMAND has left running is ended, the file system unmounted, and the log closed. A
signal is passed on to COMMAND; the third one kills it.";
