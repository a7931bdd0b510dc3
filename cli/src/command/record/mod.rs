//! `logwrites record`: a script's writes, done and logged.

mod payloads;
mod session;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use anyhow::Context as _;
use indicatif::BinaryBytes;
use logwrites_core::device::NoData;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Logger, Ordering};

use self::session::{SLOTS, Session};
use super::{len_of, same_file};
use crate::args::Record;
use crate::device::{Access, Disk, DiskError, LogFile};
use crate::error::Failure;
use crate::output::json::RecordJson;
use crate::output::{print_json, stdout, style};
use crate::script::{Limits, Script};

pub(super) fn run(args: &Record) -> anyhow::Result<()> {
    let disk = Target::find(args)?;
    let script = read_script(args, &disk)?;
    let log = OldLog::find(&args.log, args.force, disk.disk.as_ref())?;
    let config = Config {
        sector_size: args.sector_size,
        ordering: args.ordering.into(),
        superblock_policy: args.superblock.into(),
        superblock_interval: args.super_interval,
        capacity_bytes: log.capacity_bytes(args)?,
    };
    let recorded = if args.base.is_some() {
        if config.ordering == Ordering::Durability {
            let message =
                "--base records in completion order only: the log is the disk, so nothing can be held back";
            return Err(Failure::Usage(message.to_owned()).into());
        }
        let overlay = Overlay::<SLOTS>::new(config)?;
        let base = disk.open()?;
        Session::new(overlay, NoData, log.open(&base)?, Some(base)).run(&script)
    } else {
        let logger = Logger::<SLOTS>::new(config)?;
        let data = disk.open()?;
        data.lock().map_err(|error| DiskError::new("lock", data.path(), error))?;
        let log = log.open(&data)?;
        Session::new(logger, data, log, None).run(&script)
    };
    let (recorded, result) = recorded;
    let done = RecordJson {
        log: args.log.display().to_string(),
        nr_entries: recorded.nr_entries,
        log_bytes: recorded.log_bytes,
        commands: recorded.commands,
    };
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &done)?;
    } else {
        report(&mut out, &done)?;
    }
    out.flush()?;
    result
}

/// The disk that a script is for, before anything is written.
struct Target<'a> {
    path: &'a Path,
    /// Missing if it is still to be created.
    disk: Option<Disk>,
    len_bytes: u64,
}

impl<'a> Target<'a> {
    fn find(args: &'a Record) -> anyhow::Result<Self> {
        let sector_size = args.sector_size;
        let found = match (&args.data, &args.base, args.create) {
            (Some(data), _, Some(size)) => {
                if data.exists() {
                    let message = format!("{} exists; leave --create out to write to it", data.display());
                    return Err(Failure::Usage(message).into());
                }
                Self { path: data, disk: None, len_bytes: size.bytes() }
            }
            (Some(data), _, None) => Self::open_existing(data, Access::Write)?,
            (None, Some(base), _) => Self::open_existing(base, Access::Read)?,
            (None, None, _) => return Err(Failure::Usage("DATA or --base is needed".to_owned()).into()),
        };
        if !sector_size.is_aligned(found.len_bytes) {
            let message = format!(
                "{} has {} bytes, which is no multiple of the sector size {sector_size}; --sector-size sets another one",
                found.path.display(),
                found.len_bytes,
            );
            return Err(Failure::Malformed(message).into());
        }
        Ok(found)
    }

    fn open_existing(path: &'a Path, access: Access) -> anyhow::Result<Self> {
        let disk = Disk::open(path, access).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if access == Access::Write => {
                anyhow::Error::new(error).context("--create SIZE makes a new image")
            }
            _ => error.into(),
        })?;
        let len_bytes = len_of(&disk)?;
        Ok(Self { path, disk: Some(disk), len_bytes })
    }

    fn open(self) -> Result<Disk, DiskError> {
        match self.disk {
            Some(disk) => Ok(disk),
            None => {
                let disk = Disk::open(self.path, Access::CreateNew)?;
                disk.set_len(self.len_bytes)
                    .map_err(|error| DiskError::new("give a size to", self.path, error))?;
                Ok(disk)
            }
        }
    }
}

