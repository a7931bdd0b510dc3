//! The replies of one connection, on their way to its client.
//!
//! They come from whichever thread has done an operation, and none of those may wait for this client. The connection's
//! own thread sends what has come while it was at work; what comes at other times a second thread sends.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::net::Shutdown;
use std::sync::Arc;

use logwrites_core::OpError;
use parking_lot::{Condvar, Mutex};

use super::reply;
use super::stream::Stream;
use super::wire::ErrorCode;
use crate::serve::engine::{Buffer, Waiter};

/// Replies that wait to be sent.
pub(super) struct Outbox {
    stream: Arc<Stream>,
    state: Mutex<State>,
    /// Something is to be sent by the second thread, or there will be nothing more.
    wake: Condvar,
    /// The last operation is done, or the other thread has ceased to send.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Message>,
    queued_bytes: usize,
    /// Operations that were submitted and are not done.
    nr_pending: usize,
    /// The connection's own thread is at work, and will send.
    is_attended: bool,
    is_sending: bool,
    /// The client is gone, or the connection is at its end.
    is_closed: bool,
}

/// A piece of one or several replies.
enum Message {
    /// Whole replies, or the head of one.
    Bytes(Vec<u8>),
    /// The first part of a buffer: the data of a read.
    Data(Buffer, usize),
}

impl Outbox {
    /// An empty outbox.
    pub(super) fn new(stream: Arc<Stream>) -> Arc<Self> {
        Arc::new(Self { stream, state: Mutex::default(), wake: Condvar::new(), quiet: Condvar::new() })
    }

    /// From now on the connection's own thread is at work.
    pub(super) fn attend(&self) {
        self.state.lock().is_attended = true;
    }

    /// Sends everything, or leaves what is not much to the second thread, if that is sending; from then on that does it
    /// all. False if the client is gone.
    pub(super) fn send_and_leave(&self) -> bool {
        self.send_until(true)
    }

    /// Sends everything that is there now. False if the client is gone.
    pub(super) fn send(&self) -> bool {
        self.send_until(false)
    }

    /// One more operation was submitted, whose reply will come.
    pub(super) fn expect(&self) {
        self.state.lock().nr_pending += 1;
    }

    /// An operation that was expected was not taken: its reply is among those that the connection pushes.
    pub(super) fn forget(&self) {
        self.state.lock().nr_pending -= 1;
    }

    /// Appends replies that the connection's own thread has made.
    pub(super) fn push(&self, bytes: &mut Vec<u8>) {
        if !bytes.is_empty() {
            self.state.lock().append(bytes);
            bytes.clear();
        }
    }

    /// Appends the head of a read's reply and its data.
    pub(super) fn push_data(&self, head: &mut Vec<u8>, data: Buffer, len: usize) {
        let mut state = self.state.lock();
        state.append(head);
        head.clear();
        if !state.is_closed {
            state.queued_bytes += len;
            state.queue.push_back(Message::Data(data, len));
        }
    }

    /// Waits until every operation is done, sends the last replies, and ends the connection.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_attended = true;
        while state.nr_pending > 0 {
            self.quiet.wait(&mut state);
        }
        drop(state);
        self.send();
        self.state.lock().is_closed = true;
        self.wake.notify_all();
        self.stream.shutdown(Shutdown::Both);
    }

    /// The life of the second thread.
    pub(super) fn send_until_closed(&self) {
        loop {
            let mut state = self.state.lock();
            while !state.is_closed && (state.is_attended || state.is_sending || state.queue.is_empty()) {
                self.wake.wait(&mut state);
            }
            if state.is_closed {
                return;
            }
            drop(state);
            self.send();
        }
    }

    fn send_until(&self, is_leaving: bool) -> bool {
        let mut state = self.state.lock();
        loop {
            // The thread that is sending continues until nothing is left.
            if state.queue.is_empty() || state.is_sending || state.is_closed {
                let is_too_much = state.queued_bytes > QUEUED_BYTES;
                if state.is_sending && (!is_leaving || is_too_much) && !state.is_closed {
                    self.quiet.wait(&mut state);
                    continue;
                }
                if is_leaving {
                    state.is_attended = false;
                }
                return !state.is_closed;
            }
            state.is_sending = true;
            let queue = std::mem::take(&mut state.queue);
            state.queued_bytes = 0;
            drop(state);
            let mut slices: Vec<IoSlice<'_>> =
                queue.iter().map(|message| IoSlice::new(message.bytes())).collect();
            let result = self.stream.send_all(&mut slices);
            drop(queue);
            state = self.state.lock();
            state.is_sending = false;
            if let Err(error) = result {
                tracing::debug!(%error, "a client no longer reads replies");
                state.is_closed = true;
                state.queue.clear();
                state.queued_bytes = 0;
                self.stream.shutdown(Shutdown::Both);
            }
            self.quiet.notify_all();
        }
    }
}

impl State {
    fn append(&mut self, more: &[u8]) {
        if self.is_closed {
            return;
        }
        self.queued_bytes += more.len();
        match self.queue.back_mut() {
            Some(Message::Bytes(bytes)) if bytes.len() < JOINED_BYTES => bytes.extend_from_slice(more),
            _ => self.queue.push_back(Message::Bytes(more.to_vec())),
        }
    }
}

impl Message {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Data(buffer, len) => &buffer.bytes()[..*len],
        }
    }
}

impl Waiter for Outbox {
    fn done(&self, cookie: u64, result: Result<(), OpError>) {
        let mut bytes = Vec::with_capacity(16);
        reply::push_simple(&mut bytes, cookie, result.map_err(|_| ErrorCode::Io));
        let mut state = self.state.lock();
        state.append(&bytes);
        state.nr_pending -= 1;
        let is_for_second = !state.is_attended && !state.is_sending;
        let is_last = state.nr_pending == 0 && state.is_attended;
        drop(state);
        if is_for_second {
            self.wake.notify_one();
        }
        if is_last {
            self.quiet.notify_all();
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("nr_pending", &self.state.lock().nr_pending).finish_non_exhaustive()
    }
}

/// How much may wait to be sent before a connection takes no more requests, in bytes.
pub(super) const QUEUED_BYTES: usize = 256 << 10;

/// Short replies are joined up to about this many bytes.
const JOINED_BYTES: usize = 32 << 10;
