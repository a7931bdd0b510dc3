//! What must hold, and the report that something does not.

use core::error::Error;
use core::fmt;

/// The rules that a recorder is judged by; the numbers are the invariants of docs/design.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Acknowledgements come in log order.
    AckOrder,
    /// What a failed flush makes doubtful is never acknowledged as durable.
    AfterFlushFailure,
    /// Nothing after a failed log write is acknowledged as done.
    AfterLogFailure,
    /// 6: base and whole log are what the data device holds.
    Content,
    /// 3: one acknowledgement for each operation, with the right result, at the right time.
    Done,
    /// An acknowledged flush or FUA is in every log that a power cut can leave.
    DurableAck,
    /// 4: a failed operation is not logged, nor is a discard that the device ignored.
    FailedLogged,
    /// Whatever was accepted is acknowledged and released in the end.
    Liveness,
    /// 4: what changed the disk is logged exactly once.
    LoggedOnce,
    /// 1: entries follow each other, on sectors.
    Offsets,
    /// Overlapping operations have one order, the same for data and log, and never meet at the data device.
    Order,
    /// 6: a FLUSH is after nothing that its flush did not cover.
    OverClaim,
    /// 5: what is in the log reads back.
    Parse,
    /// 6: a prefix of the log is a disk that a client could find after a crash.
    Prefix,
    /// A FLUSH only where the log does not say the same without it.
    RedundantFlush,
    /// What cannot be taken is refused for the right reason, and changes nothing.
    Refusal,
    /// 3: one release for each operation, after everything else.
    Release,
    /// 2: what a superblock may count.
    SuperblockCount,
    /// When a superblock is due.
    SuperblockDue,
    /// 6: whatever a flush covered is before a FLUSH.
    UnderClaim,
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    /// A violation of `rule`.
    #[must_use]
    pub const fn new(rule: Rule, detail: String) -> Self {
        Self { rule, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

impl Error for Violation {}

/// Returns a [`Violation`] of the named rule unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $rule:ident, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::rule::Violation::new($crate::rule::Rule::$rule, format!($($detail)+)));
        }
    };
}
pub(crate) use ensure;
