//! A run: to a place in the log, and then on.

mod check;
mod cursor;
mod lines;
mod replay;
mod target;

use logwrites_core::reader::Entry;

use self::cursor::Cursor;
use self::lines::Lines;
use self::target::Target;
use super::end::{FAILED, end};
use super::options::{Mode, Options, Stop};
use crate::error::Failure;

/// Carries the options out.
///
/// # Errors
/// With the original's words and exit codes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut lines = Lines::new(options.verbosity);
    let result = run_with(options, &mut lines);
    let printed = lines.finish();
    result.and(printed)
}

fn run_with(options: &Options, lines: &mut Lines) -> Result<(), Failure> {
    let mut cursor = Cursor::open(&options.log)?;
    let target = match &options.replay {
        Some(path) => Some(Target::open(path, &cursor, options.discards)?),
        None => None,
    };
    start(options, &mut cursor, lines)?;
    let superblock = cursor.superblock();
    match (options.mode, target) {
        (Mode::Find, _) => find(options, &mut cursor, lines),
        (Mode::NumEntries, _) => {
            lines.put(format_args!("{}", superblock.nr_entries));
            Ok(())
        }
        (Mode::Replay, None) => {
            let (sector_size, nr_entries) = (superblock.sector_size, superblock.nr_entries);
            lines.put(format_args!("Log version=1, sectorsize={sector_size}, entries={nr_entries}"));
            Ok(())
        }
        (Mode::Replay, Some(target)) => replay::run(options, &mut cursor, target, lines),
    }
}

/// Goes to where the run starts.
fn start(options: &Options, cursor: &mut Cursor, lines: &mut Lines) -> Result<(), Failure> {
    let Some(mark) = &options.start.mark else {
        return cursor.seek(options.start.entry, lines);
    };
    cursor.seek(0, lines)?;
    while let Some(entry) = cursor.next()? {
        lines.looked_at(&entry);
        if cursor.is_mark(&entry, mark)? {
            return Ok(());
        }
    }
    Err(end(FAILED, "Couldn't find starting mark"))
}

/// Prints where a replay would stop.
fn find(options: &Options, cursor: &mut Cursor, lines: &mut Lines) -> Result<(), Failure> {
    let unreadable = |failure| match failure {
        Failure::Peer { words, .. } => end(LOG_ERROR, words),
        other => other,
    };
    let mut nr_seen = 0;
    while let Some(entry) = cursor.next().map_err(unreadable)? {
        nr_seen += 1;
        lines.looked_at(&entry);
        if nr_seen == options.limit || is_stop(&options.stop, &entry, cursor).map_err(unreadable)? {
            let sector = entry.end_bytes() / cursor.superblock().sector_size.bytes();
            lines.put(format_args!("{}@{sector}", entry.index));
            return Ok(());
        }
    }
    Err(end(FAILED, "Couldn't find entry"))
}

/// Whether to stop after this entry, which the cursor has just returned.
fn is_stop(stop: &Stop, entry: &Entry, cursor: &mut Cursor) -> Result<bool, Failure> {
    match &stop.mark {
        Some(mark) => cursor.is_mark(entry, mark),
        None => Ok(entry.flags().intersects(stop.flags)),
    }
}

const LOG_ERROR: u8 = 255;
