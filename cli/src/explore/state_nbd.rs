//! The disk of a state for NBD clients: the same disk as the file, for checks that take no file.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logwrites_core::{Extent, Op, OpError, SectorSize, WriteFlags};

use super::crash_disk::CrashDisk;
use super::state_file::Slot;
use crate::serve::engine::{Batch, BlockDevice, Payload, Refusal, Waiter, Work};
use crate::serve::exports::{ExportInfo, Exports, NoExport};
use crate::serve::listen::{Address, Listener};
use crate::serve::nbd::{Server, Uri};

/// A server of one state.
#[derive(Debug)]
pub(super) struct StateServer {
    server: Arc<Server<Only>>,
    socket: PathBuf,
}

impl StateServer {
    /// Serves the disk that a slot holds now, on a new socket in a folder that is the user's own.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(socket: &Path, slot: &Arc<Slot>, sector_size: SectorSize) -> io::Result<Self> {
        let only = Only(StateDisk { slot: Arc::clone(slot), sector_size });
        let this = Self { server: Server::new(only, MAX_CONNECTIONS), socket: socket.to_owned() };
        this.server.listen(Listener::Unix(UnixListener::bind(socket)?))?;
        Ok(this)
    }

    /// Where it is, as clients take it.
    pub(super) fn uri(&self) -> String {
        Uri(&Address::Unix(self.socket.clone())).to_string()
    }
}

/// Nothing that a client has sent reaches the next state.
impl Drop for StateServer {
    fn drop(&mut self) {
        self.server.stop();
        // It waits for a connection, and sees then that it is to end.
        let woken = UnixStream::connect(&self.socket).and_then(|stream| stream.shutdown(Shutdown::Both));
        if let Err(error) = woken.and_then(|()| std::fs::remove_file(&self.socket)) {
            tracing::debug!(%error, "the socket of a state is left");
        }
    }
}

/// The only export.
#[derive(Debug)]
struct Only(StateDisk);

impl Only {
    fn info(&self) -> ExportInfo {
        ExportInfo {
            name: String::new(),
            description: "a disk as a crash has left it, with changes that are thrown away".to_owned(),
            len_bytes: self.0.slot.len_bytes(),
            sector_size: self.0.sector_size,
            is_read_only: false,
            has_fast_zero: true,
        }
    }
}

impl Exports for Only {
    type Export = StateDisk;

    fn names(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn describe(&self, name: &str) -> Result<ExportInfo, NoExport> {
        if name.is_empty() {
            Ok(self.info())
        } else {
            Err(NoExport("the only export has no name".to_owned()))
        }
    }

    fn open(&self, name: &str) -> Result<(StateDisk, ExportInfo), NoExport> {
        Ok((self.0.clone(), self.describe(name)?))
    }
}

/// What a slot holds, as a device. All of it is data: holes would tell states apart without being read.
#[derive(Clone, Debug)]
struct StateDisk {
    slot: Arc<Slot>,
    sector_size: SectorSize,
}

impl StateDisk {
    fn do_now(&self, op: Op, payload: &Payload) -> io::Result<()> {
        let bytes_of = |extent: Extent| {
            (self.sector_size.bytes_of(extent.sector()), self.sector_size.bytes_of(extent.nr_sectors()))
        };
        self.slot.with(|disk: &mut CrashDisk| match op {
            Op::Write { extent, flags } => {
                disk.write_at(bytes_of(extent).0, payload.bytes(), flags.contains(WriteFlags::FUA))
            }
            Op::WriteZeroes { extent, flags } => {
                let (offset_bytes, len_bytes) = bytes_of(extent);
                disk.zero(offset_bytes, len_bytes, flags.contains(WriteFlags::FUA))
            }
            Op::Discard { extent } => {
                let (offset_bytes, len_bytes) = bytes_of(extent);
                disk.zero(offset_bytes, len_bytes, false)
            }
            Op::Flush => disk.flush(),
            Op::Mark { .. } => Ok(()),
        })
    }
}

impl AsRef<dyn BlockDevice> for StateDisk {
    fn as_ref(&self) -> &(dyn BlockDevice + 'static) {
        self
    }
}

impl BlockDevice for StateDisk {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        self.slot.with(|disk| disk.read_at(self.sector_size.bytes_of(extent.sector()), buffer))
    }

    /// What is read counts, and nothing else.
    fn will_read(&self, _extent: Extent) {}

    fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    fn allocation(&self, extent: Extent, _max: usize) -> io::Result<Vec<(u64, bool)>> {
        Ok(vec![(extent.nr_sectors(), false)])
    }
}

/// Every operation is done when it is submitted.
impl Work for StateDisk {
    fn submit(&self, op: Op, payload: Payload, waiter: Arc<dyn Waiter>, cookie: u64) -> Result<(), Refusal> {
        waiter.done(cookie, self.do_now(op, &payload).map_err(|_| OpError::Data));
        Ok(())
    }

    fn run(&self) {}
}

/// How many connections a check may have at a time.
const MAX_CONNECTIONS: usize = 64;
