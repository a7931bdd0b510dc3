//! `logwrites explore`: whether a program survives every crash of a recorded disk.

mod act;
mod failures;
mod kept;
mod report;
mod search;
mod status;

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches, Subcommand as _};
use logwrites_core::crash::State;

use self::act::ActArgs;
use self::kept::Kept;
pub(super) use self::report::command_line;
pub(super) use self::search::{Form, Scope, SearchArgs, Subject};
use super::serve::{self, log_to_stderr};
use crate::args::{ImageArgs, OrderingArg, VerifyDiscardArg};
use crate::error::Failure;
use crate::explore::{Explorer, PRESETS};
use crate::host::namespace::keep_mounts_to_ourselves;
use crate::interrupt;
use crate::log::{Edge, Log};
use crate::output::printable::Printable;
use crate::output::stdout;
use crate::point::{Point, StateArg};
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
    group = clap::ArgGroup::new("what").required(true).args(["check", "export", "shell", "serve"])
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
    /// Only this state: check it and show what the checker prints, or do something else with it
    #[arg(long, conflicts_with_all = ["from", "to", "model", "budget", "out", "partition", "log_order", "json"])]
    state: Option<StateArg>,
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
    if let Some(server) = args.act.server(&subject, args.state.as_ref())? {
        return serve::run(&server);
    }
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
    if let (Some(output), Some(state)) = (&args.act.export, &state) {
        return act::export(&log, &subject, state, output);
    }
    // Nothing may end the process while its states are mounted; what ends it all the same takes the mount along.
    interrupt::be_patient();
    if rustix::process::geteuid().is_root() {
        keep_mounts_to_ourselves()?;
    }
    let scope = Scope {
        points: (from, to),
        ordering: args.log_order.map(Into::into),
        partition: args.partition,
        is_resumed: args.resume,
    };
    let explorer = args.search.start(log, &subject, scope)?;
    let form = if args.json { Form::Json } else { Form::Page };
    let result = match &state {
        Some(state) if args.act.shell => act::visit(&explorer, state),
        Some(state) => judge(args, &explorer, state),
        None => args.search.explore(&explorer, &subject, form, &mut stdout()),
    };
    let ended = explorer.end();
    result?;
    Ok(ended?)
}

/// Runs the checks on one state.
fn judge(args: &ExploreArgs, explorer: &Explorer, state: &State) -> anyhow::Result<()> {
    let mut out = stdout();
    let mut failed = Vec::new();
    for check in &args.search.factors(explorer)? {
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

/// `M/N`, M from 1 to N, as which part it is from 0.
fn parse_partition(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
    let valid = numbers.filter(|(nth, of): &(usize, usize)| (1..=*of).contains(nth));
    valid.map(|(nth, of)| (nth - 1, of)).ok_or_else(|| "expected M/N, M from 1 to N, such as 1/4".to_owned())
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
  logwrites explore run.log --size 64M --state '117^103' --export crashed.img
  logwrites explore run.log --size 64M --state '117^103' --shell
  logwrites explore run.log --size 64M --state '117^103' --serve nbd --socket crashed.sock
  logwrites explore run.log --size 64M --state '117^103' --serve fuse --mountpoint mnt

Exit codes: 0 no state that was tried is bad (the report says whether that is a proof), 1 a state is
bad, 2 the check itself is wrong: it fails without a crash, or never reads the disk.";
