//! `logwrites serve`: a disk for others, every write of theirs logged; or a disk as it was.

#[cfg(target_os = "linux")]
mod fuse;
mod nbd;
mod past;
mod record;
mod watch;

#[cfg(target_os = "linux")]
pub(super) use self::fuse::DISK_NAME;
#[cfg(target_os = "linux")]
pub(super) use self::watch::log_to_stderr;

use std::io::{self, Write};

use anyhow::Context as _;

use crate::args::{DiskArgs, Serve};
use crate::error::Failure;
use crate::output::stdout;
use crate::serve::exports::ExportTable;
use crate::serve::nbd::MAX_SECTOR_BYTES;

pub(super) fn run(args: &Serve) -> anyhow::Result<()> {
    match args {
        Serve::Nbd(args) => nbd::run(args),
        #[cfg(target_os = "linux")]
        Serve::Fuse(args) => fuse::run(args),
        #[cfg(not(target_os = "linux"))]
        Serve::Fuse(_) => Err(Failure::Usage(
            "files are served on Linux only; `logwrites serve nbd` is there on every system".to_owned(),
        )
        .into()),
    }
}

/// A disk in use, or one as it was at some points.
pub(super) fn open_disk(args: &DiskArgs, name: &str) -> anyhow::Result<ExportTable> {
    if args.at.is_empty() { record::open(args, name) } else { past::open(args, name) }
}

/// Checks that servers have a unit of so many bytes.
fn check_sector_size(sector_size: logwrites_core::SectorSize) -> Result<(), Failure> {
    if sector_size.bytes_u32() <= MAX_SECTOR_BYTES {
        return Ok(());
    }
    Err(Failure::Usage(format!("a server has units of at most {MAX_SECTOR_BYTES} bytes, not {sector_size}")))
}

/// Says what there is, a line each.
fn describe(out: &mut impl Write, exports: &ExportTable) -> io::Result<()> {
    for (name, disk) in exports.described() {
        writeln!(out, "  {name}: {disk}")?;
    }
    Ok(())
}

/// Ends the logs in good order.
fn finish(exports: &ExportTable, args: &DiskArgs) -> anyhow::Result<()> {
    let mut out = stdout();
    for disk in exports.opened() {
        let end = disk.finish();
        let log = if args.at.is_empty() { Some(&args.log) } else { args.keep.as_ref() };
        let Some(log) = log else { continue };
        let logged = end.with_context(|| format!("while logging to {}", log.display()))?;
        watch::report(&mut out, log, logged)?;
    }
    Ok(out.flush()?)
}
