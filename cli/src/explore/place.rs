//! Where a job's checker finds its disk, a folder of its own, and one to mount the disk on: for root the same paths in all
//! jobs, since each job has a mount namespace of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::mount_bind;

use super::state_files::Slots;
use crate::host::namespace::keep_mounts_to_ourselves;

/// The places of all jobs.
#[derive(Debug)]
pub(super) struct Places {
    dir: PathBuf,
    /// Where the disks are mounted.
    states: PathBuf,
}

/// The place of a job.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) job: usize,
    pub(super) image: PathBuf,
    pub(super) tmpdir: PathBuf,
    pub(super) mountpoint: PathBuf,
}

impl Places {
    /// Makes the folders of jobs in an empty folder, and one for their disks.
    pub(super) fn make(dir: &Path, nr_jobs: usize) -> io::Result<Self> {
        let states = dir.join("states");
        for folder in [&states, &dir.join(HERE)] {
            fs::create_dir(folder)?;
        }
        for job in 0..nr_jobs {
            let place = dir.join(job.to_string());
            fs::create_dir_all(place.join(TMPDIR))?;
            fs::create_dir(place.join(MOUNTPOINT))?;
            fs::File::create_new(place.join(IMAGE))?;
        }
        Ok(Self { dir: dir.to_owned(), states })
    }

    /// Where the disks are to be mounted.
    pub(super) fn states(&self) -> &Path {
        &self.states
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
        let own = self.dir.join(job.to_string());
        let disk = Slots::path(&self.states, job);
        if !rustix::process::geteuid().is_root() {
            return Ok(Place { image: disk, ..Place::of(job, &own) });
        }
        keep_mounts_to_ourselves().map_err(io::Error::other)?;
        let here = self.dir.join(HERE);
        mount_bind(&own, &here)?;
        let place = Place::of(job, &here);
        mount_bind(&disk, &place.image)?;
        Ok(place)
    }
}

impl Place {
    fn of(job: usize, folder: &Path) -> Self {
        let [image, tmpdir, mountpoint] = [IMAGE, TMPDIR, MOUNTPOINT].map(|name| folder.join(name));
        Self { job, image, tmpdir, mountpoint }
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

/// What a job finds its own place as.
const HERE: &str = "crash";

const IMAGE: &str = "disk";
const TMPDIR: &str = "tmp";
const MOUNTPOINT: &str = "mnt";
