//! `logwrites crash`: the disk of a running server as a crash leaves it, while its clients go on.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::common::nbd::{Served, URI, client};
use crate::common::{Folder, Ran};
use crate::run::Stage;

const CONTROL: &str = "--control control.sock";

/// A server whose disk has one durable write, and three that are not.
fn served(folder: &Folder, options: &str) -> Served {
    let served = Served::start(folder, &format!("--log log {options} {CONTROL}"));
    write(folder, &["write -P 1 0 4k", "flush", "write -P 2 4k 4k", "write -P 3 8k 4k", "write -P 4 12k 4k"]);
    served
}

/// Writes without a flush at the end.
fn write(folder: &Folder, commands: &[&str]) {
    let mut script: String = commands.iter().flat_map(|command| [command, "\n"]).collect();
    // Closing the disk would flush it.
    script.push_str("abort\n");
    let args =
        ["-c", &format!("printf '{script}' | qemu-io -f raw -t writeback '{URI}' >qemu.out 2>&1; true")];
    client(folder, "qemu-utils", "sh", &args);
}

/// What byte each 4 KiB of an image holds.
fn content(folder: &Folder, image: &str) -> Vec<u8> {
    let bytes = folder.read(image);
    let pages = bytes.chunks(4096).take(4).map(|page| {
        assert!(page.iter().all(|byte| *byte == page[0]), "a page is there as a whole or not at all");
        page[0]
    });
    pages.collect()
}

fn crash(folder: &Folder, args: &str) -> Ran {
    folder.run(&format!("crash control.sock {args}"))
}

#[test]
fn volatile_writes_are_lost_and_durable_ones_kept() {
    let folder = Folder::new();
    let served = served(&folder, "--size 1M");
    crash(&folder, "--lose all --export all").code(0).no_stderr();
    assert_eq!(content(&folder, "all"), [1, 0, 0, 0]);
    let ran = crash(&folder, "--lose none --export none").code(0).no_stderr();
    assert!(ran.stdout.contains("0 of 3 volatile writes lost"), "{ran:#?}");
    assert_eq!(content(&folder, "none"), [1, 2, 3, 4]);
    // By chance each of all combinations comes up, and a seed repeats one.
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let told = crash(&folder, &format!("--seed {seed} --json --export image{seed}")).code(0).json();
        let content = content(&folder, &format!("image{seed}"));
        assert_eq!(content[0], 1);
        let kept = content[1..].iter().filter(|byte| **byte != 0).count();
        assert_eq!(told[0]["nr_lost"], 3 - kept, "{told:#?}");
        assert_eq!(told[0]["seed"], seed);
        let again = crash(&folder, &format!("--seed {seed} --json")).code(0).json();
        assert_eq!(again[0]["state"], told[0]["state"]);
        seen.insert(content);
    }
    assert_eq!(seen.len(), 8);
    // A person's file stays as it is.
    crash(&folder, "--export all").code(2).says(&["all exists"]);

    // The server goes on, and its log has the state when it is whole.
    let state =
        crash(&folder, "--seed 5 --json").code(0).json()[0]["state"].as_str().expect("text").to_owned();
    write(&folder, &["write -P 5 0 16k", "flush"]);
    crash(&folder, "--lose all --export later").code(0);
    assert_eq!(content(&folder, "later"), [5; 4]);
    served.stop().code(0);
    folder.run(&format!("replay log --size 1M --output replayed --at {state}")).code(0);
    assert!(folder.read("replayed") == folder.read("image5"));
}

#[test]
fn a_crash_can_be_served() {
    let folder = Folder::new();
    folder.write("base", vec![9; 1 << 20]);
    let served = served(&folder, "--base base");
    let mut command = folder.command("crash control.sock --lose all --serve nbd --socket crashed.sock");
    let mut crashed = Served::spawn(&mut command);
    client(&folder, "libnbd-bin", "nbdcopy", &["nbd+unix:///?socket=crashed.sock", "copied"]);
    crate::common::signal(crashed.child(), "TERM");
    crashed.end().code(0);
    assert_eq!(content(&folder, "copied"), [1, 9, 9, 9]);
    served.stop().code(0);
}

#[test]
fn a_crash_that_cannot_be_is_refused() {
    let folder = Folder::new();
    crash(&folder, "").code(3).says(&["control.sock is not a control socket"]);
    folder.write("data", vec![0; 1 << 20]);
    let served = served(&folder, "--data data");
    crash(&folder, "").code(2).says(&["the server writes to", "--base or --size can be crashed"]);
    served.stop().code(0);
}

