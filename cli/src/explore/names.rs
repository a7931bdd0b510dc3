//! What the writes that a state has lost, and the blocks of its disk, are to the file system.

use std::io;
use std::ops::{Range, RangeInclusive};

use logwrites_core::Extent;
use logwrites_core::contents::{Contents, Role, Written};
use logwrites_core::crash::State;
use logwrites_core::format::Flags;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap};
use logwrites_core::num::narrow;
use logwrites_core::reader::Entry;

use super::recording::AnyRecording;

/// Names for what a state has lost: by the file system that is on the disk at the state's point with nothing lost, and for
/// what is not yet in use there, by that at the end of the log.
#[derive(Debug)]
pub(super) struct Names<'a> {
    recording: &'a AnyRecording,
    checkpoints: Checkpoints,
    now: Option<Named>,
    last: Option<Named>,
}

/// The disk at a point, and what is on it.
#[derive(Debug)]
struct Named {
    map: ExtentMap,
    contents: Contents,
}

impl<'a> Names<'a> {
    /// Names for a state. A disk that cannot be read, or has no file system that is known, has none.
    pub(super) fn new(recording: &'a AnyRecording, discards: Discards, state: &State) -> Self {
        let mut names = Self { recording, checkpoints: Checkpoints::new(discards), now: None, last: None };
        let nr_entries = recording.index().nr_entries();
        names.now = names.named(state.point);
        names.last = if state.point == nr_entries { None } else { names.named(nr_entries) };
        names
    }

    /// What an entry is, or some of its sectors, counted from its first.
    pub(super) fn of(&mut self, entry: &Entry, sectors: Option<&RangeInclusive<u64>>) -> Vec<Role> {
        let extent = entry.extent();
        let part = sectors.map_or(extent, |sectors| {
            Extent::between(extent.sector() + sectors.start(), extent.sector() + sectors.end() + 1)
        });
        let (before, after) = (self.map_at(entry.index), self.map_at(entry.index + 1));
        let roles = |named: &Option<Named>| {
            named.as_ref().and_then(|named| named.roles(self.recording, entry, part, (&before, &after)).ok())
        };
        let now = roles(&self.now).filter(|roles| roles.iter().any(Role::is_used));
        let known = now.or_else(|| roles(&self.last).filter(|roles| roles.iter().any(Role::is_used)));
        known.or_else(|| roles(&self.now)).unwrap_or_default()
    }

    /// What some bytes of the disk are, by their place alone.
    pub(super) fn at(&self, range_bytes: Range<u64>) -> Vec<Role> {
        let roles = |named: &Option<Named>| Some(named.as_ref()?.contents.roles(range_bytes.clone()));
        let is_used = |roles: &Vec<Role>| roles.iter().any(Role::is_used);
        let known = roles(&self.now).filter(is_used).or_else(|| roles(&self.last).filter(is_used));
        known.or_else(|| roles(&self.now)).unwrap_or_default()
    }

    fn named(&mut self, point: u64) -> Option<Named> {
        let map = self.map_at(point);
        let read = |offset_bytes: u64, buffer: &mut [u8]| self.recording.read_at(&map, offset_bytes, buffer);
        let contents = Contents::of(self.recording.len_bytes(), read).ok()??;
        Some(Named { map, contents })
    }

    fn map_at(&mut self, point: u64) -> ExtentMap {
        let nothing = State::from(point).lost;
        self.checkpoints.map_at(self.recording.index(), point, &nothing)
    }
}

impl Named {
    fn roles(
        &self,
        recording: &AnyRecording,
        entry: &Entry,
        part: Extent,
        (before, after): (&ExtentMap, &ExtentMap),
    ) -> io::Result<Vec<Role>> {
        let sector_size = recording.sector_size();
        let offset_bytes = sector_size.bytes_of(part.sector());
        let len_bytes = sector_size.bytes_of(part.nr_sectors());
        if entry.flags().contains(Flags::DISCARD) || len_bytes > MAX_WRITE_BYTES {
            return Ok(self.contents.roles(offset_bytes..offset_bytes.saturating_add(len_bytes)));
        }
        let (mut bytes, mut old) = (vec![0; narrow(len_bytes)], vec![0; narrow(len_bytes)]);
        recording.read(before, part, &mut old)?;
        recording.read(after, part, &mut bytes)?;
        let written = Written { offset_bytes, bytes: &bytes, before: &old };
        self.contents.told(written, |offset_bytes, buffer| recording.read_at(&self.map, offset_bytes, buffer))
    }
}

/// Of a longer write only the place is looked at, not what it says.
const MAX_WRITE_BYTES: u64 = 64 << 20;
