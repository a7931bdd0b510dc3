//! Disk images that may be large and are mostly holes.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest as _, Sha256};

use super::logs::{narrow, wide};

/// Unpacks a file; its zeros become holes.
pub(crate) fn unpack(packed: &Path, to: &Path) {
    let file = File::open(packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
    let mut decoder = StreamingDecoder::new(file).expect("zstd");
    let mut out = File::create(to).expect("a new file");
    let mut block = vec![0; BLOCK_LEN];
    let mut len_bytes = 0;
    loop {
        let got = fill(&mut decoder, &mut block);
        if got == 0 {
            break;
        }
        if block[..got] != ZEROS[..got] {
            out.seek(SeekFrom::Start(len_bytes)).expect("seek");
            out.write_all(&block[..got]).expect("write");
        }
        len_bytes += wide(got);
    }
    out.set_len(len_bytes).expect("set the length");
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> String {
    sha256_up_to(path, u64::MAX)
}

/// The SHA-256 of the first bytes of a file, in hexadecimal. Holes are not read.
pub(crate) fn sha256_up_to(path: &Path, len_bytes: u64) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let len_bytes = file.metadata().expect("metadata").len().min(len_bytes);
    let mut hash = Sha256::new();
    let mut at = 0;
    for data in data_of(&file, len_bytes) {
        hash_zeros(&mut hash, data.start - at);
        let mut rest = &file;
        rest.seek(SeekFrom::Start(data.start)).expect("seek");
        let mut rest = rest.take(data.end - data.start);
        let mut block = vec![0; BLOCK_LEN];
        loop {
            let got = fill(&mut rest, &mut block);
            if got == 0 {
                break;
            }
            hash.update(&block[..got]);
        }
        at = data.end;
    }
    hash_zeros(&mut hash, len_bytes - at);
    hexadecimal(hash)
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whether two files have the same bytes, wherever their holes are.
pub(crate) fn are_equal(a: &Path, b: &Path) -> bool {
    let (a, b) = (File::open(a).expect("a file"), File::open(b).expect("a file"));
    let len_bytes = a.metadata().expect("metadata").len();
    if b.metadata().expect("metadata").len() != len_bytes {
        return false;
    }
    let (mut left, mut right) = (vec![0; BLOCK_LEN], vec![0; BLOCK_LEN]);
    let mut ranges = data_of(&a, len_bytes);
    ranges.extend(data_of(&b, len_bytes));
    ranges.into_iter().all(|range| {
        let mut at = range.start;
        let mut same = true;
        while at < range.end && same {
            let len = narrow((range.end - at).min(wide(BLOCK_LEN)));
            read_at(&a, at, &mut left[..len]);
            read_at(&b, at, &mut right[..len]);
            same = left[..len] == right[..len];
            at += wide(len);
        }
        same
    })
}

fn read_at(mut file: &File, at: u64, buffer: &mut [u8]) {
    file.seek(SeekFrom::Start(at)).expect("seek");
    file.read_exact(buffer).expect("read");
}

/// The ranges of a file that are not holes.
fn data_of(file: &File, len_bytes: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < len_bytes
        && let Ok(start) = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at))
        && start < len_bytes
    {
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start)).expect("a hole ends each range");
        at = end.min(len_bytes);
        ranges.push(start..at);
    }
    ranges
}

fn hash_zeros(hash: &mut Sha256, mut len_bytes: u64) {
    while len_bytes > 0 {
        let len = len_bytes.min(wide(BLOCK_LEN));
        hash.update(&ZEROS[..narrow(len)]);
        len_bytes -= len;
    }
}

/// Reads until the buffer is full or nothing is left.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> usize {
    let mut got = 0;
    while got < buffer.len() {
        match source.read(&mut buffer[got..]).expect("read") {
            0 => break,
            more => got += more,
        }
    }
    got
}

const BLOCK_LEN: usize = 64 << 10;

static ZEROS: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
