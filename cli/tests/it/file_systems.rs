//! The file systems of this machine's kernel on a served file, over a loop device: what they wrote is in the log, and every
//! mark's replay has the files as they were.
#![cfg(target_os = "linux")]

use crate::common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::fuse::{Files, Mount, number_of, program};
use common::images::{are_equal, sha256, sha256_of};
use common::random::Random;
use common::{Folder, Loop, wait_until};

#[test]
fn ext4_is_there_at_every_mark() {
    a_story_of(&Kind { name: "ext4", size: "96M", ..EXT4 });
    a_story_of(&Kind {
        name: "ext4 onto an image, in the order of durability",
        size: "64M",
        data: true,
        ..EXT4
    });
}

#[test]
fn xfs_is_there_at_every_mark() {
    a_story_of(&Kind {
        name: "xfs",
        size: "320M",
        mkfs: ("xfsprogs", "mkfs.xfs", &["-q"]),
        check: ("xfsprogs", "xfs_repair", &["-n"]),
        data: false,
    });
}

#[test]
fn btrfs_is_there_at_every_mark() {
    a_story_of(&Kind {
        name: "btrfs",
        size: "160M",
        mkfs: ("btrfs-progs", "mkfs.btrfs", &["-q"]),
        check: ("btrfs-progs", "btrfs", &["check", "--readonly"]),
        data: false,
    });
}

const EXT4: Kind = Kind {
    name: "ext4",
    size: "96M",
    mkfs: ("e2fsprogs", "mkfs.ext4", &["-q"]),
    check: ("e2fsprogs", "e2fsck", &["-f", "-n"]),
    data: false,
};

/// A file system: how it is made and checked, and how its disk is served.
struct Kind {
    name: &'static str,
    size: &'static str,
    mkfs: (&'static str, &'static str, &'static [&'static str]),
    check: (&'static str, &'static str, &'static [&'static str]),
    data: bool,
}

/// What was known to be durable at a mark: the SHA-256 of each file.
type Sums = BTreeMap<PathBuf, String>;

fn a_story_of(kind: &Kind) {
    let seed = Random::fresh_seed();
    println!("{}: seed {seed}", kind.name);
    let mut random = Random::new(seed);
    let folder = Folder::new();
    let image = |name: &str| {
        let len_mib: u64 = kind.size.trim_end_matches('M').parse().expect("a size");
        File::create(folder.path(name)).expect("an image").set_len(len_mib << 20).expect("a length");
    };
    image("base");
    let options = if kind.data {
        image("disk");
        "--data disk --ordering durability"
    } else {
        "--base base"
    };
    let files = Files::start(&folder, &format!("--log log {options}"));
    let device = Loop::of(&files.disk(), &["--direct-io=on"]);
    let (package, mkfs, args) = kind.mkfs;
    run(package, mkfs, args, device.device());
    files.mark("mkfs");

    let mut known: Vec<(String, Sums)> = vec![("mkfs".to_owned(), Sums::new())];
    let mount = Mount::new(Path::new(device.device()), folder.path("fs"), "noatime");
    let mut sums = Sums::new();
    for round in 0..number_of("LOGWRITES_FS_ROUNDS", 4) {
        change_files(mount.path(), &mut sums, &mut random, round);
        sync_all(mount.path());
        let name = format!("round {round}");
        files.mark(&name);
        known.push((name, sums.clone()));
        // Neither marked nor durable, and perhaps there.
        std::fs::write(mount.path().join("unsynced"), vec![random.byte(); 10_000]).expect("a file");
        std::fs::remove_file(mount.path().join("unsynced")).expect("it is there");
        if round % 2 == 1 {
            program("util-linux", "fstrim", &[mount.path().as_os_str()]);
        }
    }
    mount.end();
    files.mark("end");
    known.push(("end".to_owned(), sums));

    // What a client reads is what the log says.
    folder.run("replay log --base base --output end.img").code(0);
    assert!(are_equal(&files.disk(), &folder.path("end.img")), "{}", kind.name);
    drop(device);
    files.stop().code(0).no_stderr();
    folder.run("verify log --base base --final end.img").code(0).no_stderr();
    if kind.data {
        folder.run("verify log --base base --final disk").code(0).no_stderr();
    }
    let discards = folder.run("ls log --flag discard --json").code(0).json().len();
    assert!(discards > 0, "{}: fstrim discards", kind.name);
    for (mark, sums) in &known {
        check_replay(&folder, kind, mark, sums);
    }
}

