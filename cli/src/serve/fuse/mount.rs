//! Where a folder is mounted: checked, mounted, served by threads, unmounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use fuser::{MountOption, Session};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::error::{HELPER, Hidden, MountError, MountpointError, UnmountError};
use super::file_system::FileSystem;
use crate::device::links;
use crate::explain::in_one_line;
use crate::host::program;
use crate::serve::exports::Front as _;

/// A folder on which files can be served.
#[derive(Debug)]
pub struct Mountpoint {
    path: PathBuf,
}

impl Mountpoint {
    /// Checks, before anything else is opened or made, that a folder is there, that nothing in it would be hidden unless
    /// that is wanted, and that the system has what it takes.
    ///
    /// # Errors
    /// [`MountpointError`].
    pub fn check(path: &Path, may_hide: bool) -> Result<Self, MountpointError> {
        let unreadable = |source| MountpointError::Unreadable { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(|error| {
            let path = path.to_owned();
            if error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) {
                MountpointError::Left { path, command: freeing_command() }
            } else if error.kind() == io::ErrorKind::NotFound {
                MountpointError::Missing { path }
            } else {
                MountpointError::Unreadable { path, source: error }
            }
        })?;
        if !metadata.is_dir() {
            return Err(MountpointError::NotAFolder { path: path.to_owned() });
        }
        let mut entries = fs::read_dir(path).map_err(unreadable)?;
        if !may_hide && entries.next().is_some() {
            return Err(MountpointError::NotEmpty { path: path.to_owned() });
        }
        let path = path.canonicalize().map_err(unreadable)?;
        check_system(Path::new(DEVICE), is_root() || find_helper().is_some())?;
        Ok(Self { path })
    }

    /// Checks that the mount would not hide a file, which may still have to be made. `option` is what names it.
    ///
    /// # Errors
    /// [`Hidden`] if the file is inside the folder.
    pub fn check_outside(&self, option: &'static str, path: &Path) -> Result<(), Hidden> {
        // What cannot be resolved cannot be opened either, which is told then.
        if links::resolve(path).is_ok_and(|path| path.starts_with(&self.path)) {
            return Err(Hidden { option, path: path.to_owned(), folder: self.path.clone() });
        }
        Ok(())
    }

    /// The folder, by its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts it, and serves it from now on with so many threads, or as many as pay.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn mount(self, file_system: FileSystem, nr_threads: Option<u8>) -> Result<Mounted, MountError> {
        let folder = Arc::clone(file_system.folder());
        self.mount_any(file_system, nr_threads, move || folder.clients().end())
    }

    /// As [`mount`](Self::mount), for any file system; `on_end` is called when it is unmounted.
    ///
    /// # Errors
    /// [`MountError`].
    pub(crate) fn mount_any(
        self,
        file_system: impl fuser::Filesystem,
        nr_threads: Option<u8>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Mounted, MountError> {
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            MountOption::FSName(NAME.to_owned()),
            MountOption::Subtype(NAME.to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoAtime,
            MountOption::NoExec,
        ];
        config.n_threads = Some(nr_threads.map_or_else(threads_that_pay, usize::from));
        config.clone_fd = true;
        let session = Session::new(file_system, &self.path, &config)
            .map_err(|source| MountError::Mount { path: self.path.clone(), source })?;
        let (sender, ended) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("fuse".to_owned()).spawn(move || {
            let result = session.run();
            // The receiver may be gone; the end is told in another way then.
            let _ = sender.send(result);
            on_end();
        });
        thread.map_err(MountError::Thread)?;
        Ok(Mounted { path: self.path, ended: Mutex::new(Some(ended)) })
    }
}

/// A folder whose files are served, until it is unmounted.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    /// How the serving has ended, once the folder is unmounted, by this or another process, and none of its files is open.
    /// The lock is never waited for: it lets threads share the rest.
    ended: Mutex<Option<Receiver<io::Result<()>>>>,
}

impl Mounted {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts it. A file that is still open can be used for this long; writes to it then fail.
    ///
    /// # Errors
    /// [`UnmountError`].
    pub fn end(mut self, patience: Duration) -> Result<(), UnmountError> {
        self.unmount(patience)
    }

