//! The disk under a log.

use std::path::{Path, PathBuf};

use super::disk::{Access, Disk};
use super::image::{ImageError, ImageFormat};

/// A disk before the first entry of its log.
#[derive(Debug)]
pub enum Origin {
    /// An image, only read.
    Image {
        /// The image.
        disk: Disk,
        /// Its size in bytes.
        len_bytes: u64,
    },
    /// Nothing but zeros.
    Zeros {
        /// How many, in bytes.
        len_bytes: u64,
    },
}

/// Which one it is.
#[derive(Clone, Debug)]
pub enum OriginOptions {
    /// The image at this path, of this format.
    Image(PathBuf, ImageFormat),
    /// So many bytes of zeros.
    Zeros {
        /// How many.
        len_bytes: u64,
    },
}

impl OriginOptions {
    /// The image at `base`, or `zeros_bytes` of zeros; none where neither is named.
    #[must_use]
    pub fn new(base: Option<&Path>, format: ImageFormat, zeros_bytes: Option<u64>) -> Option<Self> {
        let image = base.map(|path| Self::Image(path.to_owned(), format));
        image.or(zeros_bytes.map(|len_bytes| Self::Zeros { len_bytes }))
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(&self) -> Result<Origin, ImageError> {
        match self {
            Self::Image(path, format) => {
                let disk = format.open(path, Access::Read)?;
                let len_bytes = disk.size_bytes()?;
                Ok(Origin::Image { disk, len_bytes })
            }
            Self::Zeros { len_bytes } => Ok(Origin::Zeros { len_bytes: *len_bytes }),
        }
    }
}

impl Origin {
    /// Its size in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        match self {
            Self::Image { len_bytes, .. } | Self::Zeros { len_bytes } => *len_bytes,
        }
    }

    /// The image, if it is one.
    #[must_use]
    pub const fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Image { disk, .. } => Some(disk),
            Self::Zeros { .. } => None,
        }
    }

    /// The image, if it is one, for good.
    #[must_use]
    pub fn into_disk(self) -> Option<Disk> {
        match self {
            Self::Image { disk, .. } => Some(disk),
            Self::Zeros { .. } => None,
        }
    }

    /// What errors call it: the image's path, or the option that gave its size.
    #[must_use]
    pub fn name(&self) -> &Path {
        self.disk().map_or(Path::new("--size"), Disk::path)
    }
}
