//! A log as a picture: where on the disk its writes are, over time, in a size that does not depend on the log's.

use logwrites_core::format::Flags;
use logwrites_core::history::Index;
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::Entry;
use serde::{Deserialize, Serialize};

use crate::output::printable::Printable;

/// What a picture of a log shows: a grid with time in its columns and the disk in its rows, and what is beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// How many entries the log has.
    pub nr_entries: u64,
    /// How long the disk is.
    pub disk_bytes: u64,
    /// The unit of the log.
    pub sector_bytes: u32,
    /// How many columns the grid has; each represents as many entries.
    pub nr_columns: u32,
    /// How many rows it has; each represents as many sectors.
    pub nr_rows: u32,
    /// The cells that are written to: their column, their row, and how many sectors are written, column by column.
    pub cells: Vec<(u32, u32, u64)>,
    /// The cells that are discarded, as their column and their row.
    pub discards: Vec<(u32, u32)>,
    /// Entries that are flushes or FUA writes: the first of each column.
    pub flushes: Vec<u64>,
    /// Marks, with the starts of their texts: the first of each column.
    pub marks: Vec<(u64, String)>,
}

impl Timeline {
    /// The picture of a log. One pass; memory for the grid alone.
    #[must_use]
    pub fn of(index: &Index, disk_bytes: u64) -> Self {
        let disk_sectors = index.sector_size().sectors_for(disk_bytes);
        let mut grid = Grid::new(index.nr_entries(), disk_sectors);
        for entry in index.entries(0..index.nr_entries()) {
            grid.add(&entry);
        }
        let mut marks: Vec<(u64, String)> = Vec::new();
        let mut last = None;
        for mark in index.marks() {
            let column = grid.column_of(mark.entry);
            if last.replace(column) != Some(column) {
                marks.push((mark.entry, shortened(mark.text)));
            }
        }
        let sector_bytes = index.sector_size().bytes_u32();
        Self { disk_bytes, sector_bytes, marks, ..grid.into_timeline() }
    }
}

/// The cells while they are filled.
struct Grid {
    nr_entries: u64,
    disk_sectors: u64,
    nr_columns: u32,
    nr_rows: u32,
    /// The sectors written, column by column.
    written: Vec<u64>,
    is_discarded: Vec<bool>,
    /// The first flush of each column.
    flushes: Vec<Option<u64>>,
}

impl Grid {
    fn new(nr_entries: u64, disk_sectors: u64) -> Self {
        let at_most = |most: u32, number: u64| u32::try_from(number).map_or(most, |number| number.min(most));
        let (nr_columns, nr_rows) = (at_most(MAX_COLUMNS, nr_entries), at_most(MAX_ROWS, disk_sectors));
        let nr_cells = narrow(u64::from(nr_columns) * u64::from(nr_rows));
        Self {
            nr_entries,
            disk_sectors,
            nr_columns,
            nr_rows,
            written: vec![0; nr_cells],
            is_discarded: vec![false; nr_cells],
            flushes: vec![None; narrow(nr_columns.into())],
        }
    }

    /// Takes in an entry; what is not on the disk is not in the picture.
    fn add(&mut self, entry: &Entry) {
        let column = self.column_of(entry.index);
        if entry.flags().intersects(Flags::FLUSH | Flags::FUA) {
            self.flushes[narrow(column)].get_or_insert(entry.index);
        }
        let extent = entry.extent();
        let (start, end) = (extent.sector(), extent.end().min(self.disk_sectors));
        if start >= end || entry.flags().contains(Flags::MARK) {
            return;
        }
        let rows = self.row_of(start)..=self.row_of(end - 1);
        for row in rows {
            let at = narrow(column * u64::from(self.nr_rows) + row);
            if entry.flags().contains(Flags::DISCARD) {
                self.is_discarded[at] = true;
            } else {
                let sectors = end.min(self.start_of(row + 1)) - start.max(self.start_of(row));
                self.written[at] = self.written[at].saturating_add(sectors);
            }
        }
    }

    /// The column of an entry, which must be one of the log.
    fn column_of(&self, entry: u64) -> u64 {
        scaled(entry, self.nr_columns, self.nr_entries)
    }

    /// The row of a sector, which must be one of the disk: the last that starts at it or before.
    fn row_of(&self, sector: u64) -> u64 {
        let row = scaled(sector, self.nr_rows, self.disk_sectors);
        if self.start_of(row + 1) <= sector { row + 1 } else { row }
    }

    /// The first sector of a row.
    fn start_of(&self, row: u64) -> u64 {
        let start = u128::from(row) * u128::from(self.disk_sectors) / u128::from(self.nr_rows);
        u64::try_from(start).expect("no row starts after the disk")
    }

