//! Where a job's checker finds its disk, a folder of its own, and one to mount the disk on: for root the same paths in all
//! jobs, since each job has a mount namespace of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::mount::mount_bind;

use super::error::ExploreError;
use super::state_file::{Served, Slot};
use crate::host::namespace::keep_mounts_to_ourselves;

/// The places of all jobs.
#[derive(Debug)]
pub(super) struct Places {
    dir: PathBuf,
    disks: Vec<Served>,
}

/// The place of a job.
#[derive(Debug)]
pub(super) struct Place {
    /// What the image holds.
    pub(super) slot: Arc<Slot>,
    pub(super) image: PathBuf,
    pub(super) tmpdir: PathBuf,
    pub(super) mountpoint: PathBuf,
    /// Where clients of NBD find the disk.
    pub(super) socket: PathBuf,
}

impl Places {
    /// Makes the folders of jobs in an empty folder, and serves their disks, which have a length.
    pub(super) fn make(dir: &Path, nr_jobs: usize, len_bytes: u64) -> Result<Self, ExploreError> {
        fs::create_dir(dir.join(HERE)).map_err(ExploreError::Prepare)?;
        let disks = (0..nr_jobs).map(|job| {
            let folder = make_folders(&dir.join(job.to_string())).map_err(ExploreError::Prepare)?;
            Served::start(&folder, len_bytes)
        });
        Ok(Self { dir: dir.to_owned(), disks: disks.collect::<Result<_, _>>()? })
    }

    /// Serves one more disk, which is no job's.
    pub(super) fn one_more(&self, len_bytes: u64) -> Result<Served, ExploreError> {
        let folder = self.dir.join(SPARE);
        fs::create_dir_all(&folder).map_err(ExploreError::Prepare)?;
        Served::start(&folder, len_bytes)
    }

    /// Takes the disks away.
    pub(super) fn end(self) -> Result<(), ExploreError> {
        self.disks.into_iter().try_for_each(Served::end)
    }

    /// Does something for each of the first jobs, in a thread of its own, at its place.
    pub(super) fn for_jobs<T: Send>(
        &self,
        nr_jobs: usize,
        work: impl Fn(&Place) -> T + Sync,
    ) -> io::Result<Vec<T>> {
        let work = &work;
        std::thread::scope(|scope| {
            let threads = (0..nr_jobs).map(|job| scope.spawn(move || Ok(work(&self.enter(job)?))));
            let threads: Vec<_> = threads.collect();
            let results = threads.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect()
        })
    }

    /// From now on this thread has the place of a job.
    fn enter(&self, job: usize) -> io::Result<Place> {
        let (own, disk) = (self.dir.join(job.to_string()), &self.disks[job]);
        if !rustix::process::geteuid().is_root() {
            return Ok(Place { image: disk.path(), ..Place::of(disk, &own) });
        }
        keep_mounts_to_ourselves().map_err(io::Error::other)?;
        let here = self.dir.join(HERE);
        mount_bind(&own, &here)?;
        let place = Place::of(disk, &here);
        mount_bind(disk.path(), &place.image)?;
        Ok(place)
    }
}

impl Place {
    fn of(disk: &Served, folder: &Path) -> Self {
        let [image, tmpdir, mountpoint, socket] =
            [IMAGE, TMPDIR, MOUNTPOINT, SOCKET].map(|name| folder.join(name));
        Self { slot: Arc::clone(disk.slot()), image, tmpdir, mountpoint, socket }
    }

    /// Makes the folder anew, whatever a check has left in its place. Links are not followed.
    pub(super) fn renew(&self) -> io::Result<()> {
        let removed = match fs::symlink_metadata(&self.tmpdir) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&self.tmpdir),
            Ok(_) => fs::remove_file(&self.tmpdir),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&self.tmpdir),
        }
    }
}

/// Makes the folders and files of a job, and gives the folder where its disk is to be.
fn make_folders(place: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(place.join(TMPDIR))?;
    fs::create_dir(place.join(MOUNTPOINT))?;
    fs::File::create_new(place.join(IMAGE))?;
    let state = place.join(STATE);
    fs::create_dir(&state)?;
    Ok(state)
}

/// What a job finds its own place as.
const HERE: &str = "crash";

const IMAGE: &str = "disk";
const TMPDIR: &str = "tmp";
const MOUNTPOINT: &str = "mnt";
const SOCKET: &str = "nbd";

/// Where a disk is served; for root it is bound to the image's path in the job's own place.
const STATE: &str = "state";
const SPARE: &str = "spare";
