//! `logwrites ls`: the entries of a log, a line each.

use std::io::Write;
use std::path::PathBuf;

use clap::ArgAction;
use logwrites_core::Extent;
use logwrites_core::format::Flags;
use logwrites_core::history::{Index, Mark};
use logwrites_core::reader::Entry;

use crate::args::{FlagArg, parse_extent};
use crate::log::{Edge, EntryFilter, Log};
use crate::output::json::EntryJson;
use crate::output::listing::Listing;
use crate::output::{print_json, stdout};
use crate::point::Point;

/// `logwrites ls`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Only entries after this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Only entries up to this point
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    to: Option<Point>,
    /// Only entries with this flag; with several flags, only entries that have all of them
    #[arg(long, value_enum, value_delimiter = ',', action = ArgAction::Append)]
    flag: Vec<FlagArg>,
    /// Only entries that touch these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    touching: Option<Extent>,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Edge::Start)?;
    // What can be read is listed even if the rest cannot.
    let to = match &args.to {
        Some(point) => log.resolve(Some(point), Edge::End)?,
        None => log.index().nr_entries(),
    };
    let mut out = stdout();
    let index = log.index();
    let mut listing = Listing::new(index.sector_size(), out.has_colors());
    if !args.json {
        listing.header(&mut out)?;
    }
    let filter = args.filter();
    for entry in index.entries(from..to).filter(|entry| filter.wants(entry)) {
        let mark = text_of(index, &entry);
        if args.json {
            print_json(&mut out, &EntryJson::new(&entry, index.sector_size().bytes(), mark))?;
        } else {
            listing.line(&mut out, &entry, mark)?;
        }
    }
    out.flush()?;
    if args.to.is_none() {
        log.check_whole()?;
    }
    Ok(())
}

impl Args {
    fn filter(&self) -> EntryFilter {
        let flags = self.flag.iter().map(|flag| Flags::from(*flag)).collect();
        EntryFilter { flags, touching: self.touching, ..EntryFilter::default() }
    }
}

/// The text of an entry that is a mark.
pub(super) fn text_of<'a>(index: &'a Index, entry: &Entry) -> Option<&'a [u8]> {
    entry.mark_text()?;
    index.last_mark(entry.index + 1).map(|mark: Mark<'a>| mark.text)
}

const EXAMPLES: &str = "\
Examples:
  logwrites ls disk.log
  logwrites ls disk.log --from mark:mkfs --to flush:3
  logwrites ls disk.log --flag fua --touching 2048+8
  logwrites ls disk.log --json | jq -c 'select(.payload_bytes > 1048576)'";
