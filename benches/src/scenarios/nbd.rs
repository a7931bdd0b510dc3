//! Clients of a live disk, over NBD: whole servers, each on files of its own that are new in each turn.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::memory;
use crate::bench::{Bench, DISK_BYTES, remove, set_len};
use crate::compare::{Contest, Side, compare};
use crate::fio;
use crate::process::{output, run as execute};
use crate::server::Servers;
use crate::table::Table;

/// On files in memory, so that what is measured is what the servers do themselves.
pub(super) fn in_memory(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = memory::folder(6 << 30)?;
    let place = folder.path();
    let random = File::open("/dev/urandom")?;
    std::io::copy(&mut random.take(DISK_BYTES), &mut File::create(place.join("image"))?)?;
    for mode in [Mode::Data, Mode::Base] {
        for (peer, beside) in [(Peer::Qemu, QEMU), (Peer::Nbdkit, NBDKIT)] {
            for client in [Client::Copy, Client::Random, Client::Flush] {
                row(bench, table, place, Clients { mode, peer, client }, beside)?;
            }
        }
    }
    for mode in [Mode::Data, Mode::Base] {
        row(bench, table, place, Clients { mode, peer: Peer::Qemu, client: Client::Beside }, QEMU)?;
        show_latencies(place)?;
    }
    Ok(())
}

/// On files of a disk, where syncs decide.
pub(super) fn on_a_disk(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for (mode, peer, beside) in [(Mode::Data, Peer::Qemu, QEMU), (Mode::Base, Peer::Nbdkit, NBDKIT)] {
        let clients = Clients { mode, peer, client: Client::FlushOnDisk };
        row(bench, table, bench.folder(), clients, &format!("the same, {beside}"))?;
    }
    Ok(())
}

fn row(bench: &Bench, table: &mut Table, place: &Path, clients: Clients, beside: &str) -> anyhow::Result<()> {
    let what = format!("`--{}`: {}", clients.mode.name(), clients.client.about());
    let mut contest = Live { bench, place, clients, servers: Servers::default() };
    compare(table, NR_ROUNDS, &what, beside, &mut contest)
}

/// What a row is about.
#[derive(Clone, Copy)]
struct Clients {
    mode: Mode,
    peer: Peer,
    client: Client,
}

/// Where our writes go.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Data,
    Base,
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Base => "base",
        }
    }
}

#[derive(Clone, Copy)]
enum Peer {
    Qemu,
    Nbdkit,
}

#[derive(Clone, Copy)]
enum Client {
    Copy,
    Random,
    Flush,
    FlushOnDisk,
    Beside,
}

impl Client {
    const fn about(self) -> &'static str {
        match self {
            Self::Copy => "nbdcopy of 1 GiB, 4 connections",
            Self::Random => "200,000 random writes of 4k, 16 at a time",
            Self::Flush => "20,000 random writes of 4k, a flush after each",
            Self::FlushOnDisk => "on a disk, 2,000 random writes of 4k, a flush after each",
            Self::Beside => {
                "100,000 random writes of 4k, 16 at a time, beside a client that writes and flushes in a loop"
            }
        }
    }
}

struct Live<'a> {
    bench: &'a Bench,
    place: &'a Path,
    clients: Clients,
    servers: Servers,
}