    /// What the grid knows of the picture.
    fn into_timeline(self) -> Timeline {
        let Self { nr_entries, nr_columns, nr_rows, .. } = self;
        let places = (0..nr_columns).flat_map(|column| (0..nr_rows).map(move |row| (column, row)));
        let written = places.clone().zip(self.written).filter(|(_, sectors)| *sectors > 0);
        let discarded = places.zip(self.is_discarded).filter(|(_, is_discarded)| *is_discarded);
        Timeline {
            nr_entries,
            nr_columns,
            nr_rows,
            cells: written.map(|((column, row), sectors)| (column, row, sectors)).collect(),
            discards: discarded.map(|(place, _)| place).collect(),
            flushes: self.flushes.into_iter().flatten().collect(),
            ..Timeline::default()
        }
    }
}

/// Which of `parts` equal parts of `whole` has `number` in it, which is less.
fn scaled(number: u64, parts: u32, whole: u64) -> u64 {
    let part = u128::from(number) * u128::from(parts) / u128::from(whole);
    u64::try_from(part).expect("there are less than 2^32 parts")
}

/// The start of a mark's text, made safe to print.
fn shortened(text: &[u8]) -> String {
    let start = &text[..text.len().min(MAX_TEXT_BYTES)];
    let shown = Printable(start).to_string();
    if widen(start.len()) < widen(text.len()) { shown + "…" } else { shown }
}

/// As many as a screen has room for, and a file for.
const MAX_COLUMNS: u32 = 480;
const MAX_ROWS: u32 = 96;

/// How much of a mark's text is kept.
const MAX_TEXT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use logwrites_core::format::{EntryHeader, Superblock};
    use logwrites_core::reader::Walk;

    fn index(headers: impl IntoIterator<Item = (u64, u64, Flags)>) -> Index {
        let superblock = Superblock { nr_entries: u64::MAX, sector_size: SectorSize::B512 };
        let (mut walk, mut index) = (Walk::new(superblock, None), Index::new(superblock));
        for (sector, nr_sectors, flags) in headers {
            let data_len = if flags.contains(Flags::MARK) { 4 } else { 0 };
            let header = EntryHeader { sector, nr_sectors, flags, data_len };
            index.push(&walk.step(&header.emit()).expect("an entry"), b"mark");
        }
        index
    }

    #[test]
    fn a_short_log_has_a_column_for_each_entry() {
        let (write, discard) = (Flags::empty(), Flags::DISCARD);
        let entries = [
            (0, 1, write),
            (0, 0, Flags::FLUSH),
            (2, 2, Flags::FUA),
            (0, 0, Flags::MARK),
            (0, 4, discard),
            (9, 9, write),
        ];
        let timeline = Timeline::of(&index(entries), 2048);
        assert_eq!((timeline.nr_columns, timeline.nr_rows), (6, 4));
        assert_eq!(timeline.cells, [(0, 0, 1), (2, 2, 1), (2, 3, 1)]);
        assert_eq!(timeline.discards, [(4, 0), (4, 1), (4, 2), (4, 3)]);
        assert_eq!(timeline.flushes, [1, 2]);
        assert_eq!(timeline.marks, [(3, "mark".to_owned())]);
    }

    #[test]
    fn a_long_log_has_a_picture_of_the_same_size() {
        let headers = (0..500_000u64).map(|number| match number % 4 {
            0 => (0, 0, Flags::FLUSH),
            1 => (0, 0, Flags::MARK),
            2 => (0, 1_000_000, Flags::empty()),
            _ => (number * 7 % 1_000_000, 8, Flags::FUA),
        });
        let timeline = Timeline::of(&index(headers), 512 * 1_000_000);
        assert_eq!(timeline.cells.len(), 480 * 96);
        assert_eq!((timeline.flushes.len(), timeline.marks.len()), (480, 480));
        let written: u64 = timeline.cells.iter().map(|(_, _, sectors)| sectors).sum();
        assert!((125_000 * 1_000_008 - 1000..=125_000 * 1_000_008).contains(&written), "{written}");
    }

    #[test]
    fn what_is_not_on_the_disk_is_not_in_the_picture() {
        let entries = [(1 << 50, 8, Flags::empty()), (0, 1 << 40, Flags::empty())];
        let timeline = Timeline::of(&index(entries), 1000);
        assert_eq!(timeline.cells, [(1, 0, 1), (1, 1, 1)]);
        assert_eq!(Timeline::of(&index(entries), 0).cells, []);
        assert_eq!(Timeline::of(&index([]), 1000).nr_columns, 0);
    }
}
