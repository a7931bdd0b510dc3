//! Which file system a disk has.

use super::fields::Fields;
use crate::num::widen;

/// A file system, by the driver of Linux that mounts it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileSystemKind {
    /// bcachefs.
    Bcachefs,
    /// btrfs.
    Btrfs,
    /// exFAT.
    ExFat,
    /// ext4, and ext2 and ext3, which its driver mounts too.
    Ext4,
    /// f2fs.
    F2fs,
    /// FAT with 12, 16 or 32 bits.
    Fat,
    /// nilfs2.
    Nilfs2,
    /// NTFS.
    Ntfs,
    /// XFS.
    Xfs,
}

impl FileSystemKind {
    /// The file system of a disk of `len_bytes` bytes, by the magic number of its superblock or boot sector; `None` if it
    /// is not one of these. `read` fills a buffer from an offset in bytes, and is asked for at most 512 bytes, at most
    /// a dozen times.
    ///
    /// It says what the disk was made as, not that all of it is well-formed.
    ///
    /// # Errors
    /// The first of `read`.
    pub fn recognise<E>(
        len_bytes: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let mut buffer = [0; 512];
        for (kind, offset_bytes, magic) in SIGNATURES {
            let found = &mut buffer[..magic.len()];
            if offset_bytes + widen(magic.len()) <= len_bytes {
                read(offset_bytes, found)?;
                if found == magic {
                    return Ok(Some(kind));
                }
            }
        }
        if len_bytes < widen(buffer.len()) {
            return Ok(None);
        }
        read(0, &mut buffer)?;
        Ok(is_fat(Fields(&buffer)).then_some(Self::Fat))
    }

    /// The one of that [name](Self::name).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let kinds = SIGNATURES.iter().map(|(kind, ..)| *kind).chain([Self::Fat]);
        kinds.into_iter().find(|kind| kind.name() == name)
    }

    /// The name, as `mount -t` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bcachefs => "bcachefs",
            Self::Btrfs => "btrfs",
            Self::ExFat => "exfat",
            Self::Ext4 => "ext4",
            Self::F2fs => "f2fs",
            Self::Fat => "vfat",
            Self::Nilfs2 => "nilfs2",
            Self::Ntfs => "ntfs3",
            Self::Xfs => "xfs",
        }
    }
}

/// The magic number of each, and where on the disk it is, in bytes.
const SIGNATURES: [(FileSystemKind, u64, &[u8]); 9] = [
    (FileSystemKind::Xfs, 0, b"XFSB"),
    (FileSystemKind::ExFat, 3, b"EXFAT   "),
    (FileSystemKind::Ntfs, 3, b"NTFS    "),
    (FileSystemKind::Ext4, 1080, b"\x53\xef"),
    (FileSystemKind::F2fs, 1024, b"\x10\x20\xf5\xf2"),
    (FileSystemKind::Nilfs2, 1030, b"\x34\x34"),
    // Of today, and of its first years.
    (FileSystemKind::Bcachefs, 4120, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
    (FileSystemKind::Bcachefs, 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    (FileSystemKind::Btrfs, 65600, b"_BHRfS_M"),
];

/// FAT has no magic number; its parameters must make sense.
fn is_fat(boot: Fields<'_>) -> bool {
    let is_size = |bytes: u16| bytes.is_power_of_two() && (512..=4096).contains(&bytes);
    let (sector_bytes, cluster_sectors, reserved, nr_fats) =
        (boot.le16(11), boot.byte(13), boot.le16(14), boot.byte(16));
    let (nr_sectors, fat_sectors) =
        (u32::from(boot.le16(19)).max(boot.le32(32)), u32::from(boot.le16(22)).max(boot.le32(36)));
    boot.has(510, &[0x55, 0xaa])
        && is_size(sector_bytes)
        && cluster_sectors.is_power_of_two()
        && reserved > 0
        && (1..=2).contains(&nr_fats)
        && (boot.byte(21) == 0xf0 || boot.byte(21) >= 0xf8)
        && nr_sectors > 0
        && fat_sectors > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn recognise(disk: &[u8]) -> Option<FileSystemKind> {
        let read = |offset_bytes: u64, buffer: &mut [u8]| {
            let at = usize::try_from(offset_bytes).unwrap();
            buffer.copy_from_slice(disk.get(at..at + buffer.len()).ok_or(())?);
            Ok::<(), ()>(())
        };
        FileSystemKind::recognise(widen(disk.len()), read).expect("reads are within the disk")
    }

    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut disk = vec![0; 68 << 10];
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        disk
    }

    #[test]
    fn each_is_known_by_its_magic_number() {
        for (kind, offset_bytes, magic) in SIGNATURES {
            let at = usize::try_from(offset_bytes).unwrap();
            let disk = with(at, magic);
            assert_eq!(recognise(&disk), Some(kind));
            assert_eq!(recognise(&disk[..at + magic.len() - 1]), None, "{kind:?} is cut off");
        }
        assert_eq!(recognise(&with(0, b"")), None);
        assert_eq!(recognise(b""), None);
    }

    #[test]
    fn fat_is_known_by_its_parameters() {
        let mut disk = vec![0; 512];
        disk[11..26].copy_from_slice(&[0, 2, 4, 1, 0, 2, 0, 2, 0, 8, 0xf8, 2, 0, 0, 0]);
        disk[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(recognise(&disk), Some(FileSystemKind::Fat));
        // Each of them matters.
        for (at, byte) in [(11, 1), (13, 3), (14, 0), (16, 0), (20, 0), (21, 7), (22, 0), (510, 0)] {
            let mut other = disk.clone();
            other[at] = byte;
            assert_eq!(recognise(&other), None, "byte {at}");
        }
    }

    #[test]
    fn an_error_of_reading_is_passed_on() {
        assert_eq!(FileSystemKind::recognise(1 << 20, |_, _| Err("no")), Err("no"));
    }
}
