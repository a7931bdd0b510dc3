//! The bodies of the fuzz targets, run by property tests and over the fuzzer's seeds.

#![allow(clippy::unwrap_used, reason = "a test may")]

use logwrites_core::SectorSize;
use logwrites_core::format::{EntryHeader, Flags, Superblock};
use logwrites_core::reader::LogSlice;
use logwrites_tests::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #[test]
    fn any_bytes_are_parsed(bytes in vec(any::<u8>(), 0..2048)) {
        fuzz::parse(&bytes);
    }

    #[test]
    fn any_bytes_after_a_superblock_are_parsed(
        superblock in superblock(), bytes in vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..2048),
    ) {
        fuzz::parse(&[&superblock.emit()[..], &bytes].concat());
    }

    #[test]
    fn a_log_is_parsed_to_its_end(log in log()) {
        let entries = LogSlice::open(&log).unwrap();
        let nr_entries = entries.superblock().nr_entries;
        prop_assert_eq!(u64::try_from(entries.map(Result::unwrap).count()), Ok(nr_entries));
        fuzz::parse(&log);
    }

    #[test]
    fn a_damaged_log_is_parsed(mut log in log(), damages in vec(damage(), 1..4)) {
        for damage in damages {
            damage.apply(&mut log);
        }
        fuzz::parse(&log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_session_is_encoded(bytes in vec(any::<u8>(), 0..600)) {
        fuzz::encode(&bytes);
    }

    #[test]
    fn any_damaged_log_is_resumed(bytes in vec(any::<u8>(), 0..900)) {
        fuzz::resume(&bytes);
    }

    /// Bytes and words of a real file system are overwritten: whatever comes of it, it ends.
    #[test]
    fn any_damaged_file_system_is_looked_at(mut disk in file_system(), damages in vec(damage(), 0..12)) {
        for damage in damages {
            damage.apply(&mut disk);
        }
        fuzz::contents(&disk);
    }
}

/// What a fuzzer has found is among the seeds, under a name that says what was wrong.
#[test]
fn the_fuzzers_seeds_hold() {
    for (target, body) in BODIES {
        let seeds = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut nr_seeds = 0;
        for seed in std::fs::read_dir(&seeds).unwrap() {
            let seed = seed.unwrap().path();
            println!("{}", seed.display());
            body(&std::fs::read(seed).unwrap());
            nr_seeds += 1;
        }
        assert!(nr_seeds > 0, "there are seeds in {seeds}");
    }
}

type Body = fn(&[u8]);

/// Each target with seeds here, and its body.
const BODIES: [(&str, Body); 6] = [
    ("contents", fuzz::contents),
    ("crash", fuzz::crash),
    ("encode", fuzz::encode),
    ("parse", fuzz::parse),
    ("resume", fuzz::resume),
    ("schedule", fuzz::schedule),
];

fn superblock() -> impl Strategy<Value = Superblock> {
    let nr_entries = prop_oneof![0u64..20, any::<u64>()];
    let sector_size = (5u32..=9).prop_map(|shift| SectorSize::new(1 << shift).unwrap());
    (nr_entries, sector_size).prop_map(|(nr_entries, sector_size)| Superblock { nr_entries, sector_size })
}

/// One of the fuzzer's seeds, which tools have made.
fn file_system() -> impl Strategy<Value = Vec<u8>> {
    let seeds = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/contents")).unwrap();
    select(seeds.map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect::<Vec<_>>())
}

/// A log without a fault.
fn log() -> impl Strategy<Value = Vec<u8>> {
    let flags = select(vec![
        Flags::empty(),
        Flags::FUA,
        Flags::FLUSH,
        Flags::DISCARD,
        Flags::MARK,
        Flags::FLUSH | Flags::FUA | Flags::METADATA,
    ]);
    let entry = (flags, 0u64..64, 0u64..4, "[a-z]{0,31}");
    (superblock(), vec(entry, 0..20)).prop_map(|(superblock, entries)| {
        let sector_size = superblock.sector_size;
        let mut log = vec![0; usize::try_from(sector_size.bytes()).unwrap()];
        let mut nr_entries = 0;
        for (flags, sector, nr_sectors, text) in entries {
            let is_mark = flags.contains(Flags::MARK);
            if is_mark && sector_size.bytes() == 32 || flags.is_empty() && nr_sectors == 0 {
                continue;
            }
            let (nr_sectors, text) = if is_mark { (0, text.as_str()) } else { (nr_sectors, "") };
            let data_len = u64::try_from(text.len()).unwrap();
            let header = EntryHeader { sector, nr_sectors, flags, data_len };
            let end = log.len() + usize::try_from(sector_size.bytes()).unwrap();
            log.extend(header.emit());
            log.extend(text.bytes());
            log.resize(end, 0);
            if !flags.contains(Flags::DISCARD) {
                let payload_bytes = usize::try_from(sector_size.bytes_of(nr_sectors)).unwrap();
                log.resize(end + payload_bytes, 0xaa);
            }
            nr_entries += 1;
        }
        log[..32].copy_from_slice(&Superblock { nr_entries, sector_size }.emit());
        log
    })
}

/// What goes wrong with a log. Places are parts of its length, in 65536ths.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Byte { at: u16, byte: u8 },
    Number { at: u16, number: u64 },
    NrEntries(u64),
    Truncated { at: u16 },
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers = select(vec![0, 1, 1 << 9, 1 << 32, 1 << 54, (1 << 58) - 1, 1 << 62, u64::MAX]);
    prop_oneof![
        any::<(u16, u8)>().prop_map(|(at, byte)| Damage::Byte { at, byte }),
        (any::<u16>(), numbers.clone()).prop_map(|(at, number)| Damage::Number { at, number }),
        numbers.prop_map(Damage::NrEntries),
        any::<u16>().prop_map(|at| Damage::Truncated { at }),
    ]
}

impl Damage {
    fn apply(self, log: &mut Vec<u8>) {
        let len = log.len();
        let place = |at: u16| len * usize::from(at) / 65536;
        match self {
            Self::Byte { at, byte } => {
                let at = place(at);
                if let Some(damaged) = log.get_mut(at) {
                    *damaged = byte;
                }
            }
            Self::Number { at, number } => put(log, place(at) / 8 * 8, number),
            Self::NrEntries(nr_entries) => put(log, 16, nr_entries),
            Self::Truncated { at } => log.truncate(place(at)),
        }
    }
}

/// Puts a number of the format, little-endian, at byte `at`, as far as there is room.
fn put(log: &mut [u8], at: usize, number: u64) {
    let header = EntryHeader { sector: number, ..EntryHeader::default() }.emit();
    for (damaged, byte) in log.iter_mut().skip(at).zip(header).take(8) {
        *damaged = byte;
    }
}
