//! A log of 1 GiB to a new image.

use std::process::Command;
use std::time::Duration;

use super::GIB;
use crate::bench::{Bench, Heat, remove};
use crate::compare::{Contest, Side, compare};
use crate::process::run as execute;
use crate::table::Table;

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.make_log(GIB)?;
    for heat in Heat::ALL {
        let what = format!("replay, {}{}", heat.name(), bench.place()?);
        compare(table, NR_ROUNDS, &what, "dd of the log, synced", &mut Replay { bench, heat })?;
    }
    Ok(())
}

struct Replay<'a> {
    bench: &'a Bench,
    heat: Heat,
}

impl Contest for Replay<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        for name in ["image", "copy"] {
            remove(&self.bench.path(name))?;
        }
        rustix::fs::sync();
        self.bench.heat(self.heat)
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        let log = self.bench.path("log");
        match side {
            Side::Ours => {
                let mut replay = self.bench.tool();
                replay
                    .arg("replay")
                    .arg(log)
                    .args(["--size", "1G", "--output"])
                    .arg(self.bench.path("image"));
                execute(&mut replay)?;
            }
            Side::Peer => {
                let (from, to) = (log.display(), self.bench.path("copy"));
                let files = [format!("if={from}"), format!("of={}", to.display())];
                execute(Command::new("dd").args(files).args(["bs=1M", "conv=fsync", "status=none"]))?;
            }
        }
        Ok(None)
    }
}

const NR_ROUNDS: usize = 5;
