//! Where in a log a crash counts: the sets of states that are full products.

use core::num::NonZeroU64;
use core::ops::Range;

use crate::config::Ordering;
use crate::crash::{Model, Rules, StateCount};
use crate::format::Flags;
use crate::geometry::Extent;
use crate::history::{Discards, ExtentMap, Index, Source, is_volatile};
use crate::reader::Entry;

/// A set of crash states that is a full product: a durable disk, and units that are kept or lost, each on its own.
///
/// It is small: [`Layers`](crate::crash::Layers) has what its states are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub(super) rules: Rules,
    /// The number of the first entry that may not be durable.
    pub(super) epoch_start: u64,
    pub(super) point: u64,
    /// Whether the volatile writes are units. They stay lost otherwise.
    pub(super) is_free: bool,
    /// Whether the last entry is a FUA write in flight, whose parts are units.
    is_in_flight: bool,
    nr_units: u64,
}

impl Group {
    /// How many entries of the log the disk had been told when it crashed, with the one in flight, if any. Its states are
    /// named after it. The last mark before it is what the software had reached; see
    /// [`Index::last_mark`].
    #[must_use]
    pub const fn point(&self) -> u64 {
        self.point
    }

    /// How many units it has.
    #[must_use]
    pub const fn nr_units(&self) -> u64 {
        self.nr_units
    }

    /// How many states it has: 2 to the power of [`nr_units`](Self::nr_units).
    #[must_use]
    pub fn nr_states(&self) -> StateCount {
        StateCount::power_of_two(self.nr_units)
    }

    /// The FUA write that is in flight at the crash and may be torn, if there is one: the last entry before the point.
    #[must_use]
    pub const fn in_flight(&self) -> Option<u64> {
        if self.is_in_flight { Some(self.point - 1) } else { None }
    }

    /// The rules that it was made by.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        self.rules
    }
}

/// The groups of a log, in its order: everything that a crash at some points can leave.
///
/// In [completion order](Ordering::Completion) a crash keeps what was flushed and the FUA writes before it, and any of the
/// other writes since the last flush. The states of a point are among those of a later one, up to the next FUA write
/// (which is certain from then on), mark (which changes what the software may rely on) or flush. So there is a group before
/// each of these, and one at the end.
///
/// In [durability order](Ordering::Durability) the log does not say when a FUA write was done relative to the other
/// writes. A group whose units are the epoch's writes has all of its FUA writes; before that, each prefix of the FUA
/// writes alone is a group of one state. A write that overlaps a FUA write before it in its epoch may be older, and
/// is in no state until the flush.
///
/// A group whose states another one has, with the same last mark, is left out.
///
/// It costs O(1) for each entry, and O(log n) in durability order for n FUA writes of an epoch.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    index: &'a Index,
    rules: Rules,
    /// The points at which a crash is looked at, the last one included.
    points: Range<u64>,
    /// The number of the next entry; after the end of the points once all is done.
    at: u64,
    epoch_start: u64,
    epoch: Classifier,
    /// How many units the volatile writes of the epoch are.
    nr_volatile: u64,
    /// How many of them were units of the last group.
    nr_told: u64,
    /// Whether the disk or the last mark differs from the last group in what is not up to units.
    is_new: bool,
    /// Of the two groups that there can be between two entries, the second.
    second: Option<Group>,
}

impl<'a> Groups<'a> {
    /// The groups for crashes at `points`, its end included: `0..index.nr_entries()` for the whole log. Units that are
    /// older than the first point belong to its groups, where they are not durable there.
    #[must_use]
    pub fn new(index: &'a Index, rules: Rules, points: Range<u64>) -> Self {
        let points = points.start..points.end.min(index.nr_entries());
        let epoch_start = index.epoch_at(points.start).range().start;
        Self {
            index,
            rules,
            points,
            at: epoch_start,
            epoch_start,
            epoch: Classifier::new(rules, index),
            nr_volatile: 0,
            nr_told: 0,
            is_new: true,
            second: None,
        }
    }

    /// Goes over the next entry, or over the end. Gives the group before it; the other one, after a flush that it is too, is
    /// left for later.
    fn step(&mut self) -> Option<Group> {
        let point = self.at;
        self.at += 1;
        let Some(entry) = self.index.entry(point).filter(|_| point < self.points.end) else {
            return self.before_end(point);
        };
        let kind = self.epoch.kind(&entry);
        let is_torn = matches!(self.rules.model, Model::Torn { .. });
        let is_flush = entry.flags().contains(Flags::FLUSH);
        let is_mark = entry.flags().contains(Flags::MARK);
        let is_fua = kind == Kind::Durable;
        let is_told = match self.rules.model {
            Model::Ordered => true,
            Model::Lost => is_flush || is_mark || is_fua,
            // A FUA in flight that is wholly lost is the state before it.
            Model::Torn { .. } => is_flush || is_mark,
        };
        let group = if is_told { self.group(point, is_flush) } else { None };
        if is_flush {
            self.begin_epoch(point);
        }
        if is_torn && is_fua {
            self.second = self.group_in_flight(&entry);
        }
        self.take(&entry, is_mark);
        group.or_else(|| self.second.take())
    }

    /// The group at the last point. In durability order its volatile writes are no units as long as a FUA write
    /// of their epoch is missing.
    fn before_end(&mut self, point: u64) -> Option<Group> {
        let epoch_end = self.index.next_flush(point).unwrap_or(u64::MAX);
        let mut rest = self.index.entries(point..epoch_end);
        let is_whole = !rest.any(|entry| self.epoch.kind(&entry) == Kind::Durable);
        self.group(point, is_whole)
    }

