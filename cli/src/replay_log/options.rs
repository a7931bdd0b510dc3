//! What was asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use logwrites_core::format::Flags;
use logwrites_core::reader::Entry;

use super::end::{FAILED, end};
use super::getopt::{Getopt, Long};
use super::number;
use crate::error::Failure;

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// To be told how.
    Help,
    /// A run.
    Run(Options),
}

/// All options of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The log.
    pub log: PathBuf,
    /// What is done with it.
    pub mode: Mode,
    /// The disk to replay to.
    pub replay: Option<PathBuf>,
    /// Where.
    pub start: Start,
    /// Up to where.
    pub stop: Stop,
    /// How many entries to look at; 0 means no limit.
    pub limit: u64,
    /// What is left out.
    pub skip: Skip,
    /// What becomes of discards.
    pub discards: Discards,
    /// What looks at the disk.
    pub check: Option<Check>,
    /// What is said.
    pub verbosity: Verbosity,
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Finds the entry at which a replay would stop.
    Find,
    /// Prints the number of entries.
    NumEntries,
    /// Replays, or without a disk prints what the superblock says.
    #[default]
    Replay,
}

/// Where a run starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The first entry, if no mark says so.
    pub entry: u64,
    /// It comes before `entry`.
    pub mark: Option<Vec<u8>>,
}

/// Behind which entry a run stops.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// With a mark, the flags do not matter.
    pub mark: Option<Vec<u8>>,
    /// Any of these is enough.
    pub flags: Flags,
}

/// Which entries are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// What ends at or before it is left out.
    pub start_sector: u64,
    /// Entries that start after it are left out.
    pub end_sector: u64,
}

impl Skip {
    /// Whether this one is: an entry that covers sectors, none of them among those that are wanted.
    pub(super) fn skips(self, entry: &Entry) -> bool {
        let extent = entry.extent();
        !extent.is_empty() && (extent.end() <= self.start_sector || extent.sector() > self.end_sector)
    }
}

impl Default for Skip {
    fn default() -> Self {
        Self { start_sector: 0, end_sector: u64::MAX }
    }
}

/// What is done with discards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discards {
    /// They are passed on to a block device, and make zeros where that cannot be done.
    #[default]
    Pass,
    /// They make zeros.
    Zero,
    /// Nothing.
    Drop,
}

/// A command that looks at the disk on the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Behind which entries.
    pub when: When,
    /// For the shell.
    pub command: OsString,
}

/// Behind which entries a check is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Behind every so many; 0 is never.
    pub every: u64,
    /// Behind those with any of these.
    pub flags: Flags,
}

impl When {
    /// Whether it is due after this entry, which is the `nr_seen`-th.
    pub(super) const fn is_due(self, entry: &Entry, nr_seen: u64) -> bool {
        (self.every != 0 && nr_seen.is_multiple_of(self.every)) || entry.flags().intersects(self.flags)
    }

    fn add(&mut self, text: &[u8]) -> Result<(), Failure> {
        match text {
            b"flush" => self.flags |= Flags::FLUSH,
            b"fua" => self.flags |= Flags::FUA,
            b"discard" => self.flags |= Flags::DISCARD,
            _ => self.every = number::parse(text).filter(|every| *every != 0).ok_or_else(invalid_entry)?,
        }
        Ok(())
    }
}

/// How many `-v` there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// None.
    #[default]
    Quiet,
    /// One: what is replayed.
    Replayed,
    /// More: everything that is looked at.
    All,
}

/// Parses the words after the name of the program.
///
/// # Errors
/// The original's words, at the first word that it would refuse.
pub fn parse(words: &[OsString]) -> Result<Request, Failure> {
    let mut parsed = Parsed::default();
    for given in Getopt::new(words, &LONG, &SHORT) {
        let (name, value) = given.map_err(|error| end(FAILED, format!("replay-log: {error}\n{SEE_HELP}")))?;
        if name == Name::Help {
            return Ok(Request::Help);
        }
        parsed.take(name, value)?;
    }
    parsed.finish().map(Request::Run)
}

