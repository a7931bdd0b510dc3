//! What can be crashed and mounted again: a disk, and files on it.

use std::fmt;

use crate::disk::Disk;
use crate::files::{Files, Setup};

/// What workloads are recorded on: [`Disk`] and [`Files`].
pub trait Device: sealed::Sealed {}

impl Device for Disk {}

impl Device for Files {}

pub(crate) mod sealed {
    use super::{Disk, Files, Setup, fmt};

    /// What a checker uses is made of a disk.
    #[expect(unnameable_types, reason = "sealed")]
    pub trait Sealed: Sized {
        /// What is the same in all states, and has to be known to read one.
        type Setup: Clone + fmt::Debug + Send + Sync;

        /// The device, as it is on a disk. `is_recorded` says whether what is written will be crashed.
        fn mount(disk: &Disk, setup: &Self::Setup, is_recorded: bool) -> Self;

        /// What has to be known to read it after a crash of what was written since.
        fn setup(&self) -> Self::Setup;
    }

    impl Sealed for Disk {
        type Setup = ();

        fn mount(disk: &Disk, _setup: &(), _is_recorded: bool) -> Self {
            disk.clone()
        }

        fn setup(&self) {}
    }

    impl Sealed for Files {
        type Setup = Setup;

        fn mount(disk: &Disk, setup: &Setup, is_recorded: bool) -> Self {
            Self::mount(disk.clone(), Setup { is_recorded, ..*setup })
        }

        fn setup(&self) -> Setup {
            self.setup()
        }
    }
}
