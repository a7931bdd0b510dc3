//! What a prefix of the log means: the kernel documentation's example, each row of docs/design.md's table, and the corners.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use logwrites_core::logger::{NotInFlight, SubmitError};
use logwrites_core::{
    Config, Extent, Op, OpError, Ordering, Outcome, SectorSize, SuperblockPolicy, WriteFlags,
};
use logwrites_tests::rig::Rig;

const NONE: WriteFlags = WriteFlags::empty();
const FUA: WriteFlags = WriteFlags::FUA;
const BOTH: [Ordering; 2] = [Ordering::Completion, Ordering::Durability];

fn config(ordering: Ordering) -> Config {
    Config { ordering, ..Config::new(SectorSize::B512) }
}

fn rig<const N: usize>(ordering: Ordering) -> Rig<N> {
    Rig::new(config(ordering)).unwrap()
}

fn at(sector: u64) -> Extent {
    Extent::new(sector, 1).unwrap()
}

fn ok<const N: usize>(rig: &mut Rig<N>, tags: &[usize]) {
    for tag in tags {
        rig.complete(*tag, Outcome::Ok).unwrap();
    }
}

/// Submits a write of tag's own sector for each tag.
fn write<const N: usize>(rig: &mut Rig<N>, tags: &[usize]) {
    for tag in tags {
        rig.write(*tag, at(u64::try_from(*tag).unwrap()), NONE).unwrap();
    }
}

fn flush<const N: usize>(rig: &mut Rig<N>, tag: usize) {
    rig.submit(tag, Op::Flush).unwrap();
}

/// `W1,W2,W3,C3,C2,Wflush,C1,Cflush`.
#[test]
fn the_example_of_the_kernel_documentation() {
    let mut rig = rig::<8>(Ordering::Durability);
    write(&mut rig, &[1, 2, 3]);
    ok(&mut rig, &[3, 2]);
    flush(&mut rig, 4);
    ok(&mut rig, &[1]);
    assert_eq!(rig.entries(), [""; 0]);
    ok(&mut rig, &[4]);
    assert_eq!(rig.entries(), ["W3", "W2", "FLUSH"]);
    rig.finish();
    assert_eq!(rig.counted(), ["W3", "W2", "FLUSH", "W1", "mark dm-log-writes-end"]);
}

/// The same events in completion order: the same FLUSH, with the same before it.
#[test]
fn the_example_of_the_kernel_documentation_in_completion_order() {
    let mut rig = rig::<8>(Ordering::Completion);
    write(&mut rig, &[1, 2, 3]);
    ok(&mut rig, &[3, 2]);
    assert_eq!(rig.entries(), ["W3", "W2"]);
    flush(&mut rig, 4);
    ok(&mut rig, &[1, 4]);
    assert_eq!(rig.entries(), ["W3", "W2", "FLUSH", "W1"]);
}

mod an_entry_appears {
    use super::*;

    #[test]
    fn when_its_operation_completes_in_completion_order() {
        let mut rig = rig::<8>(Ordering::Completion);
        write(&mut rig, &[0, 1]);
        assert_eq!(rig.entries(), [""; 0]);
        ok(&mut rig, &[1]);
        assert_eq!(rig.entries(), ["W1"]);
        ok(&mut rig, &[0]);
        assert_eq!(rig.entries(), ["W1", "W0"]);
    }

    #[test]
    fn when_its_flush_completes_in_durability_order() {
        let mut rig = rig::<8>(Ordering::Durability);
        write(&mut rig, &[0, 1]);
        ok(&mut rig, &[1, 0]);
        assert_eq!(rig.entries(), [""; 0]);
        flush(&mut rig, 2);
        assert_eq!(rig.entries(), [""; 0]);
        ok(&mut rig, &[2]);
        assert_eq!(rig.entries(), ["W1", "W0", "FLUSH"]);
    }

