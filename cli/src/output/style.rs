//! Colours, by what they mean.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use logwrites_core::format::Flags;

/// What a line is about: headings, names.
pub const HEADING: Style = Style::new().bold();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();
/// Marks.
pub const MARK: Style = AnsiColor::Cyan.on_default();
/// Flushes and FUAs.
pub const BARRIER: Style = AnsiColor::Yellow.on_default();
/// Discards.
pub const DISCARD: Style = AnsiColor::Magenta.on_default();
/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The styles of help texts and usage errors.
pub const CLAP: Styles = Styles::styled()
    .header(HEADING.underline())
    .usage(HEADING.underline())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// `value` in a style.
pub fn paint<T: Display>(style: Style, value: T) -> Painted<T> {
    Painted { style, value }
}

/// A value and its style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    style: Style,
    value: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style)?;
        self.value.fmt(f)?;
        write!(f, "{:#}", self.style)
    }
}

/// A number of things, with the right word for them.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The style of an entry with these flags.
#[must_use]
pub fn of_entry(flags: Flags) -> Style {
    if flags.contains(Flags::MARK) {
        MARK
    } else if flags.intersects(Flags::FLUSH | Flags::FUA) {
        BARRIER
    } else if flags.contains(Flags::DISCARD) {
        DISCARD
    } else {
        Style::new()
    }
}

/// The words for flags, joined by `|`; `write` if there are no flags.
#[derive(Clone, Copy, Debug)]
pub struct FlagWords(pub Flags);

impl Display for FlagWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(flags) = *self;
        if flags.is_empty() {
            return f.write_str("write");
        }
        let mut separator = "";
        for named in flags.named() {
            write!(f, "{separator}{}", named.name)?;
            separator = "|";
        }
        let unknown = flags.unnamed();
        if unknown.is_empty() { Ok(()) } else { write!(f, "{separator}{:#x}", unknown.bits()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_words() {
        let words = |flags| FlagWords(flags).to_string();
        assert_eq!(words(Flags::empty()), "write");
        assert_eq!(words(Flags::FLUSH | Flags::FUA | Flags::METADATA), "flush|fua|metadata");
        assert_eq!(words(Flags::from_bits_retain(0x41)), "flush|0x40");
        assert_eq!(words(Flags::from_bits_retain(0x40)), "0x40");
    }
}
