//! A block before and after: the bytes of a state that passes and of one that fails, as hex.

use logwrites_core::num::widen;
use maud::{Markup, html};

use crate::explore::block::Block;
use crate::output::printable::Printable;

/// A block that differs, with the bytes that do.
pub(super) fn block(block: &Block) -> Markup {
    let lines = lines(&block.passing, &block.failing);
    let nr_bytes = nr_differing(&block.passing, &block.failing);
    html! {
        figure.block {
            figcaption {
                @for name in block.names.iter().take(MAX_NAMES) {
                    b { (Printable(name.as_bytes())) } "; "
                }
                span.muted {
                    "byte " (block.offset_bytes) ", "
                    (nr_bytes) @if nr_bytes == 1 { " byte differs" } @else { " bytes differ" }
                }
            }
            div.hex tabindex="0" role="region" aria-label=(format!("bytes at {}", block.offset_bytes)) {
                @for line in lines.iter().take(MAX_LINES) { (line.markup(block)) }
                @if lines.len() > MAX_LINES {
                    div.fold { "… " (lines.len() - MAX_LINES) " more lines" }
                }
            }
        }
    }
}

/// A line of a comparison. Offsets are in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// 16 bytes that are the same.
    Same { at: usize },
    /// 16 bytes of which some differ: two lines.
    Differs { at: usize },
    /// Lines that are the same.
    Folded { nr: usize },
}

impl Line {
    fn markup(self, block: &Block) -> Markup {
        let (passing, failing) = (&*block.passing, &*block.failing);
        let offset = |at| block.offset_bytes.saturating_add(widen(at));
        match self {
            Self::Same { at } => row("same", " ", offset(at), &cells(passing, failing, at)),
            Self::Differs { at } => html! {
                (row("passing", "−", offset(at), &cells(passing, failing, at)))
                (row("failing", "+", offset(at), &cells(failing, passing, at)))
            },
            Self::Folded { nr } => html! { div.fold { "⋯ " (nr) " equal lines" } },
        }
    }
}

/// The lines of a comparison, with one equal line around those that differ.
fn lines(passing: &[u8], failing: &[u8]) -> Vec<Line> {
    let nr_rows = passing.len().max(failing.len()).div_ceil(ROW);
    let differs = |row: usize| chunk(passing, row * ROW) != chunk(failing, row * ROW);
    let is_shown = |row: usize| (row.saturating_sub(1)..(row + 2).min(nr_rows)).any(differs);
    let mut lines = Vec::new();
    let mut row = 0;
    while row < nr_rows {
        let nr = (row..nr_rows).take_while(|row| !is_shown(*row)).count();
        if nr > 1 {
            lines.push(Line::Folded { nr });
            row += nr;
            continue;
        }
        let at = row * ROW;
        lines.push(if differs(row) { Line::Differs { at } } else { Line::Same { at } });
        row += 1;
    }
    lines
}

/// The bytes of a line, and which of them are not those of the other side.
fn cells(bytes: &[u8], other: &[u8], at: usize) -> Vec<(u8, bool)> {
    let other = chunk(other, at);
    chunk(bytes, at).iter().enumerate().map(|(nth, byte)| (*byte, other.get(nth) != Some(byte))).collect()
}

fn row(class: &str, sign: &str, offset_bytes: u64, cells: &[(u8, bool)]) -> Markup {
    html! {
        div class=(class) {
            span.sign { (sign) } span.address { (format!("{offset_bytes:010x}")) }
            span.codes {
                @for (nth, run) in runs(cells).enumerate() {
                    @let codes = codes(run.cells, run.start);
                    @if nth > 0 { (gap(run.start)) }
                    @if run.differs { mark { (codes) } } @else { (codes) }
                }
                (" ".repeat((ROW - cells.len()) * 3))
            }
            span.text {
                @for run in runs(cells) {
                    @if run.differs { mark { (text(run.cells)) } } @else { (text(run.cells)) }
                }
            }
        }
    }
}

