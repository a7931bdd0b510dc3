//! XFS, beside `xfs_db`, block for block.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use logwrites_core::contents::{Contents, Role, Written};

use super::mounted::fill;
use super::{contents_of, does_no_harm, in_units, make, make_files, said};
use crate::common::fuse::{Mount, program};
use crate::common::{Folder, system};

#[test]
fn every_block_of_xfs_is_as_xfs_db_says() {
    agrees(&["-m", "reflink=1"]);
    agrees(&["-m", "rmapbt=1,reflink=1", "-b", "size=1024", "-n", "size=4096", "-d", "agcount=3"]);
    agrees(&["-i", "size=1024,nrext64=1", "-s", "size=4096", "-n", "size=16384"]);
}

/// The kernel may not mount it: mkfs.xfs fills it.
#[test]
fn every_block_of_xfs_without_checksums_is_as_xfs_db_says() {
    agrees_unmounted(&["-m", "crc=0", "-n", "ftype=0"]);
    agrees_unmounted(&["-m", "crc=0", "-n", "ftype=1", "-b", "size=2048", "-i", "size=256"]);
}

#[test]
fn a_broken_xfs_does_no_harm() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "xfsprogs", "mkfs.xfs", &["-q", "-m", "rmapbt=1", "-b", "size=1024"]);
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
    fill(&folder, mount.path());
    mount.end();
    does_no_harm(folder.read("image"), &(0..264), &(0..4));
}

/// A write of a block of inodes names those that it changes.
#[test]
fn changed_inodes_are_named() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "xfsprogs", "mkfs.xfs", &["-q"]);
    let image = folder.path("image");
    let touch = |names: &[&str]| {
        let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
        for name in names {
            fs::write(mount.path().join(name), "text").expect("a file");
        }
        mount.end();
        folder.read("image")
    };
    let before = touch(&["one", "other", "third"]);
    let after = touch(&["one", "third"]);
    let contents = contents_of(&image);
    let block = (0..before.len())
        .step_by(4096)
        .find(|at| before[*at..].starts_with(b"IN") && before[*at..at + 4096] != after[*at..at + 4096])
        .expect("inodes that differ");
    let written = Written {
        offset_bytes: u64::try_from(block).expect("an offset"),
        bytes: &after[block..block + 4096],
        before: &before[block..block + 4096],
    };
    let told = contents.told(written, |_, _| Err("inodes tell all themselves")).expect("it is not read");
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["inodes 131 (/one), 133 (/third)"]);
}

/// Each record of the journal, when it is written, is told with what `xfs_logprint` finds in it.
#[test]
fn records_of_the_journal_are_as_xfs_logprint_says() {
    let folder = Folder::new();
    make(&folder, LEN_MIB, "xfsprogs", "mkfs.xfs", &["-q"]);
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
    let path = |name: &str| mount.path().join(name);
    for round in 0..6 {
        fs::create_dir(path(&format!("{round}"))).expect("a folder");
        for nth in 0..round * 20 {
            fs::write(path(&format!("{round}/{nth}")), vec![b'r'; 5000]).expect("a file");
        }
        fs::rename(path(&format!("{round}")), path(&format!("round {round}"))).expect("it is there");
        File::open(mount.path()).expect("the root").sync_all().expect("it is synced");
    }
    mount.end();
    let bytes = folder.read("image");
    let contents = contents_of(&image);
    let records = Logged::of(&image, &contents);
    for Logged { bytes: range, phrase } in &records {
        let written = Written {
            offset_bytes: u64::try_from(range.start).expect("an offset"),
            bytes: &bytes[range.clone()],
            before: &[],
        };
        let told = contents.told(written, |_, _| Err("a record tells all itself")).expect("it is not read");
        let told: Vec<&str> = told.iter().map(Role::phrase).collect();
        assert_eq!(told, [phrase]);
    }
    let phrases: Vec<&str> = records.iter().map(|record| record.phrase.as_str()).collect();
    for kind in ["journal, record at", "record with a commit", "unmount record", " of AG 0", " more"] {
        assert!(phrases.iter().any(|phrase| phrase.contains(kind)), "{kind} is in a record: {phrases:#?}");
    }
}

/// A record of the journal: where it is in the image, and what is told of it.
struct Logged {
    bytes: Range<usize>,
    phrase: String,
}

