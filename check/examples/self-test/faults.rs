//! Small storage engines, each with a fault that can be planted.

#![allow(clippy::panic_in_result_fn, clippy::little_endian_bytes, reason = "engines as people write them")]

use std::io;

use logwrites_check::{Crash, CrashFailure, Disk, Report, disk, files};

/// A fault, and the engine that has it.
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// Checks the engine, with the fault or without.
    pub(crate) run: fn(is_planted: bool) -> Result<Report, Box<CrashFailure>>,
}

/// All of them.
pub(crate) const FAULTS: &[Fault] = &[
    Fault { name: "a forgotten flush", run: forgotten_flush },
    Fault { name: "a header written before its data", run: header_before_data },
    Fault { name: "a torn header without a checksum", run: torn_header },
    Fault { name: "a forgotten sync of the folder", run: forgotten_folder_sync },
    Fault { name: "a length that is lost", run: lost_length },
    Fault { name: "a recovery that is not idempotent", run: recovery_twice },
];

/// A number in two places, written by turns. The fault: what was written is said to be durable without a flush.
fn forgotten_flush(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = disk(1 << 20).record(|disk| {
        for number in 1..=30 {
            disk.write_at(&sealed(&[number]), number % 2 * 512)?;
            if !(is_planted && number == 17) {
                disk.flush()?;
            }
            disk.mark(&number.to_string());
        }
        Ok(())
    });
    recording.search(|crash| {
        let copies = [0, 512].map(|place| unsealed(crash.disk(), place, 1));
        let [first, second] = copies.map(|copy| copy.ok().flatten().map_or(0, |words| words[0]));
        assert!(first.max(second) >= marked(crash), "{first} and {second} were found");
        Ok(())
    })
}

/// Records one after the other, counted by a header. The fault: between a record and the header there is no flush.
fn header_before_data(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = disk(1 << 20).record(|disk| {
        for number in 1..=20 {
            disk.write_at(&[number; 512], u64::from(number) * 512)?;
            if !is_planted {
                disk.flush()?;
            }
            disk.write_at(&sealed(&[number.into()]), 0)?;
            disk.flush()?;
            disk.mark(&number.to_string());
        }
        Ok(())
    });
    recording.search(|crash| {
        let nr_records = unsealed(crash.disk(), 0, 1)?.map_or(0, |words| words[0]);
        assert!(nr_records >= marked(crash), "{nr_records} records are counted");
        for number in 1..=nr_records {
            let mut record = [0; 512];
            crash.disk().read_at(&mut record, number * 512)?;
            assert!(record.iter().all(|byte| u64::from(*byte) == number), "record {number} is not there");
        }
        Ok(())
    })
}

/// A header of two sectors, in two places by turns, whose numbers must be equal. The fault: its checksum is not looked at.
fn torn_header(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = disk(1 << 20).record(|disk| {
        for number in 1..=20 {
            disk.write_at(&sealed(&[number; 120]), number % 2 * 1024)?;
            disk.flush()?;
            disk.mark(&number.to_string());
        }
        Ok(())
    });
    recording.torn(512).search(|crash| {
        let mut newest = vec![0; 120];
        for place in [0, 1024] {
            let header = if is_planted {
                words(crash.disk(), place, 120).map(Some)
            } else {
                unsealed(crash.disk(), place, 120)
            };
            newest = newest.max(header?.unwrap_or_default());
        }
        assert!(newest.iter().all(|number| *number == newest[0]), "{} and {}", newest[0], newest[119]);
        assert!(newest[0] >= marked(crash));
        Ok(())
    })
}

/// A file that is replaced as a whole, by renaming. The fault: the folder is not synced.
fn forgotten_folder_sync(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = files().record(|files| {
        for number in 1..=10 {
            let file = files.create("new")?;
            file.write_at(&sealed(&[number]), 0)?;
            file.sync_all()?;
            files.rename("new", "settings")?;
            if !is_planted {
                files.sync()?;
            }
            files.mark(&number.to_string());
        }
        Ok(())
    });
    recording.search(|crash| {
        let number = match crash.files().open("settings") {
            Ok(file) => {
                let mut bytes = [0; 512];
                file.read_at(&mut bytes, 0)?;
                check(&bytes, 1).ok_or("the settings are torn")?[0]
            }
            Err(_) => 0,
        };
        assert!(number >= marked(crash), "the settings are those of {number}");
        Ok(())
    })
}

