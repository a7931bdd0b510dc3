//! Every write a disk receives, in a log that Linux, QEMU and xfstests read.
//!
//! A write log holds every write, discard, flush and mark that a block device was told, in order. With the disk as it
//! was before (the *base*), it gives the disk at any point since: after each write, at each flush, at each mark, and in
//! every state that a crash could have left. The format is that of Linux dm-log-writes, which QEMU's blklogwrites
//! driver writes too; [`format`](mod@format) describes it byte by byte.
//!
//! This crate is the logic alone. It does no I/O, reads no clock, spawns and prints nothing, and outside the feature
//! `alloc` it allocates nothing. Front ends bring the I/O: files, network block devices, a browser, an SD card.
//!
//! | layer | modules |
//! |---|---|
//! | every state that a crash can leave (`alloc`) | [`crash`]: which there are, and a search that decides them all |
//! | what a sector is to its file system (`alloc`) | [`contents`] |
//! | the disk at any point (`alloc`) | [`history`]: where each byte came from; [`overlay`]: a disk that lives in its log |
//! | front ends that block | [`drive`], over the devices of [`device`]; [`perform`], for drivers with threads of their own |
//! | the log as a state machine | [`logger`] writes one, [`reader`] reads one |
//! | its vocabulary | [`op`], [`command`], [`config`] |
//! | the ground | [`format`](mod@format), [`geometry`] |
//!
//! # The contract
//!
//! A [`Logger`] takes events and gives out commands. It never waits, and it never sees a payload: it names them by
//! [`Tag`], and the front end keeps the bytes.
//!
//! ```
//! use logwrites_core::{Command, Config, Logger, Op, Outcome, Segment, SectorSize, Tag, WriteFlags};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut disk = vec![0; 64 * 512];
//! let mut log = vec![0; 64 * 512];
//! let mut logger = Logger::<8>::new(Config::new(SectorSize::B512))?;
//!
//! // A new block operation, its payload kept under a tag of our choice.
//! let payload = [0xaa; 512];
//! let extent = SectorSize::B512.extent(7 * 512, 512)?;
//! logger.submit(Tag::new(0), Op::Write { extent, flags: WriteFlags::empty() })?;
//! logger.finish();
//!
//! // Carry out what it asks for, in any order, and say what has completed.
//! while let Some(command) = logger.poll() {
//!     match command {
//!         Command::Data { tag, op } => {
//!             disk[7 * 512..8 * 512].copy_from_slice(&payload);
//!             logger.complete(tag, Outcome::Ok)?;
//!         }
//!         Command::Log { id, write } => {
//!             let mut at = write.offset_bytes() as usize;
//!             for segment in write.segments() {
//!                 let bytes = match &segment {
//!                     Segment::Header(bytes) => &bytes[..],
//!                     Segment::Text(text) => text.as_bytes(),
//!                     Segment::Payload { len_bytes, .. } => &payload[..*len_bytes as usize],
//!                     Segment::Zeros { .. } => &[],
//!                 };
//!                 log[at..at + bytes.len()].copy_from_slice(bytes);
//!                 at += segment.len_bytes() as usize;
//!             }
//!             logger.log_complete(id, Outcome::Ok)?;
//!         }
//!         Command::FlushLog { id } => logger.log_complete(id, Outcome::Ok)?,
//!         Command::Done { result, .. } => result?, // acknowledge to its submitter
//!         Command::Release(_tag) => {}             // the payload may go
//!         Command::Finished => break,
//!     }
//! }
//!
//! // Now the log says what the disk was told.
//! let mut entries = logwrites_core::reader::LogSlice::open(&log)?;
//! let entry = entries.next().unwrap()?;
//! assert_eq!(entry.extent(), extent);
//! assert_eq!(entries.payload(&entry), payload);
//! # Ok(())
//! # }
//! ```
//!
//! - **Bounded.** At most `N` operations are in flight. Nothing is allocated, and no input makes it panic.
//! - **Deterministic.** The same calls give the same commands.
//! - **Any order.** Commands may be carried out together and complete in any order. What needs an order waits inside:
//!   a write that overlaps one in flight is not given out before that has completed, so that data and log have one
//!   order; a superblock is not given out before what it counts.
//! - **No acknowledged hole.** `Done` of a write, discard or mark comes in log order, after all earlier log writes
//!   have completed; in [`Ordering::Durability`] `Done` of a write comes when the data device is done. `Done` of a
//!   flush or a FUA means that its entry, and a superblock that counts it, are durable; it holds nothing else up.
//! - **Room first.** An operation that the log has no room for is refused before the data device is touched. With it,
//!   room for a flush and for the closing entry is set aside: a flush is never refused for want of room.
//! - **What failed is said.** A failed write is not logged. What its extent holds is not known, which the log says with
//!   the mark `logwrites-indeterminate SECTOR+NR`, where the sector has room for it (128 bytes always do). A discard
//!   that the device ignored is not logged.
//! - **Failure is sticky.** After a failed log write nothing after it is acknowledged as done, and the log stays
//!   readable up to it. After a failed flush, of the data or of the log, every later one fails too: its success would
//!   prove nothing.
//!
//! # Orderings
//!
//! What does a prefix of the log mean?
//!
//! | | [`Ordering::Completion`] | [`Ordering::Durability`] |
//! |---|---|---|
//! | as | QEMU blklogwrites, byte for byte for one operation at a time | Linux dm-log-writes |
//! | an entry appears | when its operation completes; after every flush submitted by then, once that is resolved | when a flush that covers it completes; a FUA when it completes itself |
//! | a FUA | overtakes what waits for a flush, unless it overlaps it | overtakes what is held, unless it overlaps it: then that is logged first |
//! | a mark | in its turn | at once, after the entries that have their place in the log and before those that are held |
//! | a flush | is logged if anything was since the last one | is always logged, while there is room |
//! | superblock | at a flush, FUA, mark, and every [`superblock_interval`](Config::superblock_interval) entries | the same |
//! | the end | as it is | what is held, then the mark `dm-log-writes-end` |
//!
//! In both, everything before a FLUSH entry was durable when that flush was done, and nothing that the flush did not
//! cover is before it, except for FUAs, which are durable by themselves. Neither peer keeps to that: Linux lets
//! a FUA overtake an older write to the same sectors, and with two flushes in flight can log older data after newer;
//! QEMU logs a write that completes during a flush before the flush.
//!
//! A guest that never flushes fills the slots in durability order. Then the oldest held entries are logged early, in
//! completion order, unless a flush in flight has to come before them.
//!
//! # What a log promises
//!
//! An entry is *logged* when its log write and all earlier ones have completed, *counted* when a superblock counts it,
//! *durable* when a flush of the log that was given out later has completed.
//!
//! **The process is killed**, and the system keeps running. Every completed log write stays; those in flight are there,
//! in part or not.
//!
//! - Both policies: the log opens, and every counted entry reads back unchanged. Every flush and every FUA that was
//!   acknowledged is counted.
//! - Entries that are logged but not counted follow, whole, without a gap up to the first that was in flight. A
//!   [`Reader::tail`](reader::Reader::tail) finds them. In completion order these are all that were acknowledged
//!   since the last superblock: fewer than an interval, and what was logged while a superblock was being written.
//! - In durability order, writes that no flush has covered were in memory only, and are lost to the log.
//!
//! **The power is cut.** Any part of what is not durable may be gone, and any other part be there.
//!
//! - [`SuperblockPolicy::WithFlush`]: everything up to the last acknowledged flush or FUA is counted and whole. The
//!   superblock may already count entries of the epoch after it whose own writes were lost: an entry that reads as
//!   zeros or as anything else but an entry ends the log there, and a lost payload cannot be told, since the format
//!   has no checksum.
//! - [`SuperblockPolicy::Barrier`]: the same, and every counted entry is whole, acknowledged or not. It costs one more
//!   flush of the log for each superblock.
//! - Under both, entries after the counted ones are salvage, never truth. So a new log must not begin over the
//!   remains of an older one: a front end truncates the file, or keeps the area ahead of the log zero.
//!
//! A superblock is 32 bytes in one sector; a device that tears such a write can lose the log, as it can lose any file
//! system.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]
#![cfg_attr(test, allow(clippy::std_instead_of_alloc, clippy::panic_in_result_fn, reason = "tests have std"))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod command;
pub mod config;
#[cfg(feature = "alloc")]
pub mod contents;
#[cfg(feature = "alloc")]
pub mod crash;
pub mod device;
pub mod drive;
pub mod format;
pub mod geometry;
#[cfg(feature = "alloc")]
pub mod history;
pub mod logger;
pub mod num;
pub mod op;
#[cfg(feature = "alloc")]
pub mod overlay;
pub mod perform;
pub mod reader;
mod slots;

pub use command::{Command, LogId, LogWrite, Segment};
pub use config::{Config, Ordering, SuperblockPolicy};
pub use geometry::{Extent, SectorSize};
pub use logger::Logger;
pub use op::{Op, OpError, Outcome, Tag, WriteFlags};
