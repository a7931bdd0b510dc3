//! A random interleaving of everything that can happen to a logger, checked at every step.
//!
//! One body serves a seed, proptest and a fuzzer: see [`run`]. A schedule is a few sessions, each of which continues
//! with the log that the one before left, by closing, by being killed or by a power cut.

mod book;
mod session;
mod setup;

use core::fmt;

use logwrites_core::config::ConfigError;
use logwrites_core::num::narrow;
use logwrites_core::{Logger, Ordering};

pub use self::setup::{Faults, Setup, Weights};
use crate::choices::Choices;
use crate::fault_device::{DataDevice, FaultDevice, LogDevice};
use crate::rig::resume_point;
use crate::rule::Violation;

use self::book::Book;
use self::session::{End, Session};

/// Runs one schedule.
///
/// # Errors
/// [`Failure`] if a rule is broken.
pub fn run(choices: &mut impl Choices) -> Result<Stats, Box<Failure>> {
    let setup = Setup::choose(choices);
    run_setup(choices, &setup)
}

/// Runs one schedule in one ordering.
///
/// # Errors
/// As [`run`].
pub fn run_ordering(choices: &mut impl Choices, ordering: Ordering) -> Result<Stats, Box<Failure>> {
    let mut setup = Setup::choose(choices);
    setup.config.ordering = ordering;
    setup.config.capacity_bytes = setup.config.capacity_bytes.max(setup.config.min_capacity_bytes());
    run_setup(choices, &setup)
}

/// Runs one schedule of a setup.
///
/// # Errors
/// As [`run`].
pub fn run_setup(choices: &mut impl Choices, setup: &Setup) -> Result<Stats, Box<Failure>> {
    match setup.nr_slots {
        1 => sessions::<1>(choices, setup),
        2 => sessions::<2>(choices, setup),
        3 => sessions::<3>(choices, setup),
        8 => sessions::<8>(choices, setup),
        _ => sessions::<32>(choices, setup),
    }
}

/// How much a schedule did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions.
    pub sessions: u64,
    /// Random steps.
    pub steps: u64,
    /// Operations that were accepted.
    pub ops: u64,
    /// Commands of the logger.
    pub commands: u64,
    /// Entries written to the log.
    pub entries: u64,
    /// Calls that were refused, as they should.
    pub refused: u64,
    /// Of these, for lack of space.
    pub no_space: u64,
    /// Of these, for lack of tags.
    pub full: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Logs after a kill that were checked.
    pub kills: u64,
    /// Logs after a power cut that were checked.
    pub power_cuts: u64,
    /// Sessions that went on with the log of another.
    pub resumed: u64,
    /// Flushes acknowledged without an entry of their own.
    pub elided: u64,
}

impl Stats {
    /// Adds those of another schedule.
    pub const fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.steps += other.steps;
        self.ops += other.ops;
        self.commands += other.commands;
        self.entries += other.entries;
        self.refused += other.refused;
        self.no_space += other.no_space;
        self.full += other.full;
        self.faults += other.faults;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.resumed += other.resumed;
        self.elided += other.elided;
    }
}

/// A schedule that broke a rule, and all that led to it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The rule.
    pub violation: Violation,
    /// What the schedule was about.
    pub setup: Setup,
    /// The operations and the entries of the session.
    pub history: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{:#?}\n{}", self.violation, self.setup, self.history)
    }
}

impl core::error::Error for Failure {}

fn sessions<const N: usize>(choices: &mut impl Choices, setup: &Setup) -> Result<Stats, Box<Failure>> {
    let mut setup = *setup;
    let mut stats = Stats::default();
    let data = DataDevice::new(setup.first_sector, setup.nr_sectors);
    let log = LogDevice::new(setup.config.sector_size, Vec::new());
    let mut device = FaultDevice { data, log };
    let mut image: Option<Vec<u8>> = None;
    for _ in 0..MAX_SESSIONS {
        let Ok((logger, book)) = open::<N>(&mut setup, image.as_deref()) else { break };
        stats.resumed += u64::from(book.first > 0);
        let mut session = Session::new(&setup, choices, logger, book, device, &mut stats);
        let ended = session.run();
        let failure = |violation| Box::new(Failure { violation, setup, history: session.history() });
        let end = ended.map_err(failure)?;
        device = session.into_device();
        let (left, is_sound) = match end {
            End::Closed => (device.log.seen().to_vec(), true),
            End::Killed(left) | End::Cut(left) => (left, false),
        };
        device.data.crash();
        device.log = LogDevice::new(setup.config.sector_size, left.clone());
        // A recorder that finds a log after a crash makes it durable before it continues the log.
        image = (is_sound || resume_point(&left).is_ok()).then_some(left);
        if choices.is_exhausted() || choices.one_in(3) {
            break;
        }
    }
    Ok(stats)
}

/// A logger that continues a log, or begins a new one where there is none that can be read.
fn open<const N: usize>(
    setup: &mut Setup,
    image: Option<&[u8]>,
) -> Result<(Logger<N>, Book), Box<dyn core::error::Error>> {
    let mut config = setup.config;
    if let Some(point) = image.and_then(|image| resume_point(image).ok()) {
        let offset_bytes = point.position.offset_bytes;
        // Half of the sessions find the log too small.
        config.capacity_bytes = config.capacity_bytes.max(offset_bytes + 20 * config.sector_size.bytes());
        setup.config = config;
        let logger = Logger::resume(config, point)?;
        let bytes = image.unwrap_or_default()[..narrow(offset_bytes)].to_vec();
        return Ok((logger, Book::resume(config, narrow(point.position.index), bytes, point.unflushed)));
    }
    let logger = Logger::new(config).map_err(|error: ConfigError| error)?;
    Ok((logger, Book::new(config)))
}

const MAX_SESSIONS: usize = 4;
