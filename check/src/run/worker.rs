//! The threads that run checkers, and the one that watches them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::crash::{Groups, Layers, Search, Trial, Verdict};
use logwrites_core::geometry::Extent;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap};
use parking_lot::{Condvar, Mutex};

use crate::device::Device;
use crate::recording::Options;
use crate::run::checker::{Clock, Runner};
use crate::run::found::Found;
use crate::run::level::{Level, rules};
use crate::run::ran::{Failure, Ran};
use crate::run::report::Report;
use crate::run::work::{Environment, Job, LastMark, Stop, Work, look_up};

/// Runs all there is to run. Gives what stopped it, if anything did.
pub(crate) fn run_all<D: Device<Setup: Send + Sync> + Send + Sync>(
    runner: &Runner<'_, D>,
    level: &Arc<Level<D::Setup>>,
    options: Options,
    work: Work<'_>,
) -> (Option<Stop<D::Setup>>, Report) {
    let clocks: Vec<Clock> = (0..options.nr_threads).map(|_| Clock::default()).collect();
    let shared = Shared {
        runner,
        level,
        options,
        state: Mutex::new(Progress { work, failed: None, stop: None, nr_out: 0, nr_workers: clocks.len() }),
        changed: Condvar::new(),
        since: Instant::now(),
    };
    std::thread::scope(|scope| {
        for clock in &clocks {
            scope.spawn(|| shared.work(clock));
        }
        shared.watch(&clocks);
    });
    let Progress { work, failed, stop, .. } = shared.state.into_inner();
    let failed = failed.map(|(_, found)| Stop::Failed(found));
    (failed.or(stop), work.into_report())
}

/// Does something that runs checkers by one clock, and ends runs that take too long.
pub(crate) fn watched<T>(timeout: Duration, act: impl FnOnce(&Clock, Instant) -> T) -> T {
    let (clock, since) = (Clock::default(), Instant::now());
    let (is_done, changed) = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut is_done = is_done.lock();
            while !*is_done {
                changed.wait_for(&mut is_done, pause(timeout));
                check(&clock, since, timeout);
            }
        });
        let end = End(&is_done, &changed);
        let result = act(&clock, since);
        drop(end);
        result
    })
}

/// Lets the watching thread end, also if there is a panic.
struct End<'a>(&'a Mutex<bool>, &'a Condvar);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }
}

fn check(clock: &Clock, since: Instant, timeout: Duration) {
    if clock.check(since, timeout).is_some_and(|ran| ran > timeout + GRACE) {
        hangs(timeout);
    }
}

/// How often is looked whether a run takes too long.
fn pause(timeout: Duration) -> Duration {
    (timeout / 4).clamp(Duration::from_millis(5), Duration::from_millis(250))
}

struct Shared<'a, 'r, D: Device> {
    runner: &'a Runner<'r, D>,
    level: &'a Arc<Level<D::Setup>>,
    options: Options,
    state: Mutex<Progress<'a, D::Setup>>,
    changed: Condvar,
    since: Instant,
}

struct Progress<'a, S> {
    work: Work<'a>,
    /// The first group that fails so far, and how.
    failed: Option<(u64, Box<Found<S>>)>,
    stop: Option<Stop<S>>,
    /// How many states are being run.
    nr_out: usize,
    nr_workers: usize,
}

impl<S> Progress<'_, S> {
    /// Takes in a failure. The groups before it are still decided, so that the first one is found whichever thread is
    /// the fastest.
    fn fail(&mut self, group: u64, found: Box<Found<S>>) {
        if self.failed.as_ref().is_none_or(|(first, _)| group < *first) {
            self.failed = Some((group, found));
        }
        self.work.end_before(group);
    }
}

