//! The texts that people read are plain English: without the phrases that are easily written and hard to read.

use std::path::{Path, PathBuf};

/// The help, the tour, and the documents.
#[test]
fn texts_have_no_awkward_phrases() {
    let mut texts = files("cli/tests/cmd", "trycmd");
    assert!(texts.len() >= 3, "{texts:?}");
    texts.extend(files("docs", "md"));
    texts.extend(
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "check/README.md", "wasm/README.md"]
            .map(|name| root().join(name)),
    );
    let found = texts.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("text");
        let lines: Vec<_> = (1..).zip(text.lines().map(ToOwned::to_owned)).collect();
        complaints(path, &lines)
    });
    assert_eq!(found.collect::<Vec<_>>(), Vec::<String>::new());
}

/// What the tool and the core say: the string literals of their sources, up to the tests.
#[test]
fn messages_have_no_awkward_phrases() {
    let sources = [files("cli/src", "rs"), files("core/src", "rs"), files("check/src", "rs")].concat();
    assert!(sources.len() > 100, "{}", sources.len());
    let found = sources.iter().flat_map(|path| {
        let source = std::fs::read_to_string(path).expect("text");
        let (code, _) = source.split_once("#[cfg(test)]\nmod tests").unwrap_or((&source, ""));
        complaints(path, &literals(code))
    });
    assert_eq!(found.collect::<Vec<_>>(), Vec::<String>::new());
}

/// The awkward phrases of numbered texts, and what to write instead.
fn complaints(path: &Path, texts: &[(usize, String)]) -> Vec<String> {
    let found = texts.iter().flat_map(|(number, text)| {
        let phrases = AWKWARD.iter().filter(|(phrase, _)| has(text, phrase));
        phrases.map(move |(phrase, better)| {
            format!("{}:{number}: {better:?} instead of {phrase:?}: {text}", path.display())
        })
    });
    found.collect()
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

/// Whether a line has a phrase, as whole words. "There is no" and "is no longer" are good English.
fn has(line: &str, phrase: &str) -> bool {
    let line = line.to_lowercase();
    let words: Vec<&str> = line.split(|character: char| !character.is_alphanumeric()).collect();
    let phrase: Vec<&str> = phrase.split(' ').collect();
    (0..words.len()).any(|at| {
        let (before, rest) = words.split_at(at);
        rest.starts_with(&phrase)
            && before.last() != Some(&"there")
            && rest.get(phrase.len()) != Some(&"longer")
    })
}

/// The string literals of a source, and the numbers of their lines.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut literal: Option<(usize, String)> = None;
    let mut rest = source.chars().peekable();
    while let Some(character) = rest.next() {
        line += usize::from(character == '\n');
        match (&mut literal, character) {
            (Some((_, text)), '\\') => match rest.next() {
                Some('\n') => line += 1,
                escaped => text.extend(escaped),
            },
            (Some(_), '"') => found.extend(literal.take()),
            (Some((_, text)), _) => text.push(character),
            (None, '"') => literal = Some((line, String::new())),
            // The character '"' does not begin a string.
            (None, '\'') if rest.peek() == Some(&'"') => drop(rest.next()),
            (None, '/') if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|character| *character == '\n');
                line += 1;
            }
            (None, _) => {}
        }
    }
    found
}

/// The files of a folder and those in it whose names end like this.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn phrases_are_whole_words() {
    for line in ["the mark is no mark", "behind it", "(Behind)", "What stands there"] {
        assert!(AWKWARD.iter().any(|(phrase, _)| has(line, phrase)), "{line}");
    }
    for line in
        ["there is no mark 'x'", "it is not a mark", "it is no longer there", "understands", "is noted"]
    {
        assert!(!AWKWARD.iter().any(|(phrase, _)| has(line, phrase)), "{line}");
    }
}

#[test]
fn literals_are_distinguished_from_code() {
    let source = "// \"no\"\nsay('\"', \"one \\\"1\\\"\");\n\"two \\\n  lines\" // \"no\"\n\"three\"";
    let expected = [(2, "one \"1\""), (3, "two   lines"), (5, "three")];
    assert_eq!(literals(source), expected.map(|(line, text)| (line, text.to_owned())));
}
