//! The driver for those who do one operation at a time, over devices that can only write and seek, and over failing ones.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use logwrites_core::device::{NoData, Seeking};
use logwrites_core::drive::{DriveError, Driver};
use logwrites_core::{Config, Extent, Logger, OpError, Ordering, SectorSize, WriteFlags};
use logwrites_tests::choices::{Choices, Seeded, seeds};
use logwrites_tests::faulty::{Fault, Faulty, Rates};
use logwrites_tests::memory::Memory;
use logwrites_tests::naive;

const SIZE: SectorSize = SectorSize::B512;
const NR_SECTORS: u64 = 16;
const NR_SEEDS: u64 = 200;

/// What an entry has: flags, sector, sectors, text, and the byte that its payload consists of.
type Expected = (u64, u64, u64, Vec<u8>, u8);

#[test]
fn what_is_called_is_in_the_log_and_on_the_disk() {
    for seed in seeds(NR_SEEDS) {
        let mut random = Seeded::new(seed, u64::MAX);
        let mut driver: Driver<_, _, _> =
            Driver::new(logger(&mut random), memory(), Seeking(Memory::default()));
        let ordering = driver.recorder().config().ordering;
        let mut disk = vec![0; 512 * 16];
        let (mut expected, mut is_clean): (Vec<Expected>, bool) = (Vec::new(), true);
        for number in 1..40 {
            let (extent, flags) = (extent(&mut random), flags(&mut random));
            let bytes = vec![number; usize::try_from(SIZE.bytes_of(extent.nr_sectors())).unwrap()];
            let at = usize::try_from(SIZE.bytes_of(extent.sector())).unwrap();
            let (sector, nr_sectors) = (extent.sector(), extent.nr_sectors());
            let fua = if flags.contains(WriteFlags::FUA) { naive::FUA } else { 0 };
            let entry = match random.below(8) {
                0..3 => {
                    driver.write(extent, &bytes, flags).unwrap();
                    disk[at..at + bytes.len()].copy_from_slice(&bytes);
                    Some((fua, sector, nr_sectors, vec![], number))
                }
                3 => {
                    driver.write_zeroes(extent, flags).unwrap();
                    disk[at..at + bytes.len()].fill(0);
                    Some((fua, sector, nr_sectors, vec![], 0))
                }
                4 => {
                    // It cannot be done, so that it is not logged.
                    driver.discard(extent).unwrap();
                    None
                }
                5 => {
                    driver.mark(&[number; 9]).unwrap();
                    Some((naive::MARK, 0, 0, vec![number; 9], 0))
                }
                _ => {
                    driver.flush().unwrap();
                    let is_logged = !is_clean || ordering == Ordering::Durability;
                    is_logged.then_some((naive::FLUSH, 0, 0, vec![], 0))
                }
            };
            is_clean = entry.as_ref().map_or(is_clean, |entry| entry.0 == naive::FLUSH);
            expected.extend(entry);
        }
        if ordering == Ordering::Durability {
            expected.push((naive::MARK, 0, 0, b"dm-log-writes-end".to_vec(), 0));
        }
        let (mut data, Seeking(log)) = driver.finish().unwrap();
        assert_eq!(entries(log.bytes()), expected, "seed {seed}");
        let mut there = vec![9; disk.len()];
        data.read(0, &mut there).unwrap();
        assert!(there == disk, "seed {seed}: the disk");
    }
}

#[test]
fn a_log_alone_has_the_discards_too() {
    let log = Seeking(Memory::default());
    let mut driver: Driver<_, _, _> = Driver::new(Logger::<1>::new(Config::new(SIZE)).unwrap(), NoData, log);
    driver.write(Extent::between(2, 3), &[7; 512], WriteFlags::FUA).unwrap();
    driver.write_zeroes(Extent::between(4, 6), WriteFlags::empty()).unwrap();
    driver.discard(Extent::between(8, 11)).unwrap();
    driver.flush().unwrap();
    let (_, Seeking(log)) = driver.finish().unwrap();
    let expected: [Expected; 4] = [
        (naive::FUA, 2, 1, vec![], 7),
        (0, 4, 2, vec![], 0),
        (naive::DISCARD, 8, 3, vec![], 0),
        (naive::FLUSH, 0, 0, vec![], 0),
    ];
    assert_eq!(entries(log.bytes()), expected);
}

