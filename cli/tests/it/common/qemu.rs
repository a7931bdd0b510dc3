//! QEMU's recorder, to pass logs to and fro.

use std::process::Command;

use super::Folder;

/// Runs commands through blklogwrites, on a disk and a log that no process has open. Gives what `qemu-io` printed.
#[track_caller]
pub(crate) fn qemu_io(folder: &Folder, disk: &str, log: &str, extra: &str, script: &str) -> String {
    if !folder.has(log) {
        folder.write(log, "");
    }
    let path = |name: &str| folder.path(name).display().to_string();
    let options = format!(
        "driver=blklogwrites,discard=unmap,file.driver=file,file.discard=unmap,file.filename={},log.driver=file,\
         log.filename={},{extra}",
        path(disk),
        path(log),
    );
    let mut command = Command::new("qemu-io");
    command.args(["-t", "writeback", "-d", "unmap", "--image-opts", &options]);
    for line in script.lines() {
        command.args(["-c", line]);
    }
    let output = command.output().unwrap_or_else(|error| {
        panic!("this test works with QEMU, which is missing ({error}): apt-get install qemu-utils")
    });
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "qemu-io: {command:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