    #[test]
    fn after_each_flush_that_was_in_flight_when_it_completed() {
        let mut rig = rig::<8>(Ordering::Completion);
        write(&mut rig, &[0, 1, 2]);
        ok(&mut rig, &[0]);
        flush(&mut rig, 3);
        ok(&mut rig, &[1]);
        flush(&mut rig, 4);
        ok(&mut rig, &[2]);
        assert_eq!(rig.entries(), ["W0"]);
        ok(&mut rig, &[4]);
        assert_eq!(rig.entries(), ["W0"], "the older flush is still in flight");
        ok(&mut rig, &[3]);
        assert_eq!(rig.entries(), ["W0", "FLUSH", "W1", "FLUSH", "W2"]);
    }

    #[test]
    fn ahead_of_what_waits_if_it_is_a_fua() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            write(&mut rig, &[0, 1]);
            flush(&mut rig, 2);
            ok(&mut rig, &[0]);
            rig.write(3, at(9), FUA).unwrap();
            ok(&mut rig, &[3]);
            assert_eq!(rig.entries(), ["FUA3"], "{ordering:?}");
            assert!(rig.is_done(3));
            ok(&mut rig, &[2, 1]);
            rig.finish();
            assert_eq!(rig.entries()[0], "FUA3");
        }
    }

    #[test]
    fn after_what_it_overlaps_even_if_it_is_a_fua() {
        let mut rig = rig::<8>(Ordering::Completion);
        write(&mut rig, &[0, 1]);
        ok(&mut rig, &[1]);
        flush(&mut rig, 2);
        ok(&mut rig, &[0]);
        rig.write(3, at(0), FUA).unwrap();
        ok(&mut rig, &[3]);
        assert_eq!(rig.entries(), ["W1"], "W0 waits for the flush, and the FUA for W0");
        ok(&mut rig, &[2]);
        assert_eq!(rig.entries(), ["W1", "FLUSH", "W0", "FUA3"]);
    }

    #[test]
    fn and_draws_what_it_overlaps_with_it_in_durability_order() {
        let mut rig = rig::<8>(Ordering::Durability);
        rig.write(0, Extent::new(0, 2).unwrap(), NONE).unwrap();
        ok(&mut rig, &[0]);
        rig.write(1, at(7), NONE).unwrap();
        ok(&mut rig, &[1]);
        rig.write(2, Extent::new(1, 2).unwrap(), NONE).unwrap();
        ok(&mut rig, &[2]);
        rig.write(3, at(2), FUA).unwrap();
        ok(&mut rig, &[3]);
        assert_eq!(rig.entries(), ["W0", "W2", "FUA3"], "W0 is below W2, which is below the FUA; W1 is held");
        rig.finish();
        assert_eq!(rig.entries(), ["W0", "W2", "FUA3", "W1", "mark dm-log-writes-end"]);
    }

    #[test]
    fn after_a_flush_in_flight_if_a_fua_overlaps_what_waits_for_it() {
        let mut rig = rig::<8>(Ordering::Durability);
        write(&mut rig, &[0]);
        ok(&mut rig, &[0]);
        flush(&mut rig, 1);
        rig.write(2, at(0), FUA).unwrap();
        ok(&mut rig, &[2]);
        assert!(!rig.is_done(2));
        ok(&mut rig, &[1]);
        assert_eq!(rig.entries(), ["W0", "FLUSH", "FUA2"]);
        assert!(rig.is_done(2));
    }
}

mod a_mark {
    use super::*;

    const MARK: Op = Op::Mark { len_bytes: 3 };

    #[test]
    fn is_after_what_is_already_queued_in_completion_order() {
        let mut rig = rig::<8>(Ordering::Completion);
        write(&mut rig, &[0]);
        flush(&mut rig, 1);
        ok(&mut rig, &[0]);
        rig.submit(2, MARK).unwrap();
        assert_eq!(rig.entries(), [""; 0]);
        ok(&mut rig, &[1]);
        assert_eq!(rig.entries(), ["W0", "mark 002"]);
    }

