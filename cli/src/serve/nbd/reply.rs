//! What is answered to requests. A reply is a head made here and, for a read, the data after it.

use zerocopy::IntoBytes as _;
use zerocopy::byteorder::network_endian::{U16, U32, U64};

use super::wire::{
    Allocation, CHUNK_DONE, ChunkHeader, ErrorCode, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, SimpleReply,
    chunk,
};

/// Appends the reply to a command that has no data: done, or not.
pub fn push_simple(out: &mut Vec<u8>, cookie: u64, result: Result<(), ErrorCode>) {
    let error = result.err().map_or(0, ErrorCode::number);
    let reply = SimpleReply { magic: SIMPLE_REPLY_MAGIC.into(), error: error.into(), cookie: cookie.into() };
    out.extend_from_slice(reply.as_bytes());
}

/// Appends the head of a read's reply; `len_bytes` bytes of data must follow.
pub fn push_read(out: &mut Vec<u8>, is_structured: bool, cookie: u64, offset_bytes: u64, len_bytes: u32) {
    if !is_structured {
        push_simple(out, cookie, Ok(()));
    } else if len_bytes == 0 {
        // A chunk of data has some.
        push_chunk(out, chunk::NONE, cookie, 0);
    } else {
        push_chunk(out, chunk::OFFSET_DATA, cookie, len_bytes.saturating_add(8));
        out.extend_from_slice(U64::new(offset_bytes).as_bytes());
    }
}

/// Appends an error in the form that a read or block status must have.
pub fn push_error(out: &mut Vec<u8>, is_structured: bool, cookie: u64, error: ErrorCode) {
    if is_structured {
        push_chunk(out, chunk::ERROR, cookie, 6);
        out.extend_from_slice(U32::new(error.number()).as_bytes());
        out.extend_from_slice(U16::new(0).as_bytes());
    } else {
        push_simple(out, cookie, Err(error));
    }
}

/// Appends what a context says of successive extents, given with their lengths in bytes; at least one.
pub fn push_block_status(out: &mut Vec<u8>, cookie: u64, context: u32, extents: &[(u32, Allocation)]) {
    let len_bytes = u32::try_from(extents.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_add(4);
    push_chunk(out, chunk::BLOCK_STATUS, cookie, len_bytes);
    out.extend_from_slice(U32::new(context).as_bytes());
    for (len_bytes, allocation) in extents {
        out.extend_from_slice(U32::new(*len_bytes).as_bytes());
        out.extend_from_slice(U32::new(allocation.bits()).as_bytes());
    }
}

fn push_chunk(out: &mut Vec<u8>, kind: u16, cookie: u64, len_bytes: u32) {
    let header = ChunkHeader {
        magic: STRUCTURED_REPLY_MAGIC.into(),
        flags: CHUNK_DONE.into(),
        kind: kind.into(),
        cookie: cookie.into(),
        len_bytes: len_bytes.into(),
    };
    out.extend_from_slice(header.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_these_bytes() {
        let mut out = Vec::new();
        push_simple(&mut out, 0x0102_0304_0506_0708, Err(ErrorCode::NoSpace));
        assert_eq!(out, [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 28, 1, 2, 3, 4, 5, 6, 7, 8]);
        out.clear();
        push_read(&mut out, true, 7, 0x1000, 512);
        assert_eq!(out[..8], [0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1]);
        assert_eq!(out[8..], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 2, 8, 0, 0, 0, 0, 0, 0, 0x10, 0]);
        out.clear();
        push_error(&mut out, true, 7, ErrorCode::Overflow);
        assert_eq!(out[4..8], [0, 1, 0x80, 1]);
        assert_eq!(out[16..], [0, 0, 0, 6, 0, 0, 0, 75, 0, 0]);
        out.clear();
        push_block_status(
            &mut out,
            7,
            1,
            &[(512, Allocation::HOLE | Allocation::ZERO), (1024, Allocation::empty())],
        );
        assert_eq!(out[16..], [0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0]);
    }
}
