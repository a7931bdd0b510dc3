//! Processes that a command left running: they would keep its file system in use.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, waitpid};

use super::error::StrayError;
use super::process::{Process, wait_for_one};

/// From now on, orphaned descendants become children of this process.
pub(crate) fn adopt() -> Result<(), StrayError> {
    set_child_subreaper(Some(getpid())).map_err(|error| StrayError::Adopt(error.into()))
}

/// From now on, orphans become children of who had them before.
pub(crate) fn leave() -> Result<(), StrayError> {
    set_child_subreaper(None).map_err(|error| StrayError::Adopt(error.into()))
}

/// Ends all that descend from this process but one, mildly at first; what lost its parent does so only once it has been
/// [adopted](adopt).
pub(crate) fn end(spared: Option<u32>) -> Result<(), StrayError> {
    let root = getpid().as_raw_nonzero().get();
    let spared = spared.and_then(|pid| i32::try_from(pid).ok());
    for (signal, patience) in [(Signal::TERM, MILD), (Signal::KILL, HARD)] {
        let deadline = Instant::now() + patience;
        let mut is_told = false;
        loop {
            let left = descendants(root, spared).map_err(StrayError::Wait)?;
            if left.is_empty() {
                return Ok(());
            }
            if !is_told || signal == Signal::KILL {
                for process in &left {
                    process.signal(signal).map_err(StrayError::Signal)?;
                }
                is_told = true;
            }
            let mut ends: Vec<_> = left.iter().map(Process::end).collect();
            if !wait_for_one(&mut ends, deadline).map_err(StrayError::Wait)? {
                break;
            }
        }
    }
    Err(StrayError::Left)
}

/// Ends those [adopted](adopt) orphans that `is_ours` knows by their numbers, and all that they leave; and forgets those
/// that have ended, whoever they were. In no time where there are none.
pub(crate) fn end_adopted(is_ours: impl Fn(Pid) -> bool) -> Result<(), StrayError> {
    let deadline = Instant::now() + HARD;
    loop {
        let mut left = Vec::new();
        for pid in adopted().map_err(StrayError::Wait)? {
            // One that has gone by itself is waited for here: nobody else does.
            match waitpid(Some(pid), WaitOptions::NOHANG) {
                Ok(None) if is_ours(pid) => left.push(Process::open(pid).map_err(StrayError::Wait)?),
                Ok(_) | Err(Errno::CHILD) => {}
                Err(error) => return Err(StrayError::Wait(error.into())),
            }
        }
        for process in &left {
            process.signal(Signal::KILL).map_err(StrayError::Signal)?;
        }
        if left.is_empty() {
            return Ok(());
        }
        let mut ends: Vec<_> = left.iter().map(Process::end).collect();
        if !wait_for_one(&mut ends, deadline).map_err(StrayError::Wait)? {
            return Err(StrayError::Left);
        }
    }
}

/// The orphans that this process has adopted: the kernel makes them children of its first thread, which starts nothing
/// meanwhile that others wait for.
fn adopted() -> io::Result<Vec<Pid>> {
    let first = getpid().as_raw_nonzero();
    let children = match fs::read_to_string(format!("/proc/self/task/{first}/children")) {
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        children => children?,
    };
    Ok(children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect())
}

/// All that descend from the process `root` and have not ended, save one and what descends from it.
fn descendants(root: i32, spared: Option<i32>) -> io::Result<Vec<Process>> {
    let parents = parents();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(pid, of)| *of == parent && Some(*pid) != spared);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    let mut processes = Vec::new();
    for pid in found.into_iter().skip(1).filter_map(Pid::from_raw) {
        match Process::open(pid) {
            Ok(process) if process.has_ended()? => {}
            Ok(process) => processes.push(process),
            // It has gone since.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(processes)
}

/// Every process, and its parent.
fn parents() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After its name, which is in brackets and may contain brackets: the state, the parent.
        let (_, rest) = stat.rsplit_once(')')?;
        Some((pid, rest.split_whitespace().nth(1)?.parse().ok()?))
    })
    .collect()
}

const MILD: Duration = Duration::from_secs(2);
const HARD: Duration = Duration::from_secs(5);
