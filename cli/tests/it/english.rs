//! The texts that people read are plain English: without the phrases that are easily written and hard to read.

use std::path::{Path, PathBuf};

#[test]
fn texts_have_no_awkward_phrases() {
    let mut found = Vec::new();
    for path in texts() {
        let text = std::fs::read_to_string(&path).expect("text");
        for (number, line) in (1..).zip(text.lines()) {
            let phrases = AWKWARD.iter().filter(|(phrase, _)| has(line, phrase));
            found.extend(phrases.map(|(phrase, better)| {
                format!("{}:{number}: {better:?} instead of {phrase:?}: {line}", path.display())
            }));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Phrases, and what to write instead.
const AWKWARD: [(&str, &str); 12] = [
    ("behind", "after"),
    ("in front of", "before"),
    ("is no", "is not a"),
    ("are no", "are not"),
    ("was no", "was not a"),
    ("whoever", "a client that"),
    ("stands", "is"),
    ("goes on", "continues"),
    ("of theirs", "their"),
    ("as it was", "as of"),
    ("nobody", "no client"),
    ("somebody", "a client"),
];

/// Whether a line has a phrase, as whole words. That there is no such thing may be said.
fn has(line: &str, phrase: &str) -> bool {
    let line = line.to_lowercase();
    let words: Vec<&str> = line.split(|character: char| !character.is_alphanumeric()).collect();
    let phrase: Vec<&str> = phrase.split(' ').collect();
    (0..words.len()).any(|at| {
        let (before, rest) = words.split_at(at);
        rest.starts_with(&phrase) && before.last() != Some(&"there")
    })
}

/// The help texts and the tour, which show what the tool prints.
fn texts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let entries = std::fs::read_dir(folder).expect("the folder");
    let texts = entries.map(|entry| entry.expect("an entry").path());
    let texts: Vec<_> = texts.filter(|path| path.extension().is_some_and(|end| end == "trycmd")).collect();
    assert!(texts.len() >= 3, "{texts:?}");
    texts
}

#[test]
fn phrases_are_whole_words() {
    for line in ["the mark is no mark", "behind it", "(Behind)", "What stands there"] {
        assert!(AWKWARD.iter().any(|(phrase, _)| has(line, phrase)), "{line}");
    }
    for line in ["there is no mark 'x'", "it is not a mark", "understands", "is noted"] {
        assert!(!AWKWARD.iter().any(|(phrase, _)| has(line, phrase)), "{line}");
    }
}