#[test]
fn an_error_says_which_device_failed_and_what_came_before() {
    let always = Rates { write: 1, flush: 1, ..Rates::default() };
    let sector = Extent::between(0, 1);
    for (fails_at_data, ordering) in
        [(true, Ordering::Completion), (true, Ordering::Durability), (false, Ordering::Completion)]
    {
        let good = || Faulty::new(512, vec![0; 512 * 16], Rates::default(), 1);
        let bad = || Faulty::new(512, vec![0; 512 * 16], Rates { write: 2, ..always }, 1);
        let (data, log) = if fails_at_data { (bad(), good()) } else { (good(), bad()) };
        let config = Config { ordering, ..Config::new(SIZE) };
        let mut driver: Driver<_, _, _> =
            Driver::new(Logger::<1>::new(config).unwrap(), data.clone(), log.clone());
        let mut failures = Vec::new();
        for number in 0..20 {
            failures.extend(driver.write(sector, &[number; 512], WriteFlags::empty()).err());
            failures.extend(driver.flush().err());
        }
        let is_its = |error: &DriveError<Fault, Fault>| match error {
            DriveError::Data(_) => fails_at_data,
            DriveError::Log(_) => !fails_at_data,
            DriveError::Earlier(_) | DriveError::Submit(_) => true,
            DriveError::Mark(_) => false,
        };
        assert!(failures.iter().all(is_its), "{failures:?}");
        assert!(matches!(failures[0], DriveError::Data(_) | DriveError::Log(_)), "{failures:?}");
        let is_flush_refused = matches!(driver.flush(), Err(DriveError::Earlier(_) | DriveError::Submit(_)));
        assert!(is_flush_refused, "no later flush proves anything");
        assert!(driver.finish().is_err(), "the log is not whole, and that is said");
    }
}

#[test]
fn a_mark_that_is_none_changes_nothing() {
    let log = Seeking(Memory::default());
    let mut driver: Driver<_, _, _> = Driver::new(Logger::<1>::new(Config::new(SIZE)).unwrap(), NoData, log);
    for text in [&b"a\0b"[..], &[b'x'; 480]] {
        assert!(matches!(driver.mark(text), Err(DriveError::Mark(_))), "{text:?}");
    }
    assert_eq!(driver.recorder().failure(), None::<OpError>);
    let (_, Seeking(log)) = driver.finish().unwrap();
    assert_eq!(entries(log.bytes()), []);
}

fn logger(random: &mut Seeded) -> Logger<1> {
    let ordering = random.pick(&[Ordering::Completion, Ordering::Durability]);
    Logger::new(Config { ordering, ..Config::new(SIZE) }).unwrap()
}

fn memory() -> Seeking<Memory> {
    Seeking(Memory::new(vec![0; 512 * 16]))
}

fn extent(random: &mut Seeded) -> Extent {
    let sector = random.below(NR_SECTORS - 3);
    Extent::between(sector, sector + 1 + random.below(3))
}

fn flags(random: &mut Seeded) -> WriteFlags {
    if random.one_in(4) { WriteFlags::FUA } else { WriteFlags::empty() }
}

/// The entries of a log, by the naive reader.
fn entries(log: &[u8]) -> Vec<Expected> {
    let superblock = naive::Superblock::read(log).unwrap();
    let read = naive::entries(log, 512, superblock.nr_entries).map(|entry| {
        let fill = entry.payload.first().copied().unwrap_or(0);
        assert!(entry.payload.iter().all(|byte| *byte == fill), "a payload is whole");
        (entry.flags, entry.sector, entry.nr_sectors, entry.text.to_vec(), fill)
    });
    read.collect()
}
