//! What any system does with plain reads and writes: no holes, no shared storage.

use std::fs::{File, Metadata};
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

#[cfg(unix)]
pub(super) fn is_block_device(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&metadata.file_type())
}

#[cfg(not(unix))]
pub(super) fn is_block_device(_metadata: &Metadata) -> bool {
    false
}

pub(super) fn is_read_only(_: &Metadata) -> bool {
    false
}

pub(super) fn block_device_len(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

#[cfg(unix)]
pub(super) fn is_same(a: &File, _: &Path, b: &File, _: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino(), a.rdev()) == (b.dev(), b.ino(), b.rdev()))
}

#[cfg(not(unix))]
pub(super) fn is_same(_: &File, a: &Path, _: &File, b: &Path) -> io::Result<bool> {
    Ok(a.canonicalize()? == b.canonicalize()?)
}

pub(super) fn create_unnamed(_folder: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn give_name(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset_bytes)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset_bytes)
}

pub(super) fn write_vectored_at(file: &File, slices: &[IoSlice<'_>], offset_bytes: u64) -> io::Result<usize> {
    match slices.iter().find(|slice| !slice.is_empty()) {
        Some(slice) => write_at(file, slice, offset_bytes),
        None => Ok(0),
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset_bytes)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset_bytes)
}

#[expect(clippy::unnecessary_wraps, reason = "Linux's can fail")]
pub(super) fn zero_range(
    _: &File,
    _offset_bytes: u64,
    _len_bytes: u64,
    _may_unmap: bool,
) -> io::Result<bool> {
    Ok(false)
}

#[expect(clippy::unnecessary_wraps, reason = "Linux's can fail")]
pub(super) fn punch_hole(_: &File, _offset_bytes: u64, _len_bytes: u64) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn discard(_: &File, _offset_bytes: u64, _len_bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[expect(clippy::unnecessary_wraps, reason = "Linux's can fail")]
pub(super) fn copy(_: &File, _from_bytes: u64, _: &File, _to_bytes: u64, _len_bytes: u64) -> io::Result<u64> {
    Ok(0)
}

pub(super) fn share_all(_source: &File, _target: &File) -> bool {
    false
}

#[expect(clippy::unnecessary_wraps, reason = "Linux's can fail")]
pub(super) fn next_data(_: &File, offset_bytes: u64, len_bytes: u64) -> io::Result<Option<Range<u64>>> {
    Ok(Some(offset_bytes..len_bytes))
}

pub(super) fn will_read_sequentially(_: &File) {}

pub(super) fn allocate(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn writes_in_place(_: &File) -> bool {
    false
}

pub(super) fn will_read(_: &File, _: u64, _: u64) {}
