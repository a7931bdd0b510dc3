//! What Linux does better than plain reads and writes: vectored I/O at an offset, holes, shared storage, copies inside
//! the kernel.

use std::fs::{File, Metadata};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use logwrites_core::num::clip;
use rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, FsWord, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter};

pub(super) fn is_block_device(metadata: &Metadata) -> bool {
    metadata.file_type().is_block_device()
}

/// Whether writes to a block device would fail, though it can be opened for writing. Unknown means no.
pub(super) fn is_read_only(metadata: &Metadata) -> bool {
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let flag = std::fs::read(format!("/sys/dev/block/{major}:{minor}/ro"));
    flag.is_ok_and(|flag| flag.trim_ascii() == b"1")
}

pub(super) fn block_device_len(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, SeekFrom::End(0))?)
}

pub(super) fn is_same(a: &File, _: &Path, b: &File, _: &Path) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    if is_block_device(&a) && is_block_device(&b) {
        return Ok(a.rdev() == b.rdev());
    }
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// A new file in a folder, without a name until [`give_name`].
pub(super) fn create_unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666))?);
    // Without it there would be no way to name the file.
    proc_path(&file).symlink_metadata()?;
    Ok(file)
}

/// Gives a file that has no name one, which nothing may have.
pub(super) fn give_name(file: &File, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, proc_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn proc_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    file.read_at(buffer, offset_bytes)
}

pub(super) fn write_vectored_at(file: &File, slices: &[IoSlice<'_>], offset_bytes: u64) -> io::Result<usize> {
    let slices = &slices[..slices.len().min(IOV_MAX)];
    Ok(rustix::io::pwritev(file, slices, offset_bytes)?)
}

/// False if the file system cannot, and zeros must be written.
pub(super) fn zero_range(
    file: &File,
    offset_bytes: u64,
    len_bytes: u64,
    may_unmap: bool,
) -> io::Result<bool> {
    if may_unmap && punch_hole(file, offset_bytes, len_bytes)? {
        return Ok(true);
    }
    supported(rustix::fs::fallocate(
        file,
        FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
        offset_bytes,
        len_bytes,
    ))
}

/// On a block device the kernel writes zeros itself where a discard would not make them.
pub(super) fn punch_hole(file: &File, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
    supported(rustix::fs::fallocate(
        file,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        offset_bytes,
        len_bytes,
    ))
}

/// BLKDISCARD, which `fallocate` does not have: it asks for zeros, always.
pub(super) fn discard(file: &File, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
    const BLKDISCARD: Opcode = rustix::ioctl::opcode::none(0x12, 119);
    // SAFETY: BLKDISCARD reads two u64, the start and the length in bytes, through the pointer, and writes nothing.
    let setter = unsafe { Setter::<BLKDISCARD, [u64; 2]>::new([offset_bytes, len_bytes]) };
    // SAFETY: the opcode and its argument belong together, as said above; any file may be asked.
    Ok(unsafe { rustix::ioctl::ioctl(file, setter) }?)
}

/// Copies as much as the kernel does by itself, and gives how many bytes that were.
pub(super) fn copy(
    source: &File,
    source_offset_bytes: u64,
    target: &File,
    target_offset_bytes: u64,
    len_bytes: u64,
) -> io::Result<u64> {
    let (mut from, mut to) = (source_offset_bytes, target_offset_bytes);
    while from - source_offset_bytes < len_bytes {
        let rest = len_bytes - (from - source_offset_bytes);
        let len = clip(rest, usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), len) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF | Errno::PERM) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(from - source_offset_bytes)
}

pub(super) fn share_all(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

pub(super) fn next_data(file: &File, offset_bytes: u64, len_bytes: u64) -> io::Result<Option<Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset_bytes)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(offset_bytes..len_bytes)),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(len_bytes);
    Ok((start < len_bytes).then(|| start..end.min(len_bytes)))
}

/// False if the file system cannot.
pub(super) fn allocate(file: &File, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
    supported(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset_bytes, len_bytes))
}

/// Whether bytes of a file that were written before are written where they are, and so need no storage again, and a
/// first write must note more than bytes: ext2 to ext4, and XFS.
pub(super) fn writes_in_place(file: &File) -> bool {
    let kind = rustix::fs::fstatfs(file).map_or(0, |found| found.f_type);
    kind == EXT_MAGIC || kind == XFS_MAGIC
}

pub(super) fn will_read(file: &File, offset_bytes: u64, len_bytes: u64) {
    // Only advice: what it answers does not matter.
    let _ = rustix::fs::fadvise(file, offset_bytes, std::num::NonZeroU64::new(len_bytes), Advice::WillNeed);
}

pub(super) fn will_read_sequentially(file: &File) {
    // Only advice: what it answers does not matter.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
}

fn supported(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Of statfs(2).
const EXT_MAGIC: FsWord = 0xef53;

/// Of statfs(2).
const XFS_MAGIC: FsWord = 0x5846_5342;

const IOV_MAX: usize = 1024;
