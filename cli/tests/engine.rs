//! The engine of a live disk over simulated devices: threads as clients, power cut at any moment, devices that fail.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::logs::{MARK, entries, narrow, replayed, superblock, wide};
use common::random::Random;
use logwrites::serve::engine::{CallError, Data, Engine, LiveDisk, Log, Payload, SLOTS, Waiter};
use logwrites_core::device::Piece;
use logwrites_core::overlay::Overlay;
use logwrites_core::{
    Config, Extent, Logger, Op, OpError, Ordering, Outcome, SectorSize, SuperblockPolicy, WriteFlags,
};

#[test]
fn what_a_flush_acknowledged_survives_power_cuts() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let (mut nr_flushed, mut nr_counted) = (0, 0);
    for round in 0..NR_CUTS {
        let mut random = Random::new(seed + round);
        let is_overlay = random.once_in(2);
        let ordering =
            if !is_overlay && random.once_in(2) { Ordering::Durability } else { Ordering::Completion };
        let config = Config {
            ordering,
            superblock_policy: SuperblockPolicy::Barrier,
            ..Config::new(SectorSize::B512)
        };
        let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
        let disk = start(config, is_overlay, &data, &log);
        let clients = use_until_cut(&*disk, &data, &log, &mut random);

        let image = log.after_cut(&mut random);
        let (_, counted) = superblock(&image);
        nr_counted += counted;
        let replay = replayed(&image, &vec![0; DISK], usize::MAX).0;
        for client in &clients {
            client.check(&replay, "in the log");
            nr_flushed += client.blocks.iter().filter(|block| block.flushed > 0).count();
        }
        if !is_overlay {
            let disk = data.after_cut(&mut random);
            for client in &clients {
                client.check_flushed_in(&disk);
            }
        }
    }
    println!("{NR_CUTS} cuts, {nr_flushed} blocks flushed, {nr_counted} entries counted");
    assert!(nr_flushed > 500 && nr_counted > 1000);
}

#[test]
fn an_engine_that_is_finished_has_logged_all() {
    for is_overlay in [false, true] {
        for superblock_policy in [SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier] {
            let mut random = Random::new(7);
            let config = Config { superblock_policy, ..Config::new(SectorSize::B512) };
            let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
            let disk = start(config, is_overlay, &data, &log);
            std::thread::scope(|scope| {
                for number in 0..NR_CLIENTS {
                    let disk = &*disk;
                    scope.spawn(move || Client::new(number).run(disk, wide(number), 60));
                }
            });
            let mut seen = vec![0; DISK];
            let extent = Extent::new(0, wide(DISK / 512)).unwrap();
            disk.read(extent, &mut seen).unwrap();
            let end = disk.finish().unwrap();
            assert!(matches!(disk.call(Op::Flush, Payload::None), Err(CallError::Refused(_))));
            let image = log.seen();
            assert_eq!(superblock(&image), (512, end.index));
            assert!(replayed(&image, &vec![0; DISK], usize::MAX).0 == seen);
            assert!(is_overlay || data.seen() == seen);
        }
    }
}

#[test]
fn a_data_device_that_fails_is_told_and_marked() {
    let mut random = Random::new(1);
    let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
    let disk = start(Config::new(SectorSize::B512), false, &data, &log);
    write(&*disk, 0, 1).unwrap();
    data.set_fault(Some(Fault::Error));
    assert_eq!(write(&*disk, 8, 2), Err(CallError::Failed(OpError::Data)));
    data.set_fault(None);
    write(&*disk, 16, 3).unwrap();
    assert!(disk.finish().is_err(), "it is told at the end, too");
    let image = log.seen();
    let all = entries(&image);
    let kinds: Vec<(u64, u64)> = all.iter().map(|entry| (entry.sector, entry.flags)).collect();
    assert_eq!(kinds[..3], [(0, 0), (0, MARK), (16, 0)]);
    let text = &image[all[1].bytes.start + 32..];
    assert!(text.starts_with(b"logwrites-indeterminate 8+8\0"));
}

