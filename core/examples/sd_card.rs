//! Logs everything that an SD card is told onto a second card, and reads the log back.
//!
//! The cards are simulated: put a driver with `embedded-io`'s traits in place of `Card`. Nothing here allocates, and
//! `std` is used for printing alone.
//!
//! ```text
//! cargo run -p logwrites-core --example sd_card
//! ```
#![no_std]

extern crate std;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use logwrites_core::device::Seeking;
use logwrites_core::drive::{DriveError, Driver};
use logwrites_core::reader::{ReadError, Reader};
use logwrites_core::{Config, Extent, Logger, SectorSize, WriteFlags};

/// Writes to the data card; every write goes to the log card, too.
fn record(data: &mut Card, log: &mut Card) -> Result<(), DriveError<ErrorKind, ErrorKind>> {
    // What the log card has no room for is refused before the data card is touched.
    let config = Config { capacity_bytes: Card::LEN_BYTES, ..Config::new(SectorSize::B512) };
    // One operation at a time needs one slot.
    let logger = Logger::<1>::new(config).expect("a card has room for the smallest log");
    let mut card: Driver<_, _, _> = Driver::new(logger, Seeking(data), Seeking(log));

    // Zeros need no buffer. A write with FUA is durable when it returns.
    card.write_zeroes(Extent::between(0, 8), WriteFlags::empty())?;
    card.write(Extent::between(0, 1), &block(b"readings"), WriteFlags::FUA)?;
    // A mark names this point of the log, to replay the card up to it later.
    card.mark(b"formatted")?;

    card.write(Extent::between(1, 2), &block(b"20.5 C"), WriteFlags::empty())?;
    card.write(Extent::between(2, 3), &block(b"20.7 C"), WriteFlags::empty())?;
    // What was written before is now durable, on the card and in the log.
    card.flush()?;

    // Closes the log. One that a power cut ends can be read all the same, up to its last flush or mark.
    card.finish()?;
    Ok(())
}

/// Prints the entries of the log on a card.
fn print(log: &mut Card) -> Result<(), ReadError<ErrorKind>> {
    let mut reader = Reader::open(log).expect("a log was recorded");
    while let Some(entry) = reader.next_entry()? {
        std::print!("{} at byte {}: ", entry.index, entry.offset_bytes);
        if entry.mark_text().is_some() {
            let mut text = [0; 32];
            let len_bytes = reader.read_mark(&entry, &mut text)?;
            let len = usize::try_from(len_bytes).unwrap_or(usize::MAX).min(text.len());
            std::println!("mark {:?}", core::str::from_utf8(&text[..len]).unwrap_or("(not UTF-8)"));
        } else {
            std::println!("{:?}, {:?}", entry.extent(), entry.flags());
        }
    }
    Ok(())
}

fn main() {
    let (mut data, mut log) = (Card::new(), Card::new());
    record(&mut data, &mut log).expect("there is room, and the cards do not fail");
    print(&mut log).expect("the log is whole");
}

/// A block that starts with `text`; zeros follow.
fn block(text: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    block[..text.len()].copy_from_slice(text);
    block
}

/// A small card in memory, with a position as `embedded-io` has it.
struct Card {
    blocks: [[u8; 512]; Self::NR_BLOCKS],
    /// In bytes.
    position: usize,
}

impl Card {
    const NR_BLOCKS: usize = 32;
    const LEN_BYTES: u64 = 32 * 512;

    const fn new() -> Self {
        Self { blocks: [[0; 512]; Self::NR_BLOCKS], position: 0 }
    }
}

impl ErrorType for Card {
    type Error = ErrorKind;
}

impl Read for Card {
    /// Gives 0 at the end of the card.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let rest = self.blocks.as_flattened().get(self.position..).unwrap_or_default();
        let len = buffer.len().min(rest.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.position += len;
        Ok(len)
    }
}

impl Write for Card {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let rest = self.blocks.as_flattened_mut().get_mut(self.position..).unwrap_or_default();
        let len = bytes.len().min(rest.len());
        rest[..len].copy_from_slice(&bytes[..len]);
        self.position += len;
        if len == 0 && !bytes.is_empty() { Err(ErrorKind::WriteZero) } else { Ok(len) }
    }

    /// Makes what was written durable: a driver with a cache would write it out here.
    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Seek for Card {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => Self::LEN_BYTES.checked_add_signed(by),
            SeekFrom::Current(by) => {
                u64::try_from(self.position).ok().and_then(|at| at.checked_add_signed(by))
            }
        };
        let position = position.ok_or(ErrorKind::InvalidInput)?;
        self.position = usize::try_from(position).map_err(|_| ErrorKind::InvalidInput)?;
        Ok(position)
    }
}
