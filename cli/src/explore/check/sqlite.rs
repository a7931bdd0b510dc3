//! A check of a database of SQLite's.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use logwrites_core::contents::FileSystemKind;

use super::error::CheckError;
use super::extract::{self, InnerPath, ParseInnerPathError};
use super::judgement::{Judgement, Outcome};
use super::run::{Program, Run};

/// A database, which must open and be intact; and a question about it, which must be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    path: InnerPath,
    /// An expression or a query in SQL, in which `:mark` is the last mark.
    question: Option<String>,
}

impl Database {
    /// Whether it looks at the last mark.
    pub(super) const fn has_question(&self) -> bool {
        self.question.is_some()
    }

    pub(super) fn prepare(&self, file_system: Option<FileSystemKind>) -> Result<(), CheckError> {
        SQLITE.command()?;
        extract::prepare(&self.to_string(), file_system)
    }

    /// The database comes with the files that a crash leaves beside it: SQLite recovers by them.
    pub(super) fn judge(&self, run: &Run<'_>) -> Result<Judgement, CheckError> {
        let beside = ["", "-journal", "-wal"];
        let paths = beside.map(|suffix| self.path.with(suffix));
        let files = match run.extract(&paths)? {
            Ok(files) => files,
            Err(judgement) => return Ok(judgement),
        };
        let question = self.question.as_deref().zip(run.around.told);
        let Some(Some(database)) = files.first() else {
            return Ok(match question {
                None => Judgement::pass(),
                Some(_) => Judgement::fail(format!("{} is missing", self.path.as_str())),
            });
        };
        for (file, suffix) in files.iter().zip(beside).skip(1) {
            let Some(file) = file else { continue };
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            let moved = std::fs::rename(file, name);
            moved.map_err(|source| CheckError::System { check: self.to_string(), source })?;
        }
        let intact = ask(run, database, None, "PRAGMA integrity_check;", |answer| answer == "ok")?;
        match question {
            Some((question, mark)) if intact.outcome == Outcome::Pass => {
                ask(run, database, Some(mark), question, is_true)
            }
            _ => Ok(intact),
        }
    }
}

/// Asks a database, and judges the answer.
fn ask(
    run: &Run<'_>,
    database: &Path,
    mark: Option<&str>,
    question: &str,
    is_good: impl Fn(&str) -> bool,
) -> Result<Judgement, CheckError> {
    let mut command = SQLITE.command()?;
    if let Some(mark) = mark {
        command.args(["-cmd", ".parameter init", "-cmd", &format!(".parameter set :mark {}", literal(mark))]);
    }
    command.arg(database).arg(question);
    let judgement = run.command(SQLITE.name, command, SQLITE.passes)?;
    if judgement.outcome != Outcome::Pass || is_good(&judgement.output) {
        return Ok(judgement);
    }
    Ok(Judgement::fail(format!("{question}\n{}", judgement.output)))
}

/// A mark as SQL has it, so that one that is a number can be compared with numbers; and that in quotes of the shell's own.
fn literal(mark: &str) -> String {
    if mark.parse::<i64>().is_ok() {
        return mark.to_owned();
    }
    let text = format!("'{}'", mark.replace('\'', "''"));
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As SQL has it: neither empty, nor zero.
fn is_true(answer: &str) -> bool {
    answer.parse().map_or(!answer.is_empty(), |number: f64| number != 0.0)
}

/// `PATH`, or `PATH?QUESTION`.
impl FromStr for Database {
    type Err = ParseInnerPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, question) = match text.split_once('?') {
            Some((path, question)) => (path, Some(question.trim())),
            None => (text, None),
        };
        let question = question.filter(|question| !question.is_empty()).map(|question| {
            let is_query = ["select", "with", "values", "pragma"]
                .iter()
                .any(|word| question.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
            if is_query { question.to_owned() } else { format!("SELECT {question}") }
        });
        Ok(Self { path: InnerPath::new(path)?, question })
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.as_str())?;
        self.question.as_ref().map_or(Ok(()), |question| write!(f, "?{question}"))
    }
}

const SQLITE: Program = Program {
    name: "sqlite3",
    package: "sqlite3",
    args: &["-batch", "-bail", "-init", "/dev/null"],
    passes: &[0],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_may_be_an_expression() {
        let text = |text: &str| text.parse::<Database>().map(|database| database.to_string());
        assert_eq!(text("/a/t.db").unwrap(), "a/t.db");
        assert_eq!(text("t.db?1 = :mark").unwrap(), "t.db?SELECT 1 = :mark");
        assert_eq!(text("t.db?SELECT 1").unwrap(), "t.db?SELECT 1");
        assert_eq!(text("t.db?").unwrap(), "t.db");
        for bad in ["", "/", "../t.db", "t\"", "a/"] {
            assert!(bad.parse::<Database>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mark_is_a_number_or_a_text() {
        assert_eq!(literal("-12"), "-12");
        assert_eq!(literal("it's \"so\""), "\"'it''s \\\"so\\\"'\"");
        assert_eq!(["1", "0", "0.0", "", "yes"].map(is_true), [true, false, false, false, true]);
    }
}
