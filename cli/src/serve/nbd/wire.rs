//! The protocol's numbers and fixed structures. All integers on the wire are big-endian.

use bitflags::bitflags;
use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a server says first.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Greeting {
    /// [`GREETING_MAGIC`].
    pub magic: U64,
    /// [`OPTION_MAGIC`]: newstyle.
    pub option_magic: U64,
    /// [`HandshakeFlags`].
    pub flags: U16,
}

/// The start of an option that a client sends.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionHeader {
    /// [`OPTION_MAGIC`].
    pub magic: U64,
    /// Which option.
    pub option: U32,
    /// How much data follows, in bytes.
    pub len_bytes: U32,
}

/// The start of a reply to an option.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionReplyHeader {
    /// [`OPTION_REPLY_MAGIC`].
    pub magic: U64,
    /// The option that is replied to.
    pub option: U32,
    /// The kind of reply.
    pub kind: U32,
    /// How much data follows, in bytes.
    pub len_bytes: U32,
}

/// A request, without the payload of a write.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RequestHeader {
    /// [`REQUEST_MAGIC`].
    pub magic: U32,
    /// [`CommandFlags`].
    pub flags: U16,
    /// Which command.
    pub command: U16,
    /// The client's handle.
    pub cookie: U64,
    /// Where, in bytes.
    pub offset_bytes: U64,
    /// How much, in bytes.
    pub len_bytes: U32,
}

/// How long a [`RequestHeader`] is, in bytes.
pub const REQUEST_LEN: usize = size_of::<RequestHeader>();

/// A simple reply; the data of a read follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SimpleReply {
    /// [`SIMPLE_REPLY_MAGIC`].
    pub magic: U32,
    /// An [`ErrorCode`], or 0.
    pub error: U32,
    /// The client's handle.
    pub cookie: U64,
}

/// The start of a chunk of a structured reply.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ChunkHeader {
    /// [`STRUCTURED_REPLY_MAGIC`].
    pub magic: U32,
    /// [`CHUNK_DONE`] in the last chunk.
    pub flags: U16,
    /// What the chunk holds.
    pub kind: U16,
    /// The client's handle.
    pub cookie: U64,
    /// How much data follows, in bytes.
    pub len_bytes: U32,
}

/// `NBDMAGIC`.
pub const GREETING_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// `IHAVEOPT`.
pub const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Of a reply to an option.
pub const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Of a request.
pub const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Of a simple reply.
pub const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// Of a chunk of a structured reply.
pub const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

bitflags! {
    /// What each side can do in the handshake.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HandshakeFlags: u16 {
        /// Options are answered.
        const FIXED_NEWSTYLE = 1;
        /// The zeros after the old way to choose an export are omitted.
        const NO_ZEROES = 2;
    }

    /// What an export can do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TransmissionFlags: u16 {
        /// Always.
        const HAS_FLAGS = 1;
        /// No command may change it.
        const READ_ONLY = 1 << 1;
        /// FLUSH.
        const SEND_FLUSH = 1 << 2;
        /// FUA.
        const SEND_FUA = 1 << 3;
        /// TRIM.
        const SEND_TRIM = 1 << 5;
        /// WRITE_ZEROES.
        const SEND_WRITE_ZEROES = 1 << 6;
        /// A read is never split.
        const SEND_DF = 1 << 7;
        /// A flush covers what any connection has completed.
        const CAN_MULTI_CONN = 1 << 8;
        /// CACHE.
        const SEND_CACHE = 1 << 10;
        /// FAST_ZERO.
        const SEND_FAST_ZERO = 1 << 11;
    }

    /// How a command is to be done.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CommandFlags: u16 {
        /// Durable when answered.
        const FUA = 1;
        /// Zeros must keep their storage.
        const NO_HOLE = 1 << 1;
        /// The data must come in one chunk.
        const DF = 1 << 2;
        /// One extent is enough.
        const REQ_ONE = 1 << 3;
        /// Zeros must be faster than writing them, or not be made.
        const FAST_ZERO = 1 << 4;
    }

    /// What base:allocation says of an extent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Allocation: u32 {
        /// It has no storage.
        const HOLE = 1;
        /// It reads as zeros.
        const ZERO = 2;
    }
}

