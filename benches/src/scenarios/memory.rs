//! A folder in memory, for servers that are measured without a disk.

use tempfile::TempDir;

use crate::bench::check_free;

/// Makes a folder in memory that has so many bytes.
pub(super) fn folder(need_bytes: u64) -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("logwrites-bench.").tempdir_in("/dev/shm")?;
    check_free(folder.path(), need_bytes, "this scenario takes as much memory")?;
    Ok(folder)
}
