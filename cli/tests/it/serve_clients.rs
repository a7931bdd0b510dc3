//! `logwrites serve nbd` with clients that others wrote.
#![cfg(unix)]

use crate::common;

use std::process::{Child, Command, Stdio};

use common::logs::{entries, replayed};
use common::nbd::{Served, URI, client, try_client};
use common::random::Random;
use common::{Folder, wait_until};
use serde_json::Value;

#[test]
fn nbdinfo_sees_what_is_offered() {
    let folder = Folder::new();
    let served = Served::start(&folder, "--log log --size 64M --name scratch --sector-size 4096");
    let info: Value = serde_json::from_str(&nbdinfo(&folder, &["--json", URI])).expect("JSON");
    let export = &info["exports"][0];
    assert_eq!(info["protocol"], "newstyle-fixed");
    assert_eq!(info["structured"], true);
    assert_eq!(export["export-size"], 64 << 20);
    assert_eq!(
        export["block_minimum"].as_u64().or(export["block_size_minimum"].as_u64()),
        Some(4096),
        "{export}"
    );
    for can in ["cache", "df", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"] {
        assert_eq!(export[format!("can_{can}")], true, "{can}: {export}");
    }
    assert_eq!(export["is_read_only"], false);
    let wrong = try_client(&folder, "libnbd-bin", "nbdinfo", &["nbd+unix:///other?socket=disk.sock"]);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("for export: other"), "{wrong:#?}");
    served.stop().code(0).no_stderr();
}

#[test]
fn nbdcopy_writes_over_four_connections_and_reads_back() {
    for mode in ["--size 48M", "--data disk"] {
        let folder = Folder::new();
        let image = some_image(48);
        folder.write("image", &image);
        folder.write("disk", vec![0; 48 << 20]);
        let served = Served::start(&folder, &format!("--log log {mode}"));
        nbdcopy(&folder, &["--connections=4", "--requests=64", "--flush", "image", URI]);
        nbdcopy(&folder, &["--connections=4", URI, "copy"]);
        assert!(folder.read("copy") == image, "{mode}");
        qemu_img(&folder, &["compare", "-f", "raw", "-F", "raw", "image", URI]);
        let map: Value = serde_json::from_str(&nbdinfo(&folder, &["--map", "--json", URI])).expect("JSON");
        check_map(&map, &image);
        served.stop().code(0).no_stderr();
        assert!(replayed(&folder.read("log"), &vec![0; 48 << 20], usize::MAX).0 == image, "{mode}");
    }
}

#[test]
fn qemu_img_converts_with_sixteen_coroutines_and_benches() {
    let folder = Folder::new();
    let image = some_image(32);
    folder.write("image", &image);
    let served = Served::start(&folder, "--log log --size 32M");
    qemu_img(&folder, &["convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", "image", URI]);
    qemu_img(&folder, &["compare", "-f", "raw", "-F", "raw", "image", URI]);
    let bench =
        ["bench", "-w", "-f", "raw", "-t", "writeback", "-c", "5000", "-d", "32", "-s", "4k", "--pattern=77"];
    qemu_img(&folder, &[&bench[..], &["--flush-interval=100", URI]].concat());
    nbdcopy(&folder, &[URI, "copy"]);
    served.stop().code(0).no_stderr();
    assert!(replayed(&folder.read("log"), &vec![0; 32 << 20], usize::MAX).0 == folder.read("copy"));
    folder.run("verify log").code(0).no_stderr();
}

#[test]
fn nbdsh_goes_through_every_command() {
    let folder = Folder::new();
    folder.write("base", vec![9; 16 << 20]);
    let served = Served::start(&folder, "--log log --base base");
    folder.write("script.py", NBDSH);
    let ran = try_client(&folder, "python3-libnbd", "/usr/bin/python3", &["script.py"]);
    assert_eq!(
        (ran.code, ran.stdout.trim()),
        (Some(0), "all of it"),
        "{ran:#?} (apt-get install python3-libnbd)"
    );
    served.stop().code(0).no_stderr();
    folder.run("verify log").code(0).no_stderr();
}

