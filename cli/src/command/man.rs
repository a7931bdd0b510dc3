//! `logwrites man`: the manual page, of the program or of a command.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Args, Man};
use crate::error::Failure;
use crate::output::stdout;

pub(super) fn run(args: &Man) -> anyhow::Result<()> {
    let mut program = Args::command();
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
        Some("replay-log") => page.long_about(super::REPLAY_LOG_HELP),
        _ => page,
    };
    let mut out = stdout();
    clap_mangen::Man::new(page).render(&mut out)?;
    Ok(out.flush()?)
}
