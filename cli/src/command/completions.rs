//! `logwrites completions`: for a shell.

use std::io::Write as _;

use crate::output::stdout;

/// `logwrites completions`
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Shell to print completions for
    shell: clap_complete::Shell,
}

pub(super) fn run(args: Args, program: &mut clap::Command) -> anyhow::Result<()> {
    let mut out = stdout();
    clap_complete::generate(args.shell, program, "logwrites", &mut out);
    Ok(out.flush()?)
}

const EXAMPLES: &str = "\
Examples:
  logwrites completions bash > ~/.local/share/bash-completion/completions/logwrites
  logwrites completions fish > ~/.config/fish/completions/logwrites.fish";
