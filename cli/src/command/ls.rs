//! `logwrites ls`: the entries of a log, a line each.

use std::io::Write;

use logwrites_core::format::Flags;
use logwrites_core::history::{Index, Mark};
use logwrites_core::reader::Entry;

use crate::args::Ls;
use crate::log::{Default, Log};
use crate::output::json::EntryJson;
use crate::output::listing::Listing;
use crate::output::{print_json, stdout};

pub(super) fn run(args: &Ls) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Default::Start)?;
    // What can be read is listed even if the rest cannot.
    let to = match &args.to {
        Some(point) => log.resolve(Some(point), Default::End)?,
        None => log.index().nr_entries(),
    };
    let mut out = stdout();
    let index = log.index();
    let mut listing = Listing::new(index.sector_size(), out.has_colors());
    if !args.json {
        listing.header(&mut out)?;
    }
    let flags: Flags = args.flag.iter().map(|flag| Flags::from(*flag)).collect();
    for entry in index.entries(from..to).filter(|entry| is_wanted(args, flags, entry)) {
        let mark = text_of(index, &entry);
        if args.json {
            print_json(&mut out, &EntryJson::new(&entry, index.sector_size().bytes(), mark))?;
        } else {
            listing.line(&mut out, &entry, mark)?;
        }
    }
    out.flush()?;
    if args.to.is_none() { log.check_whole() } else { Ok(()) }
}

fn is_wanted(args: &Ls, flags: Flags, entry: &Entry) -> bool {
    entry.flags().contains(flags) && args.touching.is_none_or(|extent| extent.overlaps(entry.extent()))
}

/// The text of an entry that is a mark.
pub(super) fn text_of<'a>(index: &'a Index, entry: &Entry) -> Option<&'a [u8]> {
    entry.mark_text()?;
    index.last_mark(entry.index + 1).map(|mark: Mark<'a>| mark.text)
}
