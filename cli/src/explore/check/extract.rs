//! Single files of a state: taken out of its image where a program can, which needs no root and reads little; else out of
//! the mounted disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use logwrites_core::contents::FileSystemKind;

use super::error::CheckError;
use super::judgement::{Judgement, Outcome};
use super::mounted;
use super::preset::{REPLAY_JOURNAL, e2fsprogs};
use super::run::{Program, Run};

/// The path of a file in a recorded file system, from its root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InnerPath(String);

impl InnerPath {
    /// A path, with or without a slash at its start.
    ///
    /// # Errors
    /// [`ParseInnerPathError`] if it is empty, leads out of the file system, or has a character that the programs which
    /// read images do not take.
    pub fn new(path: &str) -> Result<Self, ParseInnerPathError> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let has_odd = path.chars().any(|char| char.is_control() || char == '"');
        if parts.is_empty() || parts.contains(&"..") || has_odd || path.ends_with('/') {
            return Err(ParseInnerPathError);
        }
        Ok(Self(parts.join("/")))
    }

    /// Without a slash at its start.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path with something behind its last name.
    pub(super) fn with(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }
}

/// Not the path of a file in a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the path of a file from the root of the file system, without `..`, quotes or control characters"
)]
pub struct ParseInnerPathError;

/// Files that were taken out of a state, in the order in which they were asked for; `None` where there is none.
pub(super) type Extracted = Vec<Option<PathBuf>>;

/// Looks whether files can be taken out of such a file system here.
pub(super) fn prepare(check: &str, file_system: Option<FileSystemKind>) -> Result<(), CheckError> {
    match file_system {
        Some(FileSystemKind::Ext4) => {
            REPLAY_JOURNAL.command()?;
            DEBUGFS.command().map(drop)
        }
        Some(FileSystemKind::Fat) => MCOPY.command().map(drop),
        kind => mounted::prepare(check, kind),
    }
}

impl Run<'_> {
    /// Takes files out of the state, once its file system has recovered. A judgement if that fails, which is the state's
    /// fault.
    pub(super) fn extract(&self, paths: &[InnerPath]) -> Result<Result<Extracted, Judgement>, CheckError> {
        let targets = (0..paths.len()).map(|nth| self.around.tmpdir.join(format!("file-{nth}")));
        let targets: Vec<PathBuf> = targets.collect();
        let judgement = match self.around.file_system {
            Some(FileSystemKind::Ext4) => self.dump(paths, &targets)?,
            Some(FileSystemKind::Fat) => self.mcopy(paths, &targets)?,
            kind => self.mounted(kind, |root| self.copy(root, paths, &targets))?,
        };
        if judgement.outcome != Outcome::Pass {
            return Ok(Err(judgement));
        }
        let extracted =
            targets.into_iter().zip(paths).map(|(target, path)| match fs::symlink_metadata(&target) {
                Ok(metadata) if metadata.is_file() => Ok(Some(target)),
                Ok(_) => Err(Judgement::fail(format!("{} is not a regular file", path.as_str()))),
                Err(_) => Ok(None),
            });
        Ok(extracted.collect())
    }

    fn dump(&self, paths: &[InnerPath], targets: &[PathBuf]) -> Result<Judgement, CheckError> {
        let replayed = self.program(&REPLAY_JOURNAL, self.around.image)?;
        if replayed.outcome != Outcome::Pass {
            return Ok(replayed);
        }
        let commands = paths
            .iter()
            .zip(targets)
            .map(|(path, target)| format!("dump \"/{}\" \"{}\"\n", path.as_str(), target.display()));
        let script = self.around.tmpdir.join("commands");
        let written = fs::write(&script, commands.collect::<String>());
        written.map_err(|source| CheckError::System { check: DEBUGFS.name.to_owned(), source })?;
        let mut command = DEBUGFS.command()?;
        command.arg("-f").arg(&script).arg(self.around.image);
        let judgement = self.command(DEBUGFS.name, command, DEBUGFS.passes)?;
        // It ends well whatever happens.
        let is_complaint = |line: &&str| {
            !line.is_empty()
                && !line.starts_with(DEBUGFS.name)
                && !line.contains("File not found by ext2_lookup")
        };
        let complaints: Vec<&str> = judgement.output.lines().filter(is_complaint).collect();
        if complaints.is_empty() { Ok(judgement) } else { Ok(Judgement::fail(complaints.join("\n"))) }
    }

    fn mcopy(&self, paths: &[InnerPath], targets: &[PathBuf]) -> Result<Judgement, CheckError> {
        for (path, target) in paths.iter().zip(targets) {
            let mut command = MCOPY.command()?;
            command.arg(self.around.image).arg(format!("::/{}", path.as_str())).arg(target);
            let judgement = self.command(MCOPY.name, command, MCOPY.passes)?;
            let is_missing = judgement.output.contains("not found");
            if judgement.outcome != Outcome::Pass && !is_missing {
                return Ok(judgement);
            }
        }
        Ok(Judgement::pass())
    }

    fn copy(&self, root: &Path, paths: &[InnerPath], targets: &[PathBuf]) -> Result<Judgement, CheckError> {
        for (path, target) in paths.iter().zip(targets) {
            let path = root.join(path.as_str());
            if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                continue;
            }
            let mut command = Command::new("cp");
            // What a link of a recorded disk leads to is not the disk's.
            command.args(["--no-dereference", "--"]).arg(&path).arg(target);
            let judgement = self.command("cp", command, &[0])?;
            if judgement.outcome != Outcome::Pass {
                return Ok(judgement);
            }
        }
        Ok(Judgement::pass())
    }
}

const DEBUGFS: Program = e2fsprogs("debugfs", &[], &[0]);

const MCOPY: Program = Program { name: "mcopy", package: "mtools", args: &["-n", "-i"], passes: &[0] };
