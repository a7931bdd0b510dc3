//! Entries as lines of a table.

use std::io::{self, Write};

use anstyle::Style;
use indicatif::BinaryBytes;
use logwrites_core::SectorSize;
use logwrites_core::format::Flags;
use logwrites_core::reader::Entry;

use super::printable::Printable;
use super::style::{self, FlagWords};

/// A table of entries, a line each. A line is put together in room that is used again for the next: logs have millions
/// of them.
#[derive(Debug)]
pub struct Listing {
    sector_size: SectorSize,
    has_colors: bool,
    line: Vec<u8>,
    size: SizeText,
}

impl Listing {
    /// A table for a log with sectors of this size.
    #[must_use]
    pub const fn new(sector_size: SectorSize, has_colors: bool) -> Self {
        Self { sector_size, has_colors, line: Vec::new(), size: SizeText::new() }
    }

    /// Prints the heading.
    ///
    /// # Errors
    /// The writer's.
    pub fn header(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.line.clear();
        self.style(style::HEADING, |line| {
            for (column, width) in ["entry", "log byte", "sector", "sectors", "size"].iter().zip(WIDTHS) {
                push_right(line, column.as_bytes(), width);
                line.push(b' ');
            }
            line.extend_from_slice(b" kind");
        });
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    /// Prints an entry and, for a mark, its text.
    ///
    /// # Errors
    /// The writer's.
    pub fn line(&mut self, out: &mut impl Write, entry: &Entry, mark: Option<&[u8]>) -> io::Result<()> {
        let (sector, nr_sectors) = (entry.header.sector, entry.header.nr_sectors);
        let has_extent = sector != 0 || nr_sectors != 0;
        let [index_width, offset_width, sector_width, nr_sectors_width, size_width] = WIDTHS;
        self.line.clear();
        push_number(&mut self.line, Some(entry.index), index_width);
        self.line.push(b' ');
        self.style(style::DIM, |line| push_number(line, Some(entry.offset_bytes), offset_width));
        self.line.push(b' ');
        push_number(&mut self.line, has_extent.then_some(sector), sector_width);
        self.line.push(b' ');
        push_number(&mut self.line, has_extent.then_some(nr_sectors), nr_sectors_width);
        self.line.push(b' ');
        let size = if nr_sectors == 0 { NONE } else { self.size.of(self.sector_size.bytes_of(nr_sectors)) };
        push_right(&mut self.line, size, size_width);
        self.line.extend_from_slice(b"  ");
        self.style(style::of_entry(entry.flags()), |line| push_words(line, entry.flags()));
        if let Some(text) = mark {
            write!(self.line, " {}", Printable(text))?;
        }
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    /// Puts something into the line in a style.
    fn style(&mut self, style: Style, push: impl FnOnce(&mut Vec<u8>)) {
        if self.has_colors {
            push_text(&mut self.line, format_args!("{style}"));
        }
        push(&mut self.line);
        if self.has_colors {
            push_text(&mut self.line, format_args!("{style:#}"));
        }
    }
}

/// A size as a person reads it. Most entries have the size of the one before, and its text.
#[derive(Debug)]
struct SizeText {
    len_bytes: u64,
    text: Vec<u8>,
}

impl SizeText {
    const fn new() -> Self {
        Self { len_bytes: 0, text: Vec::new() }
    }

    fn of(&mut self, len_bytes: u64) -> &[u8] {
        if self.len_bytes != len_bytes || self.text.is_empty() {
            self.len_bytes = len_bytes;
            self.text.clear();
            push_text(&mut self.text, format_args!("{}", BinaryBytes(len_bytes)));
        }
        &self.text
    }
}

fn push_words(line: &mut Vec<u8>, flags: Flags) {
    push_text(line, format_args!("{}", FlagWords(flags)));
}

fn push_number(line: &mut Vec<u8>, number: Option<u64>, width: usize) {
    let mut digits = itoa::Buffer::new();
    push_right(line, number.map_or(NONE, |number| digits.format(number).as_bytes()), width);
}

/// Text at the right of a column, or wider than it.
fn push_right(line: &mut Vec<u8>, text: &[u8], width: usize) {
    line.resize(line.len() + width.saturating_sub(text.len()), b' ');
    line.extend_from_slice(text);
}

fn push_text(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = line.write_fmt(text);
}

/// The columns before the last one, which has the rest.
const WIDTHS: [usize; 5] = [9, 14, 14, 10, 12];

/// In place of a number that does not exist.
const NONE: &[u8] = b"-";
