//! What was found earlier, and kept in folders: `logwrites explore report` and `logwrites explore merge`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::search::{Form, end_of, print_one};
use crate::command::new_file::NewFile;
use crate::explore::{OutDir, OutDirError, Page, Results, junit, merge};
use crate::output::{print_json, stdout};

/// What is done with folders of explorations.
#[derive(Debug, clap::Subcommand)]
pub(in crate::command) enum Kept {
    /// Show what an exploration has found
    Report(ReportArgs),
    /// Make one exploration of all its parts
    Merge(MergeArgs),
}

/// `logwrites explore report`
#[derive(Debug, clap::Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(in crate::command) struct ReportArgs {
    /// Folder of the exploration: its --out
    dir: PathBuf,
    /// Also make a page: one file that is opened offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also make a test report in the format of JUnit: a suite for each check, a case for each group
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Overwrite FILE if it exists
    #[arg(long)]
    force: bool,
    /// Print JSON: an object for each check, and one for all of them
    #[arg(long)]
    json: bool,
}

/// `logwrites explore merge`
#[derive(Debug, clap::Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub(in crate::command) struct MergeArgs {
    /// Folders of all parts, in any order
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Folder to make, which must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON: an object for each check, and one for all of them
    #[arg(long)]
    json: bool,
}

impl Kept {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Report(args) => report(args),
            Self::Merge(args) => merge_parts(args),
        }
    }
}

fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let results = OutDir::results(&args.dir)?;
    if let Some(path) = &args.html {
        write_new(path, args.force, &page(&args.dir, &results)?)?;
    }
    if let Some(path) = &args.junit {
        write_new(path, args.force, &junit(&results.checks)?)?;
    }
    let mut out = stdout();
    print_all(&mut out, form(args.json), &results)?;
    Ok(out.flush()?)
}

fn page(dir: &Path, results: &Results) -> Result<String, OutDirError> {
    let (plan, timeline) = (OutDir::plan(dir)?, OutDir::timeline(dir)?);
    let log = plan.log.path.display().to_string();
    let page =
        Page { log: &log, summary: &results.summary, reports: &results.checks, timeline: Some(&timeline) };
    Ok(page.to_html())
}

/// Makes a file, which appears as a whole.
fn write_new(path: &Path, is_forced: bool, text: &str) -> anyhow::Result<()> {
    let new = if is_forced {
        NewFile::replace(path, &[])?
    } else {
        NewFile::create(path, "; --force overwrites it")?
    };
    let disk = new.disk();
    let written = disk.write_at(0, text.as_bytes()).and_then(|()| disk.sync());
    written.with_context(|| format!("cannot write {}", path.display()))?;
    new.keep()?;
    Ok(())
}

fn merge_parts(args: &MergeArgs) -> anyhow::Result<()> {
    let results = merge(&args.dirs, &args.out)?;
    let mut out = stdout();
    print_all(&mut out, form(args.json), &results)?;
    out.flush()?;
    end_of(&results.checks)
}

fn print_all(out: &mut impl Write, form: Form, results: &Results) -> io::Result<()> {
    for report in &results.checks {
        print_one(out, form, report)?;
    }
    if form == Form::Json {
        print_json(out, &results.summary)?;
    }
    Ok(())
}

const fn form(is_json: bool) -> Form {
    if is_json { Form::Json } else { Form::Page }
}

const REPORT_EXAMPLES: &str = "\
Examples:
  logwrites explore report found
  logwrites explore report found --html found.html --junit found.xml
  logwrites explore report found --json | jq .verdict

JSON leaves out what is decided of each group; results.json in the folder has it. The exit code is 0 whatever was found.";

const MERGE_EXAMPLES: &str = "\
Each machine explores a part; the folders of all parts make the whole. A part that is missing, is there
twice, has ended early, or is of another log, base, model or check is refused.

Examples:
  logwrites explore run.log --size 64M --check ext4 --partition 1/2 --out part1
  logwrites explore run.log --size 64M --check ext4 --partition 2/2 --out part2
  logwrites explore merge part1 part2 --out whole

Exit codes: 0 no state that was tried is bad, 1 a state is bad, 2 the folders are not the parts of one
exploration.";
