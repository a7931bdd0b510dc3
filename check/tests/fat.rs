//! FAT, by the crate fatfs: a file system that is not made for crashes. What they do to it is found.

#![allow(
    clippy::unwrap_used,
    clippy::panic_in_result_fn,
    clippy::little_endian_bytes,
    reason = "it is a test"
)]

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use logwrites_check::{Crash, Disk, Outcome, Recording, disk};

/// A disk whose owner never flushes it.
struct Unflushed(Disk);

impl Read for Unflushed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Unflushed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Unflushed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// A volume on which a file is emptied, and another one takes its place.
fn record() -> Recording<Disk> {
    disk(4 << 20).record(|disk| {
        let options = FormatVolumeOptions::new().fat_type(FatType::Fat16).bytes_per_cluster(512);
        fatfs::format_volume(Unflushed(disk.clone()), options)?;
        disk.flush()?;
        write_file(disk, "A.TXT")?;
        disk.flush()?;
        // So that the entries of the two are in different sectors.
        let volume = FileSystem::new(Unflushed(disk.clone()), FsOptions::new())?;
        for nth in 0..20 {
            volume.root_dir().create_file(&format!("F{nth}.TXT"))?;
            disk.flush()?;
        }
        drop(volume);
        disk.mark("a is there");
        FileSystem::new(Unflushed(disk.clone()), FsOptions::new())?
            .root_dir()
            .open_file("A.TXT")?
            .truncate()?;
        write_file(disk, "B.TXT")?;
        disk.flush()?;
        disk.mark("b is there");
        Ok(())
    })
}

fn write_file(disk: &Disk, name: &str) -> io::Result<()> {
    let volume = FileSystem::new(Unflushed(disk.clone()), FsOptions::new())?;
    let mut file = volume.root_dir().create_file(name)?;
    file.write_all(&[name.as_bytes()[0]; 1500])
}

/// What a file system check looks at.
struct Volume<'a> {
    disk: &'a Disk,
    fat_place: u64,
    root_place: u64,
    nr_root_entries: u64,
}

impl<'a> Volume<'a> {
    /// `None` before there is a volume.
    fn open(disk: &'a Disk) -> io::Result<Option<Self>> {
        let mut boot = [0; 512];
        disk.read_at(&mut boot, 0)?;
        if boot[510..] != [0x55, 0xaa] {
            return Ok(None);
        }
        let word = |at| u64::from(u16_at(&boot, at));
        let fat_place = word(14) * 512;
        let root_place = fat_place + u64::from(boot[16]) * word(22) * 512;
        Ok(Some(Self { disk, fat_place, root_place, nr_root_entries: word(17) }))
    }

    /// The clusters of each file. Fails where a chain does not end.
    fn chains(&self) -> Result<BTreeMap<String, Vec<u16>>, Box<dyn std::error::Error + Send + Sync>> {
        let mut chains = BTreeMap::new();
        for nth in 0..self.nr_root_entries {
            let mut entry = [0; 32];
            self.disk.read_at(&mut entry, self.root_place + nth * 32)?;
            let is_file = entry[0] != 0xe5 && entry[11] & LONG_NAME_OR_LABEL == 0;
            if entry[0] == 0 {
                break;
            }
            if is_file && u16_at(&entry, 26) != 0 {
                let (mut chain, mut cluster) = (Vec::new(), u16_at(&entry, 26));
                while cluster < 0xfff8 {
                    if cluster < 2 || chain.contains(&cluster) {
                        return Err("broken chain".into());
                    }
                    chain.push(cluster);
                    cluster = self.fat(cluster)?;
                }
                chains.insert(String::from_utf8_lossy(&entry[..11]).into_owned(), chain);
            }
        }
        Ok(chains)
    }

    fn fat(&self, cluster: u16) -> io::Result<u16> {
        let mut entry = [0; 2];
        self.disk.read_at(&mut entry, self.fat_place + u64::from(cluster) * 2)?;
        Ok(u16::from_le_bytes(entry))
    }
}

/// Read-only, hidden, system or a label; all of them for a part of a long name.
const LONG_NAME_OR_LABEL: u8 = 0x0f;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn chains_are_whole(crash: &Crash<Disk>) -> Outcome {
    let Some(volume) = Volume::open(crash.disk())? else { return Ok(()) };
    volume.chains().map(|_| ())
}

fn no_cluster_has_two_files(crash: &Crash<Disk>) -> Outcome {
    let Some(volume) = Volume::open(crash.disk())? else { return Ok(()) };
    let Ok(chains) = volume.chains() else { return Ok(()) };
    let mut all = chains.concat_values();
    all.sort_unstable();
    let nr_clusters = all.len();
    all.dedup();
    if all.len() < nr_clusters { Err("crossed clusters".into()) } else { Ok(()) }
}

fn no_cluster_is_lost(crash: &Crash<Disk>) -> Outcome {
    let Some(volume) = Volume::open(crash.disk())? else { return Ok(()) };
    let Ok(chains) = volume.chains() else { return Ok(()) };
    let owned = chains.concat_values();
    for cluster in 2..10 {
        if volume.fat(cluster)? != 0 && !owned.contains(&cluster) {
            return Err("lost cluster".into());
        }
    }
    Ok(())
}

trait ConcatValues {
    fn concat_values(&self) -> Vec<u16>;
}

impl ConcatValues for BTreeMap<String, Vec<u16>> {
    fn concat_values(&self) -> Vec<u16> {
        self.values().flatten().copied().collect()
    }
}

#[test]
fn without_flushes_fat_loses_and_crosses_clusters() {
    let recording = record();
    for (result, fault) in [
        (recording.search(chains_are_whole), "broken chain"),
        (recording.search(no_cluster_has_two_files), "crossed clusters"),
        (recording.search(no_cluster_is_lost), "lost cluster"),
    ] {
        let failure = result.expect_err(fault);
        println!("{failure}\n");
        assert!(failure.to_string().contains(fault), "{failure}");
        assert!(failure.nr_lost() < 10, "{failure}");
    }
}
