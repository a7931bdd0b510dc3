//! `logwrites ls`: the entries of a log, a line each.

use std::io::Write;

use indicatif::BinaryBytes;
use logwrites_core::format::Flags;
use logwrites_core::history::{Index, Mark};
use logwrites_core::reader::Entry;

use crate::args::Ls;
use crate::log::{Default, Log};
use crate::output::json::EntryJson;
use crate::output::{print_json, stdout, style};

pub(super) fn run(args: &Ls) -> anyhow::Result<()> {
    let log = Log::open(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Default::Start)?;
    // What can be read is listed even if the rest cannot.
    let to = match &args.to {
        Some(point) => log.resolve(Some(point), Default::End)?,
        None => log.index().nr_entries(),
    };
    let mut out = stdout();
    if !args.json {
        header(&mut out)?;
    }
    let index = log.index();
    for entry in index.entries(from..to).filter(|entry| is_wanted(args, entry)) {
        let mark = text_of(index, &entry);
        if args.json {
            print_json(&mut out, &EntryJson::new(&entry, index.sector_size().bytes(), mark))?;
        } else {
            line(&mut out, &entry, index.sector_size().bytes(), mark)?;
        }
    }
    out.flush()?;
    if args.to.is_none() { log.check_whole() } else { Ok(()) }
}

fn is_wanted(args: &Ls, entry: &Entry) -> bool {
    let flags: Flags = args.flag.iter().map(|flag| Flags::from(*flag)).collect();
    entry.flags().contains(flags) && args.touching.is_none_or(|extent| extent.overlaps(entry.extent()))
}

fn text_of<'a>(index: &'a Index, entry: &Entry) -> Option<&'a [u8]> {
    entry.mark_text()?;
    index.last_mark(entry.index + 1).map(|mark: Mark<'a>| mark.text)
}

fn header(out: &mut impl Write) -> std::io::Result<()> {
    let heading =
        format!("{:>9} {:>14} {:>14} {:>10} {:>12}  kind", "entry", "log byte", "sector", "sectors", "size");
    writeln!(out, "{}", style::paint(style::HEADING, heading))
}

fn line(out: &mut impl Write, entry: &Entry, sector_bytes: u64, mark: Option<&[u8]>) -> std::io::Result<()> {
    let header = entry.header;
    let has_place = header.sector != 0 || header.nr_sectors != 0;
    let number = |value: u64| if has_place { value.to_string() } else { "-".to_owned() };
    let size = if header.nr_sectors == 0 {
        "-".to_owned()
    } else {
        BinaryBytes(header.nr_sectors.saturating_mul(sector_bytes)).to_string()
    };
    let kind = style::paint(style::of_entry(entry.flags()), style::flag_words(entry.flags()));
    write!(
        out,
        "{:>9} {:>14} {:>14} {:>10} {size:>12}  {kind}",
        entry.index,
        style::paint(style::DIM, format_args!("{:>14}", entry.offset_bytes)),
        number(header.sector),
        number(header.nr_sectors),
    )?;
    match mark {
        Some(text) => writeln!(out, " {}", printable(text)),
        None => writeln!(out),
    }
}

/// The text of a mark, without what could steer a terminal.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