/// The refusal of an entry's number.
pub(super) fn invalid_entry() -> Failure {
    end(FAILED, "Invalid entry number")
}

#[derive(Debug, Default)]
struct Parsed {
    options: Options,
    log: Option<PathBuf>,
    is_find: bool,
    is_num_entries: bool,
    when: Option<When>,
    command: Option<OsString>,
}

impl Parsed {
    fn take(&mut self, name: Name, value: &[u8]) -> Result<(), Failure> {
        let options = &mut self.options;
        match name {
            Name::Check => self.when.get_or_insert_default().add(value)?,
            Name::DiscardZeroesData if options.discards == Discards::Drop => {}
            Name::DiscardZeroesData => options.discards = Discards::Zero,
            Name::EndMark => options.stop.mark = Some(value.to_vec()),
            Name::EndSector => options.skip.end_sector = sector(value)?,
            Name::Find => self.is_find = true,
            Name::Fsck => self.command = Some(os_string(value)),
            Name::Limit => options.limit = entry(value)?,
            Name::Log => self.log = Some(os_string(value).into()),
            Name::NextFlush => options.stop.flags |= Flags::FLUSH,
            Name::NextFua => options.stop.flags |= Flags::FUA,
            Name::NoDiscard => options.discards = Discards::Drop,
            Name::NumEntries => self.is_num_entries = true,
            Name::Replay => options.replay = Some(os_string(value).into()),
            Name::StartEntry => options.start.entry = entry(value)?,
            Name::StartMark => options.start.mark = Some(value.to_vec()),
            Name::StartSector => options.skip.start_sector = sector(value)?,
            Name::Verbose if options.verbosity == Verbosity::Quiet => {
                options.verbosity = Verbosity::Replayed;
            }
            Name::Verbose => options.verbosity = Verbosity::All,
            Name::Help => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Options, Failure> {
        let check = match (self.when, self.command) {
            (None, None) => None,
            (Some(when), Some(command)) => Some(Check { when, command }),
            // The original says nothing.
            (Some(_), None) | (None, Some(_)) => return Err(end(FAILED, "")),
        };
        let log =
            self.log.ok_or_else(|| end(FAILED, format!("replay-log: --log LOG is needed\n{SEE_HELP}")))?;
        let mode = if self.is_find {
            Mode::Find
        } else if self.is_num_entries {
            Mode::NumEntries
        } else {
            Mode::Replay
        };
        Ok(Options { log, mode, check, ..self.options })
    }
}

fn entry(text: &[u8]) -> Result<u64, Failure> {
    number::parse(text).ok_or_else(invalid_entry)
}

fn sector(text: &[u8]) -> Result<u64, Failure> {
    number::parse(text).ok_or_else(|| end(FAILED, "Invalid sector number"))
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Check,
    DiscardZeroesData,
    EndMark,
    EndSector,
    Find,
    Fsck,
    Help,
    Limit,
    Log,
    NextFlush,
    NextFua,
    NoDiscard,
    NumEntries,
    Replay,
    StartEntry,
    StartMark,
    StartSector,
    Verbose,
}

const LONG: [Long<Name>; 18] = [
    ("check", true, Name::Check),
    ("discard-zeroes-data", false, Name::DiscardZeroesData),
    ("end-mark", true, Name::EndMark),
    ("end-sector", true, Name::EndSector),
    ("find", false, Name::Find),
    ("fsck", true, Name::Fsck),
    ("help", false, Name::Help),
    ("limit", true, Name::Limit),
    ("log", true, Name::Log),
    ("next-flush", false, Name::NextFlush),
    ("next-fua", false, Name::NextFua),
    ("no-discard", false, Name::NoDiscard),
    ("num-entries", false, Name::NumEntries),
    ("replay", true, Name::Replay),
    ("start-entry", true, Name::StartEntry),
    ("start-mark", true, Name::StartMark),
    ("start-sector", true, Name::StartSector),
    ("verbose", false, Name::Verbose),
];

const SHORT: [(u8, Name); 2] = [(b'h', Name::Help), (b'v', Name::Verbose)];

const SEE_HELP: &str = "See replay-log --help.";
