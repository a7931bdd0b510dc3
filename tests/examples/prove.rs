//! Tries one thing many times, and prints what was tried, a count a line: a part of `tests/prove`.
//!
//! `cargo run --release -p logwrites-tests --example prove -- power|schedule|faults COUNT FIRST_SEED`: at least so many
//! logs after a power cut, so many steps of random schedules in each ordering, so many sessions over failing devices.

use std::error::Error;

use logwrites_core::Ordering;
use logwrites_tests::choices::Seeded;
use logwrites_tests::schedule::{Stats, run_ordering};
use logwrites_tests::{faults, power};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [part, count, first_seed] = &args[..] else { return Err(USAGE.into()) };
    let (count, first_seed) = (count.parse()?, first_seed.parse()?);
    match part.as_str() {
        "power" => prove_power(count, first_seed)?,
        "schedule" => prove_schedules(count, first_seed)?,
        "faults" => prove_faults(count, first_seed),
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

const USAGE: &str = "prove power|schedule|faults COUNT FIRST_SEED";

fn prove_power(nr_states: u64, first_seed: u64) -> Result<(), String> {
    let counts = power::prove(nr_states, first_seed)?;
    row("power cuts: sessions of the driver", counts.sessions);
    row("power cuts: of these on a log that was resumed", counts.resumed);
    row("power cuts: of these over a base, without a data device", counts.overlays);
    row("power cuts: device calls cut in their midst", counts.cuts);
    row("power cuts: of these tried with all that could be kept", counts.exhaustive);
    row("power cuts: states checked", counts.states);
    row("power cuts: of these with salvage after the counted entries", counts.with_tail);
    row("power cuts: of these torn before the last counted", counts.torn);
    Ok(())
}

fn prove_schedules(nr_steps: u64, first_seed: u64) -> Result<(), Box<dyn Error>> {
    let mut stats = Stats::default();
    let mut nr_schedules = 0;
    for ordering in [Ordering::Completion, Ordering::Durability] {
        let (before, mut seed) = (stats.steps, first_seed);
        while stats.steps - before < nr_steps {
            let more = run_ordering(&mut Seeded::new(seed, 40_000), ordering)
                .map_err(|failure| format!("LOGWRITES_SEED={seed} {ordering:?}: {failure}"))?;
            stats.add(&more);
            seed += 1;
        }
        nr_schedules += seed - first_seed;
    }
    row("schedules: seeds run", nr_schedules);
    row("schedules: steps, with every rule checked", stats.steps);
    row("schedules: faults injected", stats.faults);
    row("schedules: logs judged after a kill", stats.kills);
    row("schedules: logs judged after a power cut", stats.power_cuts);
    Ok(())
}

fn prove_faults(nr_seeds: u64, first_seed: u64) {
    let (mut nr_faults, mut nr_calls) = (0, 0);
    for seed in first_seed..first_seed + nr_seeds {
        let ran = faults::run(seed);
        nr_faults += ran.faults.len();
        nr_calls += ran.nr_calls;
    }
    row("failing devices: fault seeds run", nr_seeds);
    row("failing devices: calls", nr_calls);
    println!("failing devices: of these failed\t{nr_faults}");
}

fn row(what: &str, count: u64) {
    println!("{what}\t{count}");
}
