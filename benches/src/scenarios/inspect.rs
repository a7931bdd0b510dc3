//! Commands that only read a log of 1 GiB.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::GIB;
use crate::bench::{Bench, Heat, Writes};
use crate::compare::{Contest, Side, compare};
use crate::process::run as execute;
use crate::table::{Row, Table};

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.make_log(GIB)?;
    for heat in Heat::ALL {
        for verb in ["info", "marks", "find --next discard", "ls"] {
            let what = format!("`{verb}`, {}", heat.name());
            compare(table, NR_ROUNDS, &what, "dd of the log to nowhere", &mut Reading { bench, heat, verb })?;
        }
    }
    memory(bench, table)
}

/// The memory that `ls` takes for each entry.
fn memory(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let full_log = bench.path("full.log");
    std::fs::rename(bench.path("log"), &full_log)?;
    bench.make_log(Writes { nr: 0, fua_interval: None })?;
    let full_kib = bench.peak_kib("ls", &full_log)?;
    let empty_kib = bench.peak_kib("info", &bench.path("log"))?;
    let mib = |kib: u64| anyhow::Ok(format!("{:.1} MiB", f64::from(u32::try_from(kib)?) / 1024.0));
    let entry_bytes = (full_kib.saturating_sub(empty_kib) * 1024).div_ceil(u64::from(GIB.nr));
    table.add(Row {
        what: "`ls`, peak memory".to_owned(),
        ours: mib(full_kib)?,
        beside: "`info` of an empty log".to_owned(),
        peer: mib(empty_kib)?,
        ratio: format!("{entry_bytes} bytes an entry"),
    });
    Ok(())
}

struct Reading<'a> {
    bench: &'a Bench,
    heat: Heat,
    verb: &'static str,
}

impl Contest for Reading<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.bench.heat(self.heat)
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        let log = self.bench.path("log");
        match side {
            Side::Ours => {
                let mut command = self.bench.tool();
                command.args(self.verb.split(' ')).arg(log).stdout(Stdio::null()).stderr(Stdio::null());
                let code = command.status().context("the tool starts")?.code();
                // `find` finds nothing, so that it reads to the end, and ends with 1.
                let expected = i32::from(self.verb.starts_with("find"));
                anyhow::ensure!(code == Some(expected), "{command:?} ended with {code:?}");
            }
            Side::Peer => {
                let from = format!("if={}", log.display());
                execute(Command::new("dd").args([&from, "of=/dev/null", "bs=1M", "status=none"]))?;
            }
        }
        Ok(None)
    }
}

const NR_ROUNDS: usize = 5;
