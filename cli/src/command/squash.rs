//! `logwrites squash`: the first part of a log, folded into a new base.

use std::io::Write;

use anyhow::Context as _;
use logwrites_core::history::Discards;

use super::cut::cut;
use super::new_file::NewFile;
use super::replay::make;
use super::same_file;
use crate::args::Squash;
use crate::device::Origin;
use crate::log::{Default, Log};
use crate::output::json::SquashJson;
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::size::Size;

pub(super) fn run(args: &Squash) -> anyhow::Result<()> {
    if args.output == args.output_base {
        return Err(same_file(&args.output, &args.output_base).into());
    }
    let mut log = Log::open(&args.log)?;
    let at = log.resolve(Some(&args.at), Default::Start)?;
    log.check_whole()?;
    let end = log.index().nr_entries();
    let origin = Origin::open(args.base.as_deref(), args.images.into(), args.size.map(Size::bytes))?
        .context("--base or --size is needed")?;
    log.check_fits(at, origin.len_bytes(), origin.name())?;
    let new_base = NewFile::create(&args.output_base, "")?;
    let new_log = NewFile::create(&args.output, "")?;
    let folded = make(&log, origin.disk(), origin.len_bytes(), Discards::Zero, &new_base, at)?;
    let rest = cut(log.disk(), log.index(), at..end, |_| true, new_log.disk())?;
    // A log that is there has its base, and a base its log.
    let new_base = new_base.keep()?;
    if let Err(error) = new_log.keep() {
        new_base.remove();
        return Err(error);
    }
    let done = SquashJson { point: at, base: folded, log: rest };
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &done)?;
    } else {
        writeln!(
            out,
            "{} is the disk at point {at}, and {} has the {} after it",
            style::paint(style::HEADING, Printable::path(&args.output_base)),
            style::paint(style::HEADING, Printable::path(&args.output)),
            style::count(done.log.nr_entries, "entry", "entries")
        )?;
    }
    Ok(out.flush()?)
}
