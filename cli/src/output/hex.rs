//! Bytes as people read them.

use std::io::{self, Write};

use logwrites_core::num::widen;

/// Two digits for each byte.
#[must_use]
pub fn digits(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// Bytes printed 16 a line, with the offset of each line on the disk. Lines that repeat the one before are left out, as
/// `hexdump -C` does.
#[derive(Debug)]
pub struct Dump {
    offset_bytes: u64,
    last: Vec<u8>,
    is_skipping: bool,
}

impl Dump {
    /// A dump whose first byte has this offset.
    #[must_use]
    pub const fn new(offset_bytes: u64) -> Self {
        Self { offset_bytes, last: Vec::new(), is_skipping: false }
    }

    /// Prints the next bytes: whole lines, but for the last piece.
    ///
    /// # Errors
    /// The writer's.
    pub fn push(&mut self, out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        for line in bytes.chunks(LINE) {
            if self.last == line {
                if !self.is_skipping {
                    writeln!(out, "*")?;
                }
                self.is_skipping = true;
            } else {
                self.is_skipping = false;
                self.last.clear();
                self.last.extend_from_slice(line);
                writeln!(out, "{:012x}  {}", self.offset_bytes, row(line))?;
            }
            self.offset_bytes = self.offset_bytes.saturating_add(widen(line.len()));
        }
        Ok(())
    }

    /// Prints where the dump ends, if its last lines were left out.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(self, out: &mut impl Write) -> io::Result<()> {
        if self.is_skipping { writeln!(out, "{:012x}", self.offset_bytes) } else { Ok(()) }
    }
}

/// A line: up to 16 bytes in hexadecimal, then as text.
#[must_use]
pub fn row(line: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut row = String::with_capacity(70);
    for at in 0..LINE {
        let gap = if at == LINE / 2 { "  " } else { " " };
        let gap = if at == 0 { "" } else { gap };
        // Writing to a String cannot fail.
        let _ = match line.get(at) {
            Some(byte) => write!(row, "{gap}{byte:02x}"),
            None => write!(row, "{gap}  "),
        };
    }
    let text: String = line
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        .collect();
    let _ = write!(row, "  |{text}|");
    row
}

/// How many bytes a line has.
pub const LINE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_looks_as_hexdumps() {
        let mut bytes = [0; 51];
        bytes[..5].copy_from_slice(b"hi \xff!");
        bytes[50] = b'x';
        let mut out = Vec::new();
        let mut dump = Dump::new(0x1000);
        dump.push(&mut out, &bytes[..32]).unwrap();
        dump.push(&mut out, &bytes[32..]).unwrap();
        dump.finish(&mut out).unwrap();
        let zeros = "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|";
        let expected = [
            "000000001000  68 69 20 ff 21 00 00 00  00 00 00 00 00 00 00 00  |hi .!...........|".to_owned(),
            format!("000000001010  {zeros}"),
            "*".to_owned(),
            format!("000000001030  00 00 78{}  |..x|", " ".repeat(40)),
        ];
        let printed = String::from_utf8(out).unwrap();
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    }
}
