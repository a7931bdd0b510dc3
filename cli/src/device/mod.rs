//! All I/O of the operating system: images, block devices, logs.
//!
//! What every system has is in `disk`; what makes it fast or sparse on Linux is in `linux`, and `portable` does the
//! same with plain reads and writes elsewhere. Nothing outside this room opens, reads or writes a file of a person's.

mod ahead;
mod behind;
mod disk;
mod draft;
mod image;
pub mod links;
mod live_log;
mod log;
mod origin;
mod reserved_log;
mod same_file;
mod scratch;
mod source;
mod storage;
mod view;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "portable.rs"]
mod system;

pub use behind::SyncBehind;
pub use disk::{Access, Disk, DiskError};
pub use draft::Draft;
pub use image::{Container, ImageError, ImageFormat};
pub use live_log::LiveLog;
pub use log::LogFile;
pub use origin::{Origin, OriginOptions};
pub use reserved_log::ReservedLog;
pub use same_file::SameFile;
pub use scratch::ScratchLog;
pub use source::LogSource;
pub use storage::{Full, Storage, is_full, stretch_bytes};
pub use view::View;
