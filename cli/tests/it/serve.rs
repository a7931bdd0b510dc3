//! `logwrites serve nbd`: how it starts, what it refuses, how it ends, marks, the past; and clients that mean no good.
#![cfg(unix)]

use crate::common;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::logs::{DISCARD, FLUSH, FUA, MARK, entries, narrow, replayed, superblock};
use common::nbd::{
    Client, EINVAL, ENOSPC, FLUSH as FLUSH_COMMAND, READ, Served, TRIM, WRITE, WRITE_ZEROES, client, request,
};
use common::random::Random;
use common::{Folder, SmallDisk, wait_until};

const MIB: u64 = 1 << 20;

#[test]
fn what_is_written_is_logged_and_read_in_either_mode() {
    for mode in
        ["--size 8M", "--base base", "--data disk", "--data disk --ordering durability --superblock barrier"]
    {
        let folder = images(8);
        let served = Served::start(&folder, &format!("--log log {mode}"));
        let mut client = connect(&folder);
        assert_eq!(client.len_bytes, 8 * MIB);
        let mut disk = if mode.starts_with("--size") { vec![0; 8 << 20] } else { folder.read("base") };
        assert_eq!(client.write(4096, &vec![7; 65536]).unwrap(), 0);
        disk[4096..4096 + 65536].fill(7);
        assert_eq!(client.call(WRITE, 1, MIB, 512, &[8; 512]).unwrap(), 0);
        disk[1 << 20..(1 << 20) + 512].fill(8);
        assert_eq!(client.call(TRIM, 0, 8192, 8192, b"").unwrap(), 0);
        disk[8192..16384].fill(0);
        assert_eq!(client.call(WRITE_ZEROES, 2, 2 * MIB, 1 << 20, b"").unwrap(), 0);
        disk[2 << 20..3 << 20].fill(0);
        assert_eq!(client.call(TRIM, 1, 6 * MIB, 1024, b"").unwrap(), 0);
        disk[6 << 20..(6 << 20) + 1024].fill(0);
        assert_eq!(client.flush().unwrap(), 0);
        assert!(client.read(0, 8 << 20).unwrap() == disk, "{mode}");
        served.stop().code(0).no_stderr();

        let log = folder.read("log");
        let flags: Vec<u64> = entries(&log).iter().map(|entry| entry.flags).collect();
        for flag in [0, FUA, DISCARD, FLUSH] {
            assert!(flags.contains(&flag), "{mode}: {flags:?}");
        }
        let base = if mode.starts_with("--size") { vec![0; 8 << 20] } else { folder.read("base") };
        assert!(replayed(&log, &base, usize::MAX).0 == disk, "{mode}");
        if mode.starts_with("--data") {
            assert!(folder.read("disk") == disk, "{mode}");
            folder.run("verify log --base base --final disk").code(0).no_stderr();
        } else {
            assert!(folder.read("base") == images(8).read("base"), "the base stays as it is");
        }
        assert!(!folder.has("disk.sock"));
    }
}

#[test]
fn a_log_is_gone_on_with() {
    let folder = images(4);
    for round in 0..3u8 {
        let append = if round == 0 { "" } else { "--append" };
        let served = Served::start(&folder, &format!("--log log --base base {append}"));
        let mut client = connect(&folder);
        for earlier in 0..round {
            assert!(client.read(u64::from(earlier) * 4096, 4096).unwrap() == [earlier + 1; 4096]);
        }
        assert_eq!(client.write(u64::from(round) * 4096, &[round + 1; 4096]).unwrap(), 0);
        served.stop().code(0).no_stderr();
    }
    folder.run("serve nbd --log log --base base --socket disk.sock").refuses(&["log is not empty"]);
    let (disk, _) = replayed(&folder.read("log"), &folder.read("base"), usize::MAX);
    assert!(disk[..4096] == [1; 4096] && disk[8192..12288] == [3; 4096]);
}

