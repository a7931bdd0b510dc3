//! `logwrites completions`: for a shell.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Args, Completions};
use crate::output::stdout;

pub(super) fn run(args: Completions) -> anyhow::Result<()> {
    let mut out = stdout();
    clap_complete::generate(args.shell, &mut Args::command(), "logwrites", &mut out);
    Ok(out.flush()?)
}