impl Logged {
    fn of(image: &Path, contents: &Contents) -> Vec<Self> {
        let names = names(image);
        let text = program("xfsprogs", "xfs_logprint", &[image.as_os_str()]);
        let number = |text: &str| -> usize { text.parse().expect("a number") };
        let (mut records, mut lsn, mut start) = (Vec::new(), "", 0);
        let mut kind = "record";
        let mut changed: Vec<String> = Vec::new();
        let mut len = 0;
        for line in text.lines().chain([END]) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match &words[..] {
                ["log", "device:", _, "daddr:", at, ..] => start = number(at),
                ["cycle:", _, "version:", "2", "lsn:", next, ..] => {
                    if let Some((cycle, sector)) = lsn.split_once(',') {
                        let at = (start + number(sector)) * 512;
                        let listed = listed(&changed);
                        let phrase = format!("journal, {kind} at LSN {cycle}:{sector}{listed}");
                        records.push(Self { bytes: at..at + 512 + len, phrase });
                    }
                    (lsn, kind) = (*next, "record");
                    changed.clear();
                }
                ["length", "of", "Log", "Record:", bytes, ..] => len = number(bytes),
                ["Oper", .., "flags:", "COMMIT"] => kind = "record with a commit",
                ["Oper", .., "flags:", "UNMOUNT"] => kind = "unmount record",
                ["INODE:", "#regs:", _, "ino:", inode, ..] => {
                    let inode = u64::from_str_radix(inode.trim_start_matches("0x"), 16).expect("a number");
                    let name = names.get(&inode).map_or_else(String::new, |names| format!(" ({})", names[0]));
                    changed.push(format!("inode {inode}{name}"));
                }
                ["BUF:", "#regs:", _, "start", "blkno:", at, _, "len:", len, .., "flags:", flags] => {
                    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).expect("a number");
                    if flags & 2 == 0 {
                        let [at, len] = [at, len].map(|text| text.parse::<u64>().expect("a number") * 512);
                        changed.push(said(contents, at, len));
                    }
                }
                _ => {}
            }
        }
        records
    }
}

/// What makes the last record end.
const END: &str = "cycle: 0 version: 2 lsn: end";

/// The first few of what a record has, each once.
fn listed(all: &[String]) -> String {
    let mut once: Vec<&str> = Vec::new();
    for one in all {
        if !once.contains(&one.as_str()) {
            once.push(one);
        }
    }
    match once.len() {
        0 => String::new(),
        1..=5 => format!(": {}", once.join(", ")),
        nr => format!(": {} and {} more", once[..4].join(", "), nr - 4),
    }
}

/// Makes a file system with files of all kinds, and compares.
fn agrees(options: &[&str]) {
    println!("mkfs.xfs {options:?}");
    let folder = Folder::new();
    make(&folder, LEN_MIB, "xfsprogs", "mkfs.xfs", &[&["-q"], options].concat());
    let image = folder.path("image");
    let mount = Mount::new(&image, folder.path("mnt"), "loop,noatime");
    fill(&folder, mount.path());
    let [large, copy] = ["a/large", "a/copy"].map(|name| mount.path().join(name));
    system("cp", &["--reflink=always".as_ref(), large.as_os_str(), copy.as_os_str()]);
    mount.end();
    compare(&image, &[&KINDS[..], &["attr", "rldata", "btrefcnt"]].concat());
}

fn agrees_unmounted(options: &[&str]) {
    println!("mkfs.xfs {options:?}");
    let folder = Folder::new();
    make_files(&folder);
    fs::create_dir(folder.path("files/more")).expect("a folder");
    for nth in 0..3000 {
        folder.write(&format!("files/more/one of its files, number {nth}"), "");
    }
    let mut prototype = ["none", "0 0", "d--755 0 0"].map(str::to_owned).to_vec();
    add_prototype(&mut prototype, &folder.path("files"));
    prototype.push(format!("link l--777 0 0 {}\n$\n", "x/".repeat(500)));
    folder.write("prototype", prototype.join("\n"));
    let prototype = folder.path("prototype");
    let prototype = ["-q", "-p", prototype.to_str().expect("text")];
    make(&folder, LEN_MIB, "xfsprogs", "mkfs.xfs", &[&prototype, options].concat());
    compare(&folder.path("image"), &KINDS);
}

