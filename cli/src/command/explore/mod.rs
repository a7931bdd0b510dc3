//! `logwrites explore`: whether a program survives every crash of a recorded disk.

mod report;

use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use logwrites_core::SectorSize;
use logwrites_core::crash::{Model, Rules, State, ordering_of};
use logwrites_core::num::widen;

use self::report::{again, print_report};
use super::serve::log_to_stderr;
use crate::args::{ImageArgs, OrderingArg, VerifyDiscardArg};
use crate::device::OriginOptions;
use crate::error::Failure;
use crate::explore::{
    Budget, Check, ExploreError, Explorer, Options, OutDir, PRESETS, Plan, Progress, Recording, Report,
    Summary, Verdict,
};
use crate::host::namespace::keep_mounts_to_ourselves;
use crate::interrupt;
use crate::log::{Edge, Log};
use crate::output::printable::Printable;
use crate::output::style::count;
use crate::output::{print_json, stdout};
use crate::point::{Point, StateArg};
use crate::size::Size;

/// `logwrites explore`
#[derive(Debug, clap::Args)]
#[command(
    after_help = format!("{}\n\n{EXAMPLES}", presets()),
    group = clap::ArgGroup::new("origin").required(true).args(["base", "size"])
)]
pub(in crate::command) struct Args {
    /// Log to read
    log: PathBuf,
    /// Image of the disk before the first entry
    #[arg(long)]
    base: Option<PathBuf>,
    /// Size of the disk, if it was all zeros before the first entry
    #[arg(long)]
    size: Option<Size>,
    /// How images are read.
    #[command(flatten)]
    images: ImageArgs,
    #[arg(
        long,
        required = true,
        help = "Preset, or command that exits with 0 if the disk at $CRASH_IMAGE is good; may be given several times"
    )]
    check: Vec<Check>,
    /// Check this state only, and show what the checker prints
    #[arg(long, conflicts_with_all = ["from", "to", "model", "budget", "json"])]
    state: Option<StateArg>,
    /// First point at which the disk may crash [default: start]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Last point at which the disk may crash [default: end]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    to: Option<Point>,
    /// What a crash does to writes that are not durable
    #[arg(long, value_enum, default_value_t)]
    model: ModelArg,
    /// With --model torn: what the disk writes as a whole or not at all [default: a log sector]
    #[arg(long, value_name = "SIZE")]
    atomic_unit: Option<Size>,
    /// Order of the entries in the log [default: told from the log]
    #[arg(long, value_enum, value_name = "ORDER")]
    log_order: Option<OrderingArg>,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero")]
    discard: VerifyDiscardArg,
    /// Number of checkers that run at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    jobs: Option<u8>,
    /// Stop each check after this time, such as 10m, or after this number of runs
    #[arg(long, value_parser = parse_budget, value_name = "TIME|RUNS")]
    budget: Option<Budget>,
    /// How long one run of a checker may take
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", default_value = "30s")]
    timeout: Duration,
    /// Seed of the random choice of states that are run to cross-check the others
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep what every run has proved in this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With --out: continue an exploration that has ended early; what is proved is not run again
    #[arg(long, requires = "out")]
    resume: bool,
    /// Explore part M of N of the groups only, such as 1/4; the N parts are the whole
    #[arg(long, value_name = "M/N", value_parser = parse_partition, default_value = "1/1", hide_default_value = true)]
    partition: (usize, usize),
    /// Print JSON: an object for each check, and one for all of them
    #[arg(long)]
    json: bool,
}

/// `--model`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ModelArg {
    /// Keep all of them: every prefix of the log
    Ordered,
    /// Keep or lose each on its own
    #[default]
    Lost,
    /// Keep or lose each atomic unit of each on its own
    Torn,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    log_to_stderr(0);
    let mut log = Log::open(&args.log)?;
    log.check_whole()?;
    let from = log.resolve(args.from.as_ref(), Edge::Start)?;
    let to = log.resolve(args.to.as_ref(), Edge::End)?;
    if from > to {
        return Err(Failure::Usage(format!("--from is point {from}, which is after --to, point {to}")).into());
    }
    let state = match &args.state {
        Some(state) => Some(log.resolve_state(Some(state), Edge::End)?),
        None => None,
    };
    let origin = OriginOptions::new(args.base.as_deref(), args.images.into(), args.size.map(Size::bytes));
    let origin = origin.ok_or_else(|| Failure::Usage("--base or --size is needed".to_owned()))?.open()?;
    log.check_fits(log.index().nr_entries(), origin.len_bytes(), origin.name())?;
    let rules = Rules {
        ordering: args.log_order.map_or_else(|| ordering_of(log.index()), Into::into),
        model: model(args, log.index().sector_size())?,
        discards: args.discard.into(),
    };
    let options = Options {
        rules,
        points: (from, to),
        nr_jobs: args.jobs.map_or_else(processors, usize::from),
        timeout: args.timeout,
        budget: args.budget.unwrap_or_default(),
        seed: args.seed,
        partition: args.partition,
    };
    let (index, log) = log.into_parts();
    // Nothing may end the process while its states are mounted; what ends it all the same takes the mount along.
    interrupt::be_patient();
    if rustix::process::geteuid().is_root() {
        keep_mounts_to_ourselves()?;
    }
    let recording = Recording::new(index, log, origin);
    let plan = Plan {
        version: 1,
        nr_entries: recording.index().nr_entries(),
        log_bytes: recording.index().end_bytes(),
        disk_bytes: recording.len_bytes(),
        rules: format!("{rules:?}"),
    };
    let open = if args.resume { OutDir::resume } else { OutDir::create };
    let out = args.out.as_deref().map(|path| open(path, &plan));
    let explorer = Explorer::start(recording, options, out.transpose().map_err(ExploreError::from)?)?;
    let result = match &state {
        Some(state) => judge(args, &explorer, state),
        None => explore_all(args, &explorer),
    };
    let ended = explorer.end();
    result?;
    Ok(ended?)
}

