//! What can be done with one state besides checking it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use logwrites_core::crash::State;

use super::Subject;
use crate::args::{DiskArgs, LogArgs};
use crate::command::new_file::NewFile;
use crate::command::replay::{self, Replayed};
use crate::command::serve;
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
    #[arg(conflicts_with_all = ["shell", "serve"])]
    pub(super) export: Option<PathBuf>,
    /// With --state: start a shell that finds the disk as commands of --check do; changes to the disk are thrown away
    #[arg(long, requires = "state", conflicts_with_all = OF_A_SEARCH, conflicts_with = "serve")]
    pub(super) shell: bool,
    /// With --state: serve the disk as `logwrites serve --at` does; changes to it are thrown away
    #[arg(long, value_enum, requires = "state", conflicts_with_all = OF_A_SEARCH)]
    serve: Option<ServeArg>,
    /// With --serve nbd: listen on this Unix socket, which only you can access
    #[arg(long, value_name = "PATH", requires = "serve", conflicts_with_all = OTHER_ACTS)]
    socket: Option<PathBuf>,
    /// With --serve nbd: listen on this TCP port instead; anyone who can reach it can read and write the disk
    #[arg(long, value_name = "ADDR:PORT", requires = "serve", conflicts_with = "socket")]
    #[arg(conflicts_with_all = OTHER_ACTS)]
    listen: Option<String>,
    /// With --serve fuse: empty folder in which the disk appears as a file; only you can access it
    #[arg(long, value_name = "DIR", requires = "serve", conflicts_with_all = ["socket", "listen"])]
    #[arg(required_if_eq("serve", "fuse"), conflicts_with_all = OTHER_ACTS)]
    mountpoint: Option<PathBuf>,
}

/// `--serve`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServeArg {
    /// To NBD clients, such as qemu, nbdcopy, nbdfuse and the kernel's nbd-client
    Nbd,
    /// As a file in a folder
    Fuse,
}

impl ActArgs {
    /// Whether it is to be served.
    pub(super) const fn is_serve(&self) -> bool {
        self.serve.is_some()
    }

    /// What is to be done with the state besides checking it, as its option.
    pub(super) const fn option(&self) -> Option<&'static str> {
        match self {
            Self { export: Some(_), .. } => Some("--export"),
            Self { shell: true, .. } => Some("--shell"),
            Self { serve: Some(_), .. } => Some("--serve"),
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
            logging: LogArgs::default(),
            verbose: 0,
        };
        match (self.serve, &self.mountpoint) {
            (None, _) => Ok(None),
            (Some(ServeArg::Nbd), _) => {
                let nbd = serve::NbdArgs::new(disk, self.socket.clone(), self.listen.clone());
                Ok(Some(serve::Args::Nbd(nbd)))
            }
            (Some(ServeArg::Fuse), Some(mountpoint)) => {
                Ok(Some(serve::Args::Fuse(serve::FuseArgs::new(disk, mountpoint.clone()))))
            }
            (Some(ServeArg::Fuse), None) => {
                Err(Failure::Usage("--serve fuse needs --mountpoint DIR".to_owned()))
            }
        }
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
const OF_A_SEARCH: [&str; 7] = ["model", "atomic_unit", "nested", "jobs", "budget", "seed", "out"];

/// What is done without an address.
const OTHER_ACTS: [&str; 2] = ["export", "shell"];
