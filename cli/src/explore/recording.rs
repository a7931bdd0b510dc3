//! A log and its base, and what any of their sectors hold.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use logwrites_core::contents::FileSystemKind;
use logwrites_core::history::{Checkpoints, Discards, EntrySet, ExtentMap, Index, Piece, Place, read_pieces};
use logwrites_core::num::{narrow, widen};
use logwrites_core::{Extent, SectorSize};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};

use super::digest;
use super::written::{Writes, Written};
use crate::device::{Disk, Origin};

/// A recorded disk: its base, its log, and the index of the log.
#[derive(Debug)]
pub struct Recording<G: ?Sized = Files> {
    index: Index,
    /// The hash of what some pieces hold. It is the same for as long as neither the base nor the log changes.
    fingerprints: RwLock<HashMap<Box<[Piece]>, u128>>,
    /// The first error of reading for a hash.
    failure: Mutex<Option<io::Error>>,
    ground: G,
}

/// A recorded disk, whatever it is read from.
pub type AnyRecording = Recording<dyn Ground>;

/// What a recorded disk is read from: what was there before the first entry, and the log.
pub trait Ground: fmt::Debug + Send + Sync {
    /// The size of the disk in bytes.
    fn len_bytes(&self) -> u64;

    /// Reads from the base or from the log, within it.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, place: Place, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The hash of an extent of the base, if it can be had without reading; see [`Recording::fingerprint`].
    fn base_fingerprint(&self, extent: Extent) -> Option<u128>;
}

/// A log and its base as files.
#[derive(Debug)]
pub struct Files {
    log: Arc<Disk>,
    base: Origin,
}

impl Ground for Files {
    fn len_bytes(&self) -> u64 {
        self.base.len_bytes()
    }

    fn read_at(&self, place: Place, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        match (place, self.base.disk()) {
            (Place::Log, _) => self.log.read_at(offset_bytes, buffer),
            (Place::Base, Some(base)) => base.read_at(offset_bytes, buffer),
            (Place::Base, None) => {
                buffer.fill(0);
                Ok(())
            }
        }
    }

    fn base_fingerprint(&self, _: Extent) -> Option<u128> {
        None
    }
}

impl Recording {
    /// A recording of these files.
    #[must_use]
    pub fn new(index: Index, log: Arc<Disk>, base: Origin) -> Self {
        Self::on(Files { log, base }, index)
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Disk {
        &self.ground.log
    }

    /// The disk before the first entry.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.ground.base
    }
}

impl Recording<Writes> {
    /// What was written to a disk, with that disk as its base.
    pub(super) fn of_writes(written: &Written, base: Crashed) -> Self {
        Self::on(Writes::new(written, base), written.index().clone())
    }
}

impl<G: Ground> Recording<G> {
    fn on(ground: G, index: Index) -> Self {
        Self { index, fingerprints: RwLock::default(), failure: Mutex::default(), ground }
    }
}

