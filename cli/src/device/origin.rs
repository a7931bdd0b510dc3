//! The disk under a log.

use std::path::Path;

use super::disk::{Access, Disk, DiskError};
use super::image::{ImageError, ImageFormat};

/// A disk as it was before the first entry of its log.
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

impl Origin {
    /// The image at `base`, or `zeros_bytes` of zeros; none where neither is given.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(
        base: Option<&Path>,
        format: ImageFormat,
        zeros_bytes: Option<u64>,
    ) -> Result<Option<Self>, ImageError> {
        let Some(path) = base else {
            return Ok(zeros_bytes.map(|len_bytes| Self::Zeros { len_bytes }));
        };
        let disk = format.open(path, Access::Read)?;
        let len_bytes = disk.len_bytes().map_err(|error| DiskError::new("find the size of", path, error))?;
        Ok(Some(Self::Image { disk, len_bytes }))
    }

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

    /// What errors call it: the image's path, or the option that gave its size.
    #[must_use]
    pub fn name(&self) -> &Path {
        self.disk().map_or(Path::new("--size"), Disk::path)
    }
}