#[test]
fn nbdsh_works() {
    let folder = Folder::new();
    let served = Served::start(&folder, "--log log --size 1M");
    let script = "h.pwrite(b'x' * 512, 512); h.flush(); print(h.get_size(), h.pread(1024, 0).count(b'x'))";
    let said = client(&folder, "python3-libnbd", "env", &["PATH=/usr/bin", "nbdsh", "-u", URI, "-c", script]);
    assert_eq!(said.trim(), "1048576 512");
    served.stop().code(0).no_stderr();
}

/// Through nbdfuse the disk is a file, as for any program of the host.
#[test]
fn nbdfuse_makes_a_file_of_it() {
    use std::os::unix::fs::FileExt as _;

    let folder = Folder::new();
    folder.write("base", vec![9; 8 << 20]);
    folder.write("file", "");
    let served = Served::start(&folder, "--log log --base base");
    let mut command = Command::new("nbdfuse");
    command.current_dir(folder.path("")).args(["file", URI]).stdin(Stdio::null());
    let mut nbdfuse = command.spawn().unwrap_or_else(|error| {
        panic!("this test works with nbdfuse, which is missing ({error}): apt-get install libnbd-bin fuse3")
    });
    wait_until("it is mounted", || folder.path("file").metadata().is_ok_and(|file| file.len() == 8 << 20));
    let file = std::fs::File::options().read(true).write(true).open(folder.path("file")).expect("a file");
    let bytes = some_image(1);
    file.write_all_at(&bytes, 4096).expect("a write");
    file.sync_all().expect("a sync");
    let mut seen = vec![0; bytes.len() + 8192];
    file.read_exact_at(&mut seen, 0).expect("a read");
    assert!(seen[..4096] == [9; 4096] && seen[4096..4096 + bytes.len()] == bytes);
    drop(file);
    common::system("umount", &[folder.path("file").as_os_str()]);
    nbdfuse.wait().expect("it ends");
    served.stop().code(0).no_stderr();
    let log = folder.read("log");
    assert!(entries(&log).iter().any(|entry| entry.flags == common::logs::FLUSH));
    let disk = replayed(&log, &folder.read("base"), usize::MAX).0;
    assert!(disk[4096..4096 + bytes.len()] == bytes);
}

#[test]
fn fio_verifies_what_it_wrote() {
    for mode in ["--base base", "--data disk", "--data disk --ordering durability"] {
        let folder = Folder::new();
        folder.write("base", vec![9; 32 << 20]);
        folder.write("disk", vec![9; 32 << 20]);
        let served = Served::start(&folder, &format!("--log log {mode}"));
        let uri = format!("--uri=nbd+unix:///?socket={}", folder.path("disk.sock").display());
        let job = [
            "--name=verify",
            "--ioengine=nbd",
            &uri,
            "--rw=randwrite",
            "--bsrange=512-64k",
            "--bs_unaligned=0",
            "--size=32M",
            "--iodepth=16",
            "--fsync=50",
            "--verify=crc32c",
            "--verify_backlog=256",
            "--verify_fatal=1",
            "--do_verify=1",
            "--randseed=7",
        ];
        let said = client(&folder, "fio", "fio", &job);
        assert!(said.contains("err= 0"), "{said}");
        nbdcopy(&folder, &[URI, "copy"]);
        served.stop().code(0).no_stderr();
        let log = folder.read("log");
        assert!(entries(&log).len() > 500);
        assert!(replayed(&log, &folder.read("base"), usize::MAX).0 == folder.read("copy"), "{mode}");
    }
}

