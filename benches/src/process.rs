//! The programs that are run: whether they are installed, and how they end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// A program, and Debian's package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Refuses to begin if a program is missing.
pub(crate) fn check_installed(programs: impl Iterator<Item = Program>) -> anyhow::Result<()> {
    let missing: BTreeSet<&str> =
        programs.filter(|program| find(program.name).is_none()).map(|program| program.package).collect();
    let packages: Vec<&str> = missing.into_iter().collect();
    anyhow::ensure!(
        packages.is_empty(),
        "some programs are missing: sudo apt-get update && sudo apt-get install {}",
        packages.join(" ")
    );
    Ok(())
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a command to its end, which must be a good one; what it prints is dropped.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.stdout(Stdio::null()).status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Runs a command to its end, which must be a good one, and gives what it printed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
