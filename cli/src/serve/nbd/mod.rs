//! A live disk for clients of the network block device protocol.
//!
//! | part | what it does |
//! |---|---|
//! | [`wire`] | the protocol's numbers and fixed structures |
//! | [`Handshake`] | the fixed newstyle negotiation, as a state machine |
//! | [`Request`], [`Rules`] | what a client asks for, and what it may ask for |
//! | [`reply`] | what is answered |
//! | [`server`], [`connection`], [`outbox`], [`stream`] | clients, their requests, their replies, their sockets |
//!
//! The first four do no I/O: bytes in, bytes and requests out. They allocate no more than [`MAX_OPTION_BYTES`] for what a
//! client says, and no input makes them panic.

pub mod connection;
mod handshake;
pub mod outbox;
pub mod reply;
mod request;
pub mod server;
pub mod stream;
pub mod wire;

pub use handshake::{
    ALLOCATION_ID, ExportInfo, Exports, Handshake, MAX_OPTION_BYTES, MAX_SECTOR_BYTES, NoExport, Session,
    Step, Violation,
};
pub use request::{Action, Refused, Request, Rules};
pub use wire::ErrorCode;

/// The longest read or write that is taken, in bytes: the size that every client may use unasked.
pub const MAX_REQUEST_BYTES: u32 = 32 << 20;

/// What people call a command.
const fn command_name(command: u16) -> &'static str {
    match command {
        wire::command::READ => "read",
        wire::command::WRITE => "write",
        wire::command::DISC => "disconnect",
        wire::command::FLUSH => "flush",
        wire::command::TRIM => "trim",
        wire::command::CACHE => "cache",
        wire::command::WRITE_ZEROES => "write zeroes",
        wire::command::BLOCK_STATUS => "block status",
        _ => "unknown command",
    }
}
