//! Room in the log: where the next entry goes, and what is promised to operations in flight.

use crate::config::Config;
use crate::geometry::{MAX_OFFSET_BYTES, SectorSize};

/// The end of the log and the room kept behind it.
///
/// An operation that is accepted has room for its entry *and* for a FLUSH behind it, so that a flush is never
/// refused. Once its entry has its place, the room for the FLUSH stays until the next one: [`is_dirty`].
///
/// [`is_dirty`]: Self::is_dirty
#[derive(Clone, Debug)]
pub(crate) struct Space {
    sector_size: SectorSize,
    capacity_bytes: u64,
    closing_bytes: u64,
    end_bytes: u64,
    reserved_bytes: u64,
    dirty: bool,
}

impl Space {
    pub(crate) fn new(config: &Config, end_bytes: u64, dirty: bool) -> Self {
        Self {
            sector_size: config.sector_size,
            capacity_bytes: config.capacity_bytes.min(MAX_OFFSET_BYTES),
            closing_bytes: config.closing_bytes(),
            end_bytes,
            reserved_bytes: 0,
            dirty,
        }
    }

    /// Where the next entry goes, in bytes from the start of the log.
    pub(crate) const fn end_bytes(&self) -> u64 {
        self.end_bytes
    }

    /// Whether something was logged behind the last FLUSH.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// What is neither used nor promised, in bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        let flush_bytes = if self.dirty { self.sector_size.bytes() } else { 0 };
        let used = [self.end_bytes, self.reserved_bytes, flush_bytes, self.closing_bytes];
        used.iter().fold(self.capacity_bytes, |free, bytes| free.saturating_sub(*bytes))
    }

    /// What an entry with so much payload takes together with a FLUSH behind it, in bytes; `None` if no log
    /// could hold it.
    pub(crate) const fn needed_bytes(&self, payload_sectors: u64) -> Option<u64> {
        match payload_sectors.checked_add(2) {
            Some(sectors) => self.sector_size.checked_bytes_of(sectors),
            None => None,
        }
    }

    /// Promises room for an entry with so much payload, and a FLUSH behind it; gives what it needs, in bytes,
    /// if there is not as much.
    pub(crate) fn reserve(&mut self, payload_sectors: u64) -> Result<(), u64> {
        let needed_bytes = self.needed_bytes(payload_sectors).ok_or(u64::MAX)?;
        if needed_bytes > self.free_bytes() {
            return Err(needed_bytes);
        }
        self.reserved_bytes += needed_bytes;
        Ok(())
    }

    /// Takes a promise back.
    pub(crate) fn give_back(&mut self, payload_sectors: u64) {
        let bytes = self.needed_bytes(payload_sectors).unwrap_or(0);
        debug_assert!(bytes <= self.reserved_bytes, "only what was reserved is given back");
        self.reserved_bytes = self.reserved_bytes.saturating_sub(bytes);
    }

    /// Takes back the part of a promise that was for the payload: the entry will have none.
    pub(crate) fn shrink(&mut self, payload_sectors: u64) {
        self.give_back(payload_sectors);
        self.reserved_bytes += self.needed_bytes(0).unwrap_or(0);
    }

    /// Gives an entry with so much payload, for which room was reserved, its place; returns its offset.
    #[inline]
    pub(crate) fn place(&mut self, payload_sectors: u64) -> u64 {
        self.give_back(payload_sectors);
        self.dirty = true;
        self.advance(payload_sectors)
    }

    /// Whether a FLUSH has its room: always behind an entry, and otherwise if there is enough.
    pub(crate) fn has_room_for_flush(&self) -> bool {
        self.dirty || self.free_bytes() >= self.sector_size.bytes()
    }

    /// Gives a FLUSH its place; returns its offset.
    pub(crate) fn place_flush(&mut self) -> u64 {
        debug_assert!(self.has_room_for_flush(), "a flush is placed where there is room");
        self.dirty = false;
        self.advance(0)
    }

    /// Gives the closing entry its place; returns its offset.
    pub(crate) fn place_closing(&mut self) -> u64 {
        self.closing_bytes = 0;
        self.advance(0)
    }

    fn advance(&mut self, payload_sectors: u64) -> u64 {
        let offset_bytes = self.end_bytes;
        self.end_bytes += self.sector_size.bytes_of(payload_sectors + 1);
        debug_assert!(self.end_bytes <= self.capacity_bytes, "every entry's room was reserved");
        offset_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ordering;

    fn space(capacity_bytes: u64, ordering: Ordering) -> Space {
        let config = Config { ordering, capacity_bytes, ..Config::new(SectorSize::B512) };
        Space::new(&config, 512, false)
    }

    #[test]
    fn a_flush_always_has_room_behind_an_entry() {
        let mut space = space(4 * 512, Ordering::Completion);
        assert_eq!(space.free_bytes(), 3 * 512);
        assert_eq!(space.reserve(2), Err(4 * 512));
        assert_eq!(space.reserve(1), Ok(()));
        assert_eq!(space.reserve(0), Err(2 * 512));
        assert_eq!(space.place(1), 512);
        assert_eq!(space.free_bytes(), 0);
        assert!(space.has_room_for_flush());
        assert_eq!(space.place_flush(), 3 * 512);
        assert!(!space.has_room_for_flush());
    }

    #[test]
    fn a_failed_operation_gives_its_room_back() {
        let mut space = space(4 * 512, Ordering::Completion);
        assert_eq!(space.reserve(1), Ok(()));
        space.give_back(1);
        assert_eq!(space.reserve(1), Ok(()));
    }

    #[test]
    fn the_closing_entry_keeps_its_room() {
        let mut space = space(5 * 512, Ordering::Durability);
        assert_eq!(space.reserve(2), Err(4 * 512));
        assert_eq!(space.reserve(1), Ok(()));
        assert_eq!(space.place(1), 512);
        assert_eq!(space.place_flush(), 3 * 512);
        assert_eq!(space.reserve(0), Err(1024));
        assert_eq!(space.place_closing(), 4 * 512);
    }

    #[test]
    fn no_length_overflows() {
        let mut space = space(u64::MAX, Ordering::Completion);
        assert_eq!(space.reserve(u64::MAX), Err(u64::MAX));
        assert!(space.reserve(1 << 55).is_err());
        assert!(space.reserve(1 << 50).is_ok());
    }
}
