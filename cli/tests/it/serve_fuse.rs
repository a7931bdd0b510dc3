//! `logwrites serve fuse`: what the files are, that any bytes of them can be read and written, marks, the past, how it
//! starts, what it refuses, how it ends.
#![cfg(target_os = "linux")]

use crate::common;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use common::fuse::{Files, number_of};
use common::logs::{DISCARD, FLUSH, FUA, MARK, entries, narrow, replayed, wide};
use common::random::Random;
use common::{Folder, SmallDisk, signal, system};
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

const MIB: u64 = 1 << 20;

/// Random requests, most of them of parts of sectors, beside a plain array of bytes.
#[test]
fn any_bytes_are_read_and_written_in_every_mode() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let kinds = [
        "--size 2M",
        "--base base --sector-size 4096",
        "--data disk --sector-size 65536",
        "--data disk --ordering durability --superblock barrier",
        "--base base --sector-size 32",
    ];
    for (mode, seed) in kinds.into_iter().zip(seed..) {
        let folder = images(2);
        let files = Files::start(&folder, &format!("--log log {mode}"));
        let mut model = if mode.starts_with("--size") { vec![0; 2 << 20] } else { folder.read("base") };
        let disk = opened(&files.disk(), OFlags::empty());
        // What rustix calls DSYNC is O_SYNC.
        let durable = opened(&files.disk(), OFlags::from_bits_retain(linux_raw_sys::general::O_DSYNC));
        let mut random = Random::new(seed);
        for _ in 0..400 {
            let offset = random.below(2 * MIB);
            let len = (1 + random.below(9) * random.below(3000)).min(2 * MIB - offset);
            // As often as not whole sectors, of the smaller kind.
            let (offset, len) =
                if random.once_in(2) { (offset, len) } else { (offset & !4095, len.next_multiple_of(4096)) };
            let len = len.min(2 * MIB - offset);
            let range = narrow(offset)..narrow(offset + len);
            match random.below(8) {
                0 => {
                    punch(&disk, offset, len).unwrap();
                    model[range].fill(0);
                }
                1 => {
                    fallocate(&disk, FallocateFlags::ZERO_RANGE, offset, len).unwrap();
                    model[range].fill(0);
                }
                2 => disk.sync_data().unwrap(),
                3 => {
                    let mut got = vec![0; narrow(len)];
                    disk.read_exact_at(&mut got, offset).unwrap();
                    assert!(got == model[range], "{mode}: seed {seed}, {offset}+{len}");
                }
                kind => {
                    let bytes = vec![random.byte(); narrow(len)];
                    let file = if kind == 4 { &durable } else { &disk };
                    file.write_all_at(&bytes, offset).unwrap();
                    model[range].copy_from_slice(&bytes);
                }
            }
        }
        let mut all = Vec::new();
        File::open(files.disk()).unwrap().read_to_end(&mut all).unwrap();
        assert!(all == model, "{mode}: seed {seed}");
        drop((disk, durable));
        files.stop().code(0).no_stderr();

        let log = folder.read("log");
        let base = if mode.starts_with("--size") { vec![0; 2 << 20] } else { folder.read("base") };
        assert!(replayed(&log, &base, usize::MAX).0 == model, "{mode}: seed {seed}");
        for flag in [FLUSH, FUA, DISCARD] {
            let has_flag = entries(&log).iter().any(|entry| entry.flags & flag != 0);
            // No hole has as much as a whole sector there.
            assert!(has_flag || (flag == DISCARD && mode.contains("65536")), "{mode}: {flag}");
        }
        if mode.starts_with("--data") {
            assert!(folder.read("disk") == model);
        } else if mode.starts_with("--base") {
            assert!(folder.read("base") == images(2).read("base"), "the base stays as it is");
        }
    }
}

