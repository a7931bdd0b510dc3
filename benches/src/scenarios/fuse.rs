//! A file of each server's under a loop device, as the kernel's file systems use it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::memory;
use super::nbd::{Mode, QEMU, blklogwrites};
use crate::bench::{Bench, DISK_BYTES, remove, set_len};
use crate::compare::{Contest, Side, compare};
use crate::fio;
use crate::process::{output, run as execute};
use crate::server::Servers;
use crate::table::Table;

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = memory::folder(6 << 30)?;
    std::fs::create_dir(folder.path().join("ours"))?;
    File::create(folder.path().join("peer"))?;
    let plain = "a file under a loop device, without FUSE and log";
    for (mode, peer, beside) in
        [(Mode::Data, Peer::Qemu, QEMU), (Mode::Base, Peer::Qemu, QEMU), (Mode::Base, Peer::Plain, plain)]
    {
        for client in [Client::Sequential, Client::Random, Client::Flush] {
            let what = format!("`fuse --{}`: {}", mode.name(), client.about());
            let mut contest =
                Files { bench, place: folder.path(), mode, peer, client, stage: Stage::default() };
            compare(table, NR_ROUNDS, &what, beside, &mut contest)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Peer {
    Qemu,
    Plain,
}

#[derive(Clone, Copy)]
enum Client {
    Sequential,
    Random,
    Flush,
}

impl Client {
    const fn about(self) -> &'static str {
        match self {
            Self::Sequential => "1 GiB in writes of 1M, 4 at a time",
            Self::Random => "200,000 random writes of 4k, 16 at a time",
            Self::Flush => "20,000 random writes of 4k, a flush after each",
        }
    }

    const fn load(self) -> &'static [&'static str] {
        match self {
            Self::Sequential => &["--rw=write", "--bs=1M", "--iodepth=4"],
            Self::Random => &["--rw=randwrite", "--bs=4k", "--iodepth=16", "--number_ios=200000"],
            Self::Flush => &["--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1", "--number_ios=20000"],
        }
    }
}

struct Files<'a> {
    bench: &'a Bench,
    place: &'a Path,
    mode: Mode,
    peer: Peer,
    client: Client,
    stage: Stage,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn serve_ours(&mut self) -> anyhow::Result<()> {
        let mut serve = self.bench.tool();
        serve.args(["serve", "fuse", "--log"]).arg(self.path("ours.log"));
        serve.arg(format!("--{}", self.mode.name())).arg(self.path("ours.disk")).arg(self.path("ours"));
        self.stage.serve(&mut serve, self.path("ours"))
    }

    /// Starts the peer, and gives its file.
    fn serve_peer(&mut self) -> anyhow::Result<PathBuf> {
        let (disk, file) = (self.path("peer.disk"), self.path("peer"));
        match self.peer {
            Peer::Plain => Ok(disk),
            Peer::Qemu => {
                let mut qemu = blklogwrites(&disk, &self.path("peer.log"))?;
                let export =
                    format!("type=fuse,id=export,node-name=logged,mountpoint={},writable=on", file.display());
                self.stage.serve(qemu.args(["--export", &export]), file.clone())?;
                Ok(file)
            }
        }
    }
}

impl Contest for Files<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.stage.clear()?;
        for name in ["ours", "peer"] {
            remove(&self.path(&format!("{name}.log")))?;
            remove(&self.path(&format!("{name}.disk")))?;
            set_len(&self.path(&format!("{name}.disk")), DISK_BYTES)?;
        }
        self.serve_ours()?;
        let peer = self.serve_peer()?;
        let ours = self.path("ours/disk");
        let has_bytes = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.len() > 0);
        self.stage.servers.wait_until(|| has_bytes(&ours) && has_bytes(&peer))?;
        self.stage.attach([&ours, &peer])
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        let mut fio = Command::new("fio");
        fio.args([
            "--minimal",
            "--name=loop",
            "--ioengine=libaio",
            "--direct=1",
            "--size=1G",
            "--randseed=1",
        ]);
        fio.arg(format!("--filename={}", self.stage.device(side)?)).args(self.client.load());
        fio::write_time(&output(&mut fio)?, "loop").map(Some)
    }
}

/// The servers of a turn, and the loop devices over their files. All of it is undone when this is dropped.
#[derive(Default)]
struct Stage {
    servers: Servers,
    mounts: Vec<PathBuf>,
    devices: Vec<String>,
}

impl Stage {
    fn serve(&mut self, command: &mut Command, mount: PathBuf) -> anyhow::Result<()> {
        self.mounts.push(mount);
        self.servers.start(command).map(|_| ())
    }

    /// Attaches loop devices to our file and the peer's.
    fn attach(&mut self, files: [&Path; 2]) -> anyhow::Result<()> {
        for file in files {
            let mut losetup = Command::new("losetup");
            let device = output(losetup.args(["--find", "--show", "--direct-io=on"]).arg(file))?;
            self.devices.push(device.trim().to_owned());
        }
        Ok(())
    }

    fn device(&self, side: Side) -> anyhow::Result<&str> {
        let [ours, peer] = self.devices.as_slice() else { anyhow::bail!("there are no two loop devices") };
        Ok(if side == Side::Ours { ours } else { peer })
    }

    /// Undoes all: the loop devices first, since they keep what is under them in use, and let go a moment later.
    fn clear(&mut self) -> anyhow::Result<()> {
        for device in self.devices.drain(..) {
            execute(Command::new("losetup").args(["--detach", &device]))?;
        }
        self.servers.stop();
        for mount in self.mounts.drain(..) {
            while is_mounted(&mount)? {
                if output(Command::new("umount").arg("--lazy").arg(&mount)).is_err() {
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("{error:#}");
        }
    }
}

fn is_mounted(path: &Path) -> anyhow::Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("the mounts")?;
    let path = path.display().to_string();
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(path.as_str())))
}

const PAUSE: Duration = Duration::from_millis(10);
const NR_ROUNDS: usize = 3;
