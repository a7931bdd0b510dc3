//! What a checker is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logwrites_core::history::Index;

use crate::device::Device;
use crate::disk::Disk;
use crate::files::Files;

/// A crash: the disk or the files as they were left, to be recovered and looked at.
#[derive(Debug)]
pub struct Crash<D: Device> {
    device: D,
    marks: Marks,
}

impl Crash<Disk> {
    /// The disk. What is written to it is gone when the checker returns.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.device
    }
}

impl Crash<Files> {
    /// The files. What is done to them is gone when the checker returns.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.device
    }
}

impl<D: Device> Crash<D> {
    pub(crate) const fn new(device: D, marks: Marks) -> Self {
        Self { device, marks }
    }

    /// Whether the workload had come to `mark(name)` before the crash.
    #[must_use]
    pub fn is_marked(&self, name: &str) -> bool {
        let point = self.marks.point();
        self.marks.index.marks_named(name.as_bytes()).next().is_some_and(|mark| mark < point)
    }

    /// The names of all marks that the workload had come to, in order.
    #[must_use]
    pub fn marks(&self) -> Vec<&str> {
        let point = self.marks.point();
        let marks = self.marks.index.marks().take_while(|mark| mark.entry < point);
        marks.filter_map(|mark| std::str::from_utf8(mark.text).ok()).collect()
    }

    /// The mark that the workload had come to last.
    #[must_use]
    pub fn last_mark(&self) -> Option<&str> {
        let mark = self.marks.index.last_mark(self.marks.point())?;
        std::str::from_utf8(mark.text).ok()
    }

    pub(crate) const fn device(&self) -> &D {
        &self.device
    }

    /// Whether the checker has looked at the marks. If not, its verdict holds whatever they are.
    pub(crate) fn has_looked_at_marks(&self) -> bool {
        self.marks.is_seen.load(Ordering::Relaxed)
    }
}

/// What was reached before a crash.
#[derive(Debug)]
pub(crate) struct Marks {
    index: Arc<Index>,
    point: u64,
    is_seen: AtomicBool,
}

impl Marks {
    pub(crate) const fn new(index: Arc<Index>, point: u64) -> Self {
        Self { index, point, is_seen: AtomicBool::new(false) }
    }

    /// For an answer that depends on it.
    fn point(&self) -> u64 {
        self.is_seen.store(true, Ordering::Relaxed);
        self.point
    }
}
