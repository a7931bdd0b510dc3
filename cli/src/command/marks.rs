//! `logwrites marks`: the marks of a log, and the points that name them.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use logwrites_core::history::{Index, Mark};

use crate::log::Log;
use crate::output::json::MarkJson;
use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::point::{Anchor, Nth};

/// `logwrites marks`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Log to read
    log: PathBuf,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let log = Log::open(&args.log)?;
    let mut out = stdout();
    let mut points = Points::new(log.index());
    if !args.json {
        let heading = format!("{:>9}  {}", "entry", "point");
        writeln!(out, "{}", style::paint(style::HEADING, heading))?;
    }
    for mark in log.index().marks() {
        let point = points.next(&mark).to_string();
        if args.json {
            print_json(&mut out, &MarkJson::new(&mark, point))?;
        } else {
            write!(out, "{:>9}  {}", mark.entry, style::paint(style::MARK, Printable(point.as_bytes())))?;
            // A point spells some characters in another way, and numbers names that are not unique.
            if point.strip_prefix("mark:").is_none_or(|name| name.as_bytes() != mark.text) {
                write!(out, "  {}", Printable(mark.text))?;
            }
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(log.check_whole()?)
}

/// The shortest point for each mark, given in log order.
struct Points<'a> {
    index: &'a Index,
    seen: HashMap<&'a [u8], i64>,
}

impl<'a> Points<'a> {
    fn new(index: &'a Index) -> Self {
        Self { index, seen: HashMap::new() }
    }

    fn next(&mut self, mark: &Mark<'a>) -> Anchor {
        let seen = self.seen.entry(mark.text).or_insert(0);
        *seen += 1;
        let is_unique = self.index.marks_named(mark.text).len() == 1;
        let nth = if is_unique { None } else { Nth::new(*seen) };
        Anchor::Mark { name: mark.text.into(), nth }
    }
}

const EXAMPLES: &str = "\
Examples:
  logwrites marks disk.log
  logwrites marks disk.log --json | jq -r .point";
