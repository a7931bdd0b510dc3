//! How far an exploration is, while it runs.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use logwrites_core::num::widen;

use crate::explore::{Check, Progress};
use crate::output::printable::Printable;
use crate::output::style::count;

/// How far an exploration is, on standard error, where a person looks.
pub(super) struct StatusLine {
    bar: ProgressBar,
}

impl StatusLine {
    pub(super) fn new(check: &Check) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(Printable(check.label().as_bytes()).to_string());
        Self { bar }
    }
}

impl Progress for StatusLine {
    fn show(&self, runs: u64, groups_decided: u64, groups: u64, failures: usize) {
        if !self.bar.is_hidden() {
            let failures = match failures {
                0 => String::new(),
                _ => format!(", {}", count(widen(failures), "way to fail", "ways to fail")),
            };
            self.bar
                .set_message(format!("{runs} runs, {groups_decided} of {groups} groups decided{failures}"));
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
