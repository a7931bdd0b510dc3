//! A line that says how far long work is, on standard error: live on a terminal; elsewhere a new line now and then, so that
//! the log of a CI job shows life.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// The line. It is gone from a terminal when it is dropped.
#[derive(Debug)]
pub struct LiveLine<W: Write = io::Stderr> {
    name: String,
    place: Place<W>,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
enum Place<W> {
    Terminal(ProgressBar),
    Plain(Mutex<W>),
}

/// When something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    next: Duration,
    interval: Duration,
}

impl Pace {
    /// For the first time after `first`, and not sooner than after `interval` again.
    #[must_use]
    pub const fn new(first: Duration, interval: Duration) -> Self {
        Self { next: first, interval }
    }

    /// Whether something is to be told now, so long after the beginning.
    pub fn is_due(&mut self, elapsed: Duration) -> bool {
        let is_due = elapsed >= self.next;
        if is_due {
            self.next = elapsed + self.interval;
        }
        is_due
    }
}

impl LiveLine {
    /// Work that begins now, on standard error. `name` says what the work is, without what could steer a terminal.
    #[must_use]
    pub fn stderr(name: String) -> Self {
        if !io::stderr().is_terminal() {
            return Self::plain(name, io::stderr(), Pace::new(PLAIN_AFTER, PLAIN_INTERVAL));
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.clone());
        // The time is seen to go on while nothing else does.
        bar.enable_steady_tick(TICK);
        let pace = Mutex::new(Pace::new(Duration::ZERO, LIVE_INTERVAL));
        Self { name, place: Place::Terminal(bar), pace }
    }
}

impl<W: Write> LiveLine<W> {
    /// A new line of `out` each time.
    #[must_use]
    pub const fn plain(name: String, out: W, pace: Pace) -> Self {
        Self { name, place: Place::Plain(Mutex::new(out)), pace: Mutex::new(pace) }
    }

    /// Says how the work goes, if it is time to. `text` is asked for only then.
    pub fn show(&self, elapsed: Duration, text: impl FnOnce() -> String) {
        if !self.pace.lock().is_due(elapsed) {
            return;
        }
        match &self.place {
            Place::Terminal(bar) => bar.set_message(text()),
            Place::Plain(out) => {
                // The work matters, and not whether it can be told.
                let _ = writeln!(out.lock(), "{}: {} {}", self.name, text(), FormattedDuration(elapsed));
            }
        }
    }
}

impl<W: Write> Drop for LiveLine<W> {
    fn drop(&mut self) {
        if let Place::Terminal(bar) = &self.place {
            bar.finish_and_clear();
        }
    }
}

const TICK: Duration = Duration::from_secs(1);
const LIVE_INTERVAL: Duration = Duration::from_millis(100);
const PLAIN_AFTER: Duration = Duration::from_secs(10);
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_gets_a_line_when_work_is_long_and_then_now_and_then() {
        let page = Page::default();
        let line = LiveLine::plain("ext4".to_owned(), page.clone(), Pace::new(PLAIN_AFTER, PLAIN_INTERVAL));
        for second in 0..=75 {
            line.show(Duration::from_secs(second), || format!("{second} runs"));
        }
        let text = String::from_utf8(page.0.lock().clone()).expect("text");
        assert_eq!(text, "ext4: 10 runs 00:00:10\next4: 40 runs 00:00:40\next4: 70 runs 00:01:10\n");
    }

    #[test]
    fn nothing_is_told_of_short_work() {
        let page = Page::default();
        let line = LiveLine::plain("ext4".to_owned(), page.clone(), Pace::new(PLAIN_AFTER, PLAIN_INTERVAL));
        line.show(Duration::from_millis(9_999), || unreachable!("it is not time yet"));
        assert!(page.0.lock().is_empty());
    }
}
