//! The bodies of the fuzz targets for the tool's own inputs: each takes arbitrary bytes, and panics if something does not
//! hold.
//!
//! They are here, so that they run on stable, and `fuzz/` takes them in by their path: the crate of the other bodies
//! cannot depend on this one, whose tests depend on it.

mod nbd;
mod replay_log_args;
mod script;

pub(crate) use self::nbd::nbd;
pub(crate) use self::replay_log_args::replay_log_args;
pub(crate) use self::script::script;
