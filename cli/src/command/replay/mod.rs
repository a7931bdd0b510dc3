//! `logwrites replay`: the disk as of a point.
//!
//! The extent map at the point says where every byte comes from, so that each is written once, in the order of the disk;
//! what a later entry overwrote is never read.

mod batch;
mod job;

use std::io::{self, Write};
use std::path::Path;
use std::path::PathBuf;

use indicatif::BinaryBytes;
use logwrites_core::Extent;
use logwrites_core::crash::State;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index, Piece, Source};

pub(super) use self::job::Replayed;
use self::job::{Job, Zeros};
use super::new_file::NewFile;
use crate::args::{DiscardArg, ImageArgs};
use crate::device::{Access, Disk, DiskError, ImageFormat, Origin, OriginOptions, SameFile};
use crate::error::Failure;
use crate::log::{Edge, Log};
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::point::{Point, StateArg};
use crate::size::Size;

/// `logwrites replay`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("target").required(true).args(["output", "onto"]))]
pub(in crate::command) struct Args {
    /// Log to read
    log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long)]
    base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long, conflicts_with_all = ["base", "onto"])]
    size: Option<Size>,
    /// Image to create; sparse where the disk is zero, and sharing blocks with the base if the file system can
    #[arg(long, value_name = "OUT", conflicts_with = "from")]
    output: Option<PathBuf>,
    /// Image or block device to change in place
    #[arg(long, value_name = "DEVICE")]
    onto: Option<PathBuf>,
    /// Point that DEVICE is at now
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Point, or state after a crash, to replay to [default: end]
    #[arg(long, value_name = "STATE", allow_negative_numbers = true)]
    at: Option<StateArg>,
    /// How to replay a discard
    #[arg(long, value_enum, default_value_t)]
    discard: DiscardArg,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Overwrite OUT if it exists
    #[arg(long, conflicts_with = "onto")]
    force: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::begin(&args.log)?;
    let from = log.resolve(args.from.as_ref(), Edge::Start)?;
    let at = log.resolve_state(args.at.as_ref(), Edge::End)?;
    let origin = OriginOptions::new(args.base.as_deref(), args.images.into(), args.size.map(Size::bytes));
    let origin = origin.map(|origin| origin.open()).transpose()?;
    let (done, target) = match (&args.output, &args.onto) {
        (Some(output), _) => (make_output(args, &log, origin.as_ref(), output, &at)?, output),
        (None, Some(onto)) => {
            let base = origin.as_ref().and_then(Origin::disk);
            (change(args, &log, base, onto, (from, &at))?, onto)
        }
        (None, None) => return Err(Failure::Usage("either --output or --onto is needed".to_owned()).into()),
    };
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &done)?;
    } else {
        report(&mut out, &done, target)?;
    }
    Ok(out.flush()?)
}

