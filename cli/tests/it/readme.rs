//! The examples of the README are run, and print what it says.

use std::path::Path;

#[test]
fn the_readme_says_what_happens() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let script = fence(&readme, "```qemu-io");
    let dir = tempfile::tempdir().unwrap();
    // trycmd runs the examples of NAME.md in a copy of NAME.in.
    std::fs::write(dir.path().join("README.md"), &readme).unwrap();
    std::fs::create_dir(dir.path().join("README.in")).unwrap();
    std::fs::write(dir.path().join("README.in/changes.txt"), script).unwrap();
    trycmd::TestCases::new().case(dir.path().join("README.md")).run();
}

/// The text of the first fence that `opening` begins.
fn fence<'a>(text: &'a str, opening: &str) -> &'a str {
    let (_, behind) = text.split_once(opening).expect("the README has the fence");
    behind.split_once("```").expect("the fence is closed").0.trim_start()
}
