//! `logwrites mark`: a mark at the end of a closed log, or into that of a running server.

use anyhow::Context as _;
use logwrites_core::device::NoData;
use logwrites_core::drive::Driver;
use logwrites_core::format::MarkText;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Logger};

use super::append::OpenEnd;
use super::len_of;
use crate::args::Mark;
use crate::device::{Disk, LogFile};
use crate::error::Failure;

pub(super) fn run(args: &Mark) -> anyhow::Result<()> {
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
    let capacity_bytes = if disk.is_block_device() { len_of(disk)? } else { MAX_OFFSET_BYTES };
    let log_name = || args.log.display().to_string();
    let config = Config { capacity_bytes, ..Config::new(sector_size) };
    let logger = Logger::<1>::resume(config, end.point()).with_context(log_name)?;
    let mut driver: Driver<_, _, LogFile> = Driver::new(logger, NoData, end.open()?);
    driver.mark(text.bytes()).with_context(log_name)?;
    driver.finish().with_context(log_name)?;
    Ok(())
}
