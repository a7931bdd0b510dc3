//! `logwrites`: every write a disk receives, recorded, replayed and inspected.
//!
//! The command line as a library, so that tests reach every part:
//!
//! | part | what it does |
//! |---|---|
//! | [`args`] | what a person may type |
//! | [`command`] | one file for each verb |
//! | [`point`], [`script`], [`size`] | the text inputs, parsed |
//! | [`serve`] | live disks: the servers |
//! | `explore` | a checker, run on the states that a crash can leave until all are decided |
//! | [`log`] | a log as a command finds it |
//! | [`device`] | all I/O of the operating system |
//! | [`output`] | what people and machines see |
//! | [`error`], [`explain`], [`interrupt`] | how a command ends |
//! | `host` | what the machine has: programs, file systems |
//!
//! All that a log means is in [`logwrites_core`].

pub mod args;
pub mod command;
pub mod device;
pub mod disk;
pub mod error;
pub mod explain;
#[cfg(target_os = "linux")]
pub mod explore;
pub mod host;
pub mod interrupt;
pub mod log;
pub mod output;
pub mod point;
pub mod replay_log;
pub mod script;
pub mod serve;
pub mod size;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};

use crate::command::Cli;
use crate::error::{Failure, Hint};
use crate::output::printable::Printable;
use crate::output::style;
use crate::point::ResolveError;
use crate::script::ScriptError;

/// Runs the command line, and gives the exit code that [`error::exit_code`] describes.
#[must_use]
pub fn run() -> ExitCode {
    let words = words();
    // Before clap prints a help text or an error of its own.
    let color = asked_color(&words);
    let args = Cli::command().color(color).try_get_matches_from(words);
    let args = args.and_then(|matches| Cli::from_arg_matches(&matches));
    let args = args.unwrap_or_else(|error| error.exit());
    args.apply_color();
    let Err(error) = install_and_run(&args) else {
        return ExitCode::SUCCESS;
    };
    let code = error::exit_code(error.as_ref());
    if code != 0 {
        report(&error);
    }
    ExitCode::from(code)
}

fn install_and_run(args: &Cli) -> anyhow::Result<()> {
    interrupt::install()?;
    command::run(args)
}

/// What `--color` says, at any place of the command line.
fn asked_color(words: &[OsString]) -> ColorChoice {
    let is_color = |word: &OsString| word == "--color";
    let joined = words.iter().rev().find_map(|word| word.to_str()?.strip_prefix("--color="));
    let separate = words.iter().position(is_color).and_then(|at| words.get(at + 1)?.to_str());
    joined.or(separate).and_then(|color| color.parse().ok()).unwrap_or_default()
}

/// The command line; a program that is called `replay-log` is that verb.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let is_replay_log =
        words.first().and_then(|name| Path::new(name).file_stem()).is_some_and(|name| name == "replay-log");
    if is_replay_log {
        words.splice(..1, ["logwrites", "replay-log", "--"].map(OsString::from));
    }
    words
}

/// Prints an error: what, where, why; another tool's words unchanged.
fn report(error: &anyhow::Error) {
    if let Some(Failure::Peer { words, .. }) = error.downcast_ref() {
        if !words.is_empty() {
            anstream::eprintln!("{words}");
        }
        return;
    }
    let hint = error.downcast_ref::<Hint>().map(|hint| hint.0.clone());
    let causes = error.chain().map(shown);
    let causes: Vec<String> = causes.filter(|cause| hint.as_ref() != Some(cause)).collect();
    anstream::eprintln!("{}: {}", style::paint(style::ERROR, "error"), causes.join(": "));
    if let Some(hint) = hint.or_else(|| error::hint(error.as_ref())) {
        anstream::eprintln!("{}: {}", style::paint(style::HEADING, "hint"), Printable(hint.as_bytes()));
    }
}

/// An error's words, which may quote a log, a client or a file name. Those that have several lines quote safely by
/// themselves.
fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let words = error.to_string();
    if error.is::<ScriptError>() || error.is::<ResolveError>() {
        words
    } else {
        Printable(words.as_bytes()).to_string()
    }
}