#[test]
fn a_point_is_closed_with_the_last_open_file() {
    let folder = images(4);
    let script: Vec<String> = (1..=100).map(|number| format!("write -P {number} 0 512")).collect();
    folder.record("disk --log log", &script.join("\n"));
    let files = Files::start(&folder, "--log log --base base --at 3");
    let resources = || common::threads_and_files(files.served().child());
    let (nr_threads, nr_files) = common::settled_threads_and_files(files.served().child());
    for point in 1..=100u8 {
        let nr_left = usize::from(point - 1).min(64);
        let path = files.path(&format!("disk@{point}"));
        let disk = opened(&path, OFlags::empty());
        let mut start = [0; 512];
        disk.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(start, [point; 512]);
        // Those that were changed last have a file each; the kernel closes a moment after the program.
        common::wait_until("it has none", || resources() == (nr_threads, nr_files + nr_left));
        disk.write_all_at(&[1; 512], 512).unwrap();
        opened(&path, OFlags::empty()).read_exact_at(&mut start, 512).unwrap();
        assert_eq!(start, [1; 512]);
    }
    let first = std::fs::read(files.path("disk@1")).unwrap();
    assert!(first[512..] == folder.read("base")[512..], "its changes went with it");
    files.stop().code(0).no_stderr();
}

#[test]
fn no_thread_wakes_while_there_is_no_request() {
    let folder = images(1);
    let files = Files::start(&folder, "--log log --base base");
    common::assert_idle(files.served().child(), |_| true);
    let disk = opened(&files.disk(), OFlags::empty());
    disk.write_all_at(&[1; 512], 0).unwrap();
    common::assert_idle(files.served().child(), |_| true);
    drop(disk);
    files.stop().code(0).no_stderr();
}

/// Each thread has every fourth byte, so that every sector is put together by all of them.
#[test]
fn who_writes_parts_of_one_sector_loses_nothing_of_the_others() {
    let folder = images(1);
    let files = Files::start(&folder, "--log log --size 64k --sector-size 4096");
    std::thread::scope(|scope| {
        for number in 0..4u8 {
            let disk = files.disk();
            scope.spawn(move || {
                let file = opened(&disk, OFlags::empty());
                for offset in (u64::from(number)..8192).step_by(4) {
                    file.write_all_at(&[number + 1], offset).unwrap();
                    if number == 0 && offset % 256 == 0 {
                        // A whole sector elsewhere, at the same time.
                        file.write_all_at(&[9; 4096], 16384).unwrap();
                    }
                }
            });
        }
    });
    let mut got = vec![0; 8192];
    File::open(files.disk()).unwrap().read_exact(&mut got).unwrap();
    assert!(got == [1, 2, 3, 4].repeat(2048));
    files.stop().code(0).no_stderr();
}

#[test]
fn the_folder_has_two_files_and_keeps_them_as_they_are() {
    let folder = images(4);
    let files = Files::start(&folder, "--log log --base base");
    let mut names: Vec<_> = std::fs::read_dir(files.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["control", "disk"]);
    let of = |name: &str| std::fs::metadata(files.path(name)).unwrap();
    assert_eq!((of("disk").len(), of("disk").mode()), (4 * MIB, 0o100_600));
    assert_eq!((of("control").len(), of("control").mode()), (0, 0o100_600));
    assert_eq!(
        (of("").mode(), of("").uid(), of("disk").nlink()),
        (0o40_700, std::fs::metadata(folder.path("")).unwrap().uid(), 1)
    );

    let statfs = rustix::fs::statvfs(files.path("")).unwrap();
    assert_eq!((statfs.f_bsize, statfs.f_blocks * statfs.f_frsize, statfs.f_bfree), (512, 4 * MIB, 0));

    let refused = |result: io::Result<()>, errno: Errno| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
    };
    let disk = opened(&files.disk(), OFlags::empty());
    refused(File::create(files.path("new")).map(|_| ()), Errno::PERM);
    refused(std::fs::create_dir(files.path("new")), Errno::PERM);
    refused(std::fs::remove_file(files.disk()), Errno::PERM);
    refused(std::fs::rename(files.disk(), files.path("new")), Errno::PERM);
    refused(disk.set_len(0), Errno::INVAL);
    refused(disk.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)), Errno::PERM);
    refused(File::open(files.path("disk@end")).map(|_| ()), Errno::NOENT);
    refused(disk.write_all_at(&[1], 4 * MIB), Errno::NOSPC);
    refused(disk.write_all_at(&[1], u64::MAX / 4), Errno::NOSPC);
    refused(fallocate(&disk, FallocateFlags::ZERO_RANGE, 0, 5 * MIB).map_err(Into::into), Errno::NOSPC);
    refused(fallocate(&disk, FallocateFlags::COLLAPSE_RANGE, 0, MIB).map_err(Into::into), Errno::OPNOTSUPP);
    fallocate(&disk, FallocateFlags::empty(), 0, 4 * MIB).unwrap();
    punch(&disk, 4 * MIB, MIB).unwrap();
    // As much as there is room for.
    assert_eq!(disk.write_at(&[7; 8192], 4 * MIB - 4096).unwrap(), 4096);
    assert_eq!(disk.read_at(&mut [0; 8192], 4 * MIB - 4096).unwrap(), 4096);
    assert_eq!(disk.read_at(&mut [0; 8192], 4 * MIB).unwrap(), 0);
    // As with a disk, that it is to be truncated when it is opened is not heard.
    std::fs::write(files.disk(), [5; 512]).unwrap();
    let mut start = [0; 1024];
    disk.read_exact_at(&mut start, 0).unwrap();
    assert!(start[..512] == [5; 512] && start[512..] == folder.read("base")[512..1024]);
    drop(disk);
    files.stop().code(0).no_stderr();
}

