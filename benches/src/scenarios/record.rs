//! A script that is recorded.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::bench::{Bench, DISK_BYTES, Writes, input, remove, set_len};
use crate::compare::{Contest, Side, compare};
use crate::process::run as execute;
use crate::table::Table;

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let script = Writes { nr: NR_WRITES, fua_interval: None }.script() + "flush\n";
    std::fs::write(bench.path("script"), script)?;
    let place = bench.place()?;
    for (ours, how) in [(Ours::Overlay, "`--base`"), (Ours::Image, "to the image too")] {
        for (peer, beside) in [
            (Peer::Blklogwrites, "QEMU's blklogwrites"),
            (Peer::Unlogged, "qemu-io without a log"),
            (Peer::Blocks, "dd of as many blocks in a row, without a log"),
        ] {
            let what = format!("record, {NR_WRITES} writes, {how}{place}");
            compare(table, NR_ROUNDS, &what, beside, &mut Recording { bench, ours, peer })?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Ours {
    Overlay,
    Image,
}

#[derive(Clone, Copy)]
enum Peer {
    Blklogwrites,
    Unlogged,
    Blocks,
}

struct Recording<'a> {
    bench: &'a Bench,
    ours: Ours,
    peer: Peer,
}

impl Recording<'_> {
    fn image(&self, side: Side) -> PathBuf {
        self.bench.path(&format!("{}.image", side.name()))
    }

    fn ours(&self) -> anyhow::Result<()> {
        let mut record = self.bench.tool();
        record.arg("record");
        match self.ours {
            Ours::Overlay => record.arg("--base"),
            Ours::Image => &mut record,
        };
        record.arg(self.image(Side::Ours)).arg("--log").arg(self.bench.path("log"));
        execute(record.arg("--script").arg(self.bench.path("script")))
    }

    fn peer(&self) -> anyhow::Result<()> {
        let image = self.image(Side::Peer);
        match self.peer {
            Peer::Blklogwrites => {
                let options = format!(
                    "driver=blklogwrites,file.driver=file,file.filename={},log.driver=file,log.filename={}",
                    image.display(),
                    self.bench.path("peer.log").display()
                );
                self.qemu_io(&["--image-opts".to_owned(), options])
            }
            Peer::Unlogged => self.qemu_io(&["-f".to_owned(), "raw".to_owned(), image.display().to_string()]),
            Peer::Blocks => {
                let words = [format!("of={}", image.display()), format!("count={NR_WRITES}")];
                let mut dd = Command::new("dd");
                execute(dd.args(words).args(["if=/dev/zero", "bs=4k", "conv=notrunc,fsync", "status=none"]))
            }
        }
    }

    fn qemu_io(&self, disk: &[String]) -> anyhow::Result<()> {
        let script = input(&self.bench.path("script"))?;
        execute(Command::new("qemu-io").args(["-t", "writeback"]).args(disk).stdin(script))
    }
}

impl Contest for Recording<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        remove(&self.bench.path("log"))?;
        for side in [Side::Ours, Side::Peer] {
            remove(&self.image(side))?;
            set_len(&self.image(side), DISK_BYTES)?;
        }
        // QEMU's log must exist, ours must not.
        set_len(&self.bench.path("peer.log"), 0)?;
        rustix::fs::sync();
        Ok(())
    }

    fn run(&mut self, side: Side) -> anyhow::Result<Option<Duration>> {
        match side {
            Side::Ours => self.ours()?,
            Side::Peer => self.peer()?,
        }
        Ok(None)
    }
}

const NR_WRITES: u32 = 65_536;
const NR_ROUNDS: usize = 5;
