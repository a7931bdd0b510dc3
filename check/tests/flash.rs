//! NOR flash, by the traits of embedded-storage, with the crate sequential-storage on it: an example of a device that
//! has no cache, and of writes that are torn.

#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use logwrites_check::{Crash, Disk, Outcome, Recording, disk};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

/// A disk as NOR flash: writing a word clears bits of it, and erasing sets all bits of a page. Each word is durable
/// when it is written, and whole. A page that is being erased may be so in any part.
struct Flash<'a>(&'a Disk);

#[derive(Debug)]
struct Fault(#[expect(dead_code, reason = "for the message")] io::Error);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash<'_> {
    type Error = Fault;
}

impl ReadNorFlash for Flash<'_> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        Ok(self.0.read_at(bytes, offset.into())?)
    }

    fn capacity(&self) -> usize {
        self.0.size_bytes().try_into().unwrap()
    }
}

impl NorFlash for Flash<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        for page in (from..to).step_by(Self::ERASE_SIZE) {
            self.0.write_fua_at(&[0xff; Self::ERASE_SIZE], page.into())?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        for (place, word) in
            (u64::from(offset)..).step_by(Self::WRITE_SIZE).zip(bytes.chunks(Self::WRITE_SIZE))
        {
            let mut there = [0; Self::WRITE_SIZE];
            self.0.read_at(&mut there, place)?;
            there.iter_mut().zip(word).for_each(|(there, new)| *there &= new);
            self.0.write_fua_at(&there, place)?;
        }
        Ok(())
    }
}

/// The end of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

type Map<'a> = MapStorage<u8, Flash<'a>, Cache<Uncached, Uncached, Uncached, u8>>;

fn open(disk: &Disk) -> Map<'_> {
    MapStorage::new(Flash(disk), const { MapConfig::new(0..4 * 1024) }, Cache::new_uncached())
}

const NR_KEYS: u32 = 4;

/// So many numbers are stored, under four keys by turns. The pages are used and erased several times.
fn record(nr_numbers: u32) -> Recording<Disk> {
    disk(4 * 1024).base(vec![0xff; 4 * 1024]).sector_bytes(64).record(|disk| {
        let mut map = open(disk);
        for number in 0..nr_numbers {
            let key = u8::try_from(number % NR_KEYS)?;
            now(map.store_item(&mut [0; 128], &key, &[number; 6].map(u32::to_le_bytes).as_flattened()))
                .map_err(|error| format!("{error:?}"))?;
            disk.mark(&number.to_string());
        }
        Ok(())
    })
}

/// Under each key there is the last number that was stored, or the one that was being stored.
fn check(crash: &Crash<Disk>) -> Outcome {
    let marked = crash.last_mark().map(str::parse::<u32>).transpose()?;
    let mut map = open(crash.disk());
    for key in 0..NR_KEYS {
        let mut buffer = [0; 128];
        let found = now(map.fetch_item::<&[u8]>(&mut buffer, &u8::try_from(key)?));
        let found = found.map_err(|error| format!("{error:?}"))?;
        let found = found.map(|bytes| u32::from_le_bytes(bytes[..4].try_into().unwrap()));
        let next = marked.map_or(0, |marked| marked + 1);
        let stored = (0..next).rev().find(|number| number % NR_KEYS == key);
        let is_being_stored = found == Some(next) && next % NR_KEYS == key;
        assert!(found == stored || is_being_stored, "key {key}: {found:?} in place of {stored:?}");
    }
    Ok(())
}

#[test]
fn sequential_storage_survives_when_pages_are_erased_in_one_step() {
    let report = record(200).survives(check);
    assert!(report.is_decided());
}

/// Release 8.0 takes a page for one in use of which the start was not erased and the rest was, and finds what was stored
/// there long ago.
#[test]
fn a_page_that_is_erased_in_part_can_bring_old_numbers_back() {
    let failure = record(200).torn(64).threads(1).search(check).unwrap_err();
    println!("{failure}");
    assert_eq!((failure.nr_lost(), failure.state()), (1, "848^847:0"), "{failure}");
    assert!(failure.to_string().contains("key 0: Some(0) in place of Some(80)"), "{failure}");
    assert!(failure.to_string().contains("1024 bytes written at 0 (of it, sector 0)"), "{failure}");
}
