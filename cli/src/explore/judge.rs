//! How a state is judged: by a run of the check, or by that and a run on every disk that a crash of this run would leave.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use logwrites_core::Extent;
use logwrites_core::crash::{Choice, StateCount, TooManyUnits};
use logwrites_core::history::Piece;
use parking_lot::RwLock;

use super::check::{Check, Judgement, Outcome};
use super::error::ExploreError;
use super::explorer::Jobs;
use super::place::Place;
use super::reads::Reads;
use super::recording::Crashed;
use super::recovery::{Recovery, Said, Searched};
use super::way::Way;
use super::written::Written;

/// What besides the bytes a verdict may depend on: what the check is told, such as the last mark.
pub(super) type Key = Option<String>;

/// A check, and what it has cost so far.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    jobs: &'a Jobs,
    check: &'a Check,
    /// The runs that have passed, by what they read; kept where recoveries are crashed, whose disks have much in common.
    passed: RwLock<Proved>,
    runs: AtomicU64,
    /// How many of the runs were on disks that a crash of a recovery has left.
    runs_after_recovery: AtomicU64,
    reused: AtomicU64,
    is_contradicted: AtomicBool,
}

type Proved = logwrites_core::crash::Proved<Key, ()>;

/// What a check has come to on a disk.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) judgement: Judgement,
    /// What the judgement depends on: what was read of the disk, in order, each sector once.
    pub(super) reads: Vec<Extent>,
    /// What the check has written to the disk in its first run.
    pub(super) written: Written,
    pub(super) disk: Crashed,
    /// The crash of the recovery that is not survived, if it is that.
    pub(super) crash: Option<(Recovery, Choice)>,
    /// How many states that a crash of the recovery can leave are decided by it.
    pub(super) nested: StateCount,
}

/// What a judgement that takes many runs may rest on, and when it is given up.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Asked before each run but the first.
    pub(super) must_stop: &'a dyn Fn() -> bool,
    /// Whether a disk passes without a run that holds what an earlier run has read, and passed.
    pub(super) trusts_earlier_runs: bool,
}

impl Run {
    /// How it ended.
    pub(super) fn way(&self) -> Way {
        Way::of(&self.judgement, self.crash.is_some())
    }

