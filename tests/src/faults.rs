//! Failing devices under the blocking driver: what failed is said, and failure is sticky.
#![expect(clippy::unwrap_used, reason = "a body panics if something does not hold")]

use logwrites_core::drive::{Driver, Event};
use logwrites_core::history::ExtentMap;
use logwrites_core::logger::SubmitError;
use logwrites_core::num::narrow;
use logwrites_core::overlay::Overlay;
use logwrites_core::reader::LogSlice;
use logwrites_core::{
    Config, Extent, Logger, Op, OpError, Ordering, Outcome, SectorSize, SuperblockPolicy, Tag, WriteFlags,
};

use crate::checker::{Evidence, check};
use crate::choices::{Choices, Seeded};
use crate::content::{Stamp, mark_text, payload};
use crate::faulty::{Fault, Faulty, Rates};
use crate::model::{Model, OpId};
use crate::power::{Disk, read_through};

/// What happened to the devices of a session.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What failed, in no order.
    pub faults: Vec<Fault>,
    /// Calls of both devices.
    pub nr_calls: u64,
}

/// Runs a session, with all that fails in it, from one seed: one operation in flight or four, over a data device or
/// over a mere base.
///
/// # Panics
/// If something does not hold: what failed is not said, something else is, or a log, also after a power cut, is not
/// what it must be.
#[must_use]
pub fn run(seed: u64) -> Ran {
    let mut random = Seeded::new(seed, u64::MAX);
    let setup = Setup::choose(&mut random, seed % 3 == 2);
    let config = setup.config;
    match (setup.is_overlay, seed % 2) {
        (false, 0) => session(Logger::<1>::new(config), &setup, &mut random, seed),
        (false, _) => session(Logger::<4>::new(config), &setup, &mut random, seed),
        (true, 0) => session(Overlay::<1>::new(config), &setup, &mut random, seed),
        (true, _) => session(Overlay::<4>::new(config), &setup, &mut random, seed),
    }
}

struct Setup {
    config: Config,
    is_overlay: bool,
    data: Rates,
    log: Rates,
}

impl Setup {
    fn choose(random: &mut Seeded, is_overlay: bool) -> Self {
        let mut rate = |options: &[u64]| random.pick(options);
        let (write, flush, ignored) = (rate(&[0, 0, 6, 30]), rate(&[0, 0, 8]), rate(&[0, 3]));
        let data = Rates { write, flush, ignored, room_bytes: 0 };
        let room_bytes = rate(&[0, 0, 0, 9000, 20_000]);
        let log = Rates { write: rate(&[0, 0, 10, 40]), flush: rate(&[0, 0, 12]), ignored: 0, room_bytes };
        let orderings = [Ordering::Completion, Ordering::Durability];
        let config = Config {
            ordering: if is_overlay { Ordering::Completion } else { random.pick(&orderings) },
            superblock_policy: random.pick(&[SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier]),
            ..Config::new(SectorSize::B512)
        };
        Self { config, is_overlay, data, log }
    }
}

fn session<R: Disk, E: core::fmt::Debug>(
    recorder: Result<R, E>,
    setup: &Setup,
    random: &mut Seeded,
    seed: u64,
) -> Ran {
    let recorder = recorder.expect("the configuration is valid");
    let base: Vec<Stamp> = (0..NR_SECTORS).map(Stamp::base).collect();
    let mut image = Vec::new();
    for stamp in &base {
        stamp.fill(SectorSize::B512, &mut image);
    }
    let data = Faulty::new(512, image, setup.data, seed << 1);
    let log = Faulty::new(512, Vec::new(), setup.log, seed << 1 | 1);
    let driver = Driver::new(recorder, data.clone(), log.clone());
    let mut client = Client {
        driver,
        data: data.clone(),
        model: Model::default(),
        payloads: vec![Vec::new(); R::NR_SLOTS],
        owners: vec![None; R::NR_SLOTS],
        failed_flush: None,
    };
    for number in 0..40 {
        let op = choose_op(random);
        client.submit(OpId(number), op, seed);
        if R::NR_SLOTS == 1 || random.one_in(3) {
            client.drain();
        }
        client.check_failure(&log, seed);
    }
    client.driver.close(&client.payloads[..], |_| {});
    let recorder = client.driver.recorder();
    let failure = recorder.failure();
    let disk = recorder.map().map_or_else(|| stamps(&data.seen()), |map| overlaid(map, &log.seen()));
    let case = Case { setup, model: &client.model, base: &base, disk: &disk, failure, seed };
    case.check_logs(&log);
    assert!(!setup.is_overlay || data.nr_calls() == 0, "seed {seed}: an overlay's base is touched");
    Ran { faults: [data.faults(), log.faults()].concat(), nr_calls: data.nr_calls() + log.nr_calls() }
}

