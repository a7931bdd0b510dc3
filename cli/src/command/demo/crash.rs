//! The last step of the demo: whether the notes of the volume survive every crash.

use std::path::Path;

use super::{CHOSEN, Paths, Tool, say, text};
use crate::command::explore::command_line;
use crate::error::{Failure, in_one_line};
use crate::output::style;

/// Explores the crashes of the recorded volume. They are not survived; where FUSE is missing, that is said instead.
pub(super) fn explore(tool: &Tool<'_>, paths: &Paths) -> anyhow::Result<()> {
    say(
        "\nDo the notes survive every crash? The demo writes them as many programs do, and looks at them itself:",
    )?;
    let this_tool = std::env::current_exe()?.display().to_string();
    let check = command_line([this_tool, "demo".to_owned(), "--notes".to_owned()]) + " \"$CRASH_IMAGE\"";
    let (log, base, from) = (text(&paths.log), text(&paths.base), format!("mark:{CHOSEN}"));
    let words = ["explore", &log, "--base", &base, "--from", &from, "--check", &check];
    let line = command_line(std::iter::once(super::program()).chain(words.map(str::to_owned)));
    say(&style::paint(style::HEADING, format!("\n$ {line}")).to_string())?;
    match tool(&[&["logwrites"], &words[..]].concat()) {
        Ok(()) => Err(Failure::Check("the notes survive, which they cannot".to_owned()).into()),
        Err(error) if matches!(error.downcast_ref(), Some(Failure::Check(_))) => say(
            "\nThe new notes replace the old ones in place, and no flush tells the disk which write comes first: it may lose\n\
             either one alone. Above are these writes, and a command for each that shows the disk again.",
        ),
        Err(error) => say(&format!("It cannot be shown here: {}", in_one_line(error.as_ref()))),
    }
}

/// Checks the notes on a disk after a crash: they are as they were before the change, or as after it.
pub(super) fn check_notes(image: &Path, versions: &[&[u8]]) -> anyhow::Result<()> {
    let notes = super::volume::file_of_image(image, super::NOTES)?;
    if versions.contains(&notes.as_slice()) {
        return Ok(());
    }
    let shown = notes.escape_ascii();
    Err(Failure::Check(format!("{} is neither old nor new: \"{shown}\"", super::NOTES)).into())
}
