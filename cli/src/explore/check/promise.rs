//! Files that marks promise to be on the disk from then on, and the check that they are.
//!
//! What a program has been promised by `fsync` is not in a log of blocks. So it is the program, or who tests it, that says
//! what must be there: by a mark with the hash of the file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::str::FromStr;

use logwrites_core::contents::FileSystemKind;
use logwrites_core::history::Index;
use sha2::{Digest as _, Sha256};

use super::error::CheckError;
use super::extract::{self, InnerPath, ParseInnerPathError};
use super::judgement::Judgement;
use super::run::Run;
use crate::output::hex;

/// What a mark says of a file: what it holds from then on, or that nothing is promised of it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    path: InnerPath,
    hash: Option<FileHash>,
}

/// The SHA-256 of a file's bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileHash(String);

impl Promise {
    /// The file at `path` of the file system has what `file` has now.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn of(path: InnerPath, file: &Path) -> io::Result<Self> {
        Ok(Self { path, hash: Some(FileHash::of(file)?) })
    }

    /// Nothing is promised of the file at `path` any more: it may be changed or removed.
    #[must_use]
    pub const fn retracted(path: InnerPath) -> Self {
        Self { path, hash: None }
    }

    /// The promise that a mark makes, if it is one.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?.strip_prefix(WORD)?;
        let (hash, path) = text.split_once(' ')?;
        let path = InnerPath::new(path).ok()?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match hash {
            RETRACTED => Some(Self { path, hash: None }),
            _ => is_hash.then(|| Self { path, hash: Some(FileHash(hash.to_ascii_lowercase())) }),
        }
    }
}

/// As the text of a mark.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.as_ref().map_or(RETRACTED, |hash| &hash.0);
        write!(f, "{WORD}{hash} {}", self.path.as_str())
    }
}

impl FileHash {
    fn of(path: &Path) -> io::Result<Self> {
        let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                len => hasher.update(&buffer[..len]),
            }
        }
        Ok(Self(hex::digits(&hasher.finalize())))
    }
}

/// A file that marks have promised, which must be there with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromisedFile {
    path: InnerPath,
}

impl PromisedFile {
    /// All that the marks of a log promise, in the order of the first promises.
    pub(super) fn all(index: &Index) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for promise in index.marks().filter_map(|mark| Promise::parse(mark.text)) {
            let file = Self { path: promise.path };
            if !all.contains(&file) {
                all.push(file);
            }
        }
        all
    }

    /// The hash that the last promise before a point has.
    pub(super) fn promised(&self, index: &Index, point: u64) -> Option<String> {
        let before = index.marks().take_while(|mark| mark.entry < point);
        let promises = before.filter_map(|mark| Promise::parse(mark.text));
        promises.filter(|promise| promise.path == self.path).last()?.hash.map(|hash| hash.0)
    }

    pub(super) fn prepare(&self, file_system: Option<FileSystemKind>) -> Result<(), CheckError> {
        extract::prepare(&self.to_string(), file_system)
    }

    pub(super) fn judge(&self, run: &Run<'_>) -> Result<Judgement, CheckError> {
        let files = match run.extract(std::slice::from_ref(&self.path))? {
            Ok(files) => files,
            Err(judgement) => return Ok(judgement),
        };
        let Some(promised) = run.around.told else { return Ok(Judgement::pass()) };
        let path = self.path.as_str();
        let Some(Some(file)) = files.first() else {
            return Ok(Judgement::fail(format!("{path} is missing")));
        };
        let hash = FileHash::of(file);
        let hash = hash.map_err(|source| CheckError::System { check: self.to_string(), source })?;
        if hash.0 == promised {
            return Ok(Judgement::pass());
        }
        Ok(Judgement::fail(format!("{path} does not hold what was promised: its SHA-256 is {}", hash.0)))
    }
}

impl fmt::Display for PromisedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.as_str())
    }
}

impl FromStr for PromisedFile {
    type Err = ParseInnerPathError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Ok(Self { path: InnerPath::new(path)? })
    }
}

/// What the text of a promise begins with; the hash and the path follow.
const WORD: &str = "promise sha256:";

/// How much of a file is read at a time.
const READ_BYTES: usize = 1 << 16;

/// In the place of a hash.
const RETRACTED: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_the_text_of_a_mark() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = InnerPath::new("/a file").unwrap();
        let promise = Promise::of(path.clone(), file.path()).unwrap();
        let text = promise.to_string();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text, format!("promise sha256:{empty} a file"));
        assert_eq!(Promise::parse(text.as_bytes()), Some(promise));
        let retracted = Promise::retracted(path);
        assert_eq!(Promise::parse(retracted.to_string().as_bytes()), Some(retracted));
        for other in ["", "promise sha256:12 a", "promise sha256:-", "mkfs", "promise sha256:- ../a"] {
            assert_eq!(Promise::parse(other.as_bytes()), None, "{other:?}");
        }
    }
}
