//! Devices for the blocking driver that fail in every way that devices fail, all from one seed.
//!
//! A write fails before it has begun, after a part of it (a short write, or a device without room), or with any of
//! its sectors done (torn). Sectors that lie between two flushes are kept by a power cut in any combination. A flush
//! that fails drops what it should have kept: a later one that succeeds does not bring it back.

use std::cell::RefCell;
use std::rc::Rc;

use logwrites_core::device::{DataDevice, LogDevice, Piece};
use logwrites_core::num::narrow;
use logwrites_core::{Outcome, WriteFlags};

use crate::choices::{Choices, Seeded};

/// How often a device fails: once in so many calls, never if 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// A write fails.
    pub write: u64,
    /// A flush fails.
    pub flush: u64,
    /// A discard is ignored.
    pub ignored: u64,
    /// How much fits, in bytes; a write beyond ends there and fails. No limit if 0.
    pub room_bytes: u64,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing was done.
    Error,
    /// A flush: what it should have made durable is lost, or not.
    Flush,
    /// There is no room: the part that fits was written.
    NoRoom,
    /// The first part was written.
    Short,
    /// Any sectors were written.
    Torn,
}

/// A device that a driver and a test share.
#[derive(Clone, Debug)]
pub struct Faulty(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    sector_bytes: usize,
    rates: Rates,
    choices: Seeded,
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written and not flushed, oldest first, and whether a failed flush may have dropped them.
    volatile: Vec<(usize, Vec<u8>, bool)>,
    faults: Vec<Fault>,
    nr_calls: u64,
    last: Option<Outcome>,
}

impl Faulty {
    /// A device that durably holds `image`.
    #[must_use]
    pub fn new(sector_bytes: usize, image: Vec<u8>, rates: Rates, seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            sector_bytes,
            rates,
            choices: Seeded::new(seed, u64::MAX),
            seen: image.clone(),
            durable: image,
            volatile: Vec::new(),
            faults: Vec::new(),
            nr_calls: 0,
            last: None,
        })))
    }

    /// What a reader finds.
    #[must_use]
    pub fn seen(&self) -> Vec<u8> {
        self.0.borrow().seen.clone()
    }

    /// What a power cut leaves: one of many possibilities.
    #[must_use]
    pub fn power_cut(&self) -> Vec<u8> {
        let state = &mut *self.0.borrow_mut();
        let mut image = state.durable.clone();
        let way = state.choices.below(3);
        for (at, sector, _) in &state.volatile {
            if way == 0 || way == 1 && state.choices.one_in(2) {
                put(&mut image, at * state.sector_bytes, sector);
            }
        }
        image
    }

    /// The faults so far.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.0.borrow().faults.clone()
    }

    /// How many calls there were.
    #[must_use]
    pub fn nr_calls(&self) -> u64 {
        self.0.borrow().nr_calls
    }

    /// How the last call went, once.
    #[must_use]
    pub fn take_last(&self) -> Option<Outcome> {
        self.0.borrow_mut().last.take()
    }
}

impl State {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        self.nr_calls += 1;
        let room = match self.rates.room_bytes {
            0 => usize::MAX,
            room_bytes => narrow(room_bytes),
        };
        let fault = if offset + bytes.len() > room {
            Some(Fault::NoRoom)
        } else if self.rates.write > 0 && self.choices.one_in(self.rates.write) {
            Some(self.choices.pick(&[Fault::Error, Fault::Short, Fault::Torn]))
        } else {
            None
        };
        let nr_sectors = bytes.len() / self.sector_bytes;
        let fits = (room.saturating_sub(offset) / self.sector_bytes).min(nr_sectors);
        let short = self.choices.index(nr_sectors.max(1));
        for (index, sector) in bytes.chunks(self.sector_bytes).enumerate() {
            let is_done = match fault {
                None => true,
                Some(Fault::Torn) => self.choices.one_in(2),
                Some(Fault::Short) => index < short,
                Some(Fault::NoRoom) => index < fits,
                Some(Fault::Error | Fault::Flush) => false,
            };
            if is_done {
                put(&mut self.seen, offset + index * self.sector_bytes, sector);
                self.volatile.push((offset / self.sector_bytes + index, sector.to_vec(), false));
            }
        }
        self.end(fault)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.nr_calls += 1;
        let has_failed = self.rates.flush > 0 && self.choices.one_in(self.rates.flush);
        if has_failed {
            self.volatile.iter_mut().for_each(|(_, _, is_dropped)| *is_dropped = true);
            return self.end(Some(Fault::Flush));
        }
        for (at, sector, is_dropped) in std::mem::take(&mut self.volatile) {
            if is_dropped {
                self.volatile.push((at, sector, true));
            } else {
                self.volatile.retain(|(older, _, _)| *older != at);
                put(&mut self.durable, at * self.sector_bytes, &sector);
            }
        }
        self.end(None)
    }

    fn end(&mut self, fault: Option<Fault>) -> Result<(), Fault> {
        self.last = Some(if fault.is_none() { Outcome::Ok } else { Outcome::Failed });
        self.faults.extend(fault);
        fault.map_or(Ok(()), Err)
    }
}

impl DataDevice for Faulty {
    type Error = Fault;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> Result<(), Fault> {
        let mut state = self.0.borrow_mut();
        state.write(narrow(offset_bytes), bytes)?;
        if flags.contains(WriteFlags::FUA) { state.flush() } else { Ok(()) }
    }

    fn write_zeroes(&mut self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> Result<(), Fault> {
        DataDevice::write(self, offset_bytes, &vec![0; narrow(len_bytes)], flags)
    }

    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> Result<Outcome, Fault> {
        let mut state = self.0.borrow_mut();
        let ignored = state.rates.ignored;
        if ignored > 0 && state.choices.one_in(ignored) {
            state.last = Some(Outcome::Ignored);
            return Ok(Outcome::Ignored);
        }
        state.write(narrow(offset_bytes), &vec![0; narrow(len_bytes)]).map(|()| Outcome::Ok)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.0.borrow_mut().flush()
    }
}

impl LogDevice for Faulty {
    type Error = Fault;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), Fault> {
        let mut joined = Vec::new();
        for piece in pieces {
            match *piece {
                Piece::Bytes(bytes) => joined.extend_from_slice(bytes),
                Piece::Zeros { len_bytes } => joined.resize(joined.len() + narrow(len_bytes), 0),
            }
        }
        self.0.borrow_mut().write(narrow(offset_bytes), &joined)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.0.borrow_mut().flush()
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}
