//! Count of the lines that are not in the log, by reason.
//!
//! Process-wide, as the subscriber is: whoever makes the metrics need not know who logs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a line is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The queue was full: nobody reads the log, or not fast enough.
    QueueFull,
    /// Writing failed.
    WriteFailed,
    /// There were too many of its kind.
    Limited,
}

static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

impl Reason {
    pub(crate) const ALL: [Self; 3] = [Self::QueueFull, Self::WriteFailed, Self::Limited];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WriteFailed => "write_failed",
            Self::Limited => "limited",
        }
    }
}

pub(crate) fn count(reason: Reason, lines: u64) {
    COUNTS[reason as usize].fetch_add(lines, Ordering::Relaxed);
}

/// Returns the lines of this process that were dropped for this reason.
pub(crate) fn counted(reason: Reason) -> u64 {
    COUNTS[reason as usize].load(Ordering::Relaxed)
}
