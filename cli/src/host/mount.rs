//! How a disk that is a file becomes a file system that is mounted: as root by the kernel over a loop device, else by
//! fuse2fs, which knows ext4 alone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::BinaryBytes;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use super::mkfs::FileSystemType;
use super::process::{Process, wait_for_one};
use super::program;
use crate::error::Failure;
use crate::serve::clients::Clients;
use crate::serve::fuse::detach;

/// How things are mounted here, with the programs that it takes.
#[derive(Debug)]
pub(crate) enum Mounting {
    /// By the kernel.
    Kernel { losetup: PathBuf, mount: PathBuf },
    /// By fuse2fs.
    Fuse2fs { fuse2fs: PathBuf },
}

impl Mounting {
    /// Chooses, and looks for all the programs that will be needed.
    pub(crate) fn choose(made: Option<&FileSystemType>, has_options: bool) -> anyhow::Result<Self> {
        if let Some(kind) = made {
            need(kind.program, kind.package)?;
        }
        if rustix::process::geteuid().is_root() {
            let mounting =
                Self::Kernel { losetup: need("losetup", "util-linux")?, mount: need("mount", "mount")? };
            if let Some(kind) = made.filter(|kind| !kind.is_in_kernel()) {
                return Err(Failure::Usage(format!("this kernel does not have {}", kind.name)).into());
            }
            return Ok(mounting);
        }
        if let Some(kind) = made.filter(|kind| !kind.has_fuse2fs) {
            let message = format!("only root can mount {}; without root use --mkfs ext4", kind.name);
            return Err(Failure::Usage(message).into());
        }
        if has_options {
            return Err(Failure::Usage(
                "--mount-options needs root: without root, fuse2fs mounts the file system".to_owned(),
            )
            .into());
        }
        Ok(Self::Fuse2fs { fuse2fs: need("fuse2fs", "fuse2fs")? })
    }

    pub(crate) const fn is_root(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }

    /// What the file system is made on and mounted from.
    pub(crate) fn device(&self, disk: PathBuf) -> anyhow::Result<Device<'_>> {
        let looped = match self {
            Self::Kernel { losetup, .. } => Some(LoopDevice::of(&disk, losetup)?),
            Self::Fuse2fs { .. } => None,
        };
        Ok(Device { mounting: self, disk, looped })
    }
}

/// Makes a file system on a disk of `len_bytes`.
pub(crate) fn make(
    kind: &FileSystemType,
    mounting: &Mounting,
    device: &Path,
    len_bytes: u64,
) -> anyhow::Result<()> {
    let mut command = Command::new(need(kind.program, kind.package)?);
    command.args(kind.options);
    if !mounting.is_root() {
        // Its root folder is to be whose it is.
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        command.args(["-E", &format!("root_owner={uid}:{gid}")]);
    }
    run(command.arg(device)).map(drop).map_err(|error| {
        if len_bytes >= kind.least_bytes {
            return error;
        }
        let least = BinaryBytes(kind.least_bytes);
        error.context(format!(
            "a disk of {} is too small: {} takes at least {least}",
            BinaryBytes(len_bytes),
            kind.name
        ))
    })
}

/// A disk that can be mounted.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    mounting: &'a Mounting,
    disk: PathBuf,
    looped: Option<LoopDevice<'a>>,
}

impl Device<'_> {
    pub(crate) fn path(&self) -> &Path {
        self.looped.as_ref().map_or(&self.disk, |device| &device.path)
    }

    pub(crate) fn mount(self, path: &Path, options: Option<&str>) -> anyhow::Result<Mount> {
        let server = match self.mounting {
            Mounting::Kernel { mount, .. } => {
                let mut command = Command::new(mount);
                if let Some(options) = options {
                    command.args(["-o", options]);
                }
                run(command.arg(self.path()).arg(path))?;
                None
            }
            Mounting::Fuse2fs { fuse2fs } => Some(start_fuse2fs(fuse2fs, &self.disk, path)?),
        };
        // A loop device that is detached while in use disappears when it is no longer used.
        Ok(Mount { path: Some(path.to_owned()), server })
    }
}

/// A file system that is mounted.
#[derive(Debug)]
pub(crate) struct Mount {
    path: Option<PathBuf>,
    server: Option<Child>,
}

