//! `logwrites`: every write a disk receives, recorded, replayed and inspected.
//!
//! The command line as a library, so that tests reach every part:
//!
//! | part | what it does |
//! |---|---|
//! | [`args`] | what a person may type |
//! | [`command`] | one file for each verb |
//! | [`point`], [`script`], [`size`] | the text inputs, parsed |
//! | [`log`] | a log as a command finds it |
//! | [`device`] | all I/O of the operating system |
//! | [`output`] | what people and machines see |
//! | [`error`], [`interrupt`] | how a command ends |
//!
//! All that a log means is in [`logwrites_core`].

pub mod args;
pub mod command;
pub mod device;
pub mod error;
pub mod interrupt;
pub mod log;
pub mod output;
pub mod point;
pub mod script;
pub mod size;

use std::process::ExitCode;

use clap::Parser as _;

use crate::output::style;

/// Runs the command line, and gives the exit code that [`error::exit_code`] describes.
#[must_use]
pub fn run() -> ExitCode {
    let args = args::Args::parse();
    args.color.write_global();
    let Err(error) = install_and_run(&args) else {
        return ExitCode::SUCCESS;
    };
    let code = error::exit_code(&error);
    if code != 0 {
        report(&error);
    }
    ExitCode::from(code)
}

fn install_and_run(args: &args::Args) -> anyhow::Result<()> {
    interrupt::install()?;
    command::run(args)
}

/// Prints an error: what, where, why.
fn report(error: &anyhow::Error) {
    let mut chain = error.chain().map(ToString::to_string);
    let first = chain.next().unwrap_or_default();
    anstream::eprint!("{}: {first}", style::paint(style::ERROR, "error"));
    for cause in chain {
        anstream::eprint!(": {cause}");
    }
    anstream::eprintln!();
}
