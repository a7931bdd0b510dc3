//! `logwrites serve nbd`: a disk for NBD clients.

use std::io::Write as _;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use anyhow::Context as _;

use super::disk::{describe, finish, open_disk};
use super::watch;
use crate::args::ServeNbd;
use crate::error::Failure;
use crate::output::stdout;
#[cfg(unix)]
use crate::serve::control::Control;
use crate::serve::exports::{ExportTable, Front as _};
use crate::serve::listen::{self, Listener};
use crate::serve::nbd::{Server, Uri};

pub(super) fn run(args: &ServeNbd) -> anyhow::Result<()> {
    watch::log_to_stderr(args.disk.verbose);
    #[cfg(unix)]
    listen::raise_file_limit();
    // Before anything is opened or made.
    let door = Door::open(args)?;
    #[cfg(unix)]
    let control = args.control.as_deref().map(listen::SocketPath::bind).transpose()?;
    let exports = open_disk(&args.disk, &args.name)?;
    let server = Server::new(exports, usize::try_from(args.max_connections.get())?);
    #[cfg(unix)]
    let _control =
        control.map(|(name, listener)| answer(&server, args, listener).map(|()| name)).transpose()?;
    door.announce(server.exports())?;
    // It goes when all is done.
    let _name = door.name;
    server.listen(door.listener).context("cannot start a thread")?;
    watch::Watched::new(&args.disk, Arc::<Server>::clone(&server)).until_the_end();
    server.stop();
    finish(server.exports(), &args.disk)
}

/// Answers at the control socket.
#[cfg(unix)]
fn answer(server: &Arc<Server>, args: &ServeNbd, listener: UnixListener) -> anyhow::Result<()> {
    match Control::of(Arc::<Server>::clone(server), &args.disk.log) {
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
    fn open(args: &ServeNbd) -> anyhow::Result<Self> {
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
    fn open(args: &ServeNbd) -> anyhow::Result<Self> {
        if args.socket.is_some() {
            return Err(Failure::Usage("there are no unix sockets here; use --listen".to_owned()).into());
        }
        let address = args.listen.as_ref().ok_or_else(no_address)?;
        Ok(Self { listener: listen::tcp(address)?, name: () })
    }

    /// Says where the exports are, one a line; who waits for that can connect.
    fn announce(&self, exports: &ExportTable) -> anyhow::Result<()> {
        let address = self.listener.address()?;
        let uri = Uri(&address);
        if address.is_public() {
            anstream::eprintln!(
                "anybody who reaches {uri} can read and write the disk: there is neither a password nor encryption"
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
