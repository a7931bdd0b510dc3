//! What a person sees of a running server: a line that says how it goes, and the log of what happens.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};
use logwrites_core::reader::Position;
use tracing_subscriber::filter::LevelFilter;

use crate::args::DiskArgs;
use crate::interrupt;
use crate::output::printable::Printable;
use crate::output::style;
use crate::serve::engine::Counters;
use crate::serve::exports::Front;

/// Lets what happens be told on standard error, from warnings on.
pub(in super::super) fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .finish();
    // There is none yet.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// A server that is watched until it is told to end.
pub(super) struct Watched {
    front: Arc<dyn Front>,
    is_shown: bool,
}

impl Watched {
    pub(super) fn new(args: &DiskArgs, front: Arc<dyn Front>) -> Self {
        let is_shown = args.verbose == 0 && io::stderr().is_terminal();
        Self { front, is_shown }
    }

    /// Returns when a person or the system asks for the end, or it has come.
    pub(super) fn until_the_end(&self) {
        let front = Arc::clone(&self.front);
        interrupt::on_request(move || front.clients().end());
        if self.is_shown { self.show_until_the_end() } else { self.front.clients().wait_for_end() }
    }

    /// Says how it goes, whenever that has changed.
    fn show_until_the_end(&self) {
        let clients = self.front.clients();
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            line.set_style(style);
        }
        let mut last = (self.counters(), Instant::now());
        let mut nr_changes = 0;
        while !clients.wait_for_end_within(REFRESH) {
            let now = (self.counters(), Instant::now());
            let message = words(&last.0, &now.0, now.1 - last.1, clients.number());
            // To set it draws it again.
            if message != line.message() {
                line.set_message(message);
            }
            if clients.number() == 0 && now.0 == last.0 {
                let Some(seen) = clients.wait_for_change(nr_changes) else { break };
                nr_changes = seen;
            }
            last = (now.0, Instant::now());
        }
        line.finish_and_clear();
    }

    /// Of all disks together.
    fn counters(&self) -> Totals {
        let disks = self.front.exports().opened();
        disks.iter().map(|disk| disk.counters()).fold(Totals::default(), Totals::plus)
    }
}

/// What the line is made of.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    nr_ops: u64,
    bytes: u64,
    nr_entries: u64,
    log_bytes: u64,
    epoch: u64,
}

impl Totals {
    const fn plus(self, counters: Counters) -> Self {
        Self {
            nr_ops: self.nr_ops + counters.nr_reads + counters.nr_writes + counters.nr_flushes,
            bytes: self.bytes + counters.read_bytes + counters.written_bytes,
            nr_entries: self.nr_entries + counters.logged.index,
            log_bytes: self.log_bytes + counters.logged.offset_bytes,
            epoch: self.epoch + counters.epoch,
        }
    }
}

fn words(before: &Totals, now: &Totals, elapsed: Duration, nr_connections: usize) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = |before: u64, now: u64| now.saturating_sub(before).saturating_mul(1000) / millis;
    let clients = style::count(u64::try_from(nr_connections).unwrap_or(u64::MAX), "client", "clients");
    format!(
        "{clients}, {} ops/s, {}/s; the log: {} entries, {}, epoch {}",
        HumanCount(per_second(before.nr_ops, now.nr_ops)),
        BinaryBytes(per_second(before.bytes, now.bytes)),
        HumanCount(now.nr_entries),
        BinaryBytes(now.log_bytes),
        HumanCount(now.epoch),
    )
}

/// Says what a log holds in the end.
pub(super) fn report(out: &mut impl Write, log: &Path, logged: Position) -> io::Result<()> {
    let entries = style::count(logged.index, "entry", "entries");
    let log = style::paint(style::HEADING, Printable::path(log));
    writeln!(out, "{log} holds {entries} in {}", BinaryBytes(logged.offset_bytes))
}

/// How often the line may change, while there are clients.
const REFRESH: Duration = Duration::from_millis(500);