impl Mount {
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("/"))
    }

    /// The process that serves it, if it is not the kernel.
    pub(crate) fn server(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Unmounts it, and waits until all its data is written to the disk, which has no other users.
    pub(crate) fn end(mut self, disk: &Clients) -> anyhow::Result<()> {
        let Some(path) = self.path.take() else { return Ok(()) };
        let name = path.display();
        detach(&path).with_context(|| format!("cannot unmount {name}"))?;
        let deadline = Instant::now() + PATIENCE;
        let Some(server) = &mut self.server else {
            // The kernel lets go of the disk when it has written all of it.
            anyhow::ensure!(disk.wait_until_gone(Some(deadline)), "{name} is still in use");
            return Ok(());
        };
        let ended = wait_for_one(&mut [process_of(server)?.end()], deadline)?;
        anyhow::ensure!(ended, "{name} is still in use");
        let status = server.wait().context("cannot wait for fuse2fs")?;
        anyhow::ensure!(status.success(), "fuse2fs ended with {status}: {}", words_of(server));
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = detach(&path)
        {
            tracing::warn!(%error, "{} stays mounted", path.display());
        }
        if let Some(mut server) = self.server.take() {
            // It would wait for those who use it.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A loop device, let go when this is.
#[derive(Debug)]
struct LoopDevice<'a> {
    path: PathBuf,
    losetup: &'a Path,
}

impl<'a> LoopDevice<'a> {
    fn of(disk: &Path, losetup: &'a Path) -> anyhow::Result<Self> {
        let mut command = Command::new(losetup);
        let name = run(command.args(["--find", "--show", "--direct-io=on"]).arg(disk))?;
        Ok(Self { path: PathBuf::from(name.trim()), losetup })
    }
}

impl Drop for LoopDevice<'_> {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new(self.losetup).arg("--detach").arg(&self.path)) {
            tracing::warn!(error = format!("{error:#}"), "a loop device was left");
        }
    }
}

fn start_fuse2fs(fuse2fs: &Path, disk: &Path, path: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(fuse2fs);
    // In a group of its own, so that a Ctrl-C does not end it before the command in it.
    command.arg("-f").arg(disk).arg(path).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().with_context(|| format!("cannot start {}", fuse2fs.display()))?;
    let deadline = Instant::now() + PATIENCE;
    let process = process_of(&server)?;
    loop {
        // Before the look, so that nothing is missed.
        let mounts = Mounts::open()?;
        if is_mounted(path)? {
            return Ok(server);
        }
        if let Some(status) = server.try_wait()? {
            anyhow::bail!("fuse2fs ended with {status}: {}", words_of(&mut server));
        }
        if !wait_for_one(&mut [mounts.change(), process.end()], deadline)? {
            server.kill()?;
            server.wait()?;
            anyhow::bail!("fuse2fs did not mount the file system: {}", words_of(&mut server));
        }
    }
}

fn process_of(child: &Child) -> anyhow::Result<Process> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process has a number")?;
    Process::open(pid).context("cannot wait for a process")
}

/// Whether the folder is the root of a file system of its own.
fn is_mounted(path: &Path) -> io::Result<bool> {
    let around = path.parent().unwrap_or(path).metadata()?;
    // What is being mounted may not answer yet.
    Ok(path.metadata().is_ok_and(|metadata| metadata.dev() != around.dev()))
}

/// What is mounted: the kernel tells of changes.
struct Mounts {
    file: File,
}

impl Mounts {
    fn open() -> anyhow::Result<Self> {
        let path = "/proc/self/mountinfo";
        Ok(Self { file: File::open(path).with_context(|| format!("cannot open {path}"))? })
    }

    /// What is waited for: a change since it was opened.
    fn change(&self) -> PollFd<'_> {
        PollFd::new(&self.file, PollFlags::PRI)
    }
}

/// What a process that has ended said.
fn words_of(child: &mut Child) -> String {
    let mut words = String::new();
    if let Some(pipe) = &mut child.stderr {
        // What can be read of it.
        let _ = pipe.take(MAX_WORDS).read_to_string(&mut words);
    }
    words.trim().to_owned()
}

/// Runs a program of the system's to its end, and gives what it printed.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?")).display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(words(&output.stdout));
    }
    let said = [words(&output.stderr), words(&output.stdout)].join("\n");
    let said = match said_in_short(&said) {
        said if said.is_empty() => output.status.to_string(),
        said => said,
    };
    Err(io::Error::other(said)).with_context(|| format!("{name} failed"))
}

/// What a program said before it began to explain its options, in one line.
fn said_in_short(said: &str) -> String {
    let is_usage = |line: &str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("usage"));
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.take_while(|line| !is_usage(line)).take(MAX_LINES).collect();
    lines.join("; ")
}

fn need(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    program::find(name).with_context(|| {
        format!("{name} is needed but not installed: sudo apt-get install {package}, or the package of your system that has it")
    })
}

/// How long mounting and unmounting may take.
const PATIENCE: Duration = Duration::from_secs(10);

const MAX_WORDS: u64 = 4096;

/// How many lines of a program that failed are told.
const MAX_LINES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_page_is_left_out() {
        assert_eq!(
            said_in_short("Filesystem must be larger than 300MB.\nUsage: mkfs.xfs\n/* blocksize */"),
            "Filesystem must be larger than 300MB."
        );
        assert_eq!(
            said_in_short("ERROR: too small\n\n ERROR: 114294784\n"),
            "ERROR: too small; ERROR: 114294784"
        );
        assert_eq!(said_in_short("usage: x"), "");
    }
}
