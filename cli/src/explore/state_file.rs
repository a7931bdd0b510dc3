//! The disk of a state as a file, at a path that stays the same.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyWrite, Request, TimeOrNow,
};
use logwrites_core::num::{clip, narrow};
use parking_lot::{Condvar, Mutex};
use rustix::fs::FallocateFlags;

use super::crash_disk::CrashDisk;
use super::error::ExploreError;
use crate::host::processor::AtomicProcessor;
use crate::serve::fuse::{Mounted, Mountpoint, is_durable};

/// What the file of a place holds now.
#[derive(Debug)]
pub(super) struct Slot {
    len_bytes: u64,
    state: Mutex<SlotState>,
    /// The file was closed.
    closed: Condvar,
    /// Where the check runs that uses it.
    processor: AtomicProcessor,
}

#[derive(Debug, Default)]
struct SlotState {
    disk: Option<CrashDisk>,
    /// Which disk it is: what was opened before is another one, and must not touch this.
    generation: u64,
    /// How many times the disk is open.
    nr_open: usize,
}

impl Slot {
    /// Holds nothing yet.
    pub(super) fn new(len_bytes: u64) -> Self {
        let (state, closed) = (Mutex::default(), Condvar::new());
        Self { len_bytes, state, closed, processor: AtomicProcessor::default() }
    }

    /// How long each of its disks is.
    pub(super) const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Does something with the disk that it holds now.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut CrashDisk) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        what(state.disk.as_mut().ok_or(io::ErrorKind::NotFound)?)
    }

    /// Where the check runs that uses it, so that it is served there.
    pub(super) const fn processor(&self) -> &AtomicProcessor {
        &self.processor
    }

    /// From now on the file is this disk.
    pub(super) fn put(&self, disk: CrashDisk) {
        let mut state = self.state.lock();
        *state = SlotState { disk: Some(disk), generation: state.generation + 1, nr_open: 0 };
    }

    /// The file is no disk any more: nothing that was opened reaches the next one. What is still open is waited for, since
    /// its last reads and writes count; `None` if it stays open.
    pub(super) fn take(&self, deadline: Instant) -> Option<CrashDisk> {
        let mut state = self.state.lock();
        while state.nr_open > 0 {
            if self.closed.wait_until(&mut state, deadline).timed_out() {
                state.disk = None;
                return None;
            }
        }
        state.disk.take()
    }
}

/// The file of a place, served until this goes.
#[derive(Debug)]
pub(super) struct Served {
    slot: Arc<Slot>,
    mounted: Mounted,
}

impl Served {
    /// Serves the file of a disk with a length in an empty folder.
    ///
    /// # Errors
    /// [`ExploreError`] if nothing can be mounted there.
    pub(super) fn start(folder: &Path, len_bytes: u64) -> Result<Self, ExploreError> {
        let slot = Arc::new(Slot::new(len_bytes));
        let file = StateFile { slot: Arc::clone(&slot) };
        let mounted = Mountpoint::check(folder, false)?.mount_any(file, Some(1), || {})?;
        Ok(Self { slot, mounted })
    }

    pub(super) const fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Where the file is.
    pub(super) fn path(&self) -> PathBuf {
        self.mounted.path().join(NAME)
    }

    /// Takes the file away.
    ///
    /// # Errors
    /// [`ExploreError`] if that cannot be done.
    pub(super) fn end(self) -> Result<(), ExploreError> {
        Ok(self.mounted.end(PATIENCE)?)
    }
}

/// The folder with the file. One thread answers, on the processor of the check that asks.
///
/// Everything that the kernel is told of the file is the same for all states. Nothing is cached, so that every read is seen;
/// what a memory map has read is forgotten when the file is opened again.
#[derive(Debug)]
struct StateFile {
    slot: Arc<Slot>,
}

impl StateFile {
    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, perm, size) = match number {
            FILE => (FileType::RegularFile, 0o600, self.slot.len_bytes),
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            _ => return Err(Errno::ENOENT),
        };
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Does something with the disk that was opened.
    fn with<T>(
        &self,
        number: INodeNo,
        handle: FileHandle,
        what: impl FnOnce(&mut CrashDisk) -> io::Result<T>,
    ) -> Result<T, Errno> {
        if number != FILE {
            return Err(Errno::EISDIR);
        }
        let mut state = self.slot.state.lock();
        if state.generation != handle.0 {
            return Err(Errno::ESTALE);
        }
        let disk = state.disk.as_mut().ok_or(Errno::ESTALE)?;
        what(disk).map_err(|_| Errno::EIO)
    }
}

