//! The bodies of the fuzz targets for the tool's own inputs, run by property tests and over the fuzzer's seeds.

use crate::bodies;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_a_script_or_none(bytes in vec(any::<u8>(), 0..400)) {
        bodies::script(&bytes);
    }

    #[test]
    fn any_bytes_are_a_client_or_none(bytes in vec(any::<u8>(), 0..400)) {
        bodies::nbd(&bytes);
    }

    #[test]
    fn any_commands_are_a_script_or_none(choice: u8, text in COMMANDS) {
        bodies::script(&[&[choice], text.as_bytes()].concat());
    }

    #[test]
    fn any_points_are_shown_as_they_are_read(text in POINTS) {
        bodies::script(&[b"\0", text.as_bytes()].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_taken_or_refused(text in WORDS) {
        bodies::replay_log_args(text.as_bytes());
    }
}

/// What a fuzzer has found is among the seeds, under a name that says what was wrong.
#[test]
fn the_fuzzers_seeds_hold() {
    for (target, body) in BODIES {
        let seeds = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut nr_seeds = 0;
        for seed in std::fs::read_dir(&seeds).expect("the seeds") {
            let seed = seed.expect("a seed").path();
            println!("{}", seed.display());
            body(&std::fs::read(seed).expect("a seed"));
            nr_seeds += 1;
        }
        assert!(nr_seeds > 0, "there are seeds in {seeds}");
    }
}

type Body = fn(&[u8]);

/// Each target with seeds here, and its body.
const BODIES: [(&str, Body); 3] =
    [("nbd", bodies::nbd), ("replay_log_args", bodies::replay_log_args), ("script", bodies::script)];

const COMMANDS: &str =
    "((w|write|writev|d|r|f|mark|#)( -[zufnqCP]| 0x[0-9a-f]{1,4}| [0-9]{1,3}[kM]?){0,4}\n){0,6}";

const POINTS: &str = concat!(
    "(([0-9]{1,20}|start|end|(flush|fua):-?[0-9]{1,3}|mark:[a-z%~#0-9A-F\u{e9}]{0,6})",
    "([~+][0-9]{1,3})?\n){0,6}",
);

const WORDS: &str = "((--)?[a-z-]{1,9}(=[a-z0-9]{0,3})?\n){0,6}";
