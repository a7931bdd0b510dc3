//! The names of files, as their directories have them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// What every file is called, by a key of its own, such as a number.
#[derive(Clone, Debug)]
pub(super) struct Paths<K = u64> {
    root: K,
    links: BTreeMap<K, (K, Box<[u8]>)>,
    is_full: bool,
}

impl<K: Copy + Ord> Paths<K> {
    pub(super) const fn new(root: K) -> Self {
        Self { root, links: BTreeMap::new(), is_full: false }
    }

    /// A directory has a file under a name. Of the names of one file the first one counts.
    pub(super) fn add(&mut self, directory: K, name: &[u8], file: K) {
        if file == self.root || name.is_empty() || name == b"." || name == b".." {
            return;
        }
        if self.links.len() >= MAX_NAMES {
            self.is_full = true;
            return;
        }
        self.links.entry(file).or_insert_with(|| (directory, name.into()));
    }

    /// The directory of a file, and its name there.
    pub(super) fn link(&self, file: K) -> Option<(K, &[u8])> {
        self.links.get(&file).map(|(directory, name)| (*directory, &**name))
    }

    /// The path of a file, from the root on; `None` if the root does not lead to it. O(depth · log n).
    pub(super) fn of(&self, file: K) -> Option<String> {
        self.by(file, |file| self.link(file))
    }

    /// The path of a file by links that are looked up otherwise.
    pub(super) fn by<'a>(&self, file: K, link: impl Fn(K) -> Option<(K, &'a [u8])>) -> Option<String> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = file;
        while at != self.root {
            let (directory, name) = link(at)?;
            if names.len() >= MAX_DEPTH {
                return None;
            }
            names.push(name);
            at = directory;
        }
        if names.is_empty() {
            return Some(String::from("/"));
        }
        let mut path = String::new();
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(name));
        }
        Some(path)
    }

    /// Whether names were dropped since there are too many.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }
}

/// How many names are kept: at most some 100 MB of them.
const MAX_NAMES: usize = 1 << 18;

/// How deep directories may be. It ends loops.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::ToOwned as _;

    #[test]
    fn a_path_leads_from_the_root_and_loops_end() {
        let mut paths = Paths::new(2);
        paths.add(2, b".", 2);
        paths.add(2, b"a", 12);
        paths.add(12, b"..", 2);
        paths.add(12, b"b\xff", 13);
        paths.add(2, b"second", 13);
        paths.add(15, b"loop", 14);
        paths.add(14, b"loop", 15);
        assert_eq!(paths.of(2), Some("/".to_owned()));
        assert_eq!(paths.of(13), Some("/a/b\u{fffd}".to_owned()));
        assert_eq!((paths.of(14), paths.of(99)), (None, None));
    }
}