    /// As in Linux. Held entries follow it, though they were acknowledged before.
    #[test]
    fn is_logged_at_once_in_durability_order() {
        let mut rig = rig::<8>(Ordering::Durability);
        write(&mut rig, &[0]);
        ok(&mut rig, &[0]);
        rig.submit(2, MARK).unwrap();
        assert_eq!(rig.counted(), ["mark 002"]);
        assert!(rig.is_done(2));
    }

    #[test]
    fn brings_a_superblock_about() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            rig.submit(0, MARK).unwrap();
            assert_eq!(rig.counted(), ["mark 000"]);
        }
    }
}

mod flushes {
    use super::*;

    #[test]
    fn are_logged_in_the_order_of_submission() {
        let mut rig = rig::<8>(Ordering::Durability);
        write(&mut rig, &[0, 1]);
        ok(&mut rig, &[0]);
        flush(&mut rig, 2);
        ok(&mut rig, &[1]);
        flush(&mut rig, 3);
        ok(&mut rig, &[3]);
        assert_eq!(rig.entries(), [""; 0]);
        assert!(!rig.is_done(3));
        ok(&mut rig, &[2]);
        assert_eq!(rig.entries(), ["W0", "FLUSH", "W1", "FLUSH"]);
        assert!(rig.is_done(2) && rig.is_done(3));
    }

    #[test]
    fn that_say_nothing_new_are_not_logged_in_completion_order() {
        let mut rig = rig::<8>(Ordering::Completion);
        flush(&mut rig, 0);
        ok(&mut rig, &[0]);
        assert!(rig.is_done(0) && rig.entries().is_empty());
        write(&mut rig, &[1]);
        ok(&mut rig, &[1]);
        for tag in [2, 3] {
            flush(&mut rig, tag);
            ok(&mut rig, &[tag]);
            assert!(rig.is_done(tag));
        }
        assert_eq!(rig.entries(), ["W1", "FLUSH"]);
    }

    #[test]
    fn are_always_logged_in_durability_order() {
        let mut rig = rig::<8>(Ordering::Durability);
        for tag in [0, 1] {
            flush(&mut rig, tag);
            ok(&mut rig, &[tag]);
        }
        assert_eq!(rig.entries(), ["FLUSH", "FLUSH"]);
    }

    #[test]
    fn bring_a_superblock_about() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            write(&mut rig, &[0]);
            ok(&mut rig, &[0]);
            assert_eq!(rig.counted(), [""; 0]);
            flush(&mut rig, 1);
            ok(&mut rig, &[1]);
            assert_eq!(rig.counted(), ["W0", "FLUSH"], "{ordering:?}");
        }
    }

    #[test]
    fn are_done_once_entry_and_superblock_are_durable() {
        for (policy, nr_flushes) in [(SuperblockPolicy::WithFlush, 1), (SuperblockPolicy::Barrier, 2)] {
            let config = Config { superblock_policy: policy, ..config(Ordering::Completion) };
            let mut rig = Rig::<8>::new(config).unwrap();
            write(&mut rig, &[0]);
            ok(&mut rig, &[0]);
            flush(&mut rig, 1);
            rig.hold_log(true);
            ok(&mut rig, &[1]);
            let mut nr_steps = 0;
            while !rig.is_done(1) {
                rig.log_complete(0, Outcome::Ok).unwrap();
                nr_steps += 1;
            }
            assert_eq!(nr_steps, 2 + nr_flushes, "an entry, a superblock, and the flushes of {policy:?}");
        }
    }

    #[test]
    fn that_fail_make_all_later_ones_fail() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            write(&mut rig, &[0]);
            ok(&mut rig, &[0]);
            for tag in [1, 2, 3] {
                flush(&mut rig, tag);
            }
            ok(&mut rig, &[1, 3]);
            rig.complete(2, Outcome::Failed).unwrap();
            flush(&mut rig, 4);
            let failed = Err(OpError::Flush);
            assert!(rig.is_done(1));
            assert_eq!(
                rig.done[rig.done.len() - 3..],
                [(2, failed), (3, failed), (4, failed)],
                "{ordering:?}"
            );
            assert_eq!(rig.counted(), ["W0", "FLUSH"]);
        }
    }

    #[test]
    fn of_the_log_that_fail_make_all_later_promises_fail() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            write(&mut rig, &[0]);
            ok(&mut rig, &[0]);
            flush(&mut rig, 1);
            rig.hold_log(true);
            ok(&mut rig, &[1]);
            while rig.log.nr_writes_in_flight() > 0 {
                rig.log_complete(0, Outcome::Ok).unwrap();
            }
            rig.log_complete(0, Outcome::Failed).unwrap();
            rig.hold_log(false);
            rig.write(2, at(2), FUA).unwrap();
            ok(&mut rig, &[2]);
            flush(&mut rig, 3);
            for tag in [1, 2, 3] {
                assert!(rig.done.contains(&(tag, Err(OpError::Flush))), "{ordering:?} {:?}", rig.done);
            }
        }
    }
}

