//! `logwrites mark`: a mark at the end of a closed log, or into that of a running server.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::device::NoData;
use logwrites_core::drive::Driver;
use logwrites_core::format::MarkText;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Logger};

use crate::device::{Disk, LogFile};
use crate::error::Failure;
#[cfg(target_os = "linux")]
use crate::explore::{InnerPath, ParseInnerPathError, Promise};
use crate::log::OpenEnd;

/// `logwrites mark`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Closed log, or the control socket or control file of a running server
    log: PathBuf,
    /// Name of the mark
    #[cfg_attr(target_os = "linux", arg(required_unless_present_any = ["promise", "retract"]))]
    #[cfg_attr(not(target_os = "linux"), arg(required = true))]
    name: Option<String>,
    /// Promise that this file of the recorded file system is on the disk from now on, with the bytes that it has; for
    /// `logwrites explore --check files`; may be given several times
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "FILE")]
    promise: Vec<PathBuf>,
    /// Promise nothing of this file any more, before it is changed or removed; may be given several times
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "FILE")]
    retract: Vec<PathBuf>,
    /// Flush the disk first; a closed log is flushed in any case
    #[arg(long)]
    flush: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let texts = texts(args)?;
    if texts.iter().any(String::is_empty) {
        return Err(Failure::Usage("a mark needs a name".to_owned()).into());
    }
    #[cfg(unix)]
    if crate::serve::control::is_control(&args.log) {
        use crate::serve::control::{Ask, ask};
        for name in texts {
            ask(&args.log, &Ask::Mark { name, flush: args.flush })?;
        }
        return Ok(());
    }
    let end = OpenEnd::find(Disk::open_locked(&args.log)?, None)?;
    let sector_size = end.index().sector_size();
    let marks = texts.iter().map(|text| MarkText::new(text.as_bytes(), sector_size));
    let marks: Vec<MarkText<'_>> =
        marks.collect::<Result<_, _>>().map_err(|error| Failure::Usage(error.to_string()))?;
    let disk = end.disk();
    let capacity_bytes = if disk.is_block_device() { disk.size_bytes()? } else { MAX_OFFSET_BYTES };
    let log_name = || args.log.display().to_string();
    let config = Config { capacity_bytes, ..Config::new(sector_size) };
    let logger = Logger::<1>::resume(config, end.point()).with_context(log_name)?;
    let mut driver: Driver<_, _, LogFile> = Driver::new(logger, NoData, end.open()?);
    for mark in marks {
        driver.mark(mark.bytes()).with_context(log_name)?;
    }
    driver.finish().with_context(log_name)?;
    Ok(())
}

/// The marks that are to be made: what is no more promised, what is from now on, and the name that tells that it was done.
fn texts(args: &Args) -> anyhow::Result<Vec<String>> {
    #[cfg(target_os = "linux")]
    let promises = promises(args)?;
    #[cfg(not(target_os = "linux"))]
    let promises = Vec::new();
    Ok(promises.into_iter().chain(args.name.clone()).collect())
}

#[cfg(target_os = "linux")]
fn promises(args: &Args) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for file in &args.retract {
        texts.push(Promise::retracted(inner_path(file)?).to_string());
    }
    for file in &args.promise {
        let promise = Promise::of(inner_path(file)?, file).with_context(|| file.display().to_string())?;
        texts.push(promise.to_string());
    }
    Ok(texts)
}

/// The path of a file from the root of the file system that it is in.
#[cfg(target_os = "linux")]
fn inner_path(file: &Path) -> anyhow::Result<InnerPath> {
    use std::os::unix::fs::MetadataExt as _;
    let name = || file.display().to_string();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().with_context(name)?;
    let device = folder.metadata().with_context(name)?.dev();
    let is_inside = |folder: &&Path| folder.metadata().is_ok_and(|metadata| metadata.dev() == device);
    let root = folder.ancestors().take_while(is_inside).last().unwrap_or(&folder);
    let inside = folder.strip_prefix(root).unwrap_or(&folder).join(file.file_name().unwrap_or_default());
    let path = inside.to_str().and_then(|path| InnerPath::new(path).ok());
    path.ok_or_else(|| Failure::Usage(format!("{}: {ParseInnerPathError}", file.display())).into())
}

const EXAMPLES: &str = "\
Examples:
  logwrites mark disk.log 'before the upgrade'
  logwrites mark control.sock 'before the upgrade' --flush
  logwrites mark mnt/control 'before the upgrade' --flush
  sync notes.txt && logwrites mark $LOGWRITES_CONTROL --promise notes.txt";
