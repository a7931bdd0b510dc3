//! The commands of entries, superblocks and flushes of the log, and of its end.

use super::commit::Step;
use super::{Logger, Stage};
use crate::command::{Command, LogId, LogTarget, LogWrite, OwnMark, Record};
use crate::op::Tag;

impl<const N: usize> Logger<N> {
    pub(super) fn entry_write(&self, tag: Tag) -> LogWrite {
        let slot = self.slots.at(tag);
        let record = if slot.is_indeterminate() {
            Record::OwnMark(OwnMark::Indeterminate(slot.extent()))
        } else {
            Record::Op { tag, op: slot.op }
        };
        let sector_size = self.config.sector_size;
        LogWrite { offset_bytes: sector_size.bytes_of(slot.log_sector), record, sector_size }
    }

    /// What is to be done once nothing else is: apart, so that it costs the commands of every operation nothing.
    #[inline(never)]
    pub(super) fn poll_commit(&mut self) -> Option<Command> {
        match self.commit.next() {
            Some(step) => Some(self.commit_command(step)),
            None => self.close(),
        }
    }

    fn commit_command(&self, step: Step) -> Command {
        match step {
            Step::Flush => Command::FlushLog { id: LogId(LogTarget::Flush) },
            Step::Superblock { nr_entries } => {
                assert!(nr_entries <= self.nr_entries, "a superblock counts only entries that exist");
                let sector_size = self.config.sector_size;
                let write =
                    LogWrite { offset_bytes: 0, record: Record::Superblock { nr_entries }, sector_size };
                Command::Log { id: LogId(LogTarget::Superblock), write }
            }
        }
    }

    /// The commands of a logger that has nothing else to do.
    fn close(&mut self) -> Option<Command> {
        match self.stage {
            Stage::Finishing if self.slots.occupied() == 0 && self.is_usable() => {
                if self.config.closing_bytes() > 0 && self.failed_at.is_none() {
                    return Some(self.end_mark());
                }
                self.commit_all();
                self.poll()
            }
            Stage::Committing if self.commit.is_idle() => {
                self.stage = Stage::Finished;
                Some(Command::Finished)
            }
            Stage::Open | Stage::Finishing | Stage::EndMark | Stage::Committing | Stage::Finished => None,
        }
    }

    /// Whether the log has been opened, or never will be.
    fn is_usable(&self) -> bool {
        self.commit.is_open() || self.failed_at.is_some()
    }

    fn end_mark(&mut self) -> Command {
        self.stage = Stage::EndMark;
        self.nr_entries += 1;
        let sector_size = self.config.sector_size;
        let offset_bytes = sector_size.bytes_of(self.space.place_closing());
        let write = LogWrite { offset_bytes, record: Record::OwnMark(OwnMark::End), sector_size };
        Command::Log { id: LogId(LogTarget::EndMark), write }
    }

    pub(super) fn complete_end_mark(&mut self, ok: bool) {
        if ok {
            self.commit.entries_written(self.nr_entries);
            self.logged_sectors = self.space.end_sector();
        } else {
            self.fail_log(self.nr_entries - 1);
        }
        self.commit_all();
    }

    /// Makes all that is in the log durable, as the last step.
    fn commit_all(&mut self) {
        self.stage = Stage::Committing;
        self.commit.request_durable(self.failed_at.unwrap_or(self.nr_entries));
    }
}
