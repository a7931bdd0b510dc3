//! The search of crash states beside all of them, one by one.

#![allow(clippy::unwrap_used, reason = "a test may")]

use logwrites_core::crash::State;
use logwrites_tests::choices::{Seeded, seeds};
use logwrites_tests::crash::{Counts, check_name, compare};
use proptest::prelude::*;

#[test]
fn the_search_decides_every_state_as_it_is() {
    let mut counts = Counts::default();
    for seed in seeds(20_000) {
        let found = std::panic::catch_unwind(|| compare(&mut Seeded::new(seed, u64::MAX)));
        counts.add(&found.unwrap_or_else(|_| panic!("LOGWRITES_SEED={seed}")));
    }
    println!("{counts:#?}");
    assert!(counts.groups > 80_000 && counts.states > 1_000_000 && counts.runs < counts.states);
    assert!(counts.reused > 10_000 && counts.failing > 10_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_name_of_a_state_is_understood_or_refused(text in "[0-9]{1,2}(\\^[0-9]{1,2}([-:,][0-9]{1,2}){0,6})?") {
        if let Ok(state) = text.parse::<State>() {
            check_name(&state);
        }
    }

    #[test]
    fn any_log_is_searched(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        logwrites_tests::fuzz::crash(&bytes);
    }
}
