//! An exploration from its start to its result.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use logwrites_core::contents::FileSystemKind;
use logwrites_core::crash::{
    Choice, Group, Groups, Guarantee, Layers, Proved, Rules, State, StateCount, Verdict as Says,
};
use logwrites_core::history::{Checkpoints, ExtentMap, Piece};
use logwrites_core::num::widen;
use parking_lot::{Condvar, Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::check::{Check, Judgement, Outcome, Surroundings};
use super::crash_disk::CrashDisk;
use super::error::ExploreError;
use super::finding::{Finding, Findings, InRecovery};
use super::judge::{Judge, Key, Run, Terms};
use super::out_dir::{Line, OutDir};
use super::partition::Partition;
use super::place::{Place, Places};
use super::recording::{Crashed, Recording};
use super::recovery::Recovery;
use super::report::GroupReport;
use super::schedule::{Next, Schedule, Task};
use super::shell::Visit;
use super::standing::{Progress, Standing};
use super::way::Way;
use super::written::Written;
use crate::host::error::StrayError;
use crate::host::strays;
use crate::interrupt;
use crate::point::Crash;

/// What is explored, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which states a crash can leave.
    pub rules: Rules,
    /// The first and the last point at which a crash is looked at.
    pub points: (u64, u64),
    /// How many checkers run at a time.
    pub nr_jobs: usize,
    /// How long a checker may take.
    pub timeout: Duration,
    /// When to stop.
    pub budget: Budget,
    /// Where random choices come from.
    pub seed: u64,
    /// How states are mounted, as for `mount -o`.
    pub mount_options: Option<String>,
    /// Whether recoveries are crashed, too: a state passes if the check passes on it, and on every disk that a crash of what
    /// the check has written would leave.
    pub is_nested: bool,
    /// Which part of the groups is explored.
    pub partition: Partition,
}

/// When to stop before everything is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// After so long.
    pub time: Option<Duration>,
    /// After so many runs.
    pub runs: Option<u64>,
}

/// Where a budget ends.
#[derive(Clone, Copy, Debug)]
struct Limit {
    deadline: Option<Instant>,
    max_runs: Option<u64>,
}

impl Budget {
    /// Where it ends if it begins at a moment, when there were so many runs.
    fn starting(self, begin: Instant, runs: u64) -> Limit {
        Limit {
            deadline: self.time.map(|time| begin + time),
            max_runs: self.runs.map(|more| runs.saturating_add(more)),
        }
    }
}

impl Limit {
    fn is_reached(&self, runs: u64) -> bool {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        is_late || self.max_runs.is_some_and(|max| runs >= max)
    }
}

/// What an exploration by one check has come to.
#[derive(Debug)]
pub struct Explored {
    /// The check.
    pub check: Check,
    /// How many groups of states there are.
    pub groups: u64,
    /// How many of them are decided.
    pub groups_decided: u64,
    /// How many groups were left since so many of their states fail.
    pub groups_given_up: u64,
    /// How many states there are.
    pub states: StateCount,
    /// How many of them are decided.
    pub decided: StateCount,
    /// How many of them fail.
    pub failing: StateCount,
    /// What is decided of each group that was begun and is not decided as a whole.
    pub guarantee: Option<Guarantee>,
    /// The first 10,000 groups, one by one, in log order.
    pub by_group: Vec<GroupReport>,
    /// How many states that a crash of a recovery can leave were decided, if they were to be: those of each state that was
    /// run. A state that an earlier run decides has the same ones.
    pub nested: Option<StateCount>,
    /// How many times the checker was run.
    pub runs: u64,
    /// How many runs were spared since an earlier one had read the same.
    pub reused: u64,
    /// How many states that were decided without a run were run all the same, to see.
    pub cross_checks: u64,
    /// Runs that came to something else the second time.
    pub flaky: u64,
    /// Runs that took too long.
    pub timeouts: u64,
    /// Runs whose check could not tell.
    pub undecided: u64,
    /// Whether what was run to see contradicts what was decided.
    pub is_contradicted: bool,
    /// States on which the check failed once, and passed the second time.
    pub flaky_states: Vec<State>,
    /// Each way to fail, with its cause.
    pub findings: Vec<Finding>,
    /// What has ended it before everything was tried.
    pub ended_by: Option<ExploreError>,
    /// How long it took.
    pub took: Duration,
}

/// An exploration in a word; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every state is decided, and passes.
    Proved,
    /// No state fails for certain, but not all are decided for certain either.
    Sampled,
    /// A state fails.
    Failed,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Sampled => "sampled",
            Self::Failed => "failed",
        }
    }
}

