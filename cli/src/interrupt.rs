//! Ctrl-C, and a request to terminate: a flag that long work looks at, so that it can end well.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Failure;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// When it was first asked for.
static SINCE: OnceLock<Instant> = OnceLock::new();

/// Whether a second request ends the process at once.
static MAY_EXIT: AtomicBool = AtomicBool::new(true);

/// From now on a first Ctrl-C asks, and a second one ends the process at once.
///
/// # Errors
/// The system's, if it has no such signals.
pub fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let is_second = SINCE.get_or_init(Instant::now).elapsed() > ECHO;
        if REQUESTED.swap(true, Ordering::Relaxed) && is_second && MAY_EXIT.load(Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "the person insists")]
            std::process::exit(130);
        }
    })
}

/// From now on no number of requests ends the process: there is something to undo first.
pub fn be_patient() {
    MAY_EXIT.store(false, Ordering::Relaxed);
}

/// Whether an end was asked for.
#[must_use]
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Ends the work if that was asked for; `outcome` says how things stand, as in "; nothing was changed".
///
/// # Errors
/// [`Failure::Interrupted`] if so.
pub fn check(outcome: &str) -> Result<(), Failure> {
    if is_requested() { Err(Failure::Interrupted(outcome.to_owned())) } else { Ok(()) }
}

/// What comes so soon behind the first is the same request: timeout(1) sends its signal to its child, and again to all of
/// the child's group.
const ECHO: Duration = Duration::from_millis(300);
