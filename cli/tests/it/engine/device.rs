//! A device in memory that takes its time, loses its power and fails.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logwrites::serve::engine::{Data, Log};
use logwrites_core::device::{DataDevice, LogDevice, Piece};
use logwrites_core::{Outcome, WriteFlags};

use crate::common::logs::{narrow, wide};
use crate::common::random::Random;

/// What devices run on, until it goes at one of their commands.
pub(crate) struct Power {
    nr_commands: AtomicU64,
    /// The command at which it goes.
    cut_at: AtomicU64,
}

/// What a command has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    On,
    /// It goes meanwhile: any part may be done, and is not reported.
    Going,
    Off,
}

impl Power {
    pub(crate) fn until(command: u64) -> Arc<Self> {
        Arc::new(Self { nr_commands: AtomicU64::new(0), cut_at: AtomicU64::new(command) })
    }

    /// How many writes and flushes were begun.
    pub(crate) fn nr_commands(&self) -> u64 {
        self.nr_commands.load(Atomic::SeqCst)
    }

    fn cut(&self) {
        self.cut_at.store(0, Atomic::SeqCst);
    }

    fn next(&self) -> Supply {
        let number = self.nr_commands.fetch_add(1, Atomic::SeqCst);
        match number.cmp(&self.cut_at.load(Atomic::SeqCst)) {
            Less => Supply::On,
            Equal => Supply::Going,
            Greater => Supply::Off,
        }
    }
}

/// A device in memory with a volatile cache, which takes its time.
pub(crate) struct Device {
    state: Mutex<State>,
    power: Arc<Power>,
    /// Whether it is written by one at a time, as a file is.
    is_serial: bool,
    nr_writing: AtomicU64,
    /// For how long things take.
    random: AtomicU64,
}

/// What becomes of every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Error,
    /// A bug in what serves the device.
    Panic,
}

#[derive(Default)]
struct State {
    /// What a reader sees.
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Written and not durable, oldest first; each with its number.
    volatile: Vec<(u64, usize, Vec<u8>)>,
    nr_writes: u64,
    fault: Option<Fault>,
    storage: Option<u64>,
    /// Up to where a log has taken storage.
    reserved_to: u64,
    is_reserving: bool,
    /// What a log must not do.
    trespasses: Vec<&'static str>,
    /// How long a write takes at least.
    write_time: Duration,
}

impl Device {
    pub(crate) fn new(len: usize, random: &mut Random) -> Arc<Self> {
        Self::on(&Power::until(u64::MAX), len, random)
    }

    pub(crate) fn on(power: &Arc<Power>, len: usize, random: &mut Random) -> Arc<Self> {
        let state = State { seen: vec![0; len], durable: vec![0; len], ..State::default() };
        let is_serial = random.once_in(2);
        let (nr_writing, random) = (AtomicU64::new(0), AtomicU64::new(random.next()));
        Arc::new(Self { state: Mutex::new(state), power: Arc::clone(power), is_serial, nr_writing, random })
    }

    pub(crate) fn cut(&self) {
        self.power.cut();
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(crate) fn set_storage(&self, storage: Option<u64>) {
        self.state.lock().unwrap().storage = storage;
    }

    pub(crate) fn set_write_time(&self, time: Duration) {
        self.state.lock().unwrap().write_time = time;
    }

    pub(crate) fn nr_writes(&self) -> u64 {
        self.state.lock().unwrap().nr_writes
    }

    pub(crate) fn trespasses(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().trespasses.clone()
    }

    pub(crate) fn seen(&self) -> Vec<u8> {
        self.state.lock().unwrap().seen.clone()
    }

    /// What is durable, and of the rest any sectors.
    pub(crate) fn after_cut(&self, random: &mut Random) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let mut image = state.durable.clone();
        for (_, offset, bytes) in &state.volatile {
            for (number, sector) in bytes.chunks(512).enumerate() {
                if random.once_in(2) {
                    put(&mut image, offset + number * 512, sector);
                }
            }
        }
        image
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pause(3);
        let fault = self.begin_write();
        let mut state = self.state.lock().unwrap();
        let supply = self.power.next();
        if supply == Supply::Off || fault == Some(Fault::Error) {
            return Err(io::Error::other("the device is gone"));
        }
        state.nr_writes += 1;
        let number = state.nr_writes;
        state.volatile.push((number, narrow(offset), bytes.to_vec()));
        if supply == Supply::Going {
            return Err(io::Error::other("the power is gone"));
        }
        put(&mut state.seen, narrow(offset), bytes);
        Ok(())
    }

