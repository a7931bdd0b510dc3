//! What a block of XFS version 5 says of itself: its kind, and what it belongs to.

use super::super::fields::Fields;
use super::Block;
use super::btree::Tree;
use super::directory::Area;
use super::geometry::Geometry;
use super::inode::MAGIC;

/// What a block, or as much of it as there is, says that it is. It must be of this file system, and at its own place.
pub(super) fn block(bytes: &[u8], at: u64, geometry: &Geometry) -> Option<Block> {
    if !geometry.has_checksums {
        return None;
    }
    let fields = Fields(bytes);
    if fields.has(0, MAGIC) {
        let is_ours = fields.has(160, &geometry.uuid) && fields.be64(152) == geometry.inode_at(at);
        return is_ours.then_some(Block::Inodes { at });
    }
    let (header, kind): (Header, fn(u64) -> Block) = match (fields.part(0, 4), fields.be16(8)) {
        (b"BMA3", _) => (FILE_TREE, |inode| Block::Bmap { inode }),
        (b"XDB3" | b"XDD3", _) => (DIRECTORY, |inode| in_directory(inode, Area::Data)),
        (b"XDF3", _) => (DIRECTORY, |inode| in_directory(inode, Area::FreeIndex)),
        (b"XARM", _) => (REMOTE, |inode| Block::Attributes { inode }),
        (b"XSLM", _) => (REMOTE, |inode| Block::Link { inode }),
        (_, 0x3df1 | 0x3dff) => (HASHES, |inode| in_directory(inode, Area::Leaf)),
        (_, 0x3bee) => (HASHES, |inode| Block::Attributes { inode }),
        _ => {
            let tree = Tree::ALL.into_iter().find(|tree| fields.has(0, tree.magics()[1]))?;
            return AG_TREE
                .is_here(fields, at, geometry)
                .then(|| Block::Tree { tree, ag: geometry.ag_of(at) });
        }
    };
    header.is_here(fields, at, geometry).then(|| kind(fields.be64(header.owner)))
}

fn in_directory(inode: u64, area: Area) -> Block {
    Block::Directory { inode, offset: area.start() }
}

/// Where a header has the UUID of its file system, the block's own place in sectors of 512 bytes, and what it belongs to.
#[derive(Clone, Copy)]
struct Header {
    uuid: usize,
    place: usize,
    owner: usize,
}

impl Header {
    fn is_here(self, fields: Fields<'_>, at: u64, geometry: &Geometry) -> bool {
        fields.has(self.uuid, &geometry.uuid) && fields.be64(self.place) == at / 512
    }
}

const AG_TREE: Header = Header { uuid: 32, place: 16, owner: 48 };
const FILE_TREE: Header = Header { uuid: 40, place: 24, owner: 56 };
const DIRECTORY: Header = Header { uuid: 24, place: 8, owner: 40 };
const HASHES: Header = Header { uuid: 32, place: 16, owner: 48 };
const REMOTE: Header = Header { uuid: 16, place: 40, owner: 32 };
