//! The file systems that can be made, in one table.

use std::path::Path;

/// A file system, and how one is made.
#[derive(Clone, Copy, Debug)]
pub struct FileSystemType {
    /// What the kernel and `mount` call it.
    pub name: &'static str,
    /// What a person should know of it.
    pub help: &'static str,
    /// The program that makes one, quietly and over whatever was there.
    pub program: &'static str,
    /// The Debian package with that program.
    pub package: &'static str,
    /// The program's options.
    pub options: &'static [&'static str],
    /// The smallest disk that is known to be large enough, in bytes; another version of the program may ask for
    /// another.
    pub least_bytes: u64,
    /// Whether it can be mounted without root, by fuse2fs.
    pub has_fuse2fs: bool,
}

impl FileSystemType {
    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FILE_SYSTEM_TYPES.iter().find(|kind| kind.name == name)
    }

    /// Whether this kernel has it, built in, loaded, or as a module that it would load.
    #[must_use]
    pub fn is_in_kernel(&self) -> bool {
        is_in_kernel(self.name)
    }
}

/// Whether this kernel has the file system that `mount` calls by a name, built in, loaded, or as a module that it would
/// load.
#[must_use]
pub fn is_in_kernel(name: &str) -> bool {
    let is_word = |text: String| text.split_whitespace().any(|word| word == name);
    if std::fs::read_to_string("/proc/filesystems").is_ok_and(is_word) {
        return true;
    }
    let Ok(release) = std::fs::read_to_string("/proc/sys/kernel/osrelease") else { return false };
    let modules = Path::new("/lib/modules").join(release.trim()).join("modules.dep");
    std::fs::read_to_string(modules).is_ok_and(|text| text.contains(&format!("/{name}.ko")))
}

/// The mark behind the making of a file system, where what was asked for begins.
pub const MKFS_MARK: &str = "mkfs";

/// All of them. The sizes were found by trying: e2fsprogs 1.47, xfsprogs 6.1, btrfs-progs 6.2, dosfstools 4.2,
/// f2fs-tools 1.15, nilfs-tools 2.2.9, exfatprogs 1.2.0; that of bcachefs is a guess on the safe side.
pub static FILE_SYSTEM_TYPES: [FileSystemType; 8] = [
    FileSystemType {
        name: "ext4",
        help: "Works without root too, by fuse2fs",
        program: "mkfs.ext4",
        package: "e2fsprogs",
        options: &["-q", "-F"],
        least_bytes: 1 << MIB,
        has_fuse2fs: true,
    },
    FileSystemType {
        name: "xfs",
        help: "At least 300M",
        program: "mkfs.xfs",
        package: "xfsprogs",
        options: &["-q", "-f"],
        least_bytes: 300 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "btrfs",
        help: "At least 110M",
        program: "mkfs.btrfs",
        package: "btrfs-progs",
        options: &["-q", "-f"],
        least_bytes: 110 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "f2fs",
        help: "At least 52M",
        program: "mkfs.f2fs",
        package: "f2fs-tools",
        options: &["-q", "-f"],
        least_bytes: 52 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "nilfs2",
        help: "At least 129M",
        program: "mkfs.nilfs2",
        package: "nilfs-tools",
        options: &["-q", "-f"],
        least_bytes: 129 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "bcachefs",
        help: "If the kernel supports it",
        program: "mkfs.bcachefs",
        package: "bcachefs-tools",
        options: &["-q", "-f"],
        least_bytes: 32 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "vfat",
        help: "FAT",
        program: "mkfs.vfat",
        package: "dosfstools",
        options: &[],
        least_bytes: 1 << MIB,
        has_fuse2fs: false,
    },
    FileSystemType {
        name: "exfat",
        help: "exFAT, at least 3M",
        program: "mkfs.exfat",
        package: "exfatprogs",
        options: &[],
        least_bytes: 3 << MIB,
        has_fuse2fs: false,
    },
];

/// The binary logarithm of a MiB.
const MIB: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        for kind in &FILE_SYSTEM_TYPES {
            assert!(FileSystemType::named(kind.name).is_some_and(|found| std::ptr::eq(found, kind)));
        }
        assert!(FileSystemType::named("hpfs").is_none());
    }

    #[test]
    fn the_kernel_says_what_it_has() {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap();
        for kind in &FILE_SYSTEM_TYPES {
            assert!(kind.is_in_kernel() || !known.contains(kind.name), "{}", kind.name);
        }
    }
}