    fn unmount(&mut self, patience: Duration) -> Result<(), UnmountError> {
        let Some(ended) = self.ended.get_mut().take() else { return Ok(()) };
        let path = || self.path.clone();
        let result = match ended.try_recv() {
            // It is unmounted already, and something else may be there by now.
            Ok(result) => Ok(result),
            Err(_) => {
                detach(&self.path).map_err(|source| UnmountError::Detach { path: path(), source })?;
                ended.recv_timeout(patience)
            }
        };
        match result {
            Ok(result) => result.map_err(|source| UnmountError::Served { path: path(), source }),
            Err(RecvTimeoutError::Timeout) => {
                // The serving ends with the process.
                tracing::warn!("{} is still in use; writes to it fail from now on", self.path.display());
                Ok(())
            }
            Err(RecvTimeoutError::Disconnected) => Err(UnmountError::Panicked { path: path() }),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.unmount(LAST_WORDS) {
            tracing::warn!(error = in_one_line(&error), "a folder was left mounted");
        }
    }
}

/// Takes what is mounted there out of sight. It disappears once it is no longer used.
///
/// # Errors
/// The system's.
pub fn detach(path: &Path) -> io::Result<()> {
    if is_root() {
        return Ok(rustix::mount::unmount(path, UnmountFlags::DETACH)?);
    }
    run_helper(&["-u", "-z"], path)
}

/// What may unmount without root.
fn run_helper(options: &[&str], path: &Path) -> io::Result<()> {
    let helper = find_helper().ok_or_else(|| io::Error::other(format!("{HELPER} is missing")))?;
    let mut command = Command::new(helper);
    command.args(options).arg("--").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn check_system(device: &Path, can_mount: bool) -> Result<(), MountpointError> {
    let opened = fs::OpenOptions::new().read(true).write(true).open(device);
    if let Err(error) = opened {
        let device = device.to_owned();
        return Err(match error.kind() {
            io::ErrorKind::NotFound => MountpointError::NoDevice { device },
            io::ErrorKind::PermissionDenied => MountpointError::DeviceRefused { device },
            _ => MountpointError::Device { device, source: error },
        });
    }
    if can_mount { Ok(()) } else { Err(MountpointError::NoHelper) }
}

/// The command that frees a folder whose server is gone.
fn freeing_command() -> &'static str {
    if is_root() { "umount" } else { "fusermount3 -u" }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn find_helper() -> Option<PathBuf> {
    program::find(HELPER).or_else(|| program::find("fusermount"))
}

/// One for each processor. Two at least, since reads of a disk wait; and no more than four, since what they do beside is
/// done one at a time.
fn threads_that_pay() -> usize {
    std::thread::available_parallelism().map_or(2, |processors| processors.get().clamp(2, 4))
}

const NAME: &str = "logwrites";
const DEVICE: &str = "/dev/fuse";

/// How long the threads may take to see that it is unmounted, after an error.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_empty_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Mountpoint::check(path, false).unwrap_err().to_string();
        assert!(refused(&dir.path().join("none")).contains("mkdir"));
        let file = dir.path().join("file");
        fs::write(&file, "a person's").unwrap();
        assert!(refused(&file).contains("is not a folder"));
        assert!(refused(dir.path()).contains("is not empty"));
    }

    #[test]
    fn files_inside_the_folder_are_found_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("mnt");
        fs::create_dir_all(path.join("deep")).unwrap();
        let mountpoint = Mountpoint { path: path.clone() };
        std::os::unix::fs::symlink(path.join("deep/log"), dir.path().join("dangling")).unwrap();
        std::os::unix::fs::symlink("mnt", dir.path().join("link")).unwrap();
        for (name, is_inside) in [
            ("mnt/log", true),
            ("mnt/deep/log", true),
            ("mnt/deep", true),
            ("mnt/../mnt/log", true),
            ("link/log", true),
            ("dangling", true),
            ("log", false),
            ("mnt.log", false),
            ("mnt/deep/../../log", false),
            ("none/log", false),
        ] {
            let checked = mountpoint.check_outside("--log", &dir.path().join(name));
            assert_eq!(checked.is_err(), is_inside, "{name}");
        }
    }

    #[test]
    fn what_the_system_lacks_is_named_with_how_to_get_it() {
        let refused =
            |device: &str, can_mount| check_system(Path::new(device), can_mount).unwrap_err().to_string();
        assert!(refused("/dev/no-such-device", true).contains("modprobe fuse"));
        assert!(refused("/dev/null", false).contains("apt-get install fuse3"));
        check_system(Path::new("/dev/null"), true).unwrap();
    }
}
