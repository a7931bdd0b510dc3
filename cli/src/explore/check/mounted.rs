//! A state that the kernel has mounted, for as long as a check looks at it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use linux_raw_sys::btrfs::btrfs_ioctl_vol_args;
use logwrites_core::contents::FileSystemKind;
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{major, minor};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::mount::{UnmountFlags, unmount};

use super::error::CheckError;
use super::judgement::{Judgement, Outcome};
use super::run::{Program, Run};
use crate::host::loop_device::LoopDevice;
use crate::host::mkfs;

/// Looks whether a file system can be mounted here.
pub(super) fn prepare(check: &str, kind: Option<FileSystemKind>) -> Result<(), CheckError> {
    let check = || check.to_owned();
    if !rustix::process::geteuid().is_root() {
        return Err(CheckError::NeedsRoot { check: check() });
    }
    match kind.map(FileSystemKind::name) {
        Some(file_system) if !mkfs::is_in_kernel(file_system) => {
            Err(CheckError::NotInKernel { check: check(), file_system })
        }
        _ => MOUNT.command().map(drop),
    }
}

impl Run<'_> {
    /// Has a check look at what is in the image while it is [mounted](Self::while_mounted). A disk that cannot be mounted
    /// has failed.
    pub(super) fn mounted(
        &self,
        kind: Option<FileSystemKind>,
        inside: impl FnOnce(&Path) -> Result<Judgement, CheckError>,
    ) -> Result<Judgement, CheckError> {
        self.while_mounted(kind, inside)?.unwrap_or_else(Ok)
    }

    /// Mounts the image, as the person has asked for and so that other jobs and other states do not matter; does something;
    /// and unmounts it again. Gives what `mount` says of a disk that it cannot mount.
    pub(in crate::explore) fn while_mounted<T>(
        &self,
        kind: Option<FileSystemKind>,
        inside: impl FnOnce(&Path) -> T,
    ) -> Result<Result<T, Judgement>, CheckError> {
        let mut device =
            LoopDevice::of(self.around.image).map_err(|error| CheckError::Loop { source: error.into() })?;
        let system = |source| CheckError::System { check: "mount".to_owned(), source };
        device.read_no_further().map_err(system)?;
        let turn = Turn::begin(kind);
        let path = self.around.mountpoint;
        let judgement = self.mount(kind, &device, path)?;
        if judgement.outcome != Outcome::Pass {
            turn.end(&device);
            return Ok(Err(judgement));
        }
        let mount = Mount { path: Some(path) };
        let turn = turn.pause();
        read_no_further(path);
        let done = inside(path);
        let turn = turn.resume();
        let ended = mount.end();
        turn.end(&device);
        ended?;
        Ok(Ok(done))
    }

    fn mount(
        &self,
        kind: Option<FileSystemKind>,
        device: &LoopDevice,
        path: &Path,
    ) -> Result<Judgement, CheckError> {
        let mut command = MOUNT.command()?;
        if let Some(kind) = kind {
            command.args(["-t", kind.name()]);
        }
        let ours = match kind {
            // Several jobs have the same file system mounted.
            Some(FileSystemKind::Xfs) => "nouuid",
            // Nothing goes on in the background, whose reads would come at any time.
            Some(FileSystemKind::Ext4) => "noinit_itable",
            _ => "defaults",
        };
        let options =
            self.around.mount_options.map_or_else(|| ours.to_owned(), |asked| format!("{ours},{asked}"));
        command.args(["-o", &options]).arg(device.path()).arg(path);
        self.command(MOUNT.name, command, MOUNT.passes)
    }
}

/// Something mounted.
struct Mount<'a> {
    path: Option<&'a Path>,
}

impl Mount<'_> {
    /// Unmounts it. What is still in use goes with its last user, which is told when the image is taken away.
    fn end(mut self) -> Result<(), CheckError> {
        self.path.take().map_or(Ok(()), |path| {
            let unmounted = match unmount(path, UnmountFlags::empty()) {
                Err(Errno::BUSY) => unmount(path, UnmountFlags::DETACH),
                unmounted => unmounted,
            };
            unmounted.map_err(|error| CheckError::Unmount { path: path.to_owned(), source: error.into() })
        })
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path
            && let Err(error) = unmount(path, UnmountFlags::DETACH)
        {
            tracing::warn!(%error, "{} stays mounted", path.display());
        }
    }
}

/// The kernel's list of devices with btrfs must not have two states in it: it would take the newer one for the other, or
/// refuse one. Since 6.7 several can be mounted at a time; before, there is one state at a time.
struct Turn {
    kind: Option<FileSystemKind>,
    guard: Option<MutexGuard<'static, ()>>,
}

impl Turn {
    fn begin(kind: Option<FileSystemKind>) -> Self {
        let guard = (kind == Some(FileSystemKind::Btrfs)).then(|| BTRFS_DEVICES.lock());
        Self { kind, guard }
    }

    fn pause(mut self) -> Self {
        if Path::new("/sys/fs/btrfs/features/temp_fsid").exists() {
            self.guard = None;
        }
        self
    }

    fn resume(self) -> Self {
        if self.guard.is_some() { self } else { Self::begin(self.kind) }
    }

    fn end(self, device: &LoopDevice) {
        if self.kind == Some(FileSystemKind::Btrfs)
            && let Err(error) = forget_btrfs(device)
        {
            tracing::debug!(%error, "the kernel has nothing to forget");
        }
    }
}

static BTRFS_DEVICES: Mutex<()> = Mutex::new(());

/// Takes a device out of the kernel's list of devices with btrfs.
fn forget_btrfs(device: &LoopDevice) -> io::Result<()> {
    let control = fs::OpenOptions::new().read(true).write(true).open("/dev/btrfs-control")?;
    let mut args = btrfs_ioctl_vol_args { fd: 0, name: [0; 4088] };
    for (to, from) in args.name.iter_mut().zip(device.path().as_os_str().as_encoded_bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: it is what the request takes.
    let request = unsafe { Setter::<FORGET_DEV, _>::new(args) };
    // SAFETY: it is a request of this device, and changes no memory.
    Ok(unsafe { ioctl(&control, request) }?)
}

/// Has a mounted file system read no more than it is asked for, so that what is read by chance does not count. Some have a
/// limit of their own besides the device's.
fn read_no_further(path: &Path) {
    let set = fs::metadata(path).and_then(|metadata| {
        let (major, minor) = (major(metadata.dev()), minor(metadata.dev()));
        fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), "0")
    });
    if let Err(error) = set {
        tracing::debug!(%error, "{} is read ahead", path.display());
    }
}

/// `BTRFS_IOC_FORGET_DEV` of linux/btrfs.h.
const FORGET_DEV: Opcode = opcode::write::<btrfs_ioctl_vol_args>(0x94, 5);

const MOUNT: Program = Program { name: "mount", package: "mount", args: &[], passes: &[0] };
