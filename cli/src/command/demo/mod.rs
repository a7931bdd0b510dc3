//! `logwrites demo`: the main job, on a real file system, with nothing else installed.
//!
//! A FAT volume is made and used through the recorder, with a mark at each step. Then the tool itself shows what the log
//! has, brings an earlier moment back, and checks it against the files as they were. At last every crash is explored, and
//! the notes do not survive all of them.

#[cfg(target_os = "linux")]
mod crash;
mod disk;
mod volume;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::disk::RecordedDisk;
use self::volume::{Files, Volume};
use crate::device::{Access, Disk};
use crate::error::Failure;
use crate::interrupt;
use crate::output::{stdout, style};

/// `logwrites demo`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::command) struct Args {
    /// Folder to create for the images and the log [default: a temporary folder]
    dir: Option<PathBuf>,
    /// Check the notes on this disk, as the demo does after each crash
    #[cfg(target_os = "linux")]
    #[arg(long, hide = true, value_name = "IMAGE", conflicts_with = "dir")]
    notes: Option<PathBuf>,
}

/// The tool itself: carries out a command line.
type Tool<'a> = dyn Fn(&[&str]) -> anyhow::Result<()> + 'a;

/// Shows what the tool does; `tool` carries a command line out.
pub(super) fn run(args: &Args, tool: &Tool<'_>) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(image) = &args.notes {
        return crash::check_notes(image, &[OLD_NOTES, NEW_NOTES]);
    }
    let dir = folder(args.dir.as_deref())?;
    let paths = Paths::new(&dir);
    say(&format!(
        "Making a FAT volume on {} and using it; every write is recorded in {}.",
        paths.disk.display(),
        paths.log.display()
    ))?;
    let history = record(&paths)?;
    say("\nDone. The log has:")?;
    show(tool, &["info", &text(&paths.log)])?;
    show(tool, &["marks", &text(&paths.log)])?;
    say(&format!(
        "\nThe photo was deleted before the end. Going back to the mark {}:",
        style::paint(style::MARK, CHOSEN)
    ))?;
    let at = format!("mark:{CHOSEN}");
    show(
        tool,
        &[
            "replay",
            &text(&paths.log),
            "--base",
            &text(&paths.base),
            "--output",
            &text(&paths.then),
            "--at",
            &at,
        ],
    )?;
    compare(&paths.then, &history)?;
    say("\nReplaying the whole log over the base gives the disk as it is now:")?;
    show(tool, &["verify", &text(&paths.log), "--base", &text(&paths.base), "--final", &text(&paths.disk)])?;
    #[cfg(target_os = "linux")]
    crash::explore(tool, &paths)?;
    next_steps(&paths)
}

