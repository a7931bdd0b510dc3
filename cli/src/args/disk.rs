//! The disk that a server serves.

use std::path::PathBuf;

use clap::ArgAction;

use super::{ImageArgs, LogArgs};
use crate::device::OriginOptions;
use crate::disk::{DiskOptions, LiveOptions, PastOptions, Under};
use crate::error::Failure;
use crate::point::StateArg;
use crate::size::Size;

/// The options that all servers share: a live disk and its log, or a disk as of an earlier point.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("disk").required(true).args(["data", "base", "size"]))]
pub struct DiskArgs {
    /// Log to write: a new file, or a block device; with --at, the log to read
    #[arg(long)]
    pub log: PathBuf,
    /// Serve this image or block device; writes go to it and to the log
    #[arg(long, value_name = "IMAGE", conflicts_with = "at")]
    pub data: Option<PathBuf>,
    /// Serve an overlay of this image: all writes go to the log, and the image stays unchanged
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<PathBuf>,
    /// Serve an overlay of a disk of zeros of this size
    #[arg(long)]
    pub size: Option<Size>,
    /// How images are read.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Serve the disk as of this point instead, or in this state after a crash, and throw changes away; may be given several
    /// times. Each disk is called NAME@STATE, and clients can ask for other states too
    #[arg(long, value_name = "STATE", allow_negative_numbers = true, conflicts_with_all = ["append", "force", "log_size", "ordering", "superblock", "super_interval", "sector_size"])]
    pub at: Vec<StateArg>,
    /// With a single --at: keep the changes in a new log
    #[arg(long, value_name = "FILE", requires = "at")]
    pub keep: Option<PathBuf>,
    /// How the log is written.
    #[command(flatten)]
    pub logging: LogArgs,
    /// With --at, for a log that is still being written: how many of its entries are read.
    #[arg(skip)]
    pub nr_entries: Option<u64>,
    /// Report clients, marks and failures on standard error; -vv also reports refused requests
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

impl DiskArgs {
    /// The same without clap.
    pub(crate) fn options(&self) -> Result<DiskOptions, Failure> {
        let (log, format) = (self.log.clone(), self.images.into());
        let origin = OriginOptions::new(self.base.as_deref(), format, self.size.map(Size::bytes));
        let needed = |options: &str| Failure::Usage(format!("{options} is needed"));
        if !self.at.is_empty() {
            let origin = origin.ok_or_else(|| needed("--base or --size"))?;
            return Ok(DiskOptions::Past(PastOptions {
                log,
                nr_entries: self.nr_entries,
                origin,
                states: self.at.clone(),
                keep: self.keep.clone(),
            }));
        }
        let under = match &self.data {
            Some(data) => Under::Data(data.clone(), format),
            None => Under::Origin(origin.ok_or_else(|| needed("--data, --base or --size"))?),
        };
        Ok(DiskOptions::Live(LiveOptions { log, under, logging: self.logging.into() }))
    }
}
