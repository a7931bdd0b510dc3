//! What the kernel asks of a folder, and what it is answered.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow,
};
use linux_raw_sys::general::O_DSYNC;
use logwrites_core::num::{clip, widen};
use parking_lot::Mutex;
use rustix::fs::FallocateFlags;

use super::disk_file::{DiskFile, Sought, Zeroing, errno_of};
use super::folder::Folder;
use crate::serve::control::{Ask, Control, FILE_NAME, MAX_LINE_BYTES, MarkError};
use crate::serve::engine::{CallError, SLOTS};

/// A folder with disks, and with a file for marks and questions where there is a log to put marks into.
pub struct FileSystem {
    folder: Arc<Folder>,
    control: Option<Control>,
    /// What the control file says, as of its opening.
    told: Mutex<HashMap<FileHandle, Vec<u8>>>,
    next_handle: AtomicU64,
    since: SystemTime,
}

impl FileSystem {
    /// The file system of a folder.
    #[must_use]
    pub fn new(folder: Arc<Folder>, control: Option<Control>) -> Self {
        Self {
            folder,
            control,
            told: Mutex::default(),
            next_handle: AtomicU64::new(1),
            since: SystemTime::now(),
        }
    }

    fn attributes(&self, node: Node) -> FileAttr {
        let (kind, perm, nlink, size) = match node {
            Node::Folder => (FileType::Directory, 0o700, 2, 0),
            // Readers read to the end, wherever that is.
            Node::Control => (FileType::RegularFile, 0o600, 1, 0),
            Node::Disk(_) => (FileType::RegularFile, 0o600, 1, self.folder.len_bytes()),
        };
        FileAttr {
            ino: node.number(),
            size,
            blocks: size.div_ceil(512),
            atime: self.since,
            mtime: self.since,
            ctime: self.since,
            crtime: self.since,
            kind,
            perm,
            nlink,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// A disk that is open.
    fn disk(&self, number: INodeNo) -> Result<Arc<DiskFile>, Errno> {
        let Node::Disk(number) = self.node(number)? else { return Err(Errno::EISDIR) };
        self.folder.file(number).ok_or(Errno::EBADF)
    }

    fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        match Node::of(number) {
            Some(Node::Control) if self.control.is_none() => Err(Errno::ENOENT),
            node => node.ok_or(Errno::ENOENT),
        }
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<Node, Errno> {
        if parent != INodeNo::ROOT {
            return Err(Errno::ENOTDIR);
        }
        if name == FILE_NAME && self.control.is_some() {
            return Ok(Node::Control);
        }
        self.folder.find(name).map(Node::Disk).map_err(|error| {
            tracing::debug!(?name, error = error.0, "there is no such file");
            Errno::ENOENT
        })
    }

    fn opened(&self, number: INodeNo) -> Result<(FileHandle, FopenFlags), Errno> {
        let handle = FileHandle(self.next_handle.fetch_add(1, Ordering::Relaxed));
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
        match self.node(number)? {
            Node::Folder => return Err(Errno::EISDIR),
            Node::Disk(number) => {
                self.folder.open(number).map_err(|error| {
                    tracing::warn!(error = error.0, "a disk cannot be opened");
                    Errno::EIO
                })?;
                return Ok((handle, flags | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES));
            }
            Node::Control => {}
        }
        if let Some(control) = &self.control {
            let mut text = serde_json::to_vec(&control.status()).map_err(|_| Errno::EIO)?;
            text.push(b'\n');
            self.told.lock().insert(handle, text);
        }
        Ok((handle, flags))
    }

    pub(super) const fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Does what each line says.
    fn take_lines(&self, bytes: &[u8]) -> Result<(), Errno> {
        let control = self.control.as_ref().ok_or(Errno::EIO)?;
        if widen(bytes.len()) > MAX_LINE_BYTES {
            return Err(Errno::EINVAL);
        }
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let asked = Ask::parse(line).map_err(|error| {
                tracing::warn!(error, "a malformed request in the control file");
                Errno::EINVAL
            })?;
            if let Ask::Mark { name, flush } = asked {
                control.mark(&name, flush).map_err(|error| {
                    tracing::warn!(%error, "a mark was refused");
                    errno_of_mark(error)
                })?;
            }
        }
        Ok(())
    }
}

impl Filesystem for FileSystem {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each makes it faster or milder; none is needed.
        for wanted in [InitFlags::FUSE_ASYNC_DIO, InitFlags::FUSE_ATOMIC_O_TRUNC] {
            if let Err(missing) = config.add_capabilities(wanted) {
                tracing::debug!(?missing, "the kernel cannot do that");
            }
        }
        let nr_slots = u16::try_from(SLOTS).unwrap_or(u16::MAX);
        let limited = config
            .set_max_write(MAX_WRITE_BYTES)
            .and_then(|_| config.set_max_background(nr_slots).map(u32::from).map_err(u32::from));
        limited.map(|_| ()).map_err(|nearest| io::Error::other(format!("a limit is {nearest} at most")))
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name) {
            Ok(node) => reply.entry(&FOREVER, &self.attributes(node), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _request: &Request, number: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.node(number) {
            Ok(node) => reply.attr(&FOREVER, &self.attributes(node)),
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
        let node = match self.node(number) {
            Ok(node) => node,
            Err(errno) => return reply.error(errno),
        };
        let attributes = self.attributes(node);
        let is_resized = size.is_some_and(|size| size != attributes.size);
        if is_resized && matches!(node, Node::Disk(_)) {
            return reply.error(Errno::EINVAL);
        }
        if mode.is_some() || uid.is_some() || gid.is_some() {
            return reply.error(Errno::EPERM);
        }
        reply.attr(&FOREVER, &attributes);
    }

    fn open(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.opened(number) {
            Ok((handle, flags)) => reply.opened(handle, flags),
            Err(errno) => reply.error(errno),
        }
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
        match Node::of(number) {
            Some(Node::Disk(number)) => self.folder.close(number),
            _ => drop(self.told.lock().remove(&handle)),
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
        if Node::of(number) == Some(Node::Control) {
            let told = self.told.lock();
            let text = told.get(&handle).map(Vec::as_slice).unwrap_or_default();
            let rest = &text[clip(offset, text.len())..];
            return reply.data(&rest[..clip(size.into(), rest.len())]);
        }
        match self.disk(number) {
            Ok(disk) => disk.read(offset, u64::from(size), reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: fuser::WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if Node::of(number) == Some(Node::Control) {
            return match self.take_lines(data) {
                Ok(()) => reply.written(
                    u32::try_from(data.len()).expect("the kernel's requests have lengths of 32 bits"),
                ),
                Err(errno) => reply.error(errno),
            };
        }
        match self.disk(number) {
            Ok(disk) => {
                disk.write(offset, data, is_durable(flags), reply);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        if Node::of(number) == Some(Node::Control) {
            return reply.ok();
        }
        match self.disk(number) {
            Ok(disk) => disk.flush(reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let disk = match self.disk(number) {
            Ok(disk) => disk,
            Err(errno) => return reply.error(errno),
        };
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        if mode == FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE {
            disk.zero(offset, length, Zeroing::Punch, reply);
        } else if mode - FallocateFlags::KEEP_SIZE == FallocateFlags::ZERO_RANGE {
            disk.zero(offset, length, Zeroing::Keep, reply);
        } else if mode - FallocateFlags::KEEP_SIZE != FallocateFlags::empty() {
            reply.error(Errno::EOPNOTSUPP);
        } else if offset.saturating_add(length) > disk.len_bytes() {
            reply.error(Errno::ENOSPC);
        } else {
            // A disk has all its room.
            reply.ok();
        }
    }

    fn lseek(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let sought = match whence {
            SEEK_DATA => Ok(Sought::Data),
            SEEK_HOLE => Ok(Sought::Hole),
            _ => Err(Errno::EINVAL),
        };
        let found = sought.and_then(|sought| {
            let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            let found = self.disk(number)?.seek(offset, sought)?;
            i64::try_from(found).map_err(|_| Errno::EOVERFLOW)
        });
        match found {
            Ok(offset) => reply.offset(offset),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if number != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let mut entries = vec![
            (Node::Folder, FileType::Directory, ".".into()),
            (Node::Folder, FileType::Directory, "..".into()),
        ];
        if self.control.is_some() {
            entries.push((Node::Control, FileType::RegularFile, FILE_NAME.into()));
        }
        let disks = self.folder.names().into_iter().enumerate();
        entries.extend(disks.map(|(number, name)| (Node::Disk(number), FileType::RegularFile, name)));
        let rest = (1..).zip(entries).skip(clip(offset, usize::MAX));
        for (next, (node, kind, name)) in rest {
            if reply.add(node.number(), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _number: INodeNo, reply: ReplyStatfs) {
        // A loop device takes this for the unit of discards.
        let block_bytes = self.folder.block_bytes();
        let nr_disks = widen(self.folder.names().len());
        let blocks = (self.folder.len_bytes() / u64::from(block_bytes)).saturating_mul(nr_disks);
        reply.statfs(blocks, 0, 0, nr_disks + 1, 0, block_bytes, MAX_NAME_BYTES, block_bytes);
    }

    fn create(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mknod(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mkdir(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn unlink(&self, _request: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rmdir(&self, _request: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EPERM);
    }
}

impl std::fmt::Debug for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSystem").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// What there is, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    Control,
    Disk(usize),
}

impl Node {
    fn of(number: INodeNo) -> Option<Self> {
        match number.0 {
            0 => None,
            1 => Some(Self::Folder),
            2 => Some(Self::Control),
            other => usize::try_from(other - 3).ok().map(Self::Disk),
        }
    }

    fn number(self) -> INodeNo {
        match self {
            Self::Folder => INodeNo::ROOT,
            Self::Control => INodeNo(2),
            Self::Disk(number) => INodeNo(widen(number).saturating_add(3)),
        }
    }
}

/// Whether a write with these flags is to be durable once it is done: by `O_DSYNC`, or by `O_SYNC`, which has its bit. What
/// rustix calls DSYNC are both bits.
pub(crate) const fn is_durable(flags: OpenFlags) -> bool {
    flags.0.cast_unsigned() & O_DSYNC != 0
}

fn errno_of_mark(error: MarkError) -> Errno {
    match error {
        MarkError::Disk(CallError::Refused(refusal)) => errno_of(refusal),
        MarkError::Disk(CallError::Failed(_)) => Errno::EIO,
        MarkError::Unnamed | MarkError::Text(_) => Errno::EINVAL,
    }
}

/// How long the kernel may believe what it was told: names and attributes stay as they are.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest write, in bytes. Most kernels send no more.
const MAX_WRITE_BYTES: u32 = 1 << 20;

const MAX_NAME_BYTES: u32 = 255;

/// Of lseek, on Linux.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