mod a_write_is_done {
    use super::*;

    #[test]
    fn when_it_is_in_the_log_in_completion_order() {
        let mut rig = rig::<8>(Ordering::Completion);
        rig.hold_log(true);
        write(&mut rig, &[0, 1]);
        ok(&mut rig, &[1, 0]);
        assert!(!rig.is_done(0) && !rig.is_done(1));
        rig.log_complete(1, Outcome::Ok).unwrap();
        assert!(!rig.is_done(0), "an earlier entry is still in flight");
        assert_eq!(rig.released, [0; 0]);
        rig.log_complete(0, Outcome::Ok).unwrap();
        assert_eq!(rig.done, [(1, Ok(())), (0, Ok(()))]);
        assert_eq!(rig.released, [1, 0]);
    }

    #[test]
    fn when_the_data_device_has_it_in_durability_order() {
        let mut rig = rig::<8>(Ordering::Durability);
        write(&mut rig, &[0]);
        ok(&mut rig, &[0]);
        assert!(rig.is_done(0));
        assert_eq!(rig.released, [0; 0], "the payload is kept until the epoch is logged");
        assert_eq!(rig.submit(0, Op::Flush), Err(SubmitError::TagInUse { tag: logwrites_core::Tag::new(0) }));
        flush(&mut rig, 1);
        ok(&mut rig, &[1]);
        assert_eq!(rig.released, [0, 1]);
    }

    #[test]
    fn and_the_later_of_two_that_overlap_is_withheld() {
        for ordering in BOTH {
            let mut rig = rig::<8>(ordering);
            rig.write(0, Extent::new(0, 4).unwrap(), NONE).unwrap();
            rig.write(1, Extent::new(3, 4).unwrap(), NONE).unwrap();
            rig.write(2, at(6), NONE).unwrap();
            rig.write(3, at(7), NONE).unwrap();
            assert_eq!(rig.issued, [0, 3], "2 overlaps 1, which overlaps 0");
            ok(&mut rig, &[0]);
            assert_eq!(rig.issued, [3, 1]);
            ok(&mut rig, &[1]);
            assert_eq!(rig.issued, [3, 2]);
            assert_eq!(rig.complete(1, Outcome::Ok), Err(NotInFlight));
        }
    }
}

#[test]
fn a_superblock_is_written_at_each_multiple_of_the_interval() {
    let config = Config { superblock_interval: 3.try_into().unwrap(), ..config(Ordering::Completion) };
    let mut rig = Rig::<8>::new(config).unwrap();
    for (tag, counted) in [(0, 0), (1, 0), (2, 3), (3, 3), (4, 3), (5, 6)] {
        write(&mut rig, &[tag]);
        ok(&mut rig, &[tag]);
        assert_eq!(rig.counted().len(), counted, "after {} entries", tag + 1);
    }
}

