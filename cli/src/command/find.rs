//! `logwrites find`: the next entry of a kind, as a point to continue from.

use std::io::Write;
use std::path::PathBuf;

use logwrites_core::Extent;
use logwrites_core::format::Flags;

use super::ls::text_of;
use crate::args::{FlagArg, parse_extent};
use crate::error::Failure;
use crate::log::{Edge, EntryFilter, Log};
use crate::output::json::FoundJson;
use crate::output::listing::Listing;
use crate::output::{print_json, stdout, style};
use crate::point::Point;

/// `logwrites find`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("what").required(true).multiple(true).args(["next", "mark", "touching"]))]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Find the next entry with this flag
    #[arg(long, value_enum)]
    next: Option<FlagArg>,
    /// Find the next mark with this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["next", "touching"])]
    mark: Option<String>,
    /// Find the next entry that touches these sectors of the disk: SECTOR or SECTOR+COUNT, in log sectors
    #[arg(long, value_name = "EXTENT", value_parser = parse_extent)]
    touching: Option<Extent>,
    /// Search after this point [default: start]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Edge::Start)?;
    let index = log.index();
    let found = match &args.mark {
        Some(name) => {
            let number = index.marks_named(name.as_bytes()).find(|number| *number >= from);
            number.and_then(|number| index.entry(number))
        }
        None => {
            let filter = args.filter();
            index.entries(from..index.nr_entries()).find(|entry| filter.wants(entry))
        }
    };
    let Some(entry) = found else {
        // What cannot be read may hold it.
        log.check_whole()?;
        return Err(
            Failure::Check(format!("{}: no matching entry after point {from}", args.log.display())).into()
        );
    };
    let mark = text_of(index, &entry);
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &FoundJson::new(&entry, index.sector_size().bytes(), mark))?;
    } else {
        let mut listing = Listing::new(index.sector_size(), out.has_colors());
        listing.header(&mut out)?;
        listing.line(&mut out, &entry, mark)?;
        let point = style::paint(style::HEADING, format!("--at {}", entry.index + 1));
        writeln!(out, "{point} is the disk with it, --at {} the disk before", entry.index)?;
    }
    Ok(out.flush()?)
}

impl Args {
    fn filter(&self) -> EntryFilter {
        let flags = self.next.map_or(Flags::empty(), Flags::from);
        EntryFilter { flags, touching: self.touching, ..EntryFilter::default() }
    }
}

const EXAMPLES: &str = "\
Examples:
  logwrites find disk.log --next flush --from mark:mkfs
  logwrites find disk.log --mark mkfs --json | jq .point
  logwrites find disk.log --touching 2048+8";