/// Replays to a mark, mounts that, and compares all that was known to be durable.
fn check_replay(folder: &Folder, kind: &Kind, mark: &str, sums: &Sums) {
    let point = format!("mark:{mark}");
    folder.run_of(["replay", "log", "--base", "base", "--output", "then.img", "--at", &point]).code(0);
    let image = folder.path("then.img");
    let mount = Mount::new(&image, folder.path("then"), "loop,noatime");
    for (name, sum) in sums {
        assert_eq!(&sha256(&mount.path().join(name)), sum, "{} at {mark}: {}", kind.name, name.display());
    }
    let found = std::fs::read_dir(mount.path()).expect("the folder");
    let found = found.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "lost+found"));
    assert_eq!(found.count(), sums.len(), "{} at {mark}", kind.name);
    mount.end();
    let (package, check, args) = kind.check;
    run(package, check, args, image.to_str().expect("text"));
    std::fs::remove_file(image).expect("it is there");
}

/// Makes, overwrites, grows, shortens and removes some files, each of which is then durable.
fn change_files(root: &Path, sums: &mut Sums, random: &mut Random, round: u64) {
    for number in 0..12 {
        let name = PathBuf::from(format!("file {}", random.below(20)));
        let path = root.join(&name);
        if sums.contains_key(&name) && random.once_in(4) {
            std::fs::remove_file(&path).expect("it is there");
            sums.remove(&name);
            continue;
        }
        let len = common::logs::narrow(random.below(400_000));
        let mut file = File::create(&path).expect("a file");
        let text = format!("round {round}, number {number}, {}; ", random.next());
        let bytes: Vec<u8> = text.bytes().cycle().take(len).collect();
        file.write_all(&bytes).expect("written");
        file.sync_all().expect("durable");
        sums.insert(name, sha256(&path));
    }
}

fn sync_all(root: &Path) {
    rustix::fs::syncfs(File::open(root).expect("a folder")).expect("durable");
}

#[track_caller]
fn run(package: &str, name: &str, args: &[&str], last: &str) {
    let args: Vec<&OsStr> = args.iter().copied().chain([last]).map(OsStr::new).collect();
    program(package, name, &args);
}

/// The kernel's own driver where it has one; mtools are another one, which needs none.
#[test]
fn vfat_is_there_at_every_mark() {
    let folder = Folder::new();
    let files = Files::start(&folder, "--log log --size 48M");
    let device = Loop::of(&files.disk(), &["--direct-io=on"]);
    run("dosfstools", "mkfs.vfat", &[], device.device());
    files.mark("mkfs");
    let mut contents = Vec::new();
    for number in 0..5u8 {
        let bytes = vec![number + 1; 100_000 * usize::from(number + 1)];
        folder.write("file", &bytes);
        run(
            "mtools",
            "mcopy",
            &["-i", device.device(), folder.path("file").to_str().expect("text")],
            &format!("::f{number}"),
        );
        contents.push(bytes);
        if number == 3 {
            run("mtools", "mdel", &["-i", device.device()], "::f0");
        }
        File::open(device.device()).expect("the device").sync_all().expect("durable");
        files.mark(&format!("f{number}"));
    }
    drop(device);
    wait_until("the loop device is gone", || {
        std::fs::read(files.path("control")).is_ok_and(|text| {
            serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|status| status["connections"] == 0)
        })
    });
    files.stop().code(0).no_stderr();
    for number in 0..5usize {
        let point = format!("mark:f{number}");
        folder
            .run_of(["replay", "log", "--size", "48M", "--output", "then.img", "--at", &point, "--force"])
            .code(0);
        let image = folder.path("then.img");
        let image = image.to_str().expect("text");
        run("dosfstools", "fsck.vfat", &["-n"], image);
        for (index, bytes) in contents.iter().enumerate().take(number + 1) {
            let copy = folder.path("copy");
            let _ = std::fs::remove_file(&copy);
            let args = ["-n", "-i", image, &format!("::f{index}")].map(ToOwned::to_owned);
            if index == 0 && number >= 3 {
                let left = program("mtools", "mdir", &["-b", "-i", image, "::"].map(OsStr::new));
                assert!(!left.contains("f0"), "{left}");
                continue;
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run("mtools", "mcopy", &args, copy.to_str().expect("text"));
            assert!(folder.read("copy") == *bytes, "f{index} at {point}");
        }
    }
}

