//! What one 4 KiB write costs the logger, beside what copying its payload once costs:
//!
//!     cargo bench -p logwrites-core
//!
//! The logger never copies a payload. A front end that does pays at least the price of the peer here. The two take turns in one
//! run, a batch of the one and a batch of the other, since machines differ and are noisy; their medians are compared.
//!
//! - The logger, with its assertions on (the profile `bench` has them): as many writes at the data device as the depth
//!   says, to random sectors, and completing in random order. One of them is complete; the log write of whatever that
//!   lets into the log completes at once; the next write is submitted under the tag that is released; and `poll` is
//!   called until it says `None`. A superblock, one in 4096 entries, is part of it.
//! - The copy: 4 KiB from one buffer to another, going round as many of either as there are writes in flight.
//!
//! That nothing is allocated meanwhile is asserted; times are only printed. Without `--bench`, as `cargo test` may call
//! it, it does no more than a few of each.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use logwrites_core::{Command, Config, Extent, Logger, Op, Ordering, Outcome, SectorSize, Tag, WriteFlags};

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let effort =
        if is_bench { Effort { rounds: 101, turns: 20_000 } } else { Effort { rounds: 3, turns: 1000 } };
    println!("| what | min / median / max | beside | min / median / max | ratio |");
    println!("|---|---:|---|---:|---:|");
    compare::<1>(Ordering::Completion, 1, effort);
    compare::<16>(Ordering::Completion, 16, effort);
    compare::<256>(Ordering::Completion, 256, effort);
    // In durability order what has completed keeps its tag until it is logged: there are as many tags again for it.
    compare::<2>(Ordering::Durability, 1, effort);
    compare::<32>(Ordering::Durability, 16, effort);
    compare::<512>(Ordering::Durability, 256, effort);
    println!(
        "\nTimes are min / median / max of {} batches, the ratio is that of the medians.",
        effort.rounds
    );
}

/// How often either is timed, and how many of it at a time.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    turns: u32,
}

/// Times both, and prints the row.
fn compare<const N: usize>(ordering: Ordering, depth: u16, effort: Effort) {
    let mut writes = Writes::<N>::new(ordering, depth);
    let mut copies = Copies::new(depth);
    let mut logger = Times::with_capacity(effort.rounds);
    let mut copy = Times::with_capacity(effort.rounds);
    for _ in 0..effort.turns {
        writes.turn();
        copies.turn();
    }
    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..effort.rounds {
        logger.take(effort.turns, || writes.turn());
        copy.take(effort.turns, || copies.turn());
    }
    assert_eq!(ALLOCATIONS.load(Relaxed), before, "the logger never allocates");

    logger.sort();
    copy.sort();
    let ordering = match ordering {
        Ordering::Completion => "completion",
        Ordering::Durability => "durability",
    };
    let ratio = logger.median() / copy.median();
    println!(
        "| core, {depth} in flight, {ordering} order | {logger} | one copy of 4 KiB | {copy} | {ratio:.2} |"
    );
}

/// A logger, and a client that always has as many writes outstanding.
struct Writes<const N: usize> {
    logger: Logger<N>,
    /// What the data device has.
    at_device: Vec<Tag>,
    free: Vec<Tag>,
    /// Writes that wait for a free tag.
    nr_wanted: u32,
    random: Random,
}

impl<const N: usize> Writes<N> {
    fn new(ordering: Ordering, depth: u16) -> Self {
        let config = Config { ordering, ..Config::new(SectorSize::B512) };
        let mut writes = Self {
            logger: Logger::new(config).expect("there is room without a limit"),
            at_device: Vec::with_capacity(N),
            free: (0..u16::MAX).take(N).map(Tag::new).collect(),
            nr_wanted: 0,
            random: Random(0x9e37_79b9_7f4a_7c15),
        };
        for _ in 0..depth {
            let tag = writes.free.pop().expect("there are at least as many tags");
            writes.submit(tag);
        }
        writes.drain();
        assert_eq!(writes.at_device.len(), usize::from(depth), "the depth is what was asked for");
        writes
    }

    /// One write comes back from the data device, and so one is done and the next goes there.
    fn turn(&mut self) {
        let len = u32::try_from(self.at_device.len()).unwrap_or(u32::MAX);
        let at = usize::try_from(self.random.below(len)).unwrap_or(0);
        let tag = self.at_device.swap_remove(at);
        self.logger.complete(tag, Outcome::Ok).expect("the device had it");
        self.drain();
    }

    /// Carries out all commands, and submits a write for each that is done, as soon as a tag is free.
    fn drain(&mut self) {
        // By reference: moving a command out of the way would be the benchmark's own work.
        while let Some(command) = &self.logger.poll() {
            match command {
                Command::Data { tag, op } => {
                    black_box(op);
                    self.at_device.push(*tag);
                }
                Command::Log { id, write } => {
                    black_box(write);
                    self.logger.log_complete(*id, Outcome::Ok).expect("the device had it");
                }
                Command::FlushLog { id } => {
                    self.logger.log_complete(*id, Outcome::Ok).expect("the device had it");
                }
                Command::Done { result, .. } => {
                    result.expect("both devices work");
                    match self.free.pop() {
                        Some(tag) => self.submit(tag),
                        None => self.nr_wanted += 1,
                    }
                }
                Command::Release(tag) if self.nr_wanted > 0 => {
                    self.nr_wanted -= 1;
                    self.submit(*tag);
                }
                Command::Release(tag) => self.free.push(*tag),
                Command::Finished => unreachable!("it is never told to finish"),
            }
        }
    }

    fn submit(&mut self, tag: Tag) {
        let sector = u64::from(self.random.below(DISK_SECTORS / 8)) * 8;
        let extent = Extent::new(sector, 8).expect("the disk is small");
        self.logger.submit(tag, Op::Write { extent, flags: WriteFlags::empty() }).expect("the tag is free");
    }
}

/// The payloads of a steady number of writes, and where they are copied to.
struct Copies {
    from: Vec<Page>,
    to: Vec<Page>,
    next: usize,
}

impl Copies {
    fn new(depth: u16) -> Self {
        Self { from: vec![Page([1; 4096]); depth.into()], to: vec![Page([2; 4096]); depth.into()], next: 0 }
    }

    fn turn(&mut self) {
        let (from, to) = (black_box(&self.from[self.next]), &mut self.to[self.next]);
        to.0.copy_from_slice(&from.0);
        black_box(to);
        self.next = if self.next + 1 == self.from.len() { 0 } else { self.next + 1 };
    }
}

#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; 4096]);

/// What one turn took, in nanoseconds, batch by batch.
struct Times(Vec<f64>);

impl Times {
    fn with_capacity(rounds: usize) -> Self {
        Self(Vec::with_capacity(rounds))
    }

    fn take(&mut self, turns: u32, mut turn: impl FnMut()) {
        let start = Instant::now();
        for _ in 0..turns {
            turn();
        }
        self.0.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(turns));
    }

    fn sort(&mut self) {
        self.0.sort_unstable_by(f64::total_cmp);
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} / {:.0} / {:.0} ns", self.0[0], self.median(), self.0[self.0.len() - 1])
    }
}

/// A linear congruential generator: cheap, and the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(((self.0 >> 32) * u64::from(end)) >> 32).unwrap_or(0)
    }
}

/// 1 TiB in sectors of 512 bytes.
const DISK_SECTORS: u32 = 1 << 31;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting what it gives out.
struct Counting;

// SAFETY: everything is passed on to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above, and `ptr` came from there.
        unsafe { System.dealloc(ptr, layout) }
    }
}
