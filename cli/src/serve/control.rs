//! The control socket of a running server: marks and questions, one a line, and an answer to each, as JSON. The control
//! file of a folder takes the same lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::Op;
use logwrites_core::format::{MarkText, MarkTextError};
use logwrites_core::num::widen;
use serde::{Deserialize, Serialize};

use super::engine::{CallError, LiveDisk, Payload};
use super::exports::Front;
use super::listen::is_socket;
use crate::error::{End, Explain};

/// What is asked of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Put a mark into the log, and answer when it is there.
    Mark {
        /// Its text.
        name: String,
        /// Flush first.
        #[serde(default)]
        flush: bool,
    },
    /// Say what has been done so far.
    Status {},
}

impl Ask {
    /// Parses a line: a JSON object, or as a person writes it, `mark NAME`, `mark --flush NAME` or `status`.
    ///
    /// # Errors
    /// Why it is not a request.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line = line.trim_ascii();
        if line.starts_with(b"{") {
            return serde_json::from_slice(line).map_err(|error| format!("malformed request: {error}"));
        }
        let text = std::str::from_utf8(line).map_err(|error| format!("malformed request: {error}"))?;
        let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match verb {
            "mark" => {
                let rest = rest.trim_start();
                let flushed =
                    rest.strip_prefix("--flush").filter(|name| name.starts_with(char::is_whitespace));
                Ok(Self::Mark {
                    name: flushed.unwrap_or(rest).trim_start().to_owned(),
                    flush: flushed.is_some(),
                })
            }
            "status" if rest.is_empty() => Ok(Self::Status {}),
            _ => Err(format!("unknown request: expected `mark NAME` or `status`, found {text:?}")),
        }
    }
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done {},
    /// What has been done so far.
    Status(StatusJson),
    /// It could not be done.
    Error {
        /// Why.
        message: String,
    },
}

/// What a server has done so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusJson {
    /// The log's path.
    pub log: String,
    /// How many entries it holds.
    pub nr_entries: u64,
    /// How large it is.
    pub log_bytes: u64,
    /// Which epoch it is in: how many flushes this server has put into it.
    pub epoch: u64,
    /// How many reads there were.
    pub reads: u64,
    /// What they read.
    pub read_bytes: u64,
    /// How many writes, write-zeroes and discards were taken; some may have failed since.
    pub writes: u64,
    /// What the writes wrote.
    pub written_bytes: u64,
    /// How many operations were refused since the log had no room.
    pub refused: u64,
    /// How many operations are in flight.
    pub in_flight: u64,
    /// How many clients are connected.
    pub connections: u64,
    /// How many runs the map of an overlay has; 0 without one.
    pub map_runs: u64,
    /// How long it has been running.
    pub uptime_seconds: u64,
}

/// What a control socket answers from.
#[derive(Clone)]
pub struct Control {
    /// The log's path.
    log: String,
    disk: Arc<dyn LiveDisk>,
    front: Arc<dyn Front>,
    /// Since when it has been running.
    started: Instant,
}

impl Control {
    /// Where marks and questions about a server go, from now on, `log` being where its disk is logged; `None` if it serves
    /// a log's past.
    #[must_use]
    pub fn of(front: Arc<dyn Front>, log: &Path) -> Option<Self> {
        let disk = Arc::clone(front.exports().live_disk()?);
        Some(Self { log: log.display().to_string(), disk, front, started: Instant::now() })
    }

    /// What has been done so far.
    #[must_use]
    pub fn status(&self) -> StatusJson {
        let counters = self.disk.counters();
        StatusJson {
            log: self.log.clone(),
            nr_entries: counters.logged.index,
            log_bytes: counters.logged.offset_bytes,
            epoch: counters.epoch,
            reads: counters.nr_reads,
            read_bytes: counters.read_bytes,
            writes: counters.nr_writes,
            written_bytes: counters.written_bytes,
            refused: counters.nr_refused,
            in_flight: widen(counters.nr_in_flight),
            connections: widen(self.front.clients().number()),
            map_runs: widen(counters.nr_runs),
            uptime_seconds: self.started.elapsed().as_secs(),
        }
    }

