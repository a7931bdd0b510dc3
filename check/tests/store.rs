//! An append-only store in a file, with a checksum for each record: it survives everything, its recovery as well.

#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::io;

use logwrites_check::{Crash, File, Files, Outcome, Profile, files};

/// Records of bytes, each after its length and its checksum.
struct Store {
    file: File,
    end: u64,
}

impl Store {
    fn create(files: &Files) -> io::Result<Self> {
        let file = files.create_new("store")?;
        files.sync()?;
        Ok(Self { file, end: 0 })
    }

    /// Opens what is there, and cuts off what is not whole.
    fn open(files: &Files) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let file = files.open("store")?;
        let len = file.len()?;
        let (mut end, mut records) = (0, Vec::new());
        while let Some(record) = read_record(&file, end, len)? {
            end += HEAD_BYTES + u64::try_from(record.len()).unwrap();
            records.push(record);
        }
        if end < len {
            file.set_len(end)?;
            file.sync_data()?;
        }
        Ok((Self { file, end }, records))
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let mut bytes = u64::try_from(record.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(checksum(record).to_le_bytes());
        bytes.extend(record);
        self.file.write_at(&bytes, self.end)?;
        self.file.sync_data()?;
        self.end += u64::try_from(bytes.len()).unwrap();
        Ok(())
    }
}

fn read_record(file: &File, place: u64, end: u64) -> io::Result<Option<Vec<u8>>> {
    if place + HEAD_BYTES > end {
        return Ok(None);
    }
    let mut head = [0; 16];
    file.read_at(&mut head, place)?;
    let [len, sum] = [0, 8].map(|at| u64::from_le_bytes(head[at..at + 8].try_into().unwrap()));
    if len == 0 || len > end - place - HEAD_BYTES {
        return Ok(None);
    }
    let mut record = vec![0; len.try_into().unwrap()];
    file.read_at(&mut record, place + HEAD_BYTES)?;
    Ok(Some(record).filter(|record| checksum(record) == sum))
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(1, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

const HEAD_BYTES: u64 = 16;

fn record_of(number: usize) -> Vec<u8> {
    number.to_string().repeat(number * 97 % 2000 + 1).into_bytes()
}

fn work(files: &Files) -> Outcome {
    let mut store = Store::create(files)?;
    for number in 0..40 {
        store.append(&record_of(number))?;
        files.mark(&number.to_string());
    }
    Ok(())
}

fn check(crash: &Crash<Files>) -> Outcome {
    let marked = crash.last_mark().map(str::parse::<usize>).transpose()?;
    if marked.is_none() && !crash.files().exists("store")? {
        return Ok(());
    }
    let (mut store, records) = Store::open(crash.files())?;
    assert!(
        marked.is_none_or(|last| records.len() > last),
        "{} records, and {marked:?} was appended",
        records.len()
    );
    for (number, record) in records.iter().enumerate() {
        assert_eq!(*record, record_of(number));
    }
    store.append(b"it goes on")?;
    assert_eq!(Store::open(crash.files())?.1.len(), records.len() + 1);
    Ok(())
}

#[test]
fn it_survives_every_crash_whatever_the_profile() {
    for profile in [Profile::Strict, Profile::Ordered] {
        let report = files().profile(profile).record(work).survives(check);
        assert!(report.is_decided() && report.decided() == report.total());
    }
}

#[test]
fn it_survives_crashes_of_its_recovery() {
    let recording = files().record(work).nested(1);
    let report = recording.survives(|crash| {
        let marked = crash.last_mark().map(str::parse::<usize>).transpose()?;
        let Ok((_, records)) = Store::open(crash.files()) else { return Ok(()) };
        assert!(marked.is_none_or(|last| records.len() > last));
        Ok(())
    });
    assert!(report.is_decided() && !report.nested().is_zero(), "{report}");
}
