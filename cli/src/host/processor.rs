//! Which processor threads and programs run on. Two that wait for each other by turns are several times as fast on one
//! processor as on two, of which each goes to sleep and is woken again at every turn.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A thread that stays where it was, and whatever it starts too, until this goes. Nothing where the system does not allow
/// it.
#[derive(Debug)]
pub(crate) struct Stay {
    /// Where it may run otherwise.
    before: Option<CpuSet>,
}

impl Stay {
    /// This thread stays on the processor that it is on, which `told` is told.
    pub(crate) fn begin(told: &AtomicProcessor) -> Self {
        let number = sched_getcpu();
        // A set has no room for all the processors of the largest machines.
        let before = sched_getaffinity(None).ok().filter(|_| number < CpuSet::MAX_CPU);
        let before = before.filter(|_| stay_on(number));
        if before.is_some() {
            told.number.store(number, Relaxed);
        }
        Self { before }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(before) = self.before
            && let Err(error) = sched_setaffinity(None, &before)
        {
            tracing::debug!(%error, "a thread stays on its processor");
        }
    }
}

/// The processor that somebody else is on, as far as it is known.
#[derive(Debug)]
pub(crate) struct AtomicProcessor {
    number: AtomicUsize,
}

impl Default for AtomicProcessor {
    fn default() -> Self {
        Self { number: AtomicUsize::new(UNKNOWN) }
    }
}

impl AtomicProcessor {
    /// This thread goes there, and stays.
    pub(crate) fn follow(&self) {
        let number = self.number.load(Relaxed);
        if number != UNKNOWN {
            stay_on(number);
        }
    }
}

/// This thread runs on one processor alone from now on; false if the system does not allow it.
fn stay_on(number: usize) -> bool {
    let mut only = CpuSet::new();
    only.set(number);
    let set = sched_setaffinity(None, &only);
    if let Err(error) = &set {
        tracing::debug!(%error, number, "a thread does not stay on a processor");
    }
    set.is_ok()
}

const UNKNOWN: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_for_a_while_and_another_one_follows() {
        let processor = AtomicProcessor::default();
        let all = sched_getaffinity(None).unwrap();
        let stay = Stay::begin(&processor);
        let here = sched_getaffinity(None).unwrap();
        assert_eq!(here.count(), 1);
        let followed = std::thread::scope(|scope| {
            let follower = scope.spawn(|| {
                sched_setaffinity(None, &all).unwrap();
                processor.follow();
                sched_getaffinity(None).unwrap()
            });
            follower.join().unwrap()
        });
        assert_eq!(followed, here);
        drop(stay);
        assert_eq!(sched_getaffinity(None).unwrap(), all);
    }

    #[test]
    fn nobody_follows_into_the_unknown() {
        let before = sched_getaffinity(None).unwrap();
        AtomicProcessor::default().follow();
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
