//! Engines on files: what each profile may lose, and what it may not.
#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;

use logwrites_check::{Crash, Files, Outcome, Profile, files};

/// Everything that a crash of a workload leaves, as a checker describes it. It reads all that it describes, so each
/// distinct description is of a state that was run.
fn outcomes(
    profile: Profile,
    workload: impl FnOnce(&Files) -> Outcome,
    describe: impl Fn(&Files) -> String + Sync,
) -> BTreeSet<String> {
    let seen = Mutex::new(BTreeSet::new());
    let report = files().profile(profile).record(workload).survives(|crash: &Crash<Files>| {
        let marks = crash.marks().concat();
        seen.lock().unwrap().insert(format!("{marks}{}", describe(crash.files())));
        Ok(())
    });
    assert!(report.is_decided(), "{report}");
    seen.into_inner().unwrap()
}

/// `name=content` of each file, zeros as dots.
fn contents(files: &Files) -> String {
    let mut text = String::new();
    for name in files.names().unwrap() {
        let file = files.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        let content = String::from_utf8(bytes).unwrap().replace('\0', ".");
        text.extend([" ", &name, "=", &content]);
    }
    text
}

fn set(states: &[&str]) -> BTreeSet<String> {
    states.iter().map(|state| (*state).to_owned()).collect()
}

#[test]
fn a_new_file_loses_its_name_its_length_and_its_bytes_apart() {
    let workload = |files: &Files| Ok(files.create("a")?.write_at(b"xy", 0)?);
    let strict = outcomes(Profile::Strict, workload, contents);
    assert_eq!(strict, set(&["", " a=", " a=..", " a=xy"]));
    let ordered = outcomes(Profile::Ordered, workload, contents);
    assert_eq!(ordered, set(&["", " a=", " a=xy"]), "never a length without its bytes");
}

#[test]
fn what_is_synced_stays() {
    for profile in [Profile::Strict, Profile::Ordered] {
        let states = outcomes(
            profile,
            |files| {
                let file = files.create("a")?;
                files.sync()?;
                file.write_at(b"xy", 0)?;
                file.sync_data()?;
                files.mark("synced");
                file.write_at(b"z", 0)?;
                Ok(())
            },
            contents,
        );
        let synced: Vec<_> = states.iter().filter(|state| state.starts_with("synced")).collect();
        assert_eq!(synced, ["synced a=xy", "synced a=zy"], "{profile:?}");
    }
}

#[test]
fn a_sync_of_one_file_leaves_the_others_and_the_names_as_they_are() {
    let workload = |files: &Files| {
        let (a, b) = (files.create("a")?, files.create("b")?);
        files.sync()?;
        b.write_at(b"b", 0)?;
        a.write_at(b"a", 0)?;
        files.rename("b", "c")?;
        a.sync_all()?;
        files.mark("synced");
        Ok(())
    };
    let strict = outcomes(Profile::Strict, workload, contents);
    let synced: BTreeSet<String> = strict.into_iter().filter(|state| state.starts_with("synced")).collect();
    let with_b = ["", ".", "b"].map(|b| [format!("synced a=a b={b}"), format!("synced a=a c={b}")]);
    assert_eq!(
        synced,
        with_b.into_iter().flatten().collect(),
        "b may be as it was or in part, under either name"
    );
    let ordered = outcomes(Profile::Ordered, workload, contents);
    let synced: Vec<_> = ordered.iter().filter(|state| state.starts_with("synced")).collect();
    assert_eq!(synced, ["synced a=a c=b"], "its length has changed: the journal is written as a whole");
}

#[test]
fn the_order_of_names_is_kept_where_it_is_ordered() {
    let workload = |files: &Files| {
        for name in ["a", "b", "c"] {
            files.create_new(name)?;
        }
        files.remove("a")?;
        Ok(())
    };
    let names = |files: &Files| files.names().unwrap().concat();
    assert_eq!(outcomes(Profile::Ordered, workload, names), set(&["", "a", "ab", "abc", "bc"]));
    let strict = outcomes(Profile::Strict, workload, names);
    assert_eq!(strict, set(&["", "a", "b", "c", "ab", "ac", "bc", "abc"]));
}

#[test]
fn a_renaming_is_one_step() {
    let workload = |files: &Files| {
        for (name, content) in [("db", b"old"), ("tmp", b"new")] {
            let file = files.create(name)?;
            file.write_at(content, 0)?;
            file.sync_all()?;
        }
        files.sync()?;
        files.mark("!");
        files.rename("tmp", "db")?;
        Ok(())
    };
    for profile in [Profile::Strict, Profile::Ordered] {
        let states = outcomes(profile, workload, contents);
        let last: Vec<_> = states.iter().filter(|state| state.starts_with('!')).collect();
        assert_eq!(last, ["! db=new", "! db=old tmp=new"], "{profile:?}");
    }
}

