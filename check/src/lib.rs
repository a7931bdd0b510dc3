#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::panic_in_result_fn, reason = "workloads and checkers of tests"))]

mod crash;
mod device;
mod disk;
mod files;
mod image;
mod io;
mod media;
mod origin;
mod overdue;
mod place;
mod recording;
mod run;

pub use crash::Crash;
pub use device::Device;
pub use disk::Disk;
pub use files::{File, Files, Profile};
pub use logwrites_core::crash::StateCount;
pub use recording::{NewDisk, NewFiles, Outcome, Recording, disk, files};
pub use run::{CrashFailure, Report};
