//! A driver at work on two devices that write down what they are told.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use logwrites_core::device::{DataDevice, LogDevice, Piece};
use logwrites_core::drive::{self, Driver, Recorder};
use logwrites_core::history::ExtentMap;
use logwrites_core::num::{narrow, widen};
use logwrites_core::overlay::Overlay;
use logwrites_core::{Config, Extent, Logger, Op, OpError, Ordering, Outcome, SectorSize, Tag, WriteFlags};

use super::NR_SECTORS;
use crate::choices::Choices;
use crate::content::{mark_text, payload};
use crate::model::OpId;

/// What happens between a client, a driver and its devices.
#[derive(Clone, Debug)]
pub enum Event {
    /// The client has submitted an operation, which was taken.
    Submit {
        /// Its number.
        id: OpId,
        /// What it is.
        op: Op,
    },
    /// The data device is told to write.
    WriteData {
        /// Where to, in bytes.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
        /// Whether it lasts when it is done.
        is_fua: bool,
    },
    /// An overlay's disk, which has no device, changes.
    Overlaid {
        /// Where, in bytes.
        offset: usize,
        /// What is there from now on.
        bytes: Vec<u8>,
    },
    /// The data device is told to flush.
    FlushData,
    /// The log device is told to write.
    WriteLog {
        /// Where to, in bytes.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// The log device is told to flush.
    FlushLog,
    /// An operation is acknowledged.
    Done {
        /// Its number.
        id: OpId,
        /// How.
        result: Result<(), OpError>,
    },
}

/// A recorder, whose disk is a device, or lives in the log.
pub(crate) trait Disk: Recorder {
    /// How many operations can be in flight.
    const NR_SLOTS: usize;

    /// Where the bytes of the disk are, if it has no device.
    fn map(&self) -> Option<&ExtentMap>;
}

impl<const N: usize> Disk for Logger<N> {
    const NR_SLOTS: usize = N;

    fn map(&self) -> Option<&ExtentMap> {
        None
    }
}

impl<const N: usize> Disk for Overlay<N> {
    const NR_SLOTS: usize = N;

    fn map(&self) -> Option<&ExtentMap> {
        Some(self.map())
    }
}

/// Submits `nr_ops` random operations, numbered from `first_id` on, and closes the log; gives all that happened, and
/// the map of a disk that lives in its log.
pub(super) fn record<R: Disk>(
    recorder: R,
    choices: &mut impl Choices,
    nr_ops: usize,
    first_id: usize,
) -> (Vec<Event>, Option<ExtentMap>) {
    let Config { sector_size, ordering, .. } = *recorder.config();
    let wants_flush = ordering == Ordering::Completion && choices.one_in(2);
    let pages = Pages::default();
    let driver = Driver::new(recorder, Told(Rc::clone(&pages)), Told(Rc::clone(&pages)));
    let payloads = vec![Vec::new(); R::NR_SLOTS];
    let mut client = Client { driver, pages, payloads, owners: vec![None; R::NR_SLOTS], sector_size };
    for id in first_id..first_id + nr_ops {
        client.submit(OpId(id), choose_op(choices, sector_size), choices);
    }
    if wants_flush && client.driver.recorder().is_unflushed() {
        client.submit(OpId(first_id + nr_ops), Op::Flush, choices);
    }
    client.close()
}

fn choose_op(choices: &mut impl Choices, sector_size: SectorSize) -> Op {
    let flags = if choices.one_in(4) { WriteFlags::FUA } else { WriteFlags::empty() };
    let sector = choices.below(widen(NR_SECTORS));
    let nr_sectors = 1 + choices.below(3.min(widen(NR_SECTORS) - sector));
    let extent = Extent::between(sector, sector + nr_sectors);
    match choices.below(16) {
        0..7 => Op::Write { extent, flags },
        7 => Op::WriteZeroes { extent, flags },
        8 => Op::Discard { extent },
        9 => Op::Mark { len_bytes: sector_size.max_mark_len().unwrap_or(0).min(6) },
        _ => Op::Flush,
    }
}

struct Client<R: Disk> {
    driver: Driver<R, Told, Told, 3>,
    pages: Pages,
    payloads: Vec<Vec<u8>>,
    /// Whose each tag is.
    owners: Vec<Option<OpId>>,
    sector_size: SectorSize,
}

impl<R: Disk> Client<R> {
    fn submit(&mut self, id: OpId, op: Op, choices: &mut impl Choices) {
        if self.free_tag().is_none() {
            self.drain();
        }
        let tag = self.free_tag().unwrap_or_else(|| panic!("all tags are in use, and nothing is in flight"));
        self.payloads[tag] = match op {
            Op::Write { extent, .. } => payload(id, extent.nr_sectors(), self.sector_size),
            Op::Mark { len_bytes } => mark_text(id, len_bytes),
            Op::WriteZeroes { .. } | Op::Discard { .. } | Op::Flush => Vec::new(),
        };
        self.owners[tag] = Some(id);
        self.pages.borrow_mut().push(Event::Submit { id, op });
        if self.driver.recorder().map().is_some() {
            self.pages.borrow_mut().extend(self.overlaid(op, tag));
        }
        let handle = Tag::new(u16::try_from(tag).unwrap_or(u16::MAX));
        let (owners, pages) = (&mut self.owners, &self.pages);
        let taken = self.driver.submit(handle, op, &self.payloads[..], |event| note(event, owners, pages));
        assert_eq!(taken, Ok(()), "{id} is valid, and there is room");
        if R::NR_SLOTS == 1 || choices.one_in(4) {
            self.drain();
        }
    }

