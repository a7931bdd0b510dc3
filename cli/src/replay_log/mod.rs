//! replay-log of xfstests, which everybody's tests call, option for option.
//!
//! What the original writes for each entry as it comes is collected in an extent map and written once, in the order of
//! the disk, up to the end or the next check; what can be seen of it is the same. Where the original is wrong this is
//! not: see the help text.

mod end;
mod getopt;
mod help;
mod number;
pub mod options;
mod run;

pub(crate) use self::help::HELP;
pub(crate) use self::run::run;
