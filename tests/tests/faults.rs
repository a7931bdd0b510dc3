//! Failing devices under the blocking driver, from many seeds.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use logwrites_core::device::{LogDevice, Piece};
use logwrites_tests::choices::{seed_of_environment, seeds};
use logwrites_tests::faults::run;
use logwrites_tests::faulty::{Fault, Faulty, Rates};

const NR_SEEDS: u64 = 6000;

#[test]
fn failure_is_reported_and_sticky() {
    let mut totals = [0; 5];
    let mut nr_calls = 0;
    for seed in seeds(NR_SEEDS) {
        let ran = run(seed);
        nr_calls += ran.nr_calls;
        for fault in ran.faults {
            let kinds = [Fault::Error, Fault::Flush, Fault::NoRoom, Fault::Short, Fault::Torn];
            totals[kinds.iter().position(|kind| *kind == fault).unwrap()] += 1;
        }
    }
    println!("{NR_SEEDS} seeds, {nr_calls} calls; errors, flushes, no room, short, torn: {totals:?}");
    let is_single = seed_of_environment().is_some();
    assert!(is_single || totals.iter().all(|total| *total > 100));
}

#[test]
fn a_device_drops_what_a_failed_flush_should_have_kept() {
    let mut nr_lost = 0;
    for seed in 0..200 {
        let mut device = Faulty::new(32, Vec::new(), Rates { flush: 2, ..Rates::default() }, seed);
        LogDevice::write(&mut device, 0, &[Piece::Bytes(&[7; 32])]).unwrap();
        let is_sure = LogDevice::flush(&mut device).is_ok();
        let _ = LogDevice::flush(&mut device);
        let is_lost = device.power_cut().is_empty();
        assert!(!is_lost || !is_sure, "seed {seed}: a flush that succeeded keeps it");
        nr_lost += u64::from(is_lost);
    }
    assert!(nr_lost > 0);
}