/// Neighbours that all differ, or that are all the same.
struct Stretch<'a> {
    start: usize,
    cells: &'a [(u8, bool)],
    differs: bool,
}

fn runs(cells: &[(u8, bool)]) -> impl Iterator<Item = Stretch<'_>> {
    let mut start = 0;
    cells.chunk_by(|a, b| a.1 == b.1).map(move |cells| {
        let run = Stretch { start, cells, differs: cells.iter().any(|(_, differs)| *differs) };
        start += cells.len();
        run
    })
}

fn codes(cells: &[(u8, bool)], start: usize) -> String {
    use std::fmt::Write as _;
    let mut codes = String::new();
    for (nth, (byte, _)) in cells.iter().enumerate() {
        let gap = if nth == 0 { "" } else { gap(start + nth) };
        // Writing to a String cannot fail.
        let _ = write!(codes, "{gap}{byte:02x}");
    }
    codes
}

/// What is before a byte that is not the first of its line: more in the middle.
const fn gap(nth: usize) -> &'static str {
    if nth == ROW / 2 { "  " } else { " " }
}

fn text(cells: &[(u8, bool)]) -> String {
    let char = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '·' };
    cells.iter().map(|(byte, _)| char(*byte)).collect()
}

fn chunk(bytes: &[u8], at: usize) -> &[u8] {
    let start = at.min(bytes.len());
    &bytes[start..(start + ROW).min(bytes.len())]
}

fn nr_differing(passing: &[u8], failing: &[u8]) -> usize {
    let both = passing.iter().zip(failing).filter(|(a, b)| a != b).count();
    both + passing.len().abs_diff(failing.len())
}

/// How many bytes a line has.
const ROW: usize = 16;

/// How many lines of a block are shown: where more differ, they tell nothing new.
const MAX_LINES: usize = 48;

const MAX_NAMES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn block_of(passing: &[u8], failing: &[u8]) -> Block {
        let (passing, failing) = (passing.to_vec(), failing.to_vec());
        Block { offset_bytes: 0x1000, names: vec!["<inode> 12".to_owned()], passing, failing }
    }

    #[test]
    fn equal_lines_are_folded_but_for_those_beside() {
        let mut failing = [0; 512];
        failing[0x88] = 1;
        let expected = [
            Line::Folded { nr: 7 },
            Line::Same { at: 0x70 },
            Line::Differs { at: 0x80 },
            Line::Same { at: 0x90 },
            Line::Folded { nr: 22 },
        ];
        assert_eq!(lines(&[0; 512], &failing), expected);
        assert_eq!(lines(&[0; 512], &[0; 512]), [Line::Folded { nr: 32 }]);
        assert_eq!(lines(&[], &[]), []);
    }

    #[test]
    fn the_bytes_that_differ_are_marked() {
        let page = block(&block_of(b"abcdefghij", b"abcdefgXYj")).into_string();
        assert!(page.contains("61 62 63 64 65 66 67 <mark>68  69</mark> 6a"), "{page}");
        assert!(page.contains("61 62 63 64 65 66 67 <mark>58  59</mark> 6a"), "{page}");
        assert!(page.contains("abcdefg<mark>XY</mark>j") && page.contains("2 bytes differ"), "{page}");
        assert!(page.contains("&lt;inode&gt; 12") && page.contains("0000001000"), "{page}");
    }

    #[test]
    fn blocks_of_different_lengths_and_of_any_length_are_shown() {
        let page = block(&block_of(&[1; 20], &[1; 3])).into_string();
        assert!(page.contains("17 bytes differ") && page.contains("0000001010"), "{page}");
        let page = block(&block_of(&[1; 8192], &[2; 8192])).into_string();
        assert!(page.contains("… 464 more lines") && page.len() < 100_000, "{}", page.len());
    }
}
