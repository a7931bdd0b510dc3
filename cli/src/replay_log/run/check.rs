//! The command that looks at the disk.

use std::process::{Command, ExitStatus};

use logwrites_core::reader::Entry;

use super::super::end::{FAILED, end};
use super::super::options::Check;
use crate::error::Failure;

impl Check {
    /// Has the shell run the command, with the disk as of the point after `entry`.
    ///
    /// # Errors
    /// If it fails, or is killed.
    pub(super) fn run(&self, entry: &Entry) -> Result<(), Failure> {
        let why = match Command::new("sh").arg("-c").arg(&self.command).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => ended(status),
            Err(error) => format!("cannot run sh: {error}"),
        };
        Err(end(FAILED, format!("Fsck errored out on entry {}\n{why}", entry.index)))
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}"),
        None => format!("it was killed: {status}"),
    }
}
