//! A power cut in the midst of every call that the blocking driver makes.

use std::time::Instant;

use logwrites_tests::choices::{random_seed, seed_of_environment};
use logwrites_tests::power::{prove, prove_seed};

/// At least as many logs are judged from seeds that are the same every time, and from a random one.
const NR_STATES: [u64; 2] = [900_000, 200_000];

#[test]
fn a_million_power_cuts() {
    if let Some(seed) = seed_of_environment() {
        prove_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
        return;
    }
    for (first_seed, nr_states) in [0, random_seed()].into_iter().zip(NR_STATES) {
        let start = Instant::now();
        println!("seeds from {first_seed}; LOGWRITES_SEED repeats one");
        let counts = prove(nr_states, first_seed).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{counts:#?} in {:.1?}", start.elapsed());
        assert!(counts.states >= nr_states && counts.resumed > 0 && counts.overlays > 0);
        assert!(counts.torn > 0 && counts.with_tail > 0);
    }
}
