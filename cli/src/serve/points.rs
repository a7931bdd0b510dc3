//! The disk as of points of its log: opened on demand, shared by all its users, and closed after the last one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use super::engine::{BlockDevice, LiveDisk};

/// Why there is no such export, in words for the client's user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoExport(pub String);

/// A log, of which points can be opened.
pub trait Past: Send + Sync {
    /// Whether the log has such a point, by its words.
    ///
    /// # Errors
    /// Why it has not, in words for the client's user.
    fn check(&self, point: &str) -> Result<(), NoExport>;

    /// Makes the disk as of a point. Several may be made at once.
    ///
    /// # Errors
    /// Why that cannot be, in words for the client's user.
    fn open(&self, point: &str) -> Result<Arc<dyn LiveDisk>, NoExport>;
}

/// The points that are in use, and those that were changed lately.
pub(super) struct Points {
    past: Box<dyn Past>,
    /// Whether what was opened stays, since its log will be kept.
    is_kept: bool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    opened: HashMap<String, Opened>,
    /// Points that were changed and are no longer used; the last one was used last.
    left: VecDeque<String>,
}

struct Opened {
    disk: Slot,
    nr_users: usize,
}

/// A disk that its first user opens; only users of the same point wait for that.
type Slot = Arc<Mutex<Option<Arc<dyn LiveDisk>>>>;

impl Points {
    pub(super) fn new(past: Box<dyn Past>, is_kept: bool) -> Arc<Self> {
        Arc::new(Self { past, is_kept, table: Mutex::default() })
    }

    pub(super) fn check(&self, point: &str) -> Result<(), NoExport> {
        self.past.check(point)
    }

    /// The disk at a point, for as long as the lease lives.
    pub(super) fn lease(self: &Arc<Self>, point: &str) -> Result<Lease, NoExport> {
        let slot = self.table.lock().enter(point);
        let user = User { points: Arc::clone(self), point: point.to_owned() };
        let mut slot = slot.lock();
        let disk = match &*slot {
            Some(disk) => Arc::clone(disk),
            None => Arc::clone(slot.insert(self.past.open(point)?)),
        };
        drop(slot);
        Ok(Lease { disk, _user: Some(user) })
    }

    /// Every disk that is there, and not just being opened.
    pub(super) fn opened(&self) -> Vec<Arc<dyn LiveDisk>> {
        let slots: Vec<Slot> =
            self.table.lock().opened.values().map(|opened| Arc::clone(&opened.disk)).collect();
        slots.iter().filter_map(|slot| slot.try_lock()?.as_ref().map(Arc::clone)).collect()
    }

    fn leave(&self, point: &str) {
        let gone = self.table.lock().leave(point, self.is_kept);
        // Its end takes time, and others want the table.
        drop(gone);
    }
}

impl Table {
    fn enter(&mut self, point: &str) -> Slot {
        self.left.retain(|other| other != point);
        let opened = self
            .opened
            .entry(point.to_owned())
            .or_insert_with(|| Opened { disk: Slot::default(), nr_users: 0 });
        opened.nr_users += 1;
        Arc::clone(&opened.disk)
    }

    /// One user less; returns what is no longer needed.
    fn leave(&mut self, point: &str, is_kept: bool) -> Option<Opened> {
        let opened = self.opened.get_mut(point)?;
        opened.nr_users -= 1;
        if opened.nr_users > 0 || is_kept {
            return None;
        }
        let is_changed = opened.disk.lock().as_ref().is_some_and(|disk| disk.counters().logged.index > 0);
        if !is_changed {
            // It can be made again.
            return self.opened.remove(point);
        }
        self.left.push_back(point.to_owned());
        let oldest = if self.left.len() > MAX_LEFT { self.left.pop_front() } else { None };
        self.opened.remove(&oldest?)
    }
}

/// A disk for as long as it is in use.
pub struct Lease {
    disk: Arc<dyn LiveDisk>,
    /// `None` if the disk is there anyway.
    _user: Option<User>,
}

impl Lease {
    /// Of a disk that is there anyway.
    pub(super) const fn of(disk: Arc<dyn LiveDisk>) -> Self {
        Self { disk, _user: None }
    }
}

impl Deref for Lease {
    type Target = dyn LiveDisk;

