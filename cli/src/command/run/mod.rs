//! `logwrites run`: the whole round in one line. A disk is made and served, a file system made on it and mounted, a command
//! run in it, and all of it undone again, however it ends; what is left is the log. With checks, every crash of it is explored.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::BinaryBytes;
use logwrites_core::contents::FileSystemKind;
use logwrites_core::history::Discards;
use logwrites_core::reader::Position;
use logwrites_core::{Ordering, SectorSize};

use super::explore::{Form, Scope, SearchArgs, Subject, command_line};
use super::serve::{DISK_NAME, log_to_stderr};
use crate::args::ImageArgs;
use crate::device::{Access, Disk, DiskError, OriginOptions};
use crate::disk::{DiskOptions, LiveOptions, Under};
use crate::error::{Failure, in_one_line};
use crate::explore::Partition;
use crate::host::command::Program;
use crate::host::error::CommandError;
use crate::host::mkfs::{FILE_SYSTEM_TYPES, FileSystemType, MKFS_MARK};
use crate::host::mount::{Mount, Mounting, make};
use crate::host::namespace::keep_mounts_to_ourselves;
use crate::host::strays;
use crate::interrupt;
use crate::log::{Edge, Existing, Log, LogOptions};
use crate::output::printable::Printable;
use crate::output::style;
use crate::point::Point;
use crate::serve::control::{Control, FILE_NAME};
use crate::serve::exports::Front as _;
use crate::serve::fuse::{FileSystem, Folder, Mounted, Mountpoint};
use crate::size::Size;

/// `logwrites run`
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group = clap::ArgGroup::new("disk").required(true).args(["mkfs", "base"])
)]
pub(in crate::command) struct Args {
    /// Log to create
    #[arg(long)]
    log: PathBuf,
    /// Image of a file system to use; all writes go to the log, and the image stays unchanged
    #[arg(long, value_name = "IMAGE")]
    base: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Make a file system on a disk of zeros first; log this too, and then add the mark `mkfs`
    #[arg(long, value_parser = file_system_types(), value_name = "TYPE", requires = "size")]
    mkfs: Option<&'static FileSystemType>,
    /// With --mkfs: size of the disk
    #[arg(long, conflicts_with = "base")]
    size: Option<Size>,
    /// Mount options, such as noatime,data=journal
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    mount_options: Option<String>,
    /// Maximum size of the log; a write that would exceed it fails before it reaches the disk
    #[arg(long, value_name = "SIZE")]
    log_size: Option<Size>,
    /// Overwrite an existing log
    #[arg(long)]
    force: bool,
    /// Command to run, in the root of the file system
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// What is explored once the command has ended.
    #[command(flatten, next_help_heading = "Every crash, after COMMAND")]
    crash: CrashArgs,
}

/// What is explored.
#[derive(Debug, clap::Args)]
struct CrashArgs {
    /// How states are searched.
    #[command(flatten)]
    search: SearchArgs,
    /// First point at which the disk may crash [default: after mkfs; with --base, start]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true, requires = "check")]
    from: Option<Point>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    log_to_stderr(0);
    // Nothing may end the process before all is undone.
    interrupt::be_patient();
    strays::adopt()?;
    // Before anything is made.
    check(args)?;
    let program = Program::find(&args.command).map_err(as_shells_do)?;
    let mounting = Mounting::choose(args.mkfs, args.mount_options.is_some())?;
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
    if code != 0 {
        tell_unexplored(args, "since the command has failed");
        return Err(Failure::Peer { code, words: String::new() }.into());
    }
    if args.crash.search.checks().is_empty() {
        return Ok(());
    }
    if interrupt::is_requested() {
        tell_unexplored(args, "since an end was asked for");
    }
    interrupt::check("; the log is whole, but not explored")?;
    explore(args)
}

/// Has the checks judge every crash from the time on when the command could begin.
fn explore(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    log.check_whole()?;
    let from = match &args.crash.from {
        None => log
            .index()
            .marks_named(MKFS_MARK.as_bytes())
            .next()
            .filter(|_| args.mkfs.is_some())
            .map_or(0, |mark| mark + 1),
        from => log.resolve(from.as_ref(), Edge::Start)?,
    };
    let scope = Scope {
        points: (from, log.index().nr_entries()),
        ordering: Some(Ordering::Completion),
        partition: Partition::WHOLE,
        is_resumed: false,
    };
    let (search, subject) = (&args.crash.search, subject(args));
    let explorer = search.start(log, &subject, scope)?;
    // Standard output is the command's.
    let result = search.explore(&explorer, &subject, Form::Page, &mut anstream::stderr());
    let ended = explorer.end();
    result?;
    Ok(ended?)
}

/// Says how to explore a log that was not explored.
fn tell_unexplored(args: &Args, why: &str) {
    let search = &args.crash.search;
    if search.checks().is_empty() {
        return;
    }
    let from = args.crash.from.as_ref().map(ToString::to_string);
    let from = from.or_else(|| args.mkfs.map(|_| format!("mark:{MKFS_MARK}")));
    let from = from.into_iter().flat_map(|from| ["--from".to_owned(), from]);
    let words = subject(args).words().into_iter().chain(from).chain(search.words());
    anstream::eprintln!(
        "not explored, {why}; to explore the log all the same:\n  {}",
        command_line(["logwrites".to_owned(), "explore".to_owned()].into_iter().chain(words))
    );
}

/// What is recorded, as its readers name it.
fn subject(args: &Args) -> Subject<'_> {
    Subject {
        log: &args.log,
        base: args.base.as_deref(),
        size: args.size,
        images: args.images,
        discards: Discards::Zero,
        mount_options: args.mount_options.as_deref(),
    }
}

