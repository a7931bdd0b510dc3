//! The control socket of a running server: marks and questions, one JSON object a line each way.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use logwrites_core::Op;
use logwrites_core::format::MarkText;
use serde::{Deserialize, Serialize};

use super::engine::{LiveDisk, Payload};
use super::server::Server;
use crate::error::Failure;

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
    /// Which epoch it is in: how many flushes were asked for.
    pub epoch: u64,
    /// How many reads there were.
    pub reads: u64,
    /// What they read.
    pub read_bytes: u64,
    /// How many writes, write-zeroes and discards there were.
    pub writes: u64,
    /// What the writes wrote.
    pub written_bytes: u64,
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
    pub log: String,
    /// The disk.
    pub disk: Arc<dyn LiveDisk>,
    /// The server.
    pub server: Arc<Server>,
    /// Since when it has been running.
    pub started: Instant,
}

impl Control {
    /// What has been done so far.
    #[must_use]
    pub fn status(&self) -> StatusJson {
        let counters = self.disk.counters();
        let widen = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        StatusJson {
            log: self.log.clone(),
            nr_entries: counters.logged.index,
            log_bytes: counters.logged.offset_bytes,
            epoch: counters.nr_flushes,
            reads: counters.nr_reads,
            read_bytes: counters.read_bytes,
            writes: counters.nr_writes,
            written_bytes: counters.written_bytes,
            in_flight: widen(counters.nr_in_flight),
            connections: widen(self.server.nr_connections()),
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
                    tracing::warn!(max = MAX_CLIENTS, "a question too many was refused");
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
                    tracing::warn!(%error, "a question could not be taken");
                    std::thread::sleep(PAUSE);
                }
            }
        })?;
        Ok(())
    }

    fn serve(&self, stream: &UnixStream) {
        if let Err(error) = self.answer_all(stream) {
            tracing::debug!(%error, "a control connection has ended");
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
            let answer = match serde_json::from_slice(&line) {
                Ok(ask) => self.answer(&ask),
                Err(error) => Answer::Error { message: format!("that is no question: {error}") },
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
                Err(error) => Answer::Error { message: format!("{error:#}") },
            },
        }
    }

    fn mark(&self, name: &str, is_flushed: bool) -> anyhow::Result<()> {
        anyhow::ensure!(!name.is_empty(), "a mark needs a name");
        let text = MarkText::new(name.as_bytes(), self.disk.sector_size())?;
        if is_flushed {
            self.disk.call(Op::Flush, Payload::None)?;
        }
        self.disk.call(Op::mark(text), Payload::Text(text.bytes().into()))?;
        tracing::info!(name, "a mark");
        Ok(())
    }
}

/// Asks the server whose control socket this is.
///
/// # Errors
/// If nobody answers, or the answer is an error.
pub fn ask(path: &Path, ask: &Ask) -> anyhow::Result<Answer> {
    let name = || path.display().to_string();
    let stream =
        UnixStream::connect(path).with_context(|| format!("cannot reach the server at {}", name()))?;
    let mut text = serde_json::to_vec(ask)?;
    text.push(b'\n');
    (&stream).write_all(&text).with_context(name)?;
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_LINE_BYTES).read_line(&mut line).with_context(name)?;
    if line.is_empty() {
        return Err(Failure::Check(format!("{}: the server has ended", name())).into());
    }
    match serde_json::from_str(&line).with_context(name)? {
        Answer::Error { message } => Err(Failure::Check(format!("{}: {message}", name())).into()),
        answer => Ok(answer),
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("log", &self.log).finish_non_exhaustive()
    }
}

/// The longest question, in bytes: a mark has at most a sector.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// How many may ask at once.
const MAX_CLIENTS: usize = 64;

/// How long a client may take for its question.
const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);
