//! A disk as a file: any bytes of it may be read and written, while the disk itself has whole sectors.
//!
//! A request of whole sectors is submitted, and the thread that completes it answers it; the thread that took it takes the next
//! request meanwhile. Other writes are merged alone: nothing else changes the disk between reading the old sectors and
//! writing the new ones.

use std::ops::Range;
use std::sync::Arc;

use fuser::{Errno, ReplyData, ReplyEmpty, ReplyWrite};
use logwrites_core::num::{narrow, widen};
use logwrites_core::{Extent, Op, OpError, WriteFlags};
use parking_lot::Mutex;

use super::gate::Gate;
use crate::serve::engine::{Buffer, CallError, Payload, Pool, Refusal, Waiter};
use crate::serve::points::Lease;

/// A disk as a file. Offsets and lengths are in bytes.
pub(super) struct DiskFile {
    disk: Lease,
    len_bytes: u64,
    /// Whether what is discarded reads as zeros.
    has_holes: bool,
    gate: Gate,
    pool: Arc<Pool>,
}

/// How a range becomes zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeroing {
    /// Its storage may go: a discard.
    Punch,
    /// It stays.
    Keep,
}

/// What is looked for from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    Data,
    Hole,
}

impl DiskFile {
    pub(super) fn new(disk: Lease, len_bytes: u64, has_holes: bool, pool: &Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { disk, len_bytes, has_holes, gate: Gate::default(), pool: Arc::clone(pool) })
    }

    /// Reads as much as there is of a range.
    pub(super) fn read(&self, offset_bytes: u64, len_bytes: u64, reply: ReplyData) {
        let range = self.clamped(offset_bytes, len_bytes);
        if range.is_empty() {
            return reply.data(&[]);
        }
        let extent = self.widened(&range);
        let mut buffer = self.pool.take(narrow(self.disk.sector_size().bytes_of(extent.nr_sectors())));
        match self.read_sectors(extent, &mut buffer) {
            Ok(bytes) => {
                let start = narrow(range.start - self.disk.sector_size().bytes_of(extent.sector()));
                let end = start + narrow(range.end - range.start);
                reply.data(&bytes[start..end]);
            }
            Err(errno) => reply.error(errno),
        }
    }

    /// Writes as much as there is room for; a durable write is acknowledged when it is.
    pub(super) fn write(
        self: &Arc<Self>,
        offset_bytes: u64,
        bytes: &[u8],
        is_durable: bool,
        reply: ReplyWrite,
    ) {
        let range = self.clamped(offset_bytes, widen(bytes.len()));
        if range.is_empty() && !bytes.is_empty() {
            return reply.error(Errno::ENOSPC);
        }
        let bytes = &bytes[..narrow(range.end - range.start)];
        let flags = if is_durable { WriteFlags::FUA } else { WriteFlags::empty() };
        let answer = Answer::Written {
            reply,
            len: u32::try_from(bytes.len()).expect("the kernel's requests have lengths of 32 bits"),
        };
        let Ok(extent) = self.disk.sector_size().extent(range.start, range.end - range.start) else {
            return answer.send(self.write_alone(&range, bytes, flags));
        };
        self.gate.enter();
        let mut buffer = self.pool.take(bytes.len());
        fill(&mut buffer, 0, bytes);
        let payload = Payload::part(Arc::new(buffer), 0..bytes.len());
        self.submit_inside(Op::Write { extent, flags }, payload, answer);
    }

    /// Makes durable whatever was acknowledged.
    pub(super) fn flush(self: &Arc<Self>, reply: ReplyEmpty) {
        self.submit(Op::Flush, Payload::NONE, &Pending::new(Answer::Done(reply), None));
    }

    /// Makes a range zeros.
    pub(super) fn zero(
        self: &Arc<Self>,
        offset_bytes: u64,
        len_bytes: u64,
        zeroing: Zeroing,
        reply: ReplyEmpty,
    ) {
        let range = self.clamped(offset_bytes, len_bytes);
        let is_longer = range.end - range.start < len_bytes;
        let answer = Answer::Done(reply);
        // There is nothing after the end that could be punched out, nor room for zeros.
        if range.is_empty() || (is_longer && zeroing == Zeroing::Keep) {
            return answer.send(if zeroing == Zeroing::Punch { Ok(()) } else { Err(Errno::ENOSPC) });
        }
        match self.disk.sector_size().extent(range.start, range.end - range.start) {
            Ok(extent) => {
                self.gate.enter();
                self.submit_inside(self.zeros(extent, zeroing), Payload::NONE, answer);
            }
            Err(_) => answer.send(self.zero_alone(&range, zeroing)),
        }
    }

    /// The first offset from this one on that has data, or that has none.
    ///
    /// # Errors
    /// `ENXIO` if there is none; the device's.
    pub(super) fn seek(&self, offset_bytes: u64, sought: Sought) -> Result<u64, Errno> {
        let sector_size = self.disk.sector_size();
        let (mut sector, end) = (offset_bytes / sector_size.bytes(), sector_size.sectors_for(self.len_bytes));
        if offset_bytes >= self.len_bytes {
            return Err(Errno::ENXIO);
        }
        while sector < end {
            let window = Extent::between(sector, end.min(sector + SEEK_SECTORS));
            for (nr_sectors, is_zero) in self.disk.allocation(window, SEEK_RUNS)? {
                if is_zero == (sought == Sought::Hole) {
                    return Ok(sector_size.bytes_of(sector).max(offset_bytes));
                }
                sector += nr_sectors;
            }
        }
        // Every file ends with a hole.
        if sought == Sought::Hole { Ok(self.len_bytes) } else { Err(Errno::ENXIO) }
    }

    pub(super) const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn zeros(&self, extent: Extent, zeroing: Zeroing) -> Op {
        match zeroing {
            Zeroing::Punch if self.has_holes => Op::Discard { extent },
            Zeroing::Punch => Op::WriteZeroes { extent, flags: WriteFlags::UNMAP },
            Zeroing::Keep => Op::WriteZeroes { extent, flags: WriteFlags::empty() },
        }
    }

    /// Submits a change of the disk, by a thread that is inside the gate.
    fn submit_inside(self: &Arc<Self>, op: Op, payload: Payload, answer: Answer) {
        self.submit(op, payload, &Pending::new(answer, Some(Arc::clone(self))));
    }

    fn submit(&self, op: Op, payload: Payload, pending: &Arc<Pending>) {
        let waiter: Arc<dyn Waiter> = Arc::<Pending>::clone(pending);
        if let Err(refusal) = self.disk.batch().submit(op, payload, waiter, 0) {
            tracing::debug!(?op, %refusal, "refused");
            pending.finish(Err(errno_of(refusal)));
        }
    }

    fn write_alone(&self, range: &Range<u64>, bytes: &[u8], flags: WriteFlags) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        let _alone = self.alone();
        self.put_together(range, |buffer, start| fill(buffer, start, bytes), flags)
    }

    fn zero_alone(&self, range: &Range<u64>, zeroing: Zeroing) -> Result<(), Errno> {
        let _alone = self.alone();
        let sector_bytes = self.disk.sector_size().bytes();
        // The whole sectors inside; the parts before and after them.
        let start = range.start.next_multiple_of(sector_bytes).min(range.end);
        let end = (range.end - range.end % sector_bytes).max(start);
        for part in [range.start..start, end..range.end] {
            if !part.is_empty() {
                let len = narrow(part.end - part.start);
                self.put_together(
                    &part,
                    |buffer, at| {
                        if let Some(bytes) = buffer.bytes_mut().get_mut(at..at + len) {
                            bytes.fill(0);
                        }
                    },
                    WriteFlags::empty(),
                )?;
            }
        }
        if start < end {
            let extent = self.widened(&(start..end));
            self.call(self.zeros(extent, zeroing), Payload::NONE)?;
        }
        Ok(())
    }

    /// Waits until no other thread changes the disk.
    fn alone(&self) -> super::gate::Alone<'_> {
        self.disk.batch().run();
        self.gate.alone()
    }

    /// Writes the sectors that a range touches, with what was there but for what `change` puts in, from the range's start
    /// in the buffer on.
    fn put_together(
        &self,
        range: &Range<u64>,
        change: impl FnOnce(&mut Buffer, usize),
        flags: WriteFlags,
    ) -> Result<(), Errno> {
        let sector_size = self.disk.sector_size();
        let extent = self.widened(range);
        let len = narrow(sector_size.bytes_of(extent.nr_sectors()));
        let mut buffer = self.pool.take(len);
        self.read_sectors(extent, &mut buffer)?;
        change(&mut buffer, narrow(range.start - sector_size.bytes_of(extent.sector())));
        let payload = Payload::part(Arc::new(buffer), 0..len);
        self.call(Op::Write { extent, flags }, payload)
    }

    fn call(&self, op: Op, payload: Payload) -> Result<(), Errno> {
        self.disk.call(op, payload).map_err(|error| match error {
            CallError::Refused(refusal) => errno_of(refusal),
            CallError::Failed(_) => Errno::EIO,
        })
    }

    fn read_sectors<'a>(&self, extent: Extent, buffer: &'a mut Buffer) -> Result<&'a [u8], Errno> {
        let len = narrow(self.disk.sector_size().bytes_of(extent.nr_sectors()));
        let bytes = &mut buffer.bytes_mut()[..len];
        self.disk.read(extent, bytes).map_err(|error| {
            tracing::error!(%error, "a read failed");
            Errno::EIO
        })?;
        Ok(bytes)
    }

    /// As much of a range as the disk has.
    fn clamped(&self, offset_bytes: u64, len_bytes: u64) -> Range<u64> {
        let start = offset_bytes.min(self.len_bytes);
        start..offset_bytes.saturating_add(len_bytes).clamp(start, self.len_bytes)
    }

    /// The sectors that a range touches.
    fn widened(&self, range: &Range<u64>) -> Extent {
        let sector_bytes = self.disk.sector_size().bytes();
        Extent::between(range.start / sector_bytes, range.end.div_ceil(sector_bytes))
    }
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskFile").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