#[test]
fn a_log_device_that_fails_ends_the_logging_and_not_the_reading() {
    for (is_overlay, fault) in
        [(false, Fault::Error), (true, Fault::Error), (false, Fault::Panic), (true, Fault::Panic)]
    {
        let mut random = Random::new(1);
        let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
        let disk = start(Config::new(SectorSize::B512), is_overlay, &data, &log);
        write(&*disk, 0, 1).unwrap();
        disk.call(Op::Flush, Payload::None).unwrap();
        log.set_fault(Some(fault));
        assert_eq!(write(&*disk, 8, 2), Err(CallError::Failed(OpError::Log)));
        assert!(matches!(write(&*disk, 16, 3), Err(CallError::Refused(_))));
        assert!(disk.call(Op::Flush, Payload::None).is_err());
        let mut buffer = vec![0; BLOCK];
        disk.read(Extent::new(0, 8).unwrap(), &mut buffer).unwrap();
        assert!(buffer == vec![1; BLOCK]);
        assert!(disk.finish().is_err());
        let image = log.seen();
        assert_eq!(entries(&image).len(), 2, "the log is readable up to there");
    }
}

#[test]
fn a_log_without_storage_refuses_before_anything_is_touched() {
    let mut random = Random::new(1);
    let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
    log.set_storage(Some(40_000));
    let disk = start(Config::new(SectorSize::B512), false, &data, &log);
    let mut done = 0;
    while write(&*disk, done * 8, 1).is_ok() {
        done += 1;
    }
    assert!((5..9).contains(&done), "{done}");
    assert_eq!(write(&*disk, 100, 2), Err(CallError::Refused(logwrites::serve::engine::Refusal::NoSpace)));
    disk.call(Op::Flush, Payload::None).unwrap();
    log.set_storage(None);
    write(&*disk, 200, 3).expect("there is room again");
    disk.finish().unwrap();
    let replay = replayed(&log.seen(), &vec![0; DISK], usize::MAX).0;
    assert!(replay == data.seen() && replay[100 * 512..108 * 512].iter().all(|byte| *byte == 0));
}

/// Clients that never wait for answers are held up by the log, and what waits for it is written together.
#[test]
fn a_slow_log_holds_clients_up() {
    struct Counted(AtomicU64);
    impl Waiter for Counted {
        fn done(&self, _cookie: u64, result: Result<(), OpError>) {
            result.unwrap();
            self.0.fetch_add(1, Atomic::Relaxed);
        }
    }
    let mut random = Random::new(1);
    let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
    let disk = start(Config::new(SectorSize::B512), false, &data, &log);
    let nr_before = log.nr_writes();
    log.set_write_time(Duration::from_millis(5));
    let counted = Arc::new(Counted(AtomicU64::new(0)));
    let most = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (disk, counted, most) = (&*disk, &counted, &most);
            scope.spawn(move || {
                for index in 0..500 {
                    let extent = Extent::new((number * 8 + index % 8) * 8, 8).unwrap();
                    let op = Op::Write { extent, flags: WriteFlags::empty() };
                    let waiter: Arc<dyn Waiter> = Arc::<Counted>::clone(counted);
                    disk.submit(op, Payload::Text(vec![7; BLOCK].into()), waiter, index).unwrap();
                    most.fetch_max(wide(disk.counters().nr_in_flight), Atomic::Relaxed);
                }
                disk.run();
            });
        }
    });
    disk.finish().unwrap();
    assert_eq!(counted.0.load(Atomic::Relaxed), 2000);
    assert!((100..=wide(SLOTS)).contains(&most.load(Atomic::Relaxed)), "{most:?} in flight");
    let nr_writes = log.nr_writes() - nr_before;
    assert!(nr_writes < 200, "{nr_writes} writes for 2000 entries");
    assert_eq!(entries(&log.seen()).len(), 2001);
}

