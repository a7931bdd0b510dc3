//! redb, on a file: an example of an engine with a trait for its storage.
//!
//! The newest release survives every crash of a hundred transactions. An older one did not survive a crash that keeps the
//! header and loses the extension of the file, which was fixed in June 2026.
#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Instant;

use logwrites_check::{Crash, File, Files, Outcome, Profile, files};

/// One file as the storage of redb.
#[derive(Debug)]
struct Storage(File);

impl redb::StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

impl redb_3::StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

/// What is in a transaction: a number, and as many bytes as make the file grow now and then.
fn value_of(number: u64) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; 100 + usize::try_from(number % 7).unwrap() * 700]
}

/// A workload and a check for one release.
macro_rules! release {
    ($name:ident, $redb:ident) => {
        mod $name {
            use super::*;
            use $redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

            const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("numbers");

            fn open(file: File) -> Result<Database, $redb::DatabaseError> {
                Builder::new().set_cache_size(0).create_with_backend(Storage(file))
            }

            /// So many transactions, with a mark after each.
            pub(super) fn work(files: &Files, nr_transactions: u64) -> Outcome {
                let database = open(files.create_new("db")?)?;
                files.sync()?;
                for number in 0..nr_transactions {
                    let transaction = database.begin_write()?;
                    transaction.open_table(TABLE)?.insert(number, value_of(number).as_slice())?;
                    transaction.commit()?;
                    files.mark(&format!("{number}"));
                }
                // As if the process were killed: what closing would write is no part of it.
                std::mem::forget(database);
                Ok(())
            }

            /// What was marked is there; what is there is a prefix of the transactions, and whole.
            pub(super) fn check(crash: &Crash<Files>) -> Outcome {
                let marked = crash.last_mark().map(str::parse::<u64>).transpose()?;
                let Ok(file) = crash.files().open("db") else {
                    assert_eq!(marked, None);
                    return Ok(());
                };
                let database = match open(file) {
                    Ok(database) => database,
                    // Before the first transaction there need not be a database yet.
                    Err(_) if marked.is_none() => return Ok(()),
                    Err(error) => return Err(error.into()),
                };
                let mut nr_found = 0;
                let transaction = database.begin_read()?;
                match transaction.open_table(TABLE) {
                    Ok(table) => {
                        for entry in table.iter()? {
                            let (number, value) = entry?;
                            assert_eq!(number.value(), nr_found);
                            assert_eq!(value.value(), value_of(nr_found));
                            nr_found += 1;
                        }
                    }
                    Err($redb::TableError::TableDoesNotExist(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                drop(transaction);
                std::mem::forget(database);
                assert!(
                    Some(nr_found) > marked,
                    "{nr_found} transactions are there, and number {marked:?} was committed"
                );
                Ok(())
            }
        }
    };
}

release!(newest, redb);
release!(before_the_fix, redb_3);

#[test]
fn the_newest_release_survives_every_crash_of_a_hundred_transactions() {
    for profile in [Profile::Strict, Profile::Ordered] {
        let began = Instant::now();
        let recording = files().profile(profile).record(|files| newest::work(files, 100));
        let report = recording.survives(newest::check);
        println!("{profile:?}: {:.1} s", began.elapsed().as_secs_f64());
        assert!(report.is_decided());
        assert!(began.elapsed().as_secs() < 60);
    }
}

#[test]
fn an_older_release_cannot_be_opened_when_the_header_is_kept_and_the_extension_lost() {
    let recording = files().record(|files| before_the_fix::work(files, 100));
    let failure = recording.search(before_the_fix::check).unwrap_err();
    println!("{failure}");
    assert_eq!(failure.nr_lost(), 1, "{failure}");
    assert!(failure.to_string().contains("the length of db"), "{failure}");
}

/// A crash, and another one while the first is recovered from.
#[test]
fn the_newest_release_survives_crashes_of_its_recovery() {
    let recording = files().record(|files| newest::work(files, 12)).nested(1);
    let report = recording.survives(newest::check);
    assert!(report.is_decided() && !report.nested().is_zero());
}

/// Transactions of all kinds: durable or not, in one phase or two, with the state of the allocator or without, aborted; and
/// the file made smaller in between.
#[test]
fn the_newest_release_survives_whatever_the_kind_of_a_transaction() {
    for seed in [6, 17, 20, 28, 52] {
        let snapshots = Mutex::new(vec![Snapshot::new()]);
        let recording = files().record(|files| mixed(files, seed, &mut snapshots.lock().unwrap()));
        let snapshots = snapshots.into_inner().unwrap();
        let report = recording.survives(|crash| {
            let Some(mark) = crash.last_mark() else { return Ok(()) };
            let found = snapshot(crash.files().open("db")?)?;
            let possible = &snapshots[mark.parse()?..];
            assert!(possible.contains(&found), "it is not as after transaction {mark} or a later one");
            Ok(())
        });
        assert!(report.is_decided());
    }
}

/// What is under each key: a byte, so many times.
type Snapshot = BTreeMap<u64, (u8, usize)>;

const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("bytes");

/// Pushes what there is after each transaction. Marks the number of the last that is durable.
fn mixed(files: &Files, seed: u64, snapshots: &mut Vec<Snapshot>) -> Outcome {
    let mut chance = Chance(seed);
    let mut database = redb::Builder::new().create_with_backend(Storage(files.create_new("db")?))?;
    files.sync()?;
    files.mark("0");
    for _ in 0..15 {
        if chance.below(12) == 0 {
            database.compact()?;
            continue;
        }
        let mut transaction = database.begin_write()?;
        let is_durable = chance.below(4) > 0;
        if is_durable {
            transaction.set_quick_repair(chance.below(4) == 0);
            transaction.set_two_phase_commit(chance.below(3) == 0);
        } else {
            transaction.set_durability(redb::Durability::None)?;
        }
        let is_aborted = chance.below(10) == 0;
        let mut next = snapshots.last().unwrap().clone();
        let mut table = transaction.open_table(TABLE)?;
        for _ in 0..=chance.below(2) {
            let (key, byte) = (chance.below(30), u8::try_from(chance.below(250))?);
            if chance.below(3) == 0 {
                table.remove(key)?;
                next.remove(&key);
            } else {
                let len = [10, 300, 1000, 3000, 20000][usize::try_from(chance.below(5))?];
                table.insert(key, vec![byte; len].as_slice())?;
                next.insert(key, (byte, len));
            }
        }
        drop(table);
        if is_aborted {
            transaction.abort()?;
            continue;
        }
        transaction.commit()?;
        snapshots.push(next);
        if is_durable {
            files.mark(&(snapshots.len() - 1).to_string());
        }
    }
    std::mem::forget(database);
    Ok(())
}

fn snapshot(file: File) -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>> {
    use redb::{ReadableDatabase as _, ReadableTable as _};
    let database = redb::Builder::new().set_cache_size(0).create_with_backend(Storage(file))?;
    let mut found = Snapshot::new();
    if let Ok(table) = database.begin_read()?.open_table(TABLE) {
        for entry in table.iter()? {
            let (key, value) = entry?;
            let (first, all) = (value.value()[0], value.value());
            assert!(all.iter().all(|byte| *byte == first));
            found.insert(key.value(), (first, all.len()));
        }
    }
    std::mem::forget(database);
    Ok(found)
}

/// Numbers by chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
