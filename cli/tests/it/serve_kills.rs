//! `logwrites serve nbd`, killed in the middle of a load: what was acknowledged is there.
#![cfg(unix)]

use crate::common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Folder;
use common::logs::{replayed, superblock};
use common::nbd::{Client, FLUSH, Served, WRITE, try_client};
use common::random::Random;

/// Each client writes to blocks of its own, a number and its own name all over each, and knows for each block what was
/// sent, what was acknowledged, and what a flush has covered.
#[test]
fn what_was_acknowledged_survives_sixty_kills() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let start = Instant::now();
    let (mut nr_acked, mut nr_flushed, mut in_tail) = (0, 0, 0);
    for round in 0..NR_KILLS {
        let mut random = Random::new(seed + round);
        let folder = Folder::new();
        folder.write("base", vec![0; DISK]);
        folder.write("disk", vec![0; DISK]);
        let mode = ["--base base", "--data disk", "--base base --superblock barrier", "--size 4M"]
            [common::logs::narrow(round % 4)];
        let served = Served::start(&folder, &format!("--log log {mode}"));
        let socket = folder.path("disk.sock");
        let is_over = AtomicBool::new(false);
        let clients: Vec<Story> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..NR_CLIENTS)
                .map(|number| {
                    let (socket, is_over) = (&socket, &is_over);
                    let seed = random.next();
                    scope.spawn(move || Story::new(number).tell(socket, seed, is_over))
                })
                .collect();
            std::thread::sleep(Duration::from_micros(5_000 + random.below(120_000)));
            served.kill();
            is_over.store(true, Ordering::Relaxed);
            threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
        });

        let (_, counted) = superblock(&folder.read("log"));
        folder.run("verify log").code(0);
        // What a flush has acknowledged is counted; the rest that was acknowledged can be recovered.
        let disk = replayed(&folder.read("log"), &vec![0; DISK], usize::MAX).0;
        for story in &clients {
            story.check(&disk, |block| block.flushed, "was flushed");
            nr_flushed += u64::from(story.blocks.iter().any(|block| block.flushed > 0));
        }
        folder.run("recover log --write").code(0);
        let (_, recovered) = superblock(&folder.read("log"));
        in_tail += recovered - counted;
        let disk = replayed(&folder.read("log"), &vec![0; DISK], usize::MAX).0;
        for story in &clients {
            story.check(&disk, |block| block.acked, "was acknowledged");
            nr_acked += story.nr_acked;
        }
        if mode.contains("--data") {
            let data = folder.read("disk");
            for story in &clients {
                story.check(&data, |block| block.acked, "was acknowledged, on the disk");
            }
        } else {
            // Served again, it is the same disk.
            let served = Served::start(&folder, &format!("--log log {mode} --append"));
            let mut client = Client::connect(&socket, "").expect("a client");
            assert!(client.read(0, DISK).expect("a read") == disk);
            drop(client);
            served.stop().code(0).no_stderr();
        }
    }
    println!(
        "{NR_KILLS} kills, {nr_acked} writes acknowledged, {nr_flushed} stories with flushes, {in_tail} entries \
         recovered, {:.1?}",
        start.elapsed()
    );
    assert!(nr_acked > 1000 && nr_flushed > 20 && in_tail > 0);
}

#[test]
fn fio_finds_what_was_acknowledged_after_a_kill() {
    kill_under_fio(6);
}

#[test]
#[ignore = "it takes ten minutes: cargo nextest run --run-ignored only three_hundred"]
fn fio_finds_what_was_acknowledged_after_three_hundred_kills() {
    kill_under_fio(300);
}

/// fio has the server killed in the middle of its load, and then verifies what had been acknowledged: all of it, since a
/// killed process loses nothing that the system has. Only what was in flight when fio lost its server may be missing.
fn kill_under_fio(nr_kills: u64) {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut nr_acked = 0;
    for round in 0..nr_kills {
        let mut random = Random::new(seed + round);
        let folder = Folder::new();
        folder.write("base", vec![0; FIO_DISK]);
        folder.write("disk", vec![0; FIO_DISK]);
        let mode = ["--base base", "--data disk", "--base base --superblock barrier", "--size 64M"]
            [common::logs::narrow(round % 4)];
        let served = Served::start(&folder, &format!("--log log {mode}"));
        let trigger = folder.path("trigger");
        let kill = [
            format!("--trigger-file={}", trigger.display()),
            format!("--trigger=kill -9 {}", served.child().id()),
        ];
        let options = ["--do_verify=0", "--output-format=json", &kill[0], &kill[1]];
        let load = std::thread::scope(|scope| {
            let running = scope.spawn(|| fio(&folder, seed + round, &options));
            let log = folder.path("log");
            common::wait_until("fio has begun", || log.metadata().is_ok_and(|log| log.len() > 1 << 16));
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
            folder.write("trigger", "");
            running.join().expect("fio ends")
        });
        served.kill();
        let json = load.stdout.find('{').and_then(|start| load.stdout.get(start..)).expect("JSON");
        let report: serde_json::Value = serde_json::Deserializer::from_str(json)
            .into_iter()
            .next()
            .and_then(Result::ok)
            .unwrap_or_else(|| panic!("{load:#?}"));
        let write = &report["jobs"][0]["write"];
        let sent = write["total_ios"].as_u64().expect("a number");
        let acked = write["io_bytes"].as_u64().expect("a number") / 4096;
        nr_acked += acked;

        let served = Served::start(&folder, &format!("--log log {mode} --append --tail keep"));
        let found =
            fio(&folder, seed + round, &["--verify_only=1", "--verify_state_load=1", "--verify_fatal=0"]);
        let all = format!("{}{}", found.stdout, found.stderr);
        let nr_bad = all.lines().filter(|line| line.starts_with("verify:")).count();
        assert!(
            common::logs::wide(nr_bad) <= sent - acked,
            "round {round}, {mode}: {sent} sent, {acked} acknowledged\n{all}"
        );
        assert!(found.code == Some(0) || nr_bad > 0, "{found:#?}");
        served.stop().code(0);
        folder.run("verify log").code(0).no_stderr();
    }
    println!("{nr_kills} kills under fio, {nr_acked} writes acknowledged");
    assert!(nr_acked > 100 * nr_kills, "{nr_acked}");
}