impl Explored {
    /// The result in a word.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        let is_certain =
            !self.is_contradicted && self.flaky == 0 && self.undecided == 0 && self.ended_by.is_none();
        if !self.findings.is_empty() {
            Verdict::Failed
        } else if self.groups_decided == self.groups && is_certain {
            Verdict::Proved
        } else {
            Verdict::Sampled
        }
    }
}

/// What a check has come to on one disk.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The crash that has left it: that of the recovery where this one is not survived.
    pub crash: Crash,
    /// How the check ended, if not well.
    pub ended: Option<String>,
    /// The end of what it printed.
    pub output: String,
}

/// Jobs that are ready to run checkers.
#[derive(Debug)]
pub struct Explorer {
    jobs: Jobs,
    /// For the places of all jobs.
    dir: TempDir,
}

/// What the jobs share.
#[derive(Debug)]
pub(super) struct Jobs {
    recording: Arc<Recording>,
    options: Options,
    out: Option<OutDir>,
    places: Places,
    /// The file system of the disk at the end, where nothing is lost.
    file_system: Option<FileSystemKind>,
}

impl Explorer {
    /// Serves the files of the jobs.
    ///
    /// # Errors
    /// [`ExploreError`] if they cannot be served.
    pub fn start(recording: Recording, options: Options, out: Option<OutDir>) -> Result<Self, ExploreError> {
        strays::adopt().map_err(not_prepared)?;
        let dir =
            tempfile::Builder::new().prefix("logwrites-explore.").tempdir().map_err(ExploreError::Prepare)?;
        let places = Places::make(dir.path(), options.nr_jobs, recording.len_bytes())?;
        let file_system =
            recording.file_system(options.points.1, options.rules.discards).map_err(ExploreError::Read)?;
        let jobs = Jobs { recording: Arc::new(recording), options, out, places, file_system };
        Ok(Self { jobs, dir })
    }

    /// The recording.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.jobs.recording
    }

    /// The folder that keeps what is found, if there is one.
    #[must_use]
    pub const fn out(&self) -> Option<&OutDir> {
        self.jobs.out.as_ref()
    }

    /// Has a check judge every state, or as many as the budget allows. What was found before an error counts:
    /// [`Explored::ended_by`] has the error.
    ///
    /// # Errors
    /// [`ExploreError`] if the check cannot be run, fails without a crash, or reads nothing.
    pub fn explore(&self, check: &Check, progress: &dyn Progress) -> Result<Explored, ExploreError> {
        check.prepare(self.jobs.file_system)?;
        let begin = Instant::now();
        let Jobs { recording, options, .. } = &self.jobs;
        let (from, to) = options.points;
        let groups = Groups::new(recording.index(), options.rules, from..to);
        let groups: Vec<Group> = options.partition.share(groups).collect();
        for group in &groups {
            Layers::check_size(group)?;
        }
        let round = Round::new(&self.jobs, check, progress, &groups, begin);
        self.jobs.alone(|place| round.check_whole(place, to))?;
        self.jobs
            .places
            .for_jobs(options.nr_jobs, |place| round.work(place))
            .map_err(ExploreError::Prepare)?;
        let explained = self.jobs.alone(|place| round.explain(place));
        if let Err(error) = explained.and_then(|()| recording.check().map_err(ExploreError::Read)) {
            round.error.lock().get_or_insert(error);
        }
        Ok(round.into_explored())
    }

    /// All that checks consist of, each of which is decided by itself.
    ///
    /// # Errors
    /// [`ExploreError`] if there is nothing that a check could look at.
    pub fn factors(&self, checks: &[Check]) -> Result<Vec<Check>, ExploreError> {
        let mut factors = Vec::new();
        for check in checks {
            factors.extend(check.factors(self.recording())?);
        }
        Ok(factors)
    }

    /// Has a check judge the disk that one crash leaves.
    ///
    /// # Errors
    /// [`ExploreError`] if the check cannot be run, or the crash cannot be.
    pub fn judge(&self, check: &Check, crash: &Crash) -> Result<Judged, ExploreError> {
        check.prepare(self.jobs.file_system)?;
        let jobs = &self.jobs;
        let judged = jobs.alone(|place| jobs.judge(place, check, crash))?;
        let Some((recovery, Judgement { outcome, output })) = judged else {
            interrupt::check("")?;
            unreachable!("nothing else has it stop");
        };
        let ended = (outcome != Outcome::Pass).then(|| outcome.to_string());
        Ok(Judged { crash: Crash { state: crash.state.clone(), recovery }, ended, output })
    }

    /// What a check writes to the disk of a state, where the crash of this recovery is one that can be.
    ///
    /// # Errors
    /// [`ExploreError`] if the check cannot be run, or the crash cannot be.
    pub fn written(&self, check: &Check, crash: &Crash) -> Result<Written, ExploreError> {
        check.prepare(self.jobs.file_system)?;
        let jobs = &self.jobs;
        jobs.alone(|place| jobs.written(place, check, crash)).map(|(written, _)| written)
    }

    /// Lets a person look at the disk that one crash leaves in a shell, until that ends: `$SHELL`, or `/bin/sh`. As root, a
    /// second disk in the same state is mounted meanwhile, so that the first one stays as the crash has left it; right before
    /// the shell starts, `begin` is told why none is mounted. A recovery, where it is crashed, is that by `check`.
    ///
    /// # Errors
    /// [`ExploreError`] if the shell cannot be run, or something that it has started still uses a disk; if the check cannot be
    /// run, or the crash cannot be.
    pub fn visit(
        &self,
        check: Option<&Check>,
        crash: &Crash,
        begin: impl Fn(Option<&str>) + Sync,
    ) -> Result<(), ExploreError> {
        self.jobs.visit(check, crash, begin)?;
        self.jobs.recording.check().map_err(ExploreError::Read)
    }

    /// Takes the files away again.
    ///
    /// # Errors
    /// [`ExploreError`] if that cannot be done.
    pub fn end(self) -> Result<(), ExploreError> {
        self.jobs.places.end()?;
        strays::leave().map_err(not_prepared)?;
        self.dir.close().map_err(ExploreError::Prepare)
    }
}