/// What a disk holds that lives in its log.
fn overlaid(map: &ExtentMap, log: &[u8]) -> Vec<Stamp> {
    (0..NR_SECTORS).map(|at| read_through(map, log, at).unwrap_or(Stamp::ZERO)).collect()
}

fn stamps(image: &[u8]) -> Vec<Stamp> {
    image.chunks(512).map(|sector| Stamp::read(sector).unwrap_or(Stamp::ZERO)).collect()
}

struct Client<R: Disk> {
    driver: Driver<R, Faulty, Faulty, 3>,
    data: Faulty,
    model: Model,
    payloads: Vec<Vec<u8>>,
    owners: Vec<Option<OpId>>,
    /// The first flush that has failed: none after it may succeed.
    failed_flush: Option<OpId>,
}

impl<R: Disk> Client<R> {
    fn submit(&mut self, id: OpId, op: Op, seed: u64) {
        if self.owners.iter().all(Option::is_some) {
            self.drain();
        }
        let was_broken = self.driver.recorder().failure().is_some();
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
            // An overlay has done what it is told as soon as it takes it.
            let is_overlay = self.driver.recorder().map().is_some();
            let overlaid = (is_overlay && !(op == Op::Flush && was_broken)).then_some(Outcome::Ok);
            match self.data.take_last().or(overlaid) {
                Some(outcome) => {
                    self.model.issue(id).unwrap();
                    self.model.complete(id, outcome).unwrap();
                }
                // A flush after a failed one is not even tried.
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
                // One that was submitted before may still be acknowledged after it.
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

/// What a session has come to.
struct Case<'a> {
    setup: &'a Setup,
    model: &'a Model,
    base: &'a [Stamp],
    disk: &'a [Stamp],
    failure: Option<OpError>,
    seed: u64,
}

impl Case<'_> {
    /// The log is readable up to what failed, true, and after a power cut holds all that was promised.
    fn check_logs(&self, log: &Faulty) {
        let seed = self.seed;
        let is_promise = |op: Op| op == Op::Flush || op.is_fua();
        let promised =
            self.model.records().filter(|(_, record)| record.done_ok_at().is_some() && is_promise(record.op));
        let nr_promised = promised.count();
        let there = log.seen();
        if LogSlice::open(&there).is_err() {
            let is_lost = self.failure == Some(OpError::Log) && nr_promised == 0;
            assert!(is_lost, "seed {seed}: the log does not open");
            return;
        }
        self.check_log(&there, self.failure.is_none());
        for _ in 0..4 {
            let cut = log.power_cut();
            let Ok(entries) = LogSlice::open(&cut) else {
                assert_eq!(nr_promised, 0, "seed {seed}: after a power cut the log does not open");
                continue;
            };
            let counted = narrow(entries.superblock().nr_entries);
            let nr_read = entries.take_while(Result::is_ok).count();
            let is_barrier = self.setup.config.superblock_policy == SuperblockPolicy::Barrier;
            assert!(nr_read == counted || !is_barrier, "seed {seed}: {nr_read} of {counted}");
            if is_barrier {
                self.check_log(&cut, false);
            }
        }
    }

    fn check_log(&self, log: &[u8], is_whole: bool) {
        let Self { model, base, disk, seed, .. } = *self;
        let evidence = Evidence { model, log, first_entry: 0, first_sector: 0, base, disk, is_whole };
        check(&evidence).unwrap_or_else(|violation| {
            panic!("seed {seed}: {violation}\n{:#?}\n{model}", self.setup.config)
        });
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

const NR_SECTORS: usize = 12;