    fn deref(&self) -> &Self::Target {
        &*self.disk
    }
}

impl AsRef<dyn BlockDevice> for Lease {
    fn as_ref(&self) -> &(dyn BlockDevice + 'static) {
        &*self.disk
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// A user of a point, which stops using it when this is dropped.
struct User {
    points: Arc<Points>,
    point: String,
}

impl Drop for User {
    fn drop(&mut self) {
        self.points.leave(&self.point);
    }
}

/// Of how many points that are no longer used the changes are kept.
const MAX_LEFT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ScratchLog;
    use crate::serve::engine::{Base, Engine, Payload, SLOTS};
    use logwrites_core::overlay::Overlay;
    use logwrites_core::{Config, Extent, Op, SectorSize, WriteFlags};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Zeros at every point. The point "slow" is opened when the gate is free.
    #[derive(Default)]
    struct Zeros {
        gate: Arc<Mutex<()>>,
        nr_opened: Arc<AtomicUsize>,
    }

    impl Past for Zeros {
        fn check(&self, _point: &str) -> Result<(), NoExport> {
            Ok(())
        }

        fn open(&self, point: &str) -> Result<Arc<dyn LiveDisk>, NoExport> {
            if point == "slow" {
                drop(self.gate.lock());
            }
            if point == "none" {
                return Err(NoExport("there is no such point".to_owned()));
            }
            self.nr_opened.fetch_add(1, Ordering::Relaxed);
            let overlay =
                Overlay::<SLOTS>::new(Config::new(SectorSize::B512)).expect("a usual configuration");
            let engine = Engine::start(overlay, Base::Zeros, ScratchLog::new(SectorSize::B512));
            Ok(Arc::new(engine.expect("no threads are needed")))
        }
    }

    fn change(lease: &Lease) {
        let op = Op::WriteZeroes { extent: Extent::between(0, 1), flags: WriteFlags::empty() };
        lease.call(op, Payload::NONE).expect("a write");
    }

    #[test]
    fn opening_a_point_makes_no_other_client_wait() {
        let zeros = Zeros::default();
        let gate = Arc::clone(&zeros.gate);
        let points = Points::new(Box::new(zeros), false);
        let closed = gate.lock();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| points.lease("slow").map(drop));
            while !points.table.lock().opened.contains_key("slow") {
                std::thread::yield_now();
            }
            let quick = points.lease("quick").unwrap();
            change(&quick);
            assert_eq!(points.opened().len(), 1);
            drop(quick);
            drop(closed);
            slow.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_point_is_shared_and_closed_after_its_last_user() {
        let zeros = Zeros::default();
        let nr_opened = Arc::clone(&zeros.nr_opened);
        let nr_opened = || nr_opened.load(Ordering::Relaxed);
        let points = Points::new(Box::new(zeros), false);
        let (one, same) = (points.lease("1").unwrap(), points.lease("1").unwrap());
        assert_eq!((nr_opened(), points.opened().len()), (1, 1));
        drop(one);
        assert_eq!(points.opened().len(), 1);
        drop(same);
        assert_eq!(points.opened().len(), 0, "it is not in use, and can be made again");
        assert!(points.lease("none").is_err());
        assert!(points.table.lock().opened.is_empty());
    }

    #[test]
    fn changes_stay_for_the_points_that_were_left_last() {
        let zeros = Zeros::default();
        let nr_opened = Arc::clone(&zeros.nr_opened);
        let nr_opened = || nr_opened.load(Ordering::Relaxed);
        let points = Points::new(Box::new(zeros), false);
        change(&points.lease("first").unwrap());
        for number in 1..MAX_LEFT {
            change(&points.lease(&number.to_string()).unwrap());
        }
        // Used again, it is the last.
        drop(points.lease("first").unwrap());
        assert_eq!(nr_opened(), MAX_LEFT);
        change(&points.lease("one more").unwrap());
        assert_eq!(points.opened().len(), MAX_LEFT);
        drop(points.lease("first").unwrap());
        assert_eq!(nr_opened(), MAX_LEFT + 1, "it was not let go");
        drop(points.lease("1").unwrap());
        assert_eq!(nr_opened(), MAX_LEFT + 2, "it was");
    }
}
