//! A workload that was recorded, and what is to be done with its crashes.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use embedded_io::{ErrorType, Read, Seek, SeekFrom};
use logwrites_core::geometry::{MAX_OFFSET_BYTES, SectorSize};
use logwrites_core::history::Index;
use logwrites_core::num::{clip, widen};
use logwrites_core::reader::Reader;

use crate::device::Device;
use crate::disk::{Disk, Shape};
use crate::files::{Files, Profile, Setup};
use crate::image::Image;
use crate::media::{Media, Recorded};
use crate::origin::logwrites_check_start;
use crate::place::{TestName, keep_log};

/// What a workload and a checker return: any error will do.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A disk of zeros of this size.
///
/// # Panics
/// If it is not a whole number of sectors, of 512 bytes unless [`sector_bytes`](NewDisk::sector_bytes) says otherwise.
#[must_use]
pub fn disk(size_bytes: u64) -> NewDisk {
    NewDisk { size_bytes, sector_size: SectorSize::B512, base: Arc::default() }.checked()
}

/// An empty folder.
///
/// ```
/// use logwrites_check::files;
///
/// // What is missing is `files.sync()`.
/// let recording = files().record(|files| {
///     let new = files.create("new")?;
///     new.write_at(b"dark = true", 0)?;
///     new.sync_all()?;
///     files.rename("new", "settings")?;
///     files.mark("saved");
///     Ok(())
/// });
/// let failure = recording.search(|crash| {
///     assert!(!crash.is_marked("saved") || crash.files().exists("settings")?);
///     Ok(())
/// });
/// assert!(failure.unwrap_err().to_string().contains("the renaming of new to settings"));
/// ```
#[must_use]
pub const fn files() -> NewFiles {
    NewFiles { profile: Profile::Strict }
}

/// A disk that a workload is to be recorded on: [`disk`].
#[derive(Clone, Debug)]
pub struct NewDisk {
    size_bytes: u64,
    sector_size: SectorSize,
    base: Arc<[u8]>,
}

impl NewDisk {
    /// What is on the disk from its start on; the rest is zeros.
    ///
    /// # Panics
    /// If it is longer than the disk.
    #[must_use]
    pub fn base(self, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { base: bytes.into(), ..self }.checked()
    }

    /// The size of a sector in bytes, which a crash keeps or loses as a whole: 512 or 4096.
    ///
    /// # Panics
    /// If it is not a power of two from 64 on, or the disk not a whole number of sectors.
    #[must_use]
    pub fn sector_bytes(self, sector_bytes: u32) -> Self {
        let sector_size = SectorSize::new(sector_bytes).filter(|size| size.bytes() >= 64);
        let sector_size = sector_size.expect("a sector has a power of two of bytes, at least 64");
        Self { sector_size, ..self }.checked()
    }

    /// Runs a workload, and records what it does to the disk.
    ///
    /// # Panics
    /// If the workload does, or fails.
    pub fn record(self, workload: impl FnOnce(&Disk) -> Outcome) -> Recording<Disk> {
        let Self { size_bytes, sector_size, base } = self;
        let shape = Shape { sector_size, size_bytes, notes_stacks: true, is_overdue: Arc::default() };
        let disk = Disk::new(Media::new(Image::Base(base), sector_size), shape);
        let outcome = logwrites_check_start(|| workload(&disk));
        Recording::new(outcome, disk.take().finish(), sector_size, size_bytes, ())
    }

    fn checked(self) -> Self {
        let Self { size_bytes, sector_size, base } = &self;
        assert!(
            sector_size.is_aligned(*size_bytes) && *size_bytes <= MAX_OFFSET_BYTES,
            "a disk of {size_bytes} bytes is not a whole number of sectors of {sector_size} bytes"
        );
        assert!(widen(base.len()) <= *size_bytes, "the base is longer than the disk");
        self
    }
}

/// A folder that a workload is to be recorded on: [`files`].
#[derive(Clone, Copy, Debug)]
pub struct NewFiles {
    profile: Profile,
}

impl NewFiles {
    /// What a crash may do to what was not synced.
    #[must_use]
    pub const fn profile(self, profile: Profile) -> Self {
        Self { profile }
    }

    /// Runs a workload, and records what it does to the files.
    ///
    /// # Panics
    /// If the workload does, or fails.
    pub fn record(self, workload: impl FnOnce(&Files) -> Outcome) -> Recording<Files> {
        let (sector_size, size_bytes) = (SectorSize::B512, MAX_OFFSET_BYTES - MAX_OFFSET_BYTES % 512);
        let shape = Shape { sector_size, size_bytes, notes_stacks: true, is_overdue: Arc::default() };
        let disk = Disk::new(Media::new(Image::Base(Arc::default()), sector_size), shape);
        let files = Files::mount(disk.clone(), Setup::new(self.profile));
        let outcome = logwrites_check_start(|| workload(&files));
        let setup = files.setup();
        drop(files);
        Recording::new(outcome, disk.take().finish(), sector_size, size_bytes, setup)
    }
}

