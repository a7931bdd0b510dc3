//! The arguments of a command that only Linux has, on other systems: anything, since the command is refused.

use std::ffi::OsString;

/// Arguments that are not looked at.
#[derive(Debug, clap::Args)]
pub(in crate::command) struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}
