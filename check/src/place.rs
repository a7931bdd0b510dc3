//! Where the log of a test is kept.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// What a recording is called: after its test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestName {
    /// As cargo knows it; `None` outside of tests.
    pub(crate) test: Option<String>,
    /// As its files are called.
    pub(crate) file: String,
}

impl TestName {
    /// The name of the test that runs in this thread, with a number from its second recording on.
    pub(crate) fn of_this_thread() -> Self {
        static SEEN: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main").map(String::from);
        let stem = test.as_ref().map_or_else(program, |test| test.replace("::", "-"));
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = seen.entry(stem.clone()).or_default();
        *nth = (*nth + 1).min(MAX_LOGS);
        let file = if *nth == 1 { stem } else { format!("{stem}-{nth}") };
        Self { test, file }
    }
}

/// Writes a log to `target/logwrites/NAME.log`, if there is such a place.
pub(crate) fn keep_log(name: &TestName, log: &[u8]) -> Option<PathBuf> {
    let folder = target()?.join("logwrites");
    fs::create_dir_all(&folder).ok()?;
    let path = folder.join(&name.file).with_extension("log");
    fs::write(&path, log).ok()?;
    Some(path)
}

/// The folder that cargo builds into: one above this program that cargo has tagged, or beside the package.
fn target() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let tagged = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.map(Path::to_path_buf).or_else(|| {
        let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
        package.ancestors().map(|folder| folder.join("target")).find(|folder| folder.is_dir())
    })
}

/// A test that records more has its last one under this number.
const MAX_LOGS: u32 = 20;

fn program() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    program.file_stem().map_or_else(|| "main".into(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_test_has_its_name() {
        let (first, second) = (TestName::of_this_thread(), TestName::of_this_thread());
        assert_eq!(first.file, "place-tests-the_log_of_a_test_has_its_name");
        assert_eq!(second.file, "place-tests-the_log_of_a_test_has_its_name-2");
        let path = keep_log(&second, b"a log").unwrap();
        assert!(path.ends_with("logwrites/place-tests-the_log_of_a_test_has_its_name-2.log"), "{path:?}");
        assert_eq!(fs::read(path).unwrap(), b"a log");
    }
}
