//! `logwrites diff`: what differs between two points or states after a crash, and who wrote it.

use std::io::{self, Write};
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use logwrites_core::Extent;
use logwrites_core::crash::State;
use logwrites_core::history::{Checkpoints, Index, Source};
use logwrites_core::num::narrow;

use super::compare::compare;
use crate::args::{ImageArgs, VerifyDiscardArg};
use crate::device::{Origin, OriginOptions, View};
use crate::error::Failure;
use crate::interrupt;
use crate::log::{Edge, Log};
use crate::output::json::DifferenceJson;
use crate::output::{hex, print_json, stdout, style};
use crate::point::{Anchor, Point, StateArg};

/// `logwrites diff`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// First point, or state after a crash
    #[arg(allow_negative_numbers = true)]
    a: StateArg,
    /// Second point, or state after a crash
    #[arg(allow_negative_numbers = true)]
    b: StateArg,
    /// Image of the disk before the first entry; without it, every sector that the log overwrote counts as different from it
    #[arg(long)]
    base: Option<PathBuf>,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero")]
    discard: VerifyDiscardArg,
    /// Show the bytes that differ
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut log = Log::begin(&args.log)?;
    let a = log.resolve_state(Some(&args.a), Edge::Start)?;
    let b = log.resolve_state(Some(&args.b), Edge::End)?;
    let origin = OriginOptions::new(args.base.as_deref(), args.images.into(), None);
    let origin = origin.map(|origin| origin.open()).transpose()?;
    if let Some(origin) = &origin {
        log.check_fits(a.point.max(b.point), origin.len_bytes(), origin.name())?;
    }
    let base = origin.as_ref().and_then(Origin::disk);
    let (log_disk, index) = (log.disk(), log.index());
    let discards = args.discard.into();
    let mut checkpoints = Checkpoints::new(discards);
    let maps = (checkpoints.map_at(index, a.point, &a.lost), checkpoints.map_at(index, b.point, &b.lost));
    let comparison = Comparison {
        index,
        path: &args.log,
        has_base: base.is_some(),
        a: View { base, log: log_disk, map: &maps.0 },
        b: View { base, log: log_disk, map: &maps.1 },
    };
    let mut out = stdout();
    let mut nr_sectors = 0;
    for extent in a.changed_to(&b, index, discards).runs().map(|run| run.extent) {
        interrupt::check("")?;
        for difference in comparison.differences(extent)? {
            if !args.json && nr_sectors == 0 {
                let heading = format!("from {} to {}", name(&args.a, &a), name(&args.b, &b));
                writeln!(out, "{}", style::paint(style::HEADING, heading))?;
            }
            nr_sectors += difference.extent.nr_sectors();
            if args.json {
                print_json(&mut out, &difference.json(index))?;
            } else {
                difference.print(&mut out, index)?;
                if args.hex {
                    comparison.print_bytes(&mut out, &difference)?;
                }
            }
        }
    }
    if !args.json && nr_sectors == 0 {
        writeln!(out, "no difference between {} and {}", name(&args.a, &a), name(&args.b, &b))?;
    }
    Ok(out.flush()?)
}

/// A state by its numbers, with how it was asked for if that says more.
fn name(asked: &StateArg, state: &State) -> String {
    let kind = if state.lost.is_empty() { "point" } else { "state" };
    match asked.point {
        Point { anchor: Anchor::Entries(_), shift: None } => format!("{kind} {state}"),
        _ => format!("{kind} {state} ({asked})"),
    }
}

/// The disk at two points.
struct Comparison<'a> {
    index: &'a Index,
    path: &'a Path,
    has_base: bool,
    a: View<'a>,
    b: View<'a>,
}

/// An extent that differs all over, and comes from one place at each point.
struct Difference {
    extent: Extent,
    a: Option<Source>,
    b: Option<Source>,
}

