//! Directories of XFS: the names in a block, or in an inode.

use super::super::fields::Fields;

/// Says which names a block of a directory has, and of which inodes. Blocks without names have none.
pub(super) fn entries(block: &[u8], has_file_types: bool, mut tell: impl FnMut(&[u8], u64)) {
    let fields = Fields(block);
    let magics: [(&[u8; 4], usize, bool); 4] =
        [(b"XD2B", 16, true), (b"XD2D", 16, false), (b"XDB3", 64, true), (b"XDD3", 64, false)];
    let Some((_, start, has_leaf)) = magics.into_iter().find(|(magic, ..)| fields.has(0, *magic)) else {
        return;
    };
    // A directory of one block has in its end the hashes of its names.
    let tail_bytes = |nr_names: u32| usize::try_from(nr_names).unwrap_or(usize::MAX).saturating_mul(8);
    let end = if has_leaf {
        let tail = block.len().saturating_sub(8);
        tail.saturating_sub(tail_bytes(fields.be32(tail)))
    } else {
        block.len()
    };
    let mut at = start;
    while at + 8 < end {
        at += if fields.be16(at) == UNUSED {
            usize::from(fields.be16(at + 2)).max(8)
        } else {
            let name_bytes = usize::from(fields.byte(at + 8));
            tell(fields.part(at + 9, name_bytes), fields.be64(at));
            // After the name its type may follow, and then where the entry begins.
            (11 + name_bytes + usize::from(has_file_types)).next_multiple_of(8)
        };
    }
}

/// Says which names a directory has that has all of them in its inode.
pub(super) fn short_entries(fork: &[u8], has_file_types: bool, mut tell: impl FnMut(&[u8], u64)) {
    let fields = Fields(fork);
    let inode_bytes = if fields.byte(1) == 0 { 4 } else { 8 };
    let mut at = 2 + inode_bytes;
    for _ in 0..fields.byte(0) {
        let name_bytes = usize::from(fields.byte(at));
        let after = at + 3 + name_bytes + usize::from(has_file_types);
        let inode = if inode_bytes == 4 { fields.be32(after).into() } else { fields.be64(after) };
        tell(fields.part(at + 3, name_bytes), inode);
        at = after + inode_bytes;
    }
}

/// What a byte of a directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// Names.
    Data,
    /// Hashes of names: leaves, and nodes over them.
    Leaf,
    /// Where there is room for names.
    FreeIndex,
}

impl Area {
    /// The area of an offset in bytes.
    pub(super) const fn of(offset_bytes: u64) -> Self {
        match offset_bytes >> AREA_SHIFT {
            0 => Self::Data,
            1 => Self::Leaf,
            _ => Self::FreeIndex,
        }
    }

    /// The offset that it begins at, in bytes.
    pub(super) const fn start(self) -> u64 {
        match self {
            Self::Data => 0,
            Self::Leaf => 1 << AREA_SHIFT,
            Self::FreeIndex => 2 << AREA_SHIFT,
        }
    }
}

/// Each area has as many bytes.
const AREA_SHIFT: u32 = 35;

/// How what is not a name begins.
const UNUSED: u16 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn names(tell: impl FnOnce(&mut dyn FnMut(&[u8], u64))) -> Vec<(Vec<u8>, u64)> {
        let mut names = Vec::new();
        tell(&mut |name, inode| names.push((name.to_vec(), inode)));
        names
    }

    #[test]
    fn a_block_has_names_up_to_its_hashes() {
        let mut block = vec![0; 512];
        block[..4].copy_from_slice(b"XD2B");
        block[16..20].copy_from_slice(&[0xff, 0xff, 0, 16]);
        block[39..43].copy_from_slice(&[130, 2, b'a', b'b']);
        block[55..59].copy_from_slice(&[131, 2, b'c', b'd']);
        // Hashes of all that would come after.
        block[504..508].copy_from_slice(&[0, 0, 0, 55]);
        let entries = |block: &[u8]| names(|tell| entries(block, true, tell));
        assert_eq!(entries(&block), [(b"ab".to_vec(), 130), (b"cd".to_vec(), 131)]);
        block[504..508].copy_from_slice(&[0xff; 4]);
        assert_eq!((entries(&block), entries(b"XD2B")), (vec![], vec![]));
    }

    #[test]
    fn an_inode_has_names_with_numbers_of_two_lengths() {
        let short = [2, 0, 0, 0, 0, 128, 1, 0, 0, b'x', 0, 0, 0, 131, 2, 0, 0, b'y', b'z', 0, 0, 1, 0];
        let names_of = |fork: &[u8]| names(|tell| short_entries(fork, false, tell));
        assert_eq!(names_of(&short), [(b"x".to_vec(), 131), (b"yz".to_vec(), 256)]);
        let long = [1, 1, 0, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, b'x', 0, 0, 0, 1, 0, 0, 0, 131];
        assert_eq!(names_of(&long), [(b"x".to_vec(), (1 << 32) + 131)]);
        assert_eq!(names_of(&[255]).len(), 255);
    }
}
