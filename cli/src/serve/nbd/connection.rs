//! One NBD connection: the handshake, then requests until the client leaves.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logwrites_core::num::narrow;
use logwrites_core::{Extent, Op};

use super::handshake::{ALLOCATION_ID, Handshake, Session, Step};
use super::outbox::{Outbox, QUEUED_BYTES};
use super::reply;
use super::request::{Action, Request, Rules};
use super::stream::{Stream, is_timeout};
use super::violation::Violation;
use super::wire::{Allocation, ErrorCode, REQUEST_LEN};
use crate::serve::engine::{Batch, BlockDevice, Buffer, CallError, Payload, Pool, Refusal, Waiter};
use crate::serve::exports::Exports;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client has said so, or closed it between two requests.
    #[error("the client left")]
    Left,
    /// It does not speak the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It has not chosen an export in time.
    #[error("the client did not finish the handshake within {} seconds", HANDSHAKE.as_secs())]
    Undecided,
    /// It is gone, or too slow.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The buffers of all connections.
#[derive(Debug)]
pub(super) struct Pools {
    /// What is received: one for each connection, and one for each operation in flight at most.
    chunks: Arc<Pool>,
    /// Long payloads, of which there are so many bytes at most.
    large: Arc<Pool>,
}

impl Default for Pools {
    fn default() -> Self {
        Self { chunks: Pool::new(usize::MAX), large: Pool::new(LARGE_BYTES) }
    }
}

/// Serves a connection to its end.
pub(super) fn serve<E>(stream: &Arc<Stream>, exports: &E, pools: &Pools) -> End
where
    E: Exports<Export: AsRef<dyn BlockDevice>>,
{
    match shake_hands(stream, exports, HANDSHAKE) {
        Ok(Some(Session { export, rules })) => transmit(stream, export.as_ref(), rules, pools),
        Ok(None) => End::Left,
        // Who only wanted to know what there is may go at any time.
        Err(End::Io(error)) if is_gone(&error) => End::Left,
        Err(End::Io(error)) if is_timeout(&error) => End::Undecided,
        Err(end) => end,
    }
}

/// Negotiates, for which the client has so long, however it spreads its bytes.
fn shake_hands<E: Exports>(
    stream: &Stream,
    exports: &E,
    limit: Duration,
) -> Result<Option<Session<E::Export>>, End> {
    stream.set_no_delay()?;
    let mut deadline = Instant::now() + limit;
    let mut out = Vec::new();
    let mut handshake = Handshake::new(&mut out);
    let mut bytes = Vec::new();
    loop {
        stream.send_all_by(&out, deadline)?;
        out.clear();
        bytes.resize(handshake.wanted_bytes(), 0);
        stream.receive_all_by(&mut bytes, deadline)?;
        let received = Instant::now();
        let step = handshake.receive(&bytes, exports, &mut out)?;
        // To open an export takes time that is not the client's.
        deadline += received.elapsed();
        if !matches!(step, Step::Continue) {
            stream.send_all_by(&out, deadline)?;
        }
        match step {
            Step::Continue => {}
            Step::Transmit(session) => return Ok(Some(session)),
            Step::Close => return Ok(None),
        }
    }
}

fn transmit(stream: &Arc<Stream>, disk: &dyn BlockDevice, rules: Rules, pools: &Pools) -> End {
    if let Err(error) = stream.set_timeouts(STALL) {
        return error.into();
    }
    let outbox = Outbox::new(Arc::clone(stream));
    let second = Arc::clone(&outbox);
    let builder = std::thread::Builder::new().name("replies".to_owned()).stack_size(REPLIES_STACK_BYTES);
    let second = match builder.spawn(move || second.send_until_closed()) {
        Ok(second) => second,
        Err(error) => return error.into(),
    };
    let mut transmission =
        Transmission { stream, disk, rules, outbox, pools, replies: Vec::new(), is_large: false };
    let end = transmission.run();
    transmission.outbox.push(&mut transmission.replies);
    transmission.outbox.close();
    // It ends by itself; if it has panicked that was told.
    let _ = second.join();
    end
}

struct Transmission<'a> {
    stream: &'a Arc<Stream>,
    disk: &'a dyn BlockDevice,
    rules: Rules,
    outbox: Arc<Outbox>,
    pools: &'a Pools,
    /// What this thread itself has answered and not yet handed over.
    replies: Vec<u8>,
    /// The last write had a buffer of its own, so that the next may too: its request is received without its payload.
    is_large: bool,
}

