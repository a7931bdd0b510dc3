//! The server: takes connections, each with threads of its own, and ends them all in good order.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::{self, End, Pools, STACK_BYTES};
use super::stream::Stream;
use crate::serve::clients::Clients;
use crate::serve::engine::BlockDevice;
use crate::serve::exports::{ExportTable, Exports, Front};
use crate::serve::listen::{self, Listener};

/// A server of NBD exports.
#[derive(Debug)]
pub struct Server<E> {
    exports: E,
    pools: Pools,
    connections: Mutex<Connections>,
    clients: Clients,
    max_connections: usize,
    is_stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Connections {
    open: HashMap<u64, Arc<Stream>>,
    nr_accepted: u64,
}

impl<E> Server<E>
where
    E: Exports<Export: AsRef<dyn BlockDevice>> + Send + Sync + 'static,
{
    /// A server that takes so many connections at once.
    #[must_use]
    pub fn new(exports: E, max_connections: usize) -> Arc<Self> {
        Arc::new(Self {
            exports,
            pools: Pools::default(),
            connections: Mutex::default(),
            clients: Clients::default(),
            max_connections,
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Takes connections of this listener from now on, in a thread of its own.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn listen(self: &Arc<Self>, listener: Listener) -> io::Result<()> {
        let server = Arc::clone(self);
        std::thread::Builder::new().name("accept".to_owned()).spawn(move || server.accept(&listener))?;
        Ok(())
    }

    /// Takes no more requests; those that have arrived are carried out and answered. Returns when every connection has
    /// ended, or was ended because its client takes no replies.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.shut_down(Shutdown::Read);
        if !self.clients.wait_until_gone(Some(Instant::now() + LAST_REPLIES)) {
            self.shut_down(Shutdown::Both);
            let _ = self.clients.wait_until_gone(None);
        }
    }

    fn shut_down(&self, how: Shutdown) {
        self.connections.lock().open.values().for_each(|stream| stream.shutdown(how));
    }

    fn accept(self: &Arc<Self>, listener: &Listener) {
        while !self.is_stopping.load(Ordering::Relaxed) {
            let taken = Stream::accept(listener).and_then(|stream| self.take(stream));
            if let Err(error) = taken {
                tracing::warn!(%error, "a connection could not be accepted");
                listen::pause_after_failure();
            }
        }
    }

    fn take(self: &Arc<Self>, stream: Stream) -> io::Result<()> {
        let stream = Arc::new(stream);
        let mut connections = self.connections.lock();
        if self.is_stopping.load(Ordering::Relaxed) {
            return Ok(());
        }
        if connections.open.len() >= self.max_connections {
            tracing::warn!(max = self.max_connections, "a connection was refused: too many clients");
            return Ok(());
        }
        connections.nr_accepted += 1;
        let number = connections.nr_accepted;
        connections.open.insert(number, Arc::clone(&stream));
        self.clients.come();
        drop(connections);
        // Also when the thread panics, or cannot be started.
        let leaving = Leaving { server: Arc::clone(self), number };
        let builder = std::thread::Builder::new().name(format!("client {number}")).stack_size(STACK_BYTES);
        let spawned = builder.spawn(move || {
            let server = &leaving.server;
            tracing::info!(number, "a client connected");
            match connection::serve(&stream, &server.exports, &server.pools) {
                End::Left => tracing::info!(number, "a client disconnected"),
                end => tracing::warn!(number, error = %end, "a client was lost"),
            }
        });
        spawned.map(|_| ())
    }
}

impl Front for Server<ExportTable> {
    fn exports(&self) -> &ExportTable {
        &self.exports
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }
}

/// A client, which leaves when this goes.
struct Leaving<E> {
    server: Arc<Server<E>>,
    number: u64,
}

impl<E> Drop for Leaving<E> {
    fn drop(&mut self) {
        let stream = self.server.connections.lock().open.remove(&self.number);
        if let Some(stream) = stream {
            stream.shutdown(Shutdown::Both);
        }
        self.server.clients.leave();
    }
}

/// How long clients have for their last replies.
const LAST_REPLIES: Duration = Duration::from_secs(5);
