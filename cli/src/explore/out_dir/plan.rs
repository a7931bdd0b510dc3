//! What an exploration is about.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::explore::explorer::Options;
use crate::explore::recording::Recording;
use crate::explore::{Check, Partition, digest};

/// What an exploration is about. One that continues it must be about the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of the folder's format.
    pub version: u32,
    /// The version of the tool that made it.
    pub tool: String,
    /// The log.
    pub log: Hashed,
    /// How many entries the log has.
    pub nr_entries: u64,
    /// The disk before the first entry; missing where it was all zeros.
    pub base: Option<Hashed>,
    /// The size of the disk in bytes.
    pub disk_bytes: u64,
    /// Which states a crash can leave, as text.
    pub rules: String,
    /// The first and the last point at which the disk may crash.
    pub points: (u64, u64),
    /// The checks, as they were given.
    pub checks: Vec<String>,
    /// How checks mount the disk.
    pub mount_options: Option<String>,
    /// Whether recoveries are crashed, too.
    #[serde(default)]
    pub nested: bool,
    /// Where random choices come from.
    pub seed: u64,
    /// Which part of the groups.
    pub partition: Partition,
}

/// A file, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    /// Where it was.
    pub path: PathBuf,
    /// The SHA-256 of its contents, in hexadecimal; of a log, up to the end of its last entry.
    pub sha256: String,
}

impl Plan {
    /// Of an exploration. It reads the log and the base once.
    ///
    /// # Errors
    /// Those of reading; an interrupt is one of kind [`io::ErrorKind::Interrupted`].
    pub fn new(recording: &Recording, options: &Options, checks: &[Check]) -> io::Result<Self> {
        let base = recording
            .origin()
            .disk()
            .map(|base| Hashed::of(base.path(), recording.len_bytes(), |at, bytes| base.read_at(at, bytes)));
        let log = recording.log();
        Ok(Self {
            version: VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            log: Hashed::of(log.path(), recording.index().end_bytes(), |at, bytes| log.read_at(at, bytes))?,
            nr_entries: recording.index().nr_entries(),
            base: base.transpose()?,
            disk_bytes: recording.len_bytes(),
            rules: format!("{:?}", options.rules),
            points: options.points,
            checks: checks.iter().map(Check::to_string).collect(),
            mount_options: options.mount_options.clone(),
            nested: options.is_nested,
            seed: options.seed,
            partition: options.partition,
        })
    }

    /// What is not the same in another one, in words; `None` if both are about the same. Files may have moved.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.partition == other.partition { self.difference_of_parts(other) } else { Some("--partition") }
    }

    /// The same, of two parts of an exploration.
    #[must_use]
    pub fn difference_of_parts(&self, other: &Self) -> Option<&'static str> {
        let sha256 = |base: &Option<Hashed>| base.as_ref().map(|base| base.sha256.clone());
        let differences = [
            (self.tool != other.tool, "version of logwrites"),
            (self.log.sha256 != other.log.sha256 || self.nr_entries != other.nr_entries, "log"),
            (sha256(&self.base) != sha256(&other.base) || self.disk_bytes != other.disk_bytes, "base"),
            (self.rules != other.rules, "model, order or effect of discards"),
            (self.points != other.points, "range of points"),
            (self.checks != other.checks, "--check"),
            (self.mount_options != other.mount_options, "--mount-options"),
            (self.nested != other.nested, "--nested"),
            (self.seed != other.seed, "--seed"),
        ];
        differences.into_iter().find_map(|(differs, what)| differs.then_some(what))
    }
}

impl Hashed {
    fn of(
        path: &std::path::Path,
        len_bytes: u64,
        read_at: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), sha256: digest::hex_of(len_bytes, read_at)? })
    }
}

/// The version of the folder's format.
pub(super) const VERSION: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_same_is_named() {
        let hashed = |sha256: &str| Hashed { path: "log".into(), sha256: sha256.to_owned() };
        let plan = super::super::tests::plan(9);
        assert_eq!(
            plan.difference(&Plan {
                log: Hashed { path: "moved".into(), ..plan.log.clone() },
                ..plan.clone()
            }),
            None
        );
        let others = [
            (Plan { log: hashed("b"), ..plan.clone() }, "log"),
            (Plan { base: Some(hashed("a")), ..plan.clone() }, "base"),
            (Plan { points: (0, 8), ..plan.clone() }, "range of points"),
            (Plan { nested: true, ..plan.clone() }, "--nested"),
            (Plan { partition: "1/2".parse().unwrap(), ..plan.clone() }, "--partition"),
            (Plan { tool: "0".to_owned(), ..plan.clone() }, "version of logwrites"),
        ];
        for (other, what) in others {
            assert_eq!(plan.difference(&other), Some(what));
        }
    }
}
