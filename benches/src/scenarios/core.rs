//! The logger alone, which core's own benchmark times.

use std::process::Command;

use crate::bench::repository;
use crate::process::output;
use crate::table::{Row, Table};

pub(super) fn run(table: &mut Table) -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["bench", "--locked", "--quiet", "--package", "logwrites-core", "--bench", "logger"]);
    let printed = output(cargo.current_dir(repository()))?;
    // The first row is the heading, and the second one a line.
    let rows: Vec<Row> = printed.lines().filter_map(Row::parse).skip(2).collect();
    anyhow::ensure!(!rows.is_empty(), "the benchmark of core printed no rows: {printed}");
    for row in rows {
        table.add(row);
    }
    Ok(())
}
