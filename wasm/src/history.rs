//! What a log says, entry by entry.

use std::cell::RefCell;
use std::rc::Rc;

use logwrites_core::Extent;
use logwrites_core::crash::State;
use logwrites_core::format::Flags;
use logwrites_core::history::{Discards, EntrySet};
use logwrites_core::reader::Entry;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::disk_map::DiskMap;
use crate::error::Error;
use crate::number::{to_f64, to_u64};
use crate::past::Past;

/// The entries of a log, of one that was read or of one that grows.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct History {
    past: Rc<RefCell<Past>>,
}

/// What the log is.
#[wasm_bindgen]
impl History {
    /// The unit of the log in bytes.
    #[wasm_bindgen(getter, js_name = sectorSize)]
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.past.borrow().index().sector_size().bytes_u32()
    }

    /// How many entries there are.
    #[wasm_bindgen(getter, js_name = nrEntries)]
    #[must_use]
    pub fn nr_entries(&self) -> f64 {
        to_f64(self.past.borrow().index().nr_entries())
    }

    /// How many entries the superblock counted when the log was opened.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.past.borrow().index().superblock().nr_entries
    }

    /// The history of a log that begins as this one, with the entries before `point`.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if there is no such point; `UNSAFE_NUMBER`.
    pub fn fork(&self, point: f64) -> Result<Self, Error> {
        let point = self.check_point(point)?;
        let mut past = self.past.borrow().clone();
        past.truncate(point);
        Ok(Self::new(Rc::new(RefCell::new(past))))
    }

    /// The first byte of the log after the last entry.
    #[wasm_bindgen(getter, js_name = endBytes)]
    #[must_use]
    pub fn end_bytes(&self) -> f64 {
        to_f64(self.past.borrow().index().end_bytes())
    }
}

/// Its entries.
#[wasm_bindgen]
impl History {
    /// The entries from number `from` up to `to`: four numbers each, the offset of its header in the log, sector,
    /// number of sectors, and flags.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn entries(&self, from: f64, to: f64) -> Result<Vec<u64>, Error> {
        self.collect(from, to, |entry| {
            let header = entry.header;
            [entry.offset_bytes, header.sector, header.nr_sectors, header.flags.bits()]
        })
    }

    /// The same as floating point numbers: the first sector, the number of sectors, the offset in the log.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn places(&self, from: f64, to: f64) -> Result<Vec<f64>, Error> {
        self.collect(from, to, |entry| {
            [entry.header.sector, entry.header.nr_sectors, entry.offset_bytes].map(to_f64)
        })
    }

    /// What the entries are: the kind of each, and its flags in eight bits, the last one for all that have no name.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn kinds(&self, from: f64, to: f64) -> Result<Vec<u8>, Error> {
        self.collect(from, to, |entry| [kind(entry), flag_bits(entry.flags())])
    }

    /// The number of the first entry from number `from` on that has all of `flags`, or -1.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn next(&self, from: f64, flags: u32) -> Result<f64, Error> {
        let (from, flags) = (to_u64(from)?, Flags::from_bits_retain(u64::from(flags)));
        let past = self.past.borrow();
        let found = past.index().entries(from..u64::MAX).find(|entry| entry.flags().contains(flags));
        Ok(found.map_or(-1.0, |entry| to_f64(entry.index)))
    }

    /// The numbers of the entries that are marks.
    #[must_use]
    pub fn marks(&self) -> Vec<f64> {
        self.past.borrow().index().marks().map(|mark| to_f64(mark.entry)).collect()
    }

    /// The text of the `nth` mark of the log.
    #[wasm_bindgen(js_name = markText)]
    #[must_use]
    pub fn mark_text(&self, nth: usize) -> Vec<u8> {
        self.past.borrow().index().marks().nth(nth).map_or_else(Vec::new, |mark| mark.text.to_vec())
    }

    /// How many marks there are.
    #[wasm_bindgen(getter, js_name = nrMarks)]
    #[must_use]
    pub fn nr_marks(&self) -> usize {
        self.past.borrow().index().marks().len()
    }
}

/// Its epochs.
#[wasm_bindgen]
impl History {
    /// The number of the last flush before a point, or -1.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = previousFlush)]
    pub fn previous_flush(&self, point: f64) -> Result<f64, Error> {
        let flush = self.past.borrow().index().previous_flush(to_u64(point)?);
        Ok(flush.map_or(-1.0, to_f64))
    }

