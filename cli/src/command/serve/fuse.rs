//! `logwrites serve fuse`: a disk as a file in a folder.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{describe, finish, open_disk};
use super::watch;
use crate::args::{DiskArgs, ServeFuse};
use crate::error::Failure;
use crate::output::printable::Printable;
use crate::output::stdout;
use crate::serve::control::Control;
use crate::serve::exports::Front as _;
use crate::serve::fuse::{FileSystem, Folder, Mountpoint};

pub(super) fn run(args: &ServeFuse) -> anyhow::Result<()> {
    watch::log_to_stderr(args.disk.verbose);
    // Before anything is opened or made.
    let mountpoint = Mountpoint::check(&args.mountpoint, args.nonempty)?;
    check_files(&mountpoint, &args.disk)?;
    let folder = Folder::new(open_disk(&args.disk, DISK_NAME)?);
    let control = Control::of(Arc::<Folder>::clone(&folder), &args.disk.log);
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
fn check_files(mountpoint: &Mountpoint, args: &DiskArgs) -> Result<(), Failure> {
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

/// How long a file may still be open at the end: whoever was told to end has a moment for that.
const PATIENCE: Duration = Duration::from_millis(500);
