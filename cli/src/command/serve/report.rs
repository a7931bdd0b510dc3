//! What a server says at its start and at its end.

use std::io::{self, Write};

use anyhow::Context as _;

use super::watch;
use crate::args::DiskArgs;
use crate::output::stdout;
use crate::serve::exports::ExportTable;

/// Says what there is, a line each.
pub(super) fn describe(out: &mut impl Write, exports: &ExportTable) -> io::Result<()> {
    for (name, disk) in exports.described() {
        writeln!(out, "  {name}: {disk}")?;
    }
    Ok(())
}

/// Ends the logs in good order.
pub(super) fn finish(exports: &ExportTable, args: &DiskArgs) -> anyhow::Result<()> {
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
