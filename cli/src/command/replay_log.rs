//! `logwrites replay-log`: the tool of xfstests, by its own options. A binary with the name `replay-log`, such as a
//! symbolic link to this one, is this verb alone.

use std::ffi::OsString;
use std::io::Write as _;

use crate::output::stdout;
use crate::replay_log::options::{self, Request};
use crate::replay_log::{self, HELP};

/// `logwrites replay-log`, whose options are not clap's.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_help = HELP)]
pub(super) struct Args {
    /// Its options, unparsed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Args {
    pub(super) fn words(&self) -> &[OsString] {
        &self.words
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match options::parse(&args.words)? {
        Request::Help => {
            let mut out = stdout();
            out.write_all(HELP.as_bytes())?;
            Ok(out.flush()?)
        }
        Request::Run(options) => Ok(replay_log::run(&options)?),
    }
}