#[test]
fn a_check_judges_the_crash_and_tells_machines() {
    let folder = Folder::new();
    let served = served(&folder, "--size 1M");
    let args = ["crash", "control.sock", "--lose", "all", "--json", "--check"];
    let check = |check: &str| folder.run_of(args.iter().copied().chain([check]));
    let told = check(r#"cmp -n 4096 "$CRASH_IMAGE" /dev/zero && exit 1; exit 0"#).code(0).json();
    assert_eq!(told[0]["checks"][0]["passed"], true, "{told:#?}");
    let ran = check(r#"cmp -n 8192 -i 4096:0 "$CRASH_IMAGE" /dev/zero && { echo gone; exit 1; }"#).code(1);
    let told: serde_json::Value = serde_json::from_str(ran.stdout.trim()).expect("an object");
    assert_eq!(told["checks"][0]["passed"], false, "{told:#?}");
    assert_eq!(told["checks"][0]["output"], "gone");
    served.stop().code(0);
}

/// What is fsynced is there after any crash, and what is only written is not after the worst.
#[test]
fn a_command_crashes_its_own_file_system() {
    let stage = Stage::new();
    let tool = env!("CARGO_BIN_EXE_logwrites");
    let check = |file: &str| {
        format!("{tool} crash $LOGWRITES_CONTROL --lose all --check 'test -s $CRASH_MOUNT/{file}'")
    };
    let script = format!(
        "echo saved >saved; sync saved .; {} || exit 10; echo lost >lost; {} && exit 11; sync lost .; {} || exit 12",
        check("saved"),
        check("lost"),
        check("lost")
    );
    let ran = stage.run(&["--mkfs", "ext4", "--size", "16M"], &["sh", "-c", &script]).code(0);
    assert_eq!(ran.stdout.matches(": passed on state").count(), 2, "{ran:#?}");
    stage.check_cleared();
}

/// The clients of docs/control.md, as they stand there.
#[test]
fn clients_in_other_languages_mark_and_crash() {
    let text = include_str!("../../../docs/control.md");
    let python = format!("{}{PYTHON_MAIN}", fence(text, "```python\n"));
    let go = format!("{GO_HEAD}{}{GO_MAIN}", fence(text, "```go\n"));
    let (tool, path) = (Path::new(env!("CARGO_BIN_EXE_logwrites")), std::env::var("PATH").expect("a path"));
    let path = format!("PATH={}:{path}", tool.parent().expect("a folder").display());
    let folder = Folder::new();
    folder.write("client.py", python);
    folder.write("client.go", go);
    let served = served(&folder, "--size 1M");
    for (language, package, command) in [
        ("python", "python3", ["/usr/bin/python3", "client.py"].as_slice()),
        ("go", "golang-go", &["go", "run", "client.go"]),
    ] {
        let image = format!("{language}.img");
        let args: Vec<&str> = [path.as_str()].into_iter().chain(command.iter().copied()).collect();
        let said =
            client(&folder, package, "env", &[&args[..], &["control.sock", language, &image]].concat());
        assert!(said.contains(r#"{"done":{}}"#) || said.contains("{'done': {}}"), "{said}");
        assert!(said.contains(&format!("last_mark: stored by {language}\n")), "{said}");
        assert_eq!(content(&folder, &image)[0], 1);
    }
    served.stop().code(0);
}

fn fence<'a>(text: &'a str, opening: &str) -> &'a str {
    let (_, behind) = text.split_once(opening).expect("it has the fence");
    behind.split_once("```").expect("the fence is closed").0
}

const PYTHON_MAIN: &str = r#"
import sys
control, language, image = sys.argv[1:]
print(ask(control, {"mark": {"name": "stored by " + language}}))
print("last_mark:", crash(control, image)["last_mark"])
"#;

const GO_HEAD: &str = r#"package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
)

"#;

const GO_MAIN: &str = r#"
func main() {
	control, language, image := os.Args[1], os.Args[2], os.Args[3]
	answer, err := ask(control, "mark stored by "+language)
	if err != nil {
		panic(err)
	}
	fmt.Print(answer)
	text, err := crash(control, image)
	if err != nil {
		panic(err)
	}
	var told struct {
		Mark string `json:"last_mark"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		panic(err)
	}
	fmt.Println("last_mark:", told.Mark)
}
"#;
