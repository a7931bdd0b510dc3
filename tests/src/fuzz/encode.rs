//! Arbitrary operations as a log.

use arbitrary::{Arbitrary as _, Unstructured};
use logwrites_core::SectorSize;

use super::session::{Left, Plan};
use crate::content::is_zero;
use crate::naive;

/// Runs the session that `bytes` describe: any operations, in either ordering, with sector sizes up to 64 KiB,
/// devices that fail, a log that is too small. A naive reader must find in the log the very entries that the operations
/// make, and zeros wherever nothing belongs.
///
/// # Panics
/// If it does not.
pub fn encode(bytes: &[u8]) {
    let Ok(plan) = Plan::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    assert_encoded(&plan, plan.sector_size());
}

fn assert_encoded(plan: &Plan, sector_size: SectorSize) {
    let sector_bytes = usize::try_from(sector_size.bytes()).expect("at most 8 MiB");
    let left = plan.run(sector_size);
    assert_counted(&left, sector_bytes);
    if left.is_whole {
        let end = naive::entries(&left.image, sector_bytes, u64::MAX)
            .last()
            .map_or(sector_bytes, |entry| entry.end);
        assert_eq!(left.image.len(), end, "nothing follows the last entry");
        assert!(is_zero(&left.image[28..sector_bytes]), "zeros follow the superblock");
    }
}

/// A new log counts entries that its session made, in order: all of them if it ended well, and whatever was
/// acknowledged as durable.
pub(super) fn assert_counted(left: &Left, sector_bytes: usize) {
    let Some(superblock) = naive::Superblock::read(&left.image) else {
        assert!(
            !left.is_whole && left.nr_durable.is_none_or(|nr_durable| nr_durable == 0),
            "the superblock is lost: {left:?}"
        );
        return;
    };
    assert_eq!(superblock.sector_bytes, sector_bytes, "the superblock says the sector size");
    let counted: Vec<_> = naive::entries(&left.image, sector_bytes, superblock.nr_entries).collect();
    assert_eq!(u64::try_from(counted.len()), Ok(superblock.nr_entries), "what is counted is there");
    let nr_durable = left.nr_durable.unwrap_or(0);
    assert!(counted.len() >= nr_durable, "{} of {nr_durable} durable entries are counted", counted.len());
    assert!(counted.len() <= left.entries.len(), "what is counted was submitted: {counted:#?}");
    for (expected, entry) in left.entries.iter().zip(&counted) {
        assert!(expected.is(entry), "{entry:?} is not {expected:?}");
    }
    assert!(
        !left.is_whole || counted.len() == left.entries.len(),
        "missing: {:?}",
        left.entries.get(counted.len())
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Choices as _, Seeded};

    /// Sizes that a fuzzer would only be slow with.
    #[test]
    fn the_largest_sectors_are_encoded() {
        let mut random = Seeded::new(1, u64::MAX);
        for shift in [17, 20, 23] {
            let sector_size = SectorSize::new(1 << shift).unwrap();
            for _ in 0..8 {
                let bytes: Vec<u8> = (0..80).filter_map(|_| u8::try_from(random.below(256)).ok()).collect();
                let plan = Plan::arbitrary_take_rest(Unstructured::new(&bytes)).unwrap();
                assert_encoded(&plan, sector_size);
            }
        }
    }
}
