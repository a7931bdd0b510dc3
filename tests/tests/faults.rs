//! Failing devices under the blocking driver: what failed is said, and failure is sticky.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use logwrites_core::device::{LogDevice, Piece};
use logwrites_core::drive::{Driver, Event};
use logwrites_core::logger::SubmitError;
use logwrites_core::reader::LogSlice;
use logwrites_core::{
    Config, Extent, Logger, Op, OpError, Ordering, SectorSize, SuperblockPolicy, Tag, WriteFlags,
};
use logwrites_tests::checker::{Evidence, check};
use logwrites_tests::choices::{Choices, Seeded};
use logwrites_tests::content::{Stamp, mark_text, narrow, payload};
use logwrites_tests::faulty::{Fault, Faulty, Rates};
use logwrites_tests::model::{Model, OpId};

const NR_SEEDS: u64 = 4000;
const NR_SECTORS: usize = 12;

#[test]
fn failure_is_said_and_sticky() {
    let mut totals = [0; 5];
    let mut nr_calls = 0;
    for seed in 0..NR_SEEDS {
        let mut random = Seeded::new(seed, u64::MAX);
        let faults = match seed % 2 {
            0 => session::<1>(&mut random, seed),
            _ => session::<4>(&mut random, seed),
        };
        nr_calls += faults.1;
        for fault in faults.0 {
            let kinds = [Fault::Error, Fault::Flush, Fault::NoRoom, Fault::Short, Fault::Torn];
            totals[kinds.iter().position(|kind| *kind == fault).unwrap()] += 1;
        }
    }
    println!("{NR_SEEDS} seeds, {nr_calls} calls; errors, flushes, no room, short, torn: {totals:?}");
    assert!(totals.iter().all(|total| *total > 100));
}

#[test]
fn a_device_drops_what_a_failed_flush_should_have_kept() {
    let mut nr_lost = 0;
    for seed in 0..200 {
        let mut device = Faulty::new(32, Vec::new(), Rates { flush: 2, ..Rates::default() }, seed);
        device.write(0, &[Piece::Bytes(&[7; 32])]).unwrap();
        let is_sure = LogDevice::flush(&mut device).is_ok();
        let _ = LogDevice::flush(&mut device);
        let is_lost = device.power_cut().is_empty();
        assert!(!is_lost || !is_sure, "seed {seed}: a flush that succeeded keeps it");
        nr_lost += u64::from(is_lost);
    }
    assert!(nr_lost > 0);
}

/// One seed; gives the faults, and how many calls there were.
fn session<const N: usize>(random: &mut Seeded, seed: u64) -> (Vec<Fault>, u64) {
    let sector_size = SectorSize::B512;
    let mut rate = |options: &[u64]| random.pick(options);
    let data_rates =
        Rates { write: rate(&[0, 0, 6, 30]), flush: rate(&[0, 0, 8]), ignored: rate(&[0, 3]), room_bytes: 0 };
    let room_bytes = rate(&[0, 0, 0, 9000, 20_000]);
    let log_rates = Rates { write: rate(&[0, 0, 10, 40]), flush: rate(&[0, 0, 12]), ignored: 0, room_bytes };
    let config = Config {
        ordering: random.pick(&[Ordering::Completion, Ordering::Durability]),
        superblock_policy: random.pick(&[SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier]),
        ..Config::new(sector_size)
    };
    let base: Vec<Stamp> = (0..NR_SECTORS).map(Stamp::base).collect();
    let mut image = Vec::new();
    for stamp in &base {
        stamp.fill(sector_size, &mut image);
    }
    let data = Faulty::new(512, image, data_rates, seed << 1);
    let log = Faulty::new(512, Vec::new(), log_rates, seed << 1 | 1);
    let driver = Driver::new(Logger::<N>::new(config).unwrap(), data.clone(), log.clone());
    let mut client = Client {
        driver,
        data: data.clone(),
        model: Model::default(),
        payloads: vec![Vec::new(); N],
        owners: vec![None; N],
        failed_flush: None,
    };
    for number in 0..40 {
        let op = choose_op(random);
        client.submit(OpId(number), op, seed);
        if N == 1 || random.one_in(3) {
            client.drain();
        }
        client.check_failure(&log, seed);
    }
    client.driver.close(&client.payloads[..], |_| {});
    let failure = client.driver.recorder().failure();
    check_logs(&client.model, &data, &log, &base, failure, config, seed);
    let faults = [data.faults(), log.faults()].concat();
    (faults, data.nr_calls() + log.nr_calls())
}

struct Client<const N: usize> {
    driver: Driver<Logger<N>, Faulty, Faulty, 3>,
    data: Faulty,
    model: Model,
    payloads: Vec<Vec<u8>>,
    owners: Vec<Option<OpId>>,
    /// The first flush that has failed: none behind it may succeed.
    failed_flush: Option<OpId>,
}

