//! How states are searched: what `explore` and `run --check` share.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use logwrites_core::contents::FileSystemKind;
use logwrites_core::crash::{Model, Rules, ordering_of};
use logwrites_core::history::Discards;
use logwrites_core::{Ordering, SectorSize};

use super::failures;
use super::report::{again, print_report};
use super::status::StatusLine;
use crate::args::ImageArgs;
use crate::device::{Origin, OriginOptions};
use crate::error::Failure;
use crate::explore::{
    Budget, Check, ExploreError, Explorer, Options, OutDir, Partition, Plan, Recording, Report, Results,
    Summary, Timeline, Verdict,
};
use crate::interrupt;
use crate::log::Log;
use crate::output::print_json;
use crate::size::Size;

/// The checks, the states, and when to stop.
#[derive(Debug, clap::Args)]
pub(in crate::command) struct SearchArgs {
    #[arg(
        long,
        help = "Preset, or command that exits with 0 if the disk at $CRASH_IMAGE is good; may be given several times"
    )]
    check: Vec<Check>,
    /// What a crash does to writes that are not durable
    #[arg(long, value_enum, default_value_t, requires = "check")]
    model: ModelArg,
    /// With --model torn: what the disk writes as a whole or not at all [default: a log sector]
    #[arg(long, value_name = "SIZE", requires = "check")]
    atomic_unit: Option<Size>,
    /// Crash recoveries, too: what a checker writes to the disk is lost in part, and the checker run again
    #[arg(long, requires = "check")]
    nested: bool,
    /// Number of checkers that run at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), requires = "check")]
    jobs: Option<u8>,
    /// Stop each check after this time, such as 10m, or after this number of runs; the causes of what was found may take as much again
    #[arg(long, value_parser = parse_budget, value_name = "TIME|RUNS", requires = "check")]
    budget: Option<Budget>,
    /// How long one run of a checker may take
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", default_value = "30s", requires = "check")]
    timeout: Duration,
    /// Seed of the random choice of states that are run to cross-check the others
    #[arg(long, default_value_t = 0, requires = "check")]
    seed: u64,
    /// Keep what every run has proved in this folder, which must be new or empty
    #[arg(long, value_name = "DIR", requires = "check")]
    out: Option<PathBuf>,
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

/// A recorded disk, as the command line names it.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Subject<'a> {
    pub(in crate::command) log: &'a Path,
    pub(in crate::command) base: Option<&'a Path>,
    /// Without a base: the size of a disk of zeros.
    pub(in crate::command) size: Option<Size>,
    pub(in crate::command) images: ImageArgs,
    pub(in crate::command) discards: Discards,
    /// How checks mount the disk, as for `mount -o`.
    pub(in crate::command) mount_options: Option<&'a str>,
}

/// Which part of a log is explored, and how its order is meant.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Scope {
    /// The first and the last point at which the disk may crash.
    pub(in crate::command) points: (u64, u64),
    /// Told from the log if missing.
    pub(in crate::command) ordering: Option<Ordering>,
    /// Which part of the groups.
    pub(in crate::command) partition: Partition,
    /// Whether an earlier exploration continues.
    pub(in crate::command) is_resumed: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Form {
    Page,
    Json,
}

impl Subject<'_> {
    /// The disk before the first entry.
    pub(in crate::command) fn open(&self) -> anyhow::Result<Origin> {
        let origin = OriginOptions::new(self.base, self.images.into(), self.size.map(Size::bytes));
        let origin = origin.ok_or_else(|| Failure::Usage("--base or --size is needed".to_owned()))?;
        Ok(origin.open()?)
    }

    /// The options that say so.
    pub(in crate::command) fn words(&self) -> Vec<String> {
        let mut words = vec![self.log.display().to_string()];
        match (self.base, self.size) {
            (Some(base), _) => words.extend(["--base".to_owned(), base.display().to_string()]),
            (None, size) => words.extend(["--size".to_owned(), size.map_or(0, Size::bytes).to_string()]),
        }
        if self.images.raw {
            words.push("--raw".to_owned());
        }
        if self.discards == Discards::Ignore {
            words.extend(["--discard".to_owned(), "ignore".to_owned()]);
        }
        if let Some(options) = self.mount_options {
            words.extend(["--mount-options".to_owned(), options.to_owned()]);
        }
        words
    }
}

impl SearchArgs {
    /// What judges the states; nothing where no exploration is asked for.
    pub(in crate::command) fn checks(&self) -> &[Check] {
        &self.check
    }

    /// Refuses what an exploration would refuse, before there is a log.
    /// `file_system` is what there will be, if that is known.
    pub(in crate::command) fn check_early(
        &self,
        sector_size: SectorSize,
        file_system: Option<FileSystemKind>,
    ) -> anyhow::Result<()> {
        self.model(sector_size)?;
        if file_system.is_some() {
            for check in &self.check {
                check.prepare(file_system).map_err(ExploreError::from)?;
            }
        }
        if let Some(out) = &self.out {
            OutDir::check_new(out).map_err(ExploreError::from)?;
        }
        Ok(())
    }

