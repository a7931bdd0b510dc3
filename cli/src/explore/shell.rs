//! A shell in which a person looks at one state.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::check::{Besides, CheckError, Run, Surroundings};
use super::error::ExploreError;
use crate::explain::in_one_line;
use crate::host::command::run_in_foreground;

/// A person's visit to a state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit<'a> {
    pub(super) around: Surroundings<'a>,
    /// A second disk in the same state: to mount one is to change it.
    pub(super) mountable: &'a Path,
    /// How long mounting may take.
    pub(super) timeout: Duration,
}

impl Visit<'_> {
    /// Runs the shell to its end, with the second disk mounted if it can be; `begin` is told why not.
    pub(super) fn run(&self, begin: impl Fn(Option<&str>)) -> Result<(), ExploreError> {
        let without = |reason: &str| {
            begin(Some(reason));
            self.shell(false)
        };
        if !rustix::process::geteuid().is_root() {
            return without("only root can mount it");
        }
        let run = Run::new(Surroundings { image: self.mountable, ..self.around }, self.timeout);
        let mounted = run.while_mounted(self.around.file_system, |_| {
            begin(None);
            self.shell(true)
        });
        match mounted {
            Ok(Ok(ended)) => ended,
            Ok(Err(refused)) => without(&refused.last_words()),
            Err(error @ CheckError::Unmount { .. }) => Err(error.into()),
            // Before the shell has begun.
            Err(error) => without(&in_one_line(&error)),
        }
    }

    /// Runs the shell. How it ends says nothing about the disk.
    fn shell(&self, is_mounted: bool) -> Result<(), ExploreError> {
        let set = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let shell = set.unwrap_or_else(|| OsString::from("/bin/sh"));
        let mut command = Command::new(&shell);
        self.around.tell(&mut command, Besides { is_mounted, nbd_uri: None });
        run_in_foreground(&shell, &mut command).map_err(|error| ExploreError::Shell(error.into()))?;
        Ok(())
    }
}