/// Adds what a folder has to what mkfs.xfs makes. There are no blanks in its names.
fn add_prototype(prototype: &mut Vec<String>, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(OsStr::to_str).expect("text").replace(' ', "_");
        if path.is_dir() {
            prototype.push(format!("{name} d--755 0 0"));
            add_prototype(prototype, &path);
            prototype.push("$".to_owned());
        } else {
            let link = path.with_file_name(&name);
            fs::rename(&path, &link).expect("it has no blanks");
            prototype.push(format!("{name} ---644 0 0 {}", link.display()));
        }
    }
}

/// Compares each block with what `xfs_db` says, which has found blocks of these kinds.
fn compare(image: &Path, kinds: &[&str]) {
    let nr = Layout::of(image).check(&contents_of(image));
    println!("{nr:?}");
    for kind in kinds {
        assert!(nr.contains_key(*kind), "no block is {kind}");
    }
}

/// Blocks that every file system has here.
const KINDS: [&str; 13] = [
    "sb",
    "btbno",
    "btcnt",
    "btino",
    "freelist",
    "inode",
    "dir",
    "data",
    "log",
    "symlink",
    "bmap btree",
    "leaf of",
    "free index of",
];

/// What `xfs_db` says.
struct Layout {
    block_bytes: u64,
    sector_bytes: u64,
    ag_blocks: u64,
    /// Of each block its allocation group and place in it, its type, and its inode where it has one.
    blocks: Vec<(u64, u64, String, Option<u64>)>,
    /// Of each block of a file's contents, its inode and its place there, as a number of blocks.
    places: BTreeMap<(u64, u64), Vec<(u64, u64)>>,
    names: BTreeMap<u64, Vec<String>>,
}

impl Layout {
    fn of(image: &Path) -> Self {
        let said = xfs_db(image, &["sb 0", "print blocksize sectsize agblocks agcount agblklog dblocks"]);
        let number = |name: &str| -> u64 {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.and_then(|number| number.parse().ok()).expect(name)
        };
        let (ag_blocks, ag_bits) = (number("agblocks"), number("agblklog"));
        let mut commands = vec!["blockget -n".to_owned()];
        for ag in 0..number("agcount") {
            let nr = ag_blocks.min(number("dblocks") - ag * ag_blocks);
            commands.push(format!("fsblock {}", ag << ag_bits));
            commands.push(format!("blockuse -c {nr}"));
        }
        let blocks = xfs_db(image, &commands);
        let blocks = blocks.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["block", _, place, "type", kind, rest @ ..] = &words[..] else { panic!("{line}") };
            let (ag, block) = place.trim_matches(['(', ')']).split_once('/').expect("an allocation group");
            let inode = rest.get(1).map(|inode| inode.parse().expect("an inode"));
            let number = |text: &str| text.parse().expect("a number");
            (number(ag), number(block), (*kind).to_owned(), inode)
        });
        let names = names(image);
        Self {
            block_bytes: number("blocksize"),
            sector_bytes: number("sectsize"),
            ag_blocks,
            blocks: blocks.collect(),
            places: places(image, names.keys().copied()),
            names,
        }
    }

    /// Compares all blocks, and counts those of each type.
    fn check(&self, contents: &Contents) -> BTreeMap<String, u64> {
        let mut nr = BTreeMap::new();
        for (ag, block, kind, inode) in &self.blocks {
            *nr.entry(kind.clone()).or_default() += 1;
            let at = (ag * self.ag_blocks + block) * self.block_bytes;
            let role = said(contents, at, self.block_bytes);
            let names = inode.and_then(|inode| self.names.get(&inode)).into_iter().flatten();
            let of = |phrase: &str| names.clone().map(|name| format!("{phrase} {name}")).collect();
            let expected: Vec<String> = match kind.as_str() {
                "sb" | "agf" | "agi" | "agfl" => {
                    self.check_headers(contents, *ag);
                    continue;
                }
                "btbno" => vec![format!("by-block free space btree of AG {ag}")],
                "btcnt" => vec![format!("by-size free space btree of AG {ag}")],
                "btino" => vec![format!("inode btree of AG {ag}")],
                "btfino" => vec![format!("free inode btree of AG {ag}")],
                "btrefcnt" => vec![format!("reference count btree of AG {ag}")],
                "btrmap" => vec![format!("reverse mapping btree of AG {ag}")],
                "freelist" => vec![format!("free, on the AGFL of AG {ag}")],
                "free1" | "free2" => vec!["free".to_owned()],
                "log" => vec!["journal".to_owned()],
                "inode" => {
                    assert!(role.starts_with("inode"), "{ag}/{block}: {role}");
                    continue;
                }
                "dir" | "data" | "rldata" => {
                    let expected = self.of_files(*ag, *block, kind == "dir");
                    if expected.is_empty() { of("bmap btree of") } else { expected }
                }
                "attr" => of("extended attributes of"),
                "symlink" => of("symlink block of"),
                _ => panic!("{ag}/{block} is {kind}: {role}"),
            };
            assert!(expected.contains(&role), "{ag}/{block} is {kind}, {expected:?}: {role}");
            for part in
                ["bmap btree", "leaf of", "free index of"].into_iter().filter(|part| role.starts_with(part))
            {
                *nr.entry(part.to_owned()).or_default() += 1;
            }
        }
        nr
    }

    fn check_headers(&self, contents: &Contents, ag: u64) {
        let superblock =
            if ag == 0 { "superblock".to_owned() } else { format!("superblock, copy in AG {ag}") };
        let headers =
            [superblock, format!("AGF of AG {ag}"), format!("AGI of AG {ag}"), format!("AGFL of AG {ag}")];
        for (nth, header) in (0..).zip(headers) {
            let at = ag * self.ag_blocks * self.block_bytes + nth * self.sector_bytes;
            assert_eq!(said(contents, at, self.sector_bytes), header);
        }
    }

    /// What a block is of all files, or folders, that have it.
    fn of_files(&self, ag: u64, block: u64, is_folder: bool) -> Vec<String> {
        let places = self.places.get(&(ag, block)).into_iter().flatten();
        let names = places.flat_map(|(inode, place)| {
            let offset = place * self.block_bytes;
            self.names[inode].iter().map(move |name| match offset >> 35 {
                _ if !is_folder => format!("data of {name} at {}", in_units(offset)),
                0 => format!("directory {name}"),
                1 => format!("leaf of directory {name}"),
                _ => format!("free index of directory {name}"),
            })
        });
        names.collect()
    }
}