/// Five slots full of acknowledged writes, and no flush comes: the oldest are logged.
#[test]
fn a_guest_that_never_flushes_does_not_deadlock() {
    let mut rig = rig::<5>(Ordering::Durability);
    write(&mut rig, &[0, 1, 2, 3]);
    ok(&mut rig, &[2, 0, 1, 3]);
    assert!(rig.entries().is_empty());
    write(&mut rig, &[4]);
    assert_eq!(rig.entries(), ["W2", "W0"], "the oldest by completion: a quarter of five, rounded up");
    assert_eq!(rig.released, [2, 0]);
    assert!(!rig.logger.is_full());
}

#[test]
fn a_single_slot_does_not_deadlock() {
    let mut rig = rig::<1>(Ordering::Durability);
    for round in 1..9 {
        write(&mut rig, &[0]);
        ok(&mut rig, &[0]);
        assert_eq!(rig.entries().len(), round);
    }
}

#[test]
fn a_front_end_that_runs_out_of_memory_has_the_oldest_logged() {
    let mut rig = rig::<8>(Ordering::Durability);
    write(&mut rig, &[0, 1, 2]);
    ok(&mut rig, &[2, 0, 1]);
    rig.logger.log_early();
    write(&mut rig, &[5]);
    assert_eq!(rig.entries(), ["W2", "W0"], "a quarter of eight");
    flush(&mut rig, 3);
    rig.logger.log_early();
    ok(&mut rig, &[5]);
    assert_eq!(rig.entries(), ["W2", "W0"], "the flush in flight covers the rest");
    ok(&mut rig, &[3]);
    assert_eq!(rig.entries(), ["W2", "W0", "W1", "FLUSH"]);
}

#[test]
fn nothing_is_logged_early_across_a_flush_in_flight() {
    let mut rig = rig::<4>(Ordering::Durability);
    write(&mut rig, &[0, 1, 2]);
    flush(&mut rig, 3);
    ok(&mut rig, &[0, 1, 2]);
    assert!(rig.entries().is_empty(), "the flush does not cover them");
    assert_eq!(rig.write(0, at(0), NONE), Err(SubmitError::Full));
    ok(&mut rig, &[3]);
    assert_eq!(rig.entries(), ["FLUSH"]);
    assert!(!rig.logger.is_full());
    write(&mut rig, &[3]);
    assert_eq!(rig.entries(), ["FLUSH", "W0"]);
}

#[test]
fn what_does_not_fit_is_refused_before_the_data_device_is_touched() {
    for (ordering, closing_bytes) in [(Ordering::Completion, 0), (Ordering::Durability, 512)] {
        // The superblock, two writes of a sector, a FLUSH after each.
        let config = Config { capacity_bytes: 7 * 512 + closing_bytes, ..config(ordering) };
        let mut rig = Rig::<8>::new(config).unwrap();
        write(&mut rig, &[0, 1]);
        let refused = rig.write(2, at(2), NONE);
        assert_eq!(refused, Err(SubmitError::NoSpace { needed_bytes: 1536, free_bytes: 0 }));
        assert_eq!(rig.issued, [0, 1]);
        for tag in [3, 4] {
            flush(&mut rig, tag);
        }
        ok(&mut rig, &[3, 0, 4, 1]);
        for tag in [5, 6] {
            flush(&mut rig, tag);
            ok(&mut rig, &[tag]);
            assert!(rig.is_done(tag), "a flush is never refused");
        }
        rig.finish();
        assert!(rig.is_finished);
        assert_eq!(rig.logger.failure(), None);
        assert!(rig.log.seen().len() <= usize::try_from(config.capacity_bytes).unwrap());
    }
}