/// The same commands over NBD, to this server and to QEMU's with its blklogwrites: both logs make the same disk.
#[test]
fn qemus_server_logs_the_same_disk() {
    for has_fua in [false, true] {
        let folder = Folder::new();
        for name in ["base", "ours", "theirs"] {
            folder.write(name, vec![0; 16 << 20]);
        }
        folder.write("their.log", "");
        let script = qemu_script(400, has_fua);
        let served = Served::start(&folder, "--log our.log --data ours");
        qemu_io(&folder, URI, &script);
        served.stop().code(0).no_stderr();
        let mut theirs = start_qemu(&folder);
        qemu_io(&folder, "nbd+unix:///?socket=theirs.sock", &script);
        common::signal(&theirs, "TERM");
        theirs.wait().expect("it ends");

        let disk = folder.read("ours");
        assert!(disk == folder.read("theirs"));
        let replay = |log: &str| replayed(&folder.read(log), &folder.read("base"), usize::MAX).0;
        assert!(replay("our.log") == disk);
        assert!(replay("their.log") == disk);
        let of = |log: &str| {
            let log = folder.read(log);
            entries(&log)
                .iter()
                .map(|entry| (entry.sector, entry.nr_sectors, entry.flags))
                .collect::<Vec<_>>()
        };
        if !has_fua {
            // One at a time, the entries are QEMU's too. A FUA it makes a write and a flush.
            assert_eq!(of("our.log"), of("their.log"));
        }
    }
}

fn qemu_io(folder: &Folder, uri: &str, script: &[String]) {
    let mut args = vec!["-t", "writeback", "-d", "unmap", "-f", "raw", uri];
    for line in script {
        args.extend(["-c", line]);
    }
    client(folder, "qemu-utils", "qemu-io", &args);
}

fn start_qemu(folder: &Folder) -> Child {
    let node = |name: &str, file: &str| format!("driver=file,node-name={name},filename={file}");
    let mut command = Command::new("qemu-storage-daemon");
    command.current_dir(folder.path("")).stdin(Stdio::null()).args([
        "--blockdev",
        &format!("{},discard=unmap", node("f", "theirs")),
        "--blockdev",
        &node("l", "their.log"),
        "--blockdev",
        "driver=blklogwrites,discard=unmap,node-name=lw,file=f,log=l,log-sector-size=512",
        "--nbd-server",
        "addr.type=unix,addr.path=theirs.sock",
        "--export",
        "type=nbd,id=n,node-name=lw,name=,writable=on",
    ]);
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("this test works with QEMU, which is missing ({error}): apt-get install qemu-utils")
    });
    wait_until("QEMU listens", || folder.has("theirs.sock"));
    child
}

/// Commands of qemu-io, one at a time.
fn qemu_script(nr_lines: usize, has_fua: bool) -> Vec<String> {
    let mut random = Random::new(42);
    let mut lines = Vec::new();
    for _ in 0..nr_lines {
        let (offset, len) = (random.below(30_000) * 512, (1 + random.below(64)) * 512);
        lines.push(match random.below(10) {
            0 => format!("discard {offset} {len}"),
            1 => format!("write -z -u {offset} {len}"),
            2 => "flush".to_owned(),
            3 if has_fua => format!("write -f -P {} {offset} {len}", 1 + random.below(255)),
            _ => format!("write -P {} {offset} {len}", 1 + random.below(255)),
        });
    }
    lines.push("flush".to_owned());
    lines
}

/// Where base:allocation says zero there are zeros, and it covers all.
fn check_map(map: &Value, image: &[u8]) {
    let mut end = 0;
    for run in map.as_array().expect("runs") {
        let offset = usize::try_from(run["offset"].as_u64().expect("a number")).expect("64 bits");
        let len = usize::try_from(run["length"].as_u64().expect("a number")).expect("64 bits");
        assert_eq!(offset, end);
        end += len;
        let is_zero = run["type"].as_u64().expect("a number") & 2 != 0;
        assert!(!is_zero || image[offset..end].iter().all(|byte| *byte == 0), "{run}");
    }
    assert_eq!(end, image.len());
    assert!(map.as_array().expect("runs").len() > 2, "{map}");
}

/// Random bytes with a few MiB of zeros between.
fn some_image(mib: usize) -> Vec<u8> {
    let mut random = Random::new(3);
    let mut image = Vec::with_capacity(mib << 20);
    for index in 0..mib {
        if index % 6 == 4 {
            image.resize(image.len() + (1 << 20), 0);
        } else {
            let words = (1 << 20) / 8;
            for _ in 0..words {
                let word = random.next();
                image.extend((0..8).map(|shift| u8::try_from(word >> (8 * shift) & 0xff).expect("a byte")));
            }
        }
    }
    image
}

#[track_caller]
fn nbdcopy(folder: &Folder, args: &[&str]) {
    client(folder, "libnbd-bin", "nbdcopy", args);
}