/// What a program has made durable on ext4 is on the disk that the log gives, without any recovery of the log.
#[test]
fn ext4_keeps_what_was_durable_when_the_server_is_killed() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut nr_files = 0;
    for round in 0..number_of("LOGWRITES_FS_KILLS", 6) {
        let mut random = Random::new(seed + round);
        let folder = Folder::new();
        for name in ["base", "disk"] {
            File::create(folder.path(name)).expect("an image").set_len(48 << 20).expect("a length");
        }
        let mode = if round % 2 == 0 { "--base base" } else { "--data disk" };
        let mut files = Files::start(&folder, &format!("--log log {mode}"));
        let device = Loop::of(&files.disk(), &["--direct-io=on"]);
        run("e2fsprogs", "mkfs.ext4", &["-q"], device.device());
        let mount = Mount::new(Path::new(device.device()), folder.path("fs"), "noatime");
        let sums = std::thread::scope(|scope| {
            let root = mount.path();
            let seed = random.next();
            let writer = scope.spawn(move || make_durable_files(root, seed));
            std::thread::sleep(Duration::from_millis(20 + random.below(250)));
            files.kill_and_leave();
            writer.join().expect("the writer")
        });
        nr_files += sums.len();
        drop((mount, device, files));
        folder.run("replay log --base base --output then.img").code(0);
        let then = Mount::new(&folder.path("then.img"), folder.path("then"), "loop,noatime");
        for (name, sum) in &sums {
            assert_eq!(
                &sha256(&then.path().join(name)),
                sum,
                "seed {seed}, round {round}, {}",
                name.display()
            );
        }
        then.end();
        run("e2fsprogs", "e2fsck", &["-f", "-n"], folder.path("then.img").to_str().expect("text"));
    }
    println!("{nr_files} files were durable");
    assert!(nr_files > 20, "{nr_files}");
}

/// Makes files, each durable with its name, until that fails.
fn make_durable_files(root: &Path, seed: u64) -> Sums {
    let mut random = Random::new(seed);
    let mut sums = Sums::new();
    for number in 0.. {
        let name = PathBuf::from(format!("file {number}"));
        let text = format!("file {number}, {}; ", random.next());
        let bytes: Vec<u8> = text.bytes().cycle().take(common::logs::narrow(random.below(30_000))).collect();
        let made = (|| {
            let mut file = File::create(root.join(&name))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            File::open(root)?.sync_all()
        })();
        if made.is_err() {
            break;
        }
        sums.insert(name, sha256_of(&bytes));
    }
    sums
}

/// fio decides what must be there: through a loop device with many in flight, and on the file itself.
#[test]
fn fio_verifies_what_it_wrote() {
    for (options, is_loop) in [("--base base", true), ("--data disk", true), ("--size 64M", false)] {
        let folder = Folder::new();
        for name in ["base", "disk"] {
            File::create(folder.path(name)).expect("an image").set_len(64 << 20).expect("a length");
        }
        let files = Files::start(&folder, &format!("--log log {options}"));
        let device = is_loop.then(|| Loop::of(&files.disk(), &["--direct-io=on"]));
        let target = device.as_ref().map_or(files.disk(), |device| PathBuf::from(device.device()));
        for (name, args) in [
            (
                "random",
                &["--rw=randwrite", "--bsrange=512-64k", "--blockalign=512", "--iodepth=16", "--fsync=32"][..],
            ),
            ("seq", &["--rw=write", "--bs=1M", "--iodepth=4"]),
            ("mixed", &["--rw=randrw", "--bs=4k", "--iodepth=16", "--verify_backlog=64"]),
        ] {
            let name = format!("--name={name}");
            let file = format!("--filename={}", target.display());
            let mut all = vec![
                "--ioengine=libaio",
                "--direct=1",
                "--size=64M",
                "--io_size=48M",
                "--verify=crc32c",
                "--verify_fatal=1",
                "--verify_state_save=0",
            ];
            all.extend([name.as_str(), file.as_str()]);
            all.extend(args);
            program("fio", "fio", &all.into_iter().map(OsStr::new).collect::<Vec<_>>());
        }
        files.mark("end");
        let image = if options.starts_with("--size") { "--size 64M" } else { "--base base" };
        folder.run(&format!("replay log {image} --output end.img")).code(0);
        assert!(are_equal(&files.disk(), &folder.path("end.img")), "{options}");
        drop(device);
        files.stop().code(0);
        if options.starts_with("--data") {
            folder.run("verify log --base base --final disk").code(0).no_stderr();
        }
    }
}