    /// What an operation makes of a disk without a device, where it has done so as soon as it is taken.
    fn overlaid(&self, op: Op, tag: usize) -> Option<Event> {
        let extent = op.extent().filter(|extent| !extent.is_empty())?;
        let offset = narrow(self.sector_size.bytes_of(extent.sector()));
        let bytes = match op {
            Op::Write { .. } => self.payloads[tag].clone(),
            _ => vec![0; narrow(self.sector_size.bytes_of(extent.nr_sectors()))],
        };
        Some(Event::Overlaid { offset, bytes })
    }

    fn drain(&mut self) {
        let (owners, pages) = (&mut self.owners, &self.pages);
        self.driver.drain(&self.payloads[..], |event| note(event, owners, pages));
    }

    fn close(mut self) -> (Vec<Event>, Option<ExtentMap>) {
        let (owners, pages) = (&mut self.owners, &self.pages);
        self.driver.close(&self.payloads[..], |event| note(event, owners, pages));
        assert_eq!(self.driver.recorder().failure(), None, "no device fails");
        (self.pages.take(), self.driver.recorder().map().cloned())
    }

    fn free_tag(&self) -> Option<usize> {
        self.owners.iter().position(Option::is_none)
    }
}

fn note(event: drive::Event, owners: &mut [Option<OpId>], pages: &Pages) {
    match event {
        drive::Event::Done { tag, result } => {
            let id = owners[tag.index()]
                .unwrap_or_else(|| panic!("{tag} is acknowledged, and belongs to no operation"));
            pages.borrow_mut().push(Event::Done { id, result });
        }
        drive::Event::Release(tag) => owners[tag.index()] = None,
        drive::Event::Finished => {}
    }
}

type Pages = Rc<RefCell<Vec<Event>>>;

/// A device that writes down what it is told.
#[derive(Debug)]
struct Told(Pages);

impl Told {
    fn note(&self, event: Event) {
        self.0.borrow_mut().push(event);
    }
}

impl DataDevice for Told {
    type Error = Infallible;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> Result<(), Infallible> {
        let (offset, is_fua) = (narrow(offset_bytes), flags.contains(WriteFlags::FUA));
        self.note(Event::WriteData { offset, bytes: bytes.to_vec(), is_fua });
        Ok(())
    }

    fn write_zeroes(
        &mut self,
        offset_bytes: u64,
        len_bytes: u64,
        flags: WriteFlags,
    ) -> Result<(), Infallible> {
        DataDevice::write(self, offset_bytes, &vec![0; narrow(len_bytes)], flags)
    }

    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> Result<Outcome, Infallible> {
        self.write_zeroes(offset_bytes, len_bytes, WriteFlags::empty()).map(|()| Outcome::Ok)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.note(Event::FlushData);
        Ok(())
    }
}

impl LogDevice for Told {
    type Error = Infallible;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> Result<(), Infallible> {
        let mut joined = Vec::new();
        for piece in pieces {
            match *piece {
                Piece::Bytes(bytes) => joined.extend_from_slice(bytes),
                Piece::Zeros { len_bytes } => joined.resize(joined.len() + narrow(len_bytes), 0),
            }
        }
        self.note(Event::WriteLog { offset: narrow(offset_bytes), bytes: joined });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.note(Event::FlushLog);
        Ok(())
    }
}
