//! `logwrites man`: the manual page, of the program or of a command.

use std::io::Write as _;

use crate::error::Failure;
use crate::output::stdout;
use crate::replay_log::HELP;

/// `logwrites man`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Command to describe, such as `serve nbd` [default: logwrites itself]
    command: Vec<String>,
}

pub(super) fn run(args: &Args, mut program: clap::Command) -> anyhow::Result<()> {
    program.build();
    let mut page = program;
    for name in &args.command {
        let found = page.find_subcommand(name).cloned();
        page = found.ok_or_else(|| {
            let words = args.command.join(" ");
            Failure::Usage(format!("there is no command {words}; logwrites --help lists them"))
        })?;
    }
    let page = match args.command.first().map(String::as_str) {
        // Its options are not clap's.
        Some("replay-log") => page.long_about(HELP),
        _ => page,
    };
    let mut out = stdout();
    clap_mangen::Man::new(page).render(&mut out)?;
    Ok(out.flush()?)
}

const EXAMPLES: &str = "\
Examples:
  logwrites man | man -l -
  logwrites man replay > logwrites-replay.1
  logwrites man serve fuse | man -l -";