impl Live<'_> {
    fn path(&self, side: Side, kind: &str) -> PathBuf {
        file(self.place, side, kind)
    }

    fn uri(&self, side: Side) -> String {
        format!("nbd+unix:///?socket={}", self.path(side, "sock").display())
    }

    fn serve_ours(&mut self) -> anyhow::Result<()> {
        let mut serve = self.bench.tool();
        serve.args(["serve", "nbd", "--log"]).arg(self.path(Side::Ours, "log"));
        serve.arg(format!("--{}", self.clients.mode.name())).arg(self.path(Side::Ours, "disk"));
        serve.arg("--socket").arg(self.path(Side::Ours, "sock"));
        self.servers.start(&mut serve).map(|_| ())
    }

    fn serve_peer(&mut self) -> anyhow::Result<()> {
        let [disk, log, socket] = ["disk", "log", "sock"].map(|kind| self.path(Side::Peer, kind));
        let mut serve = match self.clients.peer {
            Peer::Nbdkit => {
                let mut nbdkit = Command::new("nbdkit");
                nbdkit.args(["--foreground", "--unix"]).arg(&socket).arg("file").arg(&disk);
                nbdkit
            }
            Peer::Qemu => {
                let mut qemu = blklogwrites(&disk, &log)?;
                qemu.arg("--nbd-server")
                    .arg(format!("addr.type=unix,addr.path={},max-connections=0", socket.display()));
                qemu.args(["--export", "type=nbd,id=export,node-name=logged,name=,writable=on"]);
                qemu
            }
        };
        self.servers.start(&mut serve).map(|_| ())
    }

    fn fio(&self, side: Side, words: &[&str]) -> anyhow::Result<String> {
        let mut fio = Command::new("fio");
        fio.args(["--minimal", "--name=nbd", "--ioengine=nbd"]).arg(format!("--uri={}", self.uri(side)));
        output(fio.args(["--rw=randwrite", "--bs=4k", "--size=1G", "--randseed=1"]).args(words))
    }

    /// Beside one that flushes, which ends with the other.
    fn fio_beside(&self, side: Side) -> anyhow::Result<String> {
        let mut fio = Command::new("fio");
        let uri = format!("--uri={}", self.uri(side));
        let load = ["--rw=randwrite", "--bs=4k", "--size=1G"];
        fio.args(["--minimal", "--name=nbd", "--ioengine=nbd", &uri]).args(load).arg("--randseed=1");
        fio.args(["--iodepth=16", "--number_ios=100000", "--exitall"]);
        fio.args(["--name=flusher", "--ioengine=nbd", &uri]).args(load);
        fio.args(["--iodepth=1", "--fsync=1", "--time_based", "--runtime=1000"]);
        // Its exit code is that of the one that was ended.
        let printed = fio.output().context("cannot start fio")?.stdout;
        let report = String::from_utf8(printed)?;
        std::fs::write(self.path(side, "latency"), &report)?;
        Ok(report)
    }
}

impl Contest for Live<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.servers.stop();
        for side in [Side::Ours, Side::Peer] {
            for kind in ["disk", "log", "sock"] {
                remove(&self.path(side, kind))?;
            }
            set_len(&self.path(side, "disk"), DISK_BYTES)?;
        }
        // Both are there before either is timed.
        self.serve_ours()?;
        self.serve_peer()?;
        let sockets = [Side::Ours, Side::Peer].map(|side| self.path(side, "sock"));
        self.servers.wait_until(|| sockets.iter().all(|socket| socket.exists()))
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        let report = match self.clients.client {
            Client::Copy => {
                let mut nbdcopy = Command::new("nbdcopy");
                execute(nbdcopy.arg("--connections=4").arg(self.place.join("image")).arg(self.uri(side)))?;
                return Ok(None);
            }
            Client::Random => self.fio(side, &["--iodepth=16", "--number_ios=200000"])?,
            Client::Flush => self.fio(side, &["--iodepth=1", "--fsync=1", "--number_ios=20000"])?,
            Client::FlushOnDisk => self.fio(side, &["--iodepth=1", "--fsync=1", "--number_ios=2000"])?,
            Client::Beside => self.fio_beside(side)?,
        };
        fio::write_time(&report, "nbd").map(Some)
    }
}

/// QEMU's server of a disk and its log, as yet without an export; the log is new.
pub(super) fn blklogwrites(disk: &Path, log: &Path) -> anyhow::Result<Command> {
    File::create(log)?;
    let mut qemu = Command::new("qemu-storage-daemon");
    let data = format!("driver=file,filename={},node-name=data,discard=unmap", disk.display());
    let log = format!("driver=file,filename={},node-name=log", log.display());
    let logged = "driver=blklogwrites,discard=unmap,node-name=logged,file=data,log=log,log-sector-size=512";
    qemu.args(["--blockdev", &data, "--blockdev", &log, "--blockdev", logged]);
    Ok(qemu)
}

/// How long writes took in the last round, of the client that does not flush.
fn show_latencies(place: &Path) -> anyhow::Result<()> {
    for side in [Side::Ours, Side::Peer] {
        let report = std::fs::read_to_string(file(place, side, "latency"))?;
        let latencies = fio::latencies(&report, "nbd")?;
        let shown: Vec<String> =
            latencies.iter().map(|(percent, micros)| format!("{percent} within {micros} us")).collect();
        eprintln!("{}: latency of the writes: {}", side.name(), shown.join(", "));
    }
    Ok(())
}

fn file(place: &Path, side: Side, kind: &str) -> PathBuf {
    place.join(format!("{}.{kind}", side.name()))
}

pub(super) const QEMU: &str = "QEMU's blklogwrites";
const NBDKIT: &str = "nbdkit file, without a log";

const NR_ROUNDS: usize = 3;
