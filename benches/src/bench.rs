//! The tool, and the folder that scenarios work in.

use std::fmt::Write as _;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::fs::{fstatvfs, statfs};
use tempfile::TempDir;

use crate::process::run;

/// What every scenario needs.
#[derive(Debug)]
pub(crate) struct Bench {
    tool: PathBuf,
    folder: TempDir,
    caches: Caches,
}

/// Whether the page cache is warm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heat {
    Warm,
    Cold,
}

impl Heat {
    pub(crate) const ALL: [Self; 2] = [Self::Warm, Self::Cold];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// What of the page cache can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caches {
    All,
    OfOneFile,
}

impl Bench {
    /// Builds the tool, and makes the folder.
    pub(crate) fn prepare() -> anyhow::Result<Self> {
        eprintln!("building");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--locked", "--quiet", "--package", "logwrites"]);
        run(cargo.current_dir(repository()))?;
        let this = std::env::current_exe().context("where is this program?")?;
        let target = this.parent().and_then(Path::parent).context("this program is in target/PROFILE")?;
        let folder = tempfile::Builder::new().prefix("logwrites-bench.").tempdir()?;
        check_free(folder.path(), WORK_BYTES, "TMPDIR names another place")?;
        let caches = if std::fs::write(DROP_CACHES, "3\n").is_ok() { Caches::All } else { Caches::OfOneFile };
        let bench = Self { tool: target.join("release/logwrites"), folder, caches };
        // What is still to be written would be measured with the first row.
        rustix::fs::sync();
        Ok(bench)
    }

    /// A command of the tool.
    pub(crate) fn tool(&self) -> Command {
        Command::new(&self.tool)
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Removes all files of the folder.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.folder.path())? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// `, in memory` if the folder is, for the rows in which the disk would decide.
    pub(crate) fn place(&self) -> anyhow::Result<&'static str> {
        Ok(if self.is_in_memory()? { ", in memory" } else { "" })
    }

    /// Whether the folder is in memory.
    pub(crate) fn is_in_memory(&self) -> anyhow::Result<bool> {
        Ok(statfs(self.folder.path())?.f_type == TMPFS_MAGIC)
    }

    /// Makes a log, `log`, of so many random writes to a disk of 1 GiB that was zeros, `base`.
    pub(crate) fn make_log(&self, writes: Writes) -> anyhow::Result<()> {
        let script = self.path("script");
        remove(&self.path("log"))?;
        set_len(&self.path("base"), DISK_BYTES)?;
        std::fs::write(&script, writes.script())?;
        let mut record = self.tool();
        record.args(["record", "--base"]).arg(self.path("base")).arg("--log").arg(self.path("log"));
        run(record.arg("--script").arg(&script))
    }

    /// Makes the page cache warm or cold for the log.
    pub(crate) fn heat(&self, heat: Heat) -> anyhow::Result<()> {
        let log = self.path("log");
        match (heat, self.caches) {
            (Heat::Warm, _) => {
                std::io::copy(&mut File::open(log)?, &mut std::io::sink())?;
            }
            (Heat::Cold, Caches::All) => {
                rustix::fs::sync();
                std::fs::write(DROP_CACHES, "3\n")?;
            }
            (Heat::Cold, Caches::OfOneFile) => {
                rustix::fs::sync();
                let out = format!("of={}", log.display());
                let mut dd = Command::new("dd");
                run(dd.args([&out, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]))?;
            }
        }
        Ok(())
    }

    /// The peak memory of a command of the tool, in KiB.
    pub(crate) fn peak_kib(&self, verb: &str, log: &Path) -> anyhow::Result<u64> {
        let peak = self.path("peak");
        let mut time = Command::new("time");
        time.args(["--format", "%M", "--output"]).arg(&peak).arg(&self.tool).arg(verb).arg(log);
        run(&mut time)?;
        std::fs::read_to_string(peak)?.trim().parse().context("the peak memory")
    }
}

/// Writes of 4 KiB at random blocks of a disk of 1 GiB, the same ones every time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writes {
    pub(crate) nr: u32,
    /// Each time after so many writes, the last of them is a FUA write.
    pub(crate) fua_interval: Option<u32>,
}

impl Writes {
    /// In the language of qemu-io.
    pub(crate) fn script(self) -> String {
        let mut random = Random(1);
        let mut script = String::new();
        for number in 1..=self.nr {
            let is_fua = self.fua_interval.is_some_and(|interval| number % interval == 0);
            let flag = if is_fua { "-f " } else { "" };
            let (pattern, kib) = (1 + number % 255, 4 * random.below(DISK_BYTES >> 12));
            writeln!(script, "write -q {flag}-P {pattern} {kib}k 4k").expect("a string has room");
        }
        script
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The root of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Refuses a folder that has less room.
pub(crate) fn check_free(folder: &Path, need_bytes: u64, hint: &str) -> anyhow::Result<()> {
    let stat = fstatvfs(File::open(folder)?)?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    anyhow::ensure!(
        free_bytes >= need_bytes,
        "{} has less than {} GiB free; {hint}",
        folder.display(),
        need_bytes >> 30
    );
    Ok(())
}

/// Makes a file of this length, or changes the length of one.
pub(crate) fn set_len(path: &Path, len_bytes: u64) -> anyhow::Result<()> {
    let file = File::options().create(true).write(true).truncate(false).open(path)?;
    Ok(file.set_len(len_bytes)?)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// A file as the standard input of a program.
pub(crate) fn input(path: &Path) -> anyhow::Result<Stdio> {
    Ok(File::open(path).with_context(|| path.display().to_string())?.into())
}

/// The size of every disk.
pub(crate) const DISK_BYTES: u64 = 1 << 30;

/// What the folder may need.
const WORK_BYTES: u64 = 6 << 30;

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
