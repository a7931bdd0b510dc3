//! The help text of `replay-log`.

/// All options, and where this tool differs from the original.
pub(crate) const HELP: &str = "\
Replay a write log to a disk: a drop-in replacement for replay-log of xfstests

Usage: logwrites replay-log --log LOG [--replay DEV] [OPTIONS]
       replay-log --log LOG [--replay DEV] [OPTIONS]      (a link to logwrites with this name)

Actions; the first one given takes effect:
  --find                 print ENTRY@SECTOR of the first entry at which a replay would stop; SECTOR is the
                         sector of the log after that entry
  --num-entries          print the number of entries
  (no --replay)          print version, sector size and number of entries
  --replay DEV           write the entries to this existing image or block device

Where to start [default: the first entry]:
  --start-entry N        at entry N, counted from 0
  --start-mark MARK      after this mark

Where to stop [default: the end of the log]:
  --end-mark MARK        after this mark, regardless of --next-flush and --next-fua; the whole log is
                         replayed if the mark does not exist
  --next-flush           after the next entry with FLUSH
  --next-fua             after the next entry with FUA
  --limit N              after N entries; 0 means no limit

What to leave out:
  --start-sector N       entries that end before sector N of the disk, in log sectors
  --end-sector N         entries that start after sector N
  --no-discard           discards

Checks during the replay; both options are needed, and the first check that fails ends the replay:
  --check WHEN           after every N-th entry, or after every entry with FLUSH, FUA or DISCARD: WHEN is
                         N, flush, fua or discard
  --fsck COMMAND         shell command to run as the check; all entries so far are written and synced

  --discard-zeroes-data  write zeros to a block device instead of discarding its sectors
  -v                     print each entry; -vv also prints entries that are left out or only searched
  -h, --help             print this help

Options may be abbreviated if they stay unambiguous. Numbers may be hexadecimal (0x) or octal (0).

Differences from the original:
  A check that is killed by a signal fails; in the original it passes.
  Discards outside --start-sector and --end-sector are left out; the original carries them out.
  If DEV cannot discard, a discard is zeroed whole; the original leaves one above 128 MiB unchanged.
  Each byte of DEV is written once up to the end or the next check; the original writes every entry.

Exit codes: 0 success, 1 error, 255 --find could not read the log, 130 interrupted.

Examples:
  logwrites replay-log --log disk.log --num-entries
  logwrites replay-log --log disk.log --find --end-mark mkfs
  logwrites replay-log --log disk.log --replay disk.img --end-mark mkfs
  logwrites replay-log --log disk.log --replay disk.img --start-entry 102 --next-fua -v
  logwrites replay-log --log disk.log --replay disk.img --check fua --fsck 'e2fsck -fn disk.img'
";