#[test]
fn what_is_asked_amiss_is_answered_and_harms_nothing() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --data disk --sector-size 4096");
    let mut client = connect(&folder);
    let end = 4 * MIB;
    for (command, offset, len, error) in [
        (WRITE, 1, 4096, EINVAL),
        (WRITE, 0, 512, EINVAL),
        (WRITE, end - 4096, 8192, ENOSPC),
        (WRITE, u64::MAX - 4095, 4096, ENOSPC),
        (WRITE_ZEROES, end, 4096, ENOSPC),
        (TRIM, end, 4096, EINVAL),
        (READ, end, 4096, EINVAL),
        (READ, 0, 33 << 20, EINVAL),
        (99, 0, 4096, EINVAL),
    ] {
        let payload = if command == WRITE { vec![1; len] } else { Vec::new() };
        assert_eq!(
            client.call(command, 0, offset, len, &payload).unwrap(),
            error,
            "{command} {offset}+{len}"
        );
    }
    assert_eq!(client.write(0, b"").unwrap(), 0, "nothing is written with success");
    assert_eq!(client.write(0, &[5; 4096]).unwrap(), 0);
    served.stop().code(0).no_stderr();
    assert_eq!(entries(&folder.read("log")).len(), 2, "a write, and the flush at the end");
}

#[test]
fn garbage_ends_its_own_connection_and_nothing_else() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base");
    let mut good = connect(&folder);
    // In the handshake.
    for garbage in [&[0xff; 64][..], &[0; 64], b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"] {
        let mut stream = UnixStream::connect(folder.path("disk.sock")).unwrap();
        stream.write_all(garbage).unwrap();
        assert_ended(&mut stream);
    }
    // In the transmission: no request; a write that is too long; a request that stops in the middle.
    let oversized = request(WRITE, 0, 1, 0, (32 << 20) + 512);
    let half = request(WRITE, 0, 1, 0, 4096);
    let half = [&half[..], &[9; 100]].concat();
    let large_half = [&request(WRITE, 0, 1, 0, 1 << 20)[..], &[9; 5000]].concat();
    for garbage in [&[0xee; 500][..], &oversized, &half[..20], &half, &large_half] {
        let mut bad = connect(&folder);
        // What came before it is done.
        assert_eq!(bad.write(8192, &[3; 512]).unwrap(), 0);
        bad.stream.write_all(garbage).unwrap();
        bad.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_ended(&mut bad.stream);
        assert_eq!(good.write(4096, &[4; 512]).unwrap(), 0);
    }
    // Gone without waiting for the answers.
    for _ in 0..20 {
        let mut rude = connect(&folder);
        for number in 0..64 {
            rude.send(WRITE, 0, number * 512, 512, &[6; 512]).unwrap();
            rude.send(READ, 0, 0, 1 << 20, b"").unwrap();
        }
    }
    assert!(good.read(4096, 512).unwrap() == [4; 512]);
    served.stop().code(0);
    folder.run("verify log").code(0).no_stderr();
    let (disk, _) = replayed(&folder.read("log"), &folder.read("base"), usize::MAX);
    assert!(disk[..512] == [6; 512] || disk[..512] == [1; 512]);
}

#[test]
fn a_thousand_clients_are_served_and_more_are_refused() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base --max-connections 1000");
    let mut clients: Vec<Client> = (0..1000).map(|_| connect(&folder)).collect();
    assert!(Client::connect(&folder.path("disk.sock"), "").is_err(), "one too many");
    for (number, client) in clients.iter_mut().enumerate() {
        let number = u8::try_from(number % 251).unwrap();
        let cookie = client.send(WRITE, 0, u64::from(number) * 512, 512, &[number; 512]).unwrap();
        assert_eq!(cookie, 1);
    }
    for client in &mut clients {
        assert_eq!(client.reply().unwrap(), (1, 0));
    }
    let rss_kib = memory_kib(&served, "VmRSS:");
    println!("1000 connections: {rss_kib} KiB");
    assert!(rss_kib < 256 << 10, "{rss_kib} KiB");
    drop(clients);
    wait_until("there is room again", || Client::connect(&folder.path("disk.sock"), "").is_ok());
    served.stop().code(0);
}

#[test]
fn the_end_finishes_what_has_arrived() {
    let folder = images(8);
    for signal in ["TERM", "INT"] {
        let mut served = Served::start(&folder, "--log log --base base --force");
        let mut client = connect(&folder);
        for number in 0..200 {
            client.send(WRITE, 0, number * 4096, 4096, &[9; 4096]).unwrap();
        }
        assert_eq!(client.reply().unwrap().1, 0);
        // As timeout(1) does it, which sends its signal to the group of its child as well.
        common::signal(served.child(), signal);
        common::signal(served.child(), signal);
        let done = 1 + (1..200).take_while(|_| client.reply().is_ok_and(|(_, error)| error == 0)).count();
        served.end().code(0).no_stderr();
        let log = folder.read("log");
        let all = entries(&log);
        assert_eq!(all.last().map(|entry| entry.flags), Some(FLUSH));
        assert!(all.len() > done, "{done} were acknowledged, {} are there", all.len() - 1);
        let found = folder.run("recover log --json").code(0).json().remove(0);
        assert_eq!(found["salvage_entries"], 0, "all are counted");
    }
}

