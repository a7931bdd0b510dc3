//! `logwrites cut`: the part of a log that matters.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ArgAction;
use indicatif::BinaryBytes;
use logwrites_core::Extent;
use logwrites_core::format::Superblock;
use logwrites_core::history::Index;
use logwrites_core::reader::Entry;
use serde::Serialize;

use super::new_file::NewFile;
use crate::args::{KeepArg, parse_extent};
use crate::device::{Disk, DiskError};
use crate::error::Failure;
use crate::interrupt;
use crate::log::{Edge, EntryFilter, Log};
use crate::output::printable::Printable;
use crate::output::progress::Progress;
use crate::output::{print_json, stdout, style};
use crate::point::Point;

/// `logwrites cut`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Log to create
    #[arg(long, value_name = "NEW")]
    output: PathBuf,
    /// Only entries after this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT", alias = "at", allow_negative_numbers = true)]
    to: Option<Point>,
    /// Only entries of these kinds
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    keep: Vec<KeepArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    touching: Option<Extent>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Edge::Start)?;
    let at = log.resolve(args.to.as_ref(), Edge::End)?;
    if from > at {
        let message = format!("--from is point {from}, which is after --to, point {at}");
        return Err(Failure::Usage(message).into());
    }
    let filter = args.filter();
    let (disk, index) = (log.disk(), log.index());
    let new = NewFile::create(&args.output, "")?;
    let done = cut(disk, index, from..at, &filter, new.disk())?;
    new.keep()?;
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &done)?;
    } else {
        report(&mut out, args, from, &done)?;
    }
    Ok(out.flush()?)
}

impl Args {
    fn filter(&self) -> EntryFilter {
        let kinds = self.keep.iter().map(|kind| (*kind).into()).collect();
        EntryFilter { kinds, touching: self.touching, ..EntryFilter::default() }
    }
}

/// Writes a new log of those entries of a range that `filter` wants, and makes it durable.
pub(super) fn cut(
    log: &Disk,
    index: &Index,
    range: std::ops::Range<u64>,
    filter: &EntryFilter,
    new: &Disk,
) -> anyhow::Result<NewLog> {
    let sector_size = index.sector_size();
    let mut cutter = Cutter { log, new, end_bytes: sector_size.bytes(), run: 0..0 };
    let mut progress = Progress::count("cutting", range.end - range.start);
    let mut done = NewLog::default();
    for entry in index.entries(range.clone()) {
        if filter.wants(&entry) {
            done.nr_entries += 1;
            cutter.push(&entry)?;
        } else {
            done.left_out_entries += 1;
            done.left_out_changes += u64::from(!entry.extent().is_empty());
        }
        progress.set(entry.index - range.start);
    }
    cutter.flush()?;
    done.log_bytes = cutter.end_bytes;
    let superblock = Superblock { nr_entries: done.nr_entries, sector_size };
    let written = new
        .set_len(done.log_bytes)
        .and_then(|()| new.write_at(0, &superblock.emit()))
        .and_then(|()| new.sync());
    written.map_err(|error| DiskError::new("write", new.path(), error))?;
    Ok(done)
}

/// What `cut` made.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct NewLog {
    /// How many entries the new log has.
    pub(super) nr_entries: u64,
    /// How large it is.
    pub(super) log_bytes: u64,
    /// How many entries between the two points it has not.
    pub(super) left_out_entries: u64,
    /// How many of those changed the disk.
    pub(super) left_out_changes: u64,
}

/// Copies entries, each run of neighbours in one.
struct Cutter<'a> {
    log: &'a Disk,
    new: &'a Disk,
    end_bytes: u64,
    run: std::ops::Range<u64>,
}

impl Cutter<'_> {
    fn push(&mut self, entry: &Entry) -> anyhow::Result<()> {
        if entry.offset_bytes != self.run.end {
            self.flush()?;
            self.run = entry.offset_bytes..entry.offset_bytes;
        }
        self.run.end = entry.end_bytes();
        if self.run.end - self.run.start >= RUN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Copies the run, a piece at a time, so that an interruption is noticed.
    fn flush(&mut self) -> anyhow::Result<()> {
        while !self.run.is_empty() {
            interrupt::check("; the new log was removed")?;
            let len_bytes = (self.run.end - self.run.start).min(RUN_BYTES);
            self.new
                .copy_from(self.log, self.run.start, self.end_bytes, len_bytes)
                .map_err(|error| DiskError::new("write", self.new.path(), error))?;
            self.end_bytes += len_bytes;
            self.run.start += len_bytes;
        }
        Ok(())
    }
}

fn report(out: &mut impl Write, args: &Args, from: u64, done: &NewLog) -> io::Result<()> {
    let output = style::paint(style::HEADING, Printable::path(&args.output));
    let entries = style::count(done.nr_entries, "entry", "entries");
    writeln!(out, "{output} holds {entries} in {}", BinaryBytes(done.log_bytes))?;
    let note = style::paint(style::WARNING, "note");
    if done.left_out_changes > 0 {
        writeln!(
            out,
            "{note}: {} left out, so a replay does not give a state that the disk was in",
            style::count(
                done.left_out_changes,
                "change of the disk in between is",
                "changes of the disk in between are"
            )
        )?;
    } else if from > 0 {
        writeln!(
            out,
            "{note}: its base is the disk at point {from}; `logwrites squash` with --at {from} makes both"
        )?;
    }
    Ok(())
}

/// How much is copied at a time, in bytes.
const RUN_BYTES: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  logwrites cut huge.log --output part.log --from mark:start --to mark:failed
  logwrites cut huge.log --output meta.log --keep metadata,flush,mark
  logwrites cut huge.log --output super.log --touching 0+16";