impl Jobs {
    /// Does something at the place of the first job.
    fn alone<T: Send>(
        &self,
        work: impl Fn(&Place) -> Result<T, ExploreError> + Sync,
    ) -> Result<T, ExploreError> {
        let mut results = self.places.for_jobs(1, work).map_err(ExploreError::Prepare)?;
        results.pop().expect("one job has one result")
    }

    /// What is explored.
    pub(super) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Whether recoveries are crashed, too.
    pub(super) const fn is_nested(&self) -> bool {
        self.options.is_nested
    }

    /// Runs a check on a disk, once.
    pub(super) fn run(
        &self,
        place: &Place,
        check: &Check,
        disk: Crashed,
        told: Option<&str>,
    ) -> Result<Run, ExploreError> {
        let (judgement, disk) =
            self.with_disk(place, disk, told, |around| check.judge(around, self.options.timeout));
        let judgement = judgement?;
        let still_open = || ExploreError::StillOpen { what: format!("the check `{}`", check.label()) };
        let disk = disk.ok_or_else(still_open)?;
        place.renew().map_err(|source| ExploreError::Leftovers { check: check.label(), source })?;
        if disk.is_full() {
            let max_bytes = widen(MAX_WRITTEN_BYTES);
            return Err(ExploreError::WritesTooMuch { check: check.label(), max_bytes });
        }
        let (disk, reads, written) = disk.into_parts();
        Ok(Run { judgement, reads, written, disk, crash: None, nested: StateCount::zero() })
    }

