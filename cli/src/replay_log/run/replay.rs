//! The replay: entries are collected, and written before anything reads the disk.

use super::super::options::Options;
use super::cursor::Cursor;
use super::is_stop;
use super::lines::Lines;
use super::target::Target;
use crate::error::Failure;

/// Replays from the cursor on. Entries before one that cannot be read are written all the same.
pub(super) fn run(
    options: &Options,
    cursor: &mut Cursor,
    mut target: Target,
    lines: &mut Lines,
) -> Result<(), Failure> {
    let walked = walk(options, cursor, &mut target, lines);
    let written = target.settle();
    walked.and(written)
}

fn walk(
    options: &Options,
    cursor: &mut Cursor,
    target: &mut Target,
    lines: &mut Lines,
) -> Result<(), Failure> {
    let mut nr_seen = 0;
    while let Some(entry) = cursor.next()? {
        nr_seen += 1;
        let is_skipped = options.skip.skips(&entry);
        lines.replayed(&entry, is_skipped);
        target.take(&entry, is_skipped, lines)?;
        if let Some(check) = options.check.as_ref().filter(|check| check.when.is_due(&entry, nr_seen)) {
            target.settle()?;
            lines.flush();
            check.run(&entry)?;
        }
        if nr_seen == options.limit || is_stop(&options.stop, &entry, cursor)? {
            break;
        }
    }
    Ok(())
}
