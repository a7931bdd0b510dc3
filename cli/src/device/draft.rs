//! A file that has its name only when it is whole.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::{Builder, TempPath};

use super::disk::{Disk, DiskError};
use super::system;

/// A new file before it has its name. Until then, that name has no file, or still the old one; if the draft is
/// dropped, or the process is killed, that stays so.
#[derive(Debug)]
pub struct Draft {
    disk: Disk,
    name: Name,
}

/// What a draft is called meanwhile.
#[derive(Debug)]
enum Name {
    /// Nothing: when it is closed, it is gone.
    None,
    /// A name beside the one it is to get, which is removed when this goes.
    Hidden(TempPath),
}

impl Draft {
    /// Makes a file that is to be `path`, in the same folder. There must be no such file.
    ///
    /// # Errors
    /// [`DiskError`]; of the kind [`io::ErrorKind::AlreadyExists`] if something is there.
    pub fn new(path: &Path) -> Result<Self, DiskError> {
        let error = |source| DiskError::new("create", path, source);
        match path.symlink_metadata() {
            Ok(_) => Err(error(io::ErrorKind::AlreadyExists.into())),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Self::replacing(path),
            Err(other) => Err(error(other)),
        }
    }

    /// Makes a file that is to be `path`, in the same folder, even if there is an older file.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn replacing(path: &Path) -> Result<Self, DiskError> {
        let made = match system::create_unnamed(folder_of(path)) {
            Ok(file) => Ok((file, Name::None)),
            // Not every file system has files without names; what else is wrong is wrong with a name too.
            Err(_) => create_hidden(folder_of(path)),
        };
        let (file, name) = made.map_err(|error| DiskError::new("create", path, error))?;
        Ok(Self { disk: Disk::of_file(file, path), name })
    }

    /// The file. Its path is the one that it is to get.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Gives it its name, which nothing may have got meanwhile. It should be durable: see [`Disk::sync`].
    ///
    /// # Errors
    /// [`DiskError`]; of the kind [`io::ErrorKind::AlreadyExists`] if something has the name.
    pub fn publish(self) -> Result<Disk, DiskError> {
        let path = self.disk.path();
        let named = match self.name {
            Name::None => system::give_name(self.disk.file(), path),
            Name::Hidden(hidden) => hidden.persist_noclobber(path).map_err(|error| error.error),
        };
        named.map_err(|error| DiskError::new("create", path, error))?;
        Ok(self.disk)
    }

    /// Gives it its name, in place of what has it.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn publish_replacing(self) -> Result<Disk, DiskError> {
        let path = self.disk.path();
        let hidden = match self.name {
            // Only a file with a name can take another's place.
            Name::None => {
                let give_name = |hidden: &Path| system::give_name(self.disk.file(), hidden);
                hidden_name().make_in(folder_of(path), give_name).map(tempfile::NamedTempFile::into_temp_path)
            }
            Name::Hidden(hidden) => Ok(hidden),
        };
        let named = hidden.and_then(|hidden| hidden.persist(path).map_err(|error| error.error));
        named.map_err(|error| DiskError::new("replace", path, error))?;
        Ok(self.disk)
    }
}

fn create_hidden(folder: &Path) -> io::Result<(File, Name)> {
    let hidden = hidden_name()
        .make_in(folder, |hidden| File::options().read(true).write(true).create_new(true).open(hidden))?;
    let (file, hidden) = hidden.into_parts();
    Ok((file, Name::Hidden(hidden)))
}

/// `.logwrites-XXXXXX.part`
fn hidden_name() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".logwrites-").suffix(".part");
    builder
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sorts, one after the other, wherever this file system has both.
    fn drafts(path: &Path) -> impl Iterator<Item = Draft> {
        let hidden = move || {
            let (file, name) = create_hidden(folder_of(path)).unwrap();
            Draft { disk: Disk::of_file(file, path), name }
        };
        std::iter::once_with(move || Draft::replacing(path).unwrap()).chain(std::iter::once_with(hidden))
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_draft_has_its_name_when_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for draft in drafts(&path) {
            draft.disk().write_at(0, b"whole").unwrap();
            assert!(!path.exists());
            let disk = draft.publish().unwrap();
            assert_eq!((disk.path(), names(dir.path())), (path.as_path(), vec!["out".to_owned()]));
            assert_eq!(std::fs::read(&path).unwrap(), b"whole");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drafts(&dir.path().join("out")).for_each(drop);
        assert!(names(dir.path()).is_empty());
        assert_eq!(Draft::new(&dir.path().join("no/out")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_has_the_name_is_replaced_only_where_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for draft in drafts(&path) {
            // It appears meanwhile.
            std::fs::write(&path, "other").unwrap();
            assert_eq!(draft.publish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&path).unwrap(), b"other");
        }
        assert_eq!(Draft::new(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for draft in drafts(&path) {
            draft.disk().write_at(0, b"new").unwrap();
            draft.publish_replacing().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            assert_eq!(names(dir.path()), ["out"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_draft_may_be_read_by_whom_a_new_file_may() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("usual"), "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        let path = dir.path().join("out");
        for draft in drafts(&path) {
            draft.publish_replacing().unwrap();
            assert_eq!(mode(&path), mode(&dir.path().join("usual")));
        }
    }
}