fn start(config: Config, is_overlay: bool, data: &Arc<Device>, log: &Arc<Device>) -> Box<dyn LiveDisk> {
    let (data, log) = (Shared(Arc::clone(data)), Shared(Arc::clone(log)));
    if is_overlay {
        Box::new(Engine::start(Overlay::<SLOTS>::new(config).unwrap(), data, log).unwrap())
    } else {
        Box::new(Engine::start(Logger::<SLOTS>::new(config).unwrap(), data, log).unwrap())
    }
}

fn write(disk: &dyn LiveDisk, sector: u64, byte: u8) -> Result<(), CallError> {
    let extent = Extent::new(sector, 8).unwrap();
    disk.call(Op::Write { extent, flags: WriteFlags::empty() }, Payload::Text(vec![byte; BLOCK].into()))
}

fn use_until_cut(
    disk: &dyn LiveDisk,
    data: &Arc<Device>,
    log: &Arc<Device>,
    random: &mut Random,
) -> Vec<Client> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..NR_CLIENTS)
            .map(|number| {
                let seed = random.next();
                scope.spawn(move || Client::new(number).run(disk, seed, u64::MAX))
            })
            .collect();
        std::thread::sleep(Duration::from_micros(500 + random.below(15_000)));
        // The log first, so that the data device may be ahead of it, as it may be.
        log.cut();
        data.cut();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
    })
}

/// A client with blocks of its own, and what it knows of them.
struct Client {
    number: usize,
    blocks: Vec<Block>,
}

/// The number of the last write that was sent, acknowledged, and covered by a flush.
#[derive(Clone, Copy, Default)]
struct Block {
    sent: u8,
    acked: u8,
    flushed: u8,
}

impl Client {
    fn new(number: usize) -> Self {
        Self { number, blocks: vec![Block::default(); NR_BLOCKS] }
    }

    /// Does so many things, or as many as there can be until a device fails.
    fn run(mut self, disk: &dyn LiveDisk, seed: u64, nr_ops: u64) -> Self {
        let mut random = Random::new(seed);
        for _ in 0..nr_ops {
            let index = narrow(random.below(wide(NR_BLOCKS)));
            if random.once_in(6) {
                let before = self.blocks.clone();
                if disk.call(Op::Flush, Payload::None).is_err() {
                    return self;
                }
                for (block, before) in self.blocks.iter_mut().zip(before) {
                    block.flushed = before.acked;
                }
                continue;
            }
            let sector = wide((self.number * NR_BLOCKS + index) * BLOCK / 512);
            let extent = Extent::new(sector, 8).unwrap();
            let block = &mut self.blocks[index];
            if block.sent == u8::MAX {
                return self;
            }
            block.sent += 1;
            let is_fua = random.once_in(8);
            let flags = if is_fua { WriteFlags::FUA } else { WriteFlags::empty() };
            let payload = Payload::Text(vec![block.sent; BLOCK].into());
            if disk.call(Op::Write { extent, flags }, payload).is_err() {
                return self;
            }
            block.acked = block.sent;
            if is_fua {
                block.flushed = block.sent;
            }
            let mut buffer = vec![0; BLOCK];
            if disk.read(extent, &mut buffer).is_ok() {
                assert!(buffer.iter().all(|byte| *byte == block.acked), "what was acknowledged is read");
            }
        }
        self
    }

    /// Each block is whole, and no older than its last flush.
    #[track_caller]
    fn check(&self, disk: &[u8], place: &str) {
        for (index, block) in self.blocks.iter().enumerate() {
            let bytes = self.bytes(disk, index);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "block {index} is torn {place}");
            assert!(
                (block.flushed..=block.sent).contains(&bytes[0]),
                "client {}, block {index} is {} {place}; {} was flushed, {} sent",
                self.number,
                bytes[0],
                block.flushed,
                block.sent
            );
        }
    }

    /// The data device may tear what was not flushed.
    #[track_caller]
    fn check_flushed_in(&self, disk: &[u8]) {
        for (index, block) in self.blocks.iter().enumerate() {
            let is_right = |byte: &u8| (block.flushed..=block.sent).contains(byte);
            assert!(self.bytes(disk, index).iter().all(is_right), "block {index} on the data device");
        }
    }

    fn bytes<'a>(&self, disk: &'a [u8], index: usize) -> &'a [u8] {
        &disk[(self.number * NR_BLOCKS + index) * BLOCK..][..BLOCK]
    }
}

