//! The runs of an exploration, a line each.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use logwrites_core::Extent;
use logwrites_core::num::widen;
use serde::{Deserialize, Serialize};

use super::OutDirError;
use crate::explore::check::Outcome;
use crate::explore::way::{Signature, Way};

/// One run, or several that judge a state together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::explore) struct Line {
    pub(in crate::explore) check: String,
    pub(in crate::explore) state: String,
    /// What the check was told as the last mark.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::explore) last_mark: Option<String>,
    pub(in crate::explore) ended: Outcome,
    /// Of a failure: what tells it from others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::explore) signature: Option<Signature>,
    /// Whether a crash of the recovery is not survived, and not the state itself.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(in crate::explore) in_recovery: bool,
    /// What it read, in order: the first sector, how many, and the hash of what they held. Missing where the run decides
    /// its own state alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::explore) reads: Option<Vec<(u64, u64, String)>>,
}

impl Line {
    /// How it ended; `None` if it does not say it as a whole.
    pub(in crate::explore) fn way(&self) -> Option<Way> {
        Way::known(self.ended, self.signature, self.in_recovery)
    }

    /// What it read, if all of it is well-formed.
    pub(in crate::explore) fn reads(&self) -> Option<Vec<(Extent, u128)>> {
        let read = |(sector, nr_sectors, hash): &(u64, u64, String)| {
            let extent = Extent::new(*sector, *nr_sectors).filter(|extent| !extent.is_empty())?;
            Some((extent, u128::from_str_radix(hash, 16).ok()?))
        };
        self.reads.as_ref()?.iter().map(read).collect()
    }

    pub(in crate::explore) fn set_reads(&mut self, reads: &[(Extent, u128)]) {
        let read =
            |(extent, hash): &(Extent, u128)| (extent.sector(), extent.nr_sectors(), format!("{hash:032x}"));
        self.reads = Some(reads.iter().map(read).collect());
    }
}

/// All whole lines, and where they end.
pub(super) fn read_lines(file: &mut File, path: &Path) -> Result<(Vec<Line>, u64), OutDirError> {
    let system = |source| OutDirError::System { path: path.to_owned(), source };
    let (mut lines, mut end_bytes) = (Vec::new(), 0);
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        text.clear();
        let len = reader.read_until(b'\n', &mut text).map_err(system)?;
        if text.last() != Some(&b'\n') {
            return Ok((lines, end_bytes));
        }
        let line = serde_json::from_slice(&text).map_err(|source| OutDirError::Malformed {
            path: path.to_owned(),
            line: lines.len() + 1,
            source,
        })?;
        lines.push(line);
        end_bytes += widen(len);
    }
}
