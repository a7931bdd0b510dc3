//! The engine of a live disk over simulated devices: threads as clients, power cut at any moment, devices that fail.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod client;
mod device;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::time::Duration;

use crate::common::logs::{MARK, entries, replayed, superblock, wide};
use crate::common::random::Random;
use client::{BLOCK, CLIENT_BYTES, Client};
use device::{Device, Fault, Power, Shared};
use logwrites::serve::engine::{CallError, Engine, LiveDisk, Payload, Refusal, SLOTS, Waiter};
use logwrites_core::logger::SubmitError;
use logwrites_core::op::ShortPayload;
use logwrites_core::overlay::Overlay;
use logwrites_core::{
    Config, Extent, Logger, Op, OpError, Ordering, SectorSize, SuperblockPolicy, WriteFlags,
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

/// The same clients again and again, and each time the power lasts for one command of the two devices more.
#[test]
fn what_a_flush_acknowledged_survives_a_power_cut_at_every_command() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    for (is_overlay, ordering) in
        [(false, Ordering::Completion), (false, Ordering::Durability), (true, Ordering::Completion)]
    {
        let config = Config {
            ordering,
            superblock_policy: SuperblockPolicy::Barrier,
            ..Config::new(SectorSize::B512)
        };
        let mut nr_cuts = 0;
        while is_cut_at(nr_cuts, config, is_overlay, seed) {
            nr_cuts += 1;
        }
        println!("{ordering:?}, overlay {is_overlay}: {nr_cuts} cuts");
        assert!(nr_cuts > 100, "{nr_cuts}");
    }
}

