//! A connection over a socket of either kind: a unix socket where there are any, or TCP.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::serve::listen::Listener;

/// A connection. It is read by one thread and written by another through shared references.
#[derive(Debug)]
pub(super) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Waits for a connection.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn accept(listener: &Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Self::Tcp(stream)),
            #[cfg(unix)]
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Self::Unix(stream)),
        }
    }

    /// Has replies sent as soon as there are some.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn set_no_delay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }

    /// Lets a read and a write each wait for so long at most.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        let timeout = Some(timeout);
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(timeout),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_write_timeout(timeout),
        }
    }

    /// Lets a read wait for so long at most, or for good.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(timeout),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// Ends one or both directions, for every thread that uses it. One that has ended already stays so.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let result = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(how),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection had ended already");
        }
    }

    /// Reads some bytes; none at the end.
    ///
    /// # Errors
    /// The system's; [`is_timeout`] tells if nothing came in time.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => (&*stream).read(buffer),
                #[cfg(unix)]
                Self::Unix(stream) => (&*stream).read(buffer),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Fills the buffer before the deadline.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the peer ends before, [`io::ErrorKind::TimedOut`] if it is too slow.
    pub(super) fn receive_all(&self, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.receive(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => buffer = &mut buffer[len..],
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
            if !buffer.is_empty() && Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped in the middle"));
            }
        }
        Ok(())
    }

    /// Fills the buffer before the deadline, however slowly the peer sends: no read waits beyond it. Changes the timeouts.
    ///
    /// # Errors
    /// As [`receive_all`](Self::receive_all).
    pub(super) fn receive_all_by(&self, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            self.set_timeouts(time_left(deadline)?)?;
            match self.receive(buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => buffer = &mut buffer[len..],
            }
        }
        Ok(())
    }

    /// Sends all of `slices`, which are used up on the way.
    ///
    /// # Errors
    /// The system's; any part may have been sent.
    pub(super) fn send_all(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let len = self.send(slices)?;
            IoSlice::advance_slices(&mut slices, len);
        }
        Ok(())
    }

    /// Sends all bytes before the deadline, however slowly the peer takes them. Changes the timeouts.
    ///
    /// # Errors
    /// The system's, and [`io::ErrorKind::TimedOut`]; any part may have been sent.
    pub(super) fn send_all_by(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            self.set_timeouts(time_left(deadline)?)?;
            let len = self.send(&[IoSlice::new(bytes)])?;
            bytes = &bytes[len..];
        }
        Ok(())
    }

    /// Sends some bytes, at least one.
    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MAX_SLICES)];
        loop {
            let result = match self {
                Self::Tcp(stream) => (&*stream).write_vectored(slices),
                #[cfg(unix)]
                Self::Unix(stream) => (&*stream).write_vectored(slices),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Whether nothing came, or could be sent, in time.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Systems take at least 1024.
const MAX_SLICES: usize = 512;