/// A thread that waits for an answer.
enum Answer {
    Written { reply: ReplyWrite, len: u32 },
    Done(ReplyEmpty),
}

impl Answer {
    fn send(self, result: Result<(), Errno>) {
        match (self, result) {
            (Self::Written { reply, len }, Ok(())) => reply.written(len),
            (Self::Written { reply, .. }, Err(errno)) => reply.error(errno),
            (Self::Done(reply), Ok(())) => reply.ok(),
            (Self::Done(reply), Err(errno)) => reply.error(errno),
        }
    }
}

/// An operation in flight: the thread that waits, and the gate that is to be left.
struct Pending {
    answer: Mutex<Option<Answer>>,
    inside: Option<Arc<DiskFile>>,
}

impl Pending {
    fn new(answer: Answer, inside: Option<Arc<DiskFile>>) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(Some(answer)), inside })
    }

    fn finish(&self, result: Result<(), Errno>) {
        let answer = self.answer.lock().take();
        if let Some(file) = &self.inside {
            file.gate.leave();
        }
        if let Some(answer) = answer {
            answer.send(result);
        }
    }
}

impl Waiter for Pending {
    fn done(&self, _cookie: u64, result: Result<(), OpError>) {
        self.finish(result.map_err(|_| Errno::EIO));
    }
}

pub(super) const fn errno_of(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NoSpace => Errno::ENOSPC,
        Refusal::LogFailed | Refusal::Closed => Errno::EIO,
        Refusal::Invalid(_) => Errno::EINVAL,
    }
}

fn fill(buffer: &mut Buffer, start: usize, bytes: &[u8]) {
    if let Some(to) = buffer.bytes_mut().get_mut(start..start + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

/// How far is looked at a time for data or holes, in sectors, and how many runs are wanted of that.
const SEEK_SECTORS: u64 = 128 << 10;
const SEEK_RUNS: usize = 2;
