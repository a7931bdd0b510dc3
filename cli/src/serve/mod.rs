//! Live disks: a disk that others use while every write of theirs is logged.
//!
//! | part | what it does |
//! |---|---|
//! | [`nbd`] | the network block device protocol, without I/O |

pub mod nbd;
