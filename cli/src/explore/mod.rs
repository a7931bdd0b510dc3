//! Exploring the crashes of a log: a checker is run on states of the disk until all of them are decided.
//!
//! | part | what it does |
//! |---|---|
//! | [`Recording`] | the log and its base, and the contents of any of their sectors as a hash |
//! | `crash_disk` | the disk of one state: what a checker writes stays apart, and what it reads is watched |
//! | `reads` | what was read, each sector once |
//! | [`Written`] | what a checker wrote, as a log: with the state as its base, that is a [`Recording`] too |
//! | `state_file` | such a disk as a file, by FUSE |
//! | `state_nbd` | the same for clients of NBD |
//! | `place` | where a job's checker finds its disk, the same for all jobs |
//! | [`Check`] | what judges a state: a preset, a database, promised files, or a command |
//! | `recovery` | what a check did to a disk as one more recording, and all crashes of that |
//! | `judge` | how a state is judged: by a run of the check, and with `--nested` by all crashes of that run, too |
//! | `way` | how a run ended, so that one way to fail is told from another |
//! | [`Finding`] | a way to fail, and the least that it takes |
//! | `names` | what the lost writes are to the file system |
//! | [`Block`] | where a state that fails differs from the nearest one that passes |
//! | [`Report`] | what was found, as data |
//! | [`words`] | the same in sentences |
//! | [`OutDir`] | the folder that keeps what every run has proved, so that nothing is run twice, and what was found |
//! | [`Partition`] | which part of an exploration one of several machines does |
//! | [`merge`](merge()) | the parts of an exploration as one |
//! | [`Timeline`] | the log as a picture of a fixed size |
//! | [`Page`] | all of it as one file of HTML |
//! | [`junit()`] | the same for machines that run tests |
//! | `shell` | a shell in which a person looks at one state |
//! | `schedule` | which state is next, over all groups, for several jobs |
//! | [`Standing`] | how far it is, while it runs |
//! | [`Explorer`] | the whole: jobs, what is proved, what is run twice, the causes of failures |
//!
//! What states there are, and which of them a run decides, is [`logwrites_core::crash`]'s matter.

mod block;
mod check;
mod crash_disk;
mod digest;
mod error;
#[cfg(test)]
mod example;
mod explorer;
mod finding;
mod judge;
mod junit;
mod merge;
mod names;
mod out_dir;
mod page;
mod partition;
mod place;
mod reads;
mod recording;
mod recovery;
mod report;
mod schedule;
mod shell;
mod standing;
mod state_file;
mod state_nbd;
mod timeline;
mod way;
pub mod words;
mod written;

pub use self::block::Block;
pub use self::check::{
    Check, CheckError, Database, InnerPath, PRESETS, ParseCheckError, ParseInnerPathError, Preset, Promise,
    PromisedFile,
};
pub use self::error::ExploreError;
pub use self::explorer::{Budget, Explored, Explorer, Judged, Options, Verdict};
pub use self::finding::{Finding, FirstPoint, InRecovery};
pub use self::junit::junit;
pub use self::merge::{MergeError, merge};
pub use self::out_dir::{Hashed, OutDir, OutDirError, Plan, Results};
pub use self::page::Page;
pub use self::partition::{ParsePartitionError, Partition};
pub use self::recording::{AnyRecording, Files, Ground, Recording};
pub use self::report::{
    CrashReport, Decimal, FindingReport, GroupReport, LostKind, LostWrite, RecoveryReport, Report, Summary,
};
pub use self::standing::{Progress, Standing};
pub use self::timeline::Timeline;
pub use self::way::Signature;
pub use self::written::{Writes, Written};
