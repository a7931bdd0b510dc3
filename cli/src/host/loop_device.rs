//! A file as a block device of the kernel's, for what can only be mounted from one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};

use linux_raw_sys::ioctl::{BLKRAGET, BLKRASET};
use linux_raw_sys::loop_device::{LOOP_CONFIGURE, LOOP_CTL_GET_FREE, loop_config};
use rustix::io::Errno;
use rustix::ioctl::{Getter, IntegerSetter, Ioctl, IoctlOutput, Opcode, Setter, ioctl};

/// A loop device. The kernel lets go of it and of the file as soon as nobody uses it: neither this nor a mount, also where
/// the process is killed.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    device: File,
    /// What others may expect of the device afterwards, in sectors of 512 bytes.
    read_ahead: Option<usize>,
}

impl LoopDevice {
    /// Makes a file a block device. Only root can.
    pub(crate) fn of(file: &Path) -> Result<Self, LoopError> {
        let opened = OpenOptions::new().read(true).write(true).open(file);
        let backing = opened.map_err(|source| LoopError::File { path: file.to_owned(), source })?;
        let control = Path::new(CONTROL);
        let opened = OpenOptions::new().read(true).write(true).open(control);
        let control = opened.map_err(|source| LoopError::Device { path: control.to_owned(), source })?;
        for _ in 0..MAX_TRIES {
            // SAFETY: the request takes no argument, and gives a number.
            let number = unsafe { ioctl(&control, GetFree) };
            let number = number.map_err(|error| LoopError::NoneFree(error.into()))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device_error = |source| LoopError::Device { path: path.clone(), source };
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            let device = opened.map_err(device_error)?;
            match configure(&device, &backing) {
                Ok(()) => return Ok(Self { path, device, read_ahead: None }),
                // Another process was faster.
                Err(Errno::BUSY) => {}
                Err(error) => return Err(device_error(error.into())),
            }
        }
        Err(LoopError::NoneFree(Errno::BUSY.into()))
    }

    /// Has nothing read that was not asked for, for as long as this is here.
    pub(crate) fn read_no_further(&mut self) -> io::Result<()> {
        let before = read_ahead(&self.device)?;
        self.set_read_ahead(0)?;
        self.read_ahead.get_or_insert(before);
        Ok(())
    }

    /// The device.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn set_read_ahead(&self, nr_sectors: usize) -> io::Result<()> {
        // SAFETY: the request takes a number, and no pointer.
        let request = unsafe { IntegerSetter::<BLKRASET>::new_usize(nr_sectors) };
        // SAFETY: it is a request of block devices, and changes no memory.
        Ok(unsafe { ioctl(&self.device, request) }?)
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if let Some(before) = self.read_ahead
            && let Err(error) = self.set_read_ahead(before)
        {
            tracing::warn!(%error, "{} reads no further than it is asked to", self.path.display());
        }
    }
}

/// How far the kernel reads ahead of what is asked for, in sectors of 512 bytes.
fn read_ahead(device: &File) -> Result<usize, Errno> {
    // SAFETY: the request gives a `long`.
    let request = unsafe { Getter::<BLKRAGET, usize>::new() };
    // SAFETY: it is a request of block devices, and has room for the answer.
    unsafe { ioctl(device, request) }
}

fn configure(device: &File, backing: &File) -> Result<(), Errno> {
    // SAFETY: it is plain numbers, for which zero is a value.
    let mut config: loop_config = unsafe { std::mem::zeroed() };
    config.fd = backing.as_fd().as_raw_fd().unsigned_abs();
    config.info.lo_flags = FLAGS;
    // SAFETY: it is what the request takes.
    let request = unsafe { Setter::<LOOP_CONFIGURE, _>::new(config) };
    // SAFETY: it is a request of loop devices, and changes no memory.
    unsafe { ioctl(device, request) }
}

/// Asks for the number of a device that nobody uses.
struct GetFree;

// SAFETY: the request takes no argument and changes no memory; its result is the number.
unsafe impl Ioctl for GetFree {
    type Output = i32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        number: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(number)
    }
}

/// A file that cannot become a block device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopError {
    /// The file.
    #[error("cannot open {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The device, or that which gives devices.
    #[error("cannot use {}", path.display())]
    Device { path: PathBuf, source: io::Error },
    /// All devices are in use.
    #[error("no loop device is free")]
    NoneFree(#[source] io::Error),
}

/// `LO_FLAGS_AUTOCLEAR` and `LO_FLAGS_DIRECT_IO` of linux/loop.h.
const FLAGS: u32 = 4 | 16;

const CONTROL: &str = "/dev/loop-control";

/// How many times another process may be faster.
const MAX_TRIES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    #[test]
    fn a_file_is_a_block_device_for_a_while() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let mut device = LoopDevice::of(file.path()).expect("this test needs root and loop devices");
        device.read_no_further().unwrap();
        let path = device.path().to_owned();
        let mut bytes = Vec::new();
        let mut opened = File::open(&path).unwrap();
        opened.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 8192]);
        assert_eq!(read_ahead(&opened), Ok(0));
        drop(device);
        assert_ne!(read_ahead(&opened), Ok(0));
        drop(opened);
        let mut opened = File::open(&path).unwrap();
        assert_eq!(opened.seek(SeekFrom::End(0)).unwrap(), 0, "it has let go of the file");
    }
}