#[test]
fn no_thread_wakes_while_there_is_no_request() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base --control control.sock");
    common::assert_idle(served.child(), |_| true);
    let mut client = connect(&folder);
    assert_eq!(client.write(0, &[1; 512]).unwrap(), 0);
    common::assert_idle(served.child(), |_| true);
    drop(client);
    common::assert_idle(served.child(), |_| true);
    served.stop().code(0).no_stderr();
}

#[test]
fn a_full_log_is_reported_before_the_disk_is_touched() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --data disk --log-size 64k --control control.sock");
    let mut client = connect(&folder);
    let mut done = 0;
    let error = loop {
        let error = client.write(done * 4096, &[0xaa; 4096]).unwrap();
        if error != 0 {
            break error;
        }
        done += 1;
    };
    assert_eq!(error, ENOSPC);
    assert_eq!(done, 13, "each takes nine sectors of the 128");
    for _ in 0..3 {
        assert_eq!(client.flush().unwrap(), 0, "there is always room for a flush");
    }
    let status = folder.run("status control.sock --json").code(0).json().remove(0);
    assert_eq!(status["refused"], 1);
    let nr_flushes = entries(&folder.read("log")).iter().filter(|entry| entry.flags == FLUSH).count();
    assert_eq!(status["epoch"], nr_flushes, "an epoch for each entry");
    let said = folder.run("status control.sock").code(0).stdout;
    assert!(said.ends_with("1 request was refused: the log had no room\n"), "{said}");
    assert!(client.read(done * 4096, 4096).unwrap() == folder.read("base")[..4096], "it was not touched");
    served.stop().code(0);
    folder.run("verify log --base base --final disk").code(0).no_stderr();
}

#[test]
fn a_full_file_system_is_reported_before_the_disk_is_touched() {
    let folder = images(4);
    let _small = SmallDisk::new(folder.path("small"), "1M");
    let served = Served::start(&folder, "--log small/log --data disk");
    let mut client = connect(&folder);
    let mut done = 0;
    while client.write(done * 4096, &[0xaa; 4096]).unwrap() == 0 {
        done += 1;
    }
    assert!(done > 200, "{done}");
    assert_eq!(client.write(0, &[0xbb; 4096]).unwrap(), ENOSPC, "not EIO: nothing has failed");
    assert_eq!(client.flush().unwrap(), 0);
    served.stop().code(0);
    folder.write("log", folder.read("small/log"));
    folder.run("verify log --base base --final disk").code(0).no_stderr();
}

#[test]
fn a_log_that_cannot_be_begun_is_reported_before_a_client_connects() {
    let folder = images(4);
    let _small = SmallDisk::new(folder.path("small"), "64k");
    folder.write("small/full", vec![7; 64 << 10]);
    let ran = folder.run("serve nbd --log small/log --data disk --socket disk.sock");
    let ran = ran.code(3).says(&["cannot begin small/log", "No space left on device"]);
    assert_eq!(ran.stdout, "", "nothing is served");
}

/// Long zeros are a hole of the log: what takes storage is their entry, and what comes after it.
#[test]
fn a_full_file_system_is_reported_before_long_zeros_are_written() {
    let folder = images(4);
    let _small = SmallDisk::new(folder.path("small"), "1M");
    for nr_left in [0, 1, 3, 7, 9] {
        folder.write("disk", folder.read("base"));
        let served = Served::start(&folder, "--log small/log --data disk");
        let mut client = connect(&folder);
        let (mut done, mut nr_zeroed) = (0, 0);
        while client.write(done * 512, &[0xaa; 512]).unwrap() == 0 {
            done += 1;
        }
        assert!(done > 800, "{done}");
        served.stop().code(0);

        // Once more, up to there but a few.
        folder.write("disk", folder.read("base"));
        std::fs::remove_file(folder.path("small/log")).unwrap();
        let served = Served::start(&folder, "--log small/log --data disk");
        let mut client = connect(&folder);
        for at in 0..done - nr_left {
            assert_eq!(client.write(at * 512, &[0xaa; 512]).unwrap(), 0);
        }
        for at in 8..16 {
            let error = client.call(WRITE_ZEROES, 0, at * 131_072, 128 << 10, b"").unwrap();
            assert!([0, ENOSPC].contains(&error), "{error}, with room for {nr_left}");
            nr_zeroed += u64::from(error == 0);
            assert_eq!(client.flush().unwrap(), 0);
        }
        assert!(nr_zeroed < 8, "the room must end some time");
        served.stop().code(0);
        folder.write("log", folder.read("small/log"));
        folder.run("verify log --base base --final disk").code(0).no_stderr();
        std::fs::remove_file(folder.path("small/log")).unwrap();
        std::fs::remove_file(folder.path("log")).unwrap();
    }
}

