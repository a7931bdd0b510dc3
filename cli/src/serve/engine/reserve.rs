//! The storage that is taken ahead of a log.

use std::io;

use crate::device::is_full;

/// How the storage of the log is taken ahead.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// Up to where there is some; everywhere, where it cannot be taken ahead.
    pub(super) to_bytes: u64,
    /// What is to be taken next, as soon as the log is not being written.
    wanted: Option<(u64, u64)>,
    /// Whether something is wanted, or being taken.
    pub(super) is_busy: bool,
    /// There was not as much as was tried last.
    pub(super) is_short: bool,
}

impl Reserve {
    /// Asks for a range, unless one is being taken.
    pub(super) const fn want(&mut self, from_bytes: u64, to_bytes: u64) {
        if !self.is_busy && from_bytes < to_bytes {
            self.is_busy = true;
            self.wanted = Some((from_bytes, to_bytes));
        }
    }

    /// What is to be taken now.
    pub(super) const fn take_wanted(&mut self) -> Option<(u64, u64)> {
        self.wanted.take()
    }

    /// Notes how taking storage up to there went.
    pub(super) fn note(&mut self, to_bytes: u64, result: &io::Result<bool>) {
        self.is_short = result.as_ref().is_err_and(is_full);
        match result {
            Ok(true) => self.to_bytes = self.to_bytes.max(to_bytes),
            // Who needs it will try for less, and be refused.
            Err(_) if self.is_short => {}
            // It cannot be taken ahead here.
            Ok(false) | Err(_) => self.to_bytes = u64::MAX,
        }
    }

    /// Notes that all was given back. What is in flight has its room, but no longer in one place: whoever comes next
    /// takes storage for that as well.
    pub(super) fn note_given_back(&mut self) {
        self.to_bytes = 0;
        if self.wanted.take().is_some() {
            self.is_busy = false;
        }
    }
}