#[test]
fn a_file_that_was_cut_and_grows_again_reads_as_zeros() {
    let workload = |files: &Files| {
        let file = files.create("a")?;
        file.write_at(b"abcdef", 0)?;
        file.sync_all()?;
        files.sync()?;
        files.mark("!");
        file.set_len(2)?;
        file.set_len(4)?;
        file.write_at(b"z", 5)?;
        assert_eq!(contents(files), " a=ab...z".replace('\0', "."));
        Ok(())
    };
    let ordered = outcomes(Profile::Ordered, workload, contents);
    let last: BTreeSet<_> = ordered.into_iter().filter(|state| state.starts_with('!')).collect();
    assert_eq!(last, set(&["! a=abcdef", "! a=ab", "! a=ab..", "! a=ab...z"]));
    let strict = outcomes(Profile::Strict, workload, contents);
    let last: BTreeSet<_> = strict.into_iter().filter(|state| state.starts_with('!')).collect();
    assert_eq!(last, set(&["! a=abcdef", "! a=ab", "! a=ab..", "! a=ab....", "! a=ab...z"]));
}

#[test]
fn what_a_lost_length_hid_is_not_seen_when_the_file_grows_again() {
    let report = files()
        .record(|files| {
            let file = files.create("a")?;
            files.sync()?;
            Ok(file.write_at(b"secret", 0)?)
        })
        .survives(|crash| {
            if let Ok(file) = crash.files().open("a")
                && file.len()? == 0
            {
                file.set_len(6)?;
                let mut bytes = [9; 6];
                file.read_at(&mut bytes, 0)?;
                assert_eq!(bytes, [0; 6]);
            }
            Ok(())
        });
    assert!(report.is_decided());
}

#[test]
fn a_recovery_of_files_is_crashed_too() {
    // What was not committed is cut off. A crash of that leaves it, or does not.
    let recording = files().record(|files| {
        let file = files.create("log")?;
        files.sync()?;
        file.write_at(&[b'x'; 5000], 0)?;
        file.sync_data()?;
        files.mark("written");
        Ok(())
    });
    let cut = |crash: &Crash<Files>| {
        let Ok(file) = crash.files().open("log") else { return Ok(()) };
        if file.len()? > 4096 {
            file.set_len(4096)?;
            crash.files().create("note")?.write_at(b"cut", 0)?;
            crash.files().sync()?;
            file.sync_data()?;
        }
        assert!(!crash.is_marked("written") || file.len()? == 4096);
        Ok(())
    };
    let report = recording.nested(1).survives(cut);
    assert!(!report.nested().is_zero(), "{report}");
    assert!(report.is_decided());
}

/// A file is what a plain model of it says, whatever is done to it, also across many journals.
#[test]
fn files_are_what_a_plain_model_says() {
    use proptest::prelude::*;
    let act = (0u8..8, 0usize..3, 0usize..9000, 1usize..6000, any::<u8>());
    proptest!(|(acts in proptest::collection::vec(act, 1..120), is_strict in any::<bool>())| {
        let profile = if is_strict { Profile::Strict } else { Profile::Ordered };
        let mut model: std::collections::BTreeMap<String, Vec<u8>> = std::collections::BTreeMap::new();
        let recording = files().profile(profile).record(|files| {
            for (verb, which, at, len, byte) in acts {
                let name = ["a", "b", "c"][which].to_owned();
                let other = ["b", "c", "a"][which].to_owned();
                match verb {
                    0 => { files.create(&name)?; model.insert(name, Vec::new()); }
                    1 if model.contains_key(&name) => {
                        files.rename(&name, &other)?;
                        let content = model.remove(&name).unwrap();
                        model.insert(other, content);
                    }
                    2 if model.contains_key(&name) && at % 4 == 0 => { files.remove(&name)?; model.remove(&name); }
                    3 => files.sync()?,
                    _ => {
                        let Some(content) = model.get_mut(&name) else { continue };
                        let file = files.open(&name)?;
                        match verb {
                            4 => { file.set_len(at.try_into()?)?; content.resize(at, 0); }
                            5 => file.sync_data()?,
                            _ => {
                                file.write_at(&vec![byte; len], at.try_into()?)?;
                                content.resize(content.len().max(at + len), 0);
                                content[at..at + len].fill(byte);
                            }
                        }
                    }
                }
            }
            Ok(())
        });
        // The end is the first state that is run.
        let found = Mutex::new(Vec::new());
        recording.limit(1).survives(|crash| {
            for name in crash.files().names()? {
                let file = crash.files().open(&name)?;
                let mut bytes = vec![9; file.len()?.try_into()?];
                file.read_at(&mut bytes, 0)?;
                found.lock().unwrap().push((name, bytes));
            }
            Ok(())
        });
        prop_assert_eq!(found.into_inner().unwrap(), model.into_iter().collect::<Vec<_>>());
    });
}
