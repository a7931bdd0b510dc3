//! The side of the server: marks and questions are taken, and answered.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::Op;
use logwrites_core::format::{MarkText, MarkTextError};
use logwrites_core::num::widen;

use super::{Answer, Ask, MAX_LINE_BYTES, StatusJson, UnderJson};
use crate::device::{ImageFormat, OriginOptions};
use crate::disk::{DiskOptions, Under};
use crate::serve::engine::{CallError, LiveDisk, Payload};
use crate::serve::exports::Front;
use crate::serve::listen;

/// What a control socket answers from.
#[derive(Clone)]
pub struct Control {
    /// The log's path.
    log: String,
    under: UnderJson,
    disk: Arc<dyn LiveDisk>,
    front: Arc<dyn Front>,
    /// Since when it has been running.
    started: Instant,
}

impl Control {
    /// Where marks and questions about a server go, from now on, `options` being those that its disk was opened with; `None`
    /// if it serves a log's past.
    ///
    /// # Errors
    /// The system's, if a path is relative and there is no current folder.
    pub fn of(front: Arc<dyn Front>, options: &DiskOptions) -> io::Result<Option<Self>> {
        let (DiskOptions::Live(options), Some(disk)) = (options, front.exports().live_disk()) else {
            return Ok(None);
        };
        let (log, under) = (from_root(&options.log)?, under(&options.under)?);
        let disk = Arc::clone(disk);
        Ok(Some(Self { log, under, disk, front, started: Instant::now() }))
    }

    /// What has been done so far.
    #[must_use]
    pub fn status(&self) -> StatusJson {
        let counters = self.disk.counters();
        StatusJson {
            log: self.log.clone(),
            under: self.under.clone(),
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
                    listen::pause_after_failure();
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

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("log", &self.log).finish_non_exhaustive()
    }
}

fn under(under: &Under) -> io::Result<UnderJson> {
    Ok(match under {
        Under::Data(path, _) => UnderJson::Data { path: from_root(path)? },
        Under::Origin(OriginOptions::Image(path, format)) => {
            UnderJson::Base { path: from_root(path)?, raw: *format == ImageFormat::Raw }
        }
        Under::Origin(OriginOptions::Zeros { len_bytes }) => UnderJson::Zeros { size_bytes: *len_bytes },
    })
}

/// A path as a process in another folder finds it.
fn from_root(path: &Path) -> io::Result<String> {
    Ok(std::path::absolute(path)?.display().to_string())
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

/// How many may ask at once.
const MAX_CLIENTS: usize = 64;

/// How long a client may take for its question.
const PATIENCE: Duration = Duration::from_secs(30);
