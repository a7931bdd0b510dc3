//! Entries of directories of FAT, with their long names.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::super::fields::Fields;
use super::geometry::ENTRY_LEN;

/// Reads the entries of one directory, in order: a long name comes before its entry, in up to 20 entries of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// A long name, as far as it is there.
    units: Vec<u16>,
    /// How many parts of the long name are yet to come.
    nr_missing: usize,
    checksum: u8,
}

/// A file that a directory has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
    /// The first cluster, with 32 bits also where only 16 of them count.
    pub(super) cluster: u32,
}

impl Entries {
    /// Takes in the next part of the directory, and says whether more can follow.
    pub(super) fn take(&mut self, bytes: &[u8], mut found: impl FnMut(File)) -> bool {
        for entry in bytes.chunks_exact(ENTRY_LEN).map(Fields) {
            let attributes = entry.byte(11);
            match entry.byte(0) {
                END => return false,
                DELETED => self.units.clear(),
                _ if attributes & ATTRIBUTES == LONG => self.take_long(entry),
                _ if attributes & LABEL != 0 => self.units.clear(),
                _ => {
                    let name = self.long(entry).unwrap_or_else(|| short(entry));
                    self.units.clear();
                    let cluster = u32::from(entry.le16(20)) << 16 | u32::from(entry.le16(26));
                    found(File { name, is_directory: attributes & DIRECTORY != 0, cluster });
                }
            }
        }
        true
    }

    /// A part of a long name; the last part comes first.
    fn take_long(&mut self, entry: Fields<'_>) {
        let (order, checksum) = (entry.byte(0), entry.byte(13));
        let nth = usize::from(order & ORDER);
        if order & LAST != 0 && (1..=MAX_PARTS).contains(&nth) {
            *self = Self { units: vec![0; nth * PART_UNITS], nr_missing: nth, checksum };
        } else if nth != self.nr_missing || checksum != self.checksum {
            self.units.clear();
        }
        let Some(part) = nth.checked_sub(1).and_then(|nth| self.units.get_mut(nth * PART_UNITS..)) else {
            self.units.clear();
            return;
        };
        let places = (1..11).chain(14..26).chain(28..32).step_by(2);
        for (unit, at) in part.iter_mut().zip(places) {
            *unit = entry.le16(at);
        }
        self.nr_missing = nth - 1;
    }

    /// The long name of an entry, if a whole one that belongs to it was there.
    fn long(&self, entry: Fields<'_>) -> Option<Vec<u8>> {
        if self.units.is_empty() || self.nr_missing > 0 || self.checksum != checksum(entry.part(0, 11)) {
            return None;
        }
        let units = self.units.iter().copied().take_while(|unit| *unit != 0);
        let letters = char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        Some(letters.collect::<String>().into_bytes())
    }
}

/// The short name of an entry: eight letters, and three after the dot.
fn short(entry: Fields<'_>) -> Vec<u8> {
    let case = entry.byte(12);
    let part = |at: usize, len: usize, is_lower: bool| {
        let part = entry.part(at, len).trim_ascii_end();
        if is_lower { part.to_ascii_lowercase() } else { part.to_vec() }
    };
    let mut name = part(0, 8, case & LOWER_BASE != 0);
    if let Some(first) = name.first_mut().filter(|first| **first == ESCAPED) {
        *first = DELETED;
    }
    let extension = part(8, 3, case & LOWER_EXTENSION != 0);
    if !extension.is_empty() {
        name.push(b'.');
        name.extend(extension);
    }
    name
}

/// The checksum of a short name, which its long name has.
fn checksum(short: &[u8]) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

const END: u8 = 0;
const DELETED: u8 = 0xe5;
/// What a name begins with that in truth begins as a deleted one does.
const ESCAPED: u8 = 0x05;

const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const ATTRIBUTES: u8 = 0x3f;
const LONG: u8 = 0x0f;

const LOWER_BASE: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;

/// Of the number of a part.
const LAST: u8 = 0x40;
const ORDER: u8 = 0x1f;
const PART_UNITS: usize = 13;
const MAX_PARTS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &[u8; 11] = b"NOTES~1 TXT";

    fn entry(name: &[u8; 11], attributes: u8, case: u8) -> Vec<u8> {
        let mut entry = [&name[..], &[attributes, case], &[0; 19]].concat();
        (entry[20], entry[26]) = (1, 7);
        entry
    }

    /// A part of a long name.
    fn long(order: u8, text: &str, checksum: u8) -> Vec<u8> {
        let mut units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        units.resize(14, 0xffff);
        let bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        [&[order][..], &bytes[..10], &[LONG, 0, checksum], &bytes[10..22], &[0; 2], &bytes[22..26]].concat()
    }

    fn names(entries: &[Vec<u8>]) -> Vec<String> {
        let mut names = Vec::new();
        Entries::default().take(&entries.concat(), |file| {
            assert_eq!(file.cluster, 0x1_0007);
            names.push(String::from_utf8(file.name).unwrap());
        });
        names
    }

    #[test]
    fn a_long_name_counts_if_it_is_whole_and_of_its_entry() {
        let (sum, short) = (checksum(SHORT), entry(SHORT, 0, 0));
        let (last, first) = (long(0x42, "tes.txt", sum), long(1, "my so long no", sum));
        assert_eq!(names(&[last.clone(), first.clone(), short.clone()]), ["my so long notes.txt"]);
        let deleted = entry(b"\xe5OTES~1 TXT", 0, 0);
        let other = long(1, "my so long no", sum ^ 1);
        for broken in [
            vec![first.clone(), short.clone()],
            vec![last.clone(), short.clone()],
            vec![last.clone(), other, short.clone()],
            vec![last, first.clone(), deleted, short.clone()],
            vec![long(0x40, "x", sum), short.clone()],
            vec![long(0x5f, "x", sum), first, short],
        ] {
            assert_eq!(names(&broken), ["NOTES~1.TXT"]);
        }
    }

    #[test]
    fn short_names_have_their_case_and_no_spaces() {
        let lower = entry(SHORT, 0, LOWER_BASE | LOWER_EXTENSION);
        let bare = entry(b"A B        ", DIRECTORY, 0);
        let label = entry(b"LABEL      ", LABEL, 0);
        assert_eq!(names(&[lower, label, bare]), ["notes~1.txt", "A B"]);
        assert!(!Entries::default().take(&[0; 64], |_| panic!("nothing follows the end")));
    }
}