impl Transmission<'_> {
    fn run(&mut self) -> End {
        let disk = self.disk;
        let mut chunk = self.pools.chunks.take(CHUNK_BYTES);
        let mut filled = 0;
        loop {
            match self.fill_in_time(&mut chunk, filled) {
                Ok(0) if filled > 0 => return End::Io(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => return End::Left,
                Ok(len) => filled += len,
                Err(error) => return End::Io(error),
            }
            self.outbox.attend();
            let shared = Arc::new(chunk);
            let mut batch = disk.batch();
            let used = match self.take_requests(&mut batch, &shared, filled) {
                Ok(used) => used,
                Err(end) => return end,
            };
            drop(batch);
            self.outbox.push(&mut self.replies);
            if !self.outbox.send_and_leave() {
                return End::Left;
            }
            (chunk, filled) = self.keep_rest(shared, used, filled);
        }
    }

    /// Receives something, for which a client has time without end between two requests.
    fn fill_in_time(&self, chunk: &mut Buffer, filled: usize) -> io::Result<usize> {
        match self.fill(chunk, filled) {
            Err(error) if is_timeout(&error) && filled == 0 => {}
            result => return result,
        }
        // Only now, so that busy clients pay nothing for it.
        self.stream.set_read_timeout(None)?;
        let len = self.fill(chunk, filled)?;
        self.stream.set_read_timeout(Some(STALL))?;
        Ok(len)
    }

    /// Receives what there is, or a request's head alone.
    fn fill(&self, chunk: &mut Buffer, filled: usize) -> io::Result<usize> {
        let end = if self.is_large && filled < REQUEST_LEN { REQUEST_LEN } else { CHUNK_BYTES };
        self.stream.receive(&mut chunk.bytes_mut()[filled..end])
    }

    /// A chunk that begins with what was not used; the same one if no payload is in it any more.
    fn keep_rest(&self, shared: Arc<Buffer>, used: usize, filled: usize) -> (Buffer, usize) {
        let rest_len = filled.saturating_sub(used);
        match Arc::try_unwrap(shared) {
            Ok(mut chunk) => {
                if rest_len > 0 {
                    chunk.bytes_mut().copy_within(used..filled, 0);
                }
                (chunk, rest_len)
            }
            Err(shared) => {
                let mut chunk = self.pools.chunks.take(CHUNK_BYTES);
                if let (Some(to), Some(from)) =
                    (chunk.bytes_mut().get_mut(..rest_len), shared.bytes().get(used..filled))
                {
                    to.copy_from_slice(from);
                }
                (chunk, rest_len)
            }
        }
    }

    /// Takes all whole requests; gives how many bytes these were.
    fn take_requests(
        &mut self,
        batch: &mut Batch<'_>,
        chunk: &Arc<Buffer>,
        filled: usize,
    ) -> Result<usize, End> {
        let received = &chunk.bytes()[..filled];
        let mut used = 0;
        while let Some(head) = received.get(used..).and_then(<[u8]>::first_chunk::<REQUEST_LEN>) {
            let request = Request::parse(head)?;
            let payload_len = narrow(request.payload_bytes().into());
            let start = used + REQUEST_LEN;
            let payload = if payload_len == 0 {
                used = start;
                Payload::NONE
            } else if payload_len > INLINE_BYTES {
                let here = &received[start..];
                let here = here.get(..payload_len).unwrap_or(here);
                used = start + here.len();
                self.is_large = true;
                self.receive_large(batch, here, payload_len)?
            } else if start + payload_len <= filled {
                used = start + payload_len;
                self.is_large = false;
                Payload::part(Arc::clone(chunk), start..start + payload_len)
            } else {
                self.is_large = false;
                break;
            };
            self.handle(batch, &request, payload)?;
        }
        Ok(used)
    }

    /// Receives a long payload into a buffer of its own, of which a part is here already.
    fn receive_large(&mut self, batch: &mut Batch<'_>, here: &[u8], len: usize) -> Result<Payload, End> {
        let mut buffer = self.take_buffer(batch, len)?;
        let (start, rest) = buffer.bytes_mut().split_at_mut(here.len());
        start.copy_from_slice(here);
        let rest = &mut rest[..len - here.len()];
        if !rest.is_empty() {
            self.stream.receive_all(rest, Instant::now() + STALL)?;
        }
        Ok(Payload::part(Arc::new(buffer), 0..len))
    }

    /// A buffer; while it must be waited for, nothing of this connection's is left lying.
    fn take_buffer(&mut self, batch: &mut Batch<'_>, len: usize) -> Result<Buffer, End> {
        if let Some(buffer) = self.pools.large.try_take(len) {
            return Ok(buffer);
        }
        self.settle(batch)?;
        Ok(self.pools.large.take(len))
    }

    /// Does what was submitted and sends what was answered.
    fn settle(&mut self, batch: &mut Batch<'_>) -> Result<(), End> {
        batch.run();
        self.outbox.push(&mut self.replies);
        if self.outbox.send() { Ok(()) } else { Err(End::Left) }
    }

    fn handle(&mut self, batch: &mut Batch<'_>, request: &Request, payload: Payload) -> Result<(), End> {
        let cookie = request.cookie;
        match self.rules.judge(request) {
            Ok(Action::Submit(op)) => self.submit(batch, op, payload, cookie),
            Ok(Action::Read(extent)) => return self.read(batch, extent, cookie),
            Ok(Action::DiscardThenFlush(extent)) => {
                let discarded = self.disk.call(Op::Discard { extent }, Payload::NONE);
                let flushed = discarded.and_then(|()| self.disk.call(Op::Flush, Payload::NONE));
                let result = flushed.map_err(|error| match error {
                    CallError::Refused(refusal) => code_of(refusal),
                    CallError::Failed(_) => ErrorCode::Io,
                });
                reply::push_simple(&mut self.replies, cookie, result);
            }
            Ok(Action::Cache(extent)) => {
                self.disk.will_read(extent);
                reply::push_simple(&mut self.replies, cookie, Ok(()));
            }
            Ok(Action::BlockStatus { extent, is_one_enough }) => {
                self.block_status(extent, if is_one_enough { 1 } else { MAX_RUNS }, cookie);
            }
            Ok(Action::Disconnect) => return Err(End::Left),
            Err(refused) => {
                tracing::debug!(%request, error = ?refused.error, "refused");
                reply::push_error(&mut self.replies, refused.is_chunk, cookie, refused.error);
            }
        }
        Ok(())
    }

    fn submit(&mut self, batch: &mut Batch<'_>, op: Op, payload: Payload, cookie: u64) {
        self.outbox.expect();
        let waiter: Arc<dyn Waiter> = Arc::<Outbox>::clone(&self.outbox);
        if let Err(refusal) = batch.submit(op, payload, waiter, cookie) {
            self.outbox.forget();
            reply::push_simple(&mut self.replies, cookie, Err(code_of(refusal)));
        }
    }

    fn read(&mut self, batch: &mut Batch<'_>, extent: Extent, cookie: u64) -> Result<(), End> {
        let sector_size = self.disk.sector_size();
        let offset_bytes = sector_size.bytes_of(extent.sector());
        let len_bytes =
            u32::try_from(sector_size.bytes_of(extent.nr_sectors())).expect("as the request had it");
        let len = narrow(len_bytes.into());
        let is_structured = self.rules.is_structured;
        if len <= INLINE_BYTES {
            let start = self.replies.len();
            reply::push_read(&mut self.replies, is_structured, cookie, offset_bytes, len_bytes);
            let data_start = self.replies.len();
            self.replies.resize(data_start + len, 0);
            let result = self.disk.read(extent, &mut self.replies[data_start..]);
            if let Err(error) = result {
                self.replies.truncate(start);
                self.refuse_read(cookie, &error);
            }
            return if self.replies.len() > QUEUED_BYTES { self.settle(batch) } else { Ok(()) };
        }
        let mut buffer = self.take_buffer(batch, len)?;
        match self.disk.read(extent, &mut buffer.bytes_mut()[..len]) {
            Ok(()) => {
                reply::push_read(&mut self.replies, is_structured, cookie, offset_bytes, len_bytes);
                self.outbox.push_data(&mut self.replies, buffer, len);
                // Sent at once, so that a client that does not read holds no more than this.
                if len >= QUEUED_BYTES { self.settle(batch) } else { Ok(()) }
            }
            Err(error) => {
                self.refuse_read(cookie, &error);
                Ok(())
            }
        }
    }

    fn refuse_read(&mut self, cookie: u64, error: &io::Error) {
        tracing::error!(%error, "a read failed");
        reply::push_error(&mut self.replies, self.rules.is_structured, cookie, ErrorCode::Io);
    }

    fn block_status(&mut self, extent: Extent, max: usize, cookie: u64) {
        match self.disk.allocation(extent, max) {
            Ok(runs) => {
                let sector_bytes = self.disk.sector_size().bytes();
                let extents: Vec<(u32, Allocation)> = runs
                    .iter()
                    .map(|(nr_sectors, is_zero)| {
                        let allocation =
                            if *is_zero { Allocation::HOLE | Allocation::ZERO } else { Allocation::empty() };
                        // The request's length has 32 bits, and so has each part of it.
                        (
                            u32::try_from(nr_sectors.saturating_mul(sector_bytes)).unwrap_or(u32::MAX),
                            allocation,
                        )
                    })
                    .collect();
                reply::push_block_status(&mut self.replies, cookie, ALLOCATION_ID, &extents);
            }
            Err(error) => self.refuse_read(cookie, &error),
        }
    }
}

