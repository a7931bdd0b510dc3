//! A live disk whose map has grown: 512 bytes at a time, so that in the end nearly all of a disk of 1 GiB is runs of one
//! sector.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::memory;
use crate::bench::{Bench, DISK_BYTES, set_len};
use crate::fio;
use crate::process::output;
use crate::server::Servers;
use crate::table::{Row, Table};

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = memory::folder(12 << 30)?;
    let path = |name: &str| folder.path().join(name);
    let (disk, socket, control) = (path("ours.disk"), path("ours.sock"), path("control.sock"));
    set_len(&disk, DISK_BYTES)?;
    let mut serve = bench.tool();
    serve.args(["serve", "nbd", "--log"]).arg(path("ours.log")).arg("--base").arg(&disk);
    serve.arg("--socket").arg(&socket).arg("--control").arg(&control);
    let mut servers = Servers::default();
    let server = servers.start(&mut serve)?;
    servers.wait_until(|| socket.exists())?;

    write(&socket, 10_000, 0)?;
    let before_kib = resident_kib(server)?;
    let early = median_of(&socket, [1, 2, 3])?;
    write(&socket, 9_690_000, 4)?;
    let late = median_of(&socket, [5, 6, 7])?;
    let grown_kib = resident_kib(server)?.saturating_sub(before_kib);
    let nr_runs = map_runs(bench, &control)?;

    let micros = |per_second: f64| format!("{:.2} us", 1e6 / per_second);
    table.add(Row {
        what: "`--base`: a write of 512 bytes, 16 at a time, after 10,000,000".to_owned(),
        ours: micros(late),
        beside: "after 10,000".to_owned(),
        peer: micros(early),
        ratio: format!("{:.2}", early / late),
    });
    let run_bytes = (grown_kib * 1024).checked_div(nr_runs).context("the map has runs")?;
    table.add(Row {
        what: "`--base`: memory for its map".to_owned(),
        ours: format!("{} MiB", grown_kib / 1024),
        beside: "runs in it".to_owned(),
        peer: nr_runs.to_string(),
        ratio: format!("{run_bytes} bytes a run"),
    });
    Ok(())
}

/// The median of the writes a second of three rounds.
fn median_of(socket: &Path, seeds: [u64; 3]) -> anyhow::Result<f64> {
    let mut rates =
        seeds.into_iter().map(|seed| write(socket, 50_000, seed)).collect::<Result<Vec<_>, _>>()?;
    rates.sort_by(f64::total_cmp);
    rates.get(1).copied().context("there are three rounds")
}

/// So many random writes of 512 bytes; gives how many there were in a second.
fn write(socket: &Path, nr_writes: u64, seed: u64) -> anyhow::Result<f64> {
    let mut fio = Command::new("fio");
    fio.args(["--minimal", "--name=growth", "--ioengine=nbd"]);
    fio.arg(format!("--uri=nbd+unix:///?socket={}", socket.display()));
    fio.args(["--rw=randwrite", "--bs=512", "--size=1G", "--norandommap", "--iodepth=16", "--io_size=20G"]);
    fio.args([format!("--randseed={seed}"), format!("--number_ios={nr_writes}")]);
    fio::writes_per_second(&output(&mut fio)?, "growth")
}

fn map_runs(bench: &Bench, control: &Path) -> anyhow::Result<u64> {
    let status = output(bench.tool().arg("status").arg(control).arg("--json"))?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    status["map_runs"].as_u64().context("the status has map_runs")
}

fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = resident.and_then(|rest| rest.trim().strip_suffix(" kB")).context("the status has VmRSS")?;
    Ok(number.parse()?)
}