/// Of what overtakes long zeros, some comes to stand where their hole was to be, and takes what was kept for others.
#[test]
fn what_overtakes_long_zeros_fails_no_log_when_the_file_system_is_full() {
    for round in 0..60 {
        let folder = images(16);
        let _small = SmallDisk::new(folder.path("small"), "384K");
        let served = Served::start(&folder, "--log small/log --data disk");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let mut client = connect(&folder);
                scope.spawn(move || fill_up(&mut client, &mut Random::new(round * 4 + number)));
            }
        });
        assert_eq!(connect(&folder).flush().unwrap(), 0);
        served.stop().code(0);
        folder.write("log", folder.read("small/log"));
        folder.run("verify log --base base --final disk").code(0).no_stderr();
    }
}

/// Many requests at a time, long zeros among them, until there is no room for some time.
fn fill_up(client: &mut Client, random: &mut Random) {
    let (mut nr_sent, mut nr_done, mut nr_refused) = (0, 0, 0);
    while nr_refused < 64 {
        while nr_sent - nr_done < 16 {
            let at = random.below(8 * MIB / 512) * 512;
            if random.once_in(4) {
                let len = narrow(random.below(8 * MIB / 512) * 512) + (128 << 10);
                client.send(WRITE_ZEROES, 0, at, len.min(4 << 20), b"").expect("the server continues");
            } else {
                let len = 512 << random.below(4);
                client.send(WRITE, 0, at, len, &vec![random.byte(); len]).expect("the server continues");
            }
            nr_sent += 1;
        }
        let (_, error) = client.reply().expect("the server continues");
        assert!([0, ENOSPC].contains(&error), "{error} after {nr_done} requests");
        nr_refused += u64::from(error == ENOSPC);
        nr_done += 1;
    }
}