/// Makes a new image.
fn make_output(
    args: &Args,
    log: &Log,
    origin: Option<&Origin>,
    output: &Path,
    at: &State,
) -> anyhow::Result<Replayed> {
    if args.discard == DiscardArg::Pass {
        let message = "--discard pass needs --onto DEVICE: there is nothing to discard in a new image";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    let Some(origin) = origin else {
        let message = "--base BASE or --size SIZE is needed: the image of the disk before the first entry, or its size if it was all zeros";
        return Err(Failure::Usage(message.to_owned()).into());
    };
    log.check_fits(at.point, origin.len_bytes(), origin.name())?;
    let new = if args.force {
        let others: Vec<&Disk> = origin.disk().into_iter().chain([log.disk()]).collect();
        NewFile::replace(output, &others)?
    } else {
        NewFile::create(output, "; --force overwrites it, --onto changes it in place")?
    };
    let done = make((log.index(), log.disk()), origin, args.discard.leaves(), new.disk(), at)?;
    new.keep()?;
    Ok(done)
}

/// Makes the disk of a state in a new file. The entries up to there must stay on the disk that was before them.
pub(super) fn make(
    (index, log): (&Index, &Disk),
    origin: &Origin,
    discards: Discards,
    target: &Disk,
    at: &State,
) -> anyhow::Result<Replayed> {
    let (base, len_bytes) = (origin.disk(), origin.len_bytes());
    target.set_len(len_bytes).map_err(|error| DiskError::new("give a size to", target.path(), error))?;
    let is_shared = base.is_some_and(|base| target.share_all_of(base));
    let map = Checkpoints::new(discards).map_at(index, at.point, &at.lost);
    let whole = Extent::between(0, index.sector_size().sectors_for(len_bytes));
    let mut pieces: Vec<Piece> = map.pieces(whole).collect();
    // The base shows through a shared image, and zeros through a new one.
    pieces.retain(|piece| match piece.source {
        None => !is_shared && base.is_some(),
        Some(Source::Zeros { .. }) => is_shared,
        Some(Source::Log { .. }) => true,
    });
    let sector_size = index.sector_size();
    let job = Job { target, log, base, sector_size, zeros: Zeros::Hole, is_blank: !is_shared };
    job.run(&pieces, index, at)
}

/// Changes the disk that was before a log to one of its states.
#[cfg(target_os = "linux")]
pub(super) fn apply(index: &Index, log: &Disk, target: &Disk, at: &State) -> anyhow::Result<Replayed> {
    let pieces = forward(index, 0, at, Discards::Zero);
    let sector_size = index.sector_size();
    let job = Job { target, log, base: None, sector_size, zeros: Zeros::Zero, is_blank: false };
    job.run(&pieces, index, at)
}

/// Changes a disk in place.
fn change(
    args: &Args,
    log: &Log,
    base: Option<&Disk>,
    onto: &Path,
    (from, at): (u64, &State),
) -> anyhow::Result<Replayed> {
    let target = ImageFormat::from(args.images).open(onto, Access::Write)?;
    let len_bytes = target.size_bytes()?;
    log.check_fits(from.max(at.point), len_bytes, onto)?;
    for other in base.into_iter().chain([log.disk()]) {
        if target.is_same(other)? {
            return Err(SameFile::new(onto, other.path()).into());
        }
    }
    target.lock()?;
    let index = log.index();
    let discards = args.discard.leaves();
    let is_ahead = at.lost.first().unwrap_or(at.point) >= from;
    let pieces = if is_ahead {
        forward(index, from, at, discards)
    } else {
        let Some(base) = base else {
            return Err(Failure::Usage(format!(
                "going back from point {from} to {at} needs --base BASE: the image of the disk before the first entry"
            ))
            .into());
        };
        if base.size_bytes()? != len_bytes {
            let message = format!("{} and {} have different sizes", base.path().display(), onto.display());
            return Err(Failure::Malformed(message).into());
        }
        backward(index, from, at, discards)
    };
    let zeros = if args.discard == DiscardArg::Pass { Zeros::Discard } else { Zeros::Zero };
    let job = Job {
        target: &target,
        log: log.disk(),
        base,
        sector_size: index.sector_size(),
        zeros,
        is_blank: false,
    };
    job.run(&pieces, index, at)
}

/// What the entries between a point and a state leave; nothing before the point is lost.
fn forward(index: &Index, from: u64, at: &State, discards: Discards) -> Vec<Piece> {
    let mut map = ExtentMap::new(index.sector_size());
    for entry in index.entries(from..at.point) {
        map.apply_kept(&entry, &at.lost, discards);
    }
    map.runs().map(|run| Piece { extent: run.extent, source: Some(run.source) }).collect()
}

/// The contents that a state has of all that was changed between a point and it, or is lost.
fn backward(index: &Index, from: u64, at: &State, discards: Discards) -> Vec<Piece> {
    let then = Checkpoints::new(discards).map_at(index, at.point, &at.lost);
    let first = at.lost.first().unwrap_or(at.point).min(from);
    index
        .map_of(first..at.point.max(from), discards)
        .runs()
        .flat_map(|run| then.pieces(run.extent).collect::<Vec<_>>())
        .collect()
}

/// Says what the disk is now.
pub(super) fn report(out: &mut impl Write, done: &Replayed, target: &Path) -> io::Result<()> {
    let target = style::paint(style::HEADING, Printable::path(target));
    write!(out, "{target} is the disk at point {} of {}", done.point, done.nr_entries)?;
    if let Some(lost) = &done.lost {
        write!(out, ", without {}{lost}", if lost.contains(['-', ',']) { "entries " } else { "entry " })?;
    }
    if let (Some(mark), Some(entries)) = (&done.last_mark, done.entries_after_mark) {
        let mark = style::paint(style::MARK, Printable(mark.as_bytes()));
        match entries {
            0 => write!(out, ", right after mark {mark}")?,
            _ => write!(out, ", {} after mark {mark}", style::count(entries, "entry", "entries"))?,
        }
    }
    writeln!(
        out,
        ": {} from the log, {} zeroed, {} from the base",
        BinaryBytes(done.log_bytes),
        BinaryBytes(done.zero_bytes),
        BinaryBytes(done.base_bytes)
    )
}

const EXAMPLES: &str = "\
Examples:
  logwrites replay disk.log --size 64M --output then.img --at mark:mkfs
  logwrites replay disk.log --base base.img --output before.img --at flush:-1
  logwrites replay disk.log --base base.img --output crash.img --at 117^103,105-109
  logwrites replay disk.log --onto work.img --from flush:3 --at flush:4
  logwrites replay disk.log --base base.img --onto work.img --from end --at mark:mkfs";