    /// Answers from now on, in threads of its own.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn listen(self, listener: UnixListener) -> io::Result<()> {
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let open = Arc::new(());
            for stream in listener.incoming() {
                // Each has one more reference.
                if Arc::strong_count(&open) > MAX_CLIENTS {
                    tracing::warn!(max = MAX_CLIENTS, "a request was refused: too many clients");
                    continue;
                }
                let (control, open) = (self.clone(), Arc::clone(&open));
                let spawned = stream.and_then(|stream| {
                    std::thread::Builder::new().name("asked".to_owned()).spawn(move || {
                        control.serve(&stream);
                        drop(open);
                    })
                });
                if let Err(error) = spawned {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    std::thread::sleep(PAUSE);
                }
            }
        })?;
        Ok(())
    }

    fn serve(&self, stream: &UnixStream) {
        if let Err(error) = self.answer_all(stream) {
            tracing::debug!(%error, "a control connection ended");
        }
    }

    fn answer_all(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            let answer = match Ask::parse(&line) {
                Ok(ask) => self.answer(&ask),
                Err(message) => Answer::Error { message },
            };
            let mut text = serde_json::to_vec(&answer)?;
            text.push(b'\n');
            (&*stream).write_all(&text)?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
        }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Status {} => Answer::Status(self.status()),
            Ask::Mark { name, flush } => match self.mark(name, *flush) {
                Ok(()) => Answer::Done {},
                Err(error) => Answer::Error { message: error.to_string() },
            },
        }
    }

    /// Adds a mark to the log, after a flush if so wanted.
    ///
    /// # Errors
    /// [`MarkError`].
    pub fn mark(&self, name: &str, is_flushed: bool) -> Result<(), MarkError> {
        if name.is_empty() {
            return Err(MarkError::Unnamed);
        }
        let text = MarkText::new(name.as_bytes(), self.disk.sector_size())?;
        if is_flushed {
            self.disk.call(Op::Flush, Payload::NONE)?;
        }
        self.disk.call(Op::mark(text), Payload::text(text.bytes()))?;
        tracing::info!(name, "a mark");
        Ok(())
    }
}

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

/// Why a mark was not added to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// Its name is empty.
    #[error("a mark needs a name")]
    Unnamed,
    /// Its name cannot be the text of a mark.
    #[error(transparent)]
    Text(#[from] MarkTextError),
    /// The disk did not do it.
    #[error(transparent)]
    Disk(#[from] CallError),
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

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("log", &self.log).finish_non_exhaustive()
    }
}

/// What the control file of a folder is called.
pub const FILE_NAME: &str = "control";

/// The longest question, in bytes: a mark has at most a sector.
pub const MAX_LINE_BYTES: u64 = 1 << 20;

/// How many may ask at once.
const MAX_CLIENTS: usize = 64;

/// How long a client may take for its question.
const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_json_or_as_people_write_them() {
        let mark = |name: &str, flush| Ok(Ask::Mark { name: name.to_owned(), flush });
        for (line, ask) in [
            ("mark one", mark("one", false)),
            ("mark  two words \n", mark("two words", false)),
            ("mark --flush three", mark("three", true)),
            ("mark --flushed", mark("--flushed", false)),
            ("mark --flush", mark("--flush", false)),
            ("mark", mark("", false)),
            ("{\"mark\":{\"name\":\"--flush x\"}}\n", mark("--flush x", false)),
            ("{\"mark\":{\"name\":\"y\",\"flush\":true}}", mark("y", true)),
            ("status\n", Ok(Ask::Status {})),
            ("{\"status\":{}}", Ok(Ask::Status {})),
        ] {
            assert_eq!(Ask::parse(line.as_bytes()), ask, "{line}");
        }
        for line in [&b""[..], b"\n", b"marks", b"status now", b"{", b"{\"mark\":{}}", b"mark \xff", b"\0"] {
            assert!(Ask::parse(line).is_err(), "{line:?}");
        }
    }
}
