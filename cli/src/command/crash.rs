//! `logwrites crash`: the disk of a running server as a crash at this moment would leave it. The server goes on.

use std::io::Write as _;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::time::Duration;

use clap::ValueEnum;
#[cfg(target_os = "linux")]
use logwrites_core::Ordering;
use logwrites_core::crash::State;
#[cfg(target_os = "linux")]
use logwrites_core::crash::{Model, Rules};
use logwrites_core::history::Discards;
use logwrites_core::num::widen;
use serde::Serialize;

#[cfg(target_os = "linux")]
use super::explore::{judge, print_judged, while_mounted};
use super::new_file::NewFile;
use super::replay;
#[cfg(target_os = "linux")]
use super::serve::{self, ServeArgs, log_to_stderr};
#[cfg(target_os = "linux")]
use crate::args::{DiskArgs, ImageArgs, LogArgs};
use crate::device::{ImageFormat, OriginOptions};
use crate::error::Failure;
#[cfg(target_os = "linux")]
use crate::explore::{Budget, Check, Explorer, Judged, Options, Partition, Recording};
use crate::log::{Log, check_state};
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
#[cfg(target_os = "linux")]
use crate::point::{Anchor, Crash, Point, StateArg};
use crate::serve::control::{Answer, Ask, StatusJson, UnderJson, ask};
#[cfg(target_os = "linux")]
use crate::size::Size;

/// `logwrites crash`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[cfg_attr(
    target_os = "linux",
    command(group = clap::ArgGroup::new("what").args(["check", "export", "serve"]))
)]
pub(super) struct Args {
    /// Control socket or control file of a running server
    control: PathBuf,
    /// Which of the writes that are not durable are lost
    #[arg(long, value_enum, default_value_t)]
    lose: LoseArg,
    /// With --lose chance: seed of the choice [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Write the disk to this new image
    #[arg(long, value_name = "OUT")]
    export: Option<PathBuf>,
    /// Preset or command that judges the disk, as for `logwrites explore`; may be given several times
    #[cfg(target_os = "linux")]
    #[arg(long)]
    check: Vec<Check>,
    /// With --check: how long one run of a checker may take
    #[cfg(target_os = "linux")]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", default_value = "30s")]
    timeout: Duration,
    /// With --check, for checks that mount the disk: mount options, such as noatime,data=journal
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "OPTIONS", requires = "check")]
    mount_options: Option<String>,
    /// How it is served.
    #[cfg(target_os = "linux")]
    #[command(flatten)]
    serve: ServeArgs,
    /// Print a JSON object
    #[cfg_attr(target_os = "linux", arg(long, conflicts_with = "serving"))]
    #[cfg_attr(not(target_os = "linux"), arg(long))]
    json: bool,
}

/// `--lose`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LoseArg {
    /// Each with an even chance
    #[default]
    Chance,
    /// All of them
    All,
    /// None
    None,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    log_to_stderr(0);
    let mut crashed = Crashed::now(args)?;
    if let Some(output) = &args.export {
        crashed.export(output)?;
    }
    #[cfg(target_os = "linux")]
    if !args.check.is_empty() {
        return crashed.judge(args);
    }
    crashed.told.print(args.json)?;
    #[cfg(target_os = "linux")]
    if let Some(server) = args.serve.server(crashed.disk_args()?)? {
        return serve::run(&server);
    }
    Ok(())
}

