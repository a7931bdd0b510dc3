//! `logwrites run`: the whole round in one line. A disk is made and served, a file system made on it and mounted, a command
//! run in it, and all of it undone again, however it ends; what is left is the log.

mod child;
mod file_system;
mod process;
mod strays;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::BinaryBytes;
use logwrites_core::SectorSize;
use logwrites_core::reader::Position;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use self::child::Program;
use self::file_system::{Mount, Mounting, make};
use super::serve::{DISK_NAME, log_to_stderr, open_disk};
use crate::args::{DiskArgs, ExistingLogArgs, LogArgs, Run};
use crate::device::{Access, Disk, DiskError, Origin};
use crate::error::Failure;
use crate::interrupt;
use crate::output::printable::Printable;
use crate::output::style;
use crate::serve::control::{Control, FILE_NAME};
use crate::serve::exports::Front as _;
use crate::serve::fuse::{FileSystem, Folder, Mounted, Mountpoint};

pub(super) fn run(args: &Run) -> anyhow::Result<()> {
    log_to_stderr(0);
    // Nothing may end the process before all is undone.
    interrupt::be_patient();
    strays::adopt()?;
    // Before anything is made.
    check(args)?;
    let program = Program::find(&args.command)?;
    let mounting = Mounting::choose(args)?;
    if mounting.is_root() {
        keep_mounts_to_ourselves()?;
    }
    let dir = tempfile::Builder::new()
        .prefix("logwrites-run.")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let stage = Stage::set(args, dir.path())?;
    let mount = match stage.mount(args, &mounting, dir.path()) {
        Ok(mount) => mount,
        Err(error) => {
            // Whatever else goes wrong now follows from this error.
            let _ = stage.clear(args);
            let _ = discard_log(&args.log);
            interrupt::check("; nothing was run")?;
            return Err(error);
        }
    };
    let ended = stage.play(&program, mount);
    let logged = stage.clear(args);
    let code = ended?;
    report(&args.log, logged?);
    dir.close().context("cannot remove the temporary folder")?;
    if code == 0 { Ok(()) } else { Err(Failure::Peer { code, words: String::new() }.into()) }
}

/// Refuses what a server would refuse with the names of options that are not there.
fn check(args: &Run) -> anyhow::Result<()> {
    if !args.force && std::fs::metadata(&args.log).is_ok_and(|metadata| metadata.len() > 0) {
        let message = format!("{} is not empty; --force overwrites it", args.log.display());
        return Err(Failure::Usage(message).into());
    }
    if let Some(base) = Origin::open(args.base.as_deref(), args.images.into(), None)?
        && !SectorSize::B512.is_aligned(base.len_bytes())
    {
        let message = format!("{} is not a disk: its size is not a multiple of 512", base.name().display());
        return Err(Failure::Malformed(message).into());
    }
    Ok(())
}

/// A disk that is served as a file.
struct Stage {
    folder: Arc<Folder>,
    control: Control,
    mounted: Mounted,
}

impl Stage {
    fn set(args: &Run, dir: &Path) -> anyhow::Result<Self> {
        let mountpoint = Mountpoint::check(&make_dir(dir, "disk")?, false)?;
        let disk_args = disk_args(args);
        let folder = Folder::new(open_disk(&disk_args, DISK_NAME)?);
        let control = Control::of(Arc::<Folder>::clone(&folder), &args.log).context("the disk is in use")?;
        let file_system = FileSystem::new(Arc::clone(&folder), Some(control.clone()));
        let mounted = mountpoint.mount(file_system, None)?;
        Ok(Self { folder, control, mounted })
    }

    /// Makes and mounts the file system.
    fn mount(&self, args: &Run, mounting: &Mounting, dir: &Path) -> anyhow::Result<Mount> {
        let device = mounting.device(self.mounted.path().join(DISK_NAME))?;
        if let (Some(kind), Some(size)) = (args.mkfs, args.size) {
            make(kind, mounting, device.path(), size.bytes())?;
            self.control.mark("mkfs", true)?;
        }
        interrupt::check("; nothing was run")?;
        device.mount(&make_dir(dir, "mnt")?, args.mount_options.as_deref())
    }

    /// Runs the command in the file system, and unmounts it; gives the command's exit code.
    fn play(&self, program: &Program<'_>, mount: Mount) -> anyhow::Result<u8> {
        let code = program.run(mount.path(), &self.mounted.path().join(FILE_NAME));
        // Those who are left in it would keep it from being unmounted.
        let ended = strays::end(mount.server());
        let unmounted = mount.end(self.folder.clients());
        let code = code?;
        ended?;
        unmounted?;
        Ok(code)
    }

    /// Ends the log, and gives where it ends.
    fn clear(self, args: &Run) -> anyhow::Result<Position> {
        // After an error somebody may still use it.
        let ended = self.mounted.end(PATIENCE);
        let disk = self.folder.exports().live_disk().context("the disk is in use")?;
        let logged = disk.finish().with_context(|| args.log.display().to_string())?;
        ended?;
        Ok(logged)
    }
}

/// Says what the log holds.
fn report(log: &Path, logged: Position) {
    let entries = style::count(logged.index, "entry", "entries");
    // Standard output is the command's.
    anstream::eprintln!("{} holds {entries} in {}", Printable::path(log), BinaryBytes(logged.offset_bytes));
}

/// Leaves no log of a command that was never run, which the next attempt would refuse to overwrite.
fn discard_log(log: &Path) -> Result<(), DiskError> {
    let is_link = std::fs::symlink_metadata(log).is_ok_and(|metadata| metadata.is_symlink());
    let disk = Disk::open(log, Access::Write)?;
    if disk.is_block_device() {
        return Ok(());
    }
    let emptied = disk.set_len(0);
    emptied.map_err(|error| DiskError::new("truncate", log, error))?;
    if !is_link {
        disk.remove();
    }
    Ok(())
}

/// From now on what is mounted is seen by this process and its children alone, and is gone when they are, whatever ends
/// them.
fn keep_mounts_to_ourselves() -> anyhow::Result<()> {
    // SAFETY: what is unsafe about it are unshared tables of files, which this does not ask for.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .context("cannot keep mounts to this process")
}

fn make_dir(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn disk_args(args: &Run) -> DiskArgs {
    let existing = ExistingLogArgs { force: args.force, ..ExistingLogArgs::default() };
    DiskArgs {
        log: args.log.clone(),
        data: None,
        base: args.base.clone(),
        size: args.size,
        images: args.images,
        at: Vec::new(),
        keep: None,
        logging: LogArgs { log_size: args.log_size, existing, ..LogArgs::default() },
        verbose: 0,
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
