//! The writes of a group, one over the other, on its durable disk.

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use crate::crash::Group;
use crate::crash::groups::{Classifier, Kind};
use crate::crash::stab::Stabs;
use crate::geometry::{Extent, SectorSize};
use crate::history::{Checkpoints, EntrySet, ExtentMap, Index, Piece, Source};
use crate::num::{narrow, widen};
use crate::reader::Entry;

/// What the states of a [`Group`] are made from: its durable disk, and over it what was written since, each write or part of
/// one as a layer that is kept, or is a unit.
///
/// About 100 bytes for each unit. Put it into an [`Arc`](alloc::sync::Arc): the search and all that it gives out share it.
#[derive(Clone, Debug)]
pub struct Layers {
    group: Group,
    /// The disk without any of the layers.
    durable: ExtentMap,
    all_lost: ExtentMap,
    all_kept: ExtentMap,
    /// In log order.
    all: Vec<Layer>,
    /// The layers that are units, in log order: what the rest of the module numbers.
    units: Vec<u32>,
    stabs: Stabs,
    /// What is lost in every state.
    never: EntrySet,
}

/// What one write has put on the disk, or an atomic part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) extent: Extent,
    source: Source,
    pub(super) entry: u64,
    /// The place of the first sector in the entry.
    pub(super) offset_sectors: u64,
    pub(super) entry_sectors: u64,
    /// Its number among the units; `None` if it is always kept.
    pub(super) unit: Option<u32>,
}

impl Layers {
    /// The layers of a group of this log. `checkpoints` are those of the same log, made with the discards of the group's
    /// rules; see [`Checkpoints::map_at`] for the cost. O(log n) for each unit besides.
    ///
    /// # Errors
    /// [`TooManyUnits`], before any memory is taken.
    pub fn new(index: &Index, group: &Group, checkpoints: &mut Checkpoints) -> Result<Self, TooManyUnits> {
        Self::check_size(group)?;
        let (layers, never) = layers_of(index, group);
        let is_unit = |layer: &Layer| layer.unit.is_some();
        let numbered = (0u32..).zip(&layers);
        let units: Vec<u32> =
            numbered.filter(|(_, layer)| is_unit(layer)).map(|(number, _)| number).collect();
        debug_assert_eq!(widen(units.len()), group.nr_units(), "the group has counted them");
        let durable = checkpoints.map_at(index, group.epoch_start, &EntrySet::empty());
        let with = |is_in: &dyn Fn(&&Layer) -> bool| {
            let mut map = durable.clone();
            for layer in layers.iter().filter(is_in) {
                map.insert(layer.extent, layer.source);
            }
            map
        };
        Ok(Self {
            group: *group,
            all_lost: with(&|layer| !is_unit(layer)),
            all_kept: with(&|_| true),
            stabs: Stabs::new(layers.iter().map(|layer| layer.extent)),
            durable,
            all: layers,
            units,
            never,
        })
    }

