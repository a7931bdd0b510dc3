//! Arbitrary text as a script, as an iolog, as a point and as a size.

use core::fmt::{Debug, Display};
use core::str::FromStr;

use logwrites::point::{Point, StateArg};
use logwrites::script::{Limits, MAX_REQUEST_BYTES, Script, ScriptCommand};
use logwrites::size::Size;
use logwrites_core::SectorSize;

/// Reads all of `bytes` but the first as each kind of text there is; the first chooses the disk and the log that it is
/// for. What is taken must lie inside these, and read the same when it is shown; what is refused must be so in a few
/// words.
pub(crate) fn script(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let limits = limits(*choice);
    for script in [Script::parse(text, &limits), Script::parse_iolog(text, &limits)] {
        match script {
            Ok(script) => assert_taken(&script, text, &limits),
            Err(error) => assert!(error.to_string().len() <= MAX_ERROR_LEN, "{error}"),
        }
    }
    for line in text.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok()) {
        assert_shown_as_read::<Point>(line);
        assert_shown_as_read::<StateArg>(line);
        assert_shown_as_read::<Size>(line);
    }
}

fn assert_taken(script: &Script, text: &[u8], limits: &Limits) {
    let nr_lines = text.split(|byte| *byte == b'\n').count();
    let lines: Vec<u32> = script.iter().map(|(line, _)| line).collect();
    assert!(lines.is_sorted_by(|a, b| a < b), "one command a line: {lines:?}");
    assert!(lines.last().is_none_or(|last| usize::try_from(*last).is_ok_and(|last| last <= nr_lines)));
    for command in script.commands() {
        assert_inside(command, limits);
    }
    let is_text = |command: &&ScriptCommand| match command {
        ScriptCommand::Mark { text } => str::from_utf8(text).is_ok(),
        _ => true,
    };
    let commands: Vec<ScriptCommand> = script.commands().iter().filter(is_text).cloned().collect();
    let shown: Vec<String> = commands.iter().map(ToString::to_string).collect();
    let again = Script::parse(shown.join("\n").as_bytes(), limits);
    assert_eq!(again.as_ref().map(Script::commands), Ok(&commands[..]), "{shown:#?}");
}

fn assert_inside(command: &ScriptCommand, limits: &Limits) {
    let sector_bytes = limits.sector_size.bytes();
    match command {
        ScriptCommand::Write { offset_bytes, len_bytes, .. }
        | ScriptCommand::WriteZeroes { offset_bytes, len_bytes, .. }
        | ScriptCommand::Discard { offset_bytes, len_bytes }
        | ScriptCommand::Read { offset_bytes, len_bytes, .. } => {
            assert!(
                offset_bytes % sector_bytes == 0 && len_bytes % sector_bytes == 0,
                "{command} is not aligned"
            );
            let end_bytes = u128::from(*offset_bytes) + u128::from(*len_bytes);
            assert!(end_bytes <= u128::from(limits.disk_bytes), "{command} reaches beyond the disk");
            assert!(*len_bytes <= MAX_REQUEST_BYTES, "{command} is too long");
        }
        ScriptCommand::Mark { text } => {
            let text_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            assert!(text_bytes + 33 <= sector_bytes, "{command} does not fit into a sector");
            assert!(!text.is_empty() && !text.contains(&0), "{command} has no name that can be read");
        }
        ScriptCommand::Flush => {}
    }
}

/// Whatever is read of a text is read of what is shown for it, too, and shown the same.
fn assert_shown_as_read<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(read) => {
            let shown = read.to_string();
            let again = shown.parse::<T>().map_err(|error| error.to_string());
            assert_eq!(again.as_ref(), Ok(&read), "{shown}");
            assert_eq!(again.map(|again| again.to_string()), Ok(shown));
        }
        Err(error) => drop(error.to_string()),
    }
}

/// Small and large disks, of an odd size too, and logs with and without room for marks.
fn limits(choice: u8) -> Limits {
    let disk_bytes = [1 << 20, 0, 1000, 4 << 30, 1 << 50, u64::MAX][usize::from(choice % 6)];
    let sector_bytes = [512, 32, 64, 4096, 8 << 20][usize::from(choice / 6 % 5)];
    Limits { disk_bytes, sector_size: SectorSize::new(sector_bytes).expect("a power of two") }
}

/// The message, the line cut around the error, and the carets under it.
const MAX_ERROR_LEN: usize = 4096;