#[track_caller]
fn nbdinfo(folder: &Folder, args: &[&str]) -> String {
    client(folder, "libnbd-bin", "nbdinfo", args)
}

#[track_caller]
fn qemu_img(folder: &Folder, args: &[&str]) {
    client(folder, "qemu-utils", "qemu-img", args);
}

/// What nbdsh would run: every command, with what it may and may not be asked for.
const NBDSH: &str = r#"
import errno
import nbd

def refused(code, call, *args):
    try:
        call(*args)
    except nbd.Error as error:
        assert error.errnum == code, (error, code)
    else:
        raise AssertionError("not refused", args)

for structured in [True, False]:
    h = nbd.NBD()
    h.set_strict_mode(0)
    h.set_request_structured_replies(structured)
    h.add_meta_context("base:allocation")
    h.connect_uri("nbd+unix:///disk?socket=disk.sock")
    assert h.get_structured_replies_negotiated() == structured
    assert h.get_size() == 16 << 20
    assert h.get_block_size(nbd.SIZE_MINIMUM) == 512
    assert h.get_block_size(nbd.SIZE_MAXIMUM) == 32 << 20

    h.pwrite(b"a" * 8192, 4096)
    h.pwrite(b"b" * 512, 512, nbd.CMD_FLAG_FUA)
    h.trim(4096, 8192)
    h.trim(512, 1 << 20, nbd.CMD_FLAG_FUA)
    h.zero(1024, 2 << 20, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
    h.zero(1024, 3 << 20, nbd.CMD_FLAG_FAST_ZERO)
    h.cache(1 << 20, 0)
    h.flush()
    assert h.pread(512, 512) == b"b" * 512
    assert h.pread(8192, 4096) == b"a" * 4096 + bytes(4096)
    assert h.pread(1024, 2 << 20) == bytes(1024)
    assert h.pread(16 << 20, 0)[1024:4096] == b"\x09" * 3072
    assert len(h.pread(512, (16 << 20) - 512)) == 512

    refused(errno.EINVAL, h.pread, 512, 1)
    refused(errno.EINVAL, h.pread, 512, 16 << 20)
    refused(errno.ENOSPC, h.pwrite, bytes(512), 16 << 20)
    refused(errno.ENOSPC, h.zero, 1024, (16 << 20) - 512)
    refused(errno.EINVAL, h.trim, 512, 16 << 20)
    refused(errno.EINVAL, h.pwrite, bytes(100), 0)

    if structured:
        assert h.can_meta_context("base:allocation")
        chunks = []
        h.pread_structured(4096, 4096, lambda data, offset, status, error: chunks.append((bytes(data), offset, status)), nbd.CMD_FLAG_DF)
        assert chunks == [(b"a" * 4096, 4096, nbd.READ_DATA)], chunks
        runs = []
        h.block_status(16384, 0, lambda context, offset, entries, error: runs.append((context, offset, entries)))
        context, offset, entries = runs[0]
        assert (context, offset) == ("base:allocation", 0)
        assert sum(entries[::2]) == 16384, entries
        assert entries[:4] == [8192, 0, 4096, 3], entries
        runs.clear()
        h.block_status(16384, 8192, lambda context, offset, entries, error: runs.append(entries), nbd.CMD_FLAG_REQ_ONE)
        assert runs == [[4096, 3]], runs

    # Many in flight, overlapping too: the last one sent is the last one done.
    buffers = [nbd.Buffer.from_bytearray(bytearray([i + 1]) * 65536) for i in range(200)]
    cookies = [h.aio_pwrite(buffer, (i % 64) * 65536) for i, buffer in enumerate(buffers)]
    pending = set(cookies)
    while pending:
        h.poll(-1)
        pending = {cookie for cookie in pending if not h.aio_command_completed(cookie)}
    h.flush()
    for i in range(64):
        last = max(j for j in range(200) if j % 64 == i)
        assert h.pread(65536, i * 65536) == bytes([last + 1]) * 65536, i
    h.pwrite(b"\x09" * 65536 * 64, 0)
    h.shutdown()
print("all of it")
"#;
