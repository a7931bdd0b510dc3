//! A log whose sectors hold one of a few contents, so that many are equal.

use logwrites_core::format::{EntryHeader, Flags, Superblock};
use logwrites_core::history::{ExtentMap, Index, Piece, Source};
use logwrites_core::num::narrow;
use logwrites_core::reader::{Entry, Walk};
use logwrites_core::{Extent, SectorSize};

use crate::choices::Choices;

/// What each sector of the disk holds.
pub(super) type Disk = Vec<u8>;

/// How many sectors the disk has.
pub(super) const NR_SECTORS: u64 = 8;

/// A log and the contents of its entries.
#[derive(Debug)]
pub(super) struct World {
    base: Disk,
    index: Index,
    /// What each entry has for each of its sectors; zeros for a discard.
    contents: Vec<Vec<u8>>,
}

impl World {
    /// A few entries, of all kinds.
    pub(super) fn random(choices: &mut impl Choices) -> Self {
        let superblock = Superblock { nr_entries: u64::MAX, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        let mut contents = Vec::new();
        for _ in 0..=choices.below(14) {
            let header = header(choices);
            let entry = walk.step(&header.emit()).expect("an entry");
            index.push(&entry, b"");
            let is_discard = header.flags.contains(Flags::DISCARD);
            let content = |_| if is_discard { 0 } else { content(choices) };
            contents.push((0..header.nr_sectors).map(content).collect());
        }
        Self { base: (0..NR_SECTORS).map(|_| content(choices)).collect(), index, contents }
    }

    pub(super) const fn index(&self) -> &Index {
        &self.index
    }

    pub(super) const fn nr_entries(&self) -> u64 {
        self.index.nr_entries()
    }

    pub(super) fn base(&self) -> Disk {
        self.base.clone()
    }

    /// Writes a sector of an entry, as the log has it.
    pub(super) fn apply(&self, disk: &mut Disk, entry: &Entry, sector: u64) {
        let nth = narrow(sector - entry.extent().sector());
        disk[narrow(sector)] = self.contents[narrow(entry.index)][nth];
    }

    /// What a map says of the disk.
    pub(super) fn disk_of(&self, map: &ExtentMap) -> Disk {
        let whole = Extent::new(0, NR_SECTORS).expect("a small disk");
        map.pieces(whole).flat_map(|piece| self.read(&piece)).collect()
    }

    /// Tells contents apart, exactly: there are few and short ones.
    pub(super) fn fingerprint(&self, pieces: &[Piece]) -> u128 {
        fingerprint(pieces.iter().flat_map(|piece| self.read(piece)))
    }

    /// The same, of a part of a disk.
    pub(super) fn fingerprint_of(disk: &Disk, extent: Extent) -> u128 {
        fingerprint(disk[narrow(extent.sector())..narrow(extent.end())].iter().copied())
    }

    fn read(&self, piece: &Piece) -> Vec<u8> {
        let (sector, len) = (narrow(piece.extent.sector()), narrow(piece.extent.nr_sectors()));
        match piece.source {
            None => self.base[sector..sector + len].to_vec(),
            Some(Source::Zeros { .. }) => vec![0; len],
            Some(Source::Log { offset_bytes }) => {
                let entry = self.index.entry_at(offset_bytes).and_then(|entry| self.index.entry(entry));
                let entry = entry.expect("the log has it");
                let nth = narrow((offset_bytes - entry.payload().start) / SectorSize::B512.bytes());
                assert_eq!(entry.extent().sector() + u64::try_from(nth).expect("few"), piece.extent.sector());
                self.contents[narrow(entry.index)][nth..nth + len].to_vec()
            }
        }
    }
}

fn header(choices: &mut impl Choices) -> EntryHeader {
    let flags = match choices.below(16) {
        0 => Flags::MARK,
        1 => Flags::FLUSH,
        2 => Flags::FLUSH | Flags::FUA,
        3 => Flags::DISCARD,
        4 => Flags::DISCARD | Flags::FUA,
        5 | 6 => Flags::FUA | Flags::METADATA,
        _ => Flags::empty(),
    };
    let sector = choices.below(NR_SECTORS);
    let nr_sectors = match flags {
        Flags::MARK => 0,
        _ if flags.contains(Flags::FLUSH) => choices.below(2),
        _ => 1 + choices.below(3),
    };
    EntryHeader { sector, nr_sectors: nr_sectors.min(NR_SECTORS - sector), flags, data_len: 0 }
}

/// One of three, of which one is zeros.
fn content(choices: &mut impl Choices) -> u8 {
    u8::try_from(choices.below(3)).expect("below 3")
}

fn fingerprint(contents: impl Iterator<Item = u8>) -> u128 {
    contents.fold(1, |hash, content| hash * 3 + u128::from(content))
}
