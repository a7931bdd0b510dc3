//! A real front end: threads carry out the commands on files, at once and in whatever order the system makes of it. The
//! log is judged as a simulated one is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use logwrites_core::num::{narrow, widen};
use logwrites_core::{
    Command, Config, Extent, LogId, Logger, Op, Ordering, Outcome, SectorSize, SuperblockPolicy,
};
use logwrites_core::{Tag, WriteFlags};
use logwrites_tests::checker::{Evidence, check_all};
use logwrites_tests::choices::{Choices, Seeded};
use logwrites_tests::content::{Stamp, mark_text, payload};
use logwrites_tests::model::{Model, OpId};
use logwrites_tests::rig::bytes_of;

#[test]
fn threads_make_a_log_that_holds_in_either_order() {
    for ordering in [Ordering::Completion, Ordering::Durability] {
        for superblock_policy in [SuperblockPolicy::WithFlush, SuperblockPolicy::Barrier] {
            for seed in 0..6 {
                let config = Config { ordering, superblock_policy, ..Config::new(SectorSize::B512) };
                record_with_threads(config, seed);
            }
        }
    }
}

fn record_with_threads(config: Config, seed: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name| {
        File::options().read(true).write(true).create_new(true).open(dir.path().join(name)).expect("a file")
    };
    let (data, log) = (Arc::new(file("data")), Arc::new(file("log")));
    let base: Vec<Stamp> = (0..NR_SECTORS).map(Stamp::base).collect();
    let bytes_of_base: Vec<u8> = base.iter().flat_map(|stamp| bytes_of_stamp(*stamp)).collect();
    data.write_all_at(&bytes_of_base, 0).expect("the base is written");

    let mut front = Front::new(config, Workers::start(&data, &log), seed);
    front.run();
    let model = front.model;

    let read = |file: &File| {
        let mut bytes = vec![0; narrow(file.metadata().expect("its size").len())];
        file.read_exact_at(&mut bytes, 0).expect("it is read");
        bytes
    };
    let disk: Vec<Stamp> =
        read(&data).chunks(SECTOR).map(|sector| Stamp::read(sector).expect("whole sectors")).collect();
    let evidence = Evidence {
        model: &model,
        log: &read(&log),
        first_entry: 0,
        first_sector: 0,
        base: &base,
        disk: &disk,
        is_whole: true,
    };
    let violations = check_all(&evidence);
    assert!(violations.is_empty(), "seed {seed}, {config:?}: {violations:?}");
}

/// A front end with a client that submits at random.
struct Front {
    logger: Logger<SLOTS>,
    model: Model,
    workers: Workers,
    choices: Seeded,
    free: Vec<Tag>,
    ids: Vec<OpId>,
    left: usize,
}

impl Front {
    fn new(config: Config, workers: Workers, seed: u64) -> Self {
        Self {
            logger: Logger::new(config).expect("a log without limit"),
            model: Model::default(),
            workers,
            choices: Seeded::new(seed, u64::MAX),
            free: (0..).map(Tag::new).take(SLOTS).collect(),
            ids: vec![OpId(0); SLOTS],
            left: NR_OPS,
        }
    }

    /// Submits everything, and closes the log.
    fn run(&mut self) {
        let mut is_closed = false;
        loop {
            while self.left > 0 && self.choices.below(3) > 0 && self.submit() {}
            if self.left == 0 && !is_closed {
                is_closed = true;
                self.logger.finish();
            }
            if self.poll() {
                return;
            }
            if self.workers.nr_busy > 0 {
                self.complete();
            }
        }
    }

    fn submit(&mut self) -> bool {
        let Some(tag) = self.free.pop() else { return false };
        let sector = self.choices.below(widen(NR_SECTORS));
        let nr_sectors = (1 + self.choices.below(6)).min(widen(NR_SECTORS) - sector);
        let extent = Extent::new(sector, nr_sectors).expect("on the disk");
        let flags = if self.choices.one_in(8) { WriteFlags::FUA } else { WriteFlags::empty() };
        let op = match self.choices.below(12) {
            0 => Op::Flush,
            1 => Op::Discard { extent },
            2 => Op::WriteZeroes { extent, flags },
            3 => Op::Mark { len_bytes: 20 },
            _ => Op::Write { extent, flags },
        };
        self.logger.submit(tag, op).expect("a free tag");
        self.ids[tag.index()] = self.model.submit(op);
        self.left -= 1;
        true
    }

