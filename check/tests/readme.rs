//! What the READMEs show is what happens.

#![allow(clippy::panic_in_result_fn, reason = "it is a test")]

use std::io;

use logwrites_check::{Disk, disk};

const README: &str = include_str!("../README.md");
const TOP_README: &str = include_str!("../../README.md");

/// The register of the README, without its flush.
struct Register<'a>(&'a Disk);

impl Register<'_> {
    fn write(&self, number: u8) -> io::Result<()> {
        self.0.write_at(&[number; 512], u64::from(number % 2) * 512)
    }

    fn read(&self) -> io::Result<u8> {
        let mut copies = [0; 1024];
        self.0.read_at(&mut copies, 0)?;
        Ok(copies[0].max(copies[512]))
    }
}

#[test]
fn the_register_survives() {
    let recording = disk(16 << 20).record(|disk| {
        for number in 1..=100 {
            Register(disk).write(number)?;
            disk.mark(&number.to_string());
        }
        Ok(())
    });
    let failure = recording.threads(1).search(|crash| {
        let number = Register(crash.disk()).read()?;
        let marked = crash.last_mark().map_or(Ok(0), str::parse)?;
        assert!(number >= marked, "{marked} was written, and {number} is there");
        Ok(())
    });
    let message = failure.expect_err("without a flush it is lost").to_string();
    let shown = block(README, "```text\n");
    // Lines of code and folders differ.
    let words = |text: &str| -> Vec<String> {
        let is_same = |line: &&str| !line.contains("tests/") && !line.starts_with("log: ");
        text.lines().filter(is_same).map(String::from).collect()
    };
    assert_eq!(words(shown), words(&message), "{message}");
    assert_eq!(shown.lines().count(), message.lines().count(), "{message}");
}

/// The example of the package's README is its doctest.
#[test]
fn the_readme_of_the_tool_has_the_same_example() {
    assert_eq!(block(TOP_README, "```rust\n"), block(README, "```rust\n"));
}

fn block<'a>(text: &'a str, start: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("there is such a block");
    rest.split_once("```").expect("it ends").0
}