/// Whether the client has closed the connection.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn code_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::NoSpace => ErrorCode::NoSpace,
        Refusal::LogFailed => ErrorCode::Io,
        Refusal::Closed => ErrorCode::Shutdown,
        Refusal::Invalid(_) => ErrorCode::Invalid,
    }
}

/// How much is received at a time, in bytes: many small writes at once.
const CHUNK_BYTES: usize = 128 << 10;

/// How much memory the long payloads of all connections may take, in bytes.
const LARGE_BYTES: usize = 256 << 20;

/// A payload that is longer gets a buffer of its own.
const INLINE_BYTES: usize = 32 << 10;

/// How many runs are told at once.
const MAX_RUNS: usize = 4096;

/// How long a client may stop in the middle of a request, or take no replies.
const STALL: Duration = Duration::from_secs(30);

/// How long a client may take to choose an export, as with QEMU: until then it takes the place of one that is served.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How much stack a connection has, in bytes: it recurses nowhere, but without optimisation a disk that is being opened is
/// moved about on it many times.
pub(super) const STACK_BYTES: usize = 2 << 20;

/// How much stack the thread has that sends replies, in bytes.
const REPLIES_STACK_BYTES: usize = 256 << 10;

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::serve::exports::{ExportInfo, NoExport};

    /// So many names that their list is more than a socket holds.
    struct Names(usize);

    impl Exports for Names {
        type Export = ();

        fn names(&self) -> Vec<String> {
            vec!["x".repeat(4000); self.0]
        }

        fn describe(&self, _name: &str) -> Result<ExportInfo, NoExport> {
            Err(NoExport("there is none".to_owned()))
        }

        fn open(&self, _name: &str) -> Result<((), ExportInfo), NoExport> {
            Err(NoExport("there is none".to_owned()))
        }
    }

    #[track_caller]
    fn assert_given_up(exports: &Names, client: impl FnOnce(UnixStream) + Send + 'static) {
        let (ours, theirs) = UnixStream::pair().expect("two ends");
        let client = std::thread::spawn(move || client(theirs));
        let start = Instant::now();
        let end = shake_hands(&Stream::Unix(ours), exports, LIMIT).expect_err("it is given up");
        let elapsed = start.elapsed();
        assert!(matches!(&end, End::Io(error) if is_timeout(error)), "{end:?}");
        assert!(elapsed >= LIMIT && elapsed < LIMIT * 5, "{elapsed:?}");
        client.join().expect("the client's own checks");
    }

    #[test]
    fn who_never_negotiates_is_given_up() {
        assert_given_up(&Names(0), |mut client| {
            let _ = client.read_to_end(&mut Vec::new());
        });
    }

    #[test]
    fn who_sends_a_byte_from_time_to_time_is_given_up() {
        assert_given_up(&Names(0), |mut client| {
            // An option of which no end comes.
            let start = [&[0, 0, 0, 3][..], b"IHAVEOPT", &[0, 0, 0, 3, 0, 0, 0xff, 0xff]].concat();
            client.write_all(&start).unwrap();
            while client.write_all(&[0]).is_ok() {
                std::thread::sleep(LIMIT * 2 / 3);
            }
        });
    }

    #[test]
    fn who_takes_no_answers_is_given_up() {
        assert_given_up(&Names(1000), |mut client| {
            client.write_all(&[&[0, 0, 0, 3][..], b"IHAVEOPT", &[0, 0, 0, 3, 0, 0, 0, 0]].concat()).unwrap();
            std::thread::sleep(LIMIT * 6);
        });
    }

    const LIMIT: Duration = Duration::from_millis(200);
}
