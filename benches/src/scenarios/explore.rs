//! Every crash of a real ext4, decided: beside a shell loop that tries what it can, and beside the checker alone.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use logwrites_core::SectorSize;
use logwrites_core::crash::{Choice, Groups, Layers, Model, Rules, ordering_of};
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index, Source};
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::LogSlice;
use serde_json::Value;

use crate::bench::{Bench, remove, repository};
use crate::compare::{Contest, Side, compare};
use crate::process::{output, run as execute};
use crate::table::{Row, Table};

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for name in ["log", "base.img"] {
        let packed = repository().join("tests/data/golden/ext4-64m").join(format!("{name}.zst"));
        execute(Command::new("zstd").args(["-dqf"]).arg(packed).arg("-o").arg(bench.path(name)))?;
    }
    let losses = SingleLosses::of(&std::fs::read(bench.path("log"))?)?;
    let mut decided = Decided { bench, losses: &losses, first: None };
    let nr_losses = losses.states.len();
    let beside = format!("cp --sparse and e2fsck of {nr_losses} single losses, one after another");
    compare(table, NR_ROUNDS, "`explore --check ext4`, every crash", &beside, &mut decided)?;
    let found = decided.first.context("it was run")?;
    let runs = found["runs"].as_u64().context("runs")?;
    table.add(states_row(&found, nr_losses)?);
    let mut alone = Alone { bench, losses: &losses, nr_runs: narrow(runs) };
    let what = format!("`explore`, {runs} runs of e2fsck, 2 at a time");
    compare(table, NR_ROUNDS, &what, "as many on plain files, 2 at a time", &mut alone)?;
    memory(bench, table)
}

/// How many states each side decides.
fn states_row(found: &Value, nr_losses: usize) -> anyhow::Result<Row> {
    let log2 = found["states_log2"].as_f64().context("states_log2")?;
    Ok(Row {
        what: "`explore`, states that are decided".to_owned(),
        ours: format!("2^{log2:.0}"),
        beside: "single losses".to_owned(),
        peer: nr_losses.to_string(),
        ratio: "-".to_owned(),
    })
}

/// The memory of it, beside that of a command that only reads the log.
fn memory(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let peak = bench.path("peak");
    let mut time = Command::new("time");
    time.args(["--format", "%M", "--output"]).arg(&peak);
    let explore = explore(bench);
    execute(time.arg(explore.get_program()).args(explore.get_args()))?;
    let explore_kib: u64 = std::fs::read_to_string(peak)?.trim().parse().context("the peak memory")?;
    let info_kib = bench.peak_kib("info", &bench.path("log"))?;
    let mib = |kib: u64| anyhow::Ok(format!("{:.1} MiB", f64::from(u32::try_from(kib)?) / 1024.0));
    table.add(Row {
        what: "`explore`, peak memory of it or of a checker".to_owned(),
        ours: mib(explore_kib)?,
        beside: "`info`".to_owned(),
        peer: mib(info_kib)?,
        ratio: "-".to_owned(),
    });
    Ok(())
}

fn explore(bench: &Bench) -> Command {
    let mut explore = bench.tool();
    explore.arg("explore").arg(bench.path("log")).arg("--base").arg(bench.path("base.img"));
    explore.args(["--check", "ext4", "--from", FROM, "--jobs", "2", "--json"]);
    explore
}

/// What its last line says.
fn explored(bench: &Bench) -> anyhow::Result<Value> {
    let said = output(&mut explore(bench))?;
    let summary = serde_json::from_str::<Value>(said.lines().last().context("a summary")?)?;
    anyhow::ensure!(summary["verdict"] == "proved", "not every crash is survived: {summary}");
    Ok(summary)
}

/// Every state that loses one write alone, as what lies over the base.
struct SingleLosses {
    log: Vec<u8>,
    sector_size: SectorSize,
    states: Vec<ExtentMap>,
}