impl<const N: usize> Client<N> {
    fn submit(&mut self, id: OpId, op: Op, seed: u64) {
        if self.owners.iter().all(Option::is_some) {
            self.drain();
        }
        let failed_before = self.driver.recorder().failure() == Some(OpError::Log);
        let tag = self.owners.iter().position(Option::is_none).unwrap();
        self.payloads[tag] = match op {
            Op::Write { extent, .. } => payload(id, extent.nr_sectors(), SectorSize::B512),
            Op::Mark { len_bytes } => mark_text(id, len_bytes),
            _ => Vec::new(),
        };
        assert_eq!(self.model.submit(op), id, "seed {seed}");
        let _ = self.data.take_last();
        let is_done_at_device = !matches!(op, Op::Mark { .. });
        let (mut done, mut released) = (Vec::new(), Vec::new());
        let handle = Tag::new(u16::try_from(tag).unwrap());
        self.owners[tag] = Some(id);
        let result = self.driver.submit(handle, op, &self.payloads[..], |event| match event {
            Event::Done { tag, result } => done.push((tag, result)),
            Event::Release(tag) => released.push(tag),
            Event::Finished => {}
        });
        assert_eq!(result == Err(SubmitError::LogFailed), failed_before, "seed {seed}: {id} {result:?}");
        if result.is_err() {
            assert!(failed_before && done.is_empty(), "seed {seed}: {result:?}");
            self.owners[tag] = None;
        } else if is_done_at_device {
            match self.data.take_last() {
                Some(outcome) => {
                    self.model.issue(id).unwrap();
                    self.model.complete(id, outcome).unwrap();
                }
                // A flush behind a failed one is not even tried.
                None => {
                    let has_failed = self.driver.recorder().failure().is_some();
                    assert!(op == Op::Flush && has_failed, "seed {seed}: {id} {op:?}");
                }
            }
        }
        self.note(&done, &released);
    }

    fn drain(&mut self) {
        let (mut done, mut released) = (Vec::new(), Vec::new());
        self.driver.drain(&self.payloads[..], |event| match event {
            Event::Done { tag, result } => done.push((tag, result)),
            Event::Release(tag) => released.push(tag),
            Event::Finished => {}
        });
        self.note(&done, &released);
    }

    fn note(&mut self, done: &[(Tag, Result<(), OpError>)], released: &[Tag]) {
        for (tag, result) in done {
            let id = self.owners[tag.index()].unwrap();
            self.model.done(id, *result).unwrap();
            if self.model.record(id).is_flush() {
                // One that was submitted before may still be acknowledged behind it.
                let is_behind = self.failed_flush.is_some_and(|failed| failed < id);
                assert!(
                    result.is_err() || !is_behind,
                    "{id} is acknowledged, and an earlier flush has failed"
                );
                if result.is_err() {
                    self.failed_flush = Some(self.failed_flush.map_or(id, |failed| failed.min(id)));
                }
            }
        }
        for tag in released {
            self.model.release(self.owners[tag.index()].take().unwrap()).unwrap();
        }
    }

    /// A log write that failed is a failure for good; a data write is none.
    fn check_failure(&self, log: &Faulty, seed: u64) {
        let failure = self.driver.recorder().failure();
        let has_write_failed = log.faults().iter().any(|fault| *fault != Fault::Flush);
        assert!(failure == Some(OpError::Log) || !has_write_failed, "seed {seed}: {failure:?}");
        let is_clean = log.faults().is_empty() && !self.data.faults().contains(&Fault::Flush);
        assert!(failure.is_none() || !is_clean, "seed {seed}: {failure:?}");
    }
}

/// The log is readable up to what failed, true, and after a power cut holds all that was promised.
fn check_logs(
    model: &Model,
    data: &Faulty,
    log: &Faulty,
    base: &[Stamp],
    failure: Option<OpError>,
    config: Config,
    seed: u64,
) {
    let nr_promised = model
        .records()
        .filter(|(_, record)| record.done_ok_at().is_some() && (record.is_flush() || record.op.is_fua()))
        .count();
    let there = log.seen();
    if LogSlice::open(&there).is_err() {
        assert!(failure == Some(OpError::Log) && nr_promised == 0, "seed {seed}: the log does not open");
        return;
    }
    let disk: Vec<Stamp> =
        data.seen().chunks(512).map(|sector| Stamp::read(sector).unwrap_or(Stamp::ZERO)).collect();
    let evidence = Evidence {
        model,
        log: &there,
        first_entry: 0,
        first_sector: 0,
        base,
        disk: &disk,
        is_whole: failure.is_none(),
    };
    check(&evidence).unwrap_or_else(|violation| panic!("seed {seed}: {violation}\n{config:#?}\n{model}"));
    for _ in 0..4 {
        let cut = log.power_cut();
        let Ok(entries) = LogSlice::open(&cut) else {
            assert_eq!(nr_promised, 0, "seed {seed}: after a power cut the log does not open");
            continue;
        };
        let counted = narrow(entries.superblock().nr_entries);
        let nr_read = entries.take_while(Result::is_ok).count();
        let is_barrier = config.superblock_policy == SuperblockPolicy::Barrier;
        assert!(nr_read == counted || !is_barrier, "seed {seed}: {nr_read} of {counted}");
        if is_barrier {
            check(&Evidence { log: &cut, is_whole: false, ..evidence })
                .unwrap_or_else(|violation| panic!("seed {seed}, cut: {violation}\n{model}"));
        }
    }
}

fn choose_op(random: &mut Seeded) -> Op {
    let flags = if random.one_in(5) { WriteFlags::FUA } else { WriteFlags::empty() };
    let sector = random.below(10);
    let extent = Extent::between(sector, sector + 1 + random.below(2));
    match random.below(14) {
        0..7 => Op::Write { extent, flags },
        7 => Op::WriteZeroes { extent, flags },
        8 => Op::Discard { extent },
        9 => Op::Mark { len_bytes: 5 },
        _ => Op::Flush,
    }
}
