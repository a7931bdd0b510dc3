//! Reference model, simulated devices and oracles for logwrites.
//!
//! | module | what |
//! |---|---|
//! | [`rule`] | what must hold, and the report that something does not |
//! | [`choices`] | where random decisions come from: a seed, or a fuzzer's bytes |
//! | [`content`] | sector contents that say who wrote them |
//! | [`crash`] | every crash state one by one, beside the search that decides them by a few runs |
//! | [`model`] | a disk with a volatile cache as a client sees it: the history of its operations |
//! | [`fault_device`] | a data device and a log device that reorder, fail and lose |
//! | [`faulty`] | devices for the blocking driver that fail in every way, from one seed |
//! | [`faults`] | the blocking driver over these, judged |
//! | [`checker`] | judges a log against a history, no matter what recorded it |
//! | [`schedule`] | a random interleaving of everything that can happen to a logger, checked at every step |
//! | [`rig`] | a logger under a test's hand, step by step |
//! | [`naive`] | a second reader of logs, which shares nothing with the core's |
//! | [`peers`] | the order in which Linux and QEMU log, and scripts to compare recorders |
//! | [`power`] | power cuts in the midst of every call of the blocking driver |
//! | [`memory`] | a device in memory |
//! | [`fuzz`] | the bodies of the fuzz targets |
#![forbid(unsafe_code)]

pub mod checker;
pub mod choices;
pub mod content;
pub mod crash;
pub mod fault_device;
pub mod faults;
pub mod faulty;
pub mod fuzz;
pub mod memory;
pub mod model;
pub mod naive;
pub mod peers;
pub mod power;
pub mod rig;
pub mod rule;
pub mod schedule;
