//! `logwrites serve`: a disk for others, every write of theirs logged; or a disk as it was.

mod past;
mod record;
mod watch;

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;

use crate::args::{Serve, ServeNbd};
use crate::error::Failure;
use crate::output::stdout;
use crate::serve::exports::ExportTable;
use crate::serve::listen;
use crate::serve::nbd::MAX_SECTOR_BYTES;
use crate::serve::server::Server;
use crate::serve::stream::Listener;

pub(super) fn run(args: &Serve) -> anyhow::Result<()> {
    match args {
        Serve::Nbd(args) => run_nbd(args),
    }
}

fn run_nbd(args: &ServeNbd) -> anyhow::Result<()> {
    watch::log_to_stderr(args.verbose);
    #[cfg(unix)]
    listen::raise_file_limit();
    // Before anything is opened or made.
    let door = Door::open(args)?;
    let disk = if args.at.is_empty() { record::open(args)? } else { past::open(args)? };
    let server = Server::new(disk, usize::try_from(args.max_connections.get())?);
    let watched = watch::Watched::new(args, &server);
    #[cfg(unix)]
    let _control = watched.control(args)?;
    door.announce(server.exports())?;
    // It goes when all is done.
    let _name = door.name;
    server.listen(door.listener).context("cannot start a thread")?;
    watched.until_interrupted();
    server.stop();
    finish(&server, args)
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
        if address.is_public() {
            anstream::eprintln!(
                "anybody who reaches {address} can read and write the disk: there is neither a password nor encryption"
            );
        }
        let mut out = stdout();
        writeln!(out, "serving {address}")?;
        for (name, disk) in exports.described() {
            writeln!(out, "  {name}: {disk}")?;
        }
        Ok(out.flush()?)
    }
}

fn no_address() -> Failure {
    Failure::Usage("--socket PATH or --listen ADDR:PORT is needed".to_owned())
}

/// Checks that NBD has a unit of so many bytes.
fn check_sector_size(sector_size: logwrites_core::SectorSize) -> Result<(), Failure> {
    if sector_size.bytes_u32() <= MAX_SECTOR_BYTES {
        return Ok(());
    }
    Err(Failure::Usage(format!("NBD has units of at most {MAX_SECTOR_BYTES} bytes, not {sector_size}")))
}

/// Ends the logs in good order.
fn finish(server: &Arc<Server>, args: &ServeNbd) -> anyhow::Result<()> {
    let mut out = stdout();
    for disk in server.exports().opened() {
        let end = disk.finish();
        let log = if args.at.is_empty() { Some(&args.log) } else { args.keep.as_ref() };
        let Some(log) = log else { continue };
        let logged = end.with_context(|| log.display().to_string())?;
        watch::report(&mut out, log, logged)?;
    }
    Ok(out.flush()?)
}