/// What stands where the log is to go.
struct OldLog<'a> {
    path: &'a Path,
    disk: Option<Disk>,
}

impl<'a> OldLog<'a> {
    /// Finds out, and refuses to overwrite anything of value.
    fn find(path: &'a Path, force: bool, target: Option<&Disk>) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self { path, disk: None });
        }
        let disk = Disk::open(path, Access::Write)?;
        if let Some(target) = target
            && target.is_same(&disk)?
        {
            return Err(same_file(target.path(), path).into());
        }
        let mut start = [0; 4096];
        let got = disk.read_up_to(0, &mut start).map_err(|error| DiskError::new("read", path, error))?;
        let is_blank = if disk.is_block_device() { start.iter().all(|byte| *byte == 0) } else { got == 0 };
        if !is_blank && !force {
            let message = format!("{} is not empty; --force overwrites it", path.display());
            return Err(Failure::Usage(message).into());
        }
        disk.lock().map_err(|error| DiskError::new("lock", path, error))?;
        Ok(Self { path, disk: Some(disk) })
    }

    /// How large the log may become.
    fn capacity_bytes(&self, args: &Record) -> anyhow::Result<u64> {
        let asked = args.log_size.map_or(MAX_OFFSET_BYTES, crate::size::Size::bytes);
        match &self.disk {
            Some(disk) if disk.is_block_device() => Ok(asked.min(len_of(disk)?)),
            _ => Ok(asked),
        }
    }

    fn open(self, target: &Disk) -> anyhow::Result<LogFile> {
        let disk = match self.disk {
            Some(disk) => disk,
            None => {
                let disk = Disk::open(self.path, Access::CreateNew).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => anyhow::Error::new(same_file(target.path(), self.path)),
                    _ => error.into(),
                })?;
                disk.lock().map_err(|error| DiskError::new("lock", self.path, error))?;
                disk
            }
        };
        Ok(LogFile::new(disk)?)
    }
}

fn read_script(args: &Record, target: &Target<'_>) -> anyhow::Result<Script> {
    let mut text = Vec::new();
    let name = match &args.script {
        Some(path) => {
            // Not a Disk: a pipe, as a shell's <(...) makes it, is a script too.
            let file = File::open(path).map_err(|error| DiskError::new("open", path, error))?;
            let read = file.take(MAX_SCRIPT_BYTES + 1).read_to_end(&mut text);
            read.map_err(|error| DiskError::new("read", path, error))?;
            path.display().to_string()
        }
        None => {
            let stdin = io::stdin();
            if io::IsTerminal::is_terminal(&stdin) {
                anstream::eprintln!("reading the script from standard input; end it with Ctrl-D");
            }
            stdin
                .lock()
                .take(MAX_SCRIPT_BYTES + 1)
                .read_to_end(&mut text)
                .context("cannot read standard input")?;
            "standard input".to_owned()
        }
    };
    if u64::try_from(text.len()).is_ok_and(|len| len > MAX_SCRIPT_BYTES) {
        let message = format!("{name}: a script has at most {}", BinaryBytes(MAX_SCRIPT_BYTES));
        return Err(Failure::Malformed(message).into());
    }
    let limits = Limits { disk_bytes: target.len_bytes, sector_size: args.sector_size };
    Script::parse(&text, &limits).map_err(|error| error.with_name(&name).into())
}

fn report(out: &mut impl Write, done: &RecordJson) -> io::Result<()> {
    let log = style::paint(style::HEADING, &done.log);
    let size = BinaryBytes(done.log_bytes);
    writeln!(out, "{log} holds {} entries in {size}, from {} commands", done.nr_entries, done.commands)
}

/// A script that is larger is no script.
const MAX_SCRIPT_BYTES: u64 = 1 << 30;
