//! A disk whose writes live in the log: the base image is never touched, and each byte is written once.

use crate::command::{Command, LogId};
use crate::config::{Config, ConfigError, Ordering};
use crate::drive::Recorder;
use crate::geometry::SectorSize;
use crate::history::{ExtentMap, Source};
use crate::logger::{Logged, Logger, NotInFlight, SubmitError};
use crate::op::{Op, OpError, Outcome, Tag};
use crate::reader::{Position, ResumePoint};

/// A [`Logger`] in completion order, and the live map of where the disk's bytes are. There is no data device, and so
/// no [`Command::Data`] to carry out: an operation is complete as soon as no older one that it overlaps is ahead of
/// it. Reads come through [`map`](Self::map): from the base, from the log, or zeros.
///
/// An extent enters the map when its log write and those of all entries before it have completed, and so never later
/// than its operation is acknowledged. Until then a read sees what was there before.
#[derive(Clone, Debug)]
pub struct Overlay<const N: usize> {
    logger: Logger<N>,
    map: ExtentMap,
}

impl<const N: usize> Overlay<N> {
    /// An overlay with a new log over an untouched base. The configuration's ordering is taken as
    /// [`Ordering::Completion`].
    ///
    /// # Errors
    /// As [`Logger::new`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let logger = Logger::new(Config { ordering: Ordering::Completion, ..config })?;
        let map = ExtentMap::new(config.sector_size);
        Ok(Self { logger, map })
    }

    /// An overlay that continues a log; `map` is what the entries before `point` left, as
    /// [`Index::map_at`](crate::history::Index::map_at) gives it.
    ///
    /// # Errors
    /// As [`Logger::resume`].
    pub fn resume(config: Config, point: ResumePoint, map: ExtentMap) -> Result<Self, ConfigError> {
        let logger = Logger::resume(Config { ordering: Ordering::Completion, ..config }, point)?;
        Ok(Self { logger, map })
    }

    /// Where the bytes of the disk are.
    #[must_use]
    pub const fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// The logger.
    #[must_use]
    pub const fn logger(&self) -> &Logger<N> {
        &self.logger
    }
}

impl<const N: usize> Recorder for Overlay<N> {
    fn config(&self) -> &Config {
        self.logger.config()
    }

    fn submit(&mut self, tag: Tag, op: Op) -> Result<(), SubmitError> {
        self.logger.submit(tag, op)
    }

    /// The data device is never asked for anything.
    fn complete(&mut self, _tag: Tag, _outcome: Outcome) -> Result<(), NotInFlight> {
        Err(NotInFlight)
    }

    fn log_complete(&mut self, id: LogId, outcome: Outcome) -> Result<(), NotInFlight> {
        let sector_size = self.logger.config().sector_size;
        let map = &mut self.map;
        self.logger.log_complete_with(id, outcome, |logged| apply(map, sector_size, logged))
    }

    fn poll(&mut self) -> Option<Command> {
        loop {
            match self.logger.poll()? {
                Command::Data { tag, .. } => {
                    let completed = self.logger.complete(tag, Outcome::Ok);
                    debug_assert_eq!(completed, Ok(()), "it was given out a moment ago");
                }
                command => return Some(command),
            }
        }
    }

    fn finish(&mut self) {
        self.logger.finish();
    }

    fn logged(&self) -> Position {
        self.logger.logged()
    }

    fn reach_bytes(&self, op: Op) -> u64 {
        self.logger.reach_bytes(op)
    }

    fn is_unflushed(&self) -> bool {
        self.logger.is_unflushed()
    }

    fn failure(&self) -> Option<OpError> {
        self.logger.failure()
    }
}

fn apply(map: &mut ExtentMap, sector_size: SectorSize, logged: Logged) {
    let offset_bytes = logged.offset_bytes;
    match logged.op {
        Some(Op::Write { extent, .. }) => {
            map.insert(extent, Source::Log { offset_bytes: offset_bytes + sector_size.bytes() });
        }
        Some(Op::WriteZeroes { extent, .. } | Op::Discard { extent }) => {
            map.insert(extent, Source::Zeros { entry_offset_bytes: offset_bytes });
        }
        Some(Op::Flush | Op::Mark { .. }) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;
    use crate::op::WriteFlags;
    use std::vec::Vec;

    #[test]
    fn an_extent_enters_the_map_in_log_order_and_before_it_is_acknowledged() {
        let mut overlay = Overlay::<4>::new(Config::new(SectorSize::B512)).unwrap();
        while let Some(command) = overlay.poll() {
            let (Command::Log { id, .. } | Command::FlushLog { id }) = command else { panic!("{command:?}") };
            overlay.log_complete(id, Outcome::Ok).unwrap();
        }
        let write =
            |sector| Op::Write { extent: Extent::new(sector, 2).unwrap(), flags: WriteFlags::empty() };
        overlay.submit(Tag::new(0), write(0)).unwrap();
        overlay.submit(Tag::new(1), write(1)).unwrap();
        let mut ids = Vec::new();
        while let Some(Command::Log { id, .. }) = overlay.poll() {
            ids.push(id);
        }
        assert_eq!(ids.len(), 2);
        overlay.log_complete(ids[1], Outcome::Ok).unwrap();
        assert!(overlay.map().is_empty(), "the first entry is still missing");
        assert_eq!(overlay.poll(), None);
        overlay.log_complete(ids[0], Outcome::Ok).unwrap();
        assert_eq!(overlay.map().get(0), Some(Source::Log { offset_bytes: 1024 }));
        assert_eq!(overlay.map().get(1), Some(Source::Log { offset_bytes: 2560 }));
        assert_eq!(overlay.map().get(2), Some(Source::Log { offset_bytes: 3072 }));
        assert_eq!(overlay.poll(), Some(Command::Done { tag: Tag::new(0), result: Ok(()) }));
    }
}