    /// Does something while a disk is at a place, and gives the disk as it was left; none if it is still open.
    fn with_disk<T>(
        &self,
        place: &Place,
        disk: Crashed,
        told: Option<&str>,
        work: impl FnOnce(Surroundings<'_>) -> T,
    ) -> (T, Option<CrashDisk>) {
        let max_written_bytes = if self.is_nested() { MAX_WRITTEN_BYTES } else { usize::MAX };
        place.slot.put(CrashDisk::new(disk, max_written_bytes));
        let done = work(Surroundings {
            image: &place.image,
            slot: &place.slot,
            tmpdir: &place.tmpdir,
            mountpoint: &place.mountpoint,
            socket: &place.socket,
            told,
            file_system: self.file_system,
            mount_options: self.options.mount_options.as_deref(),
        });
        (done, place.slot.take(Instant::now() + OPEN_PATIENCE))
    }

    /// Runs a shell with one disk at the place of the first job, and a second one to be mounted.
    fn visit(
        &self,
        check: Option<&Check>,
        crash: &Crash,
        begin: impl Fn(Option<&str>) + Sync,
    ) -> Result<(), ExploreError> {
        let told = self.recording.last_mark(crash.state.point);
        let copy = self.places.one_more(self.recording.len_bytes())?;
        let mountable = copy.path();
        self.alone(|place| {
            let disk = self.crashed(place, check, crash)?;
            copy.slot().put(CrashDisk::new(disk.clone(), usize::MAX));
            let (ended, disk) = self.with_disk(place, disk, told.as_deref(), |around| {
                Visit { around, mountable: &mountable, timeout: self.options.timeout }.run(&begin)
            });
            let copy = copy.slot().take(Instant::now() + OPEN_PATIENCE);
            ended?;
            match (disk, copy) {
                (Some(_), Some(_)) => Ok(()),
                _ => Err(ExploreError::StillOpen { what: "the shell".to_owned() }),
            }
        })?;
        copy.end()
    }

    /// Has a check judge the disk that a crash leaves. Gives the crash of the recovery that this is about, too; nothing if it is
    /// time to stop.
    fn judge(
        &self,
        place: &Place,
        check: &Check,
        crash: &Crash,
    ) -> Result<Option<(Option<State>, Judgement)>, ExploreError> {
        let judge = Judge::new(self, check);
        let point = crash.state.point;
        let terms = Terms { must_stop: &interrupt::is_requested, trusts_earlier_runs: true };
        let disk = self.crashed(place, Some(check), crash)?;
        if crash.recovery.is_some() {
            let said = judge.judge_after_recovery(place, &disk, &judge.key(point), terms)?;
            return Ok(said.map(|said| (crash.recovery.clone(), said.judgement)));
        }
        let run = judge.judge(place, disk, point, terms)?;
        Ok(run.map(|run| (run.crash.as_ref().map(|(_, choice)| choice.state()), run.judgement)))
    }

    /// The disk that a crash leaves; a recovery is that by `check`.
    fn crashed(&self, place: &Place, check: Option<&Check>, crash: &Crash) -> Result<Crashed, ExploreError> {
        match (&crash.recovery, check) {
            (Some(state), Some(check)) => {
                let (written, disk) = self.written(place, check, crash)?;
                Ok(Recovery::new(&written, disk).disk_at(state))
            }
            (None, _) | (_, None) => Ok(self.disk_at(&crash.state)),
        }
    }

    /// What a check writes to the disk of a state, and that disk, where the crash of this recovery is one that can be.
    fn written(
        &self,
        place: &Place,
        check: &Check,
        crash: &Crash,
    ) -> Result<(Written, Crashed), ExploreError> {
        let told = check.told(&self.recording, crash.state.point);
        let run = self.run(place, check, self.disk_at(&crash.state), told.as_deref())?;
        if let Some(state) = &crash.recovery {
            let not_in_recovery = |source| ExploreError::NotInRecovery { check: check.label(), source };
            state.check(run.written.index()).map_err(not_in_recovery)?;
        }
        Ok((run.written, run.disk))
    }

    /// The disk of a state.
    fn disk_at(&self, state: &State) -> Crashed {
        let mut checkpoints = Checkpoints::new(self.options.rules.discards);
        self.disk(checkpoints.map_at(self.recording.index(), state.point, &state.lost))
    }

    /// The disk that a map describes.
    fn disk(&self, map: ExtentMap) -> Crashed {
        Crashed::new(Arc::<Recording>::clone(&self.recording), map)
    }
}

/// A way as a verdict: two runs agree if they end alike, whatever they print. The time of day in a message does not make a
/// check one that cannot be trusted.
#[derive(Clone, Copy, Debug)]
struct Ended(Way);

impl PartialEq for Ended {
    fn eq(&self, other: &Self) -> bool {
        self.0.outcome() == other.0.outcome()
    }
}

impl Eq for Ended {}

/// One check, and all that its jobs share.
struct Round<'a> {
    jobs: &'a Jobs,
    check: &'a Check,
    judge: Judge<'a>,
    progress: &'a dyn Progress,
    nr_groups: u64,
    states: StateCount,
    begin: Instant,
    schedule: Mutex<Schedule>,
    /// Something was reported.
    reported: Condvar,
    proved: RwLock<Proved<Key, Ended>>,
    flaky_states: Mutex<Vec<State>>,
    findings: Mutex<Findings>,
    /// The same, with the least that each takes.
    explained: Mutex<Vec<Finding>>,
    error: Mutex<Option<ExploreError>>,
    /// Nothing new is begun.
    is_stopped: AtomicBool,
    limit: Limit,
    /// The states that crashes of recoveries can leave, of all states that were run.
    nested: Mutex<StateCount>,
    cross_checks: AtomicU64,
    flaky: AtomicU64,
    timeouts: AtomicU64,
    undecided: AtomicU64,
}