#[test]
fn one_log_has_one_server_and_so_has_one_socket() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --data disk");
    let mode = std::fs::metadata(folder.path("disk.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    folder
        .run("serve nbd --log other --size 1M --socket disk.sock")
        .refuses(&["another server is listening"]);
    for args in ["--log log --size 1M --append", "--log log --size 1M --force", "--log other --data disk"] {
        let ran = folder.run(&format!("serve nbd {args} --socket other.sock"));
        ran.code(3).says(&["another process is writing to it"]);
    }
    folder.run("mark log name").code(3).says(&["another process is writing to it"]);
    assert_eq!(connect(&folder).write(0, &[1; 512]).unwrap(), 0, "it still serves");
    served.kill();
    assert!(folder.has("disk.sock"), "a kill leaves it");
    folder.write("file", "a person's");
    folder.run("serve nbd --log other --size 1M --socket file").refuses(&["not a socket"]);
    let served = Served::start(&folder, "--log log --data disk --append --tail keep");
    served.stop().code(0).no_stderr();
}

#[test]
fn a_disk_in_use_cannot_be_changed_by_others() {
    let folder = images(4);
    let data = Served::start_at(&folder, "--socket data.sock --log data.log --data disk");
    let base = Served::start(&folder, "--log log --base base");
    let busy = "another process is writing to it";
    for args in [
        "serve nbd --socket other.sock --log other --data base",
        "serve nbd --socket other.sock --log other --base disk",
        "record base --log other --script /dev/null",
        "record --base disk --log other --script /dev/null",
        "replay log --onto base",
        "replay log --size 4M --output data.log --force",
    ] {
        folder.run(args).code(3).says(&[busy]);
        assert!(!folder.has("other"), "{args}");
    }
    let beside = Served::start_at(&folder, "--socket other.sock --log other --base base");
    for served in [data, base, beside] {
        served.stop().code(0).no_stderr();
    }
    folder.run("info data.log").code(0);
}

#[test]
fn a_socket_that_cannot_be_bound_leaves_nothing_behind() {
    let folder = images(4);
    folder.run("serve nbd --log log --size 1M --socket a --control a").refuses(&["need a socket each"]);
    let ran = folder.run("serve nbd --log log --size 1M --socket a --control none/b");
    ran.code(3).says(&["cannot listen on none/b"]);
    common::system("mkfifo", &[folder.path("pipe").as_os_str()]);
    for args in ["--log pipe --size 1M", "--log log --base pipe"] {
        let ran = folder.run(&format!("serve nbd {args} --socket a"));
        ran.code(3).says(&["it is neither a regular file nor a block device"]);
    }
    assert!(!folder.has("log") && !folder.has("a"));
    let mut command = folder.command("serve nbd --log log --size 1M --socket");
    command.arg("a b%").stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    common::signal(&child, "TERM");
    child.wait().unwrap();
    assert_eq!(greeting, "serving nbd+unix:///?socket=a%20b%25\n");
}

#[test]
fn tcp_says_who_can_reach_it() {
    let folder = images(4);
    let served = Served::start_at(&folder, "--log log --base base --listen 127.0.0.1:0");
    let address = served.greeting.trim().strip_prefix("serving nbd://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting[..8], *b"NBDMAGIC");
    served.stop().code(0).no_stderr();
    let served = Served::start_at(&folder, "--log other --base base --listen 0.0.0.0:0");
    served.stop().code(0).says(&["anyone who can reach", "can read and write the disk"]);
}

/// Python plays systemd: it opens the socket, and says so as systemd does.
#[test]
fn a_socket_that_systemd_has_opened_is_served() {
    let folder = images(4);
    let script = "import os, socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.bind('disk.sock')\n\
        s.listen()\n\
        os.dup2(s.fileno(), 3)\n\
        os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let mut command = std::process::Command::new("/usr/bin/python3");
    command.current_dir(folder.path("")).args(["-c", script, env!("CARGO_BIN_EXE_logwrites")]);
    command.args(["serve", "nbd", "--log", "log", "--base", "base"]);
    let mut child = command.spawn().expect("this test needs python3: apt-get install python3");
    wait_until("it serves", || Client::connect(&folder.path("disk.sock"), "").is_ok());
    assert_eq!(connect(&folder).write(0, &[1; 512]).unwrap(), 0);
    common::signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    assert_eq!(entries(&folder.read("log")).len(), 2);
    assert!(folder.has("disk.sock"), "it is systemd's");
}

#[test]
fn marks_and_requests_reach_a_running_log() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base --control control.sock");
    let mode = std::fs::metadata(folder.path("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = connect(&folder);
    for number in 0..5u8 {
        assert_eq!(client.write(u64::from(number) * 512, &[number + 1; 512]).unwrap(), 0);
        folder.run_of(["mark", "control.sock", &format!("step {number}"), "--flush"]).code(0).no_stderr();
    }
    folder.run("mark control.sock last").code(0).no_stderr();
    let status = folder.run("status control.sock --json").code(0).json().remove(0);
    assert_eq!((&status["writes"], &status["connections"]), (&5.into(), &1.into()), "{status}");
    assert_eq!(status["nr_entries"], 16);
    let text = folder.run("status control.sock").code(0).stdout;
    assert!(text.contains("log holds 16 entries") && text.contains("5 writes"), "{text}");
    folder.run_of(["mark", "control.sock", &"x".repeat(480)]).code(1).says(&["control.sock", "480 bytes"]);
    // Garbage is answered too.
    let mut stream = UnixStream::connect(folder.path("control.sock")).unwrap();
    stream.write_all(b"nonsense\n").unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"{\"error\":");
    served.stop().code(0).no_stderr();
    assert!(!folder.has("control.sock"));
    let log = folder.read("log");
    let all = entries(&log);
    let flags: Vec<u64> = all.iter().map(|entry| entry.flags).collect();
    assert_eq!(flags, [[0, FLUSH, MARK].repeat(5), vec![MARK, FLUSH]].concat());
    for number in 0..5u8 {
        let point = format!("mark:step {number}");
        let output = format!("step{number}");
        folder.run_of(["replay", "log", "--base", "base", "--output", &output, "--at", &point]).code(0);
        let disk = folder.read(&output);
        let place = usize::from(number) * 512;
        assert!(disk[place..place + 512] == [number + 1; 512] && disk[place + 512] == 9);
    }
    folder.run("status log").code(3).says(&["log is not a control socket"]);
}

#[test]
fn the_past_can_be_changed_and_its_log_is_left_unchanged() {
    let folder = images(4);
    let script = "write -P 1 0 4k\nmark one\nwrite -P 2 4k 4k\nflush\nmark two\nwrite -P 3 0 8k\nflush\n";
    folder.write("disk2", folder.read("base"));
    folder.record("disk2 --log log", script);
    let before = (folder.read("log"), folder.read("base"));
    let served = Served::start(&folder, "--log log --base base --at mark:one --at mark:two --at 0");
    let list = client(&folder, "libnbd-bin", "nbdinfo", &["--list", "--json", common::nbd::URI]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let names: Vec<&str> = list["exports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|export| export["export-name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["disk@mark:one", "disk@mark:two", "disk@0"]);
    let at = |name: &str| Client::connect(&folder.path("disk.sock"), name).unwrap();
    for (name, first, second) in [
        ("", 1, 9),
        ("disk@mark:one", 1, 9),
        ("disk@mark:two", 1, 2),
        ("disk@0", 9, 9),
        ("disk@end", 3, 3),
        ("disk@mark:two~1", 1, 2),
        ("disk@2^0", 9, 9),
        ("disk@mark:two+1^5:0-7", 1, 3),
    ] {
        let mut client = at(name);
        let disk = client.read(0, 3 * 4096).unwrap();
        assert!(disk[..4096] == [first; 4096] && disk[4096..8192] == [second; 4096], "{name}");
        assert!(disk[8192..] == [9; 4096]);
    }
    // Changes are seen by all clients of the same point and by no other.
    assert_eq!(at("disk@mark:two").write(4096, &[77; 4096]).unwrap(), 0);
    assert!(at("disk@mark:two").read(4096, 4096).unwrap() == [77; 4096]);
    assert!(at("disk@end").read(4096, 4096).unwrap() == [3; 4096]);
    for name in ["disk@mark:none", "other", "disk@nonsense", "disk@99", "disk@end^0"] {
        assert!(Client::connect(&folder.path("disk.sock"), name).is_err(), "{name}");
    }
    served.stop().code(0).no_stderr();
    assert!((folder.read("log"), folder.read("base")) == before, "nothing of it has changed");
}

#[test]
fn changes_of_the_past_are_kept_if_that_is_wanted() {
    let folder = images(4);
    folder.write("disk2", folder.read("base"));
    folder.record("disk2 --log log", "write -P 1 0 4k\nmark one\nwrite -P 2 0 4k\nflush\n");
    let served = Served::start(&folder, "--log log --base base --at mark:one --keep branch");
    assert_eq!(connect(&folder).write(4096, &[5; 4096]).unwrap(), 0);
    let ran = served.stop().code(0).no_stderr();
    assert!(ran.stdout.contains("branch holds 2 entries"), "{ran:?}");
    // The log of the branch continues from the disk at the point.
    folder.run("replay log --base base --output then --at mark:one").code(0);
    folder.run("replay branch --base then --output branched").code(0);
    let disk = folder.read("branched");
    assert!(disk[..4096] == [1; 4096] && disk[4096..8192] == [5; 4096] && disk[8192] == 9);
    for (args, words) in [
        ("--at 0 --at 1 --keep more", "--keep goes with one --at"),
        ("--at 0 --keep branch", "branch exists; --keep makes a new log"),
        ("--at mark:none", "no mark 'none'"),
        ("--at 0 --append", "cannot be used with"),
    ] {
        folder.run(&format!("serve nbd --log log --base base --socket s {args}")).refuses(&[words]);
    }
}

#[test]
fn a_slow_reader_holds_up_no_other_client() {
    let folder = images(64);
    let served = Served::start(&folder, "--log log --base base");
    let mut slow = connect(&folder);
    // Far more than a socket holds, and not read.
    for _ in 0..40 {
        slow.send(READ, 0, 0, 16 << 20, b"").unwrap();
    }
    let mut good = connect(&folder);
    let start = Instant::now();
    for number in 0..200 {
        assert_eq!(good.write(number * 4096, &[1; 4096]).unwrap(), 0);
    }
    assert_eq!(good.call(FLUSH_COMMAND, 0, 0, 0, b"").unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(slow);
    served.stop().code(0);
}

#[test]
fn what_happens_is_logged_if_asked_for() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base -vv");
    let mut client = connect(&folder);
    assert_eq!(client.write(1, &[1; 512]).unwrap(), EINVAL);
    drop(client);
    let wait_for_nobody = || {
        wait_until("no client is connected", || {
            std::fs::read_dir(format!("/proc/{}/task", served.child().id())).unwrap().count() < 6
        });
    };
    wait_for_nobody();
    connect(&folder).stream.write_all(&[0xee; 28]).unwrap();
    wait_for_nobody();
    let ran = served.stop().code(0);
    ran.says(&[
        "a client connected",
        "refused request=write 1+512",
        "a client disconnected",
        "a client was lost",
    ]);
}

/// The line is for people, at a terminal, which `script` makes.
#[test]
fn a_status_line_shows_clients_rates_and_the_log() {
    let folder = images(4);
    let tool = env!("CARGO_BIN_EXE_logwrites");
    let serve = format!("exec {tool} serve nbd --log log --base base --socket disk.sock");
    let mut command = std::process::Command::new("script");
    command.current_dir(folder.path("")).args(["-qefc", &serve, "said"]).env("TERM", "xterm");
    let nothing = std::process::Stdio::null;
    let child = command.stdin(nothing()).stdout(nothing()).stderr(nothing()).spawn();
    let mut child = child.expect("this test needs script: apt-get install bsdutils");
    wait_until("it serves", || Client::connect(&folder.path("disk.sock"), "").is_ok());
    let mut client = connect(&folder);
    assert_eq!(client.write(0, &[1; 512]).unwrap(), 0);
    assert_eq!(client.flush().unwrap(), 0);
    let said = || String::from_utf8_lossy(&folder.read("said")).into_owned();
    wait_until("it says so", || said().contains("the log: 2 entries, 2.00 KiB, epoch 1"));
    assert!(said().contains("1 client, ") && said().contains(" ops/s, "), "{}", said());
    // Not `script` itself, which would leave the server running.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    common::system("kill", &[children.trim().as_ref()]);
    assert!(child.wait().unwrap().success());
}

/// What waits for a flush in durability order keeps its payload, and who never flushes could wait for memory forever.
#[test]
fn long_writes_without_a_flush_do_not_wait_for_each_other() {
    let folder = images(64);
    let served = Served::start(&folder, "--log log --data disk --ordering durability");
    let mut clients = [connect(&folder), connect(&folder)];
    let len: usize = 8 << 20;
    let payload = vec![1; len];
    for number in 0..40 {
        for client in &mut clients {
            client.stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
            client.send(WRITE, 0, number % 8 * 8 * MIB, len, &payload).unwrap();
        }
    }
    for client in &mut clients {
        assert!((0..40).all(|_| client.reply().unwrap().1 == 0));
    }
    let peak = memory_kib(&served, "VmHWM:");
    println!("640 MiB in durability order: {peak} KiB");
    assert!(peak < 512 << 10, "{peak} KiB");
    served.stop().code(0).no_stderr();
    folder.run("verify log --base base --final disk").code(0).no_stderr();
}

/// A client that asks for far more than it takes is not asked for more: what waits for it is bounded.
#[test]
fn answers_that_are_not_read_do_not_pile_up() {
    let folder = images(4);
    let served = Served::start(&folder, "--log log --base base");
    let mut rude = connect(&folder);
    rude.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut nr_asked = 0;
    while nr_asked < 40_000 && rude.send(WRITE, 0, 0, 512, &[1; 512]).is_ok() {
        nr_asked += 1;
        if rude.send(READ, 0, 0, 32 << 10, b"").is_err() {
            break;
        }
    }
    let rss = memory_kib(&served, "VmHWM:");
    println!("{nr_asked} replies of 32 KiB that were not read: {rss} KiB");
    assert!(nr_asked > 10 && rss < 64 << 10, "{rss} KiB");
    assert_eq!(connect(&folder).write(0, &[1; 512]).unwrap(), 0);
    drop(rude);
    served.stop().code(0);
}

#[test]
fn more_points_than_can_be_open_are_opened_one_after_the_other() {
    let folder = images(4);
    folder.write("disk2", folder.read("base"));
    let script: Vec<String> = (1..=100).map(|number| format!("write -P {number} 0 512")).collect();
    folder.record("disk2 --log log", &script.join("\n"));
    let served = Served::start(&folder, "--log log --base base --at 3");
    let at = |point: u8| Client::connect(&folder.path("disk.sock"), &format!("disk@{point}"));
    assert_eq!(at(2).unwrap().write(0, &[222; 512]).unwrap(), 0);
    for point in 1..=100 {
        let expected = if point == 2 { 222 } else { point };
        assert!(at(point).unwrap().read(0, 512).unwrap() == [expected; 512], "{point}");
    }
    assert!(at(2).unwrap().read(0, 512).unwrap() == [222; 512], "what was changed is kept");
    served.stop().code(0);
}

/// A client has a socket and two threads; a point has neither, and a file as long as it is changed.
#[test]
fn a_point_has_no_thread_and_no_file_and_is_closed_after_its_last_user() {
    let folder = images(4);
    let script: Vec<String> = (1..=200).map(|number| format!("write -P {number} 0 512")).collect();
    folder.record("disk --log log", &script.join("\n"));
    let served = Served::start(&folder, "--log log --base base --at 3");
    let at = |point: usize| Client::connect(&folder.path("disk.sock"), &format!("disk@{point}")).unwrap();
    let expected = |point: usize| [u8::try_from(point).unwrap(); 512];
    let resources = || common::threads_and_files(served.child());
    // A client that is served says that all the server's own threads are there.
    let mut first = at(1);
    assert!(first.read(0, 512).unwrap() == expected(1));
    let (nr_threads, nr_files) = (resources().0 - 2, resources().1 - 1);
    drop(first);
    wait_until("it is gone", || resources() == (nr_threads, nr_files));

    let mut clients: Vec<Client> = (1..=50).map(at).collect();
    for (point, client) in (1..).zip(&mut clients) {
        assert!(client.read(0, 512).unwrap() == expected(point));
        assert_eq!(client.flush().unwrap(), 0);
    }
    assert_eq!(resources(), (nr_threads + 2 * 50, nr_files + 50));
    for client in &mut clients {
        assert_eq!(client.write(512, &[1; 512]).unwrap(), 0);
        assert!(client.read(512, 512).unwrap() == [1; 512]);
    }
    assert_eq!(resources(), (nr_threads + 2 * 50, nr_files + 2 * 50));
    drop(clients);
    wait_until("the clients are gone", || resources() == (nr_threads, nr_files + 50));

    for point in 51..=200 {
        let mut client = at(point);
        assert!(client.read(0, 512).unwrap() == expected(point));
        assert_eq!(client.write(512, &[2; 512]).unwrap(), 0);
    }
    wait_until("what was changed first is gone", || resources() == (nr_threads, nr_files + 64));
    assert!(at(200).read(512, 512).unwrap() == [2; 512], "what was changed last is there");
    assert!(at(51).read(512, 512).unwrap() == [9; 512]);
    println!("200 points: {} KiB", memory_kib(&served, "VmRSS:"));
    served.stop().code(0).no_stderr();
}

#[test]
fn what_a_server_cannot_do_is_reported() {
    let folder = images(4);
    folder.write("odd", [0; 700]);
    for (args, words) in [
        ("--log log --size 1M", "--socket PATH or --listen ADDR:PORT is needed"),
        ("--log log --socket s", "required"),
        ("--log log --size 1M --data disk --socket s", "cannot be used with"),
        ("--log log --data odd --socket s", "not a multiple of the sector size"),
        ("--log log --size 1M --sector-size 128k --socket s", "at most 65536 bytes"),
        ("--log log --size 1M --ordering durability --socket s", "--ordering completion"),
        ("--log disk --data disk --socket s", "same file"),
        ("--log log --size 1M --listen nowhere", "not an ADDR:PORT"),
    ] {
        let ran = folder.run(&format!("serve nbd {args}"));
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:#?}");
        ran.says(&[words]);
        assert!(!folder.has("log"), "{args}");
    }
    let (sector_size, nr_entries) = {
        let served = Served::start(&folder, "--log log --size 1M --sector-size 4096");
        served.stop().code(0);
        superblock(&folder.read("log"))
    };
    assert_eq!((sector_size, nr_entries), (4096, 0));
}

/// A folder with a base of nines and a disk that is the same.
fn images(mib: usize) -> Folder {
    let folder = Folder::new();
    folder.write("base", vec![9; mib << 20]);
    folder.write("disk", vec![9; mib << 20]);
    folder
}

/// What the system says of a server's memory, in KiB.
fn memory_kib(served: &Served, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.child().id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim().strip_suffix("kB").and_then(|number| number.trim().parse().ok()).expect("a number")
}

#[track_caller]
fn connect(folder: &Folder) -> Client {
    Client::connect(&folder.path("disk.sock"), "").expect("the server takes a client")
}

/// The server says nothing more, or at least ends the connection.
#[track_caller]
fn assert_ended(stream: &mut UnixStream) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "the connection continues: {error}"
        ),
    }
}
