//! `logwrites man`: the manual page, of the program or of a command.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Args, Man};
use crate::error::Failure;
use crate::output::stdout;

pub(super) fn run(args: &Man) -> anyhow::Result<()> {
    let mut program = Args::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Failure::Usage(format!("there is no command {name}; logwrites --help lists them"))
            })?
        }
    };
    let page = match args.command.as_deref() {
        // Its options are not clap's.
        Some("replay-log") => page.long_about(super::REPLAY_LOG_HELP),
        _ => page,
    };
    let mut out = stdout();
    clap_mangen::Man::new(page).render(&mut out)?;
    Ok(out.flush()?)
}