/// Options of the handshake.
pub mod option {
    /// Choose an export, the old way.
    pub const EXPORT_NAME: u32 = 1;
    /// Give up.
    pub const ABORT: u32 = 2;
    /// List the exports.
    pub const LIST: u32 = 3;
    /// Describe an export.
    pub const INFO: u32 = 6;
    /// Choose an export.
    pub const GO: u32 = 7;
    /// Use structured replies.
    pub const STRUCTURED_REPLY: u32 = 8;
    /// List metadata contexts.
    pub const LIST_META_CONTEXT: u32 = 9;
    /// Choose metadata contexts.
    pub const SET_META_CONTEXT: u32 = 10;
}

/// Kinds of replies to options.
pub mod option_reply {
    /// Done.
    pub const ACK: u32 = 1;
    /// An export.
    pub const SERVER: u32 = 2;
    /// Something about an export.
    pub const INFO: u32 = 3;
    /// A metadata context.
    pub const META_CONTEXT: u32 = 4;
    /// The option is not known.
    pub const ERR_UNSUP: u32 = ERROR + 1;
    /// The option makes no sense.
    pub const ERR_INVALID: u32 = ERROR + 3;
    /// There is no such export.
    pub const ERR_UNKNOWN: u32 = ERROR + 6;
    /// The client must ask for the block size.
    pub const ERR_BLOCK_SIZE_REQD: u32 = ERROR + 8;
    const ERROR: u32 = 1 << 31;
}

/// What a reply of the kind INFO holds.
pub mod info {
    /// Size and flags.
    pub const EXPORT: u16 = 0;
    /// The name.
    pub const NAME: u16 = 1;
    /// A text for people.
    pub const DESCRIPTION: u16 = 2;
    /// Block sizes.
    pub const BLOCK_SIZE: u16 = 3;
}

/// Commands.
pub mod command {
    /// Read.
    pub const READ: u16 = 0;
    /// Write.
    pub const WRITE: u16 = 1;
    /// Go.
    pub const DISC: u16 = 2;
    /// Make durable.
    pub const FLUSH: u16 = 3;
    /// Discard.
    pub const TRIM: u16 = 4;
    /// Read ahead.
    pub const CACHE: u16 = 5;
    /// Make zeros.
    pub const WRITE_ZEROES: u16 = 6;
    /// Tell the metadata of extents.
    pub const BLOCK_STATUS: u16 = 7;
}

/// What a chunk of a structured reply holds.
pub mod chunk {
    /// Nothing.
    pub const NONE: u16 = 0;
    /// Data at an offset.
    pub const OFFSET_DATA: u16 = 1;
    /// The metadata of extents.
    pub const BLOCK_STATUS: u16 = 5;
    /// An error.
    pub const ERROR: u16 = (1 << 15) + 1;
}

/// In the flags of the last chunk of a structured reply.
pub const CHUNK_DONE: u16 = 1;

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// EPERM: the export is read-only.
    NotPermitted,
    /// EIO: a device failed.
    Io,
    /// ENOMEM.
    NoMemory,
    /// EINVAL: the request makes no sense.
    Invalid,
    /// ENOSPC: beyond the end of the disk, or the log is full.
    NoSpace,
    /// EOVERFLOW: too much for one chunk.
    Overflow,
    /// ENOTSUP: it cannot be done as fast as was asked for.
    NotSupported,
    /// ESHUTDOWN: the server is about to end.
    Shutdown,
}

impl ErrorCode {
    /// Its number on the wire, which is Linux' errno.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::NotPermitted => 1,
            Self::Io => 5,
            Self::NoMemory => 12,
            Self::Invalid => 22,
            Self::NoSpace => 28,
            Self::Overflow => 75,
            Self::NotSupported => 95,
            Self::Shutdown => 108,
        }
    }
}
