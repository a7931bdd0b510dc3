//! What can be crashed: a recording, and what a checker wrote when it recovered from a crash of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use logwrites_core::crash::{Model, ParseStateError, Rules, State};
use logwrites_core::geometry::SectorSize;
use logwrites_core::history::{Discards, ExtentMap, Index};

use crate::device::Device;
use crate::image::Image;
use crate::media::Note;
use crate::recording::{Options, Recording, index_of};
use crate::run::ran::Ran;

/// Writes that can be crashed, over an image. The first level is the recording, the next what recovered from a crash of it.
#[derive(Debug)]
pub(crate) struct Level<S> {
    pub(crate) index: Arc<Index>,
    pub(crate) log: Arc<Vec<u8>>,
    pub(crate) notes: Vec<Note>,
    pub(crate) below: Image,
    pub(crate) setup: S,
    /// The states on the way here: none on the first level.
    pub(crate) path: StatePath,
    /// Up to where in the recording the marks were reached; `None` on the first level, where the state says it.
    pub(crate) marks_point: Option<u64>,
}

impl<S> Level<S> {
    pub(crate) fn of<D: Device<Setup = S>>(recording: &Recording<D>) -> Self
    where
        S: Clone,
    {
        Self {
            index: Arc::clone(&recording.index),
            log: Arc::clone(&recording.recorded.log),
            notes: recording.recorded.notes.clone(),
            below: recording.recorded.below.clone(),
            setup: recording.setup.clone(),
            path: StatePath(Vec::new()),
            marks_point: None,
        }
    }

    /// What a run on one of its states has written.
    pub(crate) fn next(&self, state: State, ran: Ran<S>) -> Option<Self> {
        let recorded = ran.recorded?;
        let marks_point = Some(self.marks_point(state.point));
        let mut path = self.path.clone();
        path.0.push(state);
        let Ran { setup, .. } = ran;
        let index = Arc::new(index_of(&recorded.log));
        Some(Self {
            index,
            log: recorded.log,
            notes: recorded.notes,
            below: recorded.below,
            setup,
            path,
            marks_point,
        })
    }

    /// Up to where in the recording the marks were reached, in a state of this level.
    pub(crate) fn marks_point(&self, point: u64) -> u64 {
        self.marks_point.unwrap_or(point)
    }

    /// How many levels there are below.
    pub(crate) fn depth(&self) -> usize {
        self.path.0.len()
    }

    /// The disk of a state of which `map` says where the bytes are.
    pub(crate) fn image(&self, map: ExtentMap) -> Image {
        Image::state(map, Arc::clone(&self.log), self.below.clone())
    }

    pub(crate) fn sector_size(&self) -> SectorSize {
        self.index.sector_size()
    }

    /// A state of this level, named from the first level on.
    pub(crate) fn path_to(&self, state: State) -> StatePath {
        let mut path = self.path.clone();
        path.0.push(state);
        path
    }
}

/// The rules by which the states are made.
pub(crate) fn rules(options: Options, sector_size: SectorSize) -> Rules {
    let unit_sectors = options.torn_bytes.and_then(|bytes| (bytes / sector_size.bytes()).try_into().ok());
    let model = unit_sectors.map_or(Model::Lost, |unit_sectors| Model::Torn { unit_sectors });
    Rules { ordering: options.ordering, model, discards: Discards::Zero }
}

/// The name of a state: of the crash, then of the crash of each recovery, with a slash between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatePath(pub(crate) Vec<State>);

impl fmt::Display for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, state) in self.0.iter().enumerate() {
            write!(f, "{}{state}", if nth == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

impl FromStr for StatePath {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        text.split('/').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// The variable of the environment that names the only state to be run.
pub(crate) const STATE_VARIABLE: &str = "LOGWRITES_STATE";