impl<D: Device<Setup: Send + Sync> + Send + Sync> Shared<'_, '_, D> {
    /// Runs states until there are no more, or another worker has found one that fails.
    fn work(&self, clock: &Clock) {
        while let Some(job) = self.next_job() {
            let group = job.trial.as_ref().map(|(group, _)| *group);
            let result = self.run(job, clock);
            let mut state = self.state.lock();
            state.nr_out -= 1;
            match (result, group) {
                (Ok(()), _) => {}
                (Err(Stop::Failed(found)), Some(group)) => state.fail(group, found),
                (Err(stop), _) => _ = state.stop.get_or_insert(stop),
            }
            drop(state);
            self.changed.notify_all();
        }
        self.state.lock().nr_workers -= 1;
        self.changed.notify_all();
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.stop.is_some() {
                return None;
            }
            match state.work.next_job(self.level) {
                Ok(Some(job)) => {
                    state.nr_out += 1;
                    return Some(job);
                }
                Ok(None) if state.nr_out == 0 => return None,
                Ok(None) => self.changed.wait(&mut state),
                Err(stop) => state.stop = Some(stop),
            }
        }
    }

    fn run(&self, job: Job, clock: &Clock) -> Result<(), Stop<D::Setup>> {
        let Job { trial, map, point, last_mark } = job;
        let ran = self.runner.run(self.level, point, map.clone(), clock, self.since);
        let Some((number, trial)) = trial else {
            return ran.outcome.map_err(|failure| Stop::Stuck(changed_its_mind(&failure)));
        };
        if let Err(failure) = ran.outcome {
            return Err(self.failed(self.level, &trial, map, failure, clock));
        }
        let proof = Self::proof(self.level, &map, &ran, last_mark);
        let reads = ran.reads.clone();
        self.crash_recovery(self.level, &trial, ran, last_mark, clock)?;
        let work = &mut self.state.lock().work;
        proof.add(work)?;
        work.report_trial(self.level, number, trial, &reads);
        Ok(())
    }

    /// A state that has failed, if it does so again.
    fn failed(
        &self,
        level: &Arc<Level<D::Setup>>,
        trial: &Trial,
        map: ExtentMap,
        failure: Failure,
        clock: &Clock,
    ) -> Stop<D::Setup> {
        let state = trial.state();
        if self.runner.run(level, state.point, map, clock, self.since).outcome.is_ok() {
            return Stop::Stuck(changed_its_mind(&failure));
        }
        let choice = Some(trial.choice().clone());
        let path = level.path_to(state);
        let level = Arc::clone(level);
        Stop::Failed(Box::new(Found { level, path, choice, failure, is_minimal: false }))
    }

    fn proof(level: &Level<D::Setup>, map: &ExtentMap, ran: &Ran<D::Setup>, last_mark: LastMark) -> Proof {
        let sector_size = level.sector_size();
        let mut pieces = Vec::new();
        let content = |extent: &Extent| {
            pieces.clear();
            pieces.extend(map.pieces(*extent));
            (*extent, level.below.fingerprint(&pieces, &level.log, sector_size))
        };
        let reads = ran.reads.iter().map(content).collect();
        Proof { environment: ran.has_looked_at_marks.then_some(last_mark), reads }
    }

    /// Decides all crashes of what a run has written, if there is anything.
    fn crash_recovery(
        &self,
        level: &Arc<Level<D::Setup>>,
        trial: &Trial,
        ran: Ran<D::Setup>,
        last_mark: LastMark,
        clock: &Clock,
    ) -> Result<(), Stop<D::Setup>> {
        if ran.recorded.is_none() {
            return Ok(());
        }
        let Some(level) = level.next(trial.state(), ran) else { return Ok(()) };
        let level = Arc::new(level);
        let index = Arc::clone(&level.index);
        let mut checkpoints = Checkpoints::new(Discards::Zero);
        for group in Groups::new(&index, rules(self.options, index.sector_size()), 0..index.nr_entries()) {
            let layers = Layers::new(&index, &group, &mut checkpoints);
            let layers = layers.map_err(|error| Stop::Stuck(error.to_string()))?;
            let mut search = Search::new(Arc::new(layers));
            while let Some(trial) = search.next_trial() {
                let reads = self.decide(&level, &trial, last_mark, clock)?;
                let fingerprint =
                    |pieces: &[_]| Some(level.below.fingerprint(pieces, &level.log, level.sector_size()));
                search.report(trial, &reads, Verdict::Pass, fingerprint);
            }
            self.state.lock().work.report.nested += search.decided();
        }
        Ok(())
    }

    /// What decides a state of a crashed recovery: an earlier run, or one on it.
    fn decide(
        &self,
        level: &Arc<Level<D::Setup>>,
        trial: &Trial,
        last_mark: LastMark,
        clock: &Clock,
    ) -> Result<Vec<Extent>, Stop<D::Setup>> {
        let (map, point) = (trial.map(), trial.choice().layers().group().point());
        if let Some(reads) = look_up(&self.state.lock().work.proved, level, &map, last_mark) {
            return Ok(reads);
        }
        self.state.lock().work.check_limit()?;
        let ran = self.runner.run(level, point, map.clone(), clock, self.since);
        self.state.lock().work.report.nr_runs += 1;
        if let Err(failure) = ran.outcome {
            return Err(self.failed(level, trial, map, failure, clock));
        }
        let proof = Self::proof(level, &map, &ran, last_mark);
        let reads = ran.reads.clone();
        self.crash_recovery(level, trial, ran, last_mark, clock)?;
        proof.add(&mut self.state.lock().work)?;
        Ok(reads)
    }

    /// Ends runs that take too long, until all workers are done.
    fn watch(&self, clocks: &[Clock]) {
        let timeout = self.options.timeout;
        let mut state = self.state.lock();
        while state.nr_workers > 0 {
            self.changed.wait_for(&mut state, pause(timeout));
            for clock in clocks {
                check(clock, self.since, timeout);
            }
        }
    }
}

/// What a run has proved.
struct Proof {
    environment: Environment,
    reads: Vec<(Extent, u128)>,
}

impl Proof {
    fn add<S>(self, work: &mut Work<'_>) -> Result<(), Stop<S>> {
        let added = work.proved.add(self.environment, self.reads, ());
        added.map_err(|error| Stop::Stuck(error.to_string()))
    }
}

fn changed_its_mind(failure: &Failure) -> String {
    format!(
        "the checker is not deterministic: on the same contents it has passed, and failed with\n  {failure}\n\
         It must depend on nothing but what it reads of the crash: neither on time, chance or threads, nor on earlier runs."
    )
}

/// A thread cannot be ended from outside, and so the test is.
fn hangs(timeout: Duration) -> ! {
    eprintln!(
        "the checker has run for much more than {} s without using its disk: it hangs, and the test with it",
        timeout.as_secs_f64()
    );
    std::process::abort();
}

/// How much longer a checker may run that does not use its disk.
const GRACE: Duration = Duration::from_secs(5);