    /// The group of a crash at `point`, unless it would be the last one again.
    fn group(&mut self, point: u64, is_epoch_whole: bool) -> Option<Group> {
        let is_free = match self.rules.model {
            Model::Ordered => false,
            Model::Lost | Model::Torn { .. } => self.rules.ordering == Ordering::Completion || is_epoch_whole,
        };
        let nr_units = if is_free { self.nr_volatile } else { 0 };
        if point < self.points.start || !(self.is_new || nr_units > self.nr_told) {
            return None;
        }
        (self.is_new, self.nr_told) = (false, nr_units);
        let Self { rules, epoch_start, .. } = *self;
        let epoch_start = if rules.model == Model::Ordered { point } else { epoch_start };
        Some(Group { rules, epoch_start, point, is_free, is_in_flight: false, nr_units })
    }

    /// The group of a crash while a FUA write is under way.
    fn group_in_flight(&mut self, entry: &Entry) -> Option<Group> {
        if entry.index < self.points.start {
            return None;
        }
        let Self { rules, epoch_start, .. } = *self;
        let is_free = rules.ordering == Ordering::Completion;
        let nr_units = if is_free { self.nr_volatile } else { 0 } + rules.nr_units_of(entry);
        Some(Group { rules, epoch_start, point: entry.index + 1, is_free, is_in_flight: true, nr_units })
    }

    /// From now on everything before `point` is durable.
    fn begin_epoch(&mut self, point: u64) {
        // A crash now leaves what the last group has with all units kept, but for what no group had.
        if self.rules.model != Model::Ordered {
            self.is_new |= self.epoch.is_any_misplaced || self.nr_volatile > self.nr_told;
        }
        self.epoch_start = point;
        self.epoch.clear();
        (self.nr_volatile, self.nr_told) = (0, 0);
    }

    fn take(&mut self, entry: &Entry, is_mark: bool) {
        let kind = self.epoch.take(entry);
        if kind == Kind::Volatile {
            self.nr_volatile += self.rules.nr_units_of(entry);
        }
        let is_ordered = self.rules.model == Model::Ordered;
        self.is_new |= is_mark || kind == Kind::Durable || (is_ordered && kind != Kind::Nothing);
    }
}

impl Iterator for Groups<'_> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        while self.second.is_some() || self.at <= self.points.end {
            let group = self.second.take().or_else(|| self.step());
            if group.is_some() {
                return group;
            }
        }
        None
    }
}

impl Rules {
    /// How many units an entry is where it is one that may be lost.
    fn nr_units_of(self, entry: &Entry) -> u64 {
        match self.unit_of(entry) {
            Some(unit) => entry.extent().end().div_ceil(unit.get()) - entry.extent().sector() / unit,
            None => 1,
        }
    }

    /// The extents of an entry that are kept or lost on their own, in order.
    pub(super) fn units_of(self, entry: &Entry) -> impl Iterator<Item = Extent> + use<> {
        let extent = entry.extent();
        let mut start = Some(extent.sector());
        let unit = self.unit_of(entry);
        core::iter::from_fn(move || {
            let from = start?;
            let end = unit.map_or(extent.end(), |unit| {
                let next = (from / unit).saturating_add(1).saturating_mul(unit.get());
                next.min(extent.end())
            });
            start = Some(end).filter(|end| *end < extent.end());
            Some(Extent::between(from, end))
        })
    }

    /// The size of the parts that an entry can be torn into.
    fn unit_of(self, entry: &Entry) -> Option<NonZeroU64> {
        match self.model {
            Model::Torn { unit_sectors } if !entry.flags().contains(Flags::DISCARD) => Some(unit_sectors),
            Model::Ordered | Model::Lost | Model::Torn { .. } => None,
        }
    }
}

/// What an entry is to a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes nothing.
    Nothing,
    /// A FUA write: durable by itself.
    Durable,
    /// A write or discard that a crash may lose.
    Volatile,
    /// In durability order: one that may be older than a FUA write that is before it in the log. Until the flush it counts
    /// as lost.
    Misplaced,
}

/// Tells what the entries of an epoch are, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Classifier {
    rules: Rules,
    /// In durability order, what the FUA writes have written.
    fua: ExtentMap,
    is_any_misplaced: bool,
}

impl Classifier {
    pub(super) fn new(rules: Rules, index: &Index) -> Self {
        Self { rules, fua: ExtentMap::new(index.sector_size()), is_any_misplaced: false }
    }

    /// What the next entry is.
    pub(super) fn take(&mut self, entry: &Entry) -> Kind {
        let kind = self.kind(entry);
        match kind {
            Kind::Durable if self.rules.ordering == Ordering::Durability => {
                self.fua.insert(entry.extent(), Source::Log { offset_bytes: entry.offset_bytes });
            }
            Kind::Misplaced => self.is_any_misplaced = true,
            Kind::Nothing | Kind::Durable | Kind::Volatile => {}
        }
        kind
    }

    fn kind(&self, entry: &Entry) -> Kind {
        let is_discard = entry.flags().contains(Flags::DISCARD);
        if !entry.changes_disk() || (is_discard && self.rules.discards == Discards::Ignore) {
            Kind::Nothing
        } else if !is_volatile(entry.header.nr_sectors, entry.flags()) {
            Kind::Durable
        } else if self.fua.runs_in(entry.extent()).next().is_some() {
            Kind::Misplaced
        } else {
            Kind::Volatile
        }
    }

    fn clear(&mut self) {
        self.fua = ExtentMap::new(self.fua.sector_size());
        self.is_any_misplaced = false;
    }
}