impl<'a> Round<'a> {
    fn new(
        jobs: &'a Jobs,
        check: &'a Check,
        progress: &'a dyn Progress,
        groups: &[Group],
        begin: Instant,
    ) -> Self {
        let checkpoints = Checkpoints::new(jobs.options.rules.discards);
        let mut states = StateCount::zero();
        for group in groups {
            states.add_power_of_two(group.nr_units());
        }
        let mut round = Self {
            jobs,
            check,
            judge: Judge::new(jobs, check),
            progress,
            nr_groups: groups.len().try_into().unwrap_or(u64::MAX),
            states,
            begin,
            schedule: Mutex::new(Schedule::new(groups.iter().copied().collect(), checkpoints)),
            reported: Condvar::new(),
            proved: RwLock::new(Proved::new()),
            flaky_states: Mutex::default(),
            findings: Mutex::default(),
            explained: Mutex::default(),
            error: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            limit: jobs.options.budget.starting(begin, 0),
            nested: Mutex::default(),
            cross_checks: AtomicU64::new(0),
            flaky: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
        };
        round.take_known();
        round
    }

    /// The disk must pass where nothing is lost: otherwise the check is wrong, and not the crash.
    fn check_whole(&self, place: &Place, point: u64) -> Result<(), ExploreError> {
        let (disk, key) = (self.jobs.disk_at(&State::from(point)), self.judge.key(point));
        let known = self.proved_way(&key, disk.map());
        if known.is_some_and(|way| way.outcome() == Outcome::Pass) {
            return Ok(());
        }
        let run = self.judge.run(place, disk, &key)?;
        if run.judgement.outcome != Outcome::Pass {
            let (check, ended) = (self.check.label(), run.judgement.outcome.to_string());
            return Err(ExploreError::FailsWhole { check, ended, output: run.judgement.last_words() });
        }
        if run.reads.is_empty() {
            return Err(ExploreError::ReadsNothing { check: self.check.label() });
        }
        // That it passes is not all where its recovery is to be crashed.
        if !self.jobs.is_nested() {
            self.add(key, &State::from(point), &run)?;
        }
        Ok(())
    }

    /// Takes state after state until nothing is left, or it is time to stop.
    fn work(&self, place: &Place) {
        let _guard = StopOnPanic(self);
        while let Some(task) = self.next() {
            let decided = match self.decide(place, task) {
                Ok(decided) => decided,
                Err(error) => return self.fail(error),
            };
            self.reported.notify_all();
            if let Some(layers) = decided
                && let Err(error) = self.cross_check(place, &layers)
            {
                return self.fail(error);
            }
            self.progress.show(self.standing());
        }
    }

    fn next(&self) -> Option<Task> {
        let mut schedule = self.schedule.lock();
        loop {
            if self.must_stop() {
                self.reported.notify_all();
                return None;
            }
            match schedule.next(self.recording().index()) {
                Ok(Next::Task(task)) => return Some(*task),
                // Whoever has it reports it, or stops all.
                Ok(Next::Wait) => self.reported.wait(&mut schedule),
                Ok(Next::Done) => return None,
                Err(error) => {
                    drop(schedule);
                    self.fail(error.into());
                    return None;
                }
            }
        }
    }

    fn standing(&self) -> Standing {
        let (groups_decided, decided) = {
            let schedule = self.schedule.lock();
            (schedule.groups_decided(), schedule.states_decided())
        };
        Standing {
            runs: self.judge.runs(),
            reused: self.judge.reused(),
            groups: self.nr_groups,
            groups_decided,
            states_log2: self.states.log2(),
            decided_log2: decided.log2(),
            ways_to_fail: self.findings.lock().len(),
            flaky: self.flaky.load(Relaxed),
            elapsed: self.begin.elapsed(),
        }
    }

    fn must_stop(&self) -> bool {
        if self.limit.is_reached(self.judge.runs()) || interrupt::is_requested() {
            self.is_stopped.store(true, Relaxed);
        }
        self.is_stopped.load(Relaxed)
    }

    fn fail(&self, error: ExploreError) {
        self.error.lock().get_or_insert(error);
        self.stop();
    }

    fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
        // Under the lock: nobody is between looking and waiting.
        let schedule = self.schedule.lock();
        self.reported.notify_all();
        drop(schedule);
    }

    /// Decides a state by what an earlier run has proved, or by a run. Gives the layers of a group that is decided by it.
    fn decide(&self, place: &Place, task: Task) -> Result<Option<Arc<Layers>>, ExploreError> {
        let disk = self.jobs.disk(task.trial.map());
        let point = task.trial.choice().layers().group().point();
        let key = self.judge.key(point);
        let contents = |pieces: &[Piece]| self.recording().fingerprint(pieces);
        let proof = {
            let proved = self.proved.read();
            proved.look_up(&key, disk.map(), contents).map(|proof| (proof.reads, proof.verdict.0))
        };
        if let Some((reads, way)) = proof {
            self.judge.count_reused();
            if way.outcome().is_failure() {
                self.findings.lock().add(task.trial.choice(), way, None);
            }
            self.count(way.outcome(), way.outcome());
            return Ok(self.schedule.lock().report(task, &reads, says(way.outcome()), contents));
        }
        let state = task.trial.state();
        let must_stop = || self.must_stop_after_showing();
        let terms = Terms { must_stop: &must_stop, trusts_earlier_runs: true };
        let Some(run) = self.judge.judge(place, disk.clone(), point, terms)? else {
            self.schedule.lock().give_back(task);
            return Ok(None);
        };
        let outcome = run.judgement.outcome;
        if outcome == Outcome::Pass {
            return self.take_in(task, &state, key, &[run]);
        }
        // What does not pass is run twice.
        let Some(again) = self.judge.judge(place, disk, point, terms)? else {
            self.schedule.lock().give_back(task);
            return Ok(None);
        };
        if outcome.is_failure() && again.judgement.outcome.is_failure() {
            let Judgement { output, .. } = &run.judgement;
            self.findings.lock().add(task.trial.choice(), run.way(), Some(output));
        } else if outcome.is_failure() {
            self.flaky_states.lock().push(state.clone());
        }
        self.count(outcome, again.judgement.outcome);
        self.take_in(task, &state, key, &[run, again])
    }

    /// Whether to stop; asked in the midst of a judgement, which may take long.
    fn must_stop_after_showing(&self) -> bool {
        self.progress.show(self.standing());
        self.must_stop()
    }

    /// Reports a state that was run once or twice: its verdict holds for all states with the same bytes where it was read, if
    /// it can be repeated.
    fn take_in(
        &self,
        task: Task,
        state: &State,
        key: Key,
        runs: &[Run],
    ) -> Result<Option<Arc<Layers>>, ExploreError> {
        let (outcome, reads) = (runs[0].judgement.outcome, &runs[0].reads);
        *self.nested.lock() += &runs[0].nested;
        let mut holds = outcome.is_repeatable() && runs.iter().all(|run| run.judgement.outcome == outcome);
        for run in runs {
            holds = holds && self.add(key.clone(), state, run)?;
        }
        if holds {
            let contents = |pieces: &[Piece]| self.recording().fingerprint(pieces);
            return Ok(self.schedule.lock().report(task, reads, says(outcome), contents));
        }
        self.write(&self.line(key, state, runs[0].way()))?;
        Ok(self.schedule.lock().report_alone(task, says(outcome)))
    }

    /// Counts a state that did not pass.
    fn count(&self, outcome: Outcome, again: Outcome) {
        let counts = [
            (outcome != again, &self.flaky),
            (outcome == Outcome::TimedOut, &self.timeouts),
            (outcome == Outcome::Undecided, &self.undecided),
        ];
        for (_, count) in counts.iter().filter(|(is_counted, _)| *is_counted) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Runs states of a group that is decided, so that there is one for each hundred runs: what was decided without a run
    /// must hold, read for read.
    fn cross_check(&self, place: &Place, layers: &Arc<Layers>) -> Result<(), ExploreError> {
        if layers.group().nr_units() == 0 {
            return Ok(());
        }
        while !self.must_stop() {
            let nth = self.cross_checks.fetch_add(1, Relaxed);
            if nth * 100 >= self.judge.disks_run() {
                self.cross_checks.fetch_sub(1, Relaxed);
                break;
            }
            let mut random = Random(self.jobs.options.seed.wrapping_add(nth.wrapping_mul(GOLDEN)));
            let choice = Choice::of(Arc::clone(layers), |_| random.next_bit());
            let (disk, point, state) = (self.jobs.disk(choice.map()), layers.group().point(), choice.state());
            let key = self.judge.key(point);
            let proved = self.proved_way(&key, disk.map());
            let must_stop = || self.must_stop_after_showing();
            let terms = Terms { must_stop: &must_stop, trusts_earlier_runs: false };
            let Some(run) = self.judge.judge(place, disk, point, terms)? else {
                self.cross_checks.fetch_sub(1, Relaxed);
                break;
            };
            let outcome = run.judgement.outcome;
            let holds = match proved {
                Some(proved) => proved.outcome() == outcome && self.add(key, &state, &run)?,
                // It was decided alone, or there was no more room for what is proved.
                None => {
                    outcome == Outcome::Pass || self.schedule.lock().tally().failing != StateCount::zero()
                }
            };
            if !holds {
                self.judge.contradict(outcome, &run.reads);
                if outcome.is_failure() {
                    let Judgement { output, .. } = &run.judgement;
                    self.findings.lock().add(&choice, run.way(), Some(output));
                }
            }
        }
        Ok(())
    }

    /// Finds the least that each way to fail takes.
    fn explain(&self, place: &Place) -> Result<(), ExploreError> {
        let mut findings = self.findings.lock().clone().into_sorted();
        // The budget is for the search. What it has found is worth as much again, and is nothing without a cause.
        let limit = self.jobs.options.budget.starting(Instant::now(), self.judge.runs());
        let must_stop = || {
            let is_spent = limit.is_reached(self.judge.runs());
            is_spent || interrupt::is_requested() || self.error.lock().is_some()
        };
        let mut explained = Ok(());
        for finding in findings.iter_mut().take(MAX_EXPLAINED) {
            if explained.is_ok() {
                explained = self.explain_one(place, finding, &must_stop);
                self.progress.show(self.standing());
            }
        }
        *self.explained.lock() = findings;
        explained
    }

    fn explain_one(
        &self,
        place: &Place,
        finding: &mut Finding,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<(), ExploreError> {
        let Options { points: (from, _), rules, .. } = &self.jobs.options;
        let mut way = |choice: &Choice| self.way(place, choice.map(), &choice.state(), must_stop);
        finding.minimise(&mut way)?;
        let mut checkpoints = Checkpoints::new(rules.discards);
        finding.find_first(*from, |point| {
            let state = State::from(point);
            let map = checkpoints.map_at(self.recording().index(), point, &state.lost);
            self.way(place, map, &state, must_stop)
        })?;
        // In a recovery, it is what the check itself writes that makes the difference.
        if !finding.way().is_in_recovery() {
            finding.find_passing(&mut way)?;
        }
        if must_stop() {
            return Ok(());
        }
        let (map, point) = (finding.choice().map(), finding.choice().layers().group().point());
        let terms = Terms { must_stop, trusts_earlier_runs: true };
        if let Some(run) = self.judge.judge(place, self.jobs.disk(map), point, terms)?
            // Another way to end is no evidence.
            && run.way() == finding.way()
        {
            finding.show(&run.judgement, &run.written);
            if let Some(crash) = run.crash {
                self.explain_recovery(place, finding, (run.written, crash), terms)?;
            }
        }
        Ok(())
    }

    /// Finds the least crash of a recovery that fails.
    fn explain_recovery(
        &self,
        place: &Place,
        finding: &mut Finding,
        (written, (recovery, choice)): (Written, (Recovery, Choice)),
        terms: Terms<'_>,
    ) -> Result<(), ExploreError> {
        let key = self.judge.key(finding.choice().layers().group().point());
        let mut inner = Finding::new(choice, finding.way().of_itself(), finding.output());
        let said = |disk: &Crashed| self.judge.judge_after_recovery(place, disk, &key, terms);
        let way = |disk: &Crashed| {
            let way = said(disk)?.map(|said| Way::of(&said.judgement, false));
            Ok::<_, ExploreError>(way)
        };
        inner.minimise(|choice| way(&recovery.disk(choice.map())))?;
        inner.find_first(0, |point| way(&recovery.disk_at(&State::from(point))))?;
        inner.find_passing(|choice| way(&recovery.disk(choice.map())))?;
        if let Some(said) = said(&recovery.disk(inner.choice().map()))?
            && Way::of(&said.judgement, false) == inner.way()
        {
            finding.print(&said.judgement);
        }
        let recording = Arc::clone(recovery.recording());
        finding.set_in_recovery(InRecovery { recording, written, finding: inner });
        Ok(())
    }

    /// How a state ends. `None` if it is time to stop.
    fn way(
        &self,
        place: &Place,
        map: ExtentMap,
        state: &State,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Way>, ExploreError> {
        if must_stop() {
            return Ok(None);
        }
        let point = state.point;
        let key = self.judge.key(point);
        if let Some(way) = self.proved_way(&key, &map) {
            return Ok(Some(way));
        }
        let terms = Terms { must_stop, trusts_earlier_runs: true };
        let Some(run) = self.judge.judge(place, self.jobs.disk(map), point, terms)? else { return Ok(None) };
        if run.judgement.outcome.is_repeatable() {
            self.add(key, state, &run)?;
        }
        Ok(Some(run.way()))
    }

    /// What an earlier run has proved of a disk.
    fn proved_way(&self, key: &Key, map: &ExtentMap) -> Option<Way> {
        let contents = |pieces: &[Piece]| self.recording().fingerprint(pieces);
        self.proved.read().look_up(key, map, contents).map(|proof| proof.verdict.0)
    }

    /// Adds a run to what is proved; false if that contradicts an earlier run.
    fn add(&self, key: Key, state: &State, run: &Run) -> Result<bool, ExploreError> {
        let Some(found) = run.disk.contents_of(&run.reads) else { return Ok(false) };
        let way = run.way();
        let is_added = self.proved.write().add(key.clone(), found.iter().copied(), Ended(way)).is_ok();
        if !is_added {
            self.judge.contradict(run.judgement.outcome, &run.reads);
            return Ok(false);
        }
        let mut line = self.line(key, state, way);
        line.set_reads(&found);
        self.write(&line)?;
        Ok(true)
    }

    fn line(&self, last_mark: Key, state: &State, way: Way) -> Line {
        Line {
            check: self.check.to_string(),
            state: state.to_string(),
            last_mark,
            ended: way.outcome(),
            signature: way.signature(),
            in_recovery: way.is_in_recovery(),
            reads: None,
        }
    }

    fn write(&self, line: &Line) -> Result<(), ExploreError> {
        match &self.jobs.out {
            Some(out) => Ok(out.add(line)?),
            None => Ok(()),
        }
    }

    /// Takes in what the runs of an earlier exploration have proved.
    fn take_known(&mut self) {
        let out = self.jobs.out.iter().flat_map(OutDir::known);
        let check = self.check.to_string();
        for line in out.filter(|line| line.check == check) {
            // What has decided its own state alone is run again.
            let Some((reads, way)) = line.reads().zip(line.way()) else { continue };
            if self.proved.get_mut().add(line.last_mark.clone(), reads, Ended(way)).is_err() {
                self.judge.contradict(way.outcome(), &[]);
            }
        }
    }

    fn recording(&self) -> &'a Recording {
        &self.jobs.recording
    }

    fn into_explored(self) -> Explored {
        let tally = self.schedule.into_inner().tally();
        Explored {
            check: self.check.clone(),
            groups: self.nr_groups,
            groups_decided: tally.groups_decided,
            groups_given_up: tally.groups_given_up,
            states: self.states,
            decided: tally.decided,
            failing: tally.failing,
            guarantee: tally.guarantee,
            by_group: tally.by_group,
            nested: self.jobs.is_nested().then(|| self.nested.into_inner()),
            runs: self.judge.runs(),
            reused: self.judge.reused(),
            cross_checks: self.cross_checks.into_inner(),
            flaky: self.flaky.into_inner(),
            timeouts: self.timeouts.into_inner(),
            undecided: self.undecided.into_inner(),
            is_contradicted: self.judge.is_contradicted(),
            flaky_states: self.flaky_states.into_inner(),
            findings: self.explained.into_inner(),
            ended_by: self.error.into_inner(),
            took: self.begin.elapsed(),
        }
    }
}

/// Lets the other jobs end, too, if one panics.
struct StopOnPanic<'a>(&'a Round<'a>);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

fn not_prepared(error: StrayError) -> ExploreError {
    ExploreError::Prepare(io::Error::other(error))
}

const fn says(outcome: Outcome) -> Says {
    match outcome {
        Outcome::Pass | Outcome::Undecided => Says::Pass,
        Outcome::Fail(_) | Outcome::Signal(_) | Outcome::TimedOut => Says::Fail,
    }
}

/// A linear congruential generator: the same choices from the same seed.
struct Random(u64);

impl Random {
    const fn next_bit(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }
}

/// How many ways to fail are explained.
const MAX_EXPLAINED: usize = 20;

/// Spreads what is numbered over all 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How much a check may write to a disk whose recovery is crashed, some for each write included.
const MAX_WRITTEN_BYTES: usize = 256 << 20;

/// How long what a check has opened may take to be closed once its processes were ended.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);
