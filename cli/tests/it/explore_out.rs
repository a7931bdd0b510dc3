//! What `logwrites explore` keeps of an exploration, and what is made of it.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::golden::golden;
use crate::common::{Folder, Ran};

use serde_json::Value;

/// A store whose header says that its data is there, and that forgets the flush between them.
fn store() -> Folder {
    let folder = Folder::new();
    let rounds = (1..=4).map(|nth| format!("write -P {nth} {}k 4k\nwrite -P {nth} 0 512\nflush\n", 64 * nth));
    folder.record("disk --create 1M --log log", &rounds.collect::<String>());
    folder
}

/// It writes to the disk, too, as a recovery would.
const INTACT: &str = r#"
    header=$(od -An -tu1 -N1 "$CRASH_IMAGE" | tr -d ' ')
    printf x | dd of="$CRASH_IMAGE" conv=notrunc bs=512 seek=7 2>/dev/null
    dd if="$CRASH_IMAGE" bs=4k skip=$((header * 16)) count=1 2>/dev/null | tr -d '\0' | grep -q . ||
        [ "$header" = 0 ] || { echo "no data"; exit 1; }"#;

fn explore(folder: &Folder, args: &[&str]) -> Ran {
    let explore = ["explore", "log", "--size", "1M", "--json", "--check", INTACT];
    folder.run_of(explore.iter().chain(args))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it is there")).expect("it is JSON")
}

#[test]
fn all_that_shows_a_failure_is_kept() {
    let folder = store();
    let printed = explore(&folder, &["--out", "dir"]).code(1).json();
    let plan = json(&folder.path("dir/plan.json"));
    let sums = Command::new("sha256sum").arg(folder.path("log")).output().expect("sha256sum runs");
    let sum = String::from_utf8(sums.stdout).expect("digits");
    assert_eq!(plan["log"]["sha256"].as_str(), sum.split_whitespace().next());
    let failure = json(&folder.path("dir/failures/1/failure.json"));
    assert_eq!((&failure["state"], &failure["passing"]), (&"2^0".into(), &"2".into()), "{failure}");
    let block = &failure["blocks"][0];
    assert_eq!((&block["offset_bytes"], &failure["blocks"][1]), (&65536.into(), &Value::Null));
    assert_eq!(block["passing"].as_str(), Some(&*"01".repeat(4096)));
    assert_eq!(block["failing"].as_str(), Some(&*"00".repeat(4096)));
    assert_eq!(printed[0]["findings"][0]["blocks"], failure["blocks"]);
    assert_eq!(folder.read("dir/failures/1/output.txt"), b"no data");
    assert!(!folder.path("dir/failures/2").exists());
    folder.run("replay log --size 1M --at 2^0 --output crashed").code(0);
    assert_eq!(folder.read("dir/failures/1/crash.img"), folder.read("crashed"));
    folder.run("replay dir/failures/1/written.log --onto crashed").code(0);
    assert_eq!(folder.read("crashed")[7 * 512..][..2], *b"x\0");
    let told = folder.run("explore report dir --json").code(0);
    assert_eq!(told.json(), printed);
    let made = folder.run("explore report dir --html page.html --junit tests.xml").code(0);
    assert!(made.stdout.contains("failed"), "{made:#?}");
    let html = String::from_utf8(folder.read("page.html")).expect("text");
    for part in
        ["<title>", "the least that fails so: a crash at point 2", "entry 0, a write of 4.00 KiB", "<svg"]
    {
        assert!(html.contains(part), "no {part}");
    }
    let xml = String::from_utf8(folder.read("tests.xml")).expect("text");
    assert!(xml.contains("<testsuite ") && xml.contains("<failure"), "{xml}");
    folder.run("explore report dir --html page.html").code(2).says(&["page.html exists", "--force"]);
    folder.run("explore report dir --html page.html --force").code(0);
    let page = folder.run("explore report dir").code(0);
    assert!(page.stdout.contains("lost: entry 0, a write of 4.00 KiB at sector 128"), "{page:#?}");
}

#[test]
fn a_folder_without_results_says_what_to_do() {
    let folder = store();
    explore(&folder, &["--out", "dir", "--budget", "3"]).code(0);
    fs::remove_file(folder.path("dir/results.json")).expect("it is there");
    folder.run("explore report dir").code(2).says(&["dir has no results", "--resume"]);
    folder.run("explore report nothing").code(3).says(&["nothing/plan.json"]);
    explore(&folder, &["--out", "dir", "--resume", "--seed", "1"]).code(2).says(&["another --seed"]);
    explore(&folder, &["--out", "dir", "--resume"]).code(1);
    folder.run("explore report dir").code(0);
}

