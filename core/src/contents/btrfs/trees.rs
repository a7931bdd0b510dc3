//! The trees of btrfs, by their numbers.

use super::super::role::Class;

pub(super) const ROOT: u64 = 1;
pub(super) const EXTENT: u64 = 2;
pub(super) const CHUNK: u64 = 3;
pub(super) const FS: u64 = 5;
// The others are written as negative numbers: -6 and -9.
pub(super) const LOG: u64 = u64::MAX - 5;
pub(super) const DATA_RELOCATION: u64 = u64::MAX - 8;

/// What a tree is called, and what it is for; `None` if it is a subvolume's.
pub(super) const fn name(tree: u64) -> Option<(&'static str, Class)> {
    Some(match tree {
        ROOT => ("root tree", Class::Superblock),
        EXTENT => ("extent tree", Class::Allocation),
        CHUNK => ("chunk tree", Class::Superblock),
        4 => ("dev tree", Class::Allocation),
        FS => ("fs tree", Class::Inode),
        7 => ("csum tree", Class::Metadata),
        8 => ("quota tree", Class::Metadata),
        9 => ("uuid tree", Class::Metadata),
        10 => ("free space tree", Class::Allocation),
        11 => ("block group tree", Class::Allocation),
        12 => ("raid stripe tree", Class::Metadata),
        LOG => ("log tree", Class::Journal),
        RELOCATION => ("tree of a relocation", Class::Metadata),
        DATA_RELOCATION => ("data relocation tree", Class::Metadata),
        _ => return None,
    })
}

/// Whether a tree has files.
pub(super) const fn has_files(tree: u64) -> bool {
    tree == FS || FIRST_SUBVOLUME <= tree && tree <= u64::MAX - 255 || tree == DATA_RELOCATION
}

/// The root directory of each subvolume.
pub(super) const ROOT_DIRECTORY: u64 = 256;

const FIRST_SUBVOLUME: u64 = 256;
const RELOCATION: u64 = u64::MAX - 7;
