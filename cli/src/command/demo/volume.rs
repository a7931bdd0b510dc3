//! The FAT volume of the demo.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, ReadWriteSeek};

use super::disk::RecordedDisk;

/// The files of a volume: path and content.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A mounted volume.
pub(super) struct Volume<'a> {
    fs: FileSystem<&'a mut RecordedDisk>,
}

impl Volume<'_> {
    /// Makes an empty file system.
    pub(super) fn format(disk: &mut RecordedDisk) -> anyhow::Result<()> {
        fatfs::format_volume(&mut *disk, FormatVolumeOptions::new().volume_label(*b"LOGWRITES  "))?;
        Ok(disk.flush()?)
    }

    /// Mounts the volume, changes something, unmounts it, and flushes the disk's cache.
    pub(super) fn change(
        disk: &mut RecordedDisk,
        change: impl FnOnce(&Volume<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        {
            let volume = Volume { fs: mount(&mut *disk)? };
            change(&volume)?;
            volume.fs.unmount()?;
        }
        Ok(disk.flush()?)
    }

    /// The files that are on the volume now.
    pub(super) fn files(disk: &mut RecordedDisk) -> anyhow::Result<Files> {
        read_files(disk)
    }

    /// Writes a file anew.
    pub(super) fn write(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut file = self.fs.root_dir().create_file(path)?;
        file.truncate()?;
        file.write_all(content)?;
        Ok(file.flush()?)
    }

    /// Makes a folder.
    pub(super) fn make_folder(&self, path: &str) -> anyhow::Result<()> {
        self.fs.root_dir().create_dir(path)?;
        Ok(())
    }

    /// Deletes a file.
    pub(super) fn remove(&self, path: &str) -> anyhow::Result<()> {
        Ok(self.fs.root_dir().remove(path)?)
    }
}

/// The files of a volume in an image.
pub(super) fn files_of_image(image: &Path) -> anyhow::Result<Files> {
    let file = File::options().read(true).write(true).open(image);
    read_files(file.with_context(|| image.display().to_string())?)
}

/// A file of a volume in an image.
#[cfg(target_os = "linux")]
pub(super) fn file_of_image(image: &Path, path: &str) -> anyhow::Result<Vec<u8>> {
    let fs = mount(File::options().read(true).write(true).open(image)?)?;
    let mut content = Vec::new();
    fs.root_dir().open_file(path)?.read_to_end(&mut content)?;
    Ok(content)
}

fn mount<T: ReadWriteSeek>(mut disk: T) -> std::io::Result<FileSystem<T>> {
    // It reads from the current position of the disk.
    disk.rewind()?;
    FileSystem::new(disk, FsOptions::new())
}

fn read_files(disk: impl ReadWriteSeek) -> anyhow::Result<Files> {
    let fs = mount(disk)?;
    let mut files = Files::new();
    let mut folders = vec![(String::new(), fs.root_dir())];
    while let Some((path, folder)) = folders.pop() {
        for entry in folder.iter() {
            let entry = entry?;
            let name = format!("{path}{}", entry.file_name());
            if [".", ".."].contains(&entry.file_name().as_str()) {
                continue;
            }
            if entry.is_dir() {
                folders.push((format!("{name}/"), entry.to_dir()));
            } else {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content)?;
                files.insert(name, content);
            }
        }
    }
    Ok(files)
}
