//! Room in the log: where the next entry goes, and what is promised to operations in flight.

use crate::config::Config;
use crate::geometry::{MAX_OFFSET_BYTES, SectorSize};

/// The end of the log and the room kept after it, in sectors.
///
/// An operation that is accepted has room for its entry *and* for a FLUSH after it, so that a flush is never
/// refused. Once its entry has its place, the room for the FLUSH stays until the next one: [`is_dirty`].
///
/// [`is_dirty`]: Self::is_dirty
#[derive(Clone, Debug)]
pub(crate) struct Space {
    sector_size: SectorSize,
    capacity_sectors: u64,
    end_sector: u64,
    /// What is neither used nor promised.
    free_sectors: u64,
    dirty: bool,
}

impl Space {
    /// The room after `end_bytes`, a sector boundary.
    pub(crate) fn new(config: &Config, end_bytes: u64, dirty: bool) -> Self {
        let sector_bytes = config.sector_size.bytes();
        let capacity_sectors = config.capacity_bytes.min(MAX_OFFSET_BYTES) / sector_bytes;
        let end_sector = end_bytes / sector_bytes;
        let promised_sectors = u64::from(dirty) + config.closing_bytes() / sector_bytes;
        let free_sectors = capacity_sectors.saturating_sub(end_sector).saturating_sub(promised_sectors);
        Self { sector_size: config.sector_size, capacity_sectors, end_sector, free_sectors, dirty }
    }

    /// Where the next entry goes, in sectors from the start of the log.
    pub(crate) const fn end_sector(&self) -> u64 {
        self.end_sector
    }

    /// Whether something was logged after the last FLUSH.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// What is neither used nor promised, in bytes.
    pub(crate) const fn free_bytes(&self) -> u64 {
        self.sector_size.bytes_of(self.free_sectors)
    }

    /// What an entry with so much payload takes together with a FLUSH after it, in bytes: `u64::MAX` if no log could
    /// hold it.
    pub(crate) const fn needed_bytes(&self, payload_sectors: u64) -> u64 {
        self.sector_size.bytes_of(payload_sectors.saturating_add(ENTRY_AND_FLUSH))
    }

    /// Up to where the log may reach with an entry of so much payload more, in bytes: with all that is promised, and a
    /// FLUSH after it.
    pub(crate) const fn reach_bytes(&self, payload_sectors: u64) -> u64 {
        let promised_sectors = self.capacity_sectors - self.free_sectors;
        self.sector_size.bytes_of(promised_sectors).saturating_add(self.needed_bytes(payload_sectors))
    }

    /// Promises room for an entry with so much payload, and a FLUSH after it; says whether there is as much.
    #[must_use]
    pub(crate) const fn reserve(&mut self, payload_sectors: u64) -> bool {
        match self.free_sectors.checked_sub(payload_sectors.saturating_add(ENTRY_AND_FLUSH)) {
            Some(free_sectors) => {
                self.free_sectors = free_sectors;
                true
            }
            None => false,
        }
    }

    /// Takes a promise back.
    pub(crate) fn give_back(&mut self, payload_sectors: u64) {
        self.free_sectors += payload_sectors + ENTRY_AND_FLUSH;
        self.check();
    }

    /// Takes back the part of a promise that was for the payload: the entry will have none.
    pub(crate) fn shrink(&mut self, payload_sectors: u64) {
        self.free_sectors += payload_sectors;
        self.check();
    }

    /// Gives an entry with so much payload, for which room was reserved, its place; returns its sector.
    #[inline]
    pub(crate) fn place(&mut self, payload_sectors: u64) -> u64 {
        // One FLUSH needs no more than one room, however many entries it is promised to.
        self.free_sectors += u64::from(self.dirty);
        self.dirty = true;
        self.advance(payload_sectors)
    }

    /// Whether a FLUSH has its room: always after an entry, and otherwise if there is enough.
    pub(crate) const fn has_room_for_flush(&self) -> bool {
        self.dirty || self.free_sectors > 0
    }

    /// Gives a FLUSH its place; returns its sector.
    #[inline]
    pub(crate) fn place_flush(&mut self) -> u64 {
        debug_assert!(self.has_room_for_flush(), "a flush is placed where there is room");
        self.free_sectors -= u64::from(!self.dirty);
        self.dirty = false;
        self.advance(0)
    }

    /// Gives the closing entry its place, which was kept from the beginning; returns its sector.
    pub(crate) fn place_closing(&mut self) -> u64 {
        self.advance(0)
    }

    #[inline]
    fn advance(&mut self, payload_sectors: u64) -> u64 {
        let sector = self.end_sector;
        self.end_sector += 1 + payload_sectors;
        self.check();
        sector
    }

    #[inline]
    fn check(&self) {
        let (end, free) = (self.end_sector, self.free_sectors);
        debug_assert!(end + free <= self.capacity_sectors, "each entry's room was reserved, once");
    }
}

/// What an entry without payload and a FLUSH after it take, in sectors.
const ENTRY_AND_FLUSH: u64 = 2;

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
        assert_eq!((space.reserve(2), space.needed_bytes(2)), (false, 4 * 512));
        assert!(space.reserve(1));
        assert_eq!((space.reserve(0), space.needed_bytes(0)), (false, 2 * 512));
        assert_eq!(space.place(1), 1);
        assert_eq!(space.free_bytes(), 0);
        assert!(space.has_room_for_flush());
        assert_eq!(space.place_flush(), 3);
        assert!(!space.has_room_for_flush());
    }

    #[test]
    fn a_failed_operation_gives_its_room_back() {
        let mut space = space(4 * 512, Ordering::Completion);
        assert!(space.reserve(1));
        space.give_back(1);
        assert!(space.reserve(1));
    }

    #[test]
    fn the_closing_entry_keeps_its_room() {
        let mut space = space(5 * 512, Ordering::Durability);
        assert!(!space.reserve(2));
        assert!(space.reserve(1));
        assert_eq!(space.place(1), 1);
        assert_eq!(space.place_flush(), 3);
        assert!(!space.reserve(0));
        assert_eq!(space.place_closing(), 4);
    }

    #[test]
    fn no_length_overflows() {
        let mut space = space(u64::MAX, Ordering::Completion);
        assert_eq!((space.reserve(u64::MAX), space.needed_bytes(u64::MAX)), (false, u64::MAX));
        assert!(!space.reserve(1 << 55));
        assert!(space.reserve(1 << 50));
    }

    #[test]
    fn many_entries_share_the_room_of_one_flush() {
        let mut space = space(8 * 512, Ordering::Completion);
        assert!(space.reserve(0) && space.reserve(0) && space.reserve(0));
        assert_eq!(space.free_bytes(), 512);
        assert_eq!((space.place(0), space.place(0), space.place(0)), (1, 2, 3));
        assert_eq!(space.free_bytes(), 3 * 512);
        assert_eq!((space.place_flush(), space.free_bytes()), (4, 3 * 512));
        assert_eq!((space.place_flush(), space.free_bytes()), (5, 2 * 512));
    }
}
