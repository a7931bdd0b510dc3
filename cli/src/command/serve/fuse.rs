//! `logwrites serve fuse`: a disk as a file in a folder.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::report::{describe, finish};
use super::watch;
use crate::args::DiskArgs;
use crate::output::printable::Printable;
use crate::output::stdout;
use crate::serve::control::Control;
use crate::serve::exports::Front as _;
use crate::serve::fuse::{FileSystem, Folder, Hidden, Mountpoint};

/// `logwrites serve fuse`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::command) struct Args {
    /// Empty folder in which the files `disk` and `control` appear; only you can access them
    mountpoint: PathBuf,
    /// The disk.
    #[command(flatten)]
    disk: DiskArgs,
    /// Number of requests to process at once [default: one per processor, at least 2 and at most 4]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
    /// Mount over a folder that is not empty, and hide its files until the end
    #[arg(long)]
    nonempty: bool,
}

impl Args {
    /// A disk in a folder, with what all other options are if they are not given.
    pub(in crate::command) const fn new(disk: DiskArgs, mountpoint: PathBuf) -> Self {
        Self { mountpoint, disk, threads: None, nonempty: false }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    watch::log_to_stderr(args.disk.verbose);
    // Before anything is opened or made.
    let mountpoint = Mountpoint::check(&args.mountpoint, args.nonempty)?;
    check_files(&mountpoint, &args.disk)?;
    let options = args.disk.options()?;
    let folder = Folder::new(options.open(DISK_NAME)?);
    let control = Control::of(Arc::<Folder>::clone(&folder), &options)?;
    let file_system = FileSystem::new(Arc::clone(&folder), control);
    let mounted = mountpoint.mount(file_system, args.threads)?;
    let mut out = stdout();
    writeln!(out, "serving {}", Printable::path(&args.mountpoint))?;
    describe(&mut out, folder.exports())?;
    out.flush()?;
    watch::Watched::new(&args.disk, Arc::<Folder>::clone(&folder)).until_the_end();
    mounted.end(PATIENCE)?;
    finish(folder.exports(), &args.disk)
}

/// Refuses files that the mount would hide.
fn check_files(mountpoint: &Mountpoint, args: &DiskArgs) -> Result<(), Hidden> {
    let files = [
        ("--log", Some(&args.log)),
        ("--data", args.data.as_ref()),
        ("--base", args.base.as_ref()),
        ("--keep", args.keep.as_ref()),
    ];
    files
        .into_iter()
        .try_for_each(|(option, path)| path.map_or(Ok(()), |path| mountpoint.check_outside(option, path)))
}

/// What the file is called.
pub(in super::super) const DISK_NAME: &str = "disk";

/// How long a file may still be open at the end, so that its user can close it.
const PATIENCE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
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
