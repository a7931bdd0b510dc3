//! When a superblock is written and when the log is flushed: the path from "in the log" to "durable".
//!
//! Two numbers of entries are asked for: how many a superblock should count, and how many must be durable
//! together with a superblock that counts them. Any number of requests share one superblock and one flush.
//! A request that comes while an older one is under way waits for the round after it: were the goal moved
//! instead, a steady stream of requests would put off the first one for ever.

use crate::config::SuperblockPolicy;

/// The state of the superblock and of the log's cache.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    policy: SuperblockPolicy,
    /// Entries whose log writes have all completed.
    written: u64,
    /// Entries known to be durable.
    durable: u64,
    /// What the last superblock that was written counts; `None` before the first.
    counted: Option<u64>,
    /// What the last superblock that is known to be durable counts.
    counted_durable: Option<u64>,
    count_goal: Goal,
    durable_goal: Goal,
    superblock_in_flight: Option<u64>,
    flush_in_flight: Option<FlushInFlight>,
    broken: Option<Broken>,
}

/// What the log device is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Superblock { nr_entries: u64 },
    Flush,
}

impl Commit {
    /// A new log, which needs a superblock that counts nothing before it is given entries.
    pub(crate) fn new(policy: SuperblockPolicy) -> Self {
        let mut commit = Self {
            policy,
            written: 0,
            durable: 0,
            counted: None,
            counted_durable: None,
            count_goal: Goal::default(),
            durable_goal: Goal::default(),
            superblock_in_flight: None,
            flush_in_flight: None,
            broken: None,
        };
        commit.request_durable(0);
        commit
    }

    /// A log whose first `nr_entries` entries are there. Whether they, and the superblock that counts them, are
    /// durable is not known: the process that wrote them may have been killed. So it begins as a new log does.
    pub(crate) fn resume(policy: SuperblockPolicy, nr_entries: u64) -> Self {
        let mut commit = Self {
            written: nr_entries,
            count_goal: Goal::default(),
            durable_goal: Goal::default(),
            ..Self::new(policy)
        };
        commit.request_durable(nr_entries);
        commit
    }

    /// Whether entries may be written: a superblock of this log has replaced the old contents.
    pub(crate) const fn is_open(&self) -> bool {
        self.counted_durable.is_some()
    }

    /// How many entries' log writes have all completed.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Whether a superblock that is durable counts the first `nr_entries` entries.
    pub(crate) fn is_durable(&self, nr_entries: u64) -> bool {
        self.counted_durable.is_some_and(|counted| counted >= nr_entries)
    }

    /// Whether a superblock or a flush is wanted. While none is, there is no [`next`](Self::next) step.
    pub(crate) const fn has_goal(&self) -> bool {
        self.count_goal.now.is_some() || self.durable_goal.now.is_some()
    }

    /// Whether nothing is asked for that could still be done, and nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        let in_flight = self.superblock_in_flight.is_some() || self.flush_in_flight.is_some();
        !in_flight && self.clone().next().is_none()
    }

    /// Whether a flush of the log has failed, or its superblock could not be written: nothing more becomes
    /// durable.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Asks for a superblock that counts at least `nr_entries`.
    pub(crate) fn request_count(&mut self, nr_entries: u64) {
        if self.counted.is_none_or(|counted| counted < nr_entries) {
            self.count_goal.request(nr_entries);
        }
    }

    /// Asks for the first `nr_entries` entries, and a superblock that counts them, to be durable.
    pub(crate) fn request_durable(&mut self, nr_entries: u64) {
        self.request_count(nr_entries);
        if !self.is_durable(nr_entries) {
            self.durable_goal.request(nr_entries);
        }
    }

    /// The first `nr_entries` entries have been written.
    pub(crate) fn entries_written(&mut self, nr_entries: u64) {
        debug_assert!(nr_entries >= self.written, "entries count up");
        self.written = nr_entries;
    }

    /// Entry `nr_entries` will never be written: nothing beyond it can be asked for any more.
    pub(crate) fn limit(&mut self, nr_entries: u64) {
        self.count_goal.limit(nr_entries);
        self.durable_goal.limit(nr_entries);
        self.request_count(nr_entries);
    }

    /// What to do now, if anything; it counts as begun.
    pub(crate) fn next(&mut self) -> Option<Step> {
        if self.broken == Some(Broken::Superblock) {
            return None;
        }
        let countable = match self.policy {
            SuperblockPolicy::WithFlush => self.written,
            SuperblockPolicy::Barrier => self.durable,
        };
        if let Some(goal) = self.count_goal.now
            && self.superblock_in_flight.is_none()
        {
            if countable >= goal {
                self.superblock_in_flight = Some(countable);
                return Some(Step::Superblock { nr_entries: countable });
            }
            if self.policy == SuperblockPolicy::Barrier && self.written >= goal {
                return self.flush();
            }
        }
        let goal = self.durable_goal.now?;
        if self.counted.is_some_and(|counted| counted >= goal) { self.flush() } else { None }
    }

    pub(crate) fn superblock_ended(&mut self, ok: bool) -> bool {
        let Some(nr_entries) = self.superblock_in_flight.take() else {
            return false;
        };
        if ok {
            debug_assert!(self.counted.is_none_or(|counted| counted <= nr_entries), "superblocks count up");
            self.counted = Some(nr_entries);
            self.count_goal.reached(nr_entries);
        } else {
            self.broken = Some(Broken::Superblock);
        }
        true
    }

    pub(crate) fn flush_ended(&mut self, ok: bool) -> bool {
        let Some(flush) = self.flush_in_flight.take() else {
            return false;
        };
        if ok && self.broken.is_none() {
            self.durable = flush.written;
            self.counted_durable = flush.counted;
            if let Some(counted) = flush.counted {
                self.durable_goal.reached(counted);
            }
        } else {
            self.broken = self.broken.or(Some(Broken::Flush));
        }
        true
    }

    fn flush(&mut self) -> Option<Step> {
        if self.flush_in_flight.is_some() || self.broken.is_some() {
            return None;
        }
        self.flush_in_flight = Some(FlushInFlight { written: self.written, counted: self.counted });
        Some(Step::Flush)
    }
}