fn explore_all(args: &Args, explorer: &Explorer) -> anyhow::Result<()> {
    let mut out = stdout();
    let mut all = Vec::new();
    for check in &args.check {
        let line = StatusLine::new(check);
        let mut found = explorer.explore(check, &line)?;
        drop(line);
        let ended_by = found.ended_by.take();
        let report = Report::new(&found, explorer.recording(), |state| again(args, state, check));
        if args.json {
            print_json(&mut out, &report)?;
        } else {
            print_report(&mut out, &report)?;
        }
        out.flush()?;
        // What was found by then was told.
        if let Some(error) = ended_by {
            return Err(error.into());
        }
        all.push(report);
        if interrupt::is_requested() {
            break;
        }
    }
    if args.json {
        print_json(&mut out, &Summary::new(&all))?;
    }
    out.flush()?;
    interrupt::check("; what was decided by then is above")?;
    let nr_failed = all.iter().filter(|report| report.verdict == Verdict::Failed).count();
    match nr_failed {
        0 => Ok(()),
        _ => Err(Failure::Check(format!("{nr_failed} of {} checks failed after a crash", all.len())).into()),
    }
}

/// Runs the checks on one state.
fn judge(args: &Args, explorer: &Explorer, state: &State) -> anyhow::Result<()> {
    let mut out = stdout();
    let mut failed = Vec::new();
    for check in &args.check {
        let (ended, output) = explorer.judge(check, state)?;
        for line in output.lines() {
            writeln!(out, "{}", Printable(line.as_bytes()))?;
        }
        let ended = ended.unwrap_or_else(|| "passed".to_owned());
        writeln!(out, "{}: {ended} on state {state}", Printable(check.label().as_bytes()))?;
        if ended != "passed" {
            failed.push(check.label());
        }
    }
    out.flush()?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(format!("{} failed", failed.join(", "))).into())
    }
}

fn model(args: &Args, sector_size: SectorSize) -> Result<Model, Failure> {
    let unit_bytes = args.atomic_unit.map_or(sector_size.bytes(), Size::bytes);
    let unit_sectors = NonZeroU64::new(unit_bytes / sector_size.bytes());
    match (args.model, unit_sectors) {
        (ModelArg::Ordered, _) => Ok(Model::Ordered),
        (ModelArg::Lost, _) if args.atomic_unit.is_some() => {
            Err(Failure::Usage("--atomic-unit needs --model torn".to_owned()))
        }
        (ModelArg::Lost, _) => Ok(Model::Lost),
        (ModelArg::Torn, Some(unit_sectors)) if sector_size.is_aligned(unit_bytes) => {
            Ok(Model::Torn { unit_sectors })
        }
        (ModelArg::Torn, _) => Err(Failure::Usage(format!(
            "--atomic-unit {unit_bytes} is not a multiple of the log's sectors of {sector_size} bytes"
        ))),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A number is one of runs.
fn parse_budget(text: &str) -> Result<Budget, String> {
    if let Ok(runs) = text.parse() {
        return Ok(Budget { runs: Some(runs), time: None });
    }
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    Ok(Budget { time: Some(time), runs: None })
}

/// `M/N`, M from 1 to N, as which part it is from 0.
fn parse_partition(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
    let valid = numbers.filter(|(nth, of): &(usize, usize)| (1..=*of).contains(nth));
    valid.map(|(nth, of)| (nth - 1, of)).ok_or_else(|| "expected M/N, M from 1 to N, such as 1/4".to_owned())
}

/// How far an exploration is, on standard error, where a person looks.
struct StatusLine {
    bar: ProgressBar,
}

impl StatusLine {
    fn new(check: &Check) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(Printable(check.label().as_bytes()).to_string());
        Self { bar }
    }
}

impl Progress for StatusLine {
    fn show(&self, runs: u64, groups_decided: u64, groups: u64, failures: usize) {
        if !self.bar.is_hidden() {
            let failures = match failures {
                0 => String::new(),
                _ => format!(", {}", count(widen(failures), "way to fail", "ways to fail")),
            };
            self.bar
                .set_message(format!("{runs} runs, {groups_decided} of {groups} groups decided{failures}"));
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn presets() -> String {
    let lines = PRESETS.iter().map(|preset| format!("\n  {:9} {}", preset.name, preset.help));
    format!("Presets of --check:{}", lines.collect::<String>())
}

const EXAMPLES: &str = "\
A command is run by the shell, with
  CRASH_IMAGE      the disk as the crash has left it; changes to it are thrown away
  CRASH_LAST_MARK  the last mark before the crash
  CRASH_TMPDIR     an empty folder
It must be deterministic, and depend on nothing but these. Exit code 0 means that the disk is good, 125
that the command cannot tell, 126 and 127 that the command itself is broken, and anything else that the
disk is bad. A disk at the end of the log, with nothing lost, must be good.

Each run decides all states that have the same bytes where the checker has read: a few runs decide every
combination of lost writes. Several small checks need fewer runs than one that reads everything.

Examples:
  logwrites explore run.log --size 64M --check ext4 --from mark:mkfs
  logwrites explore run.log --base old.img --check 'my-fsck \"$CRASH_IMAGE\"' --model torn --atomic-unit 4k
  logwrites explore run.log --size 64M --check ext4 --state '117^103'

Exit codes: 0 no state that was tried is bad (the report says whether that is a proof), 1 a state is bad,
2 the check itself is wrong: it fails without a crash, or never reads the disk.";