impl<G: Ground + ?Sized> Recording<G> {
    /// The entries of its log.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The size of the disk in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.ground.len_bytes()
    }

    /// The unit of the log.
    #[must_use]
    pub const fn sector_size(&self) -> SectorSize {
        self.index.sector_size()
    }

    /// Reads an extent of the disk that `map` describes.
    ///
    /// # Errors
    /// Those of the base and of the log; [`check`](Self::check) tells them too.
    pub fn read(&self, map: &ExtentMap, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.read_pieces(map.pieces(extent), buffer).map_err(|error| {
            let kind = error.kind();
            self.failure.lock().get_or_insert(error);
            kind.into()
        })
    }

    /// Reads bytes of the disk that `map` describes, which need not be whole sectors, and must be within it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_at(&self, map: &ExtentMap, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let sector_size = self.sector_size();
        let first = offset_bytes / sector_size.bytes();
        let end_bytes = offset_bytes.saturating_add(widen(buffer.len()));
        let extent = Extent::between(first, sector_size.sectors_for(end_bytes));
        let mut sectors = vec![0; narrow(sector_size.bytes_of(extent.nr_sectors()))];
        self.read(map, extent, &mut sectors)?;
        let before = narrow(offset_bytes - sector_size.bytes_of(first));
        buffer.copy_from_slice(&sectors[before..before + buffer.len()]);
        Ok(())
    }

    /// The file system of the disk at a point where nothing is lost.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn file_system(&self, point: u64, discards: Discards) -> io::Result<Option<FileSystemKind>> {
        let map = Checkpoints::new(discards).map_at(&self.index, point, &EntrySet::empty());
        FileSystemKind::recognise(self.len_bytes(), |offset_bytes, buffer| {
            self.read_at(&map, offset_bytes, buffer)
        })
    }

    /// A hash of what some pieces hold, one after the other: 128 bits of SHA-256. `None` if they cannot be read, which [`check`](Self::check) tells then.
    #[must_use]
    pub fn fingerprint(&self, pieces: &[Piece]) -> Option<u128> {
        if let [Piece { extent, source: None }] = pieces
            && let Some(known) = self.ground.base_fingerprint(*extent)
        {
            return Some(known);
        }
        if let Some(known) = self.fingerprints.read().get(pieces) {
            return Some(*known);
        }
        match self.hash(pieces) {
            Ok(hash) => {
                let mut fingerprints = self.fingerprints.write();
                if fingerprints.len() >= MAX_FINGERPRINTS {
                    fingerprints.clear();
                }
                fingerprints.insert(pieces.into(), hash);
                Some(hash)
            }
            Err(error) => {
                self.failure.lock().get_or_insert(error);
                None
            }
        }
    }

    /// Whether everything could be read.
    ///
    /// # Errors
    /// The first error of a [`read`](Self::read) or a [`fingerprint`](Self::fingerprint): what a checker said of the disk then
    /// does not count.
    pub fn check(&self) -> io::Result<()> {
        self.failure.lock().take().map_or(Ok(()), Err)
    }

    fn hash(&self, pieces: &[Piece]) -> io::Result<u128> {
        let mut hasher = Sha256::new();
        let sector_size = self.sector_size();
        for piece in pieces {
            let mut rest = piece.extent;
            // A discard may be as large as the disk.
            while !rest.is_empty() {
                let part_sectors = rest.nr_sectors().min(sector_size.sectors_for(MAX_READ_BYTES));
                let part = Extent::between(rest.sector(), rest.sector() + part_sectors);
                let skipped_bytes = sector_size.bytes_of(part.sector() - piece.extent.sector());
                let source = piece.source.map(|source| source.skip(skipped_bytes));
                let mut buffer = vec![0; narrow(sector_size.bytes_of(part_sectors))];
                self.read_pieces([Piece { extent: part, source }], &mut buffer)?;
                hasher.update(&buffer);
                rest = Extent::between(part.end(), rest.end());
            }
        }
        Ok(digest::half(hasher))
    }

    fn read_pieces(&self, pieces: impl IntoIterator<Item = Piece>, buffer: &mut [u8]) -> io::Result<()> {
        read_pieces(self.sector_size(), pieces, buffer, |place, offset_bytes, part| {
            self.ground.read_at(place, offset_bytes, part)
        })
    }

    /// The last mark before a point, as a person would read it.
    #[must_use]
    pub fn last_mark(&self, point: u64) -> Option<String> {
        self.index.last_mark(point).map(|mark| String::from_utf8_lossy(mark.text).into_owned())
    }

    /// The number of the last mark before a point.
    #[must_use]
    pub fn last_mark_entry(&self, point: u64) -> Option<u64> {
        self.index.last_mark(point).map(|mark| mark.entry)
    }
}

/// A disk as a crash has left it.
#[derive(Clone, Debug)]
pub(super) struct Crashed {
    recording: Arc<AnyRecording>,
    /// Where the bytes of the disk are.
    map: ExtentMap,
}

impl Crashed {
    /// The disk of a recording that `map` describes.
    pub(super) fn new(recording: Arc<AnyRecording>, map: ExtentMap) -> Self {
        Self { recording, map }
    }

    /// What it was recorded as.
    pub(super) fn recording(&self) -> &AnyRecording {
        &self.recording
    }

    /// Where the bytes of the disk are.
    pub(super) const fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// Reads an extent; see [`Recording::read`].
    pub(super) fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.recording.read(&self.map, extent, buffer)
    }

    /// Hashes of what some extents hold; `None` if one of them cannot be read.
    pub(super) fn contents_of(&self, extents: &[Extent]) -> Option<Vec<(Extent, u128)>> {
        let mut pieces = Vec::new();
        let contents = extents.iter().map(|extent| {
            pieces.clear();
            pieces.extend(self.map.pieces(*extent));
            Some((*extent, self.recording.fingerprint(&pieces)?))
        });
        contents.collect()
    }
}

/// How many hashes are kept: about 150 MB of them.
const MAX_FINGERPRINTS: usize = 1 << 20;

/// How much is read at a time.
const MAX_READ_BYTES: u64 = 1 << 20;
