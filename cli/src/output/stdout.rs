//! Standard output, buffered, with or without colours.

use std::io::{self, BufWriter, StdoutLock, Write};

use anstream::adapter::StripBytes;
use anstream::{AutoStream, ColorChoice};

/// Standard output, locked: what is printed goes out in large pieces. Where colours are not wanted, escapes are taken
/// out of it.
#[derive(Debug)]
pub struct Stdout {
    out: BufWriter<Filter>,
    has_colors: bool,
}

/// Locks standard output. `--color`, the environment and what it is connected to say whether there are colours: as a
/// rule where a person looks, and not in a pipe.
#[must_use]
pub fn stdout() -> Stdout {
    let out = io::stdout().lock();
    let choice = AutoStream::choice(&out);
    let has_colors = choice != ColorChoice::Never;
    let filter = if has_colors {
        Filter::Colors(AutoStream::new(out, choice))
    } else {
        Filter::Plain(Plain::new(out))
    };
    Stdout { out: BufWriter::with_capacity(BUFFER_BYTES, filter), has_colors }
}

impl Stdout {
    /// Whether escapes reach a terminal. Long outputs can leave them out otherwise.
    #[must_use]
    pub const fn has_colors(&self) -> bool {
        self.has_colors
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[derive(Debug)]
enum Filter {
    Colors(AutoStream<StdoutLock<'static>>),
    Plain(Plain<StdoutLock<'static>>),
}

impl Write for Filter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Colors(out) => out.write(bytes),
            Self::Plain(out) => out.write(bytes),
        };
        written.map_err(|error| named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match self {
            Self::Colors(out) => out.flush(),
            Self::Plain(out) => out.flush(),
        };
        flushed.map_err(|error| named(&error))
    }
}

/// The system does not say what it could not write to.
fn named(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// Takes escapes out. Bytes that cannot be part of one pass as they are, which costs a hundredth of looking for them.
#[derive(Debug)]
struct Plain<W> {
    out: W,
    strip: StripBytes,
    /// Whether `strip` has seen something, and so may be inside an escape.
    has_stripped: bool,
    /// What is left of a piece, in one: to write each run between two escapes would cost a system call.
    rest: Vec<u8>,
}

impl<W: Write> Plain<W> {
    fn new(out: W) -> Self {
        Self { out, strip: StripBytes::new(), has_stripped: false, rest: Vec::new() }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.has_stripped |= !bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
        if self.has_stripped {
            self.rest.clear();
            self.strip.strip_next(bytes).for_each(|run| self.rest.extend_from_slice(run));
            self.out.write_all(&self.rest)?;
        } else {
            self.out.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out_wherever_a_piece_ends() {
        let text =
            "plain\nlines\n\x1b[1mbold\x1b[0m \u{e4}\u{fffd}\n\x1b]0;a\ntitle\x07behind\ttab\n".as_bytes();
        let whole = anstream::adapter::strip_bytes(text).into_vec();
        for len in 1..text.len() {
            let mut plain = Plain::new(Vec::new());
            text.chunks(len).for_each(|piece| plain.write_all(piece).unwrap());
            assert_eq!(plain.out, whole, "pieces of {len} bytes");
        }
    }
}
