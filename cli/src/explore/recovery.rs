//! A crash during recovery: what a check has written to a disk is a log, and a crash of that leaves one more disk.

use std::sync::Arc;

use logwrites_core::Ordering;
use logwrites_core::crash::{
    Choice, Groups, Layers, Model, Rules, Search, State, StateCount, TooManyUnits, Verdict,
};
use logwrites_core::history::{Checkpoints, Discards, ExtentMap};

use super::check::{Judgement, Outcome};
use super::reads::Reads;
use super::recording::{Crashed, Recording};
use super::written::{Writes, Written};

/// What a check did to a disk, as a recording whose base is that disk.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    recording: Arc<Recording<Writes>>,
}

/// What a check says of a disk.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) judgement: Judgement,
    /// What it read of the disk, in order, each sector once.
    pub(super) reads: Vec<logwrites_core::Extent>,
}

/// What the crashes of a recovery have come to.
#[derive(Clone, Debug)]
pub(super) struct Searched {
    /// The first one that is not survived, in the order of the log; after it none was tried.
    pub(super) failure: Option<(Choice, Judgement)>,
    /// Whether there is one of which nothing is known.
    pub(super) is_undecided: bool,
    /// How many crash states are decided.
    pub(super) decided: StateCount,
}

impl Recovery {
    /// What was written to a disk.
    pub(super) fn new(written: &Written, base: Crashed) -> Self {
        Self { recording: Arc::new(Recording::of_writes(written, base)) }
    }

    /// What was written, with the disk as its base.
    pub(super) const fn recording(&self) -> &Arc<Recording<Writes>> {
        &self.recording
    }

    /// The disk that a map of this recording describes.
    pub(super) fn disk(&self, map: ExtentMap) -> Crashed {
        Crashed::new(Arc::<Recording<Writes>>::clone(&self.recording), map)
    }

    /// The disk that a crash of the recovery leaves.
    pub(super) fn disk_at(&self, state: &State) -> Crashed {
        let mut checkpoints = Checkpoints::new(RULES.discards);
        self.disk(checkpoints.map_at(self.recording.index(), state.point, &state.lost))
    }

    /// Decides all crashes of the recovery, one after the other, up to the first that is not survived. `judge` runs the check
    /// on a disk, from its beginning; where it says nothing, the search ends, and has come to nothing.
    ///
    /// `reads` gets all that the result depends on of the disk below: what the check has read of it, where nothing of its own
    /// writes lay over it, and what was compared with the contents of a write.
    ///
    /// # Errors
    /// Those of `judge`, and [`TooManyUnits`].
    pub(super) fn search<E: From<TooManyUnits>>(
        &self,
        reads: &mut Reads,
        mut judge: impl FnMut(&Crashed) -> Result<Option<Said>, E>,
    ) -> Result<Option<Searched>, E> {
        let index = self.recording.index();
        let mut checkpoints = Checkpoints::new(RULES.discards);
        let mut searched = Searched { failure: None, is_undecided: false, decided: StateCount::zero() };
        for group in Groups::new(index, RULES, 0..index.nr_entries()) {
            let layers = Layers::new(index, &group, &mut checkpoints)?;
            let mut search = Search::new(Arc::new(layers));
            while let Some(trial) = search.next_trial() {
                let disk = self.disk(trial.map());
                let Some(said) = judge(&disk)? else { return Ok(None) };
                for read in &said.reads {
                    reads.add_below(disk.map().pieces(*read));
                }
                if said.judgement.outcome.is_failure() {
                    searched.failure = Some((trial.choice().clone(), said.judgement));
                    search.report_alone(trial, Verdict::Fail);
                    searched.decided += search.decided();
                    return Ok(Some(searched));
                }
                searched.is_undecided |= said.judgement.outcome == Outcome::Undecided;
                search.report(trial, &said.reads, Verdict::Pass, |pieces| {
                    reads.add_below(pieces.iter().copied());
                    self.recording.fingerprint(pieces)
                });
            }
            searched.is_undecided |= search.is_bounded();
            searched.decided += search.decided();
        }
        Ok(Some(searched))
    }
}

/// What a check writes is recorded as it is done, and the disk is one with a cache that may lose each write on its own.
const RULES: Rules = Rules { ordering: Ordering::Completion, model: Model::Lost, discards: Discards::Zero };
