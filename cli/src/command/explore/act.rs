//! What can be done with one state besides checking it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use logwrites_core::crash::State;

use super::Subject;
use crate::args::{DiskArgs, LogArgs};
use crate::command::new_file::NewFile;
use crate::command::replay::{self, Replayed};
use crate::command::serve::{self, ServeArgs};
use crate::device::Disk;
use crate::error::Failure;
use crate::explore::{Check, Explorer};
use crate::log::Log;
use crate::output::printable::Printable;
use crate::output::stdout;
use crate::point::{Crash, StateArg};

/// What is done with a state, of which one can be chosen
#[derive(Debug, clap::Args)]
pub(super) struct ActArgs {
    /// With --state: write the disk to this new image, as `logwrites replay` does
    #[arg(long, value_name = "OUT", requires = "state", conflicts_with_all = OF_A_SEARCH)]
    #[arg(conflicts_with_all = ["shell", "serving"])]
    pub(super) export: Option<PathBuf>,
    /// With --state: start a shell that finds the disk as commands of --check do; changes to the disk are thrown away
    #[arg(long, requires = "state", conflicts_with_all = OF_A_SEARCH, conflicts_with = "serving")]
    pub(super) shell: bool,
    /// How it is served.
    #[command(flatten)]
    serve: ServeArgs,
}

impl ActArgs {
    /// Whether it is to be served.
    pub(super) const fn is_serve(&self) -> bool {
        self.serve.is_asked_for()
    }

    /// What is to be done with the state besides checking it, as its option.
    pub(super) const fn option(&self) -> Option<&'static str> {
        match self {
            Self { export: Some(_), .. } => Some("--export"),
            Self { shell: true, .. } => Some("--shell"),
            Self { serve, .. } if serve.is_asked_for() => Some("--serve"),
            _ => None,
        }
    }

    /// The server that is asked for.
    pub(super) fn server(
        &self,
        subject: &Subject<'_>,
        state: Option<&StateArg>,
    ) -> Result<Option<serve::Args>, Failure> {
        let disk = DiskArgs {
            log: subject.log.to_owned(),
            data: None,
            base: subject.base.map(Path::to_owned),
            size: subject.size,
            images: subject.images,
            at: state.cloned().into_iter().collect(),
            keep: None,
            nr_entries: None,
            logging: LogArgs::default(),
            verbose: 0,
        };
        self.serve.server(disk)
    }
}

/// Writes a state to a new image.
pub(super) fn export(log: &Log, subject: &Subject<'_>, state: &State, output: &Path) -> anyhow::Result<()> {
    let origin = subject.open()?;
    log.check_fits(state.point, origin.len_bytes(), origin.name())?;
    let make =
        |target: &Disk| replay::make((log.index(), log.disk()), &origin, subject.discards, target, state);
    export_by(make, output)
}

/// Writes what `make` makes to a new image.
pub(super) fn export_by(
    make: impl FnOnce(&Disk) -> anyhow::Result<Replayed>,
    output: &Path,
) -> anyhow::Result<()> {
    let new = NewFile::create(output, "; --export makes a new file")?;
    let done = make(new.disk())?;
    new.keep()?;
    let mut out = stdout();
    replay::report(&mut out, &done, output)?;
    Ok(out.flush()?)
}

/// Lets a person look at the disk that a crash leaves in a shell.
pub(super) fn visit(explorer: &Explorer, check: Option<&Check>, crash: &Crash) -> anyhow::Result<()> {
    let begin = |not_mounted: Option<&str>| {
        // Standard output is the shell's.
        anstream::eprintln!(
            "a shell on the disk in state {crash}; `exit` leaves it and throws all changes to the disk away"
        );
        anstream::eprintln!("  $CRASH_IMAGE  the disk as the crash has left it");
        match not_mounted {
            None => anstream::eprintln!("  $CRASH_MOUNT  a copy of it, mounted: it has recovered as at boot"),
            Some(reason) => {
                anstream::eprintln!("  $CRASH_MOUNT  is not there: {}", Printable(reason.as_bytes()));
            }
        }
    };
    Ok(explorer.visit(check, crash, begin)?)
}

/// The options of a search.
pub(super) const OF_A_SEARCH: [&str; 7] = ["model", "atomic_unit", "nested", "jobs", "budget", "seed", "out"];
