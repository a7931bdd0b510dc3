//! `logwrites mark`: a mark at the end of a closed log, or into that of a running server.

use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::device::NoData;
use logwrites_core::drive::Driver;
use logwrites_core::format::MarkText;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Logger};

use crate::device::{Disk, LogFile};
use crate::error::Failure;
use crate::log::OpenEnd;

/// `logwrites mark`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Closed log, or the control socket or control file of a running server
    log: PathBuf,
    /// Name of the mark
    name: String,
    /// Flush the disk first; a closed log is flushed in any case
    #[arg(long)]
    flush: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.name.is_empty() {
        return Err(Failure::Usage("a mark needs a name".to_owned()).into());
    }
    #[cfg(unix)]
    if crate::serve::control::is_control(&args.log) {
        use crate::serve::control::{Ask, ask};
        ask(&args.log, &Ask::Mark { name: args.name.clone(), flush: args.flush })?;
        return Ok(());
    }
    let end = OpenEnd::find(Disk::open_locked(&args.log)?, None)?;
    let sector_size = end.index().sector_size();
    let text = MarkText::new(args.name.as_bytes(), sector_size)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let disk = end.disk();
    let capacity_bytes = if disk.is_block_device() { disk.size_bytes()? } else { MAX_OFFSET_BYTES };
    let log_name = || args.log.display().to_string();
    let config = Config { capacity_bytes, ..Config::new(sector_size) };
    let logger = Logger::<1>::resume(config, end.point()).with_context(log_name)?;
    let mut driver: Driver<_, _, LogFile> = Driver::new(logger, NoData, end.open()?);
    driver.mark(text.bytes()).with_context(log_name)?;
    driver.finish().with_context(log_name)?;
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  logwrites mark disk.log 'before the upgrade'
  logwrites mark control.sock 'before the upgrade' --flush
  logwrites mark mnt/control 'before the upgrade' --flush";
