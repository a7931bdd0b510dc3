//! The end of a checker that has run for too long.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

/// What ends a checker that has run for too long.
#[derive(Debug)]
pub(crate) struct Overdue;

/// Ends a checker that has run for too long, where it uses its disk.
pub(crate) fn stop_if_overdue(is_overdue: &AtomicBool) {
    if is_overdue.load(Ordering::Relaxed) && !std::thread::panicking() {
        resume_unwind(Box::new(Overdue));
    }
}
