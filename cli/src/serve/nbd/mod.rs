//! A live disk for clients of the network block device protocol.
//!
//! | part | what it does |
//! |---|---|
//! | [`wire`] | the protocol's numbers and fixed structures |
//! | [`Handshake`] | the fixed newstyle negotiation, as a state machine |
//! | [`Request`], [`Rules`] | what a client asks for, and what it may ask for |
//! | [`reply`] | what is answered |
//! | [`Violation`] | what ends a connection |
//! | [`Server`], `connection`, `outbox`, `stream` | clients, their requests, their replies, their sockets |
//! | [`Uri`] | where the disk is, as clients take it |
//!
//! All but the last two rows do no I/O: bytes in, bytes and requests out. They allocate no more than [`MAX_OPTION_BYTES`] for what a
//! client says, and no input makes them panic.

mod connection;
mod handshake;
mod outbox;
pub mod reply;
mod request;
mod server;
mod stream;
mod uri;
mod violation;
pub mod wire;

pub use handshake::{Handshake, MAX_SECTOR_BYTES, Session, Step};
pub use request::{Action, Refused, Request, Rules};
pub use server::Server;
pub use uri::Uri;
pub use violation::{MAX_OPTION_BYTES, MAX_REQUEST_BYTES, Violation};