/// Refuses what a server would refuse with the names of options that are not there.
fn check(args: &Args) -> anyhow::Result<()> {
    if !args.force && std::fs::metadata(&args.log).is_ok_and(|metadata| metadata.len() > 0) {
        let message = format!("{} is not empty; --force overwrites it", args.log.display());
        return Err(Failure::Usage(message).into());
    }
    let file_system = args.mkfs.and_then(|kind| FileSystemKind::named(kind.name));
    args.crash.search.check_early(SectorSize::B512, file_system)?;
    if let Some(base) = OriginOptions::new(args.base.as_deref(), args.images.into(), None)
        && let base = base.open()?
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
    fn set(args: &Args, dir: &Path) -> anyhow::Result<Self> {
        let mountpoint = Mountpoint::check(&make_dir(dir, "disk")?, false)?;
        let options = disk_options(args)?;
        let folder = Folder::new(options.open(DISK_NAME)?);
        let control = Control::of(Arc::<Folder>::clone(&folder), &options)?.context("the disk is in use")?;
        let file_system = FileSystem::new(Arc::clone(&folder), Some(control.clone()));
        let mounted = mountpoint.mount(file_system, None)?;
        Ok(Self { folder, control, mounted })
    }

    /// Makes and mounts the file system.
    fn mount(&self, args: &Args, mounting: &Mounting, dir: &Path) -> anyhow::Result<Mount> {
        let device = mounting.device(self.mounted.path().join(DISK_NAME))?;
        if let (Some(kind), Some(size)) = (args.mkfs, args.size) {
            make(kind, mounting, device.path(), size.bytes())?;
            self.control.mark(MKFS_MARK, true)?;
        }
        interrupt::check("; nothing was run")?;
        Ok(device.mount(&make_dir(dir, "mnt")?, args.mount_options.as_deref())?)
    }

    /// Runs the command in the file system, and unmounts it; gives the command's exit code.
    fn play(&self, program: &Program<'_>, mount: Mount) -> anyhow::Result<u8> {
        let code = program.run(mount.path(), &self.mounted.path().join(FILE_NAME));
        // Those who are left in it would keep it from being unmounted.
        let ended = strays::end(mount.server());
        let unmounted = mount.end(self.folder.clients());
        let code = code.map_err(as_shells_do)?;
        ended?;
        unmounted?;
        Ok(code)
    }

    /// Ends the log, and gives where it ends.
    fn clear(self, args: &Args) -> anyhow::Result<Position> {
        // After an error it may still be in use.
        let ended = self.mounted.end(PATIENCE);
        let disk = self.folder.exports().live_disk().context("the disk is in use")?;
        let logged = disk.finish().with_context(|| args.log.display().to_string())?;
        ended?;
        Ok(logged)
    }
}

/// A command that was not started ends this one as it would end a shell or `env`.
fn as_shells_do(error: CommandError) -> anyhow::Error {
    match error.exit_code() {
        Some(code) => Failure::Peer { code, words: format!("logwrites run: {}", in_one_line(&error)) }.into(),
        None => error.into(),
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

fn make_dir(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn disk_options(args: &Args) -> anyhow::Result<DiskOptions> {
    let origin = OriginOptions::new(args.base.as_deref(), args.images.into(), args.size.map(Size::bytes));
    let logging = LogOptions {
        max_bytes: args.log_size.map(Size::bytes),
        existing: if args.force { Existing::Overwrite } else { Existing::Refuse },
        ..LogOptions::default()
    };
    let under = Under::Origin(origin.context("--base or --size is needed")?);
    Ok(DiskOptions::Live(LiveOptions { log: args.log.clone(), under, logging }))
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Each file system of the table, with its help.
fn file_system_types() -> impl TypedValueParser<Value = &'static FileSystemType> {
    let names = FILE_SYSTEM_TYPES.iter().map(|kind| PossibleValue::new(kind.name).help(kind.help));
    PossibleValuesParser::new(names)
        .try_map(|name| FileSystemType::named(&name).ok_or("it is not in the table"))
}

const EXAMPLES: &str = "\
Examples:
  logwrites run --mkfs ext4 --size 256M --log run.log -- make -C /src/project check
  logwrites run --mkfs xfs --size 1G --log run.log -- sh -c 'cp -r /etc . && sync'
  logwrites run --base golden.img --log run.log -- bash
  logwrites run --mkfs ext4 --size 64M --log run.log --check ext4 -- ./my-program

Then:
  logwrites marks run.log
  logwrites replay run.log --size 256M --output crash.img --at flush:-1

COMMAND can add marks: `echo mark NAME >$LOGWRITES_CONTROL`, or `logwrites mark $LOGWRITES_CONTROL
NAME`. OLDPWD is the folder that logwrites was called from. The exit code is that of COMMAND, or 127
if COMMAND does not exist.

As root, the file system is mounted by the kernel, over a loop device; only COMMAND and its children
see the mount. Without root, ext4 is mounted by fuse2fs. When COMMAND ends, and on Ctrl-C, SIGTERM
and errors, processes that COMMAND left running are ended, the file system is unmounted, and the log
is closed. Signals are passed on to COMMAND; the third one kills COMMAND.

With --check, the states that a crash can leave are explored once COMMAND has ended with exit code
0, as `logwrites explore` does it; its help says what a check is. The result is on standard error.
Exit codes are then those of `explore`, too: 0 no state that was tried is bad, 1 a state is bad, 2 a
check itself is wrong. If COMMAND fails, nothing is explored.";