impl Filesystem for StateFile {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [InitFlags::FUSE_ASYNC_DIO, InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP] {
            if let Err(missing) = config.add_capabilities(wanted) {
                tracing::debug!(?missing, "the kernel cannot do that");
            }
        }
        let limited = config.set_max_write(MAX_WRITE_BYTES);
        limited.map(|_| ()).map_err(|nearest| io::Error::other(format!("a limit is {nearest} at most")))
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let is_here = parent == INodeNo::ROOT && name == NAME;
        match is_here.then_some(FILE).ok_or(Errno::ENOENT).and_then(|number| self.attributes(number)) {
            Ok(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _request: &Request, number: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Ok(attributes) => reply.attr(&FOREVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    /// Times are taken and not kept; a disk keeps its size, its owner and its mode.
    fn setattr(
        &self,
        _request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.attributes(number) {
            Ok(attributes) if size.is_some_and(|size| size != attributes.size) => reply.error(Errno::EINVAL),
            Ok(_) if mode.is_some() || uid.is_some() || gid.is_some() => reply.error(Errno::EPERM),
            Ok(attributes) => reply.attr(&FOREVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if number != FILE {
            return reply.error(Errno::EISDIR);
        }
        // Who waits for an answer on another processor waits several times as long.
        self.slot.processor.follow();
        let mut state = self.slot.state.lock();
        if state.disk.is_none() {
            return reply.error(Errno::ENODEV);
        }
        state.nr_open += 1;
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
        reply.opened(FileHandle(state.generation), flags);
    }

    fn release(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if number == FILE {
            let mut state = self.slot.state.lock();
            if state.generation == handle.0 {
                state.nr_open -= 1;
                self.slot.closed.notify_all();
            }
        }
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let len = u64::from(size).min(self.slot.len_bytes.saturating_sub(offset));
        let mut buffer = vec![0; narrow(len)];
        match self.with(number, handle, |disk| disk.read_at(offset, &mut buffer)) {
            Ok(()) => reply.data(&buffer),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: fuser::WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let room = clip(self.slot.len_bytes.saturating_sub(offset), data.len());
        if room == 0 && !data.is_empty() {
            return reply.error(Errno::ENOSPC);
        }
        let written = |disk: &mut CrashDisk| disk.write_at(offset, &data[..room], is_durable(flags));
        match self.with(number, handle, written) {
            Ok(()) => {
                reply.written(u32::try_from(room).expect("the kernel's requests have lengths of 32 bits"));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        match self.with(number, handle, CrashDisk::flush) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let is_zeroing = mode.intersects(FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE);
        let is_other = mode.intersects(FallocateFlags::COLLAPSE_RANGE | FallocateFlags::INSERT_RANGE);
        if is_other || offset.saturating_add(length) > self.slot.len_bytes {
            return reply.error(Errno::EOPNOTSUPP);
        }
        match self.with(
            number,
            handle,
            |disk| if is_zeroing { disk.zero(offset, length, false) } else { Ok(()) },
        ) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    /// All is data: holes would tell states apart without being read.
    fn lseek(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let end = i64::try_from(self.slot.len_bytes).unwrap_or(i64::MAX);
        match whence {
            _ if !(0..end).contains(&offset) => reply.error(Errno::ENXIO),
            SEEK_DATA => reply.offset(offset),
            SEEK_HOLE => reply.offset(end),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, NAME),
        ];
        for (next, (number, kind, name)) in (1..).zip(entries).skip(clip(offset, usize::MAX)) {
            if reply.add(number, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// The file's name in its folder.
const NAME: &str = "disk";

/// The file's number; the folder's is 1.
const FILE: INodeNo = INodeNo(2);

/// How long the kernel may believe what it was told: it never changes.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a file that is taken away may still be in use.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest write, in bytes.
const MAX_WRITE_BYTES: u32 = 1 << 20;

/// Of lseek, on Linux.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
