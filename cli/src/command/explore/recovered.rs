//! A disk that a crash during recovery has left, as an image or to be served.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use logwrites_core::crash::State;
use logwrites_core::history::Discards;
use tempfile::TempDir;

use super::act::{ActArgs, export_by};
use super::{Subject, serve};
use crate::args::ImageArgs;
use crate::command::replay::{self, Replayed};
use crate::device::{Access, Disk};
use crate::explore::{Check, Explorer};
use crate::point::{Anchor, Crash, StateArg};

/// A crash, during the recovery by a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovered<'a> {
    pub(super) check: &'a Check,
    pub(super) crash: &'a Crash,
}

/// A recovery as files.
#[derive(Debug)]
pub(super) struct RecoveryFiles {
    /// The disk before it.
    base: PathBuf,
    /// What it has written.
    log: PathBuf,
    _dir: TempDir,
}

impl Recovered<'_> {
    /// Writes the disk to a new image.
    pub(super) fn export(self, explorer: &Explorer, discards: Discards, output: &Path) -> anyhow::Result<()> {
        let written = explorer.written(self.check, self.crash)?;
        let make = |target: &Disk| {
            let done = self.make_base(explorer, discards, target)?;
            self.crash
                .recovery
                .as_ref()
                .map_or(Ok(done), |state| replay::apply(written.index(), &written.to_disk()?, target, state))
        };
        export_by(make, output)
    }

    /// Has the check recover, and makes files of that.
    pub(super) fn to_files(self, explorer: &Explorer, discards: Discards) -> anyhow::Result<RecoveryFiles> {
        let written = explorer.written(self.check, self.crash)?;
        let dir = tempfile::Builder::new()
            .prefix("logwrites-explore.")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let (base, log) = (dir.path().join("base.img"), dir.path().join("written.log"));
        self.make_base(explorer, discards, &Disk::open(&base, Access::CreateNew)?)?;
        let mut out = BufWriter::new(File::create_new(&log)?);
        written.write_log(&mut out).and_then(|()| out.flush()).with_context(|| log.display().to_string())?;
        Ok(RecoveryFiles { base, log, _dir: dir })
    }

    /// Serves the disk.
    pub(super) fn serve(
        self,
        files: &RecoveryFiles,
        act: &ActArgs,
        subject: &Subject<'_>,
    ) -> anyhow::Result<()> {
        let images = ImageArgs { raw: true };
        let subject = Subject { log: &files.log, base: Some(&files.base), size: None, images, ..*subject };
        let state = self.crash.recovery.as_ref().map(|State { point, lost }| StateArg {
            point: Anchor::Entries(*point).into(),
            lost: lost.clone(),
        });
        act.server(&subject, state.as_ref())?.map_or(Ok(()), |server| serve::run(&server))
    }

    /// Makes the disk that the check recovers.
    fn make_base(self, explorer: &Explorer, discards: Discards, target: &Disk) -> anyhow::Result<Replayed> {
        let recording = explorer.recording();
        let log = (recording.index(), recording.log());
        replay::make(log, recording.origin(), discards, target, &self.crash.state)
    }
}
