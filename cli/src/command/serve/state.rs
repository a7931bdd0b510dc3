//! `--serve`, for verbs that have one state of a recorded disk.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Args, FuseArgs, NbdArgs};
use crate::args::DiskArgs;
use crate::error::Failure;

/// How a state is served, of which the verb says what goes with it
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("serving").args(["serve", "socket", "listen", "mountpoint"]).multiple(true))]
pub(in crate::command) struct ServeArgs {
    /// Serve the disk as `logwrites serve --at` does; changes to it are thrown away
    #[arg(long, value_enum)]
    serve: Option<ServeArg>,
    /// With --serve nbd: listen on this Unix socket, which only you can access
    #[arg(long, value_name = "PATH", requires = "serve")]
    socket: Option<PathBuf>,
    /// With --serve nbd: listen on this TCP port instead; anyone who can reach it can read and write the disk
    #[arg(long, value_name = "ADDR:PORT", requires = "serve", conflicts_with = "socket")]
    listen: Option<String>,
    /// With --serve fuse: empty folder in which the disk appears as a file; only you can access it
    #[arg(long, value_name = "DIR", requires = "serve", conflicts_with_all = ["socket", "listen"])]
    #[arg(required_if_eq("serve", "fuse"))]
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

impl ServeArgs {
    /// Whether it is to be served.
    pub(in crate::command) const fn is_asked_for(&self) -> bool {
        self.serve.is_some()
    }

    /// The server of this disk that is asked for.
    pub(in crate::command) fn server(&self, disk: DiskArgs) -> Result<Option<Args>, Failure> {
        match (self.serve, &self.mountpoint) {
            (None, _) => Ok(None),
            (Some(ServeArg::Nbd), _) => {
                let nbd = NbdArgs::new(disk, self.socket.clone(), self.listen.clone());
                Ok(Some(Args::Nbd(nbd)))
            }
            (Some(ServeArg::Fuse), Some(mountpoint)) => {
                Ok(Some(Args::Fuse(FuseArgs::new(disk, mountpoint.clone()))))
            }
            (Some(ServeArg::Fuse), None) => {
                Err(Failure::Usage("--serve fuse needs --mountpoint DIR".to_owned()))
            }
        }
    }
}
