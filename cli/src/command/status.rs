//! `logwrites status`: what a running server has done so far.

use std::io::Write as _;
use std::path::PathBuf;

use indicatif::{BinaryBytes, HumanCount};

use crate::output::printable::Printable;
use crate::output::{print_json, stdout, style};
use crate::serve::control::{Answer, Ask, ask};

/// `logwrites status`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Control socket or control file of a running server
    control: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Answer::Status(status) = ask(&args.control, &Ask::Status {})? else {
        anyhow::bail!("{}: unexpected answer from the server", args.control.display());
    };
    let mut out = stdout();
    if args.json {
        print_json(&mut out, &status)?;
        return Ok(out.flush()?);
    }
    let entries = style::count(status.nr_entries, "entry", "entries");
    let log = style::paint(style::HEADING, Printable(status.log.as_bytes()));
    writeln!(out, "{log} holds {entries} in {}, epoch {}", BinaryBytes(status.log_bytes), status.epoch)?;
    writeln!(
        out,
        "{} writes ({}), {} reads ({}), {} in flight, {}",
        HumanCount(status.writes),
        BinaryBytes(status.written_bytes),
        HumanCount(status.reads),
        BinaryBytes(status.read_bytes),
        status.in_flight,
        style::count(status.connections, "client", "clients"),
    )?;
    if status.refused > 0 {
        let requests = style::count(status.refused, "request was", "requests were");
        writeln!(out, "{requests} refused: the log had no room")?;
    }
    Ok(out.flush()?)
}

const EXAMPLES: &str = "\
Examples:
  logwrites status control.sock
  logwrites status mnt/control
  logwrites status control.sock --json | jq .nr_entries";
