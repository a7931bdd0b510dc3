//! What a crash leaves of files is what each profile says: found one by one by a model that knows neither a disk, nor a
//! journal, nor a search.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use logwrites_check::{Files, Profile, files};
use proptest::prelude::*;

const PAGE: usize = 4096;
const NR_PAGES: usize = 3;
const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug)]
enum Act {
    Create { name: usize },
    Rename { from: usize, to: usize },
    Remove { name: usize },
    Write { name: usize, page: usize },
    SetLen { name: usize, nr_pages: usize },
    Sync { name: usize },
    SyncNames,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = 0..NAMES.len();
    let act = prop_oneof![
        2 => name.clone().prop_map(|name| Act::Create { name }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Act::Rename { from, to }),
        1 => name.clone().prop_map(|name| Act::Remove { name }),
        4 => (name.clone(), 0..NR_PAGES).prop_map(|(name, page)| Act::Write { name, page }),
        2 => (name.clone(), 0..=NR_PAGES).prop_map(|(name, nr_pages)| Act::SetLen { name, nr_pages }),
        1 => name.prop_map(|name| Act::Sync { name }),
        1 => Just(Act::SyncNames),
    ];
    // Mostly with two files that are there for good.
    (prop::bool::weighted(0.7), prop::collection::vec(act, 0..9)).prop_map(|(has_files, acts)| {
        let files = [Act::Create { name: 0 }, Act::Create { name: 1 }, Act::SyncNames];
        files.into_iter().filter(|_| has_files).chain(acts).collect()
    })
}

/// One thing that is lost or kept as a whole.
#[derive(Clone, Debug)]
enum Update {
    /// The bytes of a page, for a time at which the file was so long.
    Page {
        file: usize,
        time: usize,
        page: usize,
        byte: u8,
    },
    /// A length, and from which time each page is.
    Length {
        file: usize,
        nr_pages: usize,
        times: [usize; NR_PAGES],
    },
    Link {
        name: usize,
        file: usize,
    },
    Unlink {
        name: usize,
        file: usize,
    },
    Move {
        from: usize,
        to: usize,
        file: usize,
    },
}

impl Update {
    fn is_name(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::Unlink { .. } | Self::Move { .. })
    }

    fn is_metadata(&self) -> bool {
        !matches!(self, Self::Page { .. })
    }

    fn file(&self) -> usize {
        match self {
            Self::Page { file, .. }
            | Self::Length { file, .. }
            | Self::Link { file, .. }
            | Self::Unlink { file, .. }
            | Self::Move { file, .. } => *file,
        }
    }
}

/// The files as those see them that use them, and what was done, with whether it is durable.
struct Model {
    profile: Profile,
    updates: Vec<(Update, bool)>,
    names: BTreeMap<usize, usize>,
    /// Of each file its length, the times of its pages, and whether it was cut since it grew last.
    files: Vec<(usize, [usize; NR_PAGES], bool)>,
    time: usize,
    /// How many syncs have returned.
    nr_syncs: usize,
    left: BTreeSet<(usize, String)>,
}

impl Model {
    fn new(profile: Profile) -> Self {
        let (updates, names, files) = (Vec::new(), BTreeMap::new(), Vec::new());
        let left = BTreeSet::from([(0, String::new())]);
        Self { profile, updates, names, files, time: 0, nr_syncs: 0, left }
    }

    /// Does something that can be crashed afterwards.
    fn update(&mut self, update: Update, is_durable: bool) {
        self.updates.push((update, is_durable));
        self.crash();
    }

