//! Checkers that read here and there, as what they have read so far tells them.

use logwrites_core::Extent;
use logwrites_core::crash::Verdict;
use logwrites_core::num::narrow;

use super::disk::{Disk, NR_SECTORS};
use crate::choices::{Choices, Seeded};

/// A random function from disks to verdicts, that reads no more than a few sectors of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checker {
    seed: u64,
    max_reads: u64,
}

impl Checker {
    pub(super) fn random(choices: &mut impl Choices) -> Self {
        Self { seed: choices.below(1 << 32), max_reads: choices.below(6) }
    }

    /// What it reads, in order, and its verdict. It depends on nothing but the bytes.
    pub(super) fn run(&self, disk: &Disk) -> (Vec<Extent>, Verdict) {
        let mut reads = Vec::new();
        let mut known = self.seed;
        for _ in 0..self.max_reads {
            let mut next = Seeded::new(known, u64::MAX);
            if next.one_in(6) {
                break;
            }
            let sector = next.below(NR_SECTORS);
            let nr_sectors = 1 + next.below(4.min(NR_SECTORS - sector));
            let read = Extent::new(sector, nr_sectors).expect("on the disk");
            reads.push(read);
            for content in &disk[narrow(read.sector())..narrow(read.end())] {
                known = Seeded::new(known ^ u64::from(*content), 1).next_u64();
            }
        }
        let verdict = if known.is_multiple_of(3) { Verdict::Fail } else { Verdict::Pass };
        (reads, verdict)
    }
}