    /// Carries out what there is to do; true at the end.
    fn poll(&mut self) -> bool {
        while let Some(command) = self.logger.poll() {
            match command {
                Command::Data { tag, op } => {
                    let id = self.ids[tag.index()];
                    self.model.issue(id).expect("an order that holds");
                    self.workers.give(Job::Data { tag, op, id });
                }
                Command::Log { id, write } => {
                    let ids = &self.ids;
                    let model = &self.model;
                    let bytes = bytes_of(&write, |tag, len_bytes| {
                        let id = ids[tag.index()];
                        match model.record(id).op {
                            Op::Mark { len_bytes } => mark_text(id, len_bytes),
                            _ => payload(id, len_bytes / widen(SECTOR), SectorSize::B512),
                        }
                    });
                    self.workers.give(Job::Log { id, offset_bytes: write.offset_bytes(), bytes });
                }
                Command::FlushLog { id } => self.workers.give(Job::FlushLog { id }),
                Command::Done { tag, result } => {
                    self.model.done(self.ids[tag.index()], result).expect("acknowledged in good order");
                }
                Command::Release(tag) => {
                    self.model.release(self.ids[tag.index()]).expect("released once");
                    self.free.push(tag);
                }
                Command::Finished => return true,
            }
        }
        false
    }

    fn complete(&mut self) {
        match self.workers.wait() {
            Completion::Data(tag) => {
                self.model.complete(self.ids[tag.index()], Outcome::Ok).expect("it was issued");
                self.logger.complete(tag, Outcome::Ok).expect("it is in flight");
            }
            Completion::Log(id) => self.logger.log_complete(id, Outcome::Ok).expect("it is in flight"),
        }
    }
}

enum Job {
    Data { tag: Tag, op: Op, id: OpId },
    Log { id: LogId, offset_bytes: u64, bytes: Vec<u8> },
    FlushLog { id: LogId },
}

enum Completion {
    Data(Tag),
    Log(LogId),
}

/// Threads that take jobs in turn, and end with their queue.
struct Workers {
    jobs: Sender<Job>,
    completions: Receiver<Completion>,
    nr_busy: usize,
}

impl Workers {
    fn start(data: &Arc<File>, log: &Arc<File>) -> Self {
        let (jobs, queue) = channel();
        let (done, completions) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..NR_THREADS {
            let (queue, done) = (Arc::clone(&queue), done.clone());
            let (data, log) = (Arc::clone(data), Arc::clone(log));
            std::thread::spawn(move || {
                loop {
                    let job = queue.lock().expect("no thread panics").recv();
                    let Ok(job) = job else { return };
                    if done.send(work(job, &data, &log)).is_err() {
                        return;
                    }
                }
            });
        }
        Self { jobs, completions, nr_busy: 0 }
    }

    fn give(&mut self, job: Job) {
        self.jobs.send(job).expect("the threads wait for jobs");
        self.nr_busy += 1;
    }

    fn wait(&mut self) -> Completion {
        self.nr_busy -= 1;
        self.completions.recv().expect("a job is under way")
    }
}

fn work(job: Job, data: &File, log: &File) -> Completion {
    match job {
        Job::Data { tag, op, id } => {
            if let Some(extent) = op.extent() {
                let bytes = match op {
                    Op::Write { .. } => payload(id, extent.nr_sectors(), SectorSize::B512),
                    _ => vec![0; narrow(extent.nr_sectors()) * SECTOR],
                };
                // In two halves, so that an overlap that should not be would mix.
                let (first, second) = bytes.split_at(bytes.len() / 2 / SECTOR * SECTOR);
                let offset_bytes = extent.sector() * widen(SECTOR);
                data.write_all_at(first, offset_bytes).expect("written");
                std::thread::yield_now();
                data.write_all_at(second, offset_bytes + widen(first.len())).expect("written");
            }
            Completion::Data(tag)
        }
        Job::Log { id, offset_bytes, bytes } => {
            log.write_all_at(&bytes, offset_bytes).expect("written");
            Completion::Log(id)
        }
        Job::FlushLog { id } => Completion::Log(id),
    }
}

fn bytes_of_stamp(stamp: Stamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    stamp.fill(SectorSize::B512, &mut bytes);
    bytes
}

const NR_SECTORS: usize = 64;
const SECTOR: usize = 512;
const SLOTS: usize = 32;
const NR_OPS: usize = 1500;
const NR_THREADS: usize = 4;
