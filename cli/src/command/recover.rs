//! `logwrites recover`: entries that the superblock does not count, and a lost superblock.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use logwrites_core::SectorSize;
use logwrites_core::format::{Superblock, SuperblockError};
use logwrites_core::reader::{Malformed, ReadError, Reader, Tail};
use serde::Serialize;

use crate::args::parse_sector_size;
use crate::device::{Disk, DiskError, Draft, LogSource};
use crate::error::Failure;
use crate::log::{self, LogError};
use crate::output::printable::Printable;
use crate::output::style::count;
use crate::output::{print_json, stdout, style};

/// `logwrites recover`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Make the superblock count the entries found, and save the old one in LOG.superblock.N
    #[arg(long)]
    write: bool,
    /// Assume that the superblock is lost, and that the log had this sector size
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    sector_size: Option<SectorSize>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    // Before it is examined: what is written must still be so.
    let locked = if args.write { Some(Disk::open_locked(&args.log)?) } else { None };
    let found = examine(args)?;
    let saved = match locked {
        Some(disk) if found.can_be_written() => Some(found.write(&disk)?),
        _ => None,
    };
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &found.json(saved.as_deref()))?;
    } else {
        found.print(&mut out, args, saved.as_deref())?;
    }
    Ok(out.flush()?)
}

/// What `recover` found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Recovered {
    /// Whether the log has a superblock.
    pub(super) has_superblock: bool,
    /// The unit of the log, detected if there is no superblock.
    pub(super) sector_size_bytes: u64,
    /// How many entries the superblock counts.
    pub(super) nr_entries: u64,
    /// How many of them can be read.
    pub(super) certain_entries: u64,
    /// How many whole entries seem to follow them.
    pub(super) salvage_entries: u64,
    /// Where the last of those ends.
    pub(super) end_bytes: u64,
    /// Why an entry that is counted cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// Where the old superblock was saved, if a new one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_superblock: Option<String>,
}

/// Writes a superblock, the old one saved first; gives where it was saved.
fn write_superblock(disk: &Disk, superblock: Superblock) -> anyhow::Result<PathBuf> {
    let log = disk.path();
    let mut old = vec![0; usize::try_from(superblock.sector_size.bytes())?];
    let got = disk.read_up_to(0, &mut old).map_err(|error| DiskError::new("read", log, error))?;
    old.truncate(got);
    let saved = save(disk, &old)?;
    disk.write_at(0, &superblock.emit()).map_err(|error| DiskError::new("write", log, error))?;
    disk.sync().map_err(|error| DiskError::new("sync", log, error))?;
    Ok(saved)
}

/// Saves an old superblock under a name that nothing has yet: beside the log, or, since the folder of a device is gone
/// when the machine is, in the current folder.
fn save(log: &Disk, old: &[u8]) -> anyhow::Result<PathBuf> {
    let stem = if log.is_block_device() { log.path().file_name() } else { None };
    let stem = stem.unwrap_or(log.path().as_os_str());
    for number in 0..1000 {
        let mut name = stem.to_owned();
        name.push(format!(".superblock.{number}"));
        let path = PathBuf::from(name);
        match write_new(&path, old) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Usage(format!("too many files {}.superblock.N: remove some", stem.display())).into())
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = Draft::new(path)?;
    let written = draft.disk().write_at(0, bytes).and_then(|()| draft.disk().sync());
    written.map_err(|error| DiskError::new("write", path, error))?;
    draft.publish().map(|_| ())
}

/// The contents of a log, counted or not.
struct Found {
    /// As found; `None` if it is not a superblock.
    superblock: Option<Superblock>,
    sector_size: SectorSize,
    tail: Tail,
    /// The entry, among those that are counted, at which the log cannot be read on.
    broken: Option<Malformed>,
}

/// Walks over the log, beyond the entries that its superblock counts.
fn examine(args: &Args) -> anyhow::Result<Found> {
    if let Some(sector_size) = args.sector_size {
        return without_superblock(&args.log, &[sector_size.bytes_u32()]);
    }
    let mut reader = match log::open(&args.log) {
        Ok(reader) => reader,
        // One of another version, or of an impossible sector size, is not lost: it is another kind of log.
        Err(error @ LogError::Superblock { source: SuperblockError::Magic { .. }, .. }) => {
            return without_superblock(&args.log, &USUAL_SIZES).map_err(|_| {
                anyhow::Error::new(error).context("there is neither a superblock nor a first entry")
            });
        }
        Err(error) => return Err(error.into()),
    };
    let superblock = reader.superblock();
    let broken = log::walk(&args.log, &mut reader, u64::MAX, |_, _, _| Ok(()))?;
    let start = reader.position();
    let tail = match broken {
        Some(_) => Tail { start, end: start },
        None => reader.tail().with_context(|| args.log.display().to_string())?,
    };
    Ok(Found { superblock: Some(superblock), sector_size: superblock.sector_size, tail, broken })
}

