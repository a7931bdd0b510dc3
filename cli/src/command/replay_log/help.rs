//! What `replay-log --help` says.

/// The help text: all of the options, and where this tool is not the original.
pub(crate) const HELP: &str = "\
Replay a write log onto a disk: a drop-in for replay-log of xfstests

Usage: logwrites replay-log --log LOG [--replay DEV] [OPTIONS]
       replay-log --log LOG [--replay DEV] [OPTIONS]      (a link of this name to logwrites)

What to do, the first that is asked for:
  --find                 print ENTRY@SECTOR of the first entry at which a replay would stop; SECTOR is the one of the
                         log behind it
  --num-entries          print the number of entries
  (no --replay)          print version, sector size and number of entries
  --replay DEV           write the entries to this existing image or block device

Where to start:
  --start-entry N        at entry N, counted from 0
  --start-mark MARK      behind this mark

Where to stop, the end of the log otherwise:
  --end-mark MARK        behind this mark, whatever the next two say. Without such a mark the whole log is replayed
  --next-flush           behind the next entry with FLUSH
  --next-fua             behind the next entry with FUA
  --limit N              behind N entries; 0 is no limit

What to leave out:
  --start-sector N       entries that end in front of sector N of the disk, in the log's unit
  --end-sector N         entries that start behind sector N
  --no-discard           discards

What to check on the way; both are needed, and a check that fails ends the replay:
  --check WHEN           behind every N-th entry, or every entry with FLUSH, FUA or DISCARD: N, flush, fua, discard
  --fsck COMMAND         what the shell runs then, with everything written and synced

  --discard-zeroes-data  write zeros to a block device instead of passing discards on
  -v                     print each entry; -vv: entries that are left out or only looked at, too
  -h, --help             print this

Options may be shortened as long as they are unambiguous. Numbers may be hexadecimal (0x) or octal (0).

Not copied from the original:
  A check that is killed by a signal has failed; there it passes.
  Discards outside of --start-sector and --end-sector are left out; there they are carried out.
  Where DEV cannot discard, all of a discard is zeroed; there whatever is longer than 128 MiB is left as it was.
  Each byte of DEV is written once, up to the end or the next check; there overwritten data is written too.

Exit codes: 0 done, 1 anything went wrong, 255 --find could not read the log, 130 interrupted.

Examples:
  logwrites replay-log --log disk.log --num-entries
  logwrites replay-log --log disk.log --find --end-mark mkfs
  logwrites replay-log --log disk.log --replay disk.img --end-mark mkfs
  logwrites replay-log --log disk.log --replay disk.img --start-entry 102 --next-fua -v
  logwrites replay-log --log disk.log --replay disk.img --check fua --fsck 'e2fsck -fn disk.img'
";
