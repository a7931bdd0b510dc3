//! Each fault of the peers that docs/format.md lists: the checker sees it in the peer's log, and not in ours, after the same
//! events.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use logwrites_core::geometry::MAX_OFFSET_BYTES;
use logwrites_core::{Config, Extent, Op, Ordering, Outcome, SectorSize};
use logwrites_tests::checker::{What, decode};
use logwrites_tests::peers::{
    Event, FLUSH, KernelRecorder, OurRecorder, Played, QemuRecorder, Recorder, fua, ok, play, write,
};
use logwrites_tests::rule::Rule;

const SIZE: SectorSize = SectorSize::B512;
const ROOMY: u64 = MAX_OFFSET_BYTES;

fn kernel() -> KernelRecorder {
    KernelRecorder::new(SIZE, ROOMY)
}

fn qemu() -> QemuRecorder {
    QemuRecorder::new(SIZE, ROOMY)
}

/// Our logger keeps every rule in both orderings; gives both.
fn ours_holds(capacity_bytes: u64, script: &[Event]) -> [Played; 2] {
    [Ordering::Completion, Ordering::Durability].map(|ordering| {
        let config = Config { ordering, capacity_bytes, ..Config::new(SIZE) };
        let played = play(&mut OurRecorder::new(config).unwrap(), script);
        assert_eq!(played.broken(), [], "{ordering:?} {:?}\n{}", played.wrongs, played.model);
        played
    })
}

/// The peer breaks the rule, our logger none.
fn shows(mut peer: impl Recorder, rule: Rule, script: &[Event]) -> [Played; 2] {
    let played = play(&mut peer, script);
    assert!(played.broken().contains(&rule), "{:?}\n{}", played.broken(), played.model);
    ours_holds(ROOMY, script)
}

fn whats(played: &Played) -> Vec<What> {
    decode(&played.evidence()).unwrap().into_iter().map(|entry| entry.what).collect()
}

/// Fault 1.
#[test]
fn a_fua_of_linux_overtakes_the_write_below_it() {
    shows(kernel(), Rule::Order, &[write(0, 1), ok(0), fua(0, 1), ok(1), FLUSH, ok(2), Event::Finish]);
}

/// Fault 1, as a replay sees it.
#[test]
fn a_fua_of_linux_is_lost_in_a_replay() {
    shows(kernel(), Rule::Content, &[write(0, 1), ok(0), fua(0, 1), ok(1), FLUSH, ok(2), Event::Finish]);
}

/// Fault 2.
#[test]
fn two_flushes_of_linux_log_older_data_after_newer() {
    let script = [write(0, 1), ok(0), FLUSH, write(0, 1), ok(2), FLUSH, ok(3), ok(1), Event::Finish];
    shows(kernel(), Rule::Order, &script);
    shows(kernel(), Rule::Content, &script);
}

/// Fault 2, where nothing overlaps.
#[test]
fn two_flushes_of_linux_leave_what_the_second_covers_after_it() {
    let script = [write(0, 1), ok(0), FLUSH, write(4, 1), ok(2), FLUSH, ok(3), ok(1), Event::Finish];
    shows(kernel(), Rule::UnderClaim, &script);
}

/// Fault 2: a crash between the two flushes.
#[test]
fn two_flushes_of_linux_lose_what_was_acknowledged() {
    let script = [write(0, 1), ok(0), FLUSH, write(4, 1), ok(2), FLUSH, ok(3), fua(8, 1), ok(4)];
    shows(kernel(), Rule::UnderClaim, &script);
}

/// Fault 3.
#[test]
fn a_flush_of_qemu_claims_what_completed_while_it_was_in_flight() {
    shows(qemu(), Rule::OverClaim, &[write(0, 1), FLUSH, ok(0), ok(1), Event::Finish]);
    shows(qemu(), Rule::OverClaim, &[write(0, 1), ok(0), write(1, 1), FLUSH, ok(1), ok(2), Event::Finish]);
}

#[test]
fn a_failed_write_is_logged_by_both_peers() {
    let script = [write(0, 2), Event::Complete(0, Outcome::Failed), FLUSH, ok(1), Event::Finish];
    shows(kernel(), Rule::FailedLogged, &script);
    let ours = shows(qemu(), Rule::FailedLogged, &script);
    for played in ours {
        assert!(matches!(whats(&played)[0], What::Indeterminate(_)));
    }
}

