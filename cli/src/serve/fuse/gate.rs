//! Which threads may change a disk: many at once, whole sectors each, since the engine orders those; or one alone, which merges
//! part of a sector into its old contents.

use parking_lot::{Condvar, Mutex};

/// A gate that is passed shared or alone. A thread that wants to be alone is let in before others that come later.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    nr_inside: usize,
    nr_waiting: usize,
    is_alone: bool,
}

impl Gate {
    /// Goes in beside others, to [`leave`](Self::leave) when the change is done, perhaps in another thread.
    pub(super) fn enter(&self) {
        let mut state = self.state.lock();
        while state.is_alone || state.nr_waiting > 0 {
            self.changed.wait(&mut state);
        }
        state.nr_inside += 1;
    }

    pub(super) fn leave(&self) {
        let mut state = self.state.lock();
        state.nr_inside -= 1;
        if state.nr_inside == 0 && state.nr_waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits until no thread is inside, and lets none in.
    pub(super) fn alone(&self) -> Alone<'_> {
        let mut state = self.state.lock();
        state.nr_waiting += 1;
        while state.is_alone || state.nr_inside > 0 {
            self.changed.wait(&mut state);
        }
        state.nr_waiting -= 1;
        state.is_alone = true;
        Alone { gate: self }
    }
}

/// No other thread is inside.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    gate: &'a Gate,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.gate.state.lock().is_alone = false;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn one_write_alone_waits_for_nothing() {
        let (gate, inside) = (Gate::default(), AtomicU64::new(0));
        // Those beside others count in ones, the one alone in thousands.
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        gate.enter();
                        let seen = inside.fetch_add(1, Ordering::SeqCst);
                        assert!(seen < 1000, "{seen}");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        gate.leave();
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let alone = gate.alone();
                        let seen = inside.fetch_add(1000, Ordering::SeqCst);
                        assert_eq!(seen, 0);
                        inside.fetch_sub(1000, Ordering::SeqCst);
                        drop(alone);
                    }
                });
            }
        });
        assert_eq!(gate.state.lock().nr_inside, 0);
    }
}