    /// The number of the first flush from entry number `from` on, or -1.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = nextFlush)]
    pub fn next_flush(&self, from: f64) -> Result<f64, Error> {
        let flush = self.past.borrow().index().next_flush(to_u64(from)?);
        Ok(flush.map_or(-1.0, to_f64))
    }

    /// The numbers of the last `max` entries that a crash at a point may lose, the very last one first.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    pub fn volatile(&self, point: f64, max: usize) -> Result<Vec<f64>, Error> {
        let point = to_u64(point)?;
        Ok(self.past.borrow().index().epoch_at(point).volatile().rev().take(max).map(to_f64).collect())
    }

    /// Those of some entries that a crash at a point may lose.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = volatileAmong)]
    pub fn volatile_among(&self, point: f64, entries: &[f64]) -> Result<Vec<f64>, Error> {
        let (past, mut volatile) = (self.past.borrow(), Vec::new());
        let epoch = past.index().epoch_at(to_u64(point)?);
        for entry in entries {
            if epoch.is_volatile(to_u64(*entry)?) {
                volatile.push(*entry);
            }
        }
        Ok(volatile)
    }

    /// How many entries a crash at a point may lose.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = nrVolatile)]
    pub fn nr_volatile(&self, point: f64) -> Result<usize, Error> {
        let point = to_u64(point)?;
        Ok(self.past.borrow().index().epoch_at(point).volatile().count())
    }
}

/// The states that a crash can leave.
#[wasm_bindgen]
impl History {
    /// The name of the state at a point in which the entries `lost` are lost.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if there is no such point; `BAD_STATE` if a crash there cannot lose them; `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = stateAt)]
    pub fn state_at(&self, point: f64, lost: &[f64]) -> Result<String, Error> {
        let state = State { point: to_u64(point)?, lost: to_set(lost)? };
        state.check(self.past.borrow().index())?;
        Ok(state.to_string())
    }

    /// The point of a state, and then the entries that are lost.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if there is no such point; `BAD_STATE` if it is not the name of a state that a crash can leave;
    /// `UNSUPPORTED` if of an entry only a part is lost.
    #[wasm_bindgen(js_name = stateOf)]
    pub fn state_of(&self, name: &str) -> Result<Vec<f64>, Error> {
        let state = self.check_state(name)?;
        let mut numbers = vec![to_f64(state.point)];
        for (entries, sectors) in state.lost.ranges() {
            if sectors.is_some() {
                return Err(Error::Torn { entry: *entries.start() });
            }
            numbers.extend(entries.map(to_f64));
        }
        Ok(numbers)
    }

    /// Where the bytes of the disk are in a state, by its name.
    ///
    /// # Errors
    /// As [`state_of`](Self::state_of), but a part of an entry may be lost, too.
    #[wasm_bindgen(js_name = mapOf)]
    pub fn map_of(&self, name: &str) -> Result<DiskMap, Error> {
        let State { point, lost } = self.check_state(name)?;
        Ok(DiskMap::new(self.past.borrow_mut().map_at(point, &lost)))
    }
}

/// The disk that it leaves.
#[wasm_bindgen]
impl History {
    /// Where the bytes of the disk are at a point, had the entries `without` been lost, whether or not a crash can lose them.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if there is no such point; `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = mapAt)]
    pub fn map_at(&self, point: f64, without: &[f64]) -> Result<DiskMap, Error> {
        let (point, without) = (self.check_point(point)?, to_set(without)?);
        Ok(DiskMap::new(self.past.borrow_mut().map_at(point, &without)))
    }

    /// What the entries between two points have written.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if there is no such point; `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = mapBetween)]
    pub fn map_between(&self, from: f64, to: f64) -> Result<DiskMap, Error> {
        let (from, to) = (self.check_point(from)?, self.check_point(to)?);
        Ok(DiskMap::new(self.past.borrow().index().map_of(from..to, Discards::Zero)))
    }

    /// The number of the entry that made the byte of the disk at `offset` what it is in `map`, or -1 if it is the base's.
    ///
    /// # Errors
    /// `UNSAFE_NUMBER`.
    #[wasm_bindgen(js_name = writerOf)]
    pub fn writer_of(&self, map: &DiskMap, offset: f64) -> Result<f64, Error> {
        let sector = to_u64(offset)? / map.map().sector_size().bytes();
        let source = map.map().get(sector);
        let writer = source.and_then(|source| self.past.borrow().index().writer_of(source));
        Ok(writer.map_or(-1.0, to_f64))
    }
}