#[test]
fn a_failed_write_gives_its_room_back() {
    let config = Config { capacity_bytes: 6 * 512, ..config(Ordering::Completion) };
    let mut rig = Rig::<8>::new(config).unwrap();
    rig.write(0, Extent::new(0, 3).unwrap(), NONE).unwrap();
    assert!(rig.write(1, at(9), NONE).is_err());
    rig.complete(0, Outcome::Failed).unwrap();
    rig.write(1, at(9), NONE).unwrap();
    ok(&mut rig, &[1]);
    assert_eq!(rig.entries(), ["mark logwrites-indeterminate 0+3", "W1"]);
}

#[test]
fn a_failed_write_is_not_logged_and_leaves_a_mark() {
    for ordering in BOTH {
        let mut rig = rig::<8>(ordering);
        rig.write(0, Extent::new(5, 3).unwrap(), NONE).unwrap();
        rig.complete(0, Outcome::Failed).unwrap();
        flush(&mut rig, 1);
        ok(&mut rig, &[1]);
        assert_eq!(rig.counted(), ["mark logwrites-indeterminate 5+3", "FLUSH"], "{ordering:?}");
        assert_eq!(rig.done[0], (0, Err(OpError::Data)));
    }
}

#[test]
fn a_mark_that_does_not_fit_is_left_out() {
    let config = Config::new(SectorSize::new(64).unwrap());
    let mut rig = Rig::<8>::new(config).unwrap();
    for sector in [1234, 12345] {
        rig.write(0, Extent::new(sector, 10).unwrap(), NONE).unwrap();
        rig.complete(0, Outcome::Failed).unwrap();
    }
    assert_eq!(rig.entries(), ["mark logwrites-indeterminate 1234+10"]);
    assert_eq!(rig.done, [(0, Err(OpError::Data)), (0, Err(OpError::Data))]);
}

#[test]
fn an_ignored_discard_is_done_and_not_logged() {
    for ordering in BOTH {
        let mut rig = rig::<8>(ordering);
        for (tag, outcome) in [(0, Outcome::Ignored), (1, Outcome::Ok)] {
            rig.submit(tag, Op::Discard { extent: Extent::new(3, 4).unwrap() }).unwrap();
            rig.complete(tag, outcome).unwrap();
            assert!(rig.is_done(tag));
        }
        flush(&mut rig, 2);
        ok(&mut rig, &[2]);
        assert_eq!(rig.counted(), ["discard 3+4", "FLUSH"], "{ordering:?}");
    }
}

#[test]
fn a_write_that_is_ignored_has_failed() {
    let mut rig = rig::<8>(Ordering::Completion);
    write(&mut rig, &[0]);
    rig.complete(0, Outcome::Ignored).unwrap();
    assert_eq!(rig.done, [(0, Err(OpError::Data))]);
}

#[test]
fn a_zero_length_write_leaves_no_trace() {
    for ordering in BOTH {
        let mut rig = rig::<8>(ordering);
        let extent = Extent::new(3, 0).unwrap();
        for (tag, op) in [
            Op::Write { extent, flags: FUA },
            Op::WriteZeroes { extent, flags: NONE },
            Op::Discard { extent },
        ]
        .into_iter()
        .enumerate()
        {
            rig.submit(tag, op).unwrap();
            assert!(rig.is_done(tag) && rig.released.contains(&tag));
        }
        assert!(rig.issued.is_empty() && rig.entries().is_empty() && !rig.logger.is_unflushed());
    }
}

#[test]
fn write_zeroes_are_real_zeros() {
    let mut rig = rig::<8>(Ordering::Completion);
    rig.submit(0, Op::WriteZeroes { extent: Extent::new(3, 4).unwrap(), flags: WriteFlags::UNMAP }).unwrap();
    ok(&mut rig, &[0]);
    assert_eq!(rig.entries(), ["zeroes 3+4"]);
    assert_eq!(rig.log.seen().len(), 6 * 512);
}

