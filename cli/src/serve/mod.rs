//! Live disks: a disk that others use while every write of theirs is logged.
//!
//! | part | what it does |
//! |---|---|
//! | [`engine`] | the disk: one state machine, driven by the threads of all clients |
//! | [`nbd`] | the network block device protocol, without I/O |

pub mod engine;
pub mod nbd;
