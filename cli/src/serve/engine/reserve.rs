//! The storage that is taken ahead of a log.

use std::io;

use crate::device::Storage;

/// How the storage of the log is taken ahead.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    pub(super) storage: Storage,
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
        // An operation that needs it will try for less, and be refused.
        self.is_short = self.storage.note(to_bytes, result).is_err();
    }

    /// Notes that all was given back. What is in flight has its room, but no longer in one place: the next
    /// operation takes storage for that as well.
    pub(super) fn note_given_back(&mut self) {
        self.storage = Storage::NONE;
        if self.wanted.take().is_some() {
            self.is_busy = false;
        }
    }
}