/// Of a real log, each part by its own.
#[test]
fn merged_parts_are_what_one_exploration_finds() {
    let folder = golden("ext4-64m");
    let explore = "explore log --base base --check ext4 --from mark:mkfs --json";
    let whole = folder.run(&format!("{explore} --out whole")).code(0).json();
    for part in ["1", "2", "3"] {
        folder.run(&format!("{explore} --partition {part}/3 --out part{part}")).code(0);
    }
    let merged = folder.run("explore merge part3 part1 part2 --out merged --json").code(0).json();
    for name in ["verdict", "groups", "groups_decided", "states", "decided", "failing", "findings"] {
        assert_eq!(merged[0][name], whole[0][name], "{name}");
    }
    let groups = |dir: &str| json(&folder.path(dir).join("results.json"))["checks"][0]["by_group"].clone();
    assert_eq!(groups("merged"), groups("whole"));
    let refused = |args: &str, texts: &[&str]| {
        folder.run(&format!("explore merge {args} --out other")).code(2).says(texts);
        assert!(!folder.path("other").exists());
    };
    refused("part1 part3", &["part 2/3 is missing"]);
    refused("part1 part2 part2 part3", &["part2 and part2 are the same part"]);
    refused("part1 part2 part3 whole", &["another number of parts"]);
    folder.run(&format!("{explore} --seed 7 --partition 2/3 --out other2")).code(0);
    refused("part1 other2 part3", &["another --seed"]);
    folder.run("explore merge part1 part2 part3 --out merged").code(2).says(&["merged is not empty"]);
    // A merged folder is one as any other.
    let again = folder.run(&format!("{explore} --out merged --resume")).code(0).json();
    assert_eq!((&again[0]["verdict"], &again[0]["runs"]), (&"proved".into(), &0.into()));
}

#[test]
fn merged_findings_are_what_one_exploration_finds() {
    let folder = store();
    let whole = explore(&folder, &["--out", "whole"]).code(1).json();
    for part in ["1", "2", "3"] {
        let (part, dir) = (format!("{part}/3"), format!("part{part}"));
        let ran = explore(&folder, &["--partition", &part, "--out", &dir]);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:#?}");
    }
    let merged = folder.run("explore merge part1 part2 part3 --out merged --json").code(1).json();
    let (whole, merged) = (&whole[0]["findings"], &merged[0]["findings"]);
    assert_eq!(merged, whole);
    let failure = "failures/1/crash.img";
    assert_eq!(folder.read(&format!("merged/{failure}")), folder.read(&format!("whole/{failure}")));
}

/// Without writes that are lost, the states are the images that xfstests' replay-log makes, and no others.
#[test]
fn ordered_states_are_the_images_of_replay_log() {
    let folder = store();
    let check = format!("sha256sum <\"$CRASH_IMAGE\" >>{}", folder.path("seen").display());
    let ran = folder.run_of(["explore", "log", "--size", "1M", "--model", "ordered", "--check", &check]);
    assert!(ran.code(0).stdout.contains("proved"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let seen = lines(&String::from_utf8(folder.read("seen")).expect("digits"));
    let sum = |name: &str| {
        let sum = Command::new("sh").args(["-c", "sha256sum <\"$0\""]).arg(folder.path(name)).output();
        String::from_utf8(sum.expect("sha256sum runs").stdout).expect("digits")
    };
    folder.write("device", vec![0; 1 << 20]);
    let mut images = lines(&sum("device"));
    for limit in 1..=12 {
        folder.write("device", vec![0; 1 << 20]);
        folder.run(&format!("replay-log --log log --replay device --limit {limit}")).code(0);
        images.extend(lines(&sum("device")));
    }
    assert_eq!(seen, images);
    assert_eq!(seen.len(), 9, "of four rounds of two writes each");
}

/// The demo ends with the two writes of which it may lose neither.
#[cfg(feature = "demo")]
#[test]
fn the_demo_shows_which_writes_may_not_be_lost() {
    let folder = Folder::new();
    let ran = folder.run("demo dir").code(0);
    for part in [
        "photo.raw     150000 bytes  restored, now deleted",
        "data of /notes.txt at byte 0, after mark first-files",
        "notes.txt is neither old nor new: \"buy oat m\"",
        "Try next:",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran:#?}");
    }
    let again = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("again: logwrites "));
    let again = format!(
        "logwrites() {{ {} \"$@\"; }}; logwrites {}",
        env!("CARGO_BIN_EXE_logwrites"),
        again.expect("a command")
    );
    let shown = Ran::of(Command::new("sh").args(["-c", &again]).current_dir(folder.path(""))).code(1);
    assert!(shown.stdout.contains("neither old nor new"), "{shown:#?}");
}

/// The budget is for the search: the causes of what it has found are worth as much again.
#[test]
fn what_is_found_within_a_budget_has_its_cause() {
    let folder = store();
    let ran = explore(&folder, &["--jobs", "1", "--budget", "8"]).code(1).json();
    assert!(
        ran[0]["groups_decided"].as_u64() < ran[0]["groups"].as_u64(),
        "the budget has ended it: {ran:?}"
    );
    let finding = &ran[0]["findings"][0];
    assert_eq!((&finding["state"], &finding["one_minimal"]), (&"2^0".into(), &true.into()), "{finding}");
    assert!(ran[0]["runs"].as_u64() <= Some(16), "{ran:?}");
}