#[test]
fn nothing_after_a_failed_log_write_is_done() {
    for ordering in BOTH {
        let mut rig = rig::<8>(ordering);
        for tag in 0..4 {
            rig.write(tag, at(u64::try_from(tag).unwrap()), FUA).unwrap();
        }
        rig.hold_log(true);
        ok(&mut rig, &[0, 1, 2]);
        rig.log_complete(1, Outcome::Failed).unwrap();
        rig.hold_log(false);
        ok(&mut rig, &[3]);
        assert_eq!(rig.write(5, at(5), NONE), Err(SubmitError::LogFailed));
        let failed = Err(OpError::Log);
        let mut done = rig.done.clone();
        done.sort_unstable_by_key(|(tag, _)| *tag);
        assert_eq!(done, [(0, Ok(())), (1, failed), (2, failed), (3, failed)], "{ordering:?}");
        rig.finish();
        assert!(rig.is_finished);
        assert_eq!(rig.counted(), ["FUA0"]);
    }
}

#[test]
fn a_log_is_continued_where_it_ended() {
    for ordering in BOTH {
        let mut rig = rig::<8>(ordering);
        write(&mut rig, &[0, 1]);
        ok(&mut rig, &[0, 1]);
        rig.finish();
        let (nr_entries, end_bytes) = (rig.logger.nr_entries(), rig.logger.end_bytes());
        let before = rig.counted();
        let mut rig = Rig::<8>::resume(config(ordering), rig.log.seen().to_vec()).unwrap();
        assert_eq!((rig.logger.nr_entries(), rig.logger.end_bytes()), (nr_entries, end_bytes));
        assert!(rig.logger.is_unflushed(), "something follows the last FLUSH");
        flush(&mut rig, 2);
        ok(&mut rig, &[2]);
        assert!(!rig.logger.is_unflushed());
        write(&mut rig, &[3]);
        ok(&mut rig, &[3]);
        flush(&mut rig, 4);
        ok(&mut rig, &[4]);
        let after = rig.counted();
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()..], ["FLUSH", "W3", "FLUSH"], "{ordering:?}");
    }
}

#[test]
fn the_log_that_ends_with_a_flush_needs_no_other() {
    let mut rig = rig::<8>(Ordering::Completion);
    write(&mut rig, &[0]);
    ok(&mut rig, &[0]);
    flush(&mut rig, 1);
    ok(&mut rig, &[1]);
    rig.finish();
    let mut rig = Rig::<8>::resume(config(Ordering::Completion), rig.log.seen().to_vec()).unwrap();
    assert!(!rig.logger.is_unflushed());
    flush(&mut rig, 0);
    ok(&mut rig, &[0]);
    assert!(rig.is_done(0));
    assert_eq!(rig.counted(), ["W0", "FLUSH"]);
}

#[test]
fn closing() {
    for (ordering, entries) in
        [(Ordering::Completion, vec!["W0"]), (Ordering::Durability, vec!["W0", "mark dm-log-writes-end"])]
    {
        let mut rig = rig::<8>(ordering);
        write(&mut rig, &[0]);
        rig.finish();
        assert!(!rig.is_finished, "what is in flight still completes");
        assert_eq!(rig.submit(1, Op::Flush), Err(SubmitError::Closed));
        ok(&mut rig, &[0]);
        assert!(rig.is_finished && rig.is_done(0));
        assert_eq!(rig.counted(), entries);
        assert!(rig.log.holds_durably(0, rig.log.seen()));
    }
}

#[test]
fn a_session_without_operations_leaves_an_empty_log() {
    let mut rig = rig::<8>(Ordering::Completion);
    rig.finish();
    assert!(rig.is_finished);
    assert_eq!(rig.log.seen().len(), 512);
    assert!(rig.counted().is_empty());
}
