//! Processes that are waited for: the waiting thread is woken by their end, without polling.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process, even when its number has become another's.
#[derive(Debug)]
pub(crate) struct Process {
    fd: OwnedFd,
}

impl Process {
    /// A process that is there, or has ended and was not yet waited for.
    pub(crate) fn open(pid: Pid) -> io::Result<Self> {
        Ok(Self { fd: pidfd_open(pid, PidfdFlags::empty())? })
    }

    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        wait_for_one(&mut [self.end()], Instant::now())
    }

    /// Sends a signal; nothing if it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Err(Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    /// What is waited for: its end.
    pub(crate) fn end(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)
    }
}

/// Waits until one of these has come, or until the deadline; false if none has.
pub(crate) fn wait_for_one(events: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(events, Some(&left)) {
            Err(Errno::INTR) => {}
            nr_events => return Ok(nr_events? > 0),
        }
    }
}
