//! Every crate that the workspace is built and tested with has a licence that ours goes with, and is there once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than to be named.
const FREE: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn every_dependency_is_free_to_use() {
    let packages = packages();
    for package in &packages {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or("none"));
        assert!(is_free(licence), "{name} has the licence {licence}");
    }
    println!("{} crates", packages.len());
    assert!(packages.len() > 50);
}

/// Crates that are needed in two versions: by others, as long as they need them (`cargo tree --duplicates` shows which);
/// and redb, of which the crate `check` crashes a faulty release too.
const TWICE: [&str; 4] = ["bitflags", "hashbrown", "redb", "syn"];

#[test]
fn no_dependency_is_there_twice() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let text = |field: &str| package[field].as_str().expect(field).to_owned();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    let names: Vec<&str> = twice.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, TWICE, "{twice:?}");
}

/// Every crate of the lock file, of all systems.
fn packages() -> Vec<Value> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Whether one of the choices that a licence expression gives consists of free licences alone.
fn is_free(expression: &str) -> bool {
    let alternatives = split_outside(expression, &[" OR ", "/"]);
    if alternatives.len() > 1 {
        return alternatives.iter().any(|part| is_free(part));
    }
    let parts = split_outside(expression, &[" AND "]);
    if parts.len() > 1 {
        return parts.iter().all(|part| is_free(part));
    }
    let name = expression.trim();
    match name.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_free(inner),
        None => FREE.contains(&name.strip_suffix(" WITH LLVM-exception").unwrap_or(name)),
    }
}

/// The parts of an expression between separators that are in no parentheses.
fn split_outside<'a>(expression: &'a str, separators: &[&str]) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in expression.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let rest = expression.get(at..).unwrap_or_default();
        if depth == 0
            && at >= start
            && let Some(separator) = separators.iter().find(|separator| rest.starts_with(**separator))
        {
            parts.push(expression.get(start..at).unwrap_or_default());
            start = at + separator.len();
        }
    }
    parts.push(expression.get(start..).unwrap_or_default());
    parts
}

#[test]
fn an_expression_is_read_as_it_is_meant() {
    for free in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
    ] {
        assert!(is_free(free), "{free}");
    }
    for other in ["GPL-3.0", "none", "MIT AND GPL-2.0", "(MIT OR Zlib) AND (GPL-2.0 OR MPL-2.0)", ""] {
        assert!(!is_free(other), "{other}");
    }
}