    /// The same with every crash of this run judged, too: the first one that is not survived is what it has come to. `judge`
    /// runs the check on the disk of such a crash; `None` where it says nothing.
    fn with_crashes<E: From<TooManyUnits>>(
        self,
        judge: impl FnMut(&Crashed) -> Result<Option<Said>, E>,
    ) -> Result<Option<Self>, E> {
        if self.judgement.outcome.is_failure() {
            return Ok(Some(self));
        }
        let mut reads = Reads::new(self.disk.recording().sector_size());
        self.reads.iter().for_each(|read| reads.add(*read));
        let recovery = Recovery::new(&self.written, self.disk.clone());
        let Some(searched) = recovery.search(&mut reads, judge)? else { return Ok(None) };
        let Searched { failure, is_undecided, decided } = searched;
        let (judgement, crash) = match failure {
            Some((choice, judgement)) => (judgement, Some((recovery, choice))),
            None if is_undecided => (Judgement { outcome: Outcome::Undecided, ..self.judgement }, None),
            None => (self.judgement, None),
        };
        Ok(Some(Self { judgement, crash, reads: reads.into_extents(), nested: decided, ..self }))
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(jobs: &'a Jobs, check: &'a Check) -> Self {
        Self {
            jobs,
            check,
            passed: RwLock::default(),
            runs: AtomicU64::new(0),
            runs_after_recovery: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            is_contradicted: AtomicBool::new(false),
        }
    }

    /// How many times the check was run.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    /// How many disks of the recording it was run on; not those that crashes of recoveries have left.
    pub(super) fn disks_run(&self) -> u64 {
        self.runs() - self.runs_after_recovery.load(Relaxed)
    }

    /// How many runs were spared by earlier ones.
    pub(super) fn reused(&self) -> u64 {
        self.reused.load(Relaxed)
    }

    /// One more run was spared.
    pub(super) fn count_reused(&self) {
        self.reused.fetch_add(1, Relaxed);
    }

    /// Whether a run has contradicted an earlier one.
    pub(super) fn is_contradicted(&self) -> bool {
        self.is_contradicted.load(Relaxed)
    }

    /// Notes that a run contradicts an earlier one.
    pub(super) fn contradict(&self, outcome: Outcome, reads: &[Extent]) {
        tracing::warn!(?outcome, ?reads, "a run contradicts an earlier one");
        self.is_contradicted.store(true, Relaxed);
    }

    /// What the check is told of a crash at a point.
    pub(super) fn key(&self, point: u64) -> Key {
        self.check.told(self.jobs.recording(), point)
    }

    /// Judges a disk, which a crash at a point has left. `None` if it was given up.
    pub(super) fn judge(
        &self,
        place: &Place,
        disk: Crashed,
        point: u64,
        terms: Terms<'_>,
    ) -> Result<Option<Run>, ExploreError> {
        let key = self.key(point);
        let run = self.run(place, disk, &key)?;
        if self.jobs.is_nested() {
            run.with_crashes(|disk| self.judge_after_recovery(place, disk, &key, terms))
        } else {
            Ok(Some(run))
        }
    }

    /// Runs the check on a disk that a crash of a recovery has left. `None` if it is time to stop.
    pub(super) fn judge_after_recovery(
        &self,
        place: &Place,
        disk: &Crashed,
        key: &Key,
        terms: Terms<'_>,
    ) -> Result<Option<Said>, ExploreError> {
        if terms.trusts_earlier_runs
            && let Some(reads) = self.reads_of_earlier(disk, key)
        {
            self.count_reused();
            return Ok(Some(Said { judgement: Judgement::pass(), reads }));
        }
        if (terms.must_stop)() {
            return Ok(None);
        }
        self.runs_after_recovery.fetch_add(1, Relaxed);
        let Run { judgement, reads, .. } = self.run(place, disk.clone(), key)?;
        Ok(Some(Said { judgement, reads }))
    }

    /// Runs the check once.
    pub(super) fn run(&self, place: &Place, disk: Crashed, key: &Key) -> Result<Run, ExploreError> {
        self.runs.fetch_add(1, Relaxed);
        let run = self.jobs.run(place, self.check, disk, key.as_deref())?;
        if self.jobs.is_nested()
            && run.judgement.outcome == Outcome::Pass
            && let Some(found) = run.disk.contents_of(&run.reads)
            && self.passed.write().add(key.clone(), found, ()).is_err()
        {
            self.contradict(run.judgement.outcome, &run.reads);
        }
        Ok(run)
    }

    /// What the earlier run has read that tells that a disk passes.
    fn reads_of_earlier(&self, disk: &Crashed, key: &Key) -> Option<Vec<Extent>> {
        let contents = |pieces: &[Piece]| disk.recording().fingerprint(pieces);
        self.passed.read().look_up(key, disk.map(), contents).map(|proof| proof.reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Origin;
    use crate::explore::crash_disk::CrashDisk;
    use crate::explore::{AnyRecording, Recording, Writes};
    use logwrites_core::crash::{Groups, Layers, Model, Prefix, Proved, Rules, Search, Verdict};
    use logwrites_core::history::{Checkpoints, Discards, EntrySet, ExtentMap, Index};
    use logwrites_core::{Ordering, SectorSize};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// What a checker does with sectors, of which only the first byte matters.
    #[derive(Clone, Debug)]
    enum Step {
        Set {
            to: u64,
            byte: u8,
            is_durable: bool,
        },
        /// A part of a sector.
        Patch {
            to: u64,
            byte: u8,
        },
        Copy {
            from: u64,
            to: u64,
        },
        /// If the first sector has the byte 1.
        CopyIfFlagged {
            from: u64,
            to: u64,
        },
        Zero {
            from: u64,
            nr_sectors: u64,
        },
        Flush,
        FailIf {
            at: u64,
            byte: u8,
        },
        FailUnlessSame {
            a: u64,
            b: u64,
        },
    }

    const NR_SECTORS: u64 = 6;

    fn step() -> impl Strategy<Value = Step> {
        let sector = || 0..NR_SECTORS;
        let byte = || 0u8..3;
        prop_oneof![
            2 => (sector(), byte(), any::<bool>()).prop_map(|(to, byte, is_durable)| Step::Set { to, byte, is_durable }),
            2 => (sector(), byte()).prop_map(|(to, byte)| Step::Patch { to, byte }),
            2 => (sector(), sector()).prop_map(|(from, to)| Step::Copy { from, to }),
            4 => (sector(), sector()).prop_map(|(from, to)| Step::CopyIfFlagged { from, to }),
            1 => (sector(), 1..=2u64).prop_map(|(from, nr_sectors)| Step::Zero { from, nr_sectors }),
            2 => Just(Step::Flush),
            1 => (sector(), byte()).prop_map(|(at, byte)| Step::FailIf { at, byte }),
            1 => (sector(), sector()).prop_map(|(a, b)| Step::FailUnlessSame { a, b }),
        ]
    }

    fn run(program: &[Step], crashed: &Crashed) -> Run {
        let mut disk = CrashDisk::new(crashed.clone(), usize::MAX);
        let passes = program.iter().all(|step| passes(step, &mut disk));
        let judgement = if passes {
            Judgement::pass()
        } else {
            Judgement { outcome: Outcome::Fail(1), output: String::new() }
        };
        let (disk, reads, written) = disk.into_parts();
        Run { judgement, reads, written, disk, crash: None, nested: StateCount::zero() }
    }

    fn passes(step: &Step, disk: &mut CrashDisk) -> bool {
        let read = |disk: &mut CrashDisk, sector: u64| {
            let mut byte = [0];
            disk.read_at(sector * 512, &mut byte).unwrap();
            byte[0]
        };
        let write = |disk: &mut CrashDisk, to: u64, byte: u8, is_durable| {
            disk.write_at(to * 512, &[byte; 512], is_durable).unwrap();
        };
        match *step {
            Step::Set { to, byte, is_durable } => write(disk, to, byte, is_durable),
            Step::Patch { to, byte } => disk.write_at(to * 512, &[byte; 100], false).unwrap(),
            Step::Copy { from, to } => {
                let byte = read(disk, from);
                write(disk, to, byte, false);
            }
            Step::CopyIfFlagged { from, to } => {
                if read(disk, 0) == 1 {
                    let byte = read(disk, from);
                    write(disk, to, byte, false);
                }
            }
            Step::Zero { from, nr_sectors } => disk.zero(from * 512, nr_sectors * 512, false).unwrap(),
            Step::Flush => disk.flush().unwrap(),
            Step::FailIf { at, byte } => return read(disk, at) != byte,
            Step::FailUnlessSame { a, b } => return read(disk, a) == read(disk, b),
        }
        true
    }

    /// All that a crash can leave of a log, each state by itself.
    fn every_disk(recording: &Arc<AnyRecording>) -> Vec<Crashed> {
        let index: &Index = recording.index();
        let mut disks = Vec::new();
        for point in 0..=index.nr_entries() {
            let epoch = index.epoch_at(point);
            let volatile: Vec<u64> = (0..point).filter(|entry| epoch.is_volatile(*entry)).collect();
            for lost in 0..1u64 << volatile.len() {
                let lost: EntrySet = (0..)
                    .zip(&volatile)
                    .filter(|(bit, _)| lost >> bit & 1 == 1)
                    .map(|(_, entry)| *entry)
                    .collect();
                let map = Checkpoints::new(Discards::Zero).map_at(index, point, &lost);
                disks.push(Crashed::new(Arc::clone(recording), map));
            }
        }
        disks
    }

    /// Whether the program survives a crash and every crash of its own.
    fn survives(program: &[Step], disk: &Crashed) -> bool {
        let first = run(program, disk);
        if first.judgement.outcome.is_failure() {
            return false;
        }
        let recovery = Recovery::new(&first.written, disk.clone());
        let recording: Arc<AnyRecording> = Arc::<Recording<Writes>>::clone(recovery.recording());
        every_disk(&recording).iter().all(|disk| !run(program, disk).judgement.outcome.is_failure())
    }

    fn is_in(prefix: &Prefix, lost: &EntrySet) -> bool {
        let entries = |set: &EntrySet| set.ranges().flat_map(|(entries, _)| entries).collect::<Vec<_>>();
        let lost = entries(lost);
        entries(prefix.kept()).iter().all(|entry| !lost.contains(entry))
            && entries(prefix.lost()).iter().all(|entry| lost.contains(entry))
    }

    const RULES: Rules =
        Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Zero };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Each state that a judgement decides, with all crashes of its recovery, is as it is one by one.
        #[test]
        fn a_judgement_decides_what_is_so_one_by_one(
            log in proptest::collection::vec(step(), 1..10),
            program in proptest::collection::vec(step(), 1..9),
        ) {
            let zeros = Index::new(Written::nothing(SectorSize::B512).index().superblock());
            let empty = Arc::new(Written::nothing(SectorSize::B512).to_disk().unwrap());
            let origin = || Origin::Zeros { len_bytes: (NR_SECTORS + 1) * 512 };
            let nothing = Crashed::new(
                Arc::new(Recording::new(zeros, empty, origin())),
                ExtentMap::new(SectorSize::B512),
            );
            // What makes the log is a program, too.
            let mut disk = CrashDisk::new(nothing, usize::MAX);
            for step in &log {
                passes(step, &mut disk);
            }
            let (_, _, written) = disk.into_parts();
            let files = Recording::new(written.index().clone(), Arc::new(written.to_disk().unwrap()), origin());
            let recording: Arc<AnyRecording> = Arc::new(files);
            let index = recording.index();
            let contents = |pieces: &[Piece]| recording.fingerprint(pieces);
            let mut proved = Proved::new();
            for group in Groups::new(index, RULES, 0..index.nr_entries()) {
                let layers = Layers::new(index, &group, &mut Checkpoints::new(Discards::Zero)).unwrap();
                let layers = Arc::new(layers);
                let choices: Vec<Choice> = (0..1u64 << group.nr_units())
                    .map(|kept| Choice::of(Arc::clone(&layers), |unit| kept >> unit & 1 == 1))
                    .collect();
                let disk_of = |choice: &Choice| Crashed::new(Arc::clone(&recording), choice.map());
                let truth: Vec<bool> = choices.iter().map(|choice| survives(&program, &disk_of(choice))).collect();
                let mut search = Search::new(Arc::clone(&layers));
                while let Some(trial) = search.next_trial() {
                    let judged = run(&program, &disk_of(trial.choice())).with_crashes(|disk| {
                        let Run { judgement, reads, .. } = run(&program, disk);
                        Ok::<_, TooManyUnits>(Some(Said { judgement, reads }))
                    });
                    let judged = judged.unwrap().expect("it is not given up");
                    let passes = !judged.judgement.outcome.is_failure();
                    let found = judged.disk.contents_of(&judged.reads).unwrap();
                    prop_assert_eq!(proved.add((), found, passes), Ok(()), "the reads depend on the contents alone");
                    let says = if passes { Verdict::Pass } else { Verdict::Fail };
                    let region = search.report(trial, &judged.reads, says, contents).prefix();
                    for (choice, truth) in choices.iter().zip(&truth) {
                        if is_in(&region, &choice.state().lost) {
                            prop_assert_eq!(passes, *truth, "{} in {}", choice.state(), region);
                        }
                    }
                }
                prop_assert!(search.is_decided());
                // By contents it is the same.
                for (choice, truth) in choices.iter().zip(&truth) {
                    let proof = proved.look_up(&(), &choice.map(), contents);
                    prop_assert_eq!(proof.map(|proof| *proof.verdict), Some(*truth));
                }
            }
        }
    }
}