/// The same writes for the same seed.
fn fio(folder: &Folder, seed: u64, options: &[&str]) -> common::Ran {
    let uri = format!("--uri=nbd+unix:///?socket={}", folder.path("disk.sock").display());
    let aux = format!("--aux-path={}", folder.path("").display());
    let seed = format!("--randseed={seed}");
    let mut args = vec!["--name=kill", "--ioengine=nbd", &uri, &aux, &seed, "--rw=randwrite", "--bs=4k"];
    args.extend(["--size=64M", "--iodepth=16", "--fsync=64", "--verify=crc32c"]);
    args.extend(options);
    try_client(folder, "fio", "fio", &args)
}

/// What a client has done.
struct Story {
    number: usize,
    blocks: Vec<Block>,
    nr_acked: u64,
}

/// Which writes to a block were sent, acknowledged, and then covered by a flush: the number of the last one.
#[derive(Clone, Copy, Default)]
struct Block {
    sent: u64,
    acked: u64,
    flushed: u64,
}

impl Story {
    fn new(number: usize) -> Self {
        Self { number, blocks: vec![Block::default(); NR_BLOCKS], nr_acked: 0 }
    }

    /// Writes until the server is gone.
    fn tell(mut self, socket: &Path, seed: u64, is_over: &AtomicBool) -> Self {
        let Ok(mut client) = Client::connect(socket, "") else { return self };
        let mut random = Random::new(seed);
        let mut number = 0;
        while !is_over.load(Ordering::Relaxed) {
            // Several in flight, each to another block; then perhaps a flush.
            let mut sent = Vec::new();
            for _ in 0..=random.below(12) {
                let block = common::logs::narrow(random.below(common::logs::wide(NR_BLOCKS)));
                if sent.iter().any(|(_, other, _)| *other == block) {
                    continue;
                }
                number += 1;
                self.blocks[block].sent = number;
                let bytes = self.content(block, number);
                let flags = u8::from(random.once_in(10));
                let Ok(cookie) = client.send(WRITE, flags, self.offset(block), BLOCK, &bytes) else {
                    return self;
                };
                sent.push((cookie, block, number));
            }
            for _ in 0..sent.len() {
                let Ok((cookie, error)) = client.reply() else { return self };
                assert_eq!(error, 0);
                let (_, block, number) =
                    sent.iter().find(|(other, ..)| *other == cookie).expect("a cookie of ours");
                self.blocks[*block].acked = *number;
                self.nr_acked += 1;
            }
            if random.once_in(3) {
                if !client.call(FLUSH, 0, 0, 0, b"").is_ok_and(|error| error == 0) {
                    return self;
                }
                for block in &mut self.blocks {
                    block.flushed = block.acked;
                }
            }
        }
        self
    }

    /// Each block holds one whole write: at least the one that `least` says, at most the last one that was sent.
    #[track_caller]
    fn check(&self, disk: &[u8], least: impl Fn(&Block) -> u64, what: &str) {
        for (index, block) in self.blocks.iter().enumerate() {
            let offset = common::logs::narrow(self.offset(index));
            let bytes = &disk[offset..offset + BLOCK];
            let found =
                (least(block)..=block.sent).rev().find(|number| bytes == self.content(index, *number));
            assert!(
                found.is_some(),
                "client {}, block {index}: write {} {what}, {} was sent; the block has {:?}…",
                self.number,
                least(block),
                block.sent,
                &bytes[..16]
            );
        }
    }

    fn offset(&self, block: usize) -> u64 {
        common::logs::wide((self.number * NR_BLOCKS + block) * BLOCK)
    }

    /// What write `number` puts into a block; write 0 is what was there before.
    fn content(&self, block: usize, number: u64) -> Vec<u8> {
        if number == 0 {
            return vec![0; BLOCK];
        }
        let text = format!("client {} block {block} write {number}; ", self.number);
        text.bytes().cycle().take(BLOCK).collect()
    }
}

const FIO_DISK: usize = 64 << 20;
const NR_KILLS: u64 = 60;
const NR_CLIENTS: usize = 3;
const NR_BLOCKS: usize = 64;
const BLOCK: usize = 4096;
const DISK: usize = 4 << 20;
