//! What has been tried, in one table: `cargo run --release -p logwrites-tests --example prove`
//!
//! The first argument says how much, as a factor: 1 if it is not given.

use std::time::Instant;

use logwrites_core::Ordering;
use logwrites_tests::choices::Seeded;
use logwrites_tests::power;
use logwrites_tests::schedule::{Stats, run_ordering};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let factor: u64 = std::env::args().nth(1).map_or(Ok(1), |factor| factor.parse())?;
    let start = Instant::now();
    let cuts = power::prove(factor * 1_000_000, 0)?;
    row("driver: sessions whose power was cut", cuts.sessions);
    row("driver: of these on a log that was resumed", cuts.resumed);
    row("driver: device calls cut in their midst", cuts.cuts);
    row("driver: of these tried with all that could be kept", cuts.exhaustive);
    row("driver: logs judged after a power cut", cuts.states);
    row("driver: of these with salvage behind the counted", cuts.with_tail);
    row("driver: of these torn before the last counted", cuts.torn);
    row("driver: sectors of the data device judged", cuts.data_sectors);
    let mut schedules = 0;
    let mut stats = Stats::default();
    for ordering in [Ordering::Completion, Ordering::Durability] {
        let (first, mut seed) = (stats.steps, 0);
        while stats.steps - first < factor * 5_000_000 {
            let more = run_ordering(&mut Seeded::new(seed, 40_000), ordering)
                .map_err(|failure| format!("seed {seed} {ordering:?}: {failure}"))?;
            stats.add(&more);
            seed += 1;
        }
        schedules += seed;
    }
    row("logger: random schedules", schedules);
    row("logger: steps", stats.steps);
    row("logger: operations", stats.ops);
    row("logger: faults injected", stats.faults);
    row("logger: logs judged after a kill", stats.kills);
    row("logger: logs judged after a power cut", stats.power_cuts);
    println!("no rule was broken, {:.1?}", start.elapsed());
    println!("kills of the tool, hostile logs and failing devices:");
    println!("  cargo test -p logwrites --test kills --test hostile -- --nocapture");
    println!("  cargo test -p logwrites-tests --test faults -- --nocapture");
    println!("arbitrary bytes: fuzz/run");
    Ok(())
}

fn row(what: &str, count: u64) {
    println!("{what:<52} {count:>12}");
}
