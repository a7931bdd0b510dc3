//! `logwrites ls`: the entries of a log, a line each.

use std::io::Write;

use indicatif::BinaryBytes;
use logwrites_core::SectorSize;
use logwrites_core::format::Flags;
use logwrites_core::history::{Index, Mark};
use logwrites_core::reader::Entry;

use crate::args::Ls;
use crate::log::{Default, Log};
use crate::output::json::EntryJson;
use crate::output::{print_json, stdout, style};

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
    let listing = Listing::new(index.sector_size());
    if !args.json {
        listing.header(&mut out)?;
    }
    for entry in index.entries(from..to).filter(|entry| is_wanted(args, entry)) {
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

fn is_wanted(args: &Ls, entry: &Entry) -> bool {
    let flags: Flags = args.flag.iter().map(|flag| Flags::from(*flag)).collect();
    entry.flags().contains(flags) && args.touching.is_none_or(|extent| extent.overlaps(entry.extent()))
}

/// The text of an entry that is a mark.
pub(super) fn text_of<'a>(index: &'a Index, entry: &Entry) -> Option<&'a [u8]> {
    entry.mark_text()?;
    index.last_mark(entry.index + 1).map(|mark: Mark<'a>| mark.text)
}

/// Entries as lines of a table.
#[derive(Clone, Copy)]
pub(super) struct Listing {
    sector_size: SectorSize,
}

impl Listing {
    pub(super) const fn new(sector_size: SectorSize) -> Self {
        Self { sector_size }
    }

    pub(super) fn header(self, out: &mut impl Write) -> std::io::Result<Self> {
        let heading = format!(
            "{:>9} {:>14} {:>14} {:>10} {:>12}  kind",
            "entry", "log byte", "sector", "sectors", "size"
        );
        writeln!(out, "{}", style::paint(style::HEADING, heading))?;
        Ok(self)
    }

    pub(super) fn line(
        self,
        out: &mut impl Write,
        entry: &Entry,
        mark: Option<&[u8]>,
    ) -> std::io::Result<()> {
        let header = entry.header;
        write!(
            out,
            "{:>9} {}",
            entry.index,
            style::paint(style::DIM, format_args!("{:>14}", entry.offset_bytes))
        )?;
        if header.sector == 0 && header.nr_sectors == 0 {
            write!(out, " {:>14} {:>10}", "-", "-")?;
        } else {
            write!(out, " {:>14} {:>10}", header.sector, header.nr_sectors)?;
        }
        match header.nr_sectors {
            0 => write!(out, " {:>12}", "-")?,
            nr_sectors => {
                write!(out, " {:>12}", BinaryBytes(self.sector_size.bytes_of(nr_sectors)).to_string())?;
            }
        }
        let kind = style::paint(style::of_entry(entry.flags()), style::flag_words(entry.flags()));
        match mark {
            Some(text) => writeln!(out, "  {kind} {}", printable(text)),
            None => writeln!(out, "  {kind}"),
        }
    }
}

/// The text of a mark, without what could steer a terminal.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
