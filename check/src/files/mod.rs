//! Files with names and lengths, for engines that store in files.
//!
//! They are a front end of a disk: whatever is done to a file is a write to a large disk of zeros, and so one search
//! decides the crashes of both. Each page of 4096 bytes, each length and each change of a name is a write of its own.
//!
//! | on the disk | what is there |
//! |---|---|
//! | sector 0 | where the folder's journal is |
//! | sector 2^20 + n | the length of file number n ([`Profile::Strict`]) |
//! | each TiB from the second on | a journal of the folder, or the bytes of a file |
//!
//! A journal has a sector for each change of a name, and with [`Profile::Ordered`] for each change of a length. With
//! [`Profile::Strict`] every record that was kept counts; with [`Profile::Ordered`] only those before the first that
//! was lost, as in the journal of a file system.

mod folder;
mod journal;
mod layout;
mod record;
mod setup;

pub use setup::Profile;
pub(crate) use setup::Setup;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::files::folder::Folder;
use crate::media::Note;

/// A folder of files, whose changes are logged.
///
/// A clone is another handle of the same folder; threads may use it at the same time.
#[derive(Clone, Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    setup: Setup,
    /// `None` until it is first used: what is read of it then is read by the checker.
    folder: Mutex<Option<Folder>>,
}

/// The folder.
impl Files {
    pub(crate) fn mount(disk: Disk, setup: Setup) -> Self {
        Self { shared: Arc::new(Shared { disk, setup, folder: Mutex::new(None) }) }
    }

    /// What the next mount has to know.
    pub(crate) fn setup(&self) -> Setup {
        self.shared.folder.lock().as_ref().map_or(self.shared.setup, Folder::setup)
    }

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Of the kind `NotFound` if there is no such file.
    pub fn open(&self, name: &str) -> io::Result<File> {
        let id = self.with(|folder, _| folder.names().find(name))?;
        Ok(self.file(id))
    }

    /// Opens a file; one that exists is cut to length 0, one that does not is created.
    ///
    /// # Errors
    /// Of the kind `InvalidFilename` if the name is empty, longer than 200 bytes, or holds a slash, tab, newline or NUL.
    #[track_caller]
    pub fn create(&self, name: &str) -> io::Result<File> {
        let note = self.shared.disk.here();
        let id = self.with(|folder, disk| match folder.names().find(name) {
            Ok(id) => folder.set_len(disk, id, 0, &note).map(|()| id),
            Err(_) => folder.create(disk, name, note),
        })?;
        Ok(self.file(id))
    }

    /// Creates a file.
    ///
    /// # Errors
    /// Of the kind `AlreadyExists` if there is one of that name, and as [`create`](Self::create).
    #[track_caller]
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        let note = self.shared.disk.here();
        let id = self.with(|folder, disk| match folder.names().find(name) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("there is a file {name}"))),
            Err(_) => folder.create(disk, name, note),
        })?;
        Ok(self.file(id))
    }

    /// Whether there is a file of this name.
    ///
    /// # Errors
    /// None on this disk.
    pub fn exists(&self, name: &str) -> io::Result<bool> {
        self.with(|folder, _| Ok(folder.names().find(name).is_ok()))
    }

    /// The names of all files, sorted.
    ///
    /// # Errors
    /// None on this disk.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.with(|folder, _| Ok(folder.names().iter().map(String::from).collect()))
    }

    /// Gives a file another name. A file that has it loses it.
    ///
    /// # Errors
    /// Of the kind `NotFound` if there is no file `from`, and as [`create`](Self::create).
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let note = self.shared.disk.here();
        self.with(|folder, disk| folder.rename(disk, from, to, note))
    }

    /// Removes a name. The file stays for those that have opened it.
    ///
    /// # Errors
    /// Of the kind `NotFound` if there is no such file.
    #[track_caller]
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let note = self.shared.disk.here();
        self.with(|folder, disk| folder.remove(disk, name, note))
    }

    /// Makes all changes of names durable, as `fsync` of a folder.
    ///
    /// # Errors
    /// None on this disk.
    #[track_caller]
    pub fn sync(&self) -> io::Result<()> {
        let note = self.shared.disk.here();
        self.with(|folder, disk| folder.sync_names(disk, &note))
    }

    /// Notes in the log that something was reached; see [`Disk::mark`].
    ///
    /// # Panics
    /// As [`Disk::mark`].
    #[track_caller]
    pub fn mark(&self, name: &str) {
        self.shared.disk.mark(name);
    }

    fn file(&self, id: u64) -> File {
        File { files: self.clone(), id, position: std::sync::atomic::AtomicU64::new(0) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Folder, &Disk) -> io::Result<T>) -> io::Result<T> {
        let Shared { disk, setup, folder } = &*self.shared;
        let mut folder = folder.lock();
        if folder.is_none() {
            *folder = Some(Folder::mount(disk, setup)?);
        }
        act(folder.as_mut().expect("it was mounted"), disk)
    }
}

