//! The clients of a server, how many there are, and whether the server is to end. A thread that watches waits here, and is
//! woken by each change.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The clients of a server.
#[derive(Debug, Default)]
pub struct Clients {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    nr_clients: usize,
    /// How often one came or left.
    nr_changes: u64,
    is_over: bool,
}

impl Clients {
    /// How many there are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.state.lock().nr_clients
    }

    /// One more has come.
    pub fn come(&self) {
        self.change(|state| {
            state.nr_clients += 1;
            state.nr_changes += 1;
        });
    }

    /// One has left.
    pub fn leave(&self) {
        self.change(|state| {
            state.nr_clients -= 1;
            state.nr_changes += 1;
        });
    }

    /// The server is to end.
    pub fn end(&self) {
        self.change(|state| state.is_over = true);
    }

    /// Waits until the server is to end.
    pub fn wait_for_end(&self) {
        self.changed.wait_while(&mut self.state.lock(), |state| !state.is_over);
    }

    /// Waits until the server is to end, for at most this long; false if it continues.
    #[must_use]
    pub fn wait_for_end_within(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.is_over, limit);
        state.is_over
    }

    /// Waits until clients have come or left since the call that gave `seen`, 0 at first; or until the server is to end,
    /// which is `None`.
    #[must_use]
    pub fn wait_for_change(&self, seen: u64) -> Option<u64> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.is_over && state.nr_changes == seen);
        (!state.is_over).then_some(state.nr_changes)
    }

    /// Waits until the last client has left, or the deadline has come; false if some are still there.
    #[must_use]
    pub fn wait_until_gone(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        let is_used = |state: &mut State| state.nr_clients > 0;
        match deadline {
            None => self.changed.wait_while(&mut state, is_used),
            Some(deadline) => drop(self.changed.wait_while_until(&mut state, is_used, deadline)),
        }
        state.nr_clients == 0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_wakes_its_waiters() {
        let clients = Clients::default();
        assert!(clients.wait_until_gone(None));
        clients.come();
        assert_eq!((clients.number(), clients.wait_for_change(0)), (1, Some(1)));
        assert!(!clients.wait_until_gone(Some(Instant::now())));
        std::thread::scope(|scope| {
            let changed = scope.spawn(|| clients.wait_for_change(1));
            let gone = scope.spawn(|| clients.wait_until_gone(None));
            clients.leave();
            assert_eq!(changed.join().unwrap(), Some(2));
            assert!(gone.join().unwrap());
            let ended = scope.spawn(|| clients.wait_for_end());
            assert!(!clients.wait_for_end_within(Duration::ZERO));
            clients.end();
            ended.join().unwrap();
        });
        assert_eq!(clients.wait_for_change(2), None);
        assert!(clients.wait_for_end_within(Duration::ZERO));
    }
}
