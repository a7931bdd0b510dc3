//! An arbitrary log, damaged, recovered, and gone on with.

use arbitrary::{Arbitrary, Unstructured};
use logwrites_core::SectorSize;
use logwrites_core::format::Superblock;
use logwrites_core::reader::{OpenError, Reader, ResumePoint};

use super::encode::assert_counted;
use super::session::{Left, Plan};
use crate::memory::Memory;
use crate::naive;

/// Makes the log that `bytes` describe, cuts and overwrites it, recovers it, and continues after what was recovered.
/// Whatever is before the first damage must be recovered as it was, a naive reader must find the same, and
/// in the end those entries and the new ones, and no others, must be in the log.
///
/// # Panics
/// If that does not hold.
pub fn resume(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let sector_size = input.plan.sector_size();
    let sector_bytes = usize::try_from(sector_size.bytes()).expect("at most 8 MiB");
    let left = input.plan.run(sector_size);
    assert_counted(&left, sector_bytes);
    let mut damaged = left.image.clone();
    for damage in input.damages.iter().take(MAX_DAMAGES) {
        damage.apply(&mut damaged);
    }

    let (recovered_size, point) = recover(&damaged, sector_size);
    let recovered_bytes = usize::try_from(recovered_size.bytes()).expect("at most 8 MiB");
    let recovered: Vec<_> = naive::entries(&damaged, recovered_bytes, point.position.index).collect();
    assert_eq!(u64::try_from(recovered.len()), Ok(point.position.index), "what was recovered is there");
    let end = recovered.last().map_or(recovered_bytes, |entry| entry.end);
    assert_eq!(u64::try_from(end), Ok(point.position.offset_bytes), "no entry was misparsed");
    assert_eq!(point.unflushed, recovered.last().is_some_and(|entry| !entry.is_bare_flush()));
    if recovered_size == sector_size {
        assert_undamaged_recovered(&left, &damaged, &recovered);
    }
    // A damaged size of 8 MiB would only make the log long.
    if recovered_bytes <= MAX_SECTOR_BYTES {
        let resumed = input.more.resume(recovered_size, point, damaged.clone());
        assert_resumed(&resumed, &damaged, &recovered, recovered_bytes);
    }
}

#[derive(Debug, Arbitrary)]
struct Input {
    plan: Plan,
    more: Plan,
    damages: Vec<Damage>,
}

/// What goes wrong with a log; places wrap around at its end.
#[derive(Debug, Arbitrary)]
enum Damage {
    Cut {
        at: u16,
    },
    Overwritten {
        at: u16,
        bytes: Vec<u8>,
    },
    /// A number of the superblock or of an entry's header, in the sector `at`.
    Number {
        at: u8,
        field: u8,
        number: u64,
    },
    /// A whole piece is lost, as a write may be.
    Zeroed {
        at: u16,
        len: u16,
    },
}

impl Damage {
    fn apply(&self, log: &mut Vec<u8>) {
        let place = |at: usize| at % (log.len() + 1);
        match self {
            Self::Cut { at } => log.truncate(place((*at).into())),
            Self::Overwritten { at, bytes } => {
                let at = place((*at).into());
                log.iter_mut().skip(at).zip(bytes).for_each(|(damaged, byte)| *damaged = *byte);
            }
            Self::Number { at, field, number } => {
                let at = place(usize::from(*at) * 32 + usize::from(*field % 4) * 8);
                let bytes = (0..8).map(|shift| u8::try_from(number >> (8 * shift) & 0xff).unwrap_or(0));
                log.iter_mut().skip(at).zip(bytes).for_each(|(damaged, byte)| *damaged = byte);
            }
            Self::Zeroed { at, len } => {
                let at = place((*at).into());
                log.iter_mut().skip(at).take((*len).into()).for_each(|damaged| *damaged = 0);
            }
        }
    }
}

/// As `logwrites recover` does: over the counted entries as far as they can be read, and where all can, over those
/// after; without a superblock under the sector size that the user knows.
fn recover(image: &[u8], known_size: SectorSize) -> (SectorSize, ResumePoint) {
    let source = Memory::new(image.to_vec());
    let mut reader = match Reader::open(source.clone()) {
        Ok(reader) => reader,
        Err(OpenError::Superblock(_)) => {
            let superblock = Superblock { nr_entries: 0, sector_size: known_size };
            Reader::with_superblock(source, superblock).expect("memory does not fail")
        }
        Err(OpenError::Io(error)) => panic!("memory does not fail: {error}"),
    };
    while let Ok(Some(_)) = reader.next_entry() {}
    if reader.position().index == reader.superblock().nr_entries {
        let tail = reader.tail().expect("memory does not fail");
        reader.count(tail);
        while reader.next_entry().expect("what a tail has found is an entry").is_some() {}
    }
    (reader.superblock().sector_size, reader.resume_point())
}

/// Every counted entry before the first that is damaged was recovered, as it was written.
fn assert_undamaged_recovered(left: &Left, damaged: &[u8], recovered: &[naive::Entry<'_>]) {
    let Some(superblock) = naive::Superblock::read(&left.image) else { return };
    let counted = naive::entries(&left.image, superblock.sector_bytes, superblock.nr_entries);
    let undamaged =
        counted.take_while(|entry| damaged.get(entry.at..entry.end) == left.image.get(entry.at..entry.end));
    for (index, (_, expected)) in undamaged.zip(&left.entries).enumerate() {
        let entry = recovered.get(index).unwrap_or_else(|| panic!("{expected:?} is lost"));
        assert!(expected.is(entry), "{entry:?} is not {expected:?}");
    }
}

/// The recovered entries are unchanged in the log, followed by those that were added, of which as much is counted as must
/// be.
fn assert_resumed(resumed: &Left, before: &[u8], recovered: &[naive::Entry<'_>], sector_bytes: usize) {
    let end = recovered.last().map_or(sector_bytes, |entry| entry.end).min(before.len());
    let kept = sector_bytes.min(end)..end;
    assert_eq!(resumed.image.get(kept.clone()), before.get(kept), "what was recovered stays");
    if !resumed.is_whole && resumed.nr_durable.is_none() {
        return;
    }
    let superblock = naive::Superblock::read(&resumed.image).expect("the log was opened");
    assert_eq!(superblock.sector_bytes, sector_bytes, "the superblock says the sector size");
    let counted: Vec<_> = naive::entries(&resumed.image, sector_bytes, superblock.nr_entries).collect();
    assert_eq!(u64::try_from(counted.len()), Ok(superblock.nr_entries), "what is counted is there");
    let added = counted.get(recovered.len()..).expect("what was recovered is counted");
    assert!(
        added.len() >= resumed.nr_durable.unwrap_or(0) && added.len() <= resumed.entries.len(),
        "{added:#?}"
    );
    for (expected, entry) in resumed.entries.iter().zip(added) {
        assert!(expected.is(entry), "{entry:?} is not {expected:?}");
    }
    assert!(!resumed.is_whole || added.len() == resumed.entries.len(), "what was added is counted");
}

const MAX_DAMAGES: usize = 4;

const MAX_SECTOR_BYTES: usize = 1 << 16;