/// All paths of each inode.
fn names(image: &Path) -> BTreeMap<u64, Vec<String>> {
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in xfs_db(image, &["blockget -n", "ncheck"]).lines() {
        let (inode, name) = line.trim_start().split_once(' ').expect("a number and a name");
        let name = name.strip_suffix("/.").or(name.strip_suffix('.')).unwrap_or(name);
        names.entry(inode.parse().expect("an inode")).or_default().push(format!("/{name}"));
    }
    names
}

/// Which files have each block, and where.
fn places(image: &Path, inodes: impl Iterator<Item = u64>) -> BTreeMap<(u64, u64), Vec<(u64, u64)>> {
    let inodes: Vec<u64> = inodes.collect();
    let commands = inodes
        .iter()
        .flat_map(|inode| [format!("inode {inode}"), "print core.magic".to_owned(), "bmap -d".to_owned()]);
    let said = xfs_db(image, &commands.collect::<Vec<_>>());
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut inodes = inodes.into_iter();
    let mut inode = 0;
    for line in said.lines() {
        if line.starts_with("core.magic") {
            inode = inodes.next().expect("an inode");
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["data", "offset", offset, "startblock", _, place, "count", count, ..] = &words[..] else {
            panic!("{line}")
        };
        let number = |text: &str| -> u64 { text.parse().expect("a number") };
        let (ag, block) = place.trim_matches(['(', ')']).split_once('/').expect("an allocation group");
        for nth in 0..number(count) {
            places.entry((number(ag), number(block) + nth)).or_default().push((inode, number(offset) + nth));
        }
    }
    places
}

fn xfs_db(image: &Path, commands: &[impl AsRef<OsStr>]) -> String {
    let commands = commands.iter().flat_map(|command| ["-c".as_ref(), command.as_ref()]);
    let args: Vec<&OsStr> = ["-r".as_ref()].into_iter().chain(commands).chain([image.as_os_str()]).collect();
    program("xfsprogs", "xfs_db", &args)
}

const LEN_MIB: u64 = 320;
