//! An exploration that is shared out: the array job of a scheduler, and GNU parallel, whose parts are merged.
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::golden::golden;
use crate::common::nbd::client;
use crate::common::{Folder, Ran, wait_until};

const EXPLORE: &str = "explore log --base base --check ext4 --from mark:mkfs --jobs 1 --json";

#[test]
fn an_array_job_of_slurm_finds_what_one_machine_finds() {
    let folder = golden("ext4-64m");
    let whole = folder.run(&format!("{EXPLORE} --out whole")).code(0).json();
    let slurm = Slurm::start(&folder);
    folder.write(
        "part.sh",
        PART.replace("LOGWRITES", env!("CARGO_BIN_EXE_logwrites")).replace("EXPLORE", EXPLORE),
    );
    slurm.run("sbatch", &["--array=1-8", "--requeue", "--output=out.%a", "part.sh"]);
    let queue = |format: &str| slurm.command("squeue", &["-h", "-o", format]).stdout;
    // Slurm would give the node two minutes to recover.
    wait_until("the third is queued again, alone", || queue("%K %r") == "3 BeginTime\n");
    slurm.run("scontrol", &["update", "JobId=1_3", "StartTime=now"]);
    wait_until("all are done", || queue("%K").is_empty());
    let restarts = |task: u32| folder.read(&format!("restarts.{task}"));
    for task in 1..=8 {
        // The third was killed in its midst, and started again.
        let expected: &[u8] = if task == 3 { b"0\n1\n" } else { b"0\n" };
        assert_eq!(restarts(task), expected, "task {task}");
    }
    assert_eq!(folder.read("killed.3"), b"137\n");
    is_merged(&folder, &whole);
}

/// What a task does: its part, and goes on with it if it is started again. The third is killed and requeued once it has a result,
/// which a slow checker gives it the time for.
const PART: &str = r#"#!/bin/bash
part=part$SLURM_ARRAY_TASK_ID
echo ${SLURM_RESTART_COUNT:-0} >>restarts.$SLURM_ARRAY_TASK_ID
if [ $SLURM_ARRAY_TASK_ID = 3 ] && [ ${SLURM_RESTART_COUNT:-0} = 0 ]; then
    mkdir slow
    printf '#!/bin/sh\nsleep 0.2\nexec %s "$@"\n' "$(command -v e2fsck)" >slow/e2fsck
    chmod +x slow/e2fsck
    PATH=$PWD/slow:$PATH LOGWRITES EXPLORE --partition auto --out $part >/dev/null &
    until [ -s $part/outcomes.jsonl ]; do sleep 0.01; done
    kill -KILL $!
    wait $!
    echo $? >killed.3
    scontrol requeue ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    sleep 60
fi
LOGWRITES EXPLORE --partition auto --out $part --resume
"#;

#[test]
fn parallel_finds_what_one_process_finds() {
    let folder = golden("ext4-64m");
    let whole = folder.run(&format!("{EXPLORE} --out whole")).code(0).json();
    let part = format!("{} {EXPLORE} --partition {{}}/4 --out part{{}}", env!("CARGO_BIN_EXE_logwrites"));
    client(&folder, "parallel", "parallel", &["--will-cite", "-j2", &part, ":::", "1", "2", "3", "4"]);
    is_merged(&folder, &whole);
}

/// Merges all parts, and compares what they have found.
#[track_caller]
fn is_merged(folder: &Folder, whole: &[Value]) {
    let parts: Vec<String> =
        folder.names().into_iter().filter(|name| name.starts_with("part") && !name.contains('.')).collect();
    let merged = folder.run(&format!("explore merge {} --out merged --json", parts.join(" "))).code(0).json();
    for name in ["verdict", "groups", "groups_decided", "states", "decided", "failing", "findings"] {
        assert_eq!(merged[0][name], whole[0][name], "{name}");
    }
}

/// Slurm on this machine: a controller, a node of eight processors, and the daemon that they trust each other by.
struct Slurm<'a> {
    folder: &'a Folder,
    daemons: Vec<Child>,
}

impl<'a> Slurm<'a> {
    fn start(folder: &'a Folder) -> Self {
        let dir = folder.path("");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        let host = host.trim().split('.').next().expect("a part").to_owned();
        let (controller, node) = (free_port(), free_port());
        for name in ["state", "spool"] {
            std::fs::create_dir(folder.path(name)).expect("a folder");
        }
        let config = CONFIG.replace("DIR", dir.to_str().expect("text").trim_end_matches('/'));
        let config = config.replace("HOST", &host);
        let config =
            config.replace("CONTROLLER", &controller.to_string()).replace("NODEPORT", &node.to_string());
        folder.write("slurm.conf", config);
        folder.write("munge.key", [7; 1024]);
        std::fs::set_permissions(folder.path("munge.key"), PermissionsExt::from_mode(0o400)).expect("a mode");
        let mut slurm = Self { folder, daemons: Vec::new() };
        let file = |name: &str| folder.path(name).display().to_string();
        let files = MUNGE.map(|(option, name)| format!("{option}={}", file(name)));
        let options: Vec<&str> =
            ["--foreground", "--force"].into_iter().chain(files.iter().map(String::as_str)).collect();
        slurm.daemon("munge", "munged", &options);
        wait_until("munge answers", || folder.has("munge.socket"));
        slurm.daemon("slurmctld", "slurmctld", &["-D"]);
        slurm.daemon("slurmd", "slurmd", &["-D", "-N", &host]);
        wait_until("the node is ready", || slurm.command("sinfo", &["-h", "-o", "%T"]).stdout == "idle\n");
        slurm
    }

    fn daemon(&mut self, package: &str, program: &str, args: &[&str]) {
        let log = std::fs::File::create(self.folder.path(&format!("{program}.out"))).expect("a file");
        let mut command = self.of(program, args);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn();
        self.daemons.push(child.unwrap_or_else(|error| {
            panic!("this test works with {program}, which is missing ({error}): apt-get install {package}")
        }));
    }

    /// Runs one of its commands, which must succeed.
    #[track_caller]
    fn run(&self, program: &str, args: &[&str]) {
        let ran = self.command(program, args);
        let out = |name: &str| String::from_utf8_lossy(&self.folder.read(name)).into_owned();
        let said = || {
            let names = self.folder.names();
            let outs = names.iter().filter(|name| name.contains("out"));
            outs.map(|name| format!("{name}: {}", out(name))).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(ran.code, Some(0), "{ran:#?}\n{}", said());
    }

    fn command(&self, program: &str, args: &[&str]) -> Ran {
        Ran::of(&mut self.of(program, args))
    }

    fn of(&self, program: &str, args: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("a path");
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path("")).stdin(Stdio::null());
        command
            .env("SLURM_CONF", self.folder.path("slurm.conf"))
            .env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }
}

impl Drop for Slurm<'_> {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

const MUNGE: [(&str, &str); 5] = [
    ("--key-file", "munge.key"),
    ("--socket", "munge.socket"),
    ("--pid-file", "munged.pid"),
    ("--log-file", "munged.log"),
    ("--seed-file", "munged.seed"),
];

const CONFIG: &str = "\
ClusterName=test
SlurmctldHost=HOST(127.0.0.1)
SlurmctldPort=CONTROLLER
SlurmdPort=NODEPORT
AuthType=auth/munge
AuthInfo=socket=DIR/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/spool
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
KillWait=1
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
NodeName=HOST NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=HOST Default=YES MaxTime=INFINITE State=UP
";
