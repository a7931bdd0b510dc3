//! Ctrl-C, and a request to terminate: a flag that long work looks at, and a call for whatever waits, so that both can end
//! well.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::explain::{End, Explain};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// When it was first asked for.
static SINCE: OnceLock<Instant> = OnceLock::new();

/// Whether a second request ends the process at once.
static MAY_EXIT: AtomicBool = AtomicBool::new(true);

/// What is called at the first request.
static CALLS: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::new(Vec::new());

/// From now on a first Ctrl-C asks, and a second one ends the process at once.
///
/// # Errors
/// The system's, if it has no such signals.
pub fn install() -> io::Result<()> {
    listen(request)
}

/// From now on no number of requests ends the process: there is something to undo first.
pub fn be_patient() {
    MAY_EXIT.store(false, Ordering::Relaxed);
}

/// Calls this as soon as an end is asked for, which may be now.
pub fn on_request(call: impl FnOnce() + Send + 'static) {
    let mut calls = CALLS.lock();
    // Under the lock: the thread that sets the flag calls everything that is registered by then.
    if is_requested() {
        drop(calls);
        call();
    } else {
        calls.push(Box::new(call));
    }
}

/// Whether an end was asked for.
#[must_use]
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Ends the work if that was asked for; `outcome` says in which state, as in "; nothing was changed".
///
/// # Errors
/// [`Interrupted`] if so.
pub fn check(outcome: &str) -> Result<(), Interrupted> {
    if is_requested() { Err(Interrupted::new(outcome)) } else { Ok(()) }
}

/// The end that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted{outcome}")]
pub struct Interrupted {
    outcome: String,
}

impl Interrupted {
    /// In a state that `outcome` describes, as for [`check`].
    #[must_use]
    pub fn new(outcome: &str) -> Self {
        Self { outcome: outcome.to_owned() }
    }
}

impl Explain for Interrupted {
    fn end(&self) -> Option<End> {
        Some(End::Interrupted)
    }
}

fn request() {
    let is_second = SINCE.get_or_init(Instant::now).elapsed() > ECHO;
    if REQUESTED.swap(true, Ordering::Relaxed) && is_second && MAY_EXIT.load(Ordering::Relaxed) {
        #[expect(clippy::exit, reason = "the person insists")]
        std::process::exit(130);
    }
    // Not under the lock.
    let calls = std::mem::take(&mut *CALLS.lock());
    for call in calls {
        call();
    }
}

/// Calls `request` for each signal that asks for an end, from a thread that does nothing else.
#[cfg(unix)]
fn listen(request: fn()) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || signals.forever().for_each(|_| request())).map(|_| ())
}

#[cfg(not(unix))]
fn listen(request: fn()) -> io::Result<()> {
    ctrlc::set_handler(request).map_err(io::Error::other)
}

/// What comes so soon after the first is the same request: timeout(1) sends its signal to its child, and again to all of
/// the child's group.
const ECHO: Duration = Duration::from_millis(300);
