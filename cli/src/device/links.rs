//! Symbolic links that may lead to nothing yet.

use std::io;
use std::path::{Path, PathBuf};

/// Where a file is that does not exist, or would be made: where a symbolic link that leads to nothing points, or the path
/// itself.
///
/// # Errors
/// If too many links follow one another.
pub fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = place.read_link() else { return Ok(place) };
        // A relative one is meant from where the link is.
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many symbolic links follow one another"))
}

/// Where a file is, or would be made, by its absolute path without symbolic links.
///
/// # Errors
/// The system's.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        resolved => return resolved,
    }
    let place = end_of_links(path)?;
    let name = place.file_name().ok_or(io::ErrorKind::NotFound)?;
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize()?.join(name))
}

/// How many links in a row are followed, as by Linux (`path_resolution(7)`).
const MAX_LINKS: u32 = 40;
