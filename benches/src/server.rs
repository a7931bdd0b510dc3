//! Servers, which run until they are stopped.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// The servers of a turn. They are stopped when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Servers(Vec<Child>);

impl Servers {
    /// Starts one more, and gives its process id.
    pub(crate) fn start(&mut self, command: &mut Command) -> anyhow::Result<u32> {
        let child =
            command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let id = child.id();
        self.0.push(child);
        Ok(id)
    }

    /// Stops them all, and waits for their ends.
    pub(crate) fn stop(&mut self) {
        for mut server in self.0.drain(..) {
            let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
            // It may have ended by itself.
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            let _ = server.wait();
        }
    }

    /// Waits until something is true, as long as the servers run.
    pub(crate) fn wait_until(&mut self, is_true: impl Fn() -> bool) -> anyhow::Result<()> {
        while !is_true() {
            for server in &mut self.0 {
                if let Some(status) = server.try_wait()? {
                    anyhow::bail!("a server ended too early: {status}");
                }
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

const PAUSE: Duration = Duration::from_millis(10);