impl SingleLosses {
    fn of(log: &[u8]) -> anyhow::Result<Self> {
        let mut slice = LogSlice::open(log)?;
        let mut index = Index::new(slice.superblock());
        while let Some(entry) = slice.next() {
            let entry = entry?;
            index.push(&entry, slice.mark_text(&entry).unwrap_or(b""));
        }
        let mark = index.marks_named(b"mkfs").next().context("the mark")?;
        let rules = Rules { ordering: ordering_of(&index), model: Model::Lost, discards: Discards::Zero };
        let mut checkpoints = Checkpoints::new(rules.discards);
        let mut states = Vec::new();
        for group in Groups::new(&index, rules, mark + 1..index.nr_entries()) {
            let layers = Arc::new(Layers::new(&index, &group, &mut checkpoints)?);
            let lose = |lost| Choice::of(Arc::clone(&layers), |unit| unit != lost).map();
            states.extend((0..group.nr_units()).map(lose));
        }
        Ok(Self { log: log.to_vec(), sector_size: index.sector_size(), states })
    }

    /// Makes an image of a state: a sparse copy of the base, and what the log has over it.
    fn make(&self, bench: &Bench, map: &ExtentMap, image: &PathBuf) -> anyhow::Result<()> {
        execute(Command::new("cp").arg("--sparse=always").arg(bench.path("base.img")).arg(image))?;
        let image = File::options().write(true).open(image)?;
        let zeros = vec![0; 1 << 20];
        for run in map.runs() {
            let offset_bytes = self.sector_size.bytes_of(run.extent.sector());
            let mut rest = self.sector_size.bytes_of(run.extent.nr_sectors());
            if let Source::Log { offset_bytes: from } = run.source {
                let bytes = &self.log[narrow(from)..narrow(from + rest)];
                image.write_all_at(bytes, offset_bytes)?;
                continue;
            }
            let mut at = offset_bytes;
            while rest > 0 {
                let piece = &zeros[..narrow(rest.min(widen(zeros.len())))];
                image.write_all_at(piece, at)?;
                (at, rest) = (at + widen(piece.len()), rest - widen(piece.len()));
            }
        }
        Ok(())
    }
}

/// What the preset does.
fn check(image: &PathBuf) -> anyhow::Result<()> {
    let recovered = Command::new("e2fsck").args(["-E", "journal_only", "-p"]).arg(image).output()?;
    anyhow::ensure!(matches!(recovered.status.code(), Some(0 | 1)), "the journal: {recovered:?}");
    let checked = Command::new("e2fsck").arg("-fn").arg(image).output()?;
    anyhow::ensure!(checked.status.success(), "e2fsck: {checked:?}");
    Ok(())
}

struct Decided<'a> {
    bench: &'a Bench,
    losses: &'a SingleLosses,
    /// The first result of ours.
    first: Option<Value>,
}

impl Contest for Decided<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        rustix::fs::sync();
        Ok(())
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        match side {
            Side::Ours => {
                let found = explored(self.bench)?;
                self.first.get_or_insert(found);
            }
            Side::Peer => {
                let image = self.bench.path("image");
                for map in &self.losses.states {
                    self.losses.make(self.bench, map, &image)?;
                    check(&image)?;
                }
            }
        }
        Ok(None)
    }
}

/// The runs of the checker without the harness.
struct Alone<'a> {
    bench: &'a Bench,
    losses: &'a SingleLosses,
    nr_runs: usize,
}

impl Alone<'_> {
    fn images(&self) -> Vec<PathBuf> {
        (0..self.nr_runs).map(|nth| self.bench.path(&format!("image.{nth}"))).collect()
    }
}

impl Contest for Alone<'_> {
    /// The checker replays journals, so that every turn needs new images.
    fn prepare(&mut self) -> anyhow::Result<()> {
        for (image, map) in self.images().iter().zip(self.losses.states.iter().cycle()) {
            remove(image)?;
            self.losses.make(self.bench, map, image)?;
        }
        rustix::fs::sync();
        Ok(())
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        if side == Side::Ours {
            let seconds = explored(self.bench)?["seconds"].as_f64().context("seconds")?;
            return Ok(Some(Duration::from_secs_f64(seconds)));
        }
        let images = self.images();
        let half = images.len().div_ceil(2);
        thread::scope(|scope| {
            let jobs: Vec<_> = images
                .chunks(half)
                .map(|images| scope.spawn(move || images.iter().try_for_each(check)))
                .collect();
            jobs.into_iter().try_for_each(|job| job.join().expect("a job does not panic"))
        })?;
        Ok(None)
    }
}

/// The log begins with mkfs, which no crash is to be survived in.
const FROM: &str = "mark:mkfs";

const NR_ROUNDS: usize = 3;
