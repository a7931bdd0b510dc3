//! `logwrites explore`: whether a program survives every crash of a recorded disk.

mod act;
mod failures;
mod kept;
mod recovered;
mod report;
mod search;
mod status;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches, Subcommand as _};

use self::act::{ActArgs, OF_A_SEARCH};
use self::kept::Kept;
use self::recovered::Recovered;
pub(super) use self::report::command_line;
pub(super) use self::search::{Form, Scope, SearchArgs, Subject};
use super::serve::{self, log_to_stderr};
use crate::args::{ImageArgs, OrderingArg, VerifyDiscardArg, parse_partition};
use crate::error::Failure;
use crate::explore::{Check, Explorer, Judged, PRESETS, Partition};
use crate::host::namespace::keep_mounts_to_ourselves;
use crate::interrupt;
use crate::log::{Edge, Log};
use crate::output::printable::Printable;
use crate::output::stdout;
use crate::point::{Crash, Point, StateArg};
use crate::size::Size;

/// `logwrites explore`
#[derive(Debug)]
pub(in crate::command) enum Args {
    /// An exploration.
    Explore(Box<ExploreArgs>),
    /// What was found earlier.
    Kept(Kept),
}

impl clap::Args for Args {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = Kept::augment_subcommands(ExploreArgs::augment_args(command));
        let command =
            command.mut_group("serving", |group| group.requires("state").conflicts_with_all(OF_A_SEARCH));
        command.subcommand_required(false).args_conflicts_with_subcommands(true).subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(_) => Kept::from_arg_matches(matches).map(Self::Kept),
            None => ExploreArgs::from_arg_matches(matches).map(Box::new).map(Self::Explore),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// An exploration, or one of its states again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = format!("{}\n\n{EXAMPLES}", presets()),
    group = clap::ArgGroup::new("origin").required(true).args(["base", "size"]),
    group = clap::ArgGroup::new("what").required(true).multiple(true).args(["check", "export", "shell", "serve"])
)]
pub(in crate::command) struct ExploreArgs {
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
    /// How states are searched.
    #[command(flatten)]
    search: SearchArgs,
    /// Only this state: check it and show what the checker prints, or do something else with it. STATE/STATE is a crash during
    /// recovery, the second one in what the checker writes
    #[arg(long, conflicts_with_all = ["from", "to", "model", "budget", "out", "partition", "log_order", "json"])]
    state: Option<Crash<StateArg>>,
    /// What is done with that state.
    #[command(flatten)]
    act: ActArgs,
    /// First point at which the disk may crash [default: start]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    from: Option<Point>,
    /// Last point at which the disk may crash [default: end]
    #[arg(long, value_name = "POINT", allow_negative_numbers = true)]
    to: Option<Point>,
    /// Order of the entries in the log [default: told from the log]
    #[arg(long, value_enum, value_name = "ORDER")]
    log_order: Option<OrderingArg>,
    /// Effect of a discard on the disk
    #[arg(long, value_enum, default_value = "zero", conflicts_with = "serve")]
    discard: VerifyDiscardArg,
    /// With --shell, and checks that mount the disk: mount options, such as noatime,data=journal
    #[arg(long, value_name = "OPTIONS", conflicts_with_all = ["export", "serve"])]
    mount_options: Option<String>,
    /// With --out: continue an exploration that has ended early, or begin one in a new folder; what is proved is not run again
    #[arg(long, requires = "out")]
    resume: bool,
    /// Explore part M of N of the groups only, such as 1/4; the N parts are the whole. With `auto`, the variables of the scheduler
    /// say which part: of Slurm, Kubernetes, AWS Batch, or a CI
    #[arg(long, value_name = "M/N|auto", value_parser = parse_partition, default_value_t, hide_default_value = true)]
    partition: Partition,
    /// Print JSON: an object for each check, and one for all of them
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match args {
        Args::Explore(args) => explore(args),
        Args::Kept(kept) => kept.run(),
    }
}

