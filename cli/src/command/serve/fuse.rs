//! `logwrites serve fuse`: a disk as a file in a folder.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{describe, finish, open_disk, watch};
use crate::args::ServeFuse;
use crate::output::stdout;
use crate::serve::control::Control;
use crate::serve::exports::Front as _;
use crate::serve::fuse::{FileSystem, Folder, Mountpoint};

pub(super) fn run(args: &ServeFuse) -> anyhow::Result<()> {
    watch::log_to_stderr(args.disk.verbose);
    // Before anything is opened or made.
    let mountpoint = Mountpoint::check(&args.mountpoint)?;
    let folder = Folder::new(open_disk(&args.disk, DISK_NAME)?);
    let live = if args.disk.at.is_empty() { folder.exports().opened().pop() } else { None };
    let control = live.map(|disk| Control {
        log: args.disk.log.display().to_string(),
        disk,
        front: Arc::<Folder>::clone(&folder),
        started: Instant::now(),
    });
    let file_system = FileSystem::new(Arc::clone(&folder), control);
    let mounted = mountpoint.mount(file_system, args.threads)?;
    let mut out = stdout();
    writeln!(out, "serving {}", args.mountpoint.display())?;
    describe(&mut out, folder.exports())?;
    out.flush()?;
    watch::Watched::new(&args.disk, Arc::<Folder>::clone(&folder)).until(|| mounted.has_ended());
    mounted.end(PATIENCE)?;
    finish(folder.exports(), &args.disk)
}

/// What the file is called.
pub(in super::super) const DISK_NAME: &str = "disk";

/// How long a file may still be open at the end: whoever was told to end has a moment for that.
const PATIENCE: Duration = Duration::from_millis(500);