/// Uses a disk until the power goes at a command, and looks at what may be left. False if the power lasted.
fn is_cut_at(command: u64, config: Config, is_overlay: bool, seed: u64) -> bool {
    let (mut random, power) = (Random::new(seed), Power::until(command));
    let data = Device::on(&power, DISK, &mut random);
    let log = Device::on(&power, 0, &mut random);
    let Ok(disk) = try_start(config, is_overlay, &data, &log) else {
        assert!(power.nr_commands() > command, "nothing else fails");
        return true;
    };
    let clients: Vec<_> = std::thread::scope(|scope| {
        let disk = &*disk;
        let threads = [0, 1, 2].map(|number| {
            let seed = random.next();
            scope.spawn(move || Client::new(number).run(disk, seed, 40))
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let is_cut = disk.finish().is_err();
    assert_eq!(is_cut, power.nr_commands() > command, "a client that lost the power is told");
    for _ in 0..8 {
        let (image, disk) = (log.after_cut(&mut random), data.after_cut(&mut random));
        // Without a superblock the log is none, and nothing was promised.
        let is_log = !image.is_empty();
        let replay = if is_log { replayed(&image, &vec![0; DISK], usize::MAX).0 } else { vec![0; DISK] };
        for client in &clients {
            client.check(&replay, &format!("in the log, cut at command {command}"));
            if !is_overlay {
                client.check_flushed_in(&disk);
            }
        }
    }
    is_cut
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
            assert!(matches!(disk.call(Op::Flush, Payload::NONE), Err(CallError::Refused(_))));
            let image = log.seen();
            assert_eq!(superblock(&image), (512, end.index));
            assert!(replayed(&image, &vec![0; DISK], usize::MAX).0 == seen);
            assert!(is_overlay || data.seen() == seen);
        }
    }
}

#[test]
fn a_failing_data_device_is_reported_and_marked() {
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
fn a_payload_that_is_too_short_is_refused_before_anything_is_touched() {
    for is_overlay in [false, true] {
        let mut random = Random::new(1);
        let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
        let disk = start(Config::new(SectorSize::B512), is_overlay, &data, &log);
        let op = Op::Write { extent: Extent::new(0, 8).unwrap(), flags: WriteFlags::empty() };
        let short = ShortPayload { kept_bytes: BLOCK - 1, needed_bytes: wide(BLOCK) };
        let refusal = Refusal::Invalid(SubmitError::Payload(short));
        let payload = Payload::text(vec![1; BLOCK - 1]);
        assert_eq!(disk.call(op, payload), Err(CallError::Refused(refusal)));
        assert_eq!(data.nr_writes(), 0);
        write(&*disk, 8, 2).expect("the log continues");
        disk.finish().unwrap();
        assert_eq!(entries(&log.seen())[0].sector, 8);
    }
}

/// What a client has submitted and forgotten is done.
#[test]
fn a_batch_that_is_dropped_is_carried_out() {
    struct Told(AtomicU64);
    impl Waiter for Told {
        fn done(&self, cookie: u64, result: Result<(), OpError>) {
            result.unwrap();
            self.0.store(cookie, Atomic::Relaxed);
        }
    }
    let mut random = Random::new(1);
    let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
    let disk = start(Config::new(SectorSize::B512), true, &data, &log);
    let told = Arc::new(Told(AtomicU64::new(0)));
    let waiter: Arc<dyn Waiter> = Arc::<Told>::clone(&told);
    let extent = Extent::new(0, 8).unwrap();
    let op = Op::WriteZeroes { extent, flags: WriteFlags::empty() };
    disk.batch().submit(op, Payload::NONE, waiter, 7).unwrap();
    assert_eq!(told.0.load(Atomic::Relaxed), 7);
    disk.finish().unwrap();
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
        disk.call(Op::Flush, Payload::NONE).unwrap();
        log.set_fault(Some(fault));
        assert_eq!(write(&*disk, 8, 2), Err(CallError::Failed(OpError::Log)));
        assert!(matches!(write(&*disk, 16, 3), Err(CallError::Refused(_))));
        assert!(disk.call(Op::Flush, Payload::NONE).is_err());
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
    assert_eq!(write(&*disk, 100, 2), Err(CallError::Refused(Refusal::NoSpace)));
    disk.call(Op::Flush, Payload::NONE).unwrap();
    log.set_storage(None);
    write(&*disk, 200, 3).expect("there is room again");
    disk.finish().unwrap();
    let replay = replayed(&log.seen(), &vec![0; DISK], usize::MAX).0;
    assert!(replay == data.seen() && replay[100 * 512..108 * 512].iter().all(|byte| *byte == 0));
}

/// Clients that never wait for answers are held up by the log, and what waits for it is written together.
#[test]
fn a_slow_log_holds_clients_up() {
    let mut random = Random::new(1);
    let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
    let disk = start(Config::new(SectorSize::B512), false, &data, &log);
    let nr_before = log.nr_writes();
    log.set_write_time(Duration::from_millis(5));
    let most = flood(&*disk, 500, BLOCK);
    assert!((100..=wide(SLOTS)).contains(&most), "{most} in flight");
    let nr_writes = log.nr_writes() - nr_before;
    assert!(nr_writes < 200, "{nr_writes} writes for 2000 entries");
    assert_eq!(entries(&log.seen()).len(), 2001);
}

#[test]
fn the_log_is_written_where_it_has_storage_and_not_while_that_is_taken() {
    for is_overlay in [false, true] {
        let mut random = Random::new(1);
        let (data, log) = (Device::new(DISK, &mut random), Device::new(0, &mut random));
        let disk = start(Config::new(SectorSize::B512), is_overlay, &data, &log);
        log.set_write_time(Duration::from_micros(100));
        flood(&*disk, 200, CLIENT_BYTES);
        assert_eq!(entries(&log.seen()).len(), 801);
        assert_eq!(log.trespasses(), Vec::<&str>::new());
    }
}

/// Four clients submit as many writes each without waiting for any; all are done when the disk is finished. Gives how many
/// were in flight at most.
fn flood(disk: &dyn LiveDisk, nr_each: u64, len: usize) -> u64 {
    struct Counted(AtomicU64);
    impl Waiter for Counted {
        fn done(&self, _cookie: u64, result: Result<(), OpError>) {
            result.unwrap();
            self.0.fetch_add(1, Atomic::Relaxed);
        }
    }
    let counted = Arc::new(Counted(AtomicU64::new(0)));
    let most = AtomicU64::new(0);
    let payload = Payload::text(vec![7; len]);
    let (nr_sectors, nr_places) = (wide(len / 512), wide(CLIENT_BYTES / len).min(8));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (counted, most, payload) = (&counted, &most, &payload);
            scope.spawn(move || {
                let mut batch = disk.batch();
                for index in 0..nr_each {
                    let place = number * nr_places + index % nr_places;
                    let extent = Extent::new(place * nr_sectors, nr_sectors).unwrap();
                    let op = Op::Write { extent, flags: WriteFlags::empty() };
                    let waiter: Arc<dyn Waiter> = Arc::<Counted>::clone(counted);
                    batch.submit(op, payload.clone(), waiter, index).unwrap();
                    most.fetch_max(wide(disk.counters().nr_in_flight), Atomic::Relaxed);
                }
            });
        }
    });
    disk.finish().unwrap();
    assert_eq!(counted.0.load(Atomic::Relaxed), 4 * nr_each);
    most.into_inner()
}

fn start(config: Config, is_overlay: bool, data: &Arc<Device>, log: &Arc<Device>) -> Box<dyn LiveDisk> {
    try_start(config, is_overlay, data, log).expect("the devices work")
}

fn try_start(
    config: Config,
    is_overlay: bool,
    data: &Arc<Device>,
    log: &Arc<Device>,
) -> io::Result<Box<dyn LiveDisk>> {
    let (data, log) = (Shared(Arc::clone(data)), Shared(Arc::clone(log)));
    Ok(if is_overlay {
        Box::new(Engine::start(Overlay::<SLOTS>::new(config).expect("a configuration"), data, log)?)
    } else {
        Box::new(Engine::start(Logger::<SLOTS>::new(config).expect("a configuration"), data, log)?)
    })
}

fn write(disk: &dyn LiveDisk, sector: u64, byte: u8) -> Result<(), CallError> {
    let extent = Extent::new(sector, 8).unwrap();
    disk.call(Op::Write { extent, flags: WriteFlags::empty() }, Payload::text(vec![byte; BLOCK]))
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

const NR_CUTS: u64 = 200;
const NR_CLIENTS: usize = 6;
const DISK: usize = NR_CLIENTS * CLIENT_BYTES;