fn explore(args: &ExploreArgs) -> anyhow::Result<()> {
    let subject = Subject {
        log: &args.log,
        base: args.base.as_deref(),
        size: args.size,
        images: args.images,
        discards: args.discard.into(),
        mount_options: args.mount_options.as_deref(),
    };
    let recovering = args.recovering_check()?;
    let state = args.state.as_ref().map(|crash| &crash.state);
    if recovering.is_none()
        && let Some(server) = args.act.server(&subject, state)?
    {
        return serve::run(&server);
    }
    log_to_stderr(0);
    let mut log = Log::open(&args.log)?;
    log.check_whole()?;
    let scope = args.scope(&mut log)?;
    let Some(Crash { state, recovery }) = &args.state else {
        return explore_mounted(args, &subject, log, scope, |explorer| {
            let form = if args.json { Form::Json } else { Form::Page };
            args.search.explore(explorer, &subject, form, &mut stdout())
        });
    };
    let crash = Crash { state: log.resolve_state(Some(state), Edge::End)?, recovery: recovery.clone() };
    if let Some(check) = recovering {
        return act_on_recovered(args, &subject, log, scope, Recovered { check, crash: &crash });
    }
    match &args.act.export {
        Some(output) => act::export(&log, &subject, &crash.state, output),
        None => explore_mounted(args, &subject, log, scope, |explorer| {
            if args.act.shell {
                return act::visit(explorer, None, &crash);
            }
            judge(&explorer.factors(args.search.checks())?, explorer, &crash, print_judged)
        }),
    }
}

impl ExploreArgs {
    /// Which part of the log is explored.
    fn scope(&self, log: &mut Log) -> anyhow::Result<Scope> {
        let from = log.resolve(self.from.as_ref(), Edge::Start)?;
        let to = log.resolve(self.to.as_ref(), Edge::End)?;
        if from > to {
            let message = format!("--from is point {from}, which is after --to, point {to}");
            return Err(Failure::Usage(message).into());
        }
        Ok(Scope {
            points: (from, to),
            ordering: self.log_order.map(Into::into),
            partition: self.partition,
            is_resumed: self.resume,
        })
    }

    /// The check whose recovery is crashed before something else is done with the disk than checking it.
    fn recovering_check(&self) -> Result<Option<&Check>, Failure> {
        let Some(act) = self.act.option() else { return Ok(None) };
        let is_recovery = self.state.as_ref().is_some_and(|crash| crash.recovery.is_some());
        let message = match self.search.checks() {
            [] if !is_recovery => return Ok(None),
            [check] if is_recovery => return Ok(Some(check)),
            [] => format!("{act} of a crash during recovery needs --check CHECK: the check that recovers"),
            [..] if is_recovery => {
                format!("{act} of a crash during recovery takes one --check: the check that recovers")
            }
            [..] => format!(
                "--check cannot be used with {act}, unless --state is a crash during recovery, such as 117^103/5^3"
            ),
        };
        Err(Failure::Usage(message))
    }
}

/// Does something else than checking it with a disk that a crash during recovery has left.
fn act_on_recovered(
    args: &ExploreArgs,
    subject: &Subject<'_>,
    log: Log,
    scope: Scope,
    recovered: Recovered<'_>,
) -> anyhow::Result<()> {
    if args.act.is_serve() {
        // In another thread, whose mounts no other sees: what is served may be mounted, too.
        let to_files = || {
            let to_files = |explorer: &Explorer| recovered.to_files(explorer, subject.discards);
            explore_mounted(args, subject, log, scope, to_files)
        };
        let files = std::thread::scope(|threads| threads.spawn(to_files).join());
        let files = files.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        return recovered.serve(&files, &args.act, subject);
    }
    explore_mounted(args, subject, log, scope, |explorer| match &args.act.export {
        Some(output) => recovered.export(explorer, subject.discards, output),
        None => act::visit(explorer, Some(recovered.check), recovered.crash),
    })
}

/// Does something while the disks of states are mounted, and seen by this thread and what it starts alone.
fn explore_mounted<T>(
    args: &ExploreArgs,
    subject: &Subject<'_>,
    log: Log,
    scope: Scope,
    work: impl FnOnce(&Explorer) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    while_mounted(|| args.search.start(log, subject, scope), work)
}