/// Takes the sector size with which the most entries are found.
fn without_superblock(path: &Path, sizes: &[u32]) -> anyhow::Result<Found> {
    let mut best: Option<(SectorSize, Tail)> = None;
    for sector_size in sizes.iter().copied().filter_map(SectorSize::new) {
        let superblock = Superblock { nr_entries: 0, sector_size };
        let mut reader = Reader::with_superblock(LogSource::open(path)?, superblock)
            .map_err(ReadError::Io)
            .with_context(|| path.display().to_string())?;
        let tail = reader.tail().with_context(|| path.display().to_string())?;
        if tail.nr_entries() > best.map_or(0, |(_, tail)| tail.nr_entries()) {
            best = Some((sector_size, tail));
        }
    }
    let Some((sector_size, tail)) = best else {
        let message = format!("{}: there is no entry where the first one would be", path.display());
        return Err(Failure::Malformed(message).into());
    };
    Ok(Found { superblock: None, sector_size, tail, broken: None })
}

impl Found {
    fn can_be_written(&self) -> bool {
        self.superblock.is_none() || self.tail.nr_entries() > 0 || self.broken.is_some()
    }

    fn write(&self, log: &Disk) -> anyhow::Result<PathBuf> {
        write_superblock(log, Superblock { nr_entries: self.tail.end.index, sector_size: self.sector_size })
    }

    fn counted(&self) -> u64 {
        self.superblock.map_or(0, |superblock| superblock.nr_entries)
    }

    fn json(&self, saved: Option<&Path>) -> Recovered {
        Recovered {
            has_superblock: self.superblock.is_some(),
            sector_size_bytes: self.sector_size.bytes(),
            nr_entries: self.counted(),
            certain_entries: self.tail.start.index,
            salvage_entries: self.tail.nr_entries(),
            end_bytes: self.tail.end.offset_bytes,
            error: self.broken.map(|broken| broken.to_string()),
            old_superblock: saved.map(|path| path.display().to_string()),
        }
    }

    fn print(&self, out: &mut impl Write, args: &Args, saved: Option<&Path>) -> std::io::Result<()> {
        let heading = |name: &'static str| style::paint(style::HEADING, format!("{name:<12}"));
        match self.superblock {
            Some(superblock) => {
                writeln!(
                    out,
                    "{}counts {}",
                    heading("superblock"),
                    count(superblock.nr_entries, "entry", "entries")
                )?;
            }
            None => writeln!(
                out,
                "{}{}; entries can be read with sectors of {} bytes",
                heading("superblock"),
                if args.sector_size.is_some() { "assumed to be lost" } else { "missing" },
                self.sector_size
            )?,
        }
        if self.superblock.is_some() {
            writeln!(
                out,
                "{}{}, up to byte {}: counted by the superblock",
                heading("certain"),
                count(self.tail.start.index, "entry", "entries"),
                self.tail.start.offset_bytes
            )?;
        } else {
            writeln!(out, "{}nothing: there is no superblock to count entries", heading("certain"))?;
        }
        if let Some(broken) = self.broken {
            writeln!(out, "{}{broken}", heading("broken"))?;
        }
        match self.tail.nr_entries() {
            0 => writeln!(out, "{}nothing that looks like an entry", heading("salvage"))?,
            nr_entries => writeln!(
                out,
                "{}{}, up to byte {}: whole as far as their headers tell. The format has no checksum:\n\
                 {:12}payloads may be torn, the last one most likely, and on a log that was reused they may be stale",
                heading("salvage"),
                count(nr_entries, "entry", "entries"),
                self.tail.end.offset_bytes,
                ""
            )?,
        }
        match saved {
            Some(saved) => writeln!(
                out,
                "{}the superblock counts {} entries now; the old one is in {}",
                heading("written"),
                self.tail.end.index,
                Printable::path(saved)
            ),
            None if self.can_be_written() && !args.write => {
                writeln!(out, "--write makes the superblock count {} entries", self.tail.end.index)
            }
            None => writeln!(out, "nothing needs to be recovered"),
        }
    }
}

/// The defaults of Linux and QEMU.
const USUAL_SIZES: [u32; 2] = [512, 4096];

const EXAMPLES: &str = "\
Examples:
  logwrites recover disk.log                       show what can be recovered
  logwrites recover disk.log --write               make the superblock count it
  logwrites recover /dev/sdb --sector-size 4096    the superblock itself is lost";
