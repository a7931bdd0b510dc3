//! Which files there are: the disk, or the disk as it was at points of its log.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, OnceLock};

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

/// A file whose disk is there once somebody has opened it.
#[derive(Clone)]
struct Slot {
    export: String,
    file: Arc<OnceLock<Arc<DiskFile>>>,
}

impl Slot {
    fn new(export: String) -> Self {
        Self { export, file: Arc::default() }
    }
}

impl Folder {
    /// A folder with these disks.
    #[must_use]
    pub fn new(exports: ExportTable) -> Arc<Self> {
        let files = RwLock::new(exports.names().into_iter().map(Slot::new).collect());
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
        let export = name.to_str().ok_or_else(|| NoExport("its name is no text".to_owned()))?;
        let (disk, info) = self.exports.open(&export.replace("%2F", "/"))?;
        let mut files = self.files.write();
        let number = files.iter().position(|slot| slot.export == info.name).unwrap_or_else(|| {
            files.push(Slot::new(info.name));
            files.len() - 1
        });
        if let Some(slot) = files.get(number) {
            slot.file.get_or_init(|| DiskFile::new(disk, info.len_bytes, info.has_fast_zero, &self.pool));
        }
        Ok(number)
    }

    /// The file with a number, its disk opened.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn file(&self, number: usize) -> Result<Arc<DiskFile>, NoExport> {
        let files = self.files.read();
        let slot = files.get(number).ok_or_else(|| NoExport("there is no such file".to_owned()))?;
        if let Some(file) = slot.file.get() {
            return Ok(Arc::clone(file));
        }
        let slot = slot.clone();
        drop(files);
        let (disk, info) = self.exports.open(&slot.export)?;
        let file = DiskFile::new(disk, info.len_bytes, info.has_fast_zero, &self.pool);
        Ok(Arc::clone(slot.file.get_or_init(|| file)))
    }

    /// How long every disk is.
    pub(super) const fn len_bytes(&self) -> u64 {
        self.exports.len_bytes()
    }

    /// The unit that a client had better use, in bytes.
    pub(super) fn block_bytes(&self) -> u32 {
        let disks = self.exports.opened();
        disks.first().map_or(LEAST_BLOCK_BYTES, |disk| disk.sector_size().bytes_u32().max(LEAST_BLOCK_BYTES))
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

/// What an export is called as a file: a mark's name may have a slash.
fn file_name_of(export: &str) -> OsString {
    export.replace('/', "%2F").into()
}

/// The smallest unit that the kernel's block devices have.
const LEAST_BLOCK_BYTES: u32 = 512;

/// How much memory the payloads in flight and the reads may take, in bytes.
const POOL_BYTES: usize = 256 << 20;
