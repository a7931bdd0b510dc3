//! `logwrites verify`: whether a log is whole, and whether a base and the log make an image.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::Extent;
use logwrites_core::format::{EntryHeader, Flags, HEADER_LEN};
use logwrites_core::history::{Discards, ExtentMap, Index, Source};
use logwrites_core::num::widen;
use serde::Serialize;

use super::compare::compare;
use crate::args::{ImageArgs, VerifyDiscardArg};
use crate::device::{Access, Disk, DiskError, ImageFormat, Origin, OriginOptions, View};
use crate::error::{Failure, Hint};
use crate::interrupt;
use crate::log::Log;
use crate::output::printable::Printable;
use crate::output::progress::Progress;
use crate::output::{print_json, stdout, style};
use crate::size::Size;

/// `logwrites verify`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("start").args(["base", "size"]))]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long, requires = "final_image")]
    base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long, requires = "final_image", conflicts_with = "base")]
    size: Option<Size>,
    /// Image of the disk at the end of the log, to compare with
    #[arg(long = "final", id = "final_image", value_name = "IMAGE", requires = "start")]
    final_image: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero")]
    discard: VerifyDiscardArg,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::open(&args.log)?;
    let mut found = Verified {
        readable_entries: log.index().nr_entries(),
        nr_entries: log.index().superblock().nr_entries,
        error: log.broken().map(|error| error.to_string()),
        ..Verified::default()
    };
    let broken = log.check_whole();
    if broken.is_ok() {
        found.tail_entries = log.tail()?.nr_entries();
    } else {
        found.overlapped_entry = overlapped_entry(&log)?;
    }
    let format = ImageFormat::from(args.images);
    let origin = OriginOptions::new(args.base.as_deref(), format, args.size.map(Size::bytes));
    let origin = origin.map(|origin| origin.open()).transpose()?;
    let differs = match (&broken, &origin, &args.final_image) {
        (Ok(()), Some(origin), Some(image)) => {
            let image = format.open(image, Access::Read)?;
            check_image(&log, origin, &image, args.discard.into(), &mut found)?
        }
        _ => None,
    };
    found.ok = broken.is_ok() && differs.is_none();
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &found)?;
    } else {
        print(&mut out, args, &found)?;
    }
    out.flush()?;
    broken.map_err(|error| match found.overlapped_entry {
        Some(entry) => anyhow::Error::new(error).context(Hint(format!(
            "entry {entry} seems to have another entry inside its payload, as where QEMU before 9.0 logged a write of \
             zeros while other writes were in flight; points up to {entry} can be trusted"
        ))),
        None => error.into(),
    })?;
    differs.map_or(Ok(()), |message| Err(Failure::Check(message).into()))
}

/// What `verify` found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Verified {
    /// Whether everything is as it should be.
    pub(super) ok: bool,
    /// How many entries could be read.
    pub(super) readable_entries: u64,
    /// How many entries the superblock counts.
    pub(super) nr_entries: u64,
    /// Whole entries that seem to follow those.
    pub(super) tail_entries: u64,
    /// What is wrong with the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// An entry that seems to have another one inside its payload: a known fault of old recorders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) overlapped_entry: Option<u64>,
    /// How much of the image was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compared_bytes: Option<u64>,
    /// How much of the image was left out, because a write to it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) indeterminate_bytes: Option<u64>,
    /// How many log sectors of the image differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) different_sectors: Option<u64>,
    /// The first byte of the image that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_difference_bytes: Option<u64>,
    /// The entry that wrote that byte; missing where it comes from the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_difference_entry: Option<u64>,
}

/// Compares base + log with an image; gives the first difference, for people.
fn check_image(
    log: &Log,
    origin: &Origin,
    image: &Disk,
    discards: Discards,
    found: &mut Verified,
) -> anyhow::Result<Option<String>> {
    let len_bytes = origin.len_bytes();
    if image.size_bytes()? != len_bytes {
        return Ok(Some(format!(
            "{} has {} bytes, {} has {len_bytes}",
            image.path().display(),
            image.size_bytes()?,
            origin.name().display()
        )));
    }
    log.check_fits(log.index().nr_entries(), len_bytes, origin.name())?;
    let (log_disk, index) = (log.disk(), log.index());
    let map = index.map_at(index.nr_entries(), discards);
    let indeterminate = indeterminate(index, discards);
    let sector_size = index.sector_size();
    found.indeterminate_bytes =
        Some(indeterminate.runs().map(|run| sector_size.bytes_of(run.extent.nr_sectors())).sum());
    let view = View { base: origin.disk(), log: log_disk, map: &map };
    let differences = differences(image, view, &indeterminate, len_bytes)?;
    found.compared_bytes = Some(len_bytes - found.indeterminate_bytes.unwrap_or(0));
    found.different_sectors = Some(differences.nr_sectors);
    let Some(first_bytes) = differences.first_bytes else {
        return Ok(None);
    };
    found.first_difference_bytes = Some(first_bytes);
    let source = map.get(first_bytes / sector_size.bytes());
    let writer = source.and_then(|source| index.writer_of(source));
    found.first_difference_entry = writer;
    let from = match writer {
        Some(entry) => format!("entry {entry} wrote what should be there"),
        None => match origin {
            Origin::Image { disk, .. } => {
                format!("no entry touches it, so {} has what should be there", disk.path().display())
            }
            Origin::Zeros { .. } => "no entry touches it, so it should be zero".to_owned(),
        },
    };
    Ok(Some(format!(
        "{} differs from base and log first at byte {first_bytes} (sector {}), in {} sectors in all; {from}",
        image.path().display(),
        first_bytes / sector_size.bytes(),
        differences.nr_sectors
    )))
}