    /// Whether a group is one that fits into memory, before anything is made of it.
    ///
    /// # Errors
    /// [`TooManyUnits`] if not.
    pub const fn check_size(group: &Group) -> Result<(), TooManyUnits> {
        if group.nr_units() > MAX_UNITS {
            return Err(TooManyUnits { nr_units: group.nr_units() });
        }
        Ok(())
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// How many units the group has.
    pub(super) const fn nr_units(&self) -> usize {
        self.units.len()
    }

    /// The layer that is unit number `unit`.
    pub(super) fn unit(&self, unit: u32) -> &Layer {
        &self.all[narrow(self.units[narrow(unit.into())].into())]
    }

    /// The numbers of the units that are these entries, or these sectors of one; `None` if they are not whole units.
    /// O(log n), and O(1) for each entry.
    pub(super) fn units_at(
        &self,
        entries: RangeInclusive<u64>,
        sectors: Option<RangeInclusive<u64>>,
    ) -> Option<Range<u32>> {
        let (first, last) = entries.into_inner();
        let (from, to) = sectors.map_or((0, u64::MAX), RangeInclusive::into_inner);
        let layer_of = |unit: &u32| self.layer(*unit);
        let place = |layer: &Layer| (layer.entry, layer.offset_sectors);
        let start = self.units.partition_point(|unit| place(layer_of(unit)) < (first, from));
        let end = self.units.partition_point(|unit| place(layer_of(unit)) <= (last, to));
        let mut units = self.units.get(start..end)?.iter().map(layer_of);
        let mut next = (first, from);
        let is_whole = units.all(|layer| {
            let is_next = place(layer) == next;
            let end = layer.offset_sectors + layer.extent.nr_sectors();
            next = if end == layer.entry_sectors { (layer.entry + 1, 0) } else { (layer.entry, end) };
            is_next
        });
        let is_end = next == (last + 1, 0) || next == (last, to.saturating_add(1));
        let number = |unit: usize| u32::try_from(unit).ok();
        (is_whole && is_end && start < end).then_some(number(start)?..number(end)?)
    }

    /// What these units are, which ascend.
    pub(super) fn entry_set(&self, units: impl IntoIterator<Item = u32>) -> EntrySet {
        let mut layers = units.into_iter().map(|unit| self.unit(unit)).peekable();
        let mut set = EntrySet::empty();
        let mut parts = Vec::new();
        while let Some(layer) = layers.next() {
            parts.clear();
            parts.push(layer);
            while let Some(part) = layers.next_if(|part| part.entry == layer.entry) {
                parts.push(part);
            }
            let nr_sectors: u64 = parts.iter().map(|part| part.extent.nr_sectors()).sum();
            if nr_sectors == layer.entry_sectors {
                set.push_entry(layer.entry);
                continue;
            }
            for part in &parts {
                set.push_sectors(
                    part.entry,
                    part.offset_sectors..=part.offset_sectors + part.extent.nr_sectors() - 1,
                );
            }
        }
        set
    }

    /// The entries that every state has lost.
    pub(super) const fn never(&self) -> &EntrySet {
        &self.never
    }

    /// The disk with all units kept, or without any.
    pub(super) const fn uniform(&self, is_kept: bool) -> &ExtentMap {
        if is_kept { &self.all_kept } else { &self.all_lost }
    }

    /// Cuts `extent` where what may be seen changes, and tells of each part, in order, what lies there.
    pub(super) fn stacks(&self, extent: Extent, room: &mut StackRoom, mut each: impl FnMut(Stack<'_>)) {
        let StackRoom { found, cuts, active, stack } = room;
        found.clear();
        self.stabs.find(extent, found);
        if found.is_empty() {
            return each(Stack { extent, layers: &[] });
        }
        cuts.clear();
        cuts.push(extent.end());
        for number in &*found {
            let part = self.layer(*number).extent.intersection(extent);
            cuts.extend([part.sector(), part.end()]);
        }
        cuts.sort_unstable();
        cuts.dedup();
        active.clear();
        // By their first sector, as they were found.
        let mut coming = found.iter().copied().peekable();
        let mut from = extent.sector();
        for to in cuts.iter().copied().filter(|cut| *cut > extent.sector()) {
            while let Some(number) = coming.next_if(|number| self.layer(*number).extent.sector() <= from) {
                let place = active.partition_point(|other| *other > number);
                active.insert(place, number);
            }
            active.retain(|number| self.layer(*number).extent.end() > from);
            stack.clear();
            for number in &*active {
                stack.push(*number);
                if self.layer(*number).unit.is_none() {
                    break;
                }
            }
            each(Stack { extent: Extent::between(from, to), layers: stack });
            from = to;
        }
    }

    /// Adds what lies on the disk where a layer is seen, or the durable disk if it is `None`.
    pub(super) fn pieces(&self, extent: Extent, seen: Option<u32>, pieces: &mut Vec<Piece>) {
        match seen {
            None => pieces.extend(self.durable.pieces(extent)),
            Some(number) => {
                let source = self.layer(number).source_of(extent, self.sector_size());
                pieces.push(Piece { extent, source: Some(source) });
            }
        }
    }

    pub(super) fn layer(&self, number: u32) -> &Layer {
        &self.all[narrow(number.into())]
    }

    const fn sector_size(&self) -> SectorSize {
        self.durable.sector_size()
    }
}

/// What lies on a part of the disk over the durable one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack<'a> {
    /// The part, which no layer covers but for all of it.
    pub(super) extent: Extent,
    /// The numbers of the layers, the newest first. All are units, but for the last one: where it is not, it hides
    /// what is below.
    pub(super) layers: &'a [u32],
}

/// Room for [`Layers::stacks`], to be kept from call to call.
#[derive(Clone, Debug, Default)]
pub(super) struct StackRoom {
    found: Vec<u32>,
    cuts: Vec<u64>,
    active: Vec<u32>,
    stack: Vec<u32>,
}

impl Layer {
    /// Where the bytes of a part of it are.
    const fn source_of(&self, part: Extent, sector_size: SectorSize) -> Source {
        self.source.skip(sector_size.bytes_of(part.sector() - self.extent.sector()))
    }
}

/// The layers of a group in log order, and the entries that all of its states have lost.
fn layers_of(index: &Index, group: &Group) -> (Vec<Layer>, EntrySet) {
    let rules = group.rules;
    let mut classifier = Classifier::new(rules, index);
    let (mut layers, mut never) = (Vec::new(), EntrySet::empty());
    let mut nr_units = 0;
    for entry in index.entries(group.epoch_start..group.point) {
        let is_in_flight = group.in_flight() == Some(entry.index);
        let is_unit = match classifier.take(&entry) {
            Kind::Nothing => continue,
            Kind::Durable => is_in_flight,
            Kind::Volatile if group.is_free => true,
            Kind::Volatile | Kind::Misplaced => {
                never.push_entry(entry.index);
                continue;
            }
        };
        if is_unit {
            for extent in rules.units_of(&entry) {
                layers.push(layer(&entry, extent, Some(nr_units)));
                nr_units += 1;
            }
        } else {
            layers.push(layer(&entry, entry.extent(), None));
        }
    }
    (layers, never)
}

fn layer(entry: &Entry, extent: Extent, unit: Option<u32>) -> Layer {
    let offset_sectors = extent.sector() - entry.extent().sector();
    Layer {
        extent,
        source: entry.source().skip(entry.sector_size.bytes_of(offset_sectors)),
        entry: entry.index,
        offset_sectors,
        entry_sectors: entry.extent().nr_sectors(),
        unit,
    }
}

/// How many units a group may have that is searched: their layers take some 400 MB.
const MAX_UNITS: u64 = 1 << 22;

/// A group with more units than fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{nr_units} writes or parts of writes may each be lost, more than the {MAX_UNITS} that can be searched at once"
)]
pub struct TooManyUnits {
    /// How many it has.
    pub nr_units: u64,
}
