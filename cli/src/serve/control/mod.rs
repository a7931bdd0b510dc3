//! The control socket of a running server: marks and questions, one a line, and an answer to each, as JSON. The control
//! file of a folder takes the same lines.

mod client;
mod server;

use serde::{Deserialize, Serialize};

pub use self::client::{AskError, ask, is_control};
pub use self::server::{Control, MarkError};

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
    /// The log's path, from the root.
    pub log: String,
    /// What is under the log.
    pub under: UnderJson,
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

/// What is under the log of a server: the disk before the first entry. Paths are from the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnderJson {
    /// An image that is written too: what was in it before is gone.
    Data {
        /// Its path.
        path: String,
    },
    /// An image that stays as it is.
    Base {
        /// Its path.
        path: String,
        /// Whether it is read as raw bytes whatever it looks like.
        raw: bool,
    },
    /// Zeros.
    Zeros {
        /// How many, in bytes.
        size_bytes: u64,
    },
}

/// What the control file of a folder is called.
pub const FILE_NAME: &str = "control";

/// The longest question, in bytes: a mark has at most a sector.
pub const MAX_LINE_BYTES: u64 = 1 << 20;

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
