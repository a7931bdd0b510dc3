//! What a mount has to know beside what is on the disk.

use crate::files::layout::FIRST_NUMBER;

/// What a crash may do to what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Whatever POSIX allows: each page of data, each length and each name is lost or kept on its own.
    ///
    /// - `sync_data` and `sync_all` make the pages and the length of one file durable, and nothing else.
    /// - A name, its removal and a renaming are durable after a [`sync`](crate::Files::sync) of the folder. A renaming is
    ///   one step: never does a crash leave both names or none.
    #[default]
    Strict,
    /// As ext4 does by default (`data=ordered`).
    ///
    /// - Names and lengths change in order: none is kept if an earlier one was lost.
    /// - What is appended is on the disk before the length that makes it visible. What is overwritten in place is in no
    ///   order: each page is lost or kept on its own, before or after any change of a name.
    /// - A sync of a file that is new, or whose length has changed, makes all changes of names and lengths durable.
    ///
    /// Where an append begins inside a sector of 512 bytes, it makes the rest of that sector durable too, and states in
    /// which the sector's own older writes are lost afterwards are left out.
    Ordered,
}

/// What is the same in all states of a recording, and a mount has to know.
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "part of a sealed trait")]
pub struct Setup {
    pub(crate) profile: Profile,
    /// Whether what is done is recorded, to be crashed.
    pub(crate) is_recorded: bool,
    /// Numbers of files and areas that were never used begin here.
    pub(crate) next_number: u64,
    /// Whether nothing was ever written.
    pub(crate) is_new: bool,
    /// How many records any journal has at most. The same for all states, of recoveries too: what a mount reads must not
    /// depend on anything else than what it has read before.
    pub(crate) max_records: u64,
}

impl Setup {
    /// That of an empty disk.
    pub(crate) const fn new(profile: Profile) -> Self {
        Self { profile, is_recorded: true, next_number: FIRST_NUMBER, is_new: true, max_records: MAX_RECORDS }
    }
}

/// How many records a journal has at most, unless the workload has written more to one.
const MAX_RECORDS: u64 = 64;
