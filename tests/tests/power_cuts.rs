//! A power cut in the midst of every call that the blocking driver makes.

use std::time::Instant;

use logwrites_tests::power::prove;

/// At least as many logs are judged.
const NR_STATES: u64 = 1_500_000;

#[test]
fn a_million_power_cuts() {
    let start = Instant::now();
    let counts = prove(NR_STATES, 0).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{counts:#?} in {:.1?}", start.elapsed());
    assert!(
        counts.states >= NR_STATES
            && counts.resumed > 0
            && counts.overlays > 0
            && counts.torn > 0
            && counts.with_tail > 0
    );
}
