//! `logwrites squash`: the first part of a log, folded into a new base.

use std::io::Write;

use logwrites_core::history::Discards;

use super::cut::cut;
use super::new_file::NewFile;
use super::replay::make;
use super::{len_of, same_file};
use crate::args::Squash;
use crate::device::{Access, Disk};
use crate::log::{Default, Log};
use crate::output::json::SquashJson;
use crate::output::{print_json, stdout, style};

pub(super) fn run(args: &Squash) -> anyhow::Result<()> {
    if args.output == args.output_base {
        return Err(same_file(&args.output, &args.output_base).into());
    }
    let mut log = Log::open(&args.log)?;
    let at = log.resolve(Some(&args.at), Default::Start)?;
    log.check_whole()?;
    let end = log.index().nr_entries();
    let base = Disk::open(&args.base, Access::Read)?;
    let len_bytes = len_of(&base)?;
    log.check_fits(at, len_bytes, base.path())?;
    let new_base = NewFile::create(&args.output_base, "")?;
    let new_log = NewFile::create(&args.output, "")?;
    let folded = make(&log, Some(&base), len_bytes, Discards::Zero, &new_base, at)?;
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
            style::paint(style::HEADING, args.output_base.display()),
            style::paint(style::HEADING, args.output.display()),
            style::count(done.log.nr_entries, "entry", "entries")
        )?;
    }
    Ok(out.flush()?)
}
