//! Progress of long work, on standard error, where a person looks.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that shows after a second, with rate and time left. In a pipe it shows nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    is_shown: bool,
}

impl Progress {
    /// Work over `total_bytes` bytes; `verb` says what is done, as in "reading".
    #[must_use]
    pub fn bytes(verb: &'static str, total_bytes: u64) -> Self {
        Self::new(
            verb,
            total_bytes,
            "{msg:9} {wide_bar} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        )
    }

    /// Work over `total` things.
    #[must_use]
    pub fn count(verb: &'static str, total: u64) -> Self {
        Self::new(verb, total, "{msg:9} {wide_bar} {human_pos} of {human_len}  {per_sec}  {eta} left")
    }

    fn new(verb: &'static str, total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(verb);
        Self { bar, started: Instant::now(), is_shown: false }
    }

    /// Says how far the work is.
    pub fn set(&mut self, position: u64) {
        if !self.is_shown && self.started.elapsed() > SHOWN_AFTER {
            self.is_shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.is_shown {
            self.bar.set_position(position);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const SHOWN_AFTER: Duration = Duration::from_secs(1);
