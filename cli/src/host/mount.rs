//! How a disk that is a file becomes a file system that is mounted: as root by the kernel over a loop device, else by
//! fuse2fs, which knows ext4 alone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use super::error::{MakeError, MissingProgram, MountError, MountingError, ProgramError};
use super::loop_device::{LoopDevice, LoopError};
use super::mkfs::FileSystemType;
use super::process::{Process, wait_for_one};
use super::program;
use crate::serve::clients::Clients;
use crate::serve::fuse::detach;

/// How things are mounted here, with the programs that it takes.
#[derive(Debug)]
pub(crate) enum Mounting {
    /// By the kernel.
    Kernel { mount: PathBuf },
    /// By fuse2fs.
    Fuse2fs { fuse2fs: PathBuf },
}

impl Mounting {
    /// Chooses, and looks for all the programs that will be needed.
    pub(crate) fn choose(
        made: Option<&'static FileSystemType>,
        has_options: bool,
    ) -> Result<Self, MountingError> {
        let is_root = rustix::process::geteuid().is_root();
        // First what no package could change.
        match made {
            Some(kind) if is_root && !kind.is_in_kernel() => return Err(MountingError::NotInKernel { kind }),
            Some(kind) if !is_root && !kind.has_fuse2fs => return Err(MountingError::NeedsRoot { kind }),
            _ if !is_root && has_options => return Err(MountingError::OptionsNeedRoot),
            _ => {}
        }
        if let Some(kind) = made {
            need(kind.program, kind.package)?;
        }
        if is_root {
            return Ok(Self::Kernel { mount: need("mount", "mount")? });
        }
        Ok(Self::Fuse2fs { fuse2fs: need("fuse2fs", "fuse2fs")? })
    }

    pub(crate) const fn is_root(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }

    /// What the file system is made on and mounted from.
    pub(crate) fn device(&self, disk: PathBuf) -> Result<Device<'_>, LoopError> {
        let looped = match self {
            Self::Kernel { .. } => Some(LoopDevice::of(&disk)?),
            Self::Fuse2fs { .. } => None,
        };
        Ok(Device { mounting: self, disk, looped })
    }
}

/// Makes a file system on a disk of `len_bytes`.
pub(crate) fn make(
    kind: &'static FileSystemType,
    mounting: &Mounting,
    device: &Path,
    len_bytes: u64,
) -> Result<(), MakeError> {
    let mut command = Command::new(need(kind.program, kind.package)?);
    command.args(kind.options);
    if !mounting.is_root() {
        // Its root folder is to be whose it is.
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        command.args(["-E", &format!("root_owner={uid}:{gid}")]);
    }
    run(command.arg(device)).map(drop).map_err(|source| {
        if len_bytes < kind.least_bytes {
            MakeError::TooSmall { len_bytes, kind, source }
        } else {
            MakeError::Program(source)
        }
    })
}

/// A disk that can be mounted.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    mounting: &'a Mounting,
    disk: PathBuf,
    looped: Option<LoopDevice>,
}

impl Device<'_> {
    pub(crate) fn path(&self) -> &Path {
        self.looped.as_ref().map_or(&self.disk, LoopDevice::path)
    }

    pub(crate) fn mount(self, path: &Path, options: Option<&str>) -> Result<Mount, MountError> {
        let server = match self.mounting {
            Mounting::Kernel { mount } => {
                let mut command = Command::new(mount);
                if let Some(options) = options {
                    command.args(["-o", options]);
                }
                run(command.arg(self.path()).arg(path))?;
                None
            }
            Mounting::Fuse2fs { fuse2fs } => Some(start_fuse2fs(fuse2fs, &self.disk, path)?),
        };
        // The loop device goes when it is no longer mounted.
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
    pub(crate) fn end(mut self, disk: &Clients) -> Result<(), MountError> {
        let Some(path) = self.path.take() else { return Ok(()) };
        if let Err(source) = detach(&path) {
            return Err(MountError::Detach { path, source });
        }
        let deadline = Instant::now() + PATIENCE;
        let Some(server) = &mut self.server else {
            // The kernel lets go of the disk when it has written all of it.
            let is_gone = disk.wait_until_gone(Some(deadline));
            return if is_gone { Ok(()) } else { Err(MountError::InUse { path }) };
        };
        match end_of(server, deadline).map_err(MountError::Wait)? {
            None => Err(MountError::InUse { path }),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(MountError::Ended { status, said: words_of(server) }),
        }
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

fn start_fuse2fs(fuse2fs: &Path, disk: &Path, path: &Path) -> Result<Child, MountError> {
    let mut command = Command::new(fuse2fs);
    // In a group of its own, so that a Ctrl-C does not end it before the command in it.
    command.arg("-f").arg(disk).arg(path).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let spawned = command.spawn();
    let mut server =
        spawned.map_err(|source| ProgramError::Start { name: fuse2fs.display().to_string(), source })?;
    match wait_until_mounted(&mut server, path).map_err(MountError::Wait)? {
        Start::Mounted => Ok(server),
        Start::Ended(status) => Err(MountError::Ended { status, said: words_of(&mut server) }),
        Start::TimedOut => Err(MountError::NotMounted { said: words_of(&mut server) }),
    }
}

/// How starting fuse2fs went.
enum Start {
    Mounted,
    Ended(ExitStatus),
    TimedOut,
}

fn wait_until_mounted(server: &mut Child, path: &Path) -> io::Result<Start> {
    let deadline = Instant::now() + PATIENCE;
    let process = Process::open(Pid::from_child(server))?;
    loop {
        // Before the look, so that nothing is missed.
        let mounts = Mounts::open()?;
        if is_mounted(path)? {
            return Ok(Start::Mounted);
        }
        if let Some(status) = server.try_wait()? {
            return Ok(Start::Ended(status));
        }
        if !wait_for_one(&mut [mounts.change(), process.end()], deadline)? {
            server.kill()?;
            server.wait()?;
            return Ok(Start::TimedOut);
        }
    }
}

/// How a process ends; `None` if it has not by then.
fn end_of(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let process = Process::open(Pid::from_child(child))?;
    if wait_for_one(&mut [process.end()], deadline)? { child.wait().map(Some) } else { Ok(None) }
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
    fn open() -> io::Result<Self> {
        Ok(Self { file: File::open("/proc/self/mountinfo")? })
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
fn run(command: &mut Command) -> Result<String, ProgramError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?")).display().to_string();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(source) => return Err(ProgramError::Start { name, source }),
    };
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(words(&output.stdout));
    }
    let said = [words(&output.stderr), words(&output.stdout)].join("\n");
    let said = match said_in_short(&said) {
        said if said.is_empty() => output.status.to_string(),
        said => said,
    };
    Err(ProgramError::Failed { name, said })
}

/// What a program said before it began to explain its options, in one line.
fn said_in_short(said: &str) -> String {
    let is_usage = |line: &str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("usage"));
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.take_while(|line| !is_usage(line)).take(MAX_LINES).collect();
    lines.join("; ")
}

fn need(name: &str, package: &str) -> Result<PathBuf, MissingProgram> {
    let missing = || MissingProgram { name: name.to_owned(), package: package.to_owned() };
    program::find(name).ok_or_else(missing)
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
