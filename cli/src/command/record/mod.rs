//! `logwrites record`: a script's writes, done and logged.

mod payloads;
mod session;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::BinaryBytes;
use logwrites_core::Ordering;
use logwrites_core::device::NoData;
use serde::Serialize;

use self::session::{SLOTS, Session};
use super::new_file::NewFile;
use crate::args::{FormatArg, ImageArgs, LogArgs};
use crate::device::{Access, Disk, DiskError, ImageError, ImageFormat, LogFile};
use crate::error::{Failure, Hint};
use crate::log::{LogOptions, LogPlace, check_alignment};
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::script::{Limits, Script};
use crate::size::Size;

/// `logwrites record`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::command) struct Args {
    /// Image or block device to write to
    #[arg(required_unless_present = "base", conflicts_with = "base")]
    data: Option<PathBuf>,
    /// Write to an overlay of this image instead: all writes go to the log, and the image stays unchanged
    #[arg(long)]
    base: Option<PathBuf>,
    /// Log to write: a new file, or a block device
    #[arg(long)]
    log: PathBuf,
    /// Script to run [default: standard input]
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Create DATA with this size first; DATA must not exist
    #[arg(long, value_name = "SIZE", requires = "data", conflicts_with_all = ["base", "append"])]
    create: Option<Size>,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Format of the script
    #[arg(long, value_enum, default_value_t)]
    format: FormatArg,
    /// How the log is written.
    #[command(flatten)]
    logging: LogArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let disk = Target::find(args)?;
    let logging = LogOptions::from(args.logging);
    let place = LogPlace::find(&args.log, &logging, disk.disk.as_ref())?;
    let sector_size = place.sector_size(&logging);
    check_alignment(disk.len_bytes, disk.path, sector_size)?;
    if let LogPlace::Old(end) = &place {
        end.check_fits(disk.len_bytes, disk.path)?;
    }
    let script = read_script(args, &Limits { disk_bytes: disk.len_bytes, sector_size })?;
    let config = place.config(&logging)?;
    let (recorded, result) = if args.base.is_some() {
        if config.ordering == Ordering::Durability {
            let message =
                "--base needs --ordering completion: the log is the disk, so entries cannot be held back";
            return Err(Failure::Usage(message.to_owned()).into());
        }
        let overlay = place.overlay::<SLOTS>(config, &args.log)?;
        let (base, log) = disk.open(place, &args.log)?;
        Session::new(overlay, NoData, log, Some(base)).run(&script)
    } else {
        let logger = place.logger::<SLOTS>(config, &args.log)?;
        let (data, log) = disk.open(place, &args.log)?;
        Session::new(logger, data, log, None).run(&script)
    };
    let done = RecordSummary {
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

/// What `record` did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RecordSummary {
    /// The log's path.
    pub(super) log: String,
    /// How many entries it holds.
    pub(super) nr_entries: u64,
    /// How much of the log's file or device it takes.
    pub(super) log_bytes: u64,
    /// How many commands of the script were carried out.
    pub(super) commands: u64,
}

/// The disk that a script is for, before anything is written.
struct Target<'a> {
    path: &'a Path,
    /// Missing if it is still to be created.
    disk: Option<Disk>,
    len_bytes: u64,
    is_written: bool,
}

impl<'a> Target<'a> {
    fn find(args: &'a Args) -> anyhow::Result<Self> {
        match (&args.data, &args.base, args.create) {
            (Some(data), _, Some(size)) => {
                if data.exists() {
                    let message = format!("{} exists; omit --create to write to it", data.display());
                    return Err(Failure::Usage(message).into());
                }
                Ok(Self { path: data, disk: None, len_bytes: size.bytes(), is_written: true })
            }
            (Some(data), _, None) => Self::open_existing(data, Access::Write, args.images.into()),
            (None, Some(base), _) => Self::open_existing(base, Access::Read, args.images.into()),
            (None, None, _) => Err(Failure::Usage("DATA or --base is needed".to_owned()).into()),
        }
    }

    fn open_existing(path: &'a Path, access: Access, format: ImageFormat) -> anyhow::Result<Self> {
        let disk = format.open(path, access).map_err(|error| match &error {
            ImageError::Disk(missing)
                if missing.kind() == io::ErrorKind::NotFound && access == Access::Write =>
            {
                anyhow::Error::new(error).context(Hint("--create SIZE makes a new image".to_owned()))
            }
            _ => error.into(),
        })?;
        let len_bytes = disk.size_bytes()?;
        Ok(Self { path, disk: Some(disk), len_bytes, is_written: access == Access::Write })
    }

    /// Opens the disk, creates it if it is to be, and the log with it. Neither is left without the other.
    fn open(self, place: LogPlace, log: &Path) -> anyhow::Result<(Disk, LogFile)> {
        if let Some(disk) = self.disk {
            if self.is_written {
                disk.lock()?;
            } else {
                disk.lock_shared()?;
            }
            let log = place.open(log, Some(&disk))?;
            return Ok((disk, log));
        }
        let new = NewFile::create(self.path, "")?;
        let sized = new.disk().set_len(self.len_bytes);
        sized.map_err(|error| DiskError::new("give a size to", self.path, error))?;
        let disk = new.keep()?;
        match place.open(log, Some(&disk)) {
            Ok(log) => Ok((disk, log)),
            Err(error) => {
                disk.remove();
                Err(error.into())
            }
        }
    }
}

fn read_script(args: &Args, limits: &Limits) -> anyhow::Result<Script> {
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
    let script = match args.format {
        FormatArg::QemuIo => Script::parse(&text, limits),
        FormatArg::Fio => Script::parse_iolog(&text, limits),
    };
    script.map_err(|error| error.with_name(&name).into())
}

fn report(out: &mut impl Write, done: &RecordSummary) -> io::Result<()> {
    let log = style::paint(style::HEADING, Printable(done.log.as_bytes()));
    let size = BinaryBytes(done.log_bytes);
    let entries = style::count(done.nr_entries, "entry", "entries");
    let commands = style::count(done.commands, "command", "commands");
    writeln!(out, "{log} holds {entries} in {size}, from {commands}")
}

/// Larger files are not scripts.
const MAX_SCRIPT_BYTES: u64 = 1 << 30;

const EXAMPLES: &str = "\
Examples:
  printf 'write 0 4k\\nflush\\nmark one\\n' | logwrites record disk.img --create 16M --log disk.log
  logwrites record disk.img --log disk.log --script changes.txt
  logwrites record --base golden.img --log run.log --script changes.txt
  logwrites record disk.img --log disk.log --append --script more.txt
  logwrites record disk.img --log fio.log --format fio --script trace.iolog
  logwrites record disk.img --log small.log --log-size 1M --superblock barrier --script changes.txt

Scripts have one command per line, as in qemu-io:
  write [-P BYTE] [-f] OFFSET LEN        write -z [-u] [-f] OFFSET LEN
  writev [-P BYTE] [-f] OFFSET LEN...    discard OFFSET LEN
  read [-P BYTE] OFFSET LEN              flush
  mark NAME                              # comment
Sizes can be written as 4096, 0x1000, 4k or 1.5M.";
