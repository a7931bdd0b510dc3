//! `logwrites mark`: a mark at the end of a closed log.

use logwrites_core::device::NoData;
use logwrites_core::drive::Driver;
use logwrites_core::format::MarkText;
use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Logger};

use super::append::OpenEnd;
use crate::args::Mark;
use crate::device::{Access, Disk, LogFile};
use crate::error::Failure;

pub(super) fn run(args: &Mark) -> anyhow::Result<()> {
    let end = OpenEnd::find(&args.log, None)?;
    let sector_size = end.index().sector_size();
    let text = MarkText::new(args.name.as_bytes(), sector_size)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let disk = Disk::open(&args.log, Access::Read)?;
    let capacity_bytes = if disk.is_block_device() { super::len_of(&disk)? } else { MAX_OFFSET_BYTES };
    let config = Config { capacity_bytes, ..Config::new(sector_size) };
    let logger = Logger::<1>::resume(config, end.point())?;
    let mut driver: Driver<_, _, LogFile> = Driver::new(logger, NoData, end.open(&args.log)?);
    driver.mark(text.bytes())?;
    driver.finish()?;
    Ok(())
}
