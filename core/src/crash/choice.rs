//! One state of a group: which of its units are kept.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::crash::State;
use crate::crash::layers::{Layers, StackRoom};
use crate::geometry::Extent;
use crate::history::ExtentMap;

/// One state of a group, as something to make a disk from.
#[derive(Clone, Debug)]
pub struct Choice {
    layers: Arc<Layers>,
    /// What the units are that are not among `except`.
    is_kept: bool,
    /// Ascending.
    except: Vec<u32>,
}

impl Choice {
    /// All units are kept, or all are lost, but for some. They must ascend.
    pub(super) fn new(layers: Arc<Layers>, is_kept: bool, except: Vec<u32>) -> Self {
        debug_assert!(except.is_sorted_by(|a, b| a < b), "they ascend, each once");
        Self { layers, is_kept, except }
    }

    /// The state that keeps those units, numbered in log order from 0, of which `is_kept` says so. O(n) for n units.
    #[must_use]
    pub fn of(layers: Arc<Layers>, mut is_kept: impl FnMut(u64) -> bool) -> Self {
        let units = (0u32..).take(layers.nr_units());
        let lost = units.filter(|unit| !is_kept(u64::from(*unit))).collect();
        Self::new(layers, true, lost)
    }

    /// The layers of its group.
    #[must_use]
    pub const fn layers(&self) -> &Arc<Layers> {
        &self.layers
    }

    /// What the units are that are not named.
    pub(super) const fn is_kept_by_default(&self) -> bool {
        self.is_kept
    }

    pub(super) fn is_kept(&self, unit: u32) -> bool {
        self.is_kept != self.except.binary_search(&unit).is_ok()
    }

    /// The units that are lost, ascending. O(n) for n units of the group where all are lost but some.
    pub(super) fn lost(&self) -> Vec<u32> {
        if self.is_kept {
            return self.except.clone();
        }
        let mut kept = self.except.iter().peekable();
        let units = (0u32..).take(self.layers.nr_units());
        units.filter(|unit| kept.next_if(|kept| *kept == unit).is_none()).collect()
    }

    /// The states that lose one unit less, each in turn. O(n) each for n units that are lost.
    pub fn losing_one_less(&self) -> impl Iterator<Item = Self> + '_ {
        let lost = self.lost();
        (0..lost.len()).map(move |nth| {
            let mut rest = lost.clone();
            rest.remove(nth);
            Self::new(Arc::clone(&self.layers), true, rest)
        })
    }

    /// Where the bytes of the disk are. O(k log n) for k units that differ from what most are, and what lies over and
    /// under them; nothing of the disk is copied.
    #[must_use]
    pub fn map(&self) -> ExtentMap {
        let mut map = self.layers.uniform(self.is_kept).clone();
        let (mut room, mut pieces) = (StackRoom::default(), Vec::new());
        for extent in self.changed_extents() {
            self.layers.stacks(extent, &mut room, |stack| {
                let is_seen =
                    |number: &&u32| self.layers.layer(**number).unit.is_none_or(|unit| self.is_kept(unit));
                let seen = stack.layers.iter().find(is_seen).copied();
                self.layers.pieces(stack.extent, seen, &mut pieces);
            });
        }
        for piece in pieces {
            match piece.source {
                Some(source) => map.insert(piece.extent, source),
                None => map.remove(piece.extent),
            }
        }
        map
    }

    /// The extents of the units that differ from what most are, joined where they overlap.
    fn changed_extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> =
            self.except.iter().map(|unit| self.layers.unit(*unit).extent).collect();
        extents.sort_unstable();
        extents.dedup_by(|extent, before| {
            let is_joined = extent.sector() <= before.end();
            if is_joined {
                *before = before.hull(*extent);
            }
            is_joined
        });
        extents
    }

    /// Its name. O(n) for n units that are lost.
    #[must_use]
    pub fn state(&self) -> State {
        let lost = self.layers.entry_set(self.lost()).union(self.layers.never());
        State { point: self.layers.group().point(), lost }
    }
}
