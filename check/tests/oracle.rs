//! The states that a search decides are those that a cache can leave: found one by one by a model that shares nothing with
//! the search.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::collections::BTreeSet;
use std::sync::Mutex;

use logwrites_check::disk;
use proptest::prelude::*;

const NR_SECTORS: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Act {
    Write { sector: usize, nr_sectors: usize, is_fua: bool },
    Discard { sector: usize, nr_sectors: usize },
    Flush,
    Mark,
}

/// What a crash leaves: how many marks were reached, and the byte of each sector.
type Left = (usize, [u8; NR_SECTORS]);

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let extent = (0..NR_SECTORS, 1usize..4);
    let act = prop_oneof![
        5 => (extent.clone(), prop::bool::weighted(0.2))
            .prop_map(|((sector, nr_sectors), is_fua)| Act::Write { sector, nr_sectors, is_fua }),
        1 => extent.prop_map(|(sector, nr_sectors)| Act::Discard { sector, nr_sectors }),
        1 => Just(Act::Flush),
        1 => Just(Act::Mark),
    ];
    prop::collection::vec(act, 0..12)
}

/// Of some acts, in order, what they leave if those are lost whose bit is not set. Each write has a byte of its own.
fn left(acts: &[Act], kept: u32) -> Left {
    let (mut nr_marks, mut sectors) = (0, [0; NR_SECTORS]);
    for (nth, act) in acts.iter().enumerate() {
        let (sector, nr_sectors, byte) = match *act {
            Act::Write { sector, nr_sectors, .. } => (sector, nr_sectors, u8::try_from(nth + 1).unwrap()),
            Act::Discard { sector, nr_sectors } => (sector, nr_sectors, 0),
            Act::Mark => {
                nr_marks += 1;
                continue;
            }
            Act::Flush => continue,
        };
        if kept >> nth & 1 == 1 {
            sectors[sector..(sector + nr_sectors).min(NR_SECTORS)].fill(byte);
        }
    }
    (nr_marks, sectors)
}

/// Everything that a crash at any time can leave.
fn all_left(acts: &[Act]) -> BTreeSet<Left> {
    let mut all = BTreeSet::new();
    for point in 0..=acts.len() {
        let acts = &acts[..point];
        let flushed = acts.iter().rposition(|act| matches!(act, Act::Flush)).unwrap_or(0);
        let is_volatile = |nth: usize| {
            let may_be = matches!(acts[nth], Act::Write { is_fua: false, .. } | Act::Discard { .. });
            nth >= flushed && may_be
        };
        let volatile = (0..point).filter(|nth| is_volatile(*nth)).fold(0, |mask, nth| mask | 1 << nth);
        // Every subset of the volatile ones.
        let mut lost = 0u32;
        loop {
            all.insert(left(acts, !lost));
            lost = lost.wrapping_sub(volatile) & volatile;
            if lost == 0 {
                break;
            }
        }
    }
    all
}

fn record(disk: &logwrites_check::Disk, acts: &[Act]) -> std::io::Result<()> {
    for (nth, act) in acts.iter().enumerate() {
        match *act {
            Act::Write { sector, nr_sectors, is_fua } => {
                let len = nr_sectors.min(NR_SECTORS - sector) * 512;
                let (bytes, place) =
                    (vec![u8::try_from(nth + 1).unwrap(); len], u64::try_from(sector * 512).unwrap());
                if is_fua { disk.write_fua_at(&bytes, place)? } else { disk.write_at(&bytes, place)? }
            }
            Act::Discard { sector, nr_sectors } => {
                let len = nr_sectors.min(NR_SECTORS - sector) * 512;
                disk.discard_at(u64::try_from(sector * 512).unwrap(), u64::try_from(len).unwrap())?;
            }
            Act::Flush => disk.flush()?,
            Act::Mark => disk.mark("a mark"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A checker that reads everything is run on each content that there is, and on no other.
    #[test]
    fn everything_that_can_be_left_is_seen_and_nothing_else(acts in acts(), nr_threads in 1usize..4) {
        let recording = disk(8 * 512).record(|disk| Ok(record(disk, &acts)?)).threads(nr_threads);
        let seen = Mutex::new(BTreeSet::new());
        let report = recording.survives(|crash| {
            let nr_marks = crash.marks().len();
            let mut bytes = [0; NR_SECTORS * 512];
            crash.disk().read_at(&mut bytes, 0)?;
            let mut sectors = [0; NR_SECTORS];
            for (sector, bytes) in sectors.iter_mut().zip(bytes.chunks(512)) {
                *sector = bytes[0];
            }
            seen.lock().unwrap().insert((nr_marks, sectors));
            Ok(())
        });
        prop_assert_eq!(report.decided(), report.total());
        prop_assert_eq!(seen.into_inner().unwrap(), all_left(&acts));
    }

    /// A checker that looks at little, and fails on one content of it, fails if and only if that can be left.
    #[test]
    fn a_failure_is_found_if_and_only_if_it_can_be(
        acts in acts(),
        sectors in prop::collection::vec(0..NR_SECTORS, 1..4),
        bad in prop::collection::vec(0u8..12, 3),
        is_marked in any::<bool>(),
    ) {
        let recording = disk(8 * 512).record(|disk| Ok(record(disk, &acts)?));
        let result = recording.search(|crash| {
            // It stops at the first byte that is good.
            for (sector, bad) in sectors.iter().zip(&bad) {
                let mut byte = [0];
                crash.disk().read_at(&mut byte, u64::try_from(sector * 512).unwrap())?;
                if byte[0] != *bad {
                    return Ok(());
                }
            }
            if is_marked && crash.marks().is_empty() { Ok(()) } else { Err("bad".into()) }
        });
        let can_be = all_left(&acts).iter().any(|(nr_marks, left)| {
            sectors.iter().zip(&bad).all(|(sector, bad)| left[*sector] == *bad) && (*nr_marks > 0 || !is_marked)
        });
        prop_assert_eq!(result.is_err(), can_be);
    }
}
