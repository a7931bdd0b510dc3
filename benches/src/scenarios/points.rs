//! One image, brought to each FUA point of a log in turn.

use std::time::Duration;

use crate::bench::{Bench, DISK_BYTES, Heat, Writes, remove, set_len};
use crate::compare::{Contest, Side, compare};
use crate::process::run as execute;
use crate::table::Table;

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.make_log(Writes { nr: NR_WRITES, fua_interval: Some(NR_WRITES / NR_FUAS) })?;
    for (peer, beside) in
        [(Peer::EachAnew, "from the start to each"), (Peer::Last, "to the last one in one go")]
    {
        let what = format!("{NR_FUAS} FUA points, from each to the next");
        compare(table, NR_ROUNDS, &what, beside, &mut Points { bench, peer })?;
    }
    Ok(())
}

/// What is compared with going from each point to the next.
#[derive(Clone, Copy)]
enum Peer {
    EachAnew,
    Last,
}

struct Points<'a> {
    bench: &'a Bench,
    peer: Peer,
}

impl Points<'_> {
    fn replay(&self, side: Side, from: &str, at: &str) -> anyhow::Result<()> {
        let mut replay = self.bench.tool();
        replay.arg("replay").arg(self.bench.path("log")).arg("--onto").arg(self.image(side));
        execute(replay.args(["--from", from, "--at", at]))
    }

    fn image(&self, side: Side) -> std::path::PathBuf {
        self.bench.path(&format!("{}.image", side.name()))
    }
}

impl Contest for Points<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        for side in [Side::Ours, Side::Peer] {
            remove(&self.image(side))?;
            set_len(&self.image(side), DISK_BYTES)?;
        }
        rustix::fs::sync();
        self.bench.heat(Heat::Warm)
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        let point = |number: u32| if number == 0 { "start".to_owned() } else { format!("fua:{number}") };
        match (side, self.peer) {
            (Side::Ours, _) => {
                for at in 1..=NR_FUAS {
                    self.replay(side, &point(at - 1), &point(at))?;
                }
            }
            (Side::Peer, Peer::EachAnew) => {
                for at in 1..=NR_FUAS {
                    self.replay(side, "start", &point(at))?;
                }
            }
            (Side::Peer, Peer::Last) => self.replay(side, "start", &point(NR_FUAS))?,
        }
        Ok(None)
    }
}

const NR_WRITES: u32 = 57_000;
const NR_FUAS: u32 = 114;
const NR_ROUNDS: usize = 3;