/// A workload that was recorded: on a [`Disk`] or on [`Files`].
///
/// Its log is in `target/logwrites/`, named after the test.
#[derive(Clone, Debug)]
pub struct Recording<D: Device> {
    pub(crate) recorded: Recorded,
    pub(crate) index: Arc<Index>,
    pub(crate) sector_size: SectorSize,
    pub(crate) size_bytes: u64,
    pub(crate) setup: D::Setup,
    pub(crate) name: TestName,
    /// Where its log is, if it could be written.
    pub(crate) path: Option<PathBuf>,
    pub(crate) options: Options,
}

/// How the states are made and run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) torn_bytes: Option<u64>,
    pub(crate) nested: u32,
    pub(crate) max_runs: Option<u64>,
    pub(crate) timeout: Duration,
    pub(crate) ordering: logwrites_core::Ordering,
    pub(crate) nr_threads: usize,
}

/// Options.
impl<D: Device> Recording<D> {
    /// Also tears writes that are in flight: of each, any of the parts of so many bytes is lost on its own.
    ///
    /// # Panics
    /// If it is not a whole number of sectors.
    #[must_use]
    pub fn torn(mut self, unit_bytes: u64) -> Self {
        let is_whole = unit_bytes > 0 && self.sector_size.is_aligned(unit_bytes);
        assert!(
            is_whole,
            "{unit_bytes} bytes are not a whole number of sectors of {} bytes",
            self.sector_size
        );
        self.options.torn_bytes = Some(unit_bytes);
        self
    }

    /// Also crashes the recovery: what a checker has written when it is done is crashed again, to so many levels. From
    /// each state that is run, all crashes of its recovery are decided.
    #[must_use]
    pub fn nested(mut self, levels: u32) -> Self {
        self.options.nested = levels;
        self
    }

    /// Ends the search after so many runs. What is not decided by then is said in the report, and is no failure.
    #[must_use]
    pub fn limit(mut self, nr_runs: u64) -> Self {
        self.options.max_runs = Some(nr_runs);
        self
    }

    /// How long a run may take, 10 s unless said otherwise. One that takes longer fails.
    ///
    /// A run is ended when it next uses its disk. One that does not use it for 5 s more cannot be ended, and the process
    /// is aborted.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// What the order of the log means. It is recorded in completion order; durability order is for those who want the
    /// fewer states that a log of Linux's can tell.
    #[must_use]
    pub fn ordering(mut self, ordering: logwrites_core::Ordering) -> Self {
        self.options.ordering = ordering;
        self
    }

    /// How many checkers run at a time: as many as there are processors, unless said otherwise.
    #[must_use]
    pub fn threads(mut self, nr_threads: usize) -> Self {
        self.options.nr_threads = nr_threads.max(1);
        self
    }

    /// The entries of the log.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &[u8] {
        &self.recorded.log
    }
}

impl<D: Device> Recording<D> {
    fn new(
        outcome: Outcome,
        recorded: Recorded,
        sector_size: SectorSize,
        size_bytes: u64,
        setup: D::Setup,
    ) -> Self {
        let name = TestName::of_this_thread();
        let path = keep_log(&name, &recorded.log);
        if let Err(error) = outcome {
            panic!("the workload failed: {error}");
        }
        let index = Arc::new(index_of(&recorded.log));
        let options = Options {
            torn_bytes: None,
            nested: 0,
            max_runs: None,
            timeout: Duration::from_secs(10),
            ordering: logwrites_core::Ordering::Completion,
            nr_threads: std::thread::available_parallelism().map_or(1, usize::from),
        };
        Self { recorded, index, sector_size, size_bytes, setup, name, path, options }
    }
}

/// The index of a log that was written here.
pub(crate) fn index_of(log: &[u8]) -> Index {
    let mut reader =
        Reader::open(Bytes { bytes: log, at: 0 }).expect("a log of our own begins with a superblock");
    Index::read(&mut reader).expect("a log of our own is whole")
}

/// A slice that is read and sought.
struct Bytes<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl ErrorType for Bytes<'_> {
    type Error = io::Error;
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = &self.bytes[clip(self.at, self.bytes.len())..];
        let len = there.len().min(buffer.len());
        buffer[..len].copy_from_slice(&there[..len]);
        self.at += widen(len);
        Ok(len)
    }
}

impl Seek for Bytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => widen(self.bytes.len()).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