/// A device in memory with a volatile cache, which takes its time.
struct Device {
    state: Mutex<State>,
    /// For how long things take.
    random: AtomicU64,
}

/// What becomes of every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
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
    is_cut: bool,
    fault: Option<Fault>,
    storage: Option<u64>,
    /// How long a write takes at least.
    write_time: Duration,
}

impl Device {
    fn new(len: usize, random: &mut Random) -> Arc<Self> {
        let state = State { seen: vec![0; len], durable: vec![0; len], ..State::default() };
        Arc::new(Self { state: Mutex::new(state), random: AtomicU64::new(random.next()) })
    }

    fn cut(&self) {
        self.state.lock().unwrap().is_cut = true;
    }

    fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    fn set_storage(&self, storage: Option<u64>) {
        self.state.lock().unwrap().storage = storage;
    }

    fn set_write_time(&self, time: Duration) {
        self.state.lock().unwrap().write_time = time;
    }

    fn nr_writes(&self) -> u64 {
        self.state.lock().unwrap().nr_writes
    }

    fn seen(&self) -> Vec<u8> {
        self.state.lock().unwrap().seen.clone()
    }

    /// What is durable, and of the rest any sectors.
    fn after_cut(&self, random: &mut Random) -> Vec<u8> {
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
        if state.is_cut || fault == Some(Fault::Error) {
            return Err(io::Error::other("the device is gone"));
        }
        put(&mut state.seen, narrow(offset), bytes);
        state.nr_writes += 1;
        let number = state.nr_writes;
        state.volatile.push((number, narrow(offset), bytes.to_vec()));
        Ok(())
    }

    /// Takes the time of a write, and tells what is to become of it. Panics with nothing locked, so that others go on.
    fn begin_write(&self) -> Option<Fault> {
        let (time, fault) = {
            let state = self.state.lock().unwrap();
            (state.write_time, state.fault)
        };
        std::thread::sleep(time);
        assert_ne!(fault, Some(Fault::Panic), "as the test wants it");
        fault
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
        if state.is_cut {
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
struct Shared(Arc<Device>);

impl Data for Shared {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(offset_bytes, buffer)
    }

    fn next_data(&self, offset_bytes: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(offset_bytes..u64::MAX))
    }

    fn write(&self, offset_bytes: u64, bytes: &[u8], flags: WriteFlags) -> io::Result<()> {
        self.0.write(offset_bytes, bytes)?;
        if flags.contains(WriteFlags::FUA) { self.0.flush() } else { Ok(()) }
    }

    fn write_zeroes(&self, offset_bytes: u64, len_bytes: u64, flags: WriteFlags) -> io::Result<()> {
        Data::write(self, offset_bytes, &vec![0; narrow(len_bytes)], flags)
    }

    fn discard(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<Outcome> {
        Data::write_zeroes(self, offset_bytes, len_bytes, WriteFlags::empty()).map(|()| Outcome::Ok)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Log for Shared {
    fn read(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(offset_bytes, buffer)
    }

    fn write(&self, offset_bytes: u64, pieces: &[Piece<'_>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Zeros { len_bytes } => bytes.resize(bytes.len() + narrow(*len_bytes), 0),
            }
        }
        self.0.write(offset_bytes, &bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn reserve(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<bool> {
        match self.0.state.lock().unwrap().storage {
            Some(storage) if offset_bytes + len_bytes > storage => Err(io::ErrorKind::StorageFull.into()),
            Some(_) | None => Ok(true),
        }
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

const NR_CUTS: u64 = 200;
const NR_CLIENTS: usize = 6;
const NR_BLOCKS: usize = 8;
const BLOCK: usize = 4096;
const DISK: usize = NR_CLIENTS * NR_BLOCKS * BLOCK;