/// A crash of a disk that goes on.
struct Crashed {
    log: Log,
    origin: OriginOptions,
    state: State,
    told: CrashJson,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct CrashJson {
    /// The log's path, from the root.
    log: String,
    /// The state that the crash leaves, which the log has from now on.
    state: String,
    /// How many entries the log had.
    nr_entries: u64,
    /// How many of them were not durable.
    nr_volatile: u64,
    /// How many of these are lost.
    nr_lost: u64,
    /// The seed of the choice, if it was by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// The last mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_mark: Option<String>,
    /// The new image.
    #[serde(skip_serializing_if = "Option::is_none")]
    exported: Option<String>,
    /// What the checks have come to.
    #[cfg(target_os = "linux")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<CheckJson>,
}

/// What a check has come to.
#[cfg(target_os = "linux")]
#[derive(Debug, Serialize)]
struct CheckJson {
    check: String,
    passed: bool,
    /// How it has ended, if not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// The end of what it has printed.
    output: String,
}

impl Crashed {
    /// The disk of a server at this moment: what it has logged so far, and nothing of what is in flight.
    fn now(args: &Args) -> anyhow::Result<Self> {
        let Answer::Status(status) = ask(&args.control, &Ask::Status {})? else {
            anyhow::bail!("{}: unexpected answer from the server", args.control.display());
        };
        let origin = origin_of(&status)?;
        let log = Log::open_first(Path::new(&status.log), status.nr_entries)?;
        let seed = (args.lose == LoseArg::Chance).then(|| args.seed.unwrap_or_else(|| fastrand::u64(..)));
        let (index, point) = (log.index(), status.nr_entries);
        let volatile: Vec<u64> = index.epoch_at(point).volatile().collect();
        let lost = lost_of(&volatile, args.lose, seed);
        let nr_lost = widen(lost.len());
        let lost = lost.into_iter().collect();
        let state = check_state(State { point, lost }, index, log.path())?;
        let last_mark = index.last_mark(point).map(|mark| String::from_utf8_lossy(mark.text).into_owned());
        let told = CrashJson {
            log: status.log,
            state: state.to_string(),
            nr_entries: point,
            nr_volatile: widen(volatile.len()),
            nr_lost,
            seed,
            last_mark,
            exported: None,
            #[cfg(target_os = "linux")]
            checks: Vec::new(),
        };
        Ok(Self { log, origin, state, told })
    }

    /// Writes it to a new image.
    fn export(&mut self, output: &Path) -> anyhow::Result<()> {
        let origin = self.origin.open()?;
        self.log.check_fits(self.state.point, origin.len_bytes(), origin.name())?;
        let new = NewFile::create(output, "; --export makes a new file")?;
        let log = (self.log.index(), self.log.disk());
        replay::make(log, &origin, Discards::Zero, new.disk(), &self.state)?;
        new.keep()?;
        self.told.exported = Some(output.display().to_string());
        Ok(())
    }

    /// Has the checks judge it.
    #[cfg(target_os = "linux")]
    fn judge(self, args: &Args) -> anyhow::Result<()> {
        let Self { log, origin, state, mut told } = self;
        if !args.json {
            told.print(false)?;
        }
        let origin = origin.open()?;
        log.check_fits(state.point, origin.len_bytes(), origin.name())?;
        let options = Options {
            rules: Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Zero },
            points: (state.point, state.point),
            nr_jobs: 1,
            timeout: args.timeout,
            budget: Budget::default(),
            seed: 0,
            mount_options: args.mount_options.clone(),
            is_nested: false,
            partition: Partition::WHOLE,
        };
        let (index, log) = log.into_parts();
        let start = || Ok(Explorer::start(Recording::new(index, log, origin), options, None)?);
        let crash = Crash::from(state);
        let mut checks = Vec::new();
        let judged = while_mounted(start, |explorer| {
            judge(&explorer.factors(&args.check)?, explorer, &crash, |check, judged| {
                if args.json {
                    checks.push(CheckJson::new(check, judged));
                    return Ok(());
                }
                print_judged(check, judged)
            })
        });
        if args.json {
            told.checks = checks;
            told.print(true)?;
        }
        judged
    }