#[test]
fn holes_are_found() {
    let folder = images(1);
    let files = Files::start(&folder, "--log log --size 256M");
    let disk = opened(&files.disk(), OFlags::empty());
    disk.write_all_at(&[1; 4096], 100 * MIB).unwrap();
    disk.write_all_at(&[1; 100], 200 * MIB + 1000).unwrap();
    let data = |at| rustix::fs::seek(&disk, rustix::fs::SeekFrom::Data(at));
    let hole = |at| rustix::fs::seek(&disk, rustix::fs::SeekFrom::Hole(at));
    assert_eq!(data(0), Ok(100 * MIB));
    assert_eq!(data(100 * MIB + 7), Ok(100 * MIB + 7));
    assert_eq!(hole(0), Ok(0));
    assert_eq!(hole(100 * MIB + 7), Ok(100 * MIB + 4096));
    assert_eq!(data(100 * MIB + 4096), Ok(200 * MIB + 512));
    assert_eq!(data(201 * MIB), Err(Errno::NXIO));
    assert_eq!(hole(256 * MIB - 1), Ok(256 * MIB - 1));
    disk.write_all_at(&[1], 256 * MIB - 1).unwrap();
    assert_eq!(hole(256 * MIB - 1), Ok(256 * MIB), "every file ends with one");
    assert_eq!(hole(256 * MIB), Err(Errno::NXIO));
    drop(disk);
    files.stop().code(0).no_stderr();
}