/// A file that grows ahead of what is stored in it; its header says how far it has grown. The fault: the length is not
/// synced before the header says so.
fn lost_length(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = files().record(|files| {
        let file = files.create("db")?;
        file.write_at(&[0; 1024], 0)?;
        file.sync_all()?;
        files.sync()?;
        files.mark("0");
        for number in 1..=10 {
            file.set_len(1024 + number * 4096)?;
            if !is_planted {
                file.sync_data()?;
            }
            file.write_at(&sealed(&[number]), number % 2 * 512)?;
            file.sync_data()?;
            files.mark(&number.to_string());
        }
        Ok(())
    });
    recording.search(|crash| {
        if crash.last_mark().is_none() {
            return Ok(());
        }
        let file = crash.files().open("db")?;
        let mut bytes = [0; 1024];
        file.read_at(&mut bytes, 0)?;
        let (first, second) = bytes.split_at(512);
        let number = [first, second]
            .map(|half| check(half, 1).map_or(0, |words| words[0]))
            .into_iter()
            .max()
            .unwrap_or(0);
        assert!(number >= marked(crash), "it has grown {number} times");
        assert!(file.len()? >= 1024 + number * 4096, "the file is shorter than its header says");
        Ok(())
    })
}

/// An account with a journal of what is to be paid in. The fault: the journal holds differences, and a recovery that is
/// crashed pays in twice; without it, it holds sums.
fn recovery_twice(is_planted: bool) -> Result<Report, Box<CrashFailure>> {
    let recording = disk(1 << 20).record(|disk| {
        for payment in 1..=5 {
            let balance = words(disk, BALANCE, 1)?[0];
            let entry = if is_planted { payment } else { balance + payment };
            disk.write_at(&sealed(&[entry]), JOURNAL)?;
            disk.flush()?;
            apply(disk, is_planted)?;
            disk.mark(&payment.to_string());
        }
        Ok(())
    });
    recording.nested(1).search(|crash| {
        apply(crash.disk(), is_planted)?;
        let balance = words(crash.disk(), BALANCE, 1)?[0];
        let sums: Vec<u64> = (0..=5).map(|nr_payments| (1..=nr_payments).sum()).collect();
        assert!(sums.contains(&balance), "the balance is {balance}");
        assert!(balance >= (1..=marked(crash)).sum(), "a payment is missing: the balance is {balance}");
        Ok(())
    })
}

/// Does what the journal says, if it says something.
fn apply(disk: &Disk, has_differences: bool) -> io::Result<()> {
    if let Some(entry) = unsealed(disk, JOURNAL, 1)? {
        let before = if has_differences { words(disk, BALANCE, 1)?[0] } else { 0 };
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(&(before + entry[0]).to_le_bytes());
        disk.write_at(&sector, BALANCE)?;
        disk.flush()?;
        disk.write_at(&[0; 512], JOURNAL)?;
        disk.flush()?;
    }
    Ok(())
}

const BALANCE: u64 = 0;
const JOURNAL: u64 = 512;

/// The number of the last mark.
fn marked<D: logwrites_check::Device>(crash: &Crash<D>) -> u64 {
    crash.last_mark().map_or(0, |mark| mark.parse().unwrap_or(0))
}

/// Words with a checksum, in whole sectors.
fn sealed(words: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(checksum(words).to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// So many words from a disk, if their checksum is right.
fn unsealed(disk: &Disk, place: u64, nr_words: usize) -> io::Result<Option<Vec<u64>>> {
    let found = words(disk, place, nr_words + 1)?;
    Ok(split_checksum(found))
}

/// So many words, if their checksum is right.
fn check(bytes: &[u8], nr_words: usize) -> Option<Vec<u64>> {
    split_checksum(words_of(bytes, nr_words + 1))
}

fn split_checksum(mut words: Vec<u64>) -> Option<Vec<u64>> {
    let sum = words.pop();
    Some(words).filter(|words| Some(checksum(words)) == sum)
}

fn words(disk: &Disk, place: u64, nr_words: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; (nr_words * 8).next_multiple_of(512)];
    disk.read_at(&mut bytes, place)?;
    Ok(words_of(&bytes, nr_words))
}

fn words_of(bytes: &[u8], nr_words: usize) -> Vec<u64> {
    let words = bytes.chunks_exact(8).take(nr_words);
    words.map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))).collect()
}

fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}
