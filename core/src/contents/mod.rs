//! What the sectors of a disk are to its file system.
//!
//! Images are not trusted: whatever is on a disk, nothing here panics, and time and memory are bounded.

mod fields;
mod kind;

pub use kind::FileSystemKind;
