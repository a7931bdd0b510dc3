//! What a crash can leave, by definition, with nothing of the core's but the index.

use std::ops::Range;

use logwrites_core::Ordering;
use logwrites_core::crash::{Group, Model, Prefix, Rules, State};
use logwrites_core::format::Flags;
use logwrites_core::history::{Discards, EntrySet};
use logwrites_core::num::widen;
use logwrites_core::reader::Entry;

use super::disk::{Disk, World};

/// A crash after some entries: which of them are there for certain, and which may be.
#[derive(Debug)]
pub(super) struct Scene {
    /// Entries that are kept as a whole, and those of which units may be.
    entries: Vec<Entry>,
    pub(super) units: Vec<Unit>,
    pub(super) last_mark: Option<u64>,
}

/// What is kept or lost on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    entry: u64,
    /// On the disk.
    sectors: Range<u64>,
    /// The first sector of the entry.
    first: u64,
}

impl Scene {
    /// The scene that a group stands for.
    pub(super) fn of(world: &World, rules: Rules, group: &Group) -> Self {
        let in_flight = group.in_flight();
        let with_units = crash(world, rules, group.point(), in_flight.is_some(), true);
        if widen(with_units.units.len()) == group.nr_units() {
            return with_units;
        }
        crash(world, rules, group.point(), in_flight.is_some(), false)
    }

    /// The disk with the units kept that are in the mask.
    pub(super) fn disk(&self, world: &World, mask: u64) -> Disk {
        let mut disk = world.base();
        for entry in &self.entries {
            let mut is_unit = false;
            for (nth, unit) in self.units.iter().enumerate().filter(|(_, unit)| unit.entry == entry.index) {
                is_unit = true;
                if mask >> nth & 1 == 1 {
                    unit.sectors.clone().for_each(|sector| world.apply(&mut disk, entry, sector));
                }
            }
            if !is_unit {
                let extent = entry.extent();
                (extent.sector()..extent.end()).for_each(|sector| world.apply(&mut disk, entry, sector));
            }
        }
        disk
    }

    /// The units that a state has kept.
    pub(super) fn mask_of(&self, state: &State) -> u64 {
        let is_lost = |unit: &Unit| unit.is_in(&state.lost);
        let kept = self.units.iter().enumerate().filter(|(_, unit)| !is_lost(unit));
        kept.map(|(nth, _)| 1 << nth).sum()
    }

    /// Whether a state is one of a prefix.
    pub(super) fn is_in(&self, prefix: &Prefix, mask: u64) -> bool {
        self.units.iter().enumerate().all(|(nth, unit)| {
            let is_kept = mask >> nth & 1 == 1;
            !unit.is_in(if is_kept { prefix.lost() } else { prefix.kept() })
        })
    }
}

impl Unit {
    fn is_in(&self, set: &EntrySet) -> bool {
        set.ranges().any(|(entries, sectors)| {
            let has_first =
                |sectors: std::ops::RangeInclusive<u64>| sectors.contains(&(self.sectors.start - self.first));
            entries.contains(&self.entry) && sectors.is_none_or(has_first)
        })
    }
}

/// Every crash at a point from `from` on, by definition.
pub(super) fn scenes(world: &World, rules: Rules, from: u64) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for point in from..=world.nr_entries() {
        scenes.push(crash(world, rules, point, false, is_free(world, rules, point)));
        let last =
            point.checked_sub(1).filter(|last| *last >= from).and_then(|last| world.index().entry(last));
        if matches!(rules.model, Model::Torn { .. }) && last.is_some_and(|last| is_durable(&last)) {
            let is_free = rules.ordering == Ordering::Completion;
            scenes.push(crash(world, rules, point, true, is_free));
        }
    }
    scenes
}

/// Whether the volatile writes before a point may be there. In durability order they may only once the epoch has all its FUA
/// writes, and its last mark.
fn is_free(world: &World, rules: Rules, point: u64) -> bool {
    if rules.ordering == Ordering::Completion {
        return true;
    }
    let rest = world.index().entries(point..world.nr_entries());
    let rest = rest.take_while(|entry| !entry.flags().contains(Flags::FLUSH));
    !rest.into_iter().any(|entry| is_durable(&entry) || entry.flags().contains(Flags::MARK))
}

/// A crash after `point` entries, or while the last of them is under way.
fn crash(world: &World, rules: Rules, point: u64, is_in_flight: bool, is_free: bool) -> Scene {
    let entries: Vec<Entry> = world.index().entries(0..point).collect();
    let last_mark = entries.iter().rfind(|entry| entry.flags().contains(Flags::MARK));
    let last_mark = last_mark.map(|mark| mark.index);
    let mut scene = Scene { last_mark, entries: Vec::new(), units: Vec::new() };
    for entry in &entries {
        let is_discard = entry.flags().contains(Flags::DISCARD);
        if entry.header.nr_sectors == 0 || (is_discard && rules.discards == Discards::Ignore) {
            continue;
        }
        let after = &entries[usize::try_from(entry.index + 1).expect("few")..];
        let is_flushed = after.iter().any(|entry| entry.flags().contains(Flags::FLUSH));
        let is_last_in_flight = is_in_flight && entry.index + 1 == point;
        let is_certain =
            rules.model == Model::Ordered || is_flushed || (is_durable(entry) && !is_last_in_flight);
        if !is_certain {
            if !is_last_in_flight && (!is_free || is_misplaced(rules, &entries, entry)) {
                continue;
            }
            scene.units.extend(units(rules, entry));
        }
        scene.entries.push(*entry);
    }
    scene
}

/// Whether a FUA write of its epoch that it overlaps is before it in a log in durability order.
fn is_misplaced(rules: Rules, entries: &[Entry], entry: &Entry) -> bool {
    if rules.ordering == Ordering::Completion {
        return false;
    }
    for before in entries[..usize::try_from(entry.index).expect("few")].iter().rev() {
        // What is a flush itself begins the epoch.
        if is_durable(before)
            && before.extent().overlaps(entry.extent())
            && !entry.flags().contains(Flags::FLUSH)
        {
            return true;
        }
        if before.flags().contains(Flags::FLUSH) {
            return false;
        }
        if entry.flags().contains(Flags::FLUSH) {
            return false;
        }
    }
    false
}

fn is_durable(entry: &Entry) -> bool {
    entry.header.nr_sectors > 0 && entry.flags() & (Flags::FUA | Flags::DISCARD) == Flags::FUA
}

fn units(rules: Rules, entry: &Entry) -> Vec<Unit> {
    let (first, end) = (entry.extent().sector(), entry.extent().end());
    let unit = |sectors| Unit { entry: entry.index, sectors, first };
    match rules.model {
        Model::Torn { unit_sectors } if !entry.flags().contains(Flags::DISCARD) => {
            let cuts = (first + 1..end).filter(|sector| *sector % unit_sectors == 0);
            let starts: Vec<u64> = std::iter::once(first).chain(cuts).collect();
            let ends = starts[1..].iter().copied().chain([end]);
            starts.iter().zip(ends).map(|(start, end)| unit(*start..end)).collect()
        }
        Model::Ordered | Model::Lost | Model::Torn { .. } => vec![unit(first..end)],
    }
}