    fn act(&mut self, act: Act, byte: u8) {
        match act {
            Act::Create { name } if !self.names.contains_key(&name) => {
                let file = self.files.len();
                self.files.push((0, [0; NR_PAGES], false));
                self.names.insert(name, file);
                self.update(Update::Link { name, file }, false);
            }
            Act::Rename { from, to } if from != to && self.names.contains_key(&from) => {
                let file = self.names.remove(&from).unwrap();
                self.names.insert(to, file);
                self.update(Update::Move { from, to, file }, false);
            }
            Act::Remove { name } => {
                if let Some(file) = self.names.remove(&name) {
                    self.update(Update::Unlink { name, file }, false);
                }
            }
            Act::Write { name, page } => {
                if let Some(file) = self.names.get(&name).copied() {
                    self.write(file, page, byte);
                }
            }
            Act::SetLen { name, nr_pages } => {
                if let Some(file) = self.names.get(&name).copied()
                    && nr_pages != self.files[file].0
                {
                    self.set_len(file, nr_pages);
                }
            }
            Act::Sync { name } => {
                if let Some(file) = self.names.get(&name).copied() {
                    self.sync(file);
                }
            }
            Act::SyncNames => {
                let is_all = self.profile == Profile::Ordered;
                self.make_durable(|update| update.is_name() || (is_all && update.is_metadata()));
            }
            Act::Create { .. } | Act::Rename { .. } => {}
        }
    }

    fn write(&mut self, file: usize, page: usize, byte: u8) {
        let is_longer = page >= self.files[file].0;
        if is_longer {
            self.clear_end(file);
        }
        let time = self.files[file].1[page];
        // With ordered data, what is appended is there before the length is.
        let is_durable = is_longer && self.profile == Profile::Ordered;
        self.update(Update::Page { file, time, page, byte }, is_durable);
        if is_longer {
            self.files[file].0 = page + 1;
            self.length(file);
        }
    }

    fn set_len(&mut self, file: usize, nr_pages: usize) {
        if nr_pages > self.files[file].0 {
            self.clear_end(file);
        } else {
            self.files[file].2 = true;
        }
        self.files[file].0 = nr_pages;
        self.length(file);
    }

    fn clear_end(&mut self, file: usize) {
        self.time += 1;
        let (nr_pages, times, was_cut) = &mut self.files[file];
        if std::mem::take(was_cut) {
            times[*nr_pages..].fill(self.time);
        }
    }

    fn length(&mut self, file: usize) {
        let (nr_pages, times, _) = self.files[file];
        self.update(Update::Length { file, nr_pages, times }, false);
    }

    /// `fdatasync`.
    fn sync(&mut self, file: usize) {
        let needs = |update: &Update| matches!(update, Update::Length { file: of, .. } | Update::Link { file: of, .. } if *of == file);
        let is_journal = self.updates.iter().any(|(update, is_durable)| !is_durable && needs(update));
        let is_ordered = self.profile == Profile::Ordered;
        self.make_durable(|update| match update.is_metadata() {
            true if is_ordered => is_journal,
            true => !update.is_name() && update.file() == file,
            false => update.file() == file,
        });
    }

    fn make_durable(&mut self, is_meant: impl Fn(&Update) -> bool) {
        for (update, is_durable) in &mut self.updates {
            *is_durable |= is_meant(update);
        }
        self.nr_syncs += 1;
        self.crash();
    }

    /// Adds everything that a crash can leave now.
    fn crash(&mut self) {
        let volatile: Vec<usize> = (0..self.updates.len()).filter(|nth| !self.updates[*nth].1).collect();
        for kept in 0u32..1 << volatile.len() {
            let is_kept = |nth: usize| {
                volatile.iter().position(|other| *other == nth).is_none_or(|bit| kept >> bit & 1 == 1)
            };
            let mut metadata =
                volatile.iter().filter(|nth| self.updates[**nth].0.is_metadata()).map(|nth| is_kept(*nth));
            // In order: none is kept after one that was lost.
            if self.profile == Profile::Strict
                || metadata.by_ref().skip_while(|is_kept| *is_kept).all(|is_kept| !is_kept)
            {
                let updates = self.updates.iter().enumerate().filter(|(nth, _)| is_kept(*nth));
                self.left.insert((self.nr_syncs, described(updates.map(|(_, (update, _))| update))));
            }
        }
    }
}

