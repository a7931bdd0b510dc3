//! Live disks: a disk that clients use while every write to it is logged.
//!
//! | part | what it does |
//! |---|---|
//! | [`engine`] | the disk: one state machine, driven by the threads of all clients |
//! | [`nbd`] | the disk for clients of the network block device protocol |
//! | [`clients`] | how many clients a server has, and that it is to end |
//! | [`exports`] | what a server offers: one disk, or a disk as of points of its log |
//! | [`points`] | a disk as of a point, opened on demand, and closed |
//! | [`listen`] | sockets |
//! | `fuse` | the disk as a file in a folder, on Linux |
//! | [`control`](mod@control) | marks and questions from other programs |

pub mod clients;
#[cfg(unix)]
pub mod control;
pub mod engine;
pub mod exports;
#[cfg(target_os = "linux")]
pub mod fuse;
pub mod listen;
pub mod nbd;
pub mod points;
