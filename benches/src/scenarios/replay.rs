//! A log of 1 GiB to a new image: beside a copy of the log, and, in memory, beside the least that can be done for it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use logwrites_core::history::{Discards, Index, Run, Source};
use logwrites_core::num::narrow;
use logwrites_core::reader::LogSlice;

use super::GIB;
use crate::bench::{Bench, Heat, remove};
use crate::compare::{Contest, Side, compare};
use crate::process::run as execute;
use crate::table::Table;

pub(super) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.make_log(GIB)?;
    for heat in Heat::ALL {
        let what = format!("replay, {}{}", heat.name(), bench.place()?);
        compare(table, NR_ROUNDS, &what, "dd of the log, synced", &mut Replay { bench, heat, copies: None })?;
    }
    if !bench.is_in_memory()? {
        // On a disk it would matter most when what was written is synced, which a plain loop does at its end.
        return Ok(());
    }
    let heat = Heat::Warm;
    let what = format!("replay, {}{}", heat.name(), bench.place()?);
    let copies = Some(copies_of(&bench.path("log"))?);
    compare(table, NR_ROUNDS, &what, "its reads and writes alone", &mut Replay { bench, heat, copies })
}

/// Bytes of the log that a replay brings to the image.
struct Copy {
    log_offset_bytes: u64,
    disk_offset_bytes: u64,
    len: usize,
}

/// All of them, in the order of the disk.
fn copies_of(log: &Path) -> anyhow::Result<Vec<Copy>> {
    let mut bytes = Vec::new();
    File::open(log)?.read_to_end(&mut bytes)?;
    let mut slice = LogSlice::open(&bytes)?;
    let mut index = Index::new(slice.superblock());
    while let Some(entry) = slice.next() {
        let entry = entry?;
        index.push(&entry, slice.mark_text(&entry).unwrap_or(b""));
    }
    let (sector_size, map) = (index.sector_size(), index.map_at(index.nr_entries(), Discards::Zero));
    let copy = |run: Run| match run.source {
        Source::Log { offset_bytes } => Some(Copy {
            log_offset_bytes: offset_bytes,
            disk_offset_bytes: sector_size.bytes_of(run.extent.sector()),
            len: narrow(sector_size.bytes_of(run.extent.nr_sectors())),
        }),
        Source::Zeros { .. } => None,
    };
    Ok(map.runs().filter_map(copy).collect())
}

/// Does the copies, joined where one ends at the next, and nothing else of a replay: neither is the log understood, nor
/// is it known what comes from where.
fn copy(log: &Path, image: &Path, copies: &[Copy]) -> anyhow::Result<()> {
    let (log, image) = (File::open(log)?, File::create(image)?);
    image.set_len(crate::bench::DISK_BYTES)?;
    let mut room = vec![0; ROOM_LEN];
    let (mut start_bytes, mut len) = (0, 0);
    for copy in copies {
        let end_bytes = start_bytes + u64::try_from(len)?;
        if copy.disk_offset_bytes != end_bytes || len + copy.len > ROOM_LEN {
            image.write_all_at(&room[..len], start_bytes)?;
            (start_bytes, len) = (copy.disk_offset_bytes, 0);
        }
        log.read_exact_at(&mut room[len..len + copy.len], copy.log_offset_bytes)?;
        len += copy.len;
    }
    image.write_all_at(&room[..len], start_bytes)?;
    Ok(())
}

struct Replay<'a> {
    bench: &'a Bench,
    heat: Heat,
    /// What the peer does; if not set, it copies the log.
    copies: Option<Vec<Copy>>,
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
        match (side, &self.copies) {
            (Side::Ours, _) => {
                let mut replay = self.bench.tool();
                replay
                    .arg("replay")
                    .arg(log)
                    .args(["--size", "1G", "--output"])
                    .arg(self.bench.path("image"));
                execute(&mut replay)?;
            }
            (Side::Peer, Some(copies)) => copy(&log, &self.bench.path("copy"), copies)?,
            (Side::Peer, None) => {
                let (from, to) = (log.display(), self.bench.path("copy"));
                let files = [format!("if={from}"), format!("of={}", to.display())];
                execute(Command::new("dd").args(files).args(["bs=1M", "conv=fsync", "status=none"]))?;
            }
        }
        Ok(None)
    }
}

const NR_ROUNDS: usize = 5;

/// How much is written at once.
const ROOM_LEN: usize = 1 << 20;
