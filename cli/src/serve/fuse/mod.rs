//! A live disk as a file in a folder, by FUSE.
//!
//! | part | what it does |
//! |---|---|
//! | [`Folder`] | which files there are |
//! | `file_system` | what the kernel asks, and what it is answered |
//! | `disk_file` | any bytes of a disk, which itself has whole sectors |
//! | `gate` | the order between writes of whole sectors and of parts of one |
//! | [`Mountpoint`], [`Mounted`] | where it is mounted, from the first check to the unmounting |

mod disk_file;
mod error;
mod file_system;
mod folder;
mod gate;
mod mount;

pub use error::{Hidden, MountError, MountpointError, UnmountError};
pub use file_system::FileSystem;
pub(crate) use file_system::is_durable;
pub use folder::Folder;
pub use mount::{Mounted, Mountpoint, detach};
