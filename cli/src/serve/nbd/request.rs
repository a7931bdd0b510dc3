//! What a client asks for, and what it may ask for.

use logwrites_core::{Extent, Op, SectorSize, WriteFlags};
use zerocopy::FromBytes as _;

use super::violation::{MAX_REQUEST_BYTES, Violation};
use super::wire::{self, CommandFlags, ErrorCode, REQUEST_LEN, REQUEST_MAGIC, RequestHeader};

/// A request as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client's handle, which the reply carries.
    pub cookie: u64,
    command: u16,
    flags: CommandFlags,
    offset_bytes: u64,
    len_bytes: u32,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Violation`] if it is not a request, or a write that is longer than [`MAX_REQUEST_BYTES`]: what follows cannot be told
    /// from its payload then.
    pub fn parse(bytes: &[u8; REQUEST_LEN]) -> Result<Self, Violation> {
        let Ok(header) = RequestHeader::read_from_bytes(bytes) else {
            return Err(Violation::RequestMagic { found: 0 });
        };
        if header.magic.get() != REQUEST_MAGIC {
            return Err(Violation::RequestMagic { found: header.magic.get() });
        }
        let request = Self {
            cookie: header.cookie.get(),
            command: header.command.get(),
            flags: CommandFlags::from_bits_retain(header.flags.get()),
            offset_bytes: header.offset_bytes.get(),
            len_bytes: header.len_bytes.get(),
        };
        if request.payload_bytes() > MAX_REQUEST_BYTES {
            return Err(Violation::PayloadTooLong { len_bytes: request.len_bytes });
        }
        Ok(request)
    }

    /// How much payload follows the request, in bytes.
    #[must_use]
    pub const fn payload_bytes(&self) -> u32 {
        if self.command == wire::command::WRITE { self.len_bytes } else { 0 }
    }

    /// Whether an error must be told in a chunk, where replies are structured.
    const fn has_structured_reply(self) -> bool {
        matches!(self.command, wire::command::READ | wire::command::BLOCK_STATUS)
    }
}

/// `COMMAND OFFSET+LEN`, for people.
impl core::fmt::Display for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}+{}", command_name(self.command), self.offset_bytes, self.len_bytes)?;
        if self.flags.is_empty() { Ok(()) } else { write!(f, " flags {:#x}", self.flags.bits()) }
    }
}

/// What a request that may be carried out asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read an extent.
    Read(Extent),
    /// Do this, and answer when it is done.
    Submit(Op),
    /// Discard, then make that durable: a discard itself cannot be a FUA.
    DiscardThenFlush(Extent),
    /// Read ahead.
    Cache(Extent),
    /// Tell what base:allocation says of the extent, or of its first part.
    BlockStatus {
        /// Which.
        extent: Extent,
        /// Whether one run is enough.
        is_one_enough: bool,
    },
    /// End the connection.
    Disconnect,
}

/// A request that is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: ErrorCode,
    /// Whether the answer is to be a chunk.
    pub is_chunk: bool,
}

/// What may be asked of an export over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a feature that the protocol turns on by itself")]
pub struct Rules {
    /// Its size in bytes.
    pub len_bytes: u64,
    /// The unit of all offsets and lengths.
    pub sector_size: SectorSize,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether zeros can be made faster than by writing them.
    pub has_fast_zero: bool,
    /// Whether replies are structured.
    pub is_structured: bool,
    /// Whether base:allocation was chosen.
    pub has_allocation: bool,
}

impl Rules {
    /// What a request asks for.
    ///
    /// # Errors
    /// [`Refused`] if it may not be carried out.
    pub fn judge(&self, request: &Request) -> Result<Action, Refused> {
        let is_chunk = self.is_structured && request.has_structured_reply();
        self.action(request).map_err(|error| Refused { error, is_chunk })
    }

    fn action(&self, request: &Request) -> Result<Action, ErrorCode> {
        let flags = request.flags;
        let allow = |allowed: CommandFlags| {
            // FUA is allowed everywhere.
            let unknown = flags.difference(allowed | CommandFlags::FUA);
            if unknown.is_empty() { Ok(()) } else { Err(ErrorCode::Invalid) }
        };
        let fua = if flags.contains(CommandFlags::FUA) { WriteFlags::FUA } else { WriteFlags::empty() };
        match request.command {
            wire::command::READ => {
                allow(CommandFlags::DF)?;
                if request.len_bytes > MAX_REQUEST_BYTES {
                    let is_whole = flags.contains(CommandFlags::DF);
                    return Err(if is_whole { ErrorCode::Overflow } else { ErrorCode::Invalid });
                }
                self.extent(request, ErrorCode::Invalid).map(Action::Read)
            }
            wire::command::WRITE => {
                allow(CommandFlags::empty())?;
                let extent = self.changed(request)?;
                Ok(Action::Submit(Op::Write { extent, flags: fua }))
            }
            wire::command::WRITE_ZEROES => {
                allow(CommandFlags::NO_HOLE | CommandFlags::FAST_ZERO)?;
                let extent = self.changed(request)?;
                if flags.contains(CommandFlags::FAST_ZERO) && !self.has_fast_zero {
                    return Err(ErrorCode::NotSupported);
                }
                let may_unmap = !flags.contains(CommandFlags::NO_HOLE);
                let unmap = if may_unmap { WriteFlags::UNMAP } else { WriteFlags::empty() };
                Ok(Action::Submit(Op::WriteZeroes { extent, flags: fua | unmap }))
            }
            wire::command::TRIM => {
                allow(CommandFlags::empty())?;
                let extent = self.changed(request)?;
                let is_fua = flags.contains(CommandFlags::FUA);
                Ok(if is_fua {
                    Action::DiscardThenFlush(extent)
                } else {
                    Action::Submit(Op::Discard { extent })
                })
            }
            wire::command::FLUSH => {
                allow(CommandFlags::empty())?;
                Ok(Action::Submit(Op::Flush))
            }
            wire::command::CACHE => {
                allow(CommandFlags::empty())?;
                self.extent(request, ErrorCode::Invalid).map(Action::Cache)
            }
            wire::command::BLOCK_STATUS => {
                allow(CommandFlags::REQ_ONE)?;
                let extent = self.extent(request, ErrorCode::Invalid)?;
                if !self.has_allocation || extent.is_empty() {
                    return Err(ErrorCode::Invalid);
                }
                Ok(Action::BlockStatus { extent, is_one_enough: flags.contains(CommandFlags::REQ_ONE) })
            }
            wire::command::DISC => Ok(Action::Disconnect),
            _ => Err(ErrorCode::Invalid),
        }
    }

    fn changed(&self, request: &Request) -> Result<Extent, ErrorCode> {
        if self.is_read_only {
            return Err(ErrorCode::NotPermitted);
        }
        let beyond_end =
            if request.command == wire::command::TRIM { ErrorCode::Invalid } else { ErrorCode::NoSpace };
        self.extent(request, beyond_end)
    }

    fn extent(&self, request: &Request, beyond_end: ErrorCode) -> Result<Extent, ErrorCode> {
        let len_bytes = u64::from(request.len_bytes);
        let end = request.offset_bytes.checked_add(len_bytes);
        if end.is_none_or(|end| end > self.len_bytes) {
            return Err(beyond_end);
        }
        self.sector_size.extent(request.offset_bytes, len_bytes).map_err(|_| ErrorCode::Invalid)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    const RULES: Rules = Rules {
        len_bytes: 1 << 20,
        sector_size: SectorSize::B512,
        is_read_only: false,
        has_fast_zero: false,
        is_structured: true,
        has_allocation: true,
    };

    fn bytes(command: u16, flags: u16, offset_bytes: u64, len_bytes: u32) -> [u8; REQUEST_LEN] {
        let header = RequestHeader {
            magic: REQUEST_MAGIC.into(),
            flags: flags.into(),
            command: command.into(),
            cookie: 77.into(),
            offset_bytes: offset_bytes.into(),
            len_bytes: len_bytes.into(),
        };
        header.as_bytes().try_into().unwrap()
    }

    fn judge(command: u16, flags: u16, offset_bytes: u64, len_bytes: u32) -> Result<Action, ErrorCode> {
        let request = Request::parse(&bytes(command, flags, offset_bytes, len_bytes)).unwrap();
        RULES.judge(&request).map_err(|refused| refused.error)
    }

    fn extent(sector: u64, nr_sectors: u64) -> Extent {
        Extent::new(sector, nr_sectors).unwrap()
    }

    #[test]
    fn each_command_is_what_it_says() {
        use wire::command::*;
        assert_eq!(judge(READ, 0, 512, 1024), Ok(Action::Read(extent(1, 2))));
        let fua = Op::Write { extent: extent(0, 1), flags: WriteFlags::FUA };
        assert_eq!(judge(WRITE, 1, 0, 512), Ok(Action::Submit(fua)));
        assert_eq!(judge(FLUSH, 0, 0, 0), Ok(Action::Submit(Op::Flush)));
        assert_eq!(judge(TRIM, 0, 0, 512), Ok(Action::Submit(Op::Discard { extent: extent(0, 1) })));
        assert_eq!(judge(TRIM, 1, 0, 512), Ok(Action::DiscardThenFlush(extent(0, 1))));
        let zeroes = |flags| Op::WriteZeroes { extent: extent(0, 2048), flags };
        assert_eq!(judge(WRITE_ZEROES, 0, 0, 1 << 20), Ok(Action::Submit(zeroes(WriteFlags::UNMAP))));
        assert_eq!(judge(WRITE_ZEROES, 3, 0, 1 << 20), Ok(Action::Submit(zeroes(WriteFlags::FUA))));
        let status = Action::BlockStatus { extent: extent(0, 1), is_one_enough: true };
        assert_eq!(judge(BLOCK_STATUS, 8, 0, 512), Ok(status));
        assert_eq!(judge(CACHE, 0, 0, 1 << 20), Ok(Action::Cache(extent(0, 2048))));
        assert_eq!(judge(DISC, 0, 0, 0), Ok(Action::Disconnect));
    }

    #[test]
    fn what_is_not_allowed_is_answered_as_the_protocol_asks() {
        use wire::command::*;
        let end = 1 << 20;
        for command in [READ, TRIM, CACHE, BLOCK_STATUS] {
            assert_eq!(judge(command, 0, end, 512), Err(ErrorCode::Invalid), "{command}");
        }
        for command in [WRITE, WRITE_ZEROES] {
            assert_eq!(judge(command, 0, end - 512, 1024), Err(ErrorCode::NoSpace), "{command}");
            assert_eq!(judge(command, 0, u64::MAX, 1024), Err(ErrorCode::NoSpace), "{command}");
        }
        for command in [READ, WRITE, TRIM, WRITE_ZEROES] {
            assert_eq!(judge(command, 0, 1, 512), Err(ErrorCode::Invalid), "{command}");
            assert_eq!(judge(command, 0, 512, 511), Err(ErrorCode::Invalid), "{command}");
            assert_eq!(judge(command, 1 << 9, 0, 512), Err(ErrorCode::Invalid), "{command}");
        }
        assert_eq!(judge(READ, 0, 0, MAX_REQUEST_BYTES + 1), Err(ErrorCode::Invalid));
        assert_eq!(judge(READ, 4, 0, MAX_REQUEST_BYTES + 512), Err(ErrorCode::Overflow));
        assert_eq!(judge(WRITE_ZEROES, 16, 0, 512), Err(ErrorCode::NotSupported));
        assert_eq!(judge(BLOCK_STATUS, 0, 0, 0), Err(ErrorCode::Invalid));
        assert_eq!(judge(99, 0, 0, 0), Err(ErrorCode::Invalid));
        let too_long = Request::parse(&bytes(WRITE, 0, 0, MAX_REQUEST_BYTES + 1));
        assert_eq!(too_long, Err(Violation::PayloadTooLong { len_bytes: MAX_REQUEST_BYTES + 1 }));
        assert!(matches!(Request::parse(&[0; REQUEST_LEN]), Err(Violation::RequestMagic { .. })));
    }

    #[test]
    fn a_read_only_export_is_not_changed() {
        use wire::command::*;
        let rules = Rules { is_read_only: true, ..RULES };
        for command in [WRITE, TRIM, WRITE_ZEROES] {
            let request = Request::parse(&bytes(command, 0, 0, 512)).unwrap();
            assert_eq!(rules.judge(&request).map_err(|refused| refused.error), Err(ErrorCode::NotPermitted));
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_lies_inside(command in 0u16..10, flags in 0u16..64, offset: u64, len: u32, small: bool) {
            let offset = if small { offset % (1 << 21) / 512 * 512 } else { offset };
            let len = if small { len % (1 << 21) / 512 * 512 } else { len };
            let Ok(request) = Request::parse(&bytes(command, flags, offset, len)) else { return Ok(()) };
            let extent = match RULES.judge(&request) {
                Ok(
                    Action::Read(extent)
                    | Action::Cache(extent)
                    | Action::DiscardThenFlush(extent)
                    | Action::BlockStatus { extent, .. },
                ) => extent,
                Ok(Action::Submit(op)) => op.extent().unwrap_or(Extent::EMPTY),
                Ok(Action::Disconnect) | Err(_) => Extent::EMPTY,
            };
            prop_assert!(extent.end() <= 2048);
        }
    }
}
