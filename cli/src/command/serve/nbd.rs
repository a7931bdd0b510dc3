//! `logwrites serve nbd`: a disk for NBD clients.

use std::io::Write as _;
use std::num::NonZeroU64;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::report::{describe, finish};
use super::watch;
use crate::args::{DiskArgs, parse_export_name};
#[cfg(unix)]
use crate::disk::DiskOptions;
use crate::error::Failure;
use crate::output::stdout;
#[cfg(unix)]
use crate::serve::control::Control;
use crate::serve::exports::{ExportTable, Front as _};
use crate::serve::listen::{self, Listener};
use crate::serve::nbd::{Server, Uri};

/// `logwrites serve nbd`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("address").args(["socket", "listen"]))]
pub(in crate::command) struct Args {
    /// The disk.
    #[command(flatten)]
    disk: DiskArgs,
    /// Listen on this Unix socket, which only you can access
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Listen on this TCP port instead; anyone who can reach it can read and write the disk
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Name of the export
    #[arg(long, default_value = NAME, value_parser = parse_export_name)]
    name: String,
    /// Listen on this Unix socket for `logwrites mark`, `status` and `crash`
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "at")]
    control: Option<PathBuf>,
    /// Maximum number of connected clients
    #[arg(long, value_name = "NUMBER", default_value_t = MAX_CONNECTIONS)]
    max_connections: NonZeroU64,
}

#[cfg(target_os = "linux")]
impl Args {
    /// A disk at an address, with what all other options are if they are not given.
    pub(in crate::command) fn new(disk: DiskArgs, socket: Option<PathBuf>, listen: Option<String>) -> Self {
        let name = NAME.to_owned();
        Self { disk, socket, listen, name, control: None, max_connections: MAX_CONNECTIONS }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    watch::log_to_stderr(args.disk.verbose);
    #[cfg(unix)]
    listen::raise_file_limit();
    // Before anything is opened or made.
    let door = Door::open(args)?;
    #[cfg(unix)]
    let control = args.control.as_deref().map(listen::SocketPath::bind).transpose()?;
    let options = args.disk.options()?;
    let exports = options.open(&args.name)?;
    let server = Server::new(exports, usize::try_from(args.max_connections.get())?);
    #[cfg(unix)]
    let _control =
        control.map(|(name, listener)| answer(&server, &options, listener).map(|()| name)).transpose()?;
    door.announce(server.exports())?;
    // It goes when all is done.
    let _name = door.name;
    server.listen(door.listener).context("cannot start a thread")?;
    watch::Watched::new(&args.disk, Arc::<Server<_>>::clone(&server)).until_the_end();
    server.stop();
    finish(server.exports(), &args.disk)
}

/// Answers at the control socket.
#[cfg(unix)]
fn answer(
    server: &Arc<Server<ExportTable>>,
    options: &DiskOptions,
    listener: UnixListener,
) -> anyhow::Result<()> {
    match Control::of(Arc::<Server<_>>::clone(server), options)? {
        Some(control) => Ok(control.listen(listener)?),
        None => Ok(()),
    }
}

/// Where clients come in.
struct Door {
    listener: Listener,
    /// The socket's name in the file system, which goes with this.
    #[cfg(unix)]
    name: Option<listen::SocketPath>,
    #[cfg(not(unix))]
    name: (),
}

impl Door {
    #[cfg(unix)]
    fn open(args: &Args) -> anyhow::Result<Self> {
        if args.socket.is_some() && args.socket == args.control {
            return Err(Failure::Usage("--socket and --control need a socket each".to_owned()).into());
        }
        if let Some(path) = &args.socket {
            let (name, listener) = listen::SocketPath::bind(path)?;
            return Ok(Self { listener: Listener::Unix(listener), name: Some(name) });
        }
        if let Some(address) = &args.listen {
            return Ok(Self { listener: listen::tcp(address)?, name: None });
        }
        match listen::from_systemd()? {
            Some(listener) => Ok(Self { listener, name: None }),
            None => Err(no_address().into()),
        }
    }

    #[cfg(not(unix))]
    fn open(args: &Args) -> anyhow::Result<Self> {
        if args.socket.is_some() {
            return Err(Failure::Usage("this system has no Unix sockets; use --listen".to_owned()).into());
        }
        let address = args.listen.as_ref().ok_or_else(no_address)?;
        Ok(Self { listener: listen::tcp(address)?, name: () })
    }

    /// Prints where the exports are, one per line, when clients can connect.
    fn announce(&self, exports: &ExportTable) -> anyhow::Result<()> {
        let address = self.listener.address()?;
        let uri = Uri(&address);
        if address.is_public() {
            anstream::eprintln!(
                "anyone who can reach {uri} can read and write the disk: there is neither a password nor encryption"
            );
        }
        let mut out = stdout();
        writeln!(out, "serving {uri}")?;
        describe(&mut out, exports)?;
        Ok(out.flush()?)
    }
}

fn no_address() -> Failure {
    Failure::Usage("--socket PATH or --listen ADDR:PORT is needed".to_owned())
}

const NAME: &str = "disk";

const MAX_CONNECTIONS: NonZeroU64 = NonZeroU64::new(1024).unwrap();

const EXAMPLES: &str = "\
Examples:
  logwrites serve nbd --log run.log --base golden.img --socket disk.sock --control control.sock
  logwrites serve nbd --log run.log --data disk.img --listen 127.0.0.1:10809
  logwrites serve nbd --log run.log --size 1G --socket disk.sock
  logwrites serve nbd --log run.log --base golden.img --at mark:boot --at flush:-1 --socket past.sock

Clients:
  qemu-system-x86_64 -drive file=nbd+unix:///?socket=disk.sock,format=raw,cache=writeback …
  nbdcopy disk.img nbd+unix:///?socket=disk.sock
  nbdinfo --list nbd+unix:///?socket=past.sock

Ctrl-C or SIGTERM closes the log and ends the server. If the server is killed, `logwrites recover`
finds the entries that the superblock does not count.";
