//! Which files there are: the disk, or the disk as of points of its log.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use parking_lot::RwLock;

use super::disk_file::DiskFile;
use crate::serve::clients::Clients;
use crate::serve::engine::Pool;
use crate::serve::exports::{ExportTable, Exports as _, Front, NoExport};

/// The disks of a folder.
pub struct Folder {
    exports: ExportTable,
    /// More come as they are asked for, none go.
    files: RwLock<Vec<Slot>>,
    pool: Arc<Pool>,
    /// Each file that is open counts as one.
    clients: Clients,
}

/// A file, and its disk while it is open.
struct Slot {
    export: String,
    open: Option<Open>,
}

struct Open {
    file: Arc<DiskFile>,
    nr_handles: usize,
}

impl Folder {
    /// A folder with these disks.
    #[must_use]
    pub fn new(exports: ExportTable) -> Arc<Self> {
        let slots = exports.names().into_iter().map(|export| Slot { export, open: None });
        let files = RwLock::new(slots.collect());
        Arc::new(Self { exports, files, pool: Pool::new(POOL_BYTES), clients: Clients::default() })
    }

    /// The names of the files, in the order of their numbers.
    pub(super) fn names(&self) -> Vec<OsString> {
        let files = self.files.read();
        files.iter().map(|slot| file_name_of(&slot.export)).collect()
    }

    /// The number of a file, perhaps of one that is new now.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn find(&self, name: &OsStr) -> Result<usize, NoExport> {
        if let Some(number) = self.names().iter().position(|other| other == name) {
            return Ok(number);
        }
        let export = name.to_str().ok_or_else(|| NoExport("its name is not UTF-8".to_owned()))?;
        let export = self.exports.describe(&export.replace("%2F", "/"))?.name;
        let mut files = self.files.write();
        Ok(files.iter().position(|slot| slot.export == export).unwrap_or_else(|| {
            files.push(Slot { export, open: None });
            files.len() - 1
        }))
    }

    /// Opens the file with a number, which is to be [closed](Self::close).
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn open(&self, number: usize) -> Result<(), NoExport> {
        let export = self.files.read().get(number).map(|slot| slot.export.clone());
        let (disk, info) = self.exports.open(&export.ok_or_else(no_file)?)?;
        let file = DiskFile::new(disk, info.len_bytes, info.has_fast_zero, &self.pool);
        let mut files = self.files.write();
        let slot = files.get_mut(number).ok_or_else(no_file)?;
        // One gate for all of them, and so one file.
        slot.open.get_or_insert(Open { file, nr_handles: 0 }).nr_handles += 1;
        drop(files);
        self.clients.come();
        Ok(())
    }

    /// Closes a file that was opened as often as that.
    pub(super) fn close(&self, number: usize) {
        let mut files = self.files.write();
        let Some(slot) = files.get_mut(number) else { return };
        let closed = slot.open.take_if(|open| {
            open.nr_handles -= 1;
            open.nr_handles == 0
        });
        drop(files);
        // The end of a disk takes time, and others want the files.
        drop(closed);
        self.clients.leave();
    }

    /// The file with a number, if it is open.
    pub(super) fn file(&self, number: usize) -> Option<Arc<DiskFile>> {
        let files = self.files.read();
        Some(Arc::clone(&files.get(number)?.open.as_ref()?.file))
    }

    /// How long every disk is.
    pub(super) const fn len_bytes(&self) -> u64 {
        self.exports.len_bytes()
    }

    /// The unit that a client had better use, in bytes.
    pub(super) fn block_bytes(&self) -> u32 {
        self.exports.sector_size().bytes_u32().max(LEAST_BLOCK_BYTES)
    }
}

impl Front for Folder {
    fn exports(&self) -> &ExportTable {
        &self.exports
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("names", &self.names()).finish_non_exhaustive()
    }
}

fn no_file() -> NoExport {
    NoExport("there is no such file".to_owned())
}

/// What an export is called as a file: a mark's name may have a slash.
fn file_name_of(export: &str) -> OsString {
    export.replace('/', "%2F").into()
}

/// The smallest unit that the kernel's block devices have.
const LEAST_BLOCK_BYTES: u32 = 512;

/// How much memory the payloads in flight and the reads may take, in bytes.
const POOL_BYTES: usize = 256 << 20;