/// Starts an exploration and does something with it while the disks of its states are mounted, and seen by this thread and
/// what it starts alone.
pub(super) fn while_mounted<T>(
    start: impl FnOnce() -> anyhow::Result<Explorer>,
    work: impl FnOnce(&Explorer) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Nothing may end the process while its states are mounted; what ends it all the same takes the mount along.
    interrupt::be_patient();
    if rustix::process::geteuid().is_root() {
        keep_mounts_to_ourselves()?;
    }
    let explorer = start()?;
    let result = work(&explorer);
    let ended = explorer.end();
    let result = result?;
    ended?;
    Ok(result)
}

/// Runs checks on the disk that one crash leaves, and has `tell` told how each has ended.
pub(super) fn judge(
    checks: &[Check],
    explorer: &Explorer,
    crash: &Crash,
    mut tell: impl FnMut(&Check, &Judged) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for check in checks {
        let judged = explorer.judge(check, crash)?;
        tell(check, &judged)?;
        if judged.ended.is_some() {
            failed.push(check.label());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(format!("{} failed", failed.join(", "))).into())
    }
}

/// Prints what a check has printed, and how it has ended.
pub(super) fn print_judged(check: &Check, judged: &Judged) -> io::Result<()> {
    let mut out = stdout();
    for line in judged.output.lines() {
        writeln!(out, "{}", Printable(line.as_bytes()))?;
    }
    let ended = judged.ended.as_deref().unwrap_or("passed");
    writeln!(out, "{}: {ended} on state {}", Printable(check.label().as_bytes()), judged.crash)?;
    out.flush()
}

fn presets() -> String {
    let lines = PRESETS.iter().map(|preset| format!("\n  {:9} {}", preset.name, preset.help));
    format!("Presets of --check:{}\n{MORE_CHECKS}", lines.collect::<String>())
}

/// What the presets' table does not have, since it takes a path.
const MORE_CHECKS: &str = "  sqlite:PATH           The database at PATH opens and is intact
  sqlite:PATH?QUESTION  And once there is a mark, the answer to QUESTION is true: an expression or a
                        query in SQL, in which :mark is the last mark, as a number if it is one
  files                 Each file that `logwrites mark --promise` has promised is there";

const EXAMPLES: &str = "\
A command is run by the shell, with
  CRASH_IMAGE      the disk as the crash has left it; changes to it are thrown away
  CRASH_LAST_MARK  the last mark before the crash
  CRASH_TMPDIR     an empty folder
  CRASH_MOUNT      the folder where the disk is mounted, if the command names this; needs root
  CRASH_NBD_URI    where NBD clients find the disk, if the command names this
It must be deterministic, and depend on nothing but these. Exit code 0 means that the disk is good,
125 that the command cannot tell, 126 and 127 that the command itself is broken, and anything else
that the disk is bad. A disk at the end of the log, with nothing lost, must be good.

Each run decides all states that have the same bytes where the checker has read: a few runs decide
every combination of lost writes. Several small checks need fewer runs than one that reads
everything.

Examples:
  logwrites explore run.log --size 64M --check ext4 --from mark:mkfs
  logwrites explore run.log --base old.img --check 'my-fsck \"$CRASH_IMAGE\"' --model torn
  logwrites explore run.log --size 64M --check 'sqlite:t.db?(SELECT count(*) FROM t) >= :mark'
  logwrites explore run.log --size 64M --check 'test -s \"$CRASH_MOUNT/notes.txt\"' --from mark:saved
  logwrites explore run.log --size 64M --check ext4 --state '117^103'
  logwrites explore run.log --size 64M --check ext4 --nested
  logwrites explore run.log --size 64M --check ext4 --state '117^103/5^3'
  logwrites explore run.log --size 64M --state '117^103' --export crashed.img
  logwrites explore run.log --size 64M --state '117^103' --shell
  logwrites explore run.log --size 64M --state '117^103' --serve nbd --socket crashed.sock
  logwrites explore run.log --size 64M --state '117^103' --serve fuse --mountpoint mnt

Exit codes: 0 no state that was tried is bad (the report says whether that is a proof), 1 a state is
bad, 2 the check itself is wrong: it fails without a crash, or never reads the disk.";
