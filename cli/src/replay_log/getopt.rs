//! The words of a command line as C's `getopt_long` takes them apart: options in any place, values after `=` or in the
//! next word, unambiguous prefixes.

use std::ffi::OsString;

/// A long option: its name, whether it has a value, and its meaning.
pub(super) type Long<T> = (&'static str, bool, T);

/// An option as given; the value is empty if the option has none.
pub(super) type Given<'a, T> = (T, &'a [u8]);

/// Takes the options out of `words`, one after another.
#[derive(Debug)]
pub(super) struct Getopt<'a, T: 'static> {
    long: &'static [Long<T>],
    short: &'static [(u8, T)],
    words: std::slice::Iter<'a, OsString>,
    /// What is left of a word of short options.
    shorts: &'a [u8],
}

impl<'a, T: Copy> Getopt<'a, T> {
    /// The options in `words`, of which these are known. Short ones have no values.
    pub(super) fn new(words: &'a [OsString], long: &'static [Long<T>], short: &'static [(u8, T)]) -> Self {
        Self { long, short, words: words.iter(), shorts: &[] }
    }

    fn short(&self, letter: u8) -> Result<T, String> {
        let known = self.short.iter().find(|(known, _)| *known == letter);
        known.map(|(_, option)| *option).ok_or_else(|| format!("invalid option -- '{}'", char::from(letter)))
    }

    fn long(&mut self, word: &'a [u8]) -> Result<Given<'a, T>, String> {
        let mut parts = word.splitn(2, |byte| *byte == b'=');
        let (start, value) = (parts.next().unwrap_or_default(), parts.next());
        let (name, has_value, option) = self.look_up(start, word)?;
        match (has_value, value) {
            (false, None) => Ok((option, &[])),
            (false, Some(_)) => Err(format!("option '--{name}' doesn't allow an argument")),
            (true, Some(value)) => Ok((option, value)),
            (true, None) => {
                let next = self.words.next().map(|word| word.as_encoded_bytes());
                next.map(|value| (option, value))
                    .ok_or_else(|| format!("option '--{name}' requires an argument"))
            }
        }
    }

    /// The one option that is called `start`, or else the only one that starts like this.
    fn look_up(&self, start: &[u8], word: &[u8]) -> Result<Long<T>, String> {
        let candidates = || self.long.iter().filter(|(name, ..)| name.as_bytes().starts_with(start));
        if let Some(exact) = candidates().find(|(name, ..)| name.len() == start.len()) {
            return Ok(*exact);
        }
        let word = String::from_utf8_lossy(word);
        let mut found = candidates();
        match (found.next(), found.next()) {
            (None, _) => Err(format!("unrecognized option '--{word}'")),
            (Some(only), None) => Ok(*only),
            (Some(_), Some(_)) => {
                let names: Vec<String> = candidates().map(|(name, ..)| format!("'--{name}'")).collect();
                Err(format!("option '--{word}' is ambiguous; possibilities: {}", names.join(" ")))
            }
        }
    }
}

/// The options in their order. An error is what `getopt_long` prints, without the name of the program. Words that are
/// no options are passed over.
impl<'a, T: Copy> Iterator for Getopt<'a, T> {
    type Item = Result<Given<'a, T>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((letter, rest)) = self.shorts.split_first() {
                self.shorts = rest;
                return Some(self.short(*letter).map(|option| (option, &[][..])));
            }
            match self.words.next()?.as_encoded_bytes() {
                b"--" => return None,
                [b'-', b'-', word @ ..] => return Some(self.long(word)),
                [b'-', shorts @ ..] => self.shorts = shorts,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: [Long<char>; 5] = [
        ("end-mark", true, 'm'),
        ("end-sector", true, 's'),
        ("find", false, 'f'),
        ("fsck", true, 'k'),
        ("fsck-more", false, 'o'),
    ];

    fn parsed(line: &str) -> Result<String, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let given: Result<Vec<_>, _> = Getopt::new(&words, &LONG, &[(b'v', 'v')]).collect();
        let show = |(option, value): (char, &[u8])| format!("{option}{}", String::from_utf8_lossy(value));
        given.map(|given| given.into_iter().map(show).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn options_are_taken_as_getopt_long_does() {
        for (line, given) in [
            ("--find -vv --end-mark a", "f,v,v,ma"),
            ("x --end-mark=a=b y - -v", "ma=b,v"),
            ("--end-m --find", "m--find"),
            ("--end-s=", "s"),
            ("--fi --fsck true --fsck-m", "f,ktrue,o"),
            ("-v -- --bogus -x", "v"),
        ] {
            assert_eq!(parsed(line).as_deref(), Ok(given), "{line}");
        }
    }

    #[test]
    fn errors_have_the_words_of_getopt() {
        for (line, error) in [
            ("--bogus=1", "unrecognized option '--bogus=1'"),
            ("-vx", "invalid option -- 'x'"),
            ("--end=1", "option '--end=1' is ambiguous; possibilities: '--end-mark' '--end-sector'"),
            ("--end-m", "option '--end-mark' requires an argument"),
            ("--find=", "option '--find' doesn't allow an argument"),
        ] {
            assert_eq!(parsed(line), Err(error.to_owned()), "{line}");
        }
    }
}
