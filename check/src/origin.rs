//! Where in the workload a write came from.

use std::panic::Location;
use std::path::{Component, Path, PathBuf};

/// The place of a call, and the calls that led to it.
///
/// A location costs nothing. The calls above it are kept as addresses, which cost some microseconds, and are looked
/// up only for a message.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    caller: &'static Location<'static>,
    stack: Box<[usize]>,
}

impl Origin {
    /// The caller alone.
    #[track_caller]
    pub(crate) fn caller() -> Self {
        Self { caller: Location::caller(), stack: Box::default() }
    }

    /// The same place, with the calls that led here.
    pub(crate) fn with_stack(self) -> Self {
        let mut stack = Vec::with_capacity(MAX_DEPTH);
        backtrace::trace(|frame| {
            stack.push(frame.ip().addr());
            stack.len() < MAX_DEPTH
        });
        Self { stack: stack.into(), ..self }
    }

    /// `FILE:LINE`, then the lines above it, up to where the workload was started.
    pub(crate) fn describe(&self) -> String {
        let mut frames = self.frames();
        let caller = (PathBuf::from(self.caller.file()), self.caller.line());
        // The compiler names a file from the folder of the workspace on, and debug information from the root on.
        let root = frames.iter().find_map(|(file, _)| folder_of(file, &caller.0));
        if !is_ours(&caller.0) {
            frames.insert(0, caller);
        }
        let mut places: Vec<String> = Vec::new();
        for run in
            frames.chunk_by(|(a, _), (b, _)| package_name(a).is_some() && package_name(a) == package_name(b))
        {
            // Of the calls within a package, the first and the last.
            for (file, line) in run.last().into_iter().chain(run.first()).rev() {
                let place = format!("{}:{line}", shown(file, root.as_deref()));
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        places.truncate(MAX_SHOWN);
        places.join(", from ")
    }

    /// The files and lines of the stack that are neither ours nor the standard library's, the innermost first; those above
    /// the start of the workload are left out.
    fn frames(&self) -> Vec<(PathBuf, u32)> {
        let (mut frames, mut is_below_start) = (Vec::new(), true);
        for &address in &self.stack {
            // The call is before the address that it returns to.
            backtrace::resolve(std::ptr::without_provenance_mut(address.wrapping_sub(1)), |symbol| {
                let name = symbol.name().map(|name| name.to_string()).unwrap_or_default();
                is_below_start &= !name.contains(START);
                if let (true, Some(file), Some(line)) = (is_below_start, symbol.filename(), symbol.lineno())
                    && !is_ours(file)
                    && !is_standard(file)
                {
                    frames.push((file.to_path_buf(), line));
                }
            });
        }
        frames
    }
}

/// Runs a workload, in a function whose name ends the stacks that are shown.
#[inline(never)]
pub(crate) fn logwrites_check_start<T>(workload: impl FnOnce() -> T) -> T {
    let result = workload();
    // Keeps this call from being a tail call, which would leave no frame.
    std::hint::black_box(());
    result
}

const START: &str = "logwrites_check_start";

/// Whether a file is of this crate's sources, not of its tests or examples, or of what looks at the stack.
fn is_ours(file: &Path) -> bool {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    file.starts_with(&ours) || file.starts_with("check/src") || package(file).is_some_and(is_backtrace)
}

fn is_backtrace(path: &Path) -> bool {
    path.components()
        .next()
        .is_some_and(|name| name.as_os_str().as_encoded_bytes().starts_with(b"backtrace-"))
}

fn is_standard(file: &Path) -> bool {
    file.starts_with("/rustc") || file.components().any(|part| part.as_os_str() == "rustlib")
}

/// The path of a file in the registry, from its package on.
fn package(file: &Path) -> Option<&Path> {
    let mut parts = file.components();
    parts.by_ref().find(|part| part.as_os_str() == "registry")?;
    // src/INDEX/PACKAGE/…
    parts.nth(1)?;
    Some(parts.as_path())
}

/// The package of the registry that a file is in.
fn package_name(file: &Path) -> Option<Component<'_>> {
    package(file)?.components().next()
}

/// The folder in which a relative path leads to a file.
fn folder_of(file: &Path, relative: &Path) -> Option<PathBuf> {
    let is_in_it = file.is_absolute() && file.ends_with(relative);
    is_in_it
        .then(|| file.components().take(file.components().count() - relative.components().count()).collect())
}

/// A path as people know it: from the folder of the workspace on, or from the name of a package of the registry.
fn shown(file: &Path, root: Option<&Path>) -> String {
    let within = package(file).or_else(|| file.strip_prefix(root?).ok());
    within.unwrap_or(file).display().to_string()
}

/// How many calls are kept.
const MAX_DEPTH: usize = 64;

/// How many lines are shown.
const MAX_SHOWN: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_registry_begins_with_its_package() {
        let file = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/redb-4.1.0/src/db.rs";
        assert_eq!(shown(Path::new(file), None), "redb-4.1.0/src/db.rs");
        assert!(is_ours(&Path::new(file).ancestors().nth(3).unwrap().join("backtrace-0.3.77/src/lib.rs")));
        let root = folder_of(Path::new("/home/me/ours/tests/a.rs"), Path::new("tests/a.rs")).unwrap();
        assert_eq!(shown(Path::new("/home/me/ours/src/b.rs"), Some(&root)), "src/b.rs");
        assert!(is_standard(Path::new("/rustc/59807616e/library/core/src/ops/function.rs")));
        assert!(is_ours(Path::new(file!())), "{}", file!());
    }
}