/// An open file: positional, or a stream through `Read`, `Write` and `Seek`, which `&File` has too.
///
/// As with `std::fs::File`, `Write::flush` does nothing; what is written is durable after [`sync_data`](Self::sync_data).
#[derive(Debug)]
pub struct File {
    files: Files,
    id: u64,
    position: std::sync::atomic::AtomicU64,
}

#[allow(clippy::len_without_is_empty, reason = "as std::fs has it")]
impl File {
    /// The length in bytes.
    ///
    /// # Errors
    /// None on this disk.
    pub fn len(&self) -> io::Result<u64> {
        self.files.with(|folder, disk| folder.len_bytes(disk, self.id))
    }

    /// Reads the bytes at an offset, all of `buffer`.
    ///
    /// # Errors
    /// Of the kind `UnexpectedEof` if the file ends before.
    pub fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let len = self.read_some_at(buffer, offset_bytes)?;
        if len < buffer.len() {
            let message = format!("{} bytes at {offset_bytes} of a file that ends before", buffer.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(())
    }

    /// Reads what the file has of `buffer` at an offset, and says how much that is.
    pub(crate) fn read_some_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        self.files.with(|folder, disk| folder.read(disk, self.id, buffer, offset_bytes))
    }

    /// Writes all of `bytes` at an offset. The file grows as needed; what nobody wrote reads as zeros.
    ///
    /// # Errors
    /// Of the kind `FileTooLarge` after a TiB.
    #[track_caller]
    pub fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let note = self.note(|name| format!("{name}, {} bytes at {offset_bytes}", bytes.len()));
        self.files.with(|folder, disk| folder.write(disk, self.id, bytes, offset_bytes, &note))
    }

    /// Makes the file shorter or longer; what is new reads as zeros.
    ///
    /// # Errors
    /// Of the kind `FileTooLarge` after a TiB.
    #[track_caller]
    pub fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let note = self.note(|name| format!("{name}, its end"));
        self.files.with(|folder, disk| folder.set_len(disk, self.id, len_bytes, &note))
    }

    /// Makes the bytes and the length durable, as `fdatasync`.
    ///
    /// # Errors
    /// None on this disk.
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        let note = self.note(|name| format!("sync of {name}"));
        self.files.with(|folder, disk| folder.sync(disk, self.id, false, &note))
    }

    /// Makes everything of the file durable, as `fsync`; its name is the folder's.
    ///
    /// # Errors
    /// None on this disk.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        let note = self.note(|name| format!("sync of {name}"));
        self.files.with(|folder, disk| folder.sync(disk, self.id, true, &note))
    }

    pub(crate) const fn position(&self) -> &std::sync::atomic::AtomicU64 {
        &self.position
    }

    /// A note of the caller's place, and what is done to the file.
    #[track_caller]
    fn note(&self, meaning: impl FnOnce(&str) -> String) -> Note {
        let note = self.files.shared.disk.here();
        let name = self.files.with(|folder, _| Ok(folder.names().name_of(self.id).map(String::from)));
        let name = name.ok().flatten();
        let meaning = meaning(name.as_deref().unwrap_or("a file without a name"));
        Note { meaning: Some(meaning.into()), ..note }
    }
}

impl Clone for File {
    /// Another handle of the same file, at position 0.
    fn clone(&self) -> Self {
        self.files.file(self.id)
    }
}
