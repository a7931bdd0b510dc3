//! `logwrites cat`: what an entry wrote.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::num::clip;

use crate::error::Failure;
use crate::interrupt;
use crate::log::Log;
use crate::output::hex;

/// `logwrites cat`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Number of the entry, counted from 0
    entry: u64,
    /// Print a hex dump, even if standard output is not a terminal
    #[arg(long)]
    hex: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let log = Log::open(&args.log)?;
    let Some(entry) = log.index().entry(args.entry) else {
        log.check_whole()?;
        let nr_entries = log.index().nr_entries();
        let message =
            format!("{} has {nr_entries} entries; there is no entry {}", args.log.display(), args.entry);
        return Err(Failure::Usage(message).into());
    };
    let range = entry.mark_text().unwrap_or_else(|| entry.payload());
    let disk_offset_bytes = match entry.mark_text() {
        Some(_) => 0,
        None => log.index().sector_size().bytes_of(entry.extent().sector()),
    };
    let disk = log.disk();
    // Not the stream that strips colours: a payload is not text.
    let mut out = io::BufWriter::new(io::stdout().lock());
    let as_hex = args.hex || io::stdout().is_terminal();
    let mut dump = hex::Dump::new(disk_offset_bytes);
    let mut buffer = vec![0; STEP];
    let mut at_bytes = range.start;
    while at_bytes < range.end {
        interrupt::check("")?;
        let len = clip(range.end - at_bytes, STEP);
        let piece = &mut buffer[..len];
        disk.read_at(at_bytes, piece).with_context(|| format!("cannot read {}", args.log.display()))?;
        if as_hex {
            dump.push(&mut out, piece)?;
        } else {
            out.write_all(piece)?;
        }
        at_bytes += u64::try_from(len)?;
    }
    dump.finish(&mut out)?;
    Ok(out.flush()?)
}

/// How much is read at a time: a whole number of lines of a dump.
const STEP: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  logwrites cat disk.log 17                 print a hex dump to a terminal
  logwrites cat disk.log 17 > sector.bin    write the raw bytes to a file";
