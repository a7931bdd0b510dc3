//! A client of a live disk that knows what it was promised.

use logwrites::serve::engine::{LiveDisk, Payload};
use logwrites_core::{Extent, Op, WriteFlags};

use crate::common::logs::{narrow, wide};
use crate::common::random::Random;

/// A client with blocks of its own, and what it knows of them.
pub(crate) struct Client {
    number: usize,
    pub(crate) blocks: Vec<Block>,
}

/// The number of the last write that was sent, acknowledged, and covered by a flush.
#[derive(Clone, Copy, Default)]
pub(crate) struct Block {
    sent: u8,
    acked: u8,
    pub(crate) flushed: u8,
}

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, blocks: vec![Block::default(); NR_BLOCKS] }
    }

    /// Does so many things, or as many as there can be until a device fails.
    pub(crate) fn run(mut self, disk: &dyn LiveDisk, seed: u64, nr_ops: u64) -> Self {
        let mut random = Random::new(seed);
        for _ in 0..nr_ops {
            let index = narrow(random.below(wide(NR_BLOCKS)));
            if random.once_in(6) {
                let before = self.blocks.clone();
                if disk.call(Op::Flush, Payload::NONE).is_err() {
                    return self;
                }
                for (block, before) in self.blocks.iter_mut().zip(before) {
                    block.flushed = before.acked;
                }
                continue;
            }
            let sector = wide((self.number * NR_BLOCKS + index) * BLOCK / 512);
            let extent = Extent::new(sector, 8).unwrap();
            let block = &mut self.blocks[index];
            if block.sent == u8::MAX {
                return self;
            }
            block.sent += 1;
            let is_fua = random.once_in(8);
            let flags = if is_fua { WriteFlags::FUA } else { WriteFlags::empty() };
            let payload = Payload::text(vec![block.sent; BLOCK]);
            if disk.call(Op::Write { extent, flags }, payload).is_err() {
                return self;
            }
            block.acked = block.sent;
            if is_fua {
                block.flushed = block.sent;
            }
            let mut buffer = vec![0; BLOCK];
            if disk.read(extent, &mut buffer).is_ok() {
                assert!(buffer.iter().all(|byte| *byte == block.acked), "what was acknowledged is read");
            }
        }
        self
    }

    /// Each block is whole, and no older than its last flush.
    #[track_caller]
    pub(crate) fn check(&self, disk: &[u8], place: &str) {
        for (index, block) in self.blocks.iter().enumerate() {
            let bytes = self.bytes(disk, index);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "block {index} is torn {place}");
            assert!(
                (block.flushed..=block.sent).contains(&bytes[0]),
                "client {}, block {index} is {} {place}; {} was flushed, {} sent",
                self.number,
                bytes[0],
                block.flushed,
                block.sent
            );
        }
    }

    /// The data device may tear what was not flushed.
    #[track_caller]
    pub(crate) fn check_flushed_in(&self, disk: &[u8]) {
        for (index, block) in self.blocks.iter().enumerate() {
            let is_right = |byte: &u8| (block.flushed..=block.sent).contains(byte);
            assert!(self.bytes(disk, index).iter().all(is_right), "block {index} on the data device");
        }
    }

    fn bytes<'a>(&self, disk: &'a [u8], index: usize) -> &'a [u8] {
        &disk[(self.number * NR_BLOCKS + index) * BLOCK..][..BLOCK]
    }
}

const NR_BLOCKS: usize = 8;
pub(crate) const BLOCK: usize = 4096;
/// How much of the disk each client has, in bytes.
pub(crate) const CLIENT_BYTES: usize = NR_BLOCKS * BLOCK;
