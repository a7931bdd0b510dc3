//! Where a server listens: a unix socket that is for its owner alone, a TCP port, or what systemd has opened.

#[cfg(unix)]
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
#[cfg(unix)]
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::explain::{End, Explain};

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A unix socket.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            #[cfg(unix)]
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().map(Path::to_path_buf);
                Ok(Address::Unix(path.unwrap_or_default()))
            }
        }
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), derive(Copy))]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Address {
    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().is_loopback(),
            #[cfg(unix)]
            Self::Unix(_) => false,
        }
    }
}

/// Listens on a TCP port, as in `127.0.0.1:10809`; port 0 is any free one.
///
/// # Errors
/// If it is not an address, or the port is in use.
pub fn tcp(address: &str) -> Result<Listener, ListenError> {
    let addresses = address
        .to_socket_addrs()
        .map_err(|source| ListenError::Address { address: address.to_owned(), source })?;
    let addresses: Vec<_> = addresses.collect();
    let bound = TcpListener::bind(&addresses[..]);
    bound.map(Listener::Tcp).map_err(|source| ListenError::Bind { address: address.to_owned(), source })
}

/// A unix socket's name, which goes with this.
#[cfg(unix)]
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
}

#[cfg(unix)]
impl SocketPath {
    /// Listens on a new unix socket with the mode 0600. A socket without a listener is replaced.
    ///
    /// # Errors
    /// If a server is listening there, or the path is not a socket.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), ListenError> {
        clear(path)?;
        // No other user can connect even before the mode is set: other threads create no files now.
        let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(old);
        let listener =
            bound.map_err(|source| ListenError::Bind { address: path.display().to_string(), source })?;
        let this = Self { path: path.to_owned() };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|source| ListenError::Mode { path: path.to_owned(), source })?;
        Ok((this, listener))
    }
}

#[cfg(unix)]
impl Drop for SocketPath {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket that a server left.
#[cfg(unix)]
fn clear(path: &Path) -> Result<(), ListenError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| ListenError::Remove { path: path.to_owned(), source })
        }
        _ => Err(ListenError::InUse { path: path.to_owned() }),
    }
}

/// Whether there is a socket of that name.
#[cfg(unix)]
#[must_use]
pub fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// The socket that systemd has opened for this process, if it has.
///
/// # Errors
/// If there are several, or it is of no kind that is known.
#[cfg(unix)]
pub fn from_systemd() -> Result<Option<Listener>, ListenError> {
    let mut sockets = listenfd::ListenFd::from_env();
    if sockets.len() > 1 {
        return Err(ListenError::Several { nr_sockets: sockets.len() });
    }
    if let Ok(listener) = sockets.take_unix_listener(0) {
        return Ok(listener.map(Listener::Unix));
    }
    let listener = sockets.take_tcp_listener(0).map_err(ListenError::UnknownSocket)?;
    Ok(listener.map(Listener::Tcp))
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is not the address of a port.
    #[error("'{address}' is not an ADDR:PORT such as 127.0.0.1:10809")]
    Address {
        /// The address, as given.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system does not let it.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address of a port, or the path of a socket.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A socket cannot be made its owner's alone.
    #[cfg(unix)]
    #[error("cannot set the mode of {}", path.display())]
    Mode {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What is there is not a socket.
    #[cfg(unix)]
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// A server is listening there.
    #[cfg(unix)]
    #[error("another server is listening on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// A socket that a server left cannot be removed.
    #[cfg(unix)]
    #[error("cannot remove the old socket {}", path.display())]
    Remove {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// systemd has opened more than one socket.
    #[cfg(unix)]
    #[error("systemd passed {nr_sockets} sockets instead of one")]
    Several {
        /// How many.
        nr_sockets: usize,
    },
    /// systemd has opened a socket of another kind.
    #[cfg(unix)]
    #[error("the socket that systemd passed is not a Unix or TCP socket")]
    UnknownSocket(#[source] io::Error),
}

impl Explain for ListenError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Address { .. } => Some(End::Malformed),
            Self::Bind { .. } => None,
            #[cfg(unix)]
            Self::NotASocket { .. } | Self::InUse { .. } | Self::Several { .. } => Some(End::Malformed),
            #[cfg(unix)]
            Self::Mode { .. } | Self::Remove { .. } | Self::UnknownSocket(_) => None,
        }
    }
}

/// Waits a little after a connection could not be accepted, mostly for want of a descriptor, memory or a thread. The
/// connection is still in the listener's queue, so that the next attempt comes at once and fails again as long as there
/// is none; and no event tells when there is one, since another process may have to free it.
pub fn pause_after_failure() {
    std::thread::sleep(ACCEPT_PAUSE);
}

/// Lets the process have as many files open as the system allows: each connection is one.
#[cfg(unix)]
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

/// Short beside the patience of a client, long beside a failed attempt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_a_stale_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let (name, listener) = SocketPath::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(SocketPath::bind(&path).unwrap_err().to_string().contains("another server"));
        // As a kill leaves it.
        std::mem::forget(name);
        drop(listener);
        assert!(path.exists());
        let (name, _listener) = SocketPath::bind(&path).unwrap();
        drop(name);
        assert!(!path.exists());
        fs::write(&path, "a person's").unwrap();
        assert!(SocketPath::bind(&path).unwrap_err().to_string().contains("not a socket"));
    }
}