/// The first entry whose payload begins with what looks like the header of another one: what QEMU before its commit
/// a9c8ea95 left when it began an entry where the zeros of another were to be (see docs/format.md). Only worth asking of
/// a log that cannot be read to its end: a payload may look like anything.
fn overlapped_entry(log: &Log) -> anyhow::Result<Option<u64>> {
    let index = log.index();
    let mut sector = vec![0; usize::try_from(index.sector_size().bytes())?];
    for entry in index.entries(0..index.nr_entries()) {
        interrupt::check("")?;
        let payload = entry.payload();
        if !entry.flags().is_empty() || payload.is_empty() {
            continue;
        }
        log.disk()
            .read_at(payload.start, &mut sector)
            .map_err(|error| DiskError::new("read", log.path(), error))?;
        if is_like_a_header(&sector) {
            return Ok(Some(entry.index));
        }
    }
    Ok(None)
}

/// Whether a sector may be a header of QEMU's: plausible numbers, no mark, and nothing after them.
fn is_like_a_header(sector: &[u8]) -> bool {
    let Some((bytes, rest)) = sector.split_first_chunk::<HEADER_LEN>() else { return false };
    let header = EntryHeader::parse(bytes);
    let has_extent = header.nr_sectors > 0
        && header.sector.checked_add(header.nr_sectors).is_some_and(|end| end < MAX_SECTORS);
    header.data_len == 0
        && header.flags.unnamed().is_empty()
        && !header.flags.contains(Flags::MARK)
        && (has_extent || (header.nr_sectors == 0 && header.flags == Flags::FLUSH))
        && rest.iter().all(|byte| *byte == 0)
}

/// The extents to which a write failed and that nothing has overwritten since.
fn indeterminate(index: &Index, discards: Discards) -> ExtentMap {
    let mut map = ExtentMap::new(index.sector_size());
    let mut marks =
        index.marks().filter_map(|mark| mark.indeterminate().map(|extent| (mark.entry, extent))).peekable();
    let Some((first, _)) = marks.peek() else {
        return map;
    };
    for entry in index.entries(*first..index.nr_entries()) {
        if let Some((_, extent)) = marks.next_if(|(number, _)| *number == entry.index) {
            map.insert(extent, Source::Zeros { entry_offset_bytes: entry.offset_bytes });
        } else if discards == Discards::Zero || !entry.flags().contains(Flags::DISCARD) {
            map.remove(entry.extent());
        }
    }
    map
}

#[derive(Default)]
struct Differences {
    first_bytes: Option<u64>,
    nr_sectors: u64,
}

/// Where an image is not what `view` says, `indeterminate` sectors left out.
fn differences(
    image: &Disk,
    view: View<'_>,
    indeterminate: &ExtentMap,
    len_bytes: u64,
) -> anyhow::Result<Differences> {
    let sector_size = view.map.sector_size();
    let mut progress = Progress::bytes("comparing", len_bytes);
    let mut found = Differences::default();
    compare(
        sector_size,
        Extent::between(0, len_bytes / sector_size.bytes()),
        |extent, expected| view.read(extent, expected).context("cannot read the log or the base"),
        |extent, actual| {
            let start_bytes = sector_size.bytes_of(extent.sector());
            progress.set(start_bytes);
            let read = image.read_at(start_bytes, actual);
            Ok(read.map_err(|error| DiskError::new("read", image.path(), error))?)
        },
        |sector, expected, actual| {
            if indeterminate.get(sector).is_none() {
                found.nr_sectors += 1;
                let in_sector = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
                found.first_bytes.get_or_insert(sector_size.bytes_of(sector) + widen(in_sector));
            }
        },
    )?;
    Ok(found)
}

fn print(out: &mut impl Write, args: &Args, found: &Verified) -> std::io::Result<()> {
    let log = Printable::path(&args.log);
    if found.ok {
        let entries = style::count(found.nr_entries, "entry", "entries");
        write!(out, "{} {log}: {entries}", style::paint(style::GOOD, "ok"))?;
        if let Some(bytes) = found.compared_bytes {
            write!(out, ", and base and log make the image ({bytes} bytes compared)")?;
        }
        writeln!(out)?;
    }
    if let Some(bytes) = found.indeterminate_bytes.filter(|bytes| *bytes > 0) {
        writeln!(
            out,
            "{bytes} bytes were left out: a write to them failed, and nothing has overwritten them since"
        )?;
    }
    if found.tail_entries > 0 {
        writeln!(
            out,
            "{}: {} the last one that the superblock counts",
            style::paint(style::WARNING, "note"),
            style::count(found.tail_entries, "whole entry seems to follow", "whole entries seem to follow")
        )?;
    }
    Ok(())
}

/// A sector after this one is not plausible: no known disk has it.
const MAX_SECTORS: u64 = 1 << 48;

const EXAMPLES: &str = "\
Examples:
  logwrites verify disk.log
  logwrites verify disk.log --base base.img --final disk.img
  logwrites verify disk.log --size 64M --final disk.img";