#[test]
fn marks_and_requests_go_through_a_file() {
    let folder = images(4);
    let files = Files::start(&folder, "--log log --base base");
    let disk = opened(&files.disk(), OFlags::empty());
    disk.write_all_at(&[1; 4096], 0).unwrap();
    let control = files.path("control");
    let tell = |text: &str| OpenOptions::new().write(true).open(&control)?.write_all_at(text.as_bytes(), 0);
    tell("mark one\n").unwrap();
    disk.write_all_at(&[2; 4096], 0).unwrap();
    tell("mark --flush two words").unwrap();
    tell("{\"mark\":{\"name\":\"three\"}}\nmark four\n\n").unwrap();
    folder.run_of(["mark", "mnt/control", "--flush", "fifth one"]).code(0).no_stderr();
    for wrong in ["mark\n", "marks x", "{}", "{\"mark\":{\"name\":\"x\",\"when\":1}}", &"mark ".repeat(200)] {
        assert_eq!(tell(wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
    }
    folder
        .run_of(["mark", "mnt/control", &"x".repeat(480)])
        .code(1)
        .says(&["mnt/control", "Invalid argument"]);
    let status: serde_json::Value = serde_json::from_slice(&folder.read("mnt/control")).unwrap();
    assert_eq!((&status["writes"], &status["connections"]), (&2.into(), &1.into()), "{status}");
    let same = folder.run("status mnt/control --json").code(0).json().remove(0);
    assert_eq!(same["nr_entries"], status["nr_entries"]);
    assert!(folder.run("status mnt/control").code(0).stdout.contains("2 writes"));
    drop(disk);
    let ran = files.stop().code(0);
    assert_eq!(ran.stderr.lines().count(), 6, "each that was refused is told: {}", ran.stderr);
    let marks: Vec<_> = folder.run("marks log --json").json();
    let names: Vec<_> = marks.iter().map(|mark| mark["mark"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two words", "three", "four", "fifth one"]);
    let flags: Vec<u64> = entries(&folder.read("log")).iter().map(|entry| entry.flags).collect();
    assert_eq!(flags[..5], [0, MARK, 0, FLUSH, MARK]);
    // A file of that name that no server serves is a log like any other.
    folder.write("control", "{}");
    folder.run("mark control name").code(2);
    assert_eq!(folder.read("control"), b"{}");
}

#[test]
fn a_full_log_is_reported_before_the_disk_is_touched() {
    let folder = images(4);
    let _small = SmallDisk::new(folder.path("small"), "1M");
    for (log, least) in [("log --log-size 64k", 13), ("small/log", 200)] {
        folder.write("disk", folder.read("base"));
        let files = Files::start(&folder, &format!("--data disk --log {log}"));
        let disk = opened(&files.disk(), OFlags::empty());
        let (done, error) = fill(&disk);
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(done >= least, "{done}");
        disk.sync_all().expect("there is always room for a flush");
        let mut rest = [0; 4096];
        disk.read_exact_at(&mut rest, done * 4096).unwrap();
        let untouched = narrow(done * 4096)..narrow((done + 1) * 4096);
        assert!(rest == folder.read("base")[untouched], "it was not touched");
        let written = folder.read("disk");
        assert_eq!(written.iter().take_while(|byte| **byte == 0xaa).count(), narrow(done * 4096));
        drop(disk);
        files.stop().code(0);
        let log = log.split(' ').next().unwrap();
        folder.run(&format!("verify {log} --base base --final disk")).code(0).no_stderr();
    }
}

/// The image is sparse, and the file system below it has room for a part of it.
#[test]
fn a_failing_data_device_is_reported_and_marked_and_the_rest_continues() {
    let folder = Folder::new();
    let _small = SmallDisk::new(folder.path("small"), "1M");
    File::create(folder.path("small/disk")).unwrap().set_len(4 * MIB).unwrap();
    let files = Files::start(&folder, "--data small/disk --log log");
    let disk = opened(&files.disk(), OFlags::empty());
    let (done, error) = fill(&disk);
    assert_eq!(Errno::from_io_error(&error), Some(Errno::IO), "{error}");
    assert!((200..=256).contains(&done), "{done}");
    disk.write_all_at(&[0xbb; 4096], 0).expect("there it has room");
    let mut block = [0; 4096];
    disk.read_exact_at(&mut block, 0).unwrap();
    assert!(block == [0xbb; 4096]);
    disk.sync_all().unwrap();
    drop(disk);
    files.stop().code(3).says(&["while logging to log: the data device failed", "No space left"]);

    let log = folder.read("log");
    let text = format!("logwrites-indeterminate {}+8\0", done * 8);
    let all = entries(&log);
    let marks = all.iter().filter(|entry| entry.flags & MARK != 0);
    assert!(marks.map(|entry| &log[entry.bytes.start + 32..]).any(|mark| mark.starts_with(text.as_bytes())));
    let (replay, _) = replayed(&log, &vec![0; narrow(4 * MIB)], usize::MAX);
    let known = narrow(done * 4096);
    assert!(replay[..known] == folder.read("small/disk")[..known], "all but what the mark names");
}

#[test]
fn what_cannot_be_a_mountpoint_is_refused_before_anything_is_made() {
    let folder = images(4);
    std::fs::create_dir(folder.path("full")).unwrap();
    folder.write("full/file", "a person's");
    for (place, words) in [
        ("none", "there is no folder none; make it with: mkdir none"),
        ("base", "base is not a folder"),
        ("full", "full is not empty; --nonempty mounts over it, and hides its files"),
    ] {
        folder.run(&format!("serve fuse --log log --base base {place}")).refuses(&[words]);
    }
    assert!(!folder.has("log"));
    let mut files = Files::start(&folder, "--log log --base base");
    folder.run("serve fuse --log other --base base mnt").refuses(&["mnt is not empty"]);
    std::fs::create_dir(folder.path("mnt2")).unwrap();
    let ran = folder.run("serve fuse --log log --base base --append mnt2");
    ran.code(3).says(&["another process is writing to it"]);
    files.kill_and_leave();
    let ran = folder.run("serve fuse --log log --base base --append mnt");
    ran.code(3).says(&["was left by a server that was killed; free it with: umount mnt"]);
    system("umount", &[folder.path("mnt").as_os_str()]);
    Files::start(&folder, "--log log --base base --append --tail keep").stop().code(0).no_stderr();
}

#[test]
fn a_mount_hides_none_of_its_own_files() {
    let folder = images(4);
    std::fs::create_dir_all(folder.path("mnt/deep")).unwrap();
    folder.write("mnt/base", [0; 4096]);
    folder.record("disk --log past", "write 0 512");
    for (options, words) in [
        ("--size 1M --log mnt/in.log", "--log mnt/in.log is inside the mountpoint"),
        ("--size 1M --log mnt/deep/in.log", "--log mnt/deep/in.log is inside"),
        ("--base mnt/base --log log", "--base mnt/base is inside"),
        ("--data mnt/base --log log", "--data mnt/base is inside"),
        ("--base base --log past --at 0 --keep mnt/new", "--keep mnt/new is inside"),
    ] {
        folder.run(&format!("serve fuse --nonempty {options} mnt")).refuses(&[words]);
    }
    assert!(!folder.has("mnt/in.log") && !folder.has("mnt/deep/in.log") && !folder.has("log"));

    let files = Files::start(&folder, "--size 1M --log log --nonempty");
    assert!(!folder.has("mnt/base") && folder.has("mnt/disk"));
    files.stop().code(0).no_stderr();
    assert_eq!(folder.read("mnt/base"), [0; 4096], "hidden, not lost");
}

#[test]
fn every_end_finishes_what_has_arrived() {
    for end in ["TERM", "INT", "umount", "in use"] {
        let folder = images(8);
        let files = Files::start(&folder, "--log log --base base");
        let disk = opened(&files.disk(), OFlags::empty());
        for number in 0..50 {
            disk.write_all_at(&[9; 4096], number * 4096).unwrap();
        }
        let mut disk = Some(disk);
        if end != "in use" {
            disk = None;
        }
        match end {
            "umount" => drop(system("umount", &[folder.path("mnt").as_os_str()])),
            "in use" => signal(files.served().child(), "TERM"),
            name => signal(files.served().child(), name),
        }
        let ran = files.end().code(0);
        match &disk {
            None => drop(ran.no_stderr()),
            Some(disk) => {
                drop(ran.says(&["is still in use"]));
                assert!(disk.write_all_at(&[8; 4096], 0).is_err());
            }
        }
        let log = folder.read("log");
        assert_eq!(entries(&log).len(), 51, "{end}");
        assert_eq!(entries(&log).last().map(|entry| entry.flags), Some(FLUSH));
        assert_eq!(std::fs::read_dir(folder.path("mnt")).unwrap().count(), 0, "{end}: it is unmounted");
    }
}

#[test]
fn a_state_after_a_crash_is_a_file() {
    let folder = Folder::new();
    folder.record("image --create 1M --log log", "write -P 1 64k 4k\nwrite -P 2 0 512\nmark a^b\nflush");
    let files = Files::start(&folder, "--log log --size 1M --at 2^0 --at mark:a^b");
    let mut names: Vec<_> = std::fs::read_dir(files.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["disk@2^0", "disk@mark:a%5Eb"]);
    let bytes = |name: &str| {
        let disk = std::fs::read(files.path(name)).unwrap();
        (disk[0], disk[64 << 10], disk[(64 << 10) + 4095])
    };
    for (name, expected) in [
        ("disk", (2, 0, 0)),
        ("disk@2^0", (2, 0, 0)),
        ("disk@mark:a^b", (2, 1, 1)),
        ("disk@mark:a%5Eb^0:7,1", (0, 1, 0)),
        ("disk@2^1", (0, 1, 1)),
        ("disk@end", (2, 1, 1)),
    ] {
        assert_eq!(bytes(name), expected, "{name}");
    }
    for wrong in ["disk@2^2", "disk@end^0", "disk@2^", "disk@2^1,0"] {
        assert_eq!(File::open(files.path(wrong)).unwrap_err().kind(), ErrorKind::NotFound, "{wrong}");
    }
    files.stop().code(0).no_stderr();
}

#[test]
fn the_past_is_files_that_can_be_changed_and_forget_it() {
    let folder = images(4);
    let files = Files::start(&folder, "--log log --base base");
    let disk = opened(&files.disk(), OFlags::empty());
    for (number, name) in [(1, "one"), (2, "sub/two")] {
        disk.write_all_at(&[number; 4096], 4096).unwrap();
        files.mark(name);
    }
    drop(disk);
    files.stop().code(0).no_stderr();
    let (log, base) = (folder.read("log"), folder.read("base"));

    let files = Files::start(&folder, "--log log --base base --at mark:one --at mark:sub/two");
    let mut names: Vec<_> = std::fs::read_dir(files.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["disk@mark:one", "disk@mark:sub%2Ftwo"]);
    let byte = |name: &str| {
        let mut got = [0];
        File::open(files.path(name)).unwrap().read_exact_at(&mut got, 5000).unwrap();
        got[0]
    };
    let was = base[5000];
    let all = ["disk@mark:one", "disk@mark:sub%2Ftwo", "disk", "disk@start", "disk@1", "disk@end"].map(byte);
    assert_eq!(all, [1, 2, 1, was, 1, 2]);
    for wrong in ["disk@mark:none", "disk@", "other", "control"] {
        assert_eq!(File::open(files.path(wrong)).unwrap_err().kind(), ErrorKind::NotFound, "{wrong}");
    }
    opened(&files.path("disk@mark:one"), OFlags::empty()).write_all_at(&[7; 3], 4999).unwrap();
    assert_eq!(["disk@mark:one", "disk", "disk@1"].map(byte), [7, 7, 1], "each point is a disk of its own");
    files.stop().code(0).no_stderr();
    assert!(folder.read("log") == log && folder.read("base") == base);

    let files = Files::start(&folder, "--log log --base base --at mark:one --keep kept.log");
    opened(&files.disk(), OFlags::empty()).write_all_at(&[8; 512], 0).unwrap();
    files.stop().code(0).no_stderr();
    folder.run("replay log --base base --output one --at mark:one").code(0);
    let kept = replayed(&folder.read("kept.log"), &folder.read("one"), usize::MAX).0;
    assert!(kept[..512] == [8; 512] && kept[512..] == folder.read("one")[512..]);
}

/// Threads write numbered blocks of their own until the server is killed.
#[test]
fn what_was_acknowledged_survives_kills() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let (mut nr_acked, mut nr_flushed) = (0, 0);
    for round in 0..number_of("LOGWRITES_KILLS", 20) {
        let mut random = Random::new(seed + round);
        let folder = Folder::new();
        folder.write("base", vec![0; 1 << 20]);
        folder.write("disk", vec![0; 1 << 20]);
        let mode = ["--base base", "--data disk", "--size 1M --superblock barrier"][narrow(round % 3)];
        let mut files = Files::start(&folder, &format!("--log log {mode}"));
        let stories: Vec<Vec<Block>> = std::thread::scope(|scope| {
            let start = |writer| {
                let path = files.disk();
                let seed = random.next();
                scope.spawn(move || write_until_killed(&path, writer, seed))
            };
            let threads: Vec<_> = (0..3).map(start).collect();
            std::thread::sleep(std::time::Duration::from_micros(3_000 + random.below(80_000)));
            files.kill_and_leave();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        drop(files);
        let zeros = vec![0; 1 << 20];
        // What a flush has acknowledged is counted; the rest that was acknowledged can be recovered.
        let counted = replayed(&folder.read("log"), &zeros, usize::MAX).0;
        folder.run("recover log --write").code(0);
        folder.run("verify log").code(0);
        let recovered = replayed(&folder.read("log"), &zeros, usize::MAX).0;
        for (writer, story) in (0..).zip(&stories) {
            for (index, block) in (0..).zip(story) {
                block.check(&counted, writer, index, block.flushed);
                block.check(&recovered, writer, index, block.acked);
                nr_acked += block.acked;
                nr_flushed += block.flushed;
            }
        }
        if mode.starts_with("--data") {
            let disk = folder.read("disk");
            for (writer, story) in (0..).zip(&stories) {
                for (index, block) in (0..).zip(story) {
                    block.check(&disk, writer, index, block.acked);
                }
            }
        }
    }
    println!("up to write {nr_acked} acknowledged, {nr_flushed} flushed, over all blocks");
    assert!(nr_acked > 100 && nr_flushed > 10);
}

/// Which writes to a block were sent, acknowledged, flushed: the number of the last one.
#[derive(Clone, Copy, Default)]
struct Block {
    sent: u64,
    acked: u64,
    flushed: u64,
}

impl Block {
    /// The block has a whole write, no older than `least`.
    #[track_caller]
    fn check(self, disk: &[u8], writer: u64, index: u64, least: u64) {
        let at = narrow(offset_of(writer, index));
        let found =
            (least..=self.sent).any(|number| disk[at..at + 4096] == content(writer, index, number)[..]);
        assert!(
            found,
            "writer {writer}, block {index}: not {least}..={} but {:?}",
            self.sent,
            &disk[at..at + 8]
        );
    }
}

fn write_until_killed(path: &Path, writer: u64, seed: u64) -> Vec<Block> {
    let mut blocks = vec![Block::default(); 64];
    let Ok(file) = OpenOptions::new().write(true).open(path) else { return blocks };
    let mut random = Random::new(seed);
    for number in 1.. {
        let index = random.below(64);
        let block = &mut blocks[narrow(index)];
        block.sent = number;
        if file.write_all_at(&content(writer, index, number), offset_of(writer, index)).is_err() {
            break;
        }
        block.acked = number;
        if random.once_in(5) {
            if file.sync_data().is_err() {
                break;
            }
            for block in &mut blocks {
                block.flushed = block.acked;
            }
        }
    }
    blocks
}

fn offset_of(writer: u64, index: u64) -> u64 {
    (writer * 64 + index) * 4096
}

fn content(writer: u64, index: u64, number: u64) -> Vec<u8> {
    if number == 0 {
        return vec![0; 4096];
    }
    let text = format!("writer {writer} block {index} write {number}; ");
    text.bytes().cycle().take(4096).collect()
}

fn opened(path: &Path, flags: OFlags) -> File {
    let flags = i32::try_from(flags.bits()).expect("flags");
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).expect("a disk")
}

/// Writes block after block until one fails; gives how many there are, and the error.
fn fill(disk: &File) -> (u64, io::Error) {
    let mut done = 0;
    loop {
        match disk.write_all_at(&[0xaa; 4096], done * 4096) {
            Ok(()) => done += 1,
            Err(error) => return (done, error),
        }
    }
}

fn punch(file: &File, offset: u64, len: u64) -> rustix::io::Result<()> {
    fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
}

/// A base and a disk of some MiB, the same and random.
fn images(mib: usize) -> Folder {
    let folder = Folder::new();
    let mut random = Random::new(7);
    let image: Vec<u8> =
        (0..mib << 20).map(|at| if wide(at).is_multiple_of(7) { random.byte() } else { 3 }).collect();
    folder.write("base", &image);
    folder.write("disk", &image);
    folder
}
