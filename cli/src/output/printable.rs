//! What others wrote, made safe to print.

use std::fmt::{self, Display, Write as _};
use std::path::Path;

/// A text from a log, a script, a client or a file name, without what could steer a terminal or show another text than
/// it is: control characters, characters that are not seen, those that change the direction of writing, and bytes that
/// are not UTF-8 are replaced with U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl<'a> Printable<'a> {
    /// A file name.
    #[must_use]
    pub fn path(path: &'a Path) -> Self {
        Self(path.as_os_str().as_encoded_bytes())
    }
}

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                f.write_char(printable(char))?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// `char`, or what is printed in its place.
#[must_use]
pub const fn printable(char: char) -> char {
    if is_unsafe(char) { char::REPLACEMENT_CHARACTER } else { char }
}

/// Unicode's controls (Cc), and of its format characters (Cf) and separators those that are not seen or that move what
/// is. The soft hyphen is seen where a line ends; joiners between letters (U+200C, U+200D) shape words in some scripts,
/// but make two names look the same in all others.
const fn is_unsafe(char: char) -> bool {
    matches!(char,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_a_terminal() {
        let shown = Printable(b"a\x1b[1m\xff\xe2\x82z\n").to_string();
        assert_eq!(shown, "a\u{fffd}[1m\u{fffd}\u{fffd}z\u{fffd}");
        assert_eq!(Printable("\u{e4} \u{1f600}".as_bytes()).to_string(), "\u{e4} \u{1f600}");
    }

    #[test]
    fn a_text_cannot_show_another() {
        for char in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{200f}', '\u{61c}', '\u{ad}', '\u{feff}', '\u{e0041}']
        {
            assert_eq!(Printable(format!("x{char}y").as_bytes()).to_string(), "x\u{fffd}y", "{char:?}");
        }
    }
}