impl History {
    pub(crate) const fn new(past: Rc<RefCell<Past>>) -> Self {
        Self { past }
    }

    pub(crate) const fn past(&self) -> &Rc<RefCell<Past>> {
        &self.past
    }

    fn check_point(&self, point: f64) -> Result<u64, Error> {
        let (number, limit) = (to_u64(point)?, self.past.borrow().index().nr_entries());
        if number > limit { Err(Error::OutOfRange { what: "point", number, limit }) } else { Ok(number) }
    }

    fn check_state(&self, name: &str) -> Result<State, Error> {
        let state: State = name.parse()?;
        state.check(self.past.borrow().index())?;
        Ok(state)
    }

    fn collect<T, const N: usize>(
        &self,
        from: f64,
        to: f64,
        numbers: impl Fn(&Entry) -> [T; N],
    ) -> Result<Vec<T>, Error> {
        let range = to_u64(from)?..to_u64(to)?;
        Ok(self.past.borrow().index().entries(range).flat_map(|entry| numbers(&entry)).collect())
    }
}

/// Whole entries, in any order.
fn to_set(entries: &[f64]) -> Result<EntrySet, Error> {
    Ok(entries.iter().map(|entry| to_u64(*entry)).collect::<Result<_, _>>()?)
}

/// A write, a FUA, a flush, a discard, a mark: 0 to 4, as `KINDS` has them in JavaScript.
fn kind(entry: &Entry) -> u8 {
    let flags = entry.flags();
    if flags.contains(Flags::MARK) {
        4
    } else if flags.contains(Flags::DISCARD) {
        3
    } else if entry.extent() == Extent::between(entry.header.sector, entry.header.sector) {
        2
    } else {
        u8::from(flags.contains(Flags::FUA))
    }
}

fn flag_bits(flags: Flags) -> u8 {
    let named = flags.named().fold(0, |bits, named| bits | named.flag.bits());
    let named = u8::try_from(named).expect("asserted below");
    if flags.unnamed().is_empty() { named } else { named | UNNAMED }
}

const UNNAMED: u8 = 0x80;

