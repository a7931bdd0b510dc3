//! The real logs, made by Linux and QEMU.

use std::path::{Path, PathBuf};

use super::Folder;
use super::images::unpack;

/// A folder with a real log as `log`, and the disk before it as `base`.
pub(crate) fn golden(name: &str) -> Folder {
    let folder = Folder::new();
    unpack(&data().join(name).join("log.zst"), &folder.path("log"));
    unpack(&data().join(name).join("base.img.zst"), &folder.path("base"));
    folder
}

/// A folder with a single real log as `log`, of which no disk was kept.
pub(crate) fn single(name: &str) -> Folder {
    let folder = Folder::new();
    unpack(&data().join(format!("{name}.log.zst")), &folder.path("log"));
    folder
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden")
}
