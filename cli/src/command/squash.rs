//! `logwrites squash`: the first part of a log, folded into a new base.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::crash::State;
use logwrites_core::history::Discards;
use serde::Serialize;

use super::cut::{NewLog, cut};
use super::new_file::NewFile;
use super::replay::{Replayed, make};
use crate::args::ImageArgs;
use crate::device::{OriginOptions, SameFile};
use crate::log::{Edge, EntryFilter, Log};
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::point::Point;
use crate::size::Size;

/// `logwrites squash`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long, required_unless_present = "size", conflicts_with = "size")]
    base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long)]
    size: Option<Size>,
    /// Point up to which entries are applied to the base
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    at: Point,
    /// Base image to create
    #[arg(long, value_name = "NEWBASE")]
    output_base: PathBuf,
    /// Log to create
    #[arg(long, value_name = "NEWLOG")]
    output: PathBuf,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.output == args.output_base {
        return Err(SameFile::new(&args.output, &args.output_base).into());
    }
    let mut log = Log::open(&args.log)?;
    let at = log.resolve(Some(&args.at), Edge::Start)?;
    log.check_whole()?;
    let end = log.index().nr_entries();
    let origin = OriginOptions::new(args.base.as_deref(), args.images.into(), args.size.map(Size::bytes))
        .context("--base or --size is needed")?
        .open()?;
    log.check_fits(at, origin.len_bytes(), origin.name())?;
    let new_base = NewFile::create(&args.output_base, "")?;
    let new_log = NewFile::create(&args.output, "")?;
    let folded = make((log.index(), log.disk()), &origin, Discards::Zero, new_base.disk(), &State::from(at))?;
    let rest = cut(log.disk(), log.index(), at..end, &EntryFilter::default(), new_log.disk())?;
    // A log that is there has its base, and a base its log.
    let new_base = new_base.keep()?;
    if let Err(error) = new_log.keep() {
        new_base.remove();
        return Err(error);
    }
    let done = Squashed { point: at, base: folded, log: rest };
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

/// What `squash` made.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Squashed {
    /// The point at which the new base is.
    pub(super) point: u64,
    /// The new base.
    pub(super) base: Replayed,
    /// The new log.
    pub(super) log: NewLog,
}

const EXAMPLES: &str = "\
Examples:
  logwrites squash run.log --base base.img --at mark:boot --output-base boot.img --output rest.log
  logwrites squash run.log --size 64M --at flush:-2 --output-base base.img --output rest.log";
