//! What this machine has: the system's programs, and the file systems of its kernel.

pub mod mkfs;
#[cfg(target_os = "linux")]
pub mod program;