/// What a flush of the log makes durable.
#[derive(Clone, Copy, Debug)]
struct FlushInFlight {
    written: u64,
    counted: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A flush failed: nothing becomes durable, but superblocks may still help the next reader.
    Flush,
    /// A superblock failed: the one before it stays, as far as is known.
    Superblock,
}

/// A number of entries to reach, and the one to reach after it.
#[derive(Clone, Copy, Debug, Default)]
struct Goal {
    now: Option<u64>,
    later: Option<u64>,
}

impl Goal {
    fn request(&mut self, nr_entries: u64) {
        match self.now {
            None => self.now = Some(nr_entries),
            Some(now) if now >= nr_entries => {}
            Some(_) => self.later = self.later.max(Some(nr_entries)),
        }
    }

    fn reached(&mut self, nr_entries: u64) {
        if self.now.is_some_and(|now| now <= nr_entries) {
            self.now = self.later.take().filter(|later| *later > nr_entries);
        }
    }

    fn limit(&mut self, nr_entries: u64) {
        self.now = self.now.map(|now| now.min(nr_entries));
        self.later = self.later.map(|later| later.min(nr_entries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(policy: SuperblockPolicy) -> Commit {
        let mut commit = Commit::new(policy);
        assert_eq!(commit.next(), Some(Step::Superblock { nr_entries: 0 }));
        assert!(commit.superblock_ended(true));
        assert_eq!(commit.next(), Some(Step::Flush));
        assert!(!commit.is_open());
        assert!(commit.flush_ended(true));
        assert!(commit.is_open() && commit.is_idle());
        commit
    }

    #[test]
    fn with_flush_needs_one_flush() {
        let mut commit = open(SuperblockPolicy::WithFlush);
        commit.request_durable(3);
        assert_eq!(commit.next(), None);
        commit.entries_written(3);
        assert_eq!(commit.next(), Some(Step::Superblock { nr_entries: 3 }));
        assert_eq!(commit.next(), None);
        commit.superblock_ended(true);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.flush_ended(true);
        assert!(commit.is_durable(3) && commit.is_idle());
    }

    #[test]
    fn a_barrier_flushes_before_the_superblock_too() {
        let mut commit = open(SuperblockPolicy::Barrier);
        commit.request_durable(3);
        commit.entries_written(4);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.entries_written(9);
        commit.flush_ended(true);
        assert_eq!(commit.next(), Some(Step::Superblock { nr_entries: 4 }));
        commit.superblock_ended(true);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.flush_ended(true);
        assert!(commit.is_durable(4) && !commit.is_durable(5) && commit.is_idle());
    }

    #[test]
    fn a_log_that_goes_on_is_made_durable_first() {
        let mut commit = Commit::resume(SuperblockPolicy::WithFlush, 7);
        assert_eq!(commit.next(), Some(Step::Superblock { nr_entries: 7 }));
        commit.superblock_ended(true);
        assert_eq!((commit.next(), commit.is_open()), (Some(Step::Flush), false));
        commit.flush_ended(true);
        assert!(commit.is_open() && commit.is_durable(7));
        let mut commit = Commit::resume(SuperblockPolicy::Barrier, 7);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.flush_ended(true);
        assert_eq!((commit.next(), commit.is_open()), (Some(Step::Superblock { nr_entries: 7 }), false));
        commit.superblock_ended(true);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.flush_ended(true);
        assert!(commit.is_open() && commit.is_durable(7));
    }

    #[test]
    fn a_steady_stream_of_requests_does_not_put_off_the_first() {
        let mut commit = open(SuperblockPolicy::WithFlush);
        commit.request_durable(1);
        for written in 1..100 {
            commit.request_durable(written + 1);
            commit.entries_written(written);
            while let Some(step) = commit.next() {
                match step {
                    Step::Superblock { .. } => assert!(commit.superblock_ended(true)),
                    Step::Flush => assert!(commit.flush_ended(true)),
                }
            }
            assert!(commit.is_durable(written.saturating_sub(2)), "entry {written}");
        }
    }

    #[test]
    fn after_a_failed_flush_nothing_becomes_durable() {
        let mut commit = open(SuperblockPolicy::WithFlush);
        commit.request_durable(1);
        commit.entries_written(1);
        assert!(matches!(commit.next(), Some(Step::Superblock { .. })));
        commit.superblock_ended(true);
        assert_eq!(commit.next(), Some(Step::Flush));
        commit.flush_ended(false);
        assert!(commit.is_broken() && !commit.is_durable(1) && commit.next().is_none());
        commit.request_durable(2);
        commit.entries_written(2);
        assert_eq!(commit.next(), Some(Step::Superblock { nr_entries: 2 }));
        assert!(!commit.flush_ended(true), "there is no flush in flight");
    }
}