const _: () = {
    let mut nth = 0;
    while nth < Flags::TABLE.len() {
        assert!(Flags::TABLE[nth].flag.bits() < 0x80, "a flag that has a name has a bit below UNNAMED");
        nth += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use logwrites_core::crash::StateError;
    use logwrites_core::format::{EntryHeader, Superblock};
    use logwrites_core::history::Index;
    use logwrites_core::reader::Walk;

    fn history() -> History {
        let superblock = Superblock { nr_entries: 6, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        let base = EntryHeader::default();
        for header in [
            EntryHeader { sector: 8, nr_sectors: 2, ..base },
            EntryHeader { sector: 8, nr_sectors: 1, flags: Flags::FUA | Flags::METADATA, ..base },
            EntryHeader { flags: Flags::FLUSH | Flags::FUA, ..base },
            EntryHeader { sector: 9, nr_sectors: 1, flags: Flags::DISCARD, ..base },
            EntryHeader { flags: Flags::MARK, data_len: 3, ..base },
            EntryHeader {
                sector: 1,
                nr_sectors: 1,
                flags: Flags::FLUSH | Flags::from_bits_retain(1 << 40),
                ..base
            },
        ] {
            let text = if header.flags.contains(Flags::MARK) { &b"one"[..] } else { b"" };
            index.push(&walk.step(&header.emit()).unwrap(), text);
        }
        History::new(Rc::new(RefCell::new(Past::new(index))))
    }

    #[test]
    fn entries_are_described_by_kind_flags_and_place() {
        let history = history();
        let kinds = history.kinds(0.0, 99.0).unwrap();
        assert_eq!(kinds, [0, 0, 1, 18, 2, 3, 3, 4, 4, 8, 0, 0x81]);
        assert_eq!(history.entries(1.0, 2.0).unwrap(), [512 * 4, 8, 1, 18]);
        assert_eq!(to_u64(history.places(5.0, 6.0).unwrap()[2]).unwrap(), 512 * 9);
        assert!(history.entries(-1.0, 2.0).is_err());
    }

    #[test]
    fn every_flag_is_declared_in_javascript() {
        let flags: Vec<_> =
            Flags::TABLE.iter().map(|named| format!("{}: {}", named.name, named.flag.bits())).collect();
        let flags = format!("static FLAGS = Object.freeze({{ {} }});", flags.join(", "));
        assert!(include_str!("../js/history.js").contains(&flags), "not there: {flags}");
    }

    #[test]
    fn what_comes_next_is_found() {
        let next = |from, flags| history().next(from, flags).map(to_u64);
        assert_eq!(next(0.0, 1), Ok(Ok(2)));
        assert_eq!(next(3.0, 1), Ok(Ok(5)));
        assert!(next(6.0, 1).unwrap().is_err(), "-1");
        assert_eq!((history().marks().len(), history().mark_text(0)), (1, b"one".to_vec()));
    }

    #[test]
    fn what_a_crash_may_lose_is_counted_from_the_end() {
        let history = history();
        let volatile = |point, max| -> Vec<u64> {
            history.volatile(point, max).unwrap().into_iter().map(|entry| to_u64(entry).unwrap()).collect()
        };
        assert_eq!((volatile(2.0, 9), volatile(6.0, 9)), (vec![0], vec![5]));
        assert_eq!((volatile(5.0, 9), volatile(5.0, 0), volatile(0.0, 9)), (vec![3], vec![], vec![]));
        assert_eq!(
            (history.nr_volatile(2.0), history.volatile_among(2.0, &[1.0, 0.0, 5.0])),
            (Ok(1), Ok(vec![0.0]))
        );
        assert_eq!(history.previous_flush(2.0).map(to_u64).map(|flush| flush.is_err()), Ok(true), "-1");
        assert_eq!(history.previous_flush(6.0).map(to_u64), Ok(Ok(5)));
        assert_eq!(history.next_flush(3.0).map(to_u64), Ok(Ok(5)));
        assert!(history.volatile_among(2.0, &[-1.0]).is_err());
    }

    #[test]
    fn a_state_has_the_name_that_the_core_gives_it() {
        let history = history();
        assert_eq!(history.state_at(2.0, &[1.0, 0.0, 0.0]), Ok("2^0-1".to_owned()));
        assert_eq!(history.state_at(6.0, &[]), Ok("6".to_owned()));
        let numbers = |name| -> Result<Vec<u64>, Error> {
            history.state_of(name)?.into_iter().map(|number| Ok(to_u64(number)?)).collect()
        };
        assert_eq!((numbers("2^0-1"), numbers("5")), (Ok(vec![2, 0, 1]), Ok(vec![5])));
        assert_eq!(numbers("2^0:1"), Err(Error::Torn { entry: 0 }));
        assert!(matches!(numbers("2^x"), Err(Error::StateName(_))));
        let flushed = StateError::Flushed { entry: 0, flush: 2, point: 3 };
        assert_eq!(history.state_at(3.0, &[0.0]), Err(flushed.into()));
        assert_eq!(history.map_of("3^0").unwrap_err(), flushed.into());
        assert_eq!(numbers("7"), Err(StateError::Point { point: 7, nr_entries: 6 }.into()));
        let writers = |name| {
            let map = history.map_of(name).unwrap();
            [8.0, 9.0].map(|sector| history.writer_of(&map, sector * 512.0).unwrap().to_string())
        };
        assert_eq!(
            (writers("2^0"), writers("2^1")),
            (["1", "-1"].map(Into::into), ["0", "0"].map(Into::into))
        );
        assert_eq!(writers("2^0:1"), ["1", "-1"].map(String::from));
    }

    #[test]
    fn the_writer_of_a_byte_is_known() {
        let history = history();
        let writer =
            |point, offset| history.writer_of(&history.map_at(point, &[]).unwrap(), offset).map(to_u64);
        assert_eq!(writer(2.0, 8.0 * 512.0 + 5.0), Ok(Ok(1)));
        assert_eq!(writer(2.0, 9.0 * 512.0), Ok(Ok(0)));
        assert_eq!(writer(4.0, 9.0 * 512.0), Ok(Ok(3)));
        assert!(writer(4.0, 0.0).unwrap().is_err(), "the base's");
        assert!(history.map_at(7.0, &[]).is_err(), "there are six");
    }
}
