//! `logwrites record --format fio`: what fio has recorded, done again.

use crate::common;

use std::process::Command;

use common::Folder;
use common::logs::{DISCARD, FLUSH, entries};

const LINES: [&str; 10] = [
    "/dev/sdx add",
    "/dev/sdx open",
    "/dev/sdx write 4096 4096",
    "/dev/sdx read 4096 512",
    "/dev/sdx write 0 512",
    "/dev/sdx datasync 0 0",
    "/dev/sdx trim 8192 8192",
    "/dev/sdx write 4096 512",
    "/dev/sdx sync 0 0",
    "/dev/sdx close",
];

fn version_2() -> String {
    format!("fio version 2 iolog\n{}\n", LINES.join("\n"))
}

fn version_3() -> String {
    let timed: Vec<String> = LINES.iter().zip(100..).map(|(line, time)| format!("{time} {line}\n")).collect();
    format!("fio version 3 iolog\n{}", timed.concat())
}

#[test]
fn both_versions_make_the_same_log() {
    let folder = Folder::new();
    folder.write("base", vec![0xee; 64 << 10]);
    let mut logs = Vec::new();
    let waiting = version_2().replace("/dev/sdx read", "/dev/sdx wait 1000000000 0\n/dev/sdx read");
    for (name, iolog) in [
        ("two", version_2()),
        ("three", version_3()),
        ("dos", version_2().replace('\n', "\r\n")),
        ("wait", waiting),
    ] {
        folder.write("disk", vec![0xee; 64 << 10]);
        folder.record(&format!("disk --log {name} --format fio"), &iolog);
        folder.run(&format!("verify {name} --base base --final disk")).code(0).no_stderr();
        logs.push(folder.read(name));
    }
    assert!(logs.iter().all(|log| *log == logs[0]));
    let found: Vec<_> =
        entries(&logs[0]).iter().map(|entry| (entry.sector, entry.nr_sectors, entry.flags)).collect();
    assert_eq!(found, [(8, 8, 0), (0, 1, 0), (0, 0, FLUSH), (16, 16, DISCARD), (8, 1, 0), (0, 0, FLUSH)]);
    let disk = folder.read("disk");
    // Each write has a byte of its own, which is never that of a disk of zeros.
    assert_eq!((disk[0], disk[4096], disk[4608], disk[8192], disk[16384]), (2, 3, 1, 0, 0xee));
}

#[test]
fn an_iolog_is_run_like_any_script() {
    let folder = Folder::new();
    folder.write("trace", version_3());
    folder.run("record disk --create 64k --log log --format fio --script trace").code(0).no_stderr();
    folder.run("record --base disk --log overlay --format fio --script trace").code(0).no_stderr();
    folder.run("record disk --log log --append --format fio --script trace").code(0).no_stderr();
    folder.write("base", vec![0; 64 << 10]);
    folder.run("verify log --base base --final disk").code(0).no_stderr();
    folder.run("record disk --log durable --format fio --script trace --ordering durability").code(0);
    let ran = folder.run("record disk --log again --format fio --script trace --json").code(0).no_stderr();
    assert_eq!(ran.json()[0]["commands"], 7);
}

#[test]
fn many_writes_never_write_zeros() {
    let folder = Folder::new();
    let lines = common::lines(0..600, |i| format!("f write {} 512\n", i * 512));
    folder
        .record("disk --create 300k --log log --format fio", &format!("fio version 2 iolog\nf add\n{lines}"));
    let disk = folder.read("disk");
    assert!(disk.iter().all(|byte| *byte != 0));
    assert_ne!(disk[0], disk[512]);
}

#[test]
fn what_is_wrong_is_named_by_line_and_column() {
    let folder = Folder::new();
    for (iolog, text) in [
        ("", "t:1:1: expected \"fio version 2 iolog\" or \"fio version 3 iolog\""),
        ("fio version 1 iolog\n", "t:1:13: expected"),
        ("fio version 2\n", "t:1:14: expected"),
        ("write 0 512\n", "t:1:1: expected \"fio version 2 iolog\""),
        ("fio version 2 iolog\nf add\nf write 0\n", "t:3:10: expected a length in bytes"),
        ("fio version 2 iolog\nf add\n\nf write x 512\n", "t:4:9: expected an offset in bytes, found \"x\""),
        ("fio version 2 iolog\nf write 0 4k\n", "t:2:11: expected a length in bytes, found \"4k\""),
        ("fio version 2 iolog\nf write 0 -512\n", "t:2:11: expected a length in bytes"),
        ("fio version 2 iolog\nf write 0 512 512\n", "t:2:15: expected the end of the line"),
        (
            "fio version 2 iolog\nf write 100 512\n",
            "t:2:9: offset 100 is not a multiple of the sector size 512",
        ),
        ("fio version 2 iolog\nf write 0 100\n", "t:2:11: length 100 is not a multiple"),
        ("fio version 2 iolog\nf write 4096 512\n", "t:2:9: offset 4096 is past the end"),
        ("fio version 2 iolog\nf trim 3584 1024\n", "t:2:13: 1024 bytes at offset 3584 reach beyond the end"),
        (
            "fio version 2 iolog\nf add\ng add\n",
            "t:3:1: expected the file of the lines before: there is one disk",
        ),
        ("fio version 2 iolog\nf erase 0 512\n", "t:2:3: expected add, open, close, read, write, trim"),
        ("fio version 2 iolog\n0 f add\n", "t:2:3: expected add, open"),
        ("fio version 3 iolog\nf add\n", "t:2:1: expected a time in milliseconds, found \"f\""),
        ("fio version 3 iolog\n1 f write 0 18446744073709551616\n", "t:2:13: expected a length in bytes"),
    ] {
        folder.write("t", iolog);
        folder.run("record disk --create 4k --log log --format fio --script t").refuses(&[text]);
        assert!(!folder.has("disk") && !folder.has("log"), "{iolog}");
    }
    // One language for the other.
    folder.write("t", version_2());
    folder.run("record disk --create 64k --log log --script t").refuses(&["t:1:1: expected one of write"]);
    folder.run("record disk --create 64k --log log --script t --format iometer").refuses(&["qemu-io, fio"]);
}

/// What fio writes is read.
#[test]
fn fio_is_understood() {
    let folder = Folder::new();
    let mut fio = Command::new("fio");
    fio.current_dir(folder.path(".")).args([
        "--name=job",
        "--filename=data",
        "--size=256k",
        "--rw=randrw",
        "--bs=4k",
        "--fsync=4",
        "--ioengine=sync",
        "--write_iolog=trace",
        "--number_ios=40",
    ]);
    let output = fio.output().expect("fio is missing: apt-get install fio");
    assert!(output.status.success(), "{output:?}");
    folder.run("record disk --create 256k --log log --format fio --script trace").code(0).no_stderr();
    folder.write("base", vec![0; 256 << 10]);
    folder.run("verify log --base base --final disk").code(0).no_stderr();
}
