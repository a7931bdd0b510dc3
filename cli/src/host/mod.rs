//! What this machine has: the system's programs, its processes, and the file systems of its kernel.

#[cfg(target_os = "linux")]
pub(crate) mod command;
#[cfg(target_os = "linux")]
pub(crate) mod error;
#[cfg(target_os = "linux")]
pub(crate) mod loop_device;
pub mod mkfs;
#[cfg(target_os = "linux")]
pub(crate) mod mount;
#[cfg(target_os = "linux")]
pub(crate) mod namespace;
#[cfg(target_os = "linux")]
pub(crate) mod process;
#[cfg(target_os = "linux")]
pub(crate) mod processor;
#[cfg(target_os = "linux")]
pub mod program;
#[cfg(target_os = "linux")]
pub(crate) mod strays;
