//! Standard output, in the original's formats.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write as _};

use logwrites_core::format::Flags;
use logwrites_core::reader::Entry;

use super::super::end::{FAILED, end};
use super::super::options::Verbosity;
use crate::error::Failure;

/// The lines that are printed. When they are no longer read, the work continues without them.
pub(super) struct Lines {
    out: BufWriter<Stdout>,
    verbosity: Verbosity,
    error: Option<io::Error>,
}

impl Lines {
    pub(super) fn new(verbosity: Verbosity) -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, io::stdout()), verbosity, error: None }
    }

    /// A line that is always printed.
    pub(super) fn put(&mut self, line: fmt::Arguments<'_>) {
        if self.error.is_none() {
            self.error = writeln!(self.out, "{line}").err();
        }
    }

    /// An entry that is replayed, or would be if it was not left out.
    pub(super) fn replayed(&mut self, entry: &Entry, is_skipped: bool) {
        let wanted = if is_skipped { Verbosity::All } else { Verbosity::Replayed };
        if self.verbosity < wanted {
            return;
        }
        let (verb, data, header) =
            (if is_skipped { "skipping" } else { "replaying" }, Data::of(entry), entry.header);
        self.put(format_args!(
            "{verb} {}@{}: sector {}, size {}, flags {:#x}({})",
            entry.index,
            data.sector,
            header.sector,
            header.nr_sectors.wrapping_mul(data.sector_bytes),
            header.flags.bits(),
            FlagNames(header.flags)
        ));
    }

    /// An entry that is looked at in search of another.
    pub(super) fn looked_at(&mut self, entry: &Entry) {
        if self.verbosity == Verbosity::All {
            self.put(format_args!("{}({})", Seek(entry), FlagNames(entry.flags())));
        }
    }

    /// An entry that is passed on the way to a later one.
    pub(super) fn passed(&mut self, entry: &Entry) {
        if self.verbosity == Verbosity::All {
            self.put(format_args!("{}", Seek(entry)));
        }
    }

    /// The disk cannot discard.
    pub(super) fn no_discard(&mut self) {
        if self.verbosity > Verbosity::Quiet {
            self.put(format_args!("replay device doesn't support discard, switching to writing zeros"));
        }
    }

    /// Lets everything be seen that was printed so far.
    pub(super) fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }

    /// The end.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush();
        match self.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(end(FAILED, format!("cannot print: {error}")))
            }
            _ => Ok(()),
        }
    }
}

/// Where in the log the data of an entry is.
struct Data {
    sector: u64,
    sector_bytes: u64,
}

impl Data {
    fn of(entry: &Entry) -> Self {
        let data_bytes = entry.payload().start;
        let sector_bytes = data_bytes - entry.offset_bytes;
        Self { sector: data_bytes / sector_bytes, sector_bytes }
    }
}

struct Seek<'a>(&'a Entry);

impl fmt::Display for Seek<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(entry) = self;
        let (data, header) = (Data::of(entry), entry.header);
        write!(
            f,
            "seek entry {}@{}: {}, size {}, flags {:#x}",
            entry.index,
            data.sector,
            header.sector,
            header.nr_sectors,
            header.flags.bits()
        )
    }
}

struct FlagNames(Flags);

impl fmt::Display for FlagNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(flags) = *self;
        if flags.is_empty() {
            return f.write_str("NONE");
        }
        let mut separator = "";
        for (name, _) in flags.iter_names() {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
        let unknown = flags.unnamed();
        if unknown.is_empty() { Ok(()) } else { write!(f, "{separator}UNKNOWN.{:#x}", unknown.bits()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_originals_names() {
        let names = |bits| FlagNames(Flags::from_bits_retain(bits)).to_string();
        assert_eq!(names(0), "NONE");
        assert_eq!(names(0x13), "FLUSH|FUA|METADATA");
        assert_eq!(names(0x40), "UNKNOWN.0x40");
        assert_eq!(names(0x4c), "DISCARD|MARK|UNKNOWN.0x40");
    }
}
