//! What is written for names and lengths, as text: so a log that is looked into says what it means.

use std::fmt;
use std::io;

use logwrites_core::num::widen;

/// One change of a folder or of a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A file has a name.
    Link { file: u64, name: String },
    /// A name is gone.
    Unlink { file: u64, name: String },
    /// A file has another name, and the file that had it before has none.
    Move { file: u64, from: String, to: String },
    /// How long a file is, and where its bytes are.
    Length { file: u64, length: Length },
}

/// How long a file is, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) len_bytes: u64,
    /// From which page on it is in which area, in the order of the pages.
    pub(crate) segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first_page: u64,
    pub(crate) area: u64,
}

impl Length {
    /// A file that was just created: empty, with the area of its own number.
    pub(crate) fn new(file: u64) -> Self {
        Self { len_bytes: 0, segments: vec![Segment { first_page: 0, area: file }] }
    }

    /// The segment that has a page.
    pub(crate) fn segment_of(&self, page: u64) -> Segment {
        let after = self.segments.partition_point(|segment| segment.first_page <= page);
        self.segments[after - 1]
    }
}

impl Record {
    /// The record of a line of text, as [`Display`](fmt::Display) writes it. `None` if there is nothing, as where
    /// nothing was written.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split('\t');
        let (verb, file) = (words.next()?, words.next()?.parse().ok()?);
        let mut name = || words.next().map(String::from);
        match verb {
            "link" => Some(Self::Link { file, name: name()? }),
            "unlink" => Some(Self::Unlink { file, name: name()? }),
            "move" => Some(Self::Move { file, from: name()?, to: name()? }),
            "length" => Some(Self::Length { file, length: parse_length(&name()?)? }),
            _ => None,
        }
    }
}

fn parse_length(text: &str) -> Option<Length> {
    let mut words = text.split(' ');
    let len_bytes = words.next()?.parse().ok()?;
    let segments = words.map(|word| {
        let (first_page, area) = word.split_once(':')?;
        Some(Segment { first_page: first_page.parse().ok()?, area: area.parse().ok()? })
    });
    Some(Length { len_bytes, segments: segments.collect::<Option<_>>()? })
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { file, name } => write!(f, "link\t{file}\t{name}"),
            Self::Unlink { file, name } => write!(f, "unlink\t{file}\t{name}"),
            Self::Move { file, from, to } => write!(f, "move\t{file}\t{from}\t{to}"),
            Self::Length { file, length } => {
                write!(f, "length\t{file}\t{}", length.len_bytes)?;
                let mut segments = length.segments.iter();
                segments.try_for_each(|Segment { first_page, area }| write!(f, " {first_page}:{area}"))
            }
        }
    }
}

/// Where a journal of records is: its area, and how many of its sectors are what was true when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) area: u64,
    pub(crate) nr_snapshot_sectors: u64,
}

impl Head {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("journal\t")?.split('\t');
        let mut number = || words.next()?.parse().ok();
        Some(Self { area: number()?, nr_snapshot_sectors: number()? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal\t{}\t{}", self.area, self.nr_snapshot_sectors)
    }
}

/// A line, filled up with zeros to whole sectors; `None` if it is longer than one.
pub(crate) fn sector_of(line: &str) -> Option<[u8; SECTOR_BYTES]> {
    let mut sector = [0; SECTOR_BYTES];
    sector.get_mut(..line.len())?.copy_from_slice(line.as_bytes());
    Some(sector)
}

/// Of a length whose line is longer than a sector.
pub(crate) fn too_scattered() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "a file was cut and has grown again in too many places")
}

/// The text of sectors, up to the zeros after it.
pub(crate) fn text_of(sectors: &[u8]) -> &str {
    let end = sectors.iter().position(|byte| *byte == 0).unwrap_or(sectors.len());
    std::str::from_utf8(&sectors[..end]).unwrap_or_default()
}

/// How many sectors a text fills.
pub(crate) fn nr_sectors_of(text: &str) -> u64 {
    widen(text.len()).div_ceil(SECTOR)
}

/// The sectors of the disk that files are on.
pub(crate) const SECTOR_BYTES: usize = 512;

/// [`SECTOR_BYTES`], as offsets are counted.
pub(crate) const SECTOR: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let segments = vec![Segment { first_page: 0, area: 7 }, Segment { first_page: 3, area: 9 }];
        for record in [
            Record::Link { file: 7, name: "a name with spaces".into() },
            Record::Unlink { file: 7, name: "b".into() },
            Record::Move { file: 7, from: "a".into(), to: "b".into() },
            Record::Length { file: 7, length: Length { len_bytes: 5000, segments } },
            Record::Length { file: 8, length: Length::new(8) },
        ] {
            let sector = sector_of(&record.to_string()).unwrap();
            assert_eq!(Record::parse(text_of(&sector)), Some(record));
        }
        let head = Head { area: 12, nr_snapshot_sectors: 3 };
        assert_eq!(Head::parse(&head.to_string()), Some(head));
        assert_eq!((Record::parse(""), Head::parse(text_of(&[0; 512]))), (None, None));
    }

    #[test]
    fn each_page_is_in_the_last_segment_that_begins_before_it() {
        let segments = vec![Segment { first_page: 0, area: 7 }, Segment { first_page: 3, area: 9 }];
        let length = Length { len_bytes: 0, segments };
        assert_eq!([0, 2, 3, 900].map(|page| length.segment_of(page).area), [7, 7, 9, 9]);
    }
}