    /// Takes the time of a write, and tells what is to become of it. Panics with nothing locked, so that others continue.
    fn begin_write(&self) -> Option<Fault> {
        let (time, fault) = {
            let state = self.state.lock().unwrap();
            (state.write_time, state.fault)
        };
        std::thread::sleep(time);
        assert_ne!(fault, Some(Fault::Panic), "as the test wants it");
        fault
    }

    fn note_log_write(&self, offset: u64, len: u64) {
        let mut state = self.state.lock().unwrap();
        if state.is_reserving {
            state.trespasses.push("a write while storage is taken");
        }
        // The first superblock is there before anything is submitted.
        if offset > 0 && offset + len > state.reserved_to {
            state.trespasses.push("a write after the storage");
        }
    }

    fn begin_writing(&self) {
        let nr_others = self.nr_writing.fetch_add(1, Atomic::Relaxed);
        assert!(nr_others == 0 || !self.is_serial, "another thread writes");
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let bytes = state.seen.get(narrow(offset)..narrow(offset) + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Covers what had been written when it began, and no more.
    fn flush(&self) -> io::Result<()> {
        let covered = self.state.lock().unwrap().nr_writes;
        self.pause(200);
        let mut state = self.state.lock().unwrap();
        if self.power.next() != Supply::On {
            return Err(io::Error::other("the device is gone"));
        }
        let state = &mut *state;
        let nr_covered = state.volatile.iter().take_while(|(number, ..)| *number <= covered).count();
        for (_, offset, bytes) in state.volatile.drain(..nr_covered) {
            put(&mut state.durable, offset, &bytes);
        }
        Ok(())
    }

    /// Waits for up to so many microseconds, so that threads overtake each other; now and then much longer, so that
    /// syncs count as slow.
    fn pause(&self, micros: u64) {
        let mut random = Random::new(self.random.fetch_add(1, Atomic::Relaxed));
        let scale = if random.once_in(20) { 10 } else { 1 };
        let micros = random.below(micros * scale + 1);
        if micros > 2 {
            std::thread::sleep(Duration::from_micros(micros));
        } else {
            std::thread::yield_now();
        }
    }
}

/// A device that the engine has, too.
pub(crate) struct Shared(pub(crate) Arc<Device>);

impl Data for Shared {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(offset_bytes, buffer)
    }

    fn next_data(&self, offset_bytes: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(offset_bytes..u64::MAX))
    }

    fn is_serial(&self) -> bool {
        self.0.is_serial
    }

    fn device(&self) -> impl DataDevice<Error = io::Error> {
        self
    }
}

impl DataDevice for &Shared {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> io::Result<()> {
        if flags.contains(WriteFlags::FUA) {
            self.0.write(offset_bytes, bytes)?;
            return self.0.flush();
        }
        self.0.begin_writing();
        let result = self.0.write(offset_bytes, bytes);
        self.0.nr_writing.fetch_sub(1, Atomic::Relaxed);
        result
    }

    fn write_zeroes(&mut self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> io::Result<()> {
        DataDevice::write(self, offset_bytes, &vec![0; narrow(len_bytes)], flags)
    }

    fn discard(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<Outcome> {
        self.write_zeroes(offset_bytes, len_bytes, WriteFlags::empty()).map(|()| Outcome::Ok)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Log for Shared {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(offset_bytes, buffer)
    }

    fn device(&self) -> impl LogDevice<Error = io::Error> {
        self
    }

    fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        self.0.state.lock().unwrap().is_reserving = true;
        self.0.pause(200);
        let mut state = self.0.state.lock().unwrap();
        state.is_reserving = false;
        match state.storage {
            Some(storage) if offset_bytes + len_bytes > storage => Err(io::ErrorKind::StorageFull.into()),
            Some(_) | None => {
                state.reserved_to = state.reserved_to.max(offset_bytes + len_bytes);
                Ok(true)
            }
        }
    }
}

impl LogDevice for &Shared {
    type Error = io::Error;

    fn write(&mut self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Zeros { len_bytes } => bytes.resize(bytes.len() + narrow(*len_bytes), 0),
            }
        }
        self.0.note_log_write(offset_bytes, wide(bytes.len()));
        self.0.write(offset_bytes, &bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}