/// The files at each mark.
type History = Vec<(&'static str, Files)>;

/// Makes the volume and uses it, a mark at each step.
fn record(paths: &Paths) -> anyhow::Result<History> {
    create(&paths.base)?;
    let mut disk = RecordedDisk::create(&paths.disk, &paths.log, DISK_BYTES)?;
    let mut history = History::new();
    for (mark, what, step) in STEPS {
        interrupt::check("; the log holds every step so far")?;
        let before = disk.nr_entries();
        step(&mut disk).with_context(|| format!("{}: {what}", paths.disk.display()))?;
        disk.mark(mark)?;
        history.push((mark, Volume::files(&mut disk)?));
        let line = format!(
            "  {:<12} {what}: {} entries",
            style::paint(style::MARK, format!("{mark:<12}")),
            disk.nr_entries() - before
        );
        say(&line)?;
    }
    disk.close()?;
    Ok(history)
}

type Step = fn(&mut RecordedDisk) -> anyhow::Result<()>;

const STEPS: [(&str, &str, Step); 4] = [
    ("mkfs", "a FAT volume of 8 MiB", Volume::format),
    (CHOSEN, "notes.txt and photo.raw are written", |disk| {
        Volume::change(disk, |volume| {
            volume.write(NOTES, OLD_NOTES)?;
            volume.write("photo.raw", &photo())
        })
    }),
    ("edited", "notes.txt is overwritten, a folder is made", |disk| {
        Volume::change(disk, |volume| {
            volume.write(NOTES, NEW_NOTES)?;
            volume.make_folder("letters")?;
            volume.write("letters/to-ada.txt", b"Dear Ada, ...\n")
        })
    }),
    ("deleted", "photo.raw is deleted by mistake", |disk| {
        Volume::change(disk, |volume| volume.remove("photo.raw"))
    }),
];

/// Compares the files of a replayed image with those that were there at the mark.
fn compare(image: &Path, history: &History) -> anyhow::Result<()> {
    let (_, expected) = history.iter().find(|(mark, _)| *mark == CHOSEN).context("the step has its mark")?;
    let (_, last) = history.last().context("there were steps")?;
    let found = volume::files_of_image(image)?;
    for (name, content) in &found {
        let verdict = if expected.get(name) == Some(content) {
            style::paint(style::GOOD, "restored")
        } else {
            style::paint(style::ERROR, "different")
        };
        let now = match last.get(name) {
            None => ", now deleted",
            Some(now) if now != content => ", now changed",
            Some(_) => "",
        };
        say(&format!("  {name:<12} {:>7} bytes  {verdict}{now}", content.len()))?;
    }
    if found == *expected {
        return Ok(());
    }
    Err(Failure::Check(format!("the files of {} differ from those at the mark", image.display())).into())
}

fn next_steps(paths: &Paths) -> anyhow::Result<()> {
    say("\nTry next:")?;
    let (log, base) = (paths.log.display(), paths.base.display());
    for command in [
        format!("ls {log} --from mark:edited"),
        format!("replay {log} --base {base} --output {}/crash.img --at mark:edited~1", paths.dir.display()),
        format!("replay {log} --base {base} --onto {} --from end --at mark:mkfs", paths.disk.display()),
        "record --help".to_owned(),
    ] {
        say(&format!("  {}", style::paint(style::HEADING, format!("{} {command}", program()))))?;
    }
    Ok(())
}

/// Shows a command line and runs it.
fn show(tool: &Tool<'_>, words: &[&str]) -> anyhow::Result<()> {
    let line = format!("\n$ {} {}", program(), words.join(" "));
    say(&style::paint(style::HEADING, line).to_string())?;
    tool(&[&["logwrites"], words].concat())
}

/// What the person has typed to get here, so that the commands shown can be typed too.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "logwrites".to_owned())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// The folder of the demo: a new one.
fn folder(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    match asked {
        Some(dir) => {
            std::fs::create_dir(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
            Ok(dir.to_owned())
        }
        // It stays: the commands to try next are about it.
        None => Ok(tempfile::Builder::new().prefix("logwrites-demo-").tempdir()?.keep()),
    }
}

struct Paths {
    dir: PathBuf,
    base: PathBuf,
    disk: PathBuf,
    log: PathBuf,
    then: PathBuf,
}

impl Paths {
    fn new(dir: &Path) -> Self {
        let at = |name| dir.join(name);
        Self {
            dir: dir.to_owned(),
            base: at("base.img"),
            disk: at("disk.img"),
            log: at("disk.log"),
            then: at("then.img"),
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn create(path: &Path) -> anyhow::Result<()> {
    Ok(Disk::open(path, Access::CreateNew)?.set_len(DISK_BYTES)?)
}

/// Bytes that cannot be mistaken for zeros.
fn photo() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(state >> 24).unwrap_or(0)
    };
    (0..150_000).map(|_| next()).collect()
}

/// The mark to which the demo goes back.
const CHOSEN: &str = "first-files";

const NOTES: &str = "notes.txt";
const OLD_NOTES: &[u8] = b"buy milk\n";
const NEW_NOTES: &[u8] = b"buy oat milk, call Ada\n";

const DISK_BYTES: u64 = 8 << 20;

const EXAMPLES: &str = "\
Examples:
  logwrites demo               use a temporary folder
  logwrites demo try-it        create the folder try-it";
