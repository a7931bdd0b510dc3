//! One run of a checker on one state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logwrites_core::history::{Checkpoints, Discards, ExtentMap, Index};

use crate::crash::{Crash, Marks};
use crate::device::Device;
use crate::disk::{Disk, Shape};
use crate::media::Media;
use crate::overdue::Overdue;
use crate::recording::{Outcome, Recording};
use crate::run::level::{Level, StatePath};
use crate::run::panics::{self, Panic};
use crate::run::ran::{Failure, Ran};

/// Runs a checker on the states of a recording.
pub(crate) struct Runner<'a, D: Device> {
    recording: &'a Recording<D>,
    checker: &'a (dyn Fn(&Crash<D>) -> Outcome + Sync),
}

/// The clock of one worker, which another thread looks at.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// When the run began, in milliseconds since the search did, and 1; 0 while there is none.
    began_ms: AtomicU64,
    pub(crate) is_overdue: Arc<AtomicBool>,
}

impl Clock {
    /// How long the run has taken. Ends it, where it uses its disk, if that is too long.
    pub(crate) fn check(&self, since: Instant, timeout: Duration) -> Option<Duration> {
        let began_ms = self.began_ms.load(Ordering::Relaxed).checked_sub(1)?;
        let ran = since.elapsed().saturating_sub(Duration::from_millis(began_ms));
        if ran > timeout {
            self.is_overdue.store(true, Ordering::Relaxed);
        }
        Some(ran)
    }

    fn begin(&self, since: Instant) {
        self.is_overdue.store(false, Ordering::Relaxed);
        let now_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.began_ms.store(now_ms + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.began_ms.store(0, Ordering::Relaxed);
        self.is_overdue.store(false, Ordering::Relaxed);
    }
}

impl<'a, D: Device> Runner<'a, D> {
    pub(crate) fn new(
        recording: &'a Recording<D>,
        checker: &'a (dyn Fn(&Crash<D>) -> Outcome + Sync),
    ) -> Self {
        Self { recording, checker }
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.recording.options.timeout
    }

    /// Runs the checker on a state of a level. `is_recorded` says whether what it writes is to be crashed.
    pub(crate) fn run(
        &self,
        level: &Level<D::Setup>,
        point: u64,
        map: ExtentMap,
        clock: &Clock,
        since: Instant,
    ) -> Ran<D::Setup> {
        let nested = logwrites_core::num::narrow(self.recording.options.nested.into());
        let is_recorded = level.depth() < nested;
        let Recording { sector_size, size_bytes, index, .. } = self.recording;
        let media = Media::new(level.image(map), *sector_size);
        let is_overdue = Arc::clone(&clock.is_overdue);
        let shape =
            Shape { sector_size: *sector_size, size_bytes: *size_bytes, notes_stacks: false, is_overdue };
        let disk = Disk::new(media, shape);
        // On all levels alike: the same contents must be read in the same way.
        let device = D::mount(&disk, &level.setup, nested > 0);
        let crash = Crash::new(device, Marks::new(Arc::clone(index), level.marks_point(point)));
        clock.begin(since);
        let caught = panics::catch(|| (self.checker)(&crash));
        clock.end();
        let outcome = self.outcome_of(caught);
        let has_looked_at_marks = crash.has_looked_at_marks();
        let setup = crash.device().setup();
        drop(crash);
        let mut media = disk.take();
        let reads = media.take_reads();
        let recorded = (is_recorded && media.nr_entries() > 0).then(|| media.finish());
        Ran { outcome, reads, has_looked_at_marks, recorded, setup }
    }

    fn outcome_of(
        &self,
        caught: Result<Outcome, (Option<Panic>, Box<dyn std::any::Any + Send>)>,
    ) -> Result<(), Failure> {
        match caught {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Error(error.to_string())),
            Err((_, payload)) if payload.is::<Overdue>() => Err(Failure::Overdue(self.timeout())),
            Err((panic, payload)) => {
                Err(Failure::Panic(panic.unwrap_or_else(|| Panic::of_payload(&*payload))))
            }
        }
    }

    /// Runs the checker on the state of this name.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub(crate) fn repeat(
        &self,
        level: &Arc<Level<D::Setup>>,
        path: &StatePath,
    ) -> Result<Result<(), Failure>, String> {
        let (clock, since) = (Clock::default(), Instant::now());
        let mut level = Arc::clone(level);
        for (nth, state) in path.0.iter().enumerate() {
            state.check(&level.index).map_err(|error| error.to_string())?;
            let map = map_of(&level.index, state.point, &state.lost);
            let ran = self.run(&level, state.point, map, &clock, since);
            if nth + 1 == path.0.len() {
                return Ok(ran.outcome);
            }
            let next =
                level.next(state.clone(), ran).ok_or("its recovery writes nothing, or is not crashed")?;
            level = Arc::new(next);
        }
        Err("it names no state".into())
    }
}

/// Where the bytes of a state are.
pub(crate) fn map_of(index: &Index, point: u64, lost: &logwrites_core::history::EntrySet) -> ExtentMap {
    Checkpoints::new(Discards::Zero).map_at(index, point, lost)
}
