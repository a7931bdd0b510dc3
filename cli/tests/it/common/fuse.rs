//! A disk that is served as a file, and the file systems of this machine's kernel on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::nbd::Served;
use super::{Folder, Ran, system};

/// A running `logwrites serve fuse`, on the folder `mnt` of another one. If it is not stopped it is killed, and the folder
/// freed.
pub(crate) struct Files {
    served: Option<Served>,
    mountpoint: PathBuf,
}

impl Files {
    /// Starts it, with options separated by blanks, and waits until the files are there.
    #[track_caller]
    pub(crate) fn start(folder: &Folder, options: &str) -> Self {
        let mountpoint = folder.path("mnt");
        if !mountpoint.exists() {
            std::fs::create_dir(&mountpoint).expect("a folder");
        }
        Self { served: Some(Served::start_as(folder, &format!("fuse {options} mnt"))), mountpoint }
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.path("disk")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mountpoint.join(name)
    }

    pub(crate) fn served(&self) -> &Served {
        self.served.as_ref().expect("it runs")
    }

    /// Puts a mark, as a person would, after a flush.
    #[track_caller]
    pub(crate) fn mark(&self, name: &str) {
        std::fs::write(self.path("control"), format!("mark --flush {name}\n")).expect("a mark");
    }

    /// Ends it in good order, and gives what it said.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Ran {
        self.served.take().expect("it runs").stop()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        self.served.take().expect("it runs").end()
    }

    /// Kills it, and leaves the folder as that leaves it.
    pub(crate) fn kill_and_leave(&mut self) {
        self.served.take().expect("it runs").kill();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(self.served.take());
        let _ = Command::new("umount").arg("--lazy").arg(&self.mountpoint).output();
    }
}

/// A file system of the kernel's that is mounted, for as long as it lives.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts a device, or a file by a loop device of its own.
    #[track_caller]
    pub(crate) fn new(source: &Path, path: PathBuf, options: &str) -> Self {
        if !path.exists() {
            std::fs::create_dir(&path).expect("a mount point");
        }
        system("mount", &["-o".as_ref(), options.as_ref(), source.as_os_str(), path.as_os_str()]);
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts it; that must work.
    #[track_caller]
    pub(crate) fn end(self) {
        system("umount", &[self.path.as_os_str()]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
    }
}

/// Runs a program that others wrote, in a package of Debian's; it must succeed. Gives what it printed.
#[track_caller]
pub(crate) fn program(package: &str, name: &str, args: &[&OsStr]) -> String {
    let output = Command::new(name).args(args).output().unwrap_or_else(|error| {
        panic!("this test works with {name}, which is missing ({error}): apt-get install {package}")
    });
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{name} {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A number that can be set for longer runs, and that is printed.
pub(crate) fn number_of(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    let number = set.as_ref().map_or(default, |text| text.parse().expect(name));
    println!("{name}={number}{}", if set.is_some() { "" } else { ", if not set" });
    number
}
