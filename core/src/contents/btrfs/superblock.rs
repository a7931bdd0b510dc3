//! What the superblock of btrfs says.

use super::super::fields::Fields;

/// What a superblock says, as far as it makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superblock {
    /// What each block of a tree has, too.
    pub(super) uuid: [u8; 16],
    pub(super) root_tree: Root,
    pub(super) chunk_tree: Root,
    pub(super) log_tree: Root,
    pub(super) sector_bytes: usize,
    pub(super) node_bytes: usize,
    /// Which of the devices of the file system this one is.
    pub(super) device: u64,
}

/// Where the root of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Its logical address, in bytes.
    pub(super) at: u64,
    pub(super) level: u8,
    pub(super) generation: u64,
}

impl Superblock {
    /// Where it is, and its mirrors, in bytes of the disk.
    pub(super) const OFFSETS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];

    pub(super) const BYTES: usize = 4096;

    /// What these bytes say; `None` if they are not a superblock, or make no sense.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        let size = |at: usize| {
            let bytes = usize::try_from(fields.le32(at)).ok()?;
            (bytes.is_power_of_two() && (512..=65536).contains(&bytes)).then_some(bytes)
        };
        let uuid = fields.part(if fields.le64(188) & METADATA_UUID == 0 { 32 } else { 571 }, 16);
        let generation = generation(bytes)?;
        Some(Self {
            uuid: uuid.try_into().ok()?,
            root_tree: Root { at: fields.le64(80), level: fields.byte(198), generation },
            chunk_tree: Root { at: fields.le64(88), level: fields.byte(199), generation: fields.le64(164) },
            log_tree: Root {
                at: fields.le64(96),
                level: fields.byte(200),
                generation: generation.saturating_add(1),
            },
            sector_bytes: size(144)?,
            node_bytes: size(148).filter(|bytes| *bytes >= 4096)?,
            device: fields.le64(201),
        })
    }

    /// Keys and chunks: those that it takes to read the chunk tree.
    pub(super) fn system_chunks(bytes: &[u8]) -> Fields<'_> {
        let len = usize::try_from(Fields(bytes).le32(160)).unwrap_or(0);
        Fields(Fields(bytes).part(811, len.min(2048)))
    }
}

/// How many transactions were committed until a superblock was written; `None` if these bytes are not one.
pub(super) fn generation(bytes: &[u8]) -> Option<u64> {
    let fields = Fields(bytes);
    fields.has(64, MAGIC).then(|| fields.le64(72))
}

const MAGIC: &[u8] = b"_BHRfS_M";
const METADATA_UUID: u64 = 0x400;
