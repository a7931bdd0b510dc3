//! Random schedules, each checked at every step.

use std::time::{Duration, Instant, SystemTime};

use logwrites_core::Ordering;
use logwrites_tests::choices::{Bytes, Seeded};
use logwrites_tests::schedule::{Stats, run, run_ordering};
use proptest::prelude::*;

/// Steps of each ordering, unless `LOGWRITES_STEPS` says otherwise.
const NR_STEPS: u64 = 20_000_000;

/// Stops a run on a slow machine.
const TIME_MAX: Duration = Duration::from_secs(60);

#[test]
fn twenty_million_steps_in_completion_order() {
    many_steps(Ordering::Completion);
}

#[test]
fn twenty_million_steps_in_durability_order() {
    many_steps(Ordering::Durability);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_schedule_that_holds(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        if let Err(failure) = run(&mut Bytes::new(&bytes)) {
            return Err(TestCaseError::fail(failure.to_string()));
        }
    }
}

#[test]
fn a_schedule_can_be_repeated() {
    let run = |seed| run(&mut Seeded::new(seed, 40_000)).map_err(|failure| failure.to_string()).unwrap();
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}

/// `LOGWRITES_SEED` gives the first seed, and the run then stops after that one schedule.
fn many_steps(ordering: Ordering) {
    let start = Instant::now();
    let mut stats = Stats::default();
    let mut nr_schedules = 0;
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let single = number("LOGWRITES_SEED");
    let nr_steps = number("LOGWRITES_STEPS").unwrap_or(NR_STEPS);
    let random =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |now| now.as_secs() << 20);
    let mut seed = single.unwrap_or(0);
    while stats.steps < nr_steps && start.elapsed() < TIME_MAX {
        if stats.steps > nr_steps / 2 && seed < 1 << 20 && single.is_none() {
            println!("{ordering:?}: from now on seeds from {random}");
            seed = random;
        }
        match run_ordering(&mut Seeded::new(seed, 40_000), ordering) {
            Ok(more) => stats.add(&more),
            Err(failure) => panic!("LOGWRITES_SEED={seed} {ordering:?}: {failure}"),
        }
        nr_schedules += 1;
        seed += 1;
        if single.is_some() {
            break;
        }
    }
    println!("{ordering:?}: {nr_schedules} schedules in {:.1?}: {stats:#?}", start.elapsed());
}
