//! Bytes as people read them.

use std::io::{self, Write};

/// Prints bytes, 16 a line, with the offset of each line on the disk. Lines that repeat the one before are left out, as
/// `hexdump -C` does.
///
/// # Errors
/// The writer's.
pub fn dump(out: &mut impl Write, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
    let mut last: Option<&[u8]> = None;
    let mut is_skipping = false;
    for (line, at_bytes) in bytes.chunks(LINE).zip((offset_bytes..).step_by(LINE)) {
        if last == Some(line) {
            if !is_skipping {
                writeln!(out, "*")?;
            }
            is_skipping = true;
            continue;
        }
        (last, is_skipping) = (Some(line), false);
        writeln!(out, "{at_bytes:012x}  {}", row(line))?;
    }
    if is_skipping {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        writeln!(out, "{:012x}", offset_bytes.saturating_add(len))?;
    }
    Ok(())
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
        dump(&mut out, 0x1000, &bytes).unwrap();
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