/// What is there after some updates: for each name the bytes of its pages.
#[expect(single_use_lifetimes, reason = "an anonymous one is unstable there")]
fn described<'a>(updates: impl Iterator<Item = &'a Update>) -> String {
    let (mut names, mut pages, mut lengths) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for update in updates {
        match *update {
            Update::Page { file, time, page, byte } => _ = pages.insert((file, time, page), byte),
            Update::Length { file, nr_pages, times } => _ = lengths.insert(file, (nr_pages, times)),
            Update::Link { name, file } => _ = names.insert(name, file),
            Update::Unlink { name, file } => {
                if names.get(&name) == Some(&file) {
                    names.remove(&name);
                }
            }
            Update::Move { from, to, file } => {
                if names.get(&from) == Some(&file) {
                    names.remove(&from);
                }
                names.insert(to, file);
            }
        }
    }
    let mut text = String::new();
    for (name, file) in names {
        let (nr_pages, times) = lengths.get(&file).copied().unwrap_or_default();
        let bytes = (0..nr_pages).map(|page| pages.get(&(file, times[page], page)).copied().unwrap_or(0));
        let bytes: Vec<String> = bytes.map(|byte| byte.to_string()).collect();
        text.extend([NAMES[name], "=", &bytes.join(","), " "]);
    }
    text
}

/// The same of real files.
fn found(files: &Files) -> std::io::Result<String> {
    let mut text = String::new();
    for name in files.names()? {
        let file = files.open(&name)?;
        let mut bytes = vec![0; file.len()?.try_into().unwrap()];
        file.read_at(&mut bytes, 0)?;
        let bytes: Vec<String> = bytes.iter().step_by(PAGE).map(u8::to_string).collect();
        text.extend([&name, "=", &bytes.join(","), " "]);
    }
    Ok(text)
}

fn act(files: &Files, act: Act, byte: u8) -> std::io::Result<()> {
    let place = |pages: usize| u64::try_from(pages * PAGE).unwrap();
    let open = |name: usize| files.open(NAMES[name]);
    let result = match act {
        Act::Create { name } => files.create_new(NAMES[name]).map(|_| ()),
        Act::Rename { from, to } => files.rename(NAMES[from], NAMES[to]),
        Act::Remove { name } => files.remove(NAMES[name]),
        Act::Write { name, page } => open(name).and_then(|file| file.write_at(&[byte; PAGE], place(page))),
        Act::SetLen { name, nr_pages } => open(name).and_then(|file| file.set_len(place(nr_pages))),
        Act::Sync { name } => open(name).and_then(|file| file.sync_data()).map(|()| files.mark("synced")),
        Act::SyncNames => files.sync().map(|()| files.mark("synced")),
    };
    match result {
        Err(error)
            if !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::AlreadyExists) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn compare(profile: Profile, acts: &[Act]) -> Result<(), TestCaseError> {
    let mut model = Model::new(profile);
    let bytes = 1u8..;
    bytes.clone().zip(acts).for_each(|(byte, act)| model.act(*act, byte));
    let recording = files()
        .profile(profile)
        .record(|files| Ok(bytes.zip(acts).try_for_each(|(byte, what)| act(files, *what, byte))?));
    let seen = Mutex::new(BTreeSet::new());
    let report = recording.survives(|crash| {
        seen.lock().unwrap().insert((crash.marks().len(), found(crash.files())?));
        Ok(())
    });
    prop_assert_eq!(report.decided(), report.total());
    prop_assert_eq!(seen.into_inner().unwrap(), model.left);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_that_posix_allows_is_seen_and_nothing_else(acts in acts()) {
        compare(Profile::Strict, &acts)?;
    }

    #[test]
    fn all_that_ordered_data_allows_is_seen_and_nothing_else(acts in acts()) {
        compare(Profile::Ordered, &acts)?;
    }
}
