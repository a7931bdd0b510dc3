//! The side of other programs: what is asked of a server, by its control socket or file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{Answer, Ask, FILE_NAME, MAX_LINE_BYTES, StatusJson};
use crate::explain::{End, Explain};
use crate::serve::listen::is_socket;

/// Whether it takes marks and requests: a control socket, or the control file of a folder.
#[must_use]
pub fn is_control(path: &Path) -> bool {
    is_socket(path) || is_control_file(path)
}

/// Asks the server whose control socket or file this is.
///
/// # Errors
/// [`AskError`].
pub fn ask(path: &Path, ask: &Ask) -> Result<Answer, AskError> {
    if is_control_file(path) { ask_file(path, ask) } else { ask_socket(path, ask) }
}

fn ask_socket(path: &Path, ask: &Ask) -> Result<Answer, AskError> {
    let failed = |source| AskError::Io { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).map_err(|source| {
        let path = path.to_owned();
        if is_socket(&path) {
            AskError::Unreachable { path, source }
        } else {
            AskError::NotASocket { path, source }
        }
    })?;
    let line = line_of(ask).map_err(failed)?;
    (&stream).write_all(&line).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_LINE_BYTES).read_line(&mut line).map_err(failed)?;
    if line.is_empty() {
        return Err(AskError::Ended { path: path.to_owned() });
    }
    match serde_json::from_str(&line).map_err(|error| failed(error.into()))? {
        Answer::Error { message } => Err(AskError::Refused { path: path.to_owned(), message }),
        answer => Ok(answer),
    }
}

fn ask_file(path: &Path, ask: &Ask) -> Result<Answer, AskError> {
    let failed = |source| AskError::Io { path: path.to_owned(), source };
    match ask {
        Ask::Status {} => Ok(Answer::Status(read_status(path).map_err(failed)?)),
        Ask::Mark { .. } => {
            let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            // One write, since that is one question.
            let line = line_of(ask).map_err(failed)?;
            let written = file.write(&line);
            let written = written.map_err(|source| AskError::NotAdded { path: path.to_owned(), source })?;
            if written < line.len() {
                return Err(AskError::NotAllTaken { path: path.to_owned() });
            }
            Ok(Answer::Done {})
        }
    }
}

fn line_of(ask: &Ask) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    Ok(line)
}

/// A file of that name, in a folder that a process serves, which says what a control file says: nothing else is to be
/// written to.
fn is_control_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == FILE_NAME) && is_served(path) && read_status(path).is_ok()
}

fn read_status(path: &Path) -> io::Result<StatusJson> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_LINE_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(target_os = "linux")]
fn is_served(path: &Path) -> bool {
    /// `FUSE_SUPER_MAGIC` of linux/magic.h.
    const FUSE: u64 = 0x6573_5546;
    rustix::fs::statfs(path).is_ok_and(|statfs| u64::try_from(statfs.f_type) == Ok(FUSE))
}

#[cfg(not(target_os = "linux"))]
fn is_served(_path: &Path) -> bool {
    false
}

/// Why a server gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No server takes connections there.
    #[error("cannot reach the server at {}", path.display())]
    Unreachable {
        /// The control socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no control socket.
    #[error("{} is not a control socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket or the file cannot be read or written, or says what no server says.
    #[error("{}", path.display())]
    Io {
        /// The control socket or file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The server ended before it answered.
    #[error("{}: the server has ended", path.display())]
    Ended {
        /// The control socket.
        path: PathBuf,
    },
    /// The server answered that it could not be done.
    #[error("{}: {message}", path.display())]
    Refused {
        /// The control socket.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// The control file did not take a mark.
    #[error("{}: the server cannot add this mark to the log", path.display())]
    NotAdded {
        /// The control file.
        path: PathBuf,
        /// What the error number means.
        source: io::Error,
    },
    /// The control file took only a part of a line.
    #[error("{}: the server did not accept all of it", path.display())]
    NotAllTaken {
        /// The control file.
        path: PathBuf,
    },
}

impl Explain for AskError {
    fn end(&self) -> Option<End> {
        match self {
            Self::Ended { .. } | Self::Refused { .. } | Self::NotAdded { .. } => Some(End::CheckFailed),
            Self::Unreachable { .. }
            | Self::NotASocket { .. }
            | Self::Io { .. }
            | Self::NotAllTaken { .. } => None,
        }
    }
}
