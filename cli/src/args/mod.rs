//! Groups of arguments that several verbs share, as clap reads them, and the plain options that they mean.

mod disk;
mod image;
mod log;
#[cfg(target_os = "linux")]
mod partition;
mod values;

pub use self::disk::DiskArgs;
pub use self::image::ImageArgs;
pub use self::log::{ExistingLogArgs, LogArgs, PolicyArgs};
#[cfg(target_os = "linux")]
pub(crate) use self::partition::parse_partition;
pub use self::values::{
    DiscardArg, FlagArg, FormatArg, KeepArg, OrderingArg, SuperblockArg, TailArg, VerifyDiscardArg,
};
pub(crate) use self::values::{parse_export_name, parse_extent, parse_sector_size};
