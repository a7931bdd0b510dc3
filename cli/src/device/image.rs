//! Disk images as people have them: raw bytes, or a container that only looks like a disk.

use std::path::{Path, PathBuf};

use super::disk::{Access, Disk, DiskError};
use crate::explain::{End, Explain};

/// What is known of an image before it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// Nothing: one that begins as a container does is refused.
    #[default]
    Probed,
    /// It is the bytes of a disk, whatever they look like.
    Raw,
}

impl ImageFormat {
    /// Opens an image that exists.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(self, path: &Path, access: Access) -> Result<Disk, ImageError> {
        let disk = Disk::open(path, access)?;
        if self == Self::Probed {
            let mut start = [0; START_BYTES];
            let len = disk.read_up_to(0, &mut start).map_err(|error| DiskError::new("read", path, error))?;
            if let Some(container) = start.get(..len).and_then(Container::of) {
                return Err(ImageError::Container { path: path.to_owned(), container });
            }
        }
        Ok(disk)
    }
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is not a raw disk, but holds one in another format.
    #[error(
        "{} is {}, not the bytes of a disk: convert it with `{}`, or use --raw to take it as it is",
        path.display(), container.name(), container.converter(path)
    )]
    Container {
        /// The image.
        path: PathBuf,
        /// Its format.
        container: Container,
    },
}

impl Explain for ImageError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Disk(_) => None,
            Self::Container { .. } => Some(End::Malformed),
        }
    }
}

/// A format of images that is not raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// QEMU's, of all versions.
    Qcow,
    /// QEMU's enhanced disk.
    Qed,
    /// `VMware`'s.
    Vmdk,
    /// `VirtualBox`'s.
    Vdi,
    /// Microsoft's, of Virtual PC; a fixed one begins with the disk and is not found.
    Vhd,
    /// Microsoft's, of Hyper-V.
    Vhdx,
    /// Parallels'.
    Parallels,
    /// An encrypted disk.
    Luks,
}

impl Container {
    /// The container that begins with these bytes.
    fn of(start: &[u8]) -> Option<Self> {
        let has = |(_, offset, magic): &&(Self, usize, &[u8])| {
            start.get(*offset..).is_some_and(|rest| rest.starts_with(magic))
        };
        MAGICS.iter().find(has).map(|(container, ..)| *container)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Qcow => "a qcow2 image",
            Self::Qed => "a QED image",
            Self::Vmdk => "a VMDK image",
            Self::Vdi => "a VDI image",
            Self::Vhd => "a VHD image",
            Self::Vhdx => "a VHDX image",
            Self::Parallels => "a Parallels image",
            Self::Luks => "a LUKS-encrypted disk",
        }
    }

    /// The command that makes a raw image of it.
    fn converter(self, path: &Path) -> String {
        let (image, raw) = (path.display(), path.with_extension("raw"));
        let raw = raw.display();
        match self {
            Self::Luks => format!(
                "qemu-img convert -O raw --object secret,id=key,file=PASSPHRASE \
                 --image-opts driver=luks,key-secret=key,file.filename={image} {raw}"
            ),
            _ => format!("qemu-img convert -O raw {image} {raw}"),
        }
    }
}

/// What each begins with, and at which byte.
const MAGICS: [(Container, usize, &[u8]); 11] = [
    (Container::Qcow, 0, b"QFI\xfb"),
    (Container::Qed, 0, b"QED\0"),
    (Container::Vmdk, 0, b"KDMV"),
    (Container::Vmdk, 0, b"COWD"),
    (Container::Vmdk, 0, b"# Disk DescriptorFile"),
    (Container::Vdi, 64, b"\x7f\x10\xda\xbe"),
    (Container::Vhd, 0, b"conectix"),
    (Container::Vhdx, 0, b"vhdxfile"),
    (Container::Parallels, 0, b"WithoutFreeSpace"),
    (Container::Parallels, 0, b"WithouFreSpacExt"),
    (Container::Luks, 0, b"LUKS\xba\xbe"),
];

/// How much of an image tells what it is, in bytes.
const START_BYTES: usize = 68;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_first_bytes() {
        for (container, offset, magic) in MAGICS {
            let mut start = vec![0; START_BYTES];
            start[offset..offset + magic.len()].copy_from_slice(magic);
            assert_eq!(Container::of(&start), Some(container));
            assert_eq!(Container::of(&start[..offset + magic.len() - 1]), None, "{container:?} cut short");
        }
        assert_eq!(Container::of(&[0; START_BYTES]), None);
        assert_eq!(Container::of(b""), None);
    }
}
