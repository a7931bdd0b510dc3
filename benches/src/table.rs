//! Rows, printed as soon as they are measured, and written into the tables of a Markdown file.
//!
//! A table of the file lies between `<!-- benches: NAME... -->`, which names its scenarios, and `<!-- /benches -->`. A new
//! row replaces the one that compares the same two things; if there is none, it becomes the last one.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

/// What a run has measured so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    scenario: &'static str,
    rows: Vec<(&'static str, Row)>,
}

/// A row: two things, their times, and the ratio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) beside: String,
    pub(crate) peer: String,
    pub(crate) ratio: String,
}

impl Table {
    /// Prints the heading.
    pub(crate) fn begin() -> Self {
        println!("{HEADING}");
        Self::default()
    }

    /// The rows to come are of this scenario.
    pub(crate) const fn enter(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Prints a row, and keeps it.
    pub(crate) fn add(&mut self, row: Row) {
        println!("{row}");
        self.rows.push((self.scenario, row));
    }

    #[cfg(test)]
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|(_, row)| row)
    }

    /// Writes the rows into the tables of a file.
    pub(crate) fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let text = self.rows.iter().try_fold(text, |text, (scenario, row)| {
            with_row(&text, scenario, row)
                .with_context(|| format!("{} has no table for {scenario}", path.display()))
        })?;
        std::fs::write(path, text).with_context(name)
    }
}

impl Row {
    /// Takes a row of Markdown apart.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> =
            line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [what, ours, beside, peer, ratio] = <[&str; 5]>::try_from(cells).ok()?.map(ToOwned::to_owned);
        Some(Self { what, ours, beside, peer, ratio })
    }

    fn compares_what(&self, other: &Self) -> bool {
        (&self.what, &self.beside) == (&other.what, &other.beside)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, ours, beside, peer, ratio } = self;
        write!(f, "| {what} | {ours} | {beside} | {peer} | {ratio} |")
    }
}

/// The text with a row in the table of a scenario; `None` if there is no such table.
fn with_row(text: &str, scenario: &str, row: &Row) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let start = lines.iter().position(|line| is_start(line, scenario))?;
    let end = start + lines.get(start..)?.iter().position(|line| line == END)?;
    let same = |line: &String| Row::parse(line).is_some_and(|old| old.compares_what(row));
    match lines.get(start..end)?.iter().position(same) {
        Some(at) => *lines.get_mut(start + at)? = row.to_string(),
        None => {
            let last = lines.get(start..end)?.iter().rposition(|line| line.starts_with('|'));
            lines.insert(start + last.unwrap_or(0) + 1, row.to_string());
        }
    }
    Some(lines.join("\n") + "\n")
}

fn is_start(line: &str, scenario: &str) -> bool {
    let names = line.strip_prefix(START).and_then(|rest| rest.strip_suffix(" -->"));
    names.is_some_and(|names| names.split(' ').any(|name| name == scenario))
}

const HEADING: &str =
    "| what | min / median / max | beside | min / median / max | ratio |\n|---|---:|---|---:|---:|";

const START: &str = "<!-- benches: ";
const END: &str = "<!-- /benches -->";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: &str, beside: &str, ratio: &str) -> Row {
        Row {
            what: what.to_owned(),
            ours: "1 s".to_owned(),
            beside: beside.to_owned(),
            peer: "2 s".to_owned(),
            ratio: ratio.to_owned(),
        }
    }

    const TEXT: &str = "\
before
<!-- benches: core replay -->

| what | ours | beside | peer | ratio |
|---|---:|---|---:|---:|
| a | 5 s | b | 5 s | 1.00 |
| a | 5 s | c | 5 s | 1.00 |

<!-- /benches -->
after
";

    #[test]
    fn a_row_replaces_the_one_that_compares_the_same() {
        let text = with_row(TEXT, "replay", &row("a", "c", "0.50"));
        let expected = TEXT.replace("| a | 5 s | c | 5 s | 1.00 |", "| a | 1 s | c | 2 s | 0.50 |");
        assert_eq!(text.as_deref(), Some(expected.as_str()));
    }

    #[test]
    fn a_new_row_is_the_last_one() {
        let text = with_row(TEXT, "core", &row("new", "c", "0.50")).expect("the table is there");
        assert!(
            text.contains("| c | 5 s | 1.00 |\n| new | 1 s | c | 2 s | 0.50 |\n\n<!-- /benches -->\n"),
            "{text}"
        );
    }

    #[test]
    fn other_tables_stay() {
        assert_eq!(with_row(TEXT, "nbd", &row("a", "b", "0.50")), None);
    }

    #[test]
    fn the_readme_has_a_table_for_each_scenario() {
        let readme = std::fs::read_to_string(crate::bench::repository().join("README.md")).expect("text");
        for scenario in crate::scenarios::Scenario::ALL {
            assert!(with_row(&readme, scenario.name(), &row("a", "b", "1")).is_some(), "{}", scenario.name());
        }
    }
}