impl Comparison<'_> {
    /// The parts of an extent that differ. What comes from the base is only known if there is one; without, it is
    /// taken to differ from whatever was written.
    fn differences(&self, extent: Extent) -> anyhow::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        for a in self.a.map.pieces(extent) {
            for b in self.b.map.pieces(a.extent) {
                let at_b = self.a.map.pieces(b.extent).next().and_then(|piece| piece.source);
                if at_b == b.source {
                    continue;
                }
                let is_known = self.has_base || (at_b.is_some() && b.source.is_some());
                let parts = if is_known { self.different_sectors(b.extent)? } else { vec![b.extent] };
                let skip = |source: Option<Source>, part: Extent| {
                    source.map(|source| advanced(source, b.extent, part, self.index))
                };
                differences.extend(parts.into_iter().map(|extent| Difference {
                    extent,
                    a: skip(at_b, extent),
                    b: skip(b.source, extent),
                }));
            }
        }
        Ok(differences)
    }

    /// The runs of sectors of an extent whose bytes differ.
    fn different_sectors(&self, extent: Extent) -> anyhow::Result<Vec<Extent>> {
        let mut runs: Vec<Extent> = Vec::new();
        compare(
            self.index.sector_size(),
            extent,
            |extent, bytes| self.read(self.a, extent, bytes),
            |extent, bytes| self.read(self.b, extent, bytes),
            |at, _, _| match runs.last_mut() {
                Some(run) if run.end() == at => *run = Extent::between(run.sector(), at + 1),
                _ => runs.push(Extent::between(at, at + 1)),
            },
        )?;
        Ok(runs)
    }

    fn read(&self, view: View<'_>, extent: Extent, bytes: &mut [u8]) -> anyhow::Result<()> {
        view.read(extent, bytes).with_context(|| format!("cannot read {} or the base", self.path.display()))
    }

    /// Prints the lines of a difference that are not the same, as they were and as they are.
    fn print_bytes(&self, out: &mut impl Write, difference: &Difference) -> anyhow::Result<()> {
        if !self.has_base && (difference.a.is_none() || difference.b.is_none()) {
            return Err(
                Failure::Usage("--hex needs --base BASE, to know what was overwritten".to_owned()).into()
            );
        }
        let sector_size = self.index.sector_size();
        let sector_len = narrow(sector_size.bytes());
        let (mut a, mut b) = (vec![0; sector_len], vec![0; sector_len]);
        for sector in difference.extent.sector()..difference.extent.end() {
            let extent = Extent::between(sector, sector + 1);
            self.read(self.a, extent, &mut a)?;
            self.read(self.b, extent, &mut b)?;
            let offsets = (sector_size.bytes_of(sector)..).step_by(hex::LINE);
            for (offset_bytes, (a, b)) in offsets.zip(a.chunks(hex::LINE).zip(b.chunks(hex::LINE))) {
                if a != b {
                    writeln!(
                        out,
                        "  {} {offset_bytes:012x}  {}",
                        style::paint(style::ERROR, "-"),
                        hex::row(a)
                    )?;
                    writeln!(
                        out,
                        "  {} {offset_bytes:012x}  {}",
                        style::paint(style::GOOD, "+"),
                        hex::row(b)
                    )?;
                }
            }
        }
        Ok(())
    }
}

impl Difference {
    fn json(&self, index: &Index) -> DifferenceJson {
        DifferenceJson {
            sector: self.extent.sector(),
            nr_sectors: self.extent.nr_sectors(),
            offset_bytes: index.sector_size().bytes_of(self.extent.sector()),
            len_bytes: index.sector_size().bytes_of(self.extent.nr_sectors()),
            entry_a: self.a.and_then(|source| index.writer_of(source)),
            entry_b: self.b.and_then(|source| index.writer_of(source)),
        }
    }

    fn print(&self, out: &mut impl Write, index: &Index) -> io::Result<()> {
        let from = |source: Option<Source>| {
            let writer = source.and_then(|source| index.writer_of(source));
            writer.map_or("the base".to_owned(), |entry| format!("entry {entry}"))
        };
        let extent = style::paint(style::HEADING, format!("sectors {:<20}", self.extent.to_string()));
        writeln!(out, "{extent} from {} to {}", from(self.a), from(self.b))
    }
}

/// A source of `whole`, as it is for the part of it.
fn advanced(source: Source, whole: Extent, part: Extent, index: &Index) -> Source {
    match source {
        Source::Log { offset_bytes } => {
            let skip_bytes = index.sector_size().bytes_of(part.sector() - whole.sector());
            Source::Log { offset_bytes: offset_bytes + skip_bytes }
        }
        Source::Zeros { .. } => source,
    }
}

const EXAMPLES: &str = "\
Examples:
  logwrites diff disk.log mark:before mark:after
  logwrites diff disk.log flush:-2 end --base base.img --hex
  logwrites diff disk.log 117 117^103,105-109";
