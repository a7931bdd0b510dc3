//! `logwrites info`: a log in a few lines.

use std::io::Write;
use std::path::PathBuf;

use indicatif::BinaryBytes;
use logwrites_core::format::VERSION;

use crate::error::Failure;
use crate::log::{self, LogSummary};
use crate::output::printable::Printable;
use crate::output::style::FlagWords;
use crate::output::{print_json, stdout, style};

/// `logwrites info`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut reader = log::open(&args.log)?;
    let superblock = reader.superblock();
    let mut info = LogSummary {
        log: args.log.display().to_string(),
        version: VERSION,
        sector_size_bytes: superblock.sector_size.bytes(),
        nr_entries: superblock.nr_entries,
        used_bytes: superblock.sector_size.bytes(),
        ..LogSummary::default()
    };
    let broken = log::walk(&args.log, &mut reader, u64::MAX, |_, entry, _| {
        info.add(entry);
        Ok(())
    })?;
    match broken {
        Some(error) => info.error = Some(error.to_string()),
        None => info.set_tail(reader.tail()?),
    }
    info.log_bytes = reader.into_inner().len_bytes();
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &info)?;
    } else {
        print(&mut out, &info)?;
    }
    out.flush()?;
    match broken {
        Some(error) => Err(anyhow::Error::new(error).context(Failure::Malformed(format!(
            "{}: only {} of {} entries can be read",
            info.log, info.readable_entries, info.nr_entries
        )))),
        None => Ok(()),
    }
}

pub(super) fn print(out: &mut impl Write, info: &LogSummary) -> std::io::Result<()> {
    let mut line = |name: &str, value: String| {
        writeln!(out, "{} {value}", style::paint(style::HEADING, format_args!("{name:<12}")))
    };
    line("log", Printable(info.log.as_bytes()).to_string())?;
    line("sector size", format!("{} bytes", info.sector_size_bytes))?;
    line("entries", entries(info))?;
    line(
        "size",
        format!(
            "{} used ({} bytes), {} of payload",
            BinaryBytes(info.used_bytes),
            info.used_bytes,
            BinaryBytes(info.payload_bytes)
        ),
    )?;
    line(
        "kinds",
        format!(
            "{} write, {} flush, {} fua, {} discard ({}), {} mark, {} metadata",
            info.writes,
            info.flushes,
            info.fuas,
            info.discards,
            BinaryBytes(info.discarded_bytes),
            info.marks,
            info.metadata
        ),
    )?;
    line("epochs", info.epochs.count().to_string())?;
    line("disk", touched(info))?;
    if let Some(entry) = info.largest_extent_entry {
        line("largest", largest(info, entry))?;
    }
    line("tail", tail(info))
}

fn entries(info: &LogSummary) -> String {
    if info.error.is_some() {
        format!("{}, of which {} can be read", info.nr_entries, info.readable_entries)
    } else {
        info.nr_entries.to_string()
    }
}

fn touched(info: &LogSummary) -> String {
    if info.touched_end_bytes == 0 {
        return "not touched".to_owned();
    }
    format!(
        "touched from byte {} to {} ({})",
        info.touched_start_bytes,
        info.touched_end_bytes,
        BinaryBytes(info.touched_end_bytes),
    )
}

fn largest(info: &LogSummary, entry: u64) -> String {
    format!(
        "entry {entry}, {}: {} of the disk",
        FlagWords(info.largest_extent_flags),
        BinaryBytes(info.largest_extent_bytes)
    )
}

fn tail(info: &LogSummary) -> String {
    if info.error.is_some() {
        return "not looked at".to_owned();
    }
    match info.tail_entries {
        0 => "nothing follows the last entry".to_owned(),
        nr_entries => format!(
            "{} the last one counted, up to byte {}: left by a recorder that was killed, or by an older log",
            style::count(nr_entries, "whole entry seems to follow", "whole entries seem to follow"),
            info.tail_end_bytes
        ),
    }
}

const EXAMPLES: &str = "\
Examples:
  logwrites info disk.log
  logwrites info disk.log --json | jq .touched_end_bytes";
