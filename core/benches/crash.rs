//! What the search of crash states costs by itself, with checkers that cost nothing:
//!
//!     cargo bench -p logwrites-core --bench crash
//!
//! - The search: groups of 10 to 100 writes of 4 KiB, many of which overlap. A checker reads 4 KiB here and there, as what it
//!   has read tells it. Timed is all that the search does for a run: the state, its map, the report.
//! - Its start: a log of a million writes without a flush, until the first state has its map.
//! - [`Proved`]: 10,000 runs in it, and disks that one of them decides.
//!
//! Times are medians, and only printed. Without `--bench`, as `cargo test` may call it, it does a few of each.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::crash::{Groups, Layers, Model, Proved, Rules, Search, Verdict};
use logwrites_core::format::{EntryHeader, Flags, Superblock};
use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index, Piece, Source};
use logwrites_core::reader::Walk;
use logwrites_core::{Extent, Ordering, SectorSize};

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (max_runs, nr_proved, nr_writes) = if is_bench { (3000, 10_000, 1_000_000) } else { (50, 50, 1000) };
    println!("| what | units | runs | sectors read a run | a run | a sector read |");
    println!("|---|---:|---:|---:|---:|---:|");
    for nr_units in [10, 30, 100] {
        for nr_reads in [1, 8, 32] {
            search(nr_units, nr_reads, max_runs);
        }
    }
    start(nr_writes);
    for nr_reads in [1, 16, 64] {
        look_up(nr_proved, nr_reads);
    }
}

/// Searches one group, up to a number of runs.
fn search(nr_units: u64, nr_reads: u64, max_runs: usize) {
    let index = log(nr_units, nr_units * 4);
    let layers = layers(&index);
    let mut search = Search::new(layers);
    let (mut times, mut nr_sectors, mut seed) = (Vec::new(), 0, 0);
    while times.len() < max_runs {
        let begin = Instant::now();
        let Some(trial) = search.next_trial() else {
            if times.len() < max_runs / 10 {
                // Small groups are searched again, by another checker.
                seed += 1;
                search = Search::new(Arc::clone(search.layers()));
                continue;
            }
            break;
        };
        let map = trial.map();
        let made = begin.elapsed();
        let reads = reads(&map, seed, nr_reads, nr_units * 4);
        nr_sectors += reads.iter().map(|read| read.nr_sectors()).sum::<u64>();
        let begin = Instant::now();
        black_box(search.report(trial, &reads, Verdict::Pass, place));
        times.push(made + begin.elapsed());
    }
    let nr_runs = times.len();
    let sectors = to_f64(nr_sectors) / to_f64(nr_runs.try_into().unwrap_or(u64::MAX));
    let run = median(&mut times);
    let sector = run.as_secs_f64() * 1e6 / sectors;
    println!("| search | {nr_units} | {nr_runs} | {sectors:.0} | {} | {sector:.3} µs |", micros(run));
}

/// From the index of a log without a flush to the map of its first state.
fn start(nr_writes: u64) {
    let index = log(nr_writes, 1 << 30);
    let begin = Instant::now();
    let mut search = Search::new(layers(&index));
    let map = search.next_trial().map(|trial| trial.map());
    let took = begin.elapsed();
    println!("| start | {nr_writes} | | | {} | |", micros(took));
    black_box(map);
}

/// Looks up disks that earlier runs decide.
fn look_up(nr_runs: u64, nr_reads: u64) {
    let index = log(1000, 4000);
    let disk = |nth: u64| {
        let mut map = ExtentMap::new(SectorSize::B512);
        for entry in index.entries(0..1000).filter(|entry| entry.index % (nth % 97 + 2) != nth % 7) {
            map.apply(&entry, Discards::Zero);
        }
        map
    };
    let disks: Vec<ExtentMap> = (0..97 * 7).map(disk).collect();
    let mut proved = Proved::new();
    for (nth, disk) in (0..nr_runs).zip(disks.iter().cycle()) {
        let reads = reads(disk, nth, nr_reads, 4000);
        let found: Vec<(Extent, u128)> = reads
            .iter()
            .map(|read| (*read, place(&disk.pieces(*read).collect::<Vec<_>>()).unwrap_or(0)))
            .collect();
        // A run for each checker: the tree is as wide as if all were of one.
        let added = proved.add(nth % 16, found, Verdict::Pass);
        assert!(added.is_ok(), "the checker is deterministic");
    }
    let mut times = Vec::new();
    let mut nr_sectors = 0;
    for (nth, disk) in (0..16).cycle().take(2000).zip(disks.iter().cycle()) {
        let begin = Instant::now();
        let proof = proved.look_up(&nth, disk, place);
        times.push(begin.elapsed());
        nr_sectors += proof.map_or(0, |proof| proof.reads.iter().map(|read| read.nr_sectors()).sum());
    }
    let sectors = to_f64(nr_sectors) / 2000.0;
    let look_up = median(&mut times);
    println!("| look-up, {nr_reads} reads | | {nr_runs} | {sectors:.0} | {} | |", micros(look_up));
}

/// What a checker reads that goes where the bytes send it.
fn reads(map: &ExtentMap, seed: u64, nr_reads: u64, nr_blocks: u64) -> Vec<Extent> {
    let mut random = seed;
    let mut reads = Vec::new();
    for _ in 0..nr_reads {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let read = Extent::new((random >> 33) % nr_blocks * 8, 8).expect("a small disk");
        let found = map.get(read.sector()).map_or(0, |source| match source {
            Source::Log { offset_bytes } => offset_bytes,
            Source::Zeros { .. } => 1,
        });
        random ^= found % 2;
        reads.push(read);
    }
    reads
}

/// Tells contents apart by where they are: each write has its own.
#[expect(clippy::unnecessary_wraps, reason = "as it is called")]
fn place(pieces: &[Piece]) -> Option<u128> {
    Some(pieces.iter().fold(0, |hash, piece| {
        let offset_bytes = match piece.source {
            Some(Source::Log { offset_bytes }) => offset_bytes,
            Some(Source::Zeros { .. }) => 1,
            None => 2,
        };
        (hash ^ u128::from(offset_bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }))
}

/// Writes of 4 KiB to a disk of so many blocks; each second one lies across two blocks.
fn log(nr_writes: u64, nr_blocks: u64) -> Index {
    let superblock = Superblock { nr_entries: nr_writes, sector_size: SectorSize::B512 };
    let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
    for nth in 0..nr_writes {
        let sector = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) % nr_blocks * 8 + nth % 2 * 4;
        let header = EntryHeader { sector, nr_sectors: 8, flags: Flags::empty(), data_len: 0 };
        index.push(&walk.step(&header.emit()).expect("a write"), b"");
    }
    index
}

fn layers(index: &Index) -> Arc<Layers> {
    let rules = Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Zero };
    let group = Groups::new(index, rules, 0..index.nr_entries()).last().expect("there is always one");
    Arc::new(Layers::new(index, &group, &mut Checkpoints::new(Discards::Zero)).expect("few units"))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}

fn to_f64(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
