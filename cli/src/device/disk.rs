//! An image or block device, read and written at offsets.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use logwrites_core::device::DataDevice;
use logwrites_core::num::{clip, widen};
use logwrites_core::{Outcome, WriteFlags};

use super::system;

/// An open image file or block device. Offsets and lengths are in bytes.
#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
    is_block_device: bool,
}

/// What a disk is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing what exists.
    Write,
    /// Reading and writing a new file; it must not exist.
    CreateNew,
}

impl Disk {
    /// Opens a disk.
    ///
    /// # Errors
    /// [`DiskError`] naming the path; a directory, pipe or character device is not a disk.
    pub fn open(path: &Path, access: Access) -> Result<Self, DiskError> {
        let verb = match access {
            Access::Read => "open",
            Access::Write => "open for writing",
            Access::CreateNew => "create",
        };
        let error = |source| DiskError::new(verb, path, source);
        // Opening a pipe would wait for the other end; for a folder the system reports an error by itself.
        if let Ok(metadata) = std::fs::metadata(path)
            && !metadata.is_dir()
        {
            check_kind(&metadata).map_err(error)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read).create_new(access == Access::CreateNew);
        let file = options.open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        check_kind(&metadata).map_err(error)?;
        let is_block_device = system::is_block_device(&metadata);
        if is_block_device && access != Access::Read && system::is_read_only(&metadata) {
            return Err(error(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "it is a read-only device")));
        }
        Ok(Self { file, path: path.to_owned(), is_block_device })
    }

    /// A file that has no name any more, and goes when it is closed.
    ///
    /// # Errors
    /// The system's.
    pub fn nameless() -> io::Result<Self> {
        let path = PathBuf::from("a temporary file");
        Ok(Self { file: tempfile::tempfile()?, path, is_block_device: false })
    }

    /// Opens a disk that exists for writing, and locks other writers of this tool out for as long as it is open.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`lock`](Self::lock).
    pub fn open_locked(path: &Path) -> Result<Self, DiskError> {
        let disk = Self::open(path, Access::Write)?;
        disk.lock()?;
        Ok(disk)
    }

    /// A regular file that is open for reading and writing, and is or will be `path`.
    pub(super) fn of_file(file: File, path: &Path) -> Self {
        Self { file, path: path.to_owned(), is_block_device: false }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Its path, as given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a block device, whose size is fixed.
    #[must_use]
    pub const fn is_block_device(&self) -> bool {
        self.is_block_device
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn len_bytes(&self) -> io::Result<u64> {
        if self.is_block_device {
            system::block_device_len(&self.file)
        } else {
            Ok(self.file.metadata()?.len())
        }
    }

    /// As [`len_bytes`](Self::len_bytes), with an error that names the disk.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn size_bytes(&self) -> Result<u64, DiskError> {
        self.len_bytes().map_err(|error| DiskError::new("find the size of", &self.path, error))
    }

    /// Gives a file this size; what is new reads as zeros.
    ///
    /// # Errors
    /// The system's.
    pub fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    /// Locks other users of this tool out for as long as the disk is open, so that it can be written.
    ///
    /// # Errors
    /// [`DiskError`], of the kind [`io::ErrorKind::ResourceBusy`] if another one has it.
    pub fn lock(&self) -> Result<(), DiskError> {
        let busy = "another process is writing to it, or has it as a base that must stay as it is";
        self.locked(self.file.try_lock(), busy)
    }

    /// Locks writers of this tool out for as long as the disk is open: a base must stay as it is.
    ///
    /// # Errors
    /// [`DiskError`], of the kind [`io::ErrorKind::ResourceBusy`] if there is one.
    pub fn lock_shared(&self) -> Result<(), DiskError> {
        self.locked(self.file.try_lock_shared(), "another process is writing to it")
    }

    fn locked(&self, result: Result<(), TryLockError>, busy: &'static str) -> Result<(), DiskError> {
        let source = match result {
            Ok(()) => return Ok(()),
            // Some network file systems have no locks; that is not a reason to refuse them.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::WouldBlock) => io::Error::new(io::ErrorKind::ResourceBusy, busy),
            Err(TryLockError::Error(error)) => error,
        };
        Err(DiskError::new("lock", &self.path, source))
    }

    /// Whether both are one and the same file or device, under whatever names.
    ///
    /// # Errors
    /// The system's.
    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        system::is_same(&self.file, &self.path, &other.file, &other.path)
    }

    /// Reads exactly as much as `buffer` holds.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::UnexpectedEof`] if the disk ends before.
    pub fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let got = self.read_up_to(offset_bytes, buffer)?;
        if got < buffer.len() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it ends at byte {}", offset_bytes + widen(got)),
            ));
        }
        Ok(())
    }

    /// Reads as much of `buffer` as there is, and gives how many bytes that were.
    ///
    /// # Errors
    /// The system's.
    pub fn read_up_to(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match system::read_at(&self.file, rest, offset_bytes + widen(got)) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The system's; any part may have been written.
    pub fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_vectored_at(offset_bytes, &mut [io::IoSlice::new(bytes)])
    }

    /// Writes all of `slices`, one after the other. They are used up on the way.
    ///
    /// # Errors
    /// The system's; any part may have been written.
    pub fn write_vectored_at(
        &self,
        mut offset_bytes: u64,
        mut slices: &mut [io::IoSlice<'_>],
    ) -> io::Result<()> {
        io::IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match system::write_vectored_at(&self.file, slices, offset_bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    io::IoSlice::advance_slices(&mut slices, written);
                    offset_bytes += widen(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a range read as zeros, as cheaply as the system can; a range that must keep its storage passes
    /// `may_unmap` as false.
    ///
    /// # Errors
    /// The system's; any part may have been zeroed.
    pub fn zero_range(&self, offset_bytes: u64, len_bytes: u64, may_unmap: bool) -> io::Result<()> {
        if len_bytes == 0 || system::zero_range(&self.file, offset_bytes, len_bytes, may_unmap)? {
            return Ok(());
        }
        self.write_zeros(offset_bytes, len_bytes)
    }

    /// Makes a range zeros by writing them.
    ///
    /// # Errors
    /// The system's; any part may have been written.
    pub fn write_zeros(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let mut done = 0;
        while done < len_bytes {
            let len = clip(len_bytes - done, ZEROS.len());
            self.write_at(offset_bytes + done, &ZEROS[..len])?;
            done += widen(len);
        }
        Ok(())
    }

    /// Gives a range's storage back, so that it reads as zeros. False if the system or the file system cannot.
    ///
    /// # Errors
    /// The system's; any part may have been discarded.
    pub fn punch_hole(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        if len_bytes == 0 { Ok(true) } else { system::punch_hole(&self.file, offset_bytes, len_bytes) }
    }

    /// Passes a discard on to a block device: what it leaves is the device's own business.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::Unsupported`] if the system, the device or a file cannot discard.
    pub fn pass_discard(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        system::discard(&self.file, offset_bytes, len_bytes)
    }

    /// Copies bytes of another disk, inside the system and sharing storage where that can be done.
    ///
    /// # Errors
    /// The system's, of either disk; any part may have been written.
    pub fn copy_from(
        &self,
        source: &Self,
        source_offset_bytes: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> io::Result<()> {
        let mut done = system::copy(&source.file, source_offset_bytes, &self.file, offset_bytes, len_bytes)?;
        let mut buffer = vec![0; clip(len_bytes - done, COPY_BYTES)];
        while done < len_bytes {
            let len = clip(len_bytes - done, buffer.len());
            let piece = &mut buffer[..len];
            source.read_at(source_offset_bytes + done, piece)?;
            self.write_at(offset_bytes + done, piece)?;
            done += widen(len);
        }
        Ok(())
    }

    /// Makes this file share all of `source`'s storage, if the file system can; false if not.
    #[must_use]
    pub fn share_all_of(&self, source: &Self) -> bool {
        system::share_all(&source.file, &self.file)
    }

    /// The next range at or after `offset_bytes` that may hold something else than zeros; `None` if only zeros
    /// follow.
    ///
    /// # Errors
    /// The system's.
    pub fn next_data(&self, offset_bytes: u64) -> io::Result<Option<std::ops::Range<u64>>> {
        let len_bytes = self.len_bytes()?;
        if offset_bytes >= len_bytes {
            return Ok(None);
        }
        system::next_data(&self.file, offset_bytes, len_bytes)
    }

    /// Takes storage for a range, inside or after the file, which keeps its length. False if the file system cannot.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is not as much; the system's.
    pub fn allocate(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        if len_bytes == 0 { Ok(true) } else { system::allocate(&self.file, offset_bytes, len_bytes) }
    }

    /// Whether a write over written bytes of a file is known to be cheaper to make durable than one of storage that was
    /// only [allocated](Self::allocate), and to need none again. False where the system does not say.
    #[must_use]
    pub fn writes_in_place(&self) -> bool {
        !self.is_block_device && system::writes_in_place(&self.file)
    }

    /// Asks the system to read a range ahead.
    pub fn will_read(&self, offset_bytes: u64, len_bytes: u64) {
        system::will_read(&self.file, offset_bytes, len_bytes);
    }

    /// The same file once more, with the same locks.
    ///
    /// # Errors
    /// [`DiskError`] if there are too many files open.
    pub fn try_clone(&self) -> Result<Self, DiskError> {
        let file =
            self.file.try_clone().map_err(|error| DiskError::new("open once more", &self.path, error))?;
        Ok(Self { file, path: self.path.clone(), is_block_device: self.is_block_device })
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes a file that is not wanted after all. Whatever made it so is the error to tell, and not that it could not
    /// be removed.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Says that it will be read from front to back.
    pub fn will_read_sequentially(&self) {
        system::will_read_sequentially(&self.file);
    }
}

/// Several threads may use it at once.
impl DataDevice for &Disk {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> io::Result<()> {
        self.write_at(offset_bytes, bytes)?;
        if flags.contains(WriteFlags::FUA) { self.sync() } else { Ok(()) }
    }

    fn write_zeroes(&mut self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> io::Result<()> {
        self.zero_range(offset_bytes, len_bytes, flags.contains(WriteFlags::UNMAP))?;
        if flags.contains(WriteFlags::FUA) { self.sync() } else { Ok(()) }
    }

    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<Outcome> {
        let punched = self.punch_hole(offset_bytes, len_bytes)?;
        Ok(if punched { Outcome::Ok } else { Outcome::Ignored })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sync()
    }
}

impl DataDevice for Disk {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> io::Result<()> {
        (&*self).write(offset_bytes, bytes, flags)
    }

    fn write_zeroes(&mut self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> io::Result<()> {
        (&*self).write_zeroes(offset_bytes, len_bytes, flags)
    }

    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<Outcome> {
        (&*self).discard(offset_bytes, len_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

/// What could not be done with which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct DiskError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    /// `verb`, as in "cannot read", went wrong with `path`.
    #[must_use]
    pub fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self { verb, path: path.to_owned(), source }
    }

    /// What the system said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

fn check_kind(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() || system::is_block_device(metadata) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a regular file nor a block device"))
}

/// How much is copied at a time where the system cannot do it by itself.
const COPY_BYTES: usize = 1 << 20;

pub(super) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(len_bytes: u64) -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("disk"), Access::CreateNew).unwrap();
        disk.set_len(len_bytes).unwrap();
        (dir, disk)
    }

    fn read(disk: &Disk, offset_bytes: u64, len: usize) -> Vec<u8> {
        let mut buffer = vec![0xee; len];
        disk.read_at(offset_bytes, &mut buffer).unwrap();
        buffer
    }

    #[test]
    fn what_is_written_is_read() {
        let (_dir, disk) = disk(1 << 20);
        disk.write_vectored_at(
            4096,
            &mut [io::IoSlice::new(b"ab"), io::IoSlice::new(b""), io::IoSlice::new(b"c")],
        )
        .unwrap();
        assert_eq!(read(&disk, 4095, 5), b"\0abc\0");
        assert_eq!(
            disk.read_at((1 << 20) - 1, &mut [0; 2]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn zeroed_and_punched_ranges_read_as_zeros() {
        let (_dir, disk) = disk(1 << 20);
        disk.write_at(0, &vec![0xaa; 300_000]).unwrap();
        disk.zero_range(1000, 200_000, false).unwrap();
        assert_eq!(read(&disk, 999, 2), [0xaa, 0]);
        assert_eq!(read(&disk, 200_999, 2), [0, 0xaa]);
        if disk.punch_hole(250_000, 10_000).unwrap() {
            assert_eq!(read(&disk, 250_000, 10_000), [0; 10_000]);
        }
        assert_eq!(disk.len_bytes().unwrap(), 1 << 20);
    }

    #[test]
    fn a_copy_is_the_same_and_holes_are_found() {
        let (_dir, source) = disk(4 << 20);
        source.write_at(2 << 20, &[7; 5000]).unwrap();
        let data = source.next_data(0).unwrap().unwrap();
        assert!(data.start <= 2 << 20 && data.end >= (2 << 20) + 5000);
        let (_dir, copy) = disk(0);
        copy.copy_from(&source, (2 << 20) - 3, 100, 5003).unwrap();
        assert_eq!(read(&copy, 100, 4), [0, 0, 0, 7]);
        assert_eq!(copy.len_bytes().unwrap(), 5103);
    }

    #[test]
    fn other_names_of_a_file_are_recognised() {
        let (dir, one) = disk(512);
        let link = dir.path().join("link");
        std::fs::hard_link(one.path(), &link).unwrap();
        let other = Disk::open(&link, Access::Read).unwrap();
        assert!(one.is_same(&other).unwrap());
        let (_dir, stranger) = disk(512);
        assert!(!one.is_same(&stranger).unwrap());
    }

    #[test]
    fn a_second_writer_is_locked_out() {
        let (_dir, one) = disk(512);
        let other = Disk::open(one.path(), Access::Write).unwrap();
        one.lock().unwrap();
        assert_eq!(other.lock().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn what_is_not_a_disk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Disk::open(dir.path(), Access::Read).is_err());
        assert!(Disk::open(&dir.path().join("missing"), Access::Write).is_err());
    }
}
