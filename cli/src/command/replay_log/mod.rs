//! `logwrites replay-log`: the tool of xfstests that everybody's tests call, option for option.
//!
//! A binary with the name `replay-log`, such as a symbolic link to this one, is this verb alone. What the original
//! writes for each entry as it comes is collected in an extent map and written once, in the order of the disk, up to
//! the end or the next check; what can be seen of it is the same. Where the original is wrong this is not: see
//! the help text.

mod getopt;
mod help;
mod number;
pub mod options;
mod run;

use std::io::Write as _;

use self::options::Request;
use crate::args::ReplayLog;
use crate::error::Failure;
use crate::output::stdout;

pub(crate) use self::help::HELP;

pub(super) fn run(args: &ReplayLog) -> anyhow::Result<()> {
    match options::parse(&args.words)? {
        Request::Help => {
            let mut out = stdout();
            out.write_all(HELP.as_bytes())?;
            Ok(out.flush()?)
        }
        Request::Run(options) => Ok(run::run(&options)?),
    }
}

/// An end with the original's exit code, and its words on standard error as they stand.
fn end(code: u8, words: impl Into<String>) -> Failure {
    Failure::Peer { code, words: words.into() }
}

/// The exit code of nearly all that goes wrong.
const FAILED: u8 = 1;