#[test]
fn a_failed_log_write_of_qemu_leaves_a_hole() {
    let script = [
        write(0, 1),
        ok(0),
        FLUSH,
        ok(1),
        Event::FailLog(true),
        write(1, 1),
        ok(2),
        Event::FailLog(false),
        write(2, 1),
        ok(3),
        FLUSH,
        ok(4),
        Event::Finish,
    ];
    let ours = shows(qemu(), Rule::Parse, &script);
    for played in &ours {
        assert!(matches!(whats(played)[..2], [What::Mutation(_), What::Flush]), "it reads up to the failure");
    }
    assert_eq!(ours[0].refused, [3, 4], "the log has failed, and says so");
}

/// Linux stops logging and does not report it: what a client was told to be durable is in no log.
#[test]
fn a_failed_log_write_of_linux_is_not_reported() {
    let script = [fua(0, 1), ok(0), Event::FailLog(true), write(1, 1), ok(1), FLUSH, ok(2), Event::Finish];
    shows(kernel(), Rule::UnderClaim, &script);
}

const SMALL: u64 = 12 * 512;

/// More than a small log can hold.
fn overflow(first: Event) -> Vec<Event> {
    let mut script = vec![first, ok(0)];
    for name in 1..8 {
        script.extend([write(u64::try_from(name).unwrap(), 2), ok(name)]);
    }
    script.extend([FLUSH, ok(8), Event::Finish]);
    script
}

#[test]
fn a_full_log_of_linux_is_not_reported() {
    let script = overflow(fua(0, 1));
    let peer = play(&mut KernelRecorder::new(SIZE, SMALL), &script);
    assert!(peer.refused.is_empty() && peer.broken().contains(&Rule::LoggedOnce), "{:?}", peer.broken());
    for played in ours_holds(SMALL, &script) {
        assert!(!played.refused.is_empty() && played.is_whole);
    }
}

#[test]
fn a_full_log_of_linux_cannot_be_read() {
    let script = overflow(write(0, 1));
    let peer = play(&mut KernelRecorder::new(SIZE, SMALL), &script);
    assert_eq!(peer.broken(), [Rule::Parse]);
    ours_holds(SMALL, &script);
}

#[test]
fn a_full_log_of_qemu_refuses_what_it_has_written() {
    let script = overflow(write(0, 2));
    let peer = play(&mut QemuRecorder::new(SIZE, SMALL), &script);
    assert!(peer.refused.is_empty() && peer.broken().contains(&Rule::Content), "{:?}", peer.broken());
    for played in ours_holds(SMALL, &script) {
        assert!(!played.refused.is_empty() && played.is_whole);
        let written = played.model.records().filter(|(_, record)| record.is_mutation()).count();
        assert_eq!(written, 8 - played.refused.len(), "the data device has seen nothing of what was refused");
    }
}

#[test]
fn an_ignored_discard_is_logged_by_linux() {
    let discard = Event::Submit(Op::Discard { extent: Extent::between(2, 5) });
    let script = [discard, Event::Complete(0, Outcome::Ignored), FLUSH, ok(1), Event::Finish];
    shows(kernel(), Rule::FailedLogged, &script);
    shows(kernel(), Rule::Content, &script);
}

#[test]
fn a_zero_length_write_of_qemu_is_an_entry_of_zeros() {
    shows(qemu(), Rule::Parse, &[write(0, 0), write(1, 1), ok(1), FLUSH, ok(2), Event::Finish]);
}

#[test]
fn a_flush_of_linux_does_not_update_the_superblock() {
    shows(kernel(), Rule::Parse, &[write(0, 1), ok(0), FLUSH, ok(1)]);
    shows(kernel(), Rule::UnderClaim, &[fua(4, 1), ok(0), write(0, 1), ok(1), FLUSH, ok(2)]);
}

/// One operation at a time, nothing fails: then the peers are right, and the checker says so.
#[test]
fn the_peers_are_right_where_nothing_is_in_flight_together() {
    let discard = Event::Submit(Op::Discard { extent: Extent::between(2, 5) });
    let script =
        [write(0, 4), ok(0), discard, ok(1), FLUSH, ok(2), write(3, 2), ok(3), FLUSH, ok(4), Event::Finish];
    assert_eq!(play(&mut kernel(), &script).broken(), []);
    assert_eq!(play(&mut qemu(), &script).broken(), []);
    ours_holds(ROOMY, &script);
    let same = |ordering, peer: &Played| {
        let config = Config { ordering, ..Config::new(SIZE) };
        assert_eq!(play(&mut OurRecorder::new(config).unwrap(), &script).log, peer.log, "{ordering:?}");
    };
    same(Ordering::Completion, &play(&mut qemu(), &script));
    same(Ordering::Durability, &play(&mut kernel(), &script));
}