    /// The same for a server.
    #[cfg(target_os = "linux")]
    fn disk_args(&self) -> Result<DiskArgs, Failure> {
        let (base, size, raw) = match &self.origin {
            OriginOptions::Image(path, format) => (Some(path.clone()), None, *format == ImageFormat::Raw),
            OriginOptions::Zeros { len_bytes } => {
                let size = Size::new(*len_bytes);
                let size = size.ok_or_else(|| Failure::Malformed("the disk is too large".to_owned()))?;
                (None, Some(size), false)
            }
        };
        let point = Point::from(Anchor::Entries(self.state.point));
        Ok(DiskArgs {
            log: self.log.path().to_owned(),
            data: None,
            base,
            size,
            images: ImageArgs { raw },
            at: vec![StateArg { point, lost: self.state.lost.clone() }],
            keep: None,
            logging: LogArgs::default(),
            nr_entries: Some(self.state.point),
            verbose: 0,
        })
    }
}

impl CrashJson {
    fn print(&self, is_json: bool) -> anyhow::Result<()> {
        let mut out = stdout();
        if is_json {
            print_json(&mut out, self)?;
            return Ok(out.flush()?);
        }
        let state = style::paint(style::HEADING, &self.state);
        write!(out, "state {state}: {} of {} volatile writes lost", self.nr_lost, self.nr_volatile)?;
        if let Some(mark) = &self.last_mark {
            write!(out, ", after mark {}", style::paint(style::MARK, Printable(mark.as_bytes())))?;
        }
        match self.seed {
            Some(seed) => writeln!(out, " (seed {seed})")?,
            None => writeln!(out)?,
        }
        if let Some(exported) = &self.exported {
            writeln!(out, "{} is the disk in this state", Printable(exported.as_bytes()))?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(target_os = "linux")]
impl CheckJson {
    fn new(check: &Check, judged: &Judged) -> Self {
        Self {
            check: check.label(),
            passed: judged.ended.is_none(),
            ended: judged.ended.clone(),
            output: judged.output.clone(),
        }
    }
}

/// What was there before the first entry, if it still is.
fn origin_of(status: &StatusJson) -> Result<OriginOptions, Failure> {
    match &status.under {
        UnderJson::Base { path, raw } => {
            let format = if *raw { ImageFormat::Raw } else { ImageFormat::Probed };
            Ok(OriginOptions::Image(path.into(), format))
        }
        UnderJson::Zeros { size_bytes } => Ok(OriginOptions::Zeros { len_bytes: *size_bytes }),
        UnderJson::Data { path } => Err(Failure::Usage(format!(
            "the server writes to {path} itself, so that what a crash would leave there of lost writes is gone; a server with --base or --size can be crashed"
        ))),
    }
}

/// Which of the entries that a crash may lose it does lose.
fn lost_of(volatile: &[u64], lose: LoseArg, seed: Option<u64>) -> Vec<u64> {
    match (lose, seed) {
        (LoseArg::All, _) => volatile.to_vec(),
        (LoseArg::Chance, Some(seed)) => {
            let mut chance = fastrand::Rng::with_seed(seed);
            volatile.iter().copied().filter(|_| chance.bool()).collect()
        }
        (LoseArg::None, _) | (LoseArg::Chance, None) => Vec::new(),
    }
}

const EXAMPLES: &str = "\
The crash is one of what the server has logged by now: writes since the last flush are lost or not,
FUA writes are not, and requests in flight are. The server and its clients notice nothing. The state
that is printed is one of the log from then on, for `logwrites explore --state`, `replay --at` and
`serve --at`, as soon as the log's superblock counts that many entries: after the next flush, or at
the end of the server.

Examples:
  logwrites crash control.sock
  logwrites crash control.sock --check ext4
  logwrites crash control.sock --check 'test -s \"$CRASH_MOUNT/notes.txt\"' --lose all
  logwrites crash control.sock --export crashed.img --json | jq -r .state
  logwrites crash control.sock --serve nbd --socket crashed.sock
  logwrites crash $LOGWRITES_CONTROL --check ext4          in the command of `logwrites run`

Exit codes: 0 the disk was crashed, and the checks passed, 1 a check failed.";