    /// The options that say what is explored, without those that say for how long.
    pub(in crate::command) fn words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.check.iter().flat_map(|check| ["--check".to_owned(), check.to_string()]).collect();
        let model = self.model.to_possible_value().filter(|_| self.model != ModelArg::default());
        words.extend(model.iter().flat_map(|model| ["--model".to_owned(), model.get_name().to_owned()]));
        words.extend(
            self.atomic_unit.iter().flat_map(|unit| ["--atomic-unit".to_owned(), unit.bytes().to_string()]),
        );
        words.extend(self.nested.then(|| "--nested".to_owned()));
        words
    }

    /// Makes everything ready for checkers to run.
    pub(in crate::command) fn start(
        &self,
        log: Log,
        subject: &Subject<'_>,
        scope: Scope,
    ) -> anyhow::Result<Explorer> {
        let origin = subject.open()?;
        log.check_fits(log.index().nr_entries(), origin.len_bytes(), origin.name())?;
        let rules = Rules {
            ordering: scope.ordering.unwrap_or_else(|| ordering_of(log.index())),
            model: self.model(log.index().sector_size())?,
            discards: subject.discards,
        };
        let options = Options {
            rules,
            points: scope.points,
            nr_jobs: self.jobs.map_or_else(processors, usize::from),
            timeout: self.timeout,
            budget: self.budget.unwrap_or_default(),
            seed: self.seed,
            mount_options: subject.mount_options.map(str::to_owned),
            is_nested: self.nested,
            partition: scope.partition,
        };
        let (index, log) = log.into_parts();
        let recording = Recording::new(index, log, origin);
        let out = self.out.as_deref().map(|path| self.open_out(path, &recording, &options, scope.is_resumed));
        Ok(Explorer::start(recording, options, out.transpose()?)?)
    }

    fn open_out(
        &self,
        path: &Path,
        recording: &Recording,
        options: &Options,
        is_resumed: bool,
    ) -> Result<OutDir, ExploreError> {
        let plan = Plan::new(recording, options, &self.check);
        interrupt::check("")?;
        let plan = plan.map_err(ExploreError::Read)?;
        let timeline = Timeline::of(recording.index(), recording.len_bytes());
        let open = if is_resumed { OutDir::resume } else { OutDir::create };
        Ok(open(path, &plan, &timeline)?)
    }

    /// Has each check judge all states, and prints what it has come to.
    pub(in crate::command) fn explore(
        &self,
        explorer: &Explorer,
        subject: &Subject<'_>,
        form: Form,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let factors = explorer.factors(&self.check)?;
        let mut all = Vec::new();
        for check in &factors {
            let line = StatusLine::new(check, self.budget.unwrap_or_default());
            let mut found = explorer.explore(check, &line)?;
            drop(line);
            let ended_by = found.ended_by.take();
            let report = Report::new(&found, explorer.recording(), subject.discards, |crash| {
                again(subject, crash, check)
            })
            .map_err(ExploreError::Read)?;
            print_one(out, form, &report)?;
            if let Some(dir) = explorer.out() {
                failures::keep(dir, explorer.recording(), subject.discards, (&found, &report))?;
            }
            all.push(report);
            let has_ended = ended_by.is_some() || interrupt::is_requested();
            if let Some(dir) = explorer.out() {
                let results = Results::new(all.clone(), has_ended || all.len() < factors.len());
                dir.keep(&results).map_err(ExploreError::from)?;
            }
            // What was found by then was told.
            if let Some(error) = ended_by {
                return Err(error.into());
            }
            if has_ended {
                break;
            }
        }
        if form == Form::Json {
            print_json(out, &Summary::new(&all))?;
        }
        out.flush()?;
        interrupt::check("; what was decided by then is above")?;
        end_of(&all)
    }

    fn model(&self, sector_size: SectorSize) -> Result<Model, Failure> {
        let unit_bytes = self.atomic_unit.map_or(sector_size.bytes(), Size::bytes);
        let unit_sectors = NonZeroU64::new(unit_bytes / sector_size.bytes());
        match (self.model, unit_sectors) {
            (ModelArg::Ordered | ModelArg::Lost, _) if self.atomic_unit.is_some() => {
                Err(Failure::Usage("--atomic-unit needs --model torn".to_owned()))
            }
            (ModelArg::Ordered, _) => Ok(Model::Ordered),
            (ModelArg::Lost, _) => Ok(Model::Lost),
            (ModelArg::Torn, Some(unit_sectors)) if sector_size.is_aligned(unit_bytes) => {
                Ok(Model::Torn { unit_sectors })
            }
            (ModelArg::Torn, _) => Err(Failure::Usage(format!(
                "--atomic-unit {unit_bytes} is not a multiple of the log's sectors of {sector_size} bytes"
            ))),
        }
    }
}

/// How a command ends that has printed these reports.
pub(super) fn end_of(reports: &[Report]) -> anyhow::Result<()> {
    let nr_failed = reports.iter().filter(|report| report.verdict == Verdict::Failed).count();
    if nr_failed == 0 {
        return Ok(());
    }
    Err(Failure::Check(format!("{nr_failed} of {} checks failed after a crash", reports.len())).into())
}

pub(super) fn print_one(out: &mut impl Write, form: Form, report: &Report) -> io::Result<()> {
    match form {
        Form::Page => print_report(out, report)?,
        Form::Json => print_json(out, &report.without_groups())?,
    }
    out.flush()
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
