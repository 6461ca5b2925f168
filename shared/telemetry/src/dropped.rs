//! Counts of lines missing from the log, by reason.
//!
//! The counts are process-wide, as the subscriber is, so the metrics need no handle on the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Reason why a line is missing from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The queue was full: nobody reads the log, or not fast enough.
    QueueFull,
    /// Writing failed.
    WriteFailed,
    /// The limit of its kind was reached.
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

/// Returns the number of lines dropped for this reason by this process.
pub(crate) fn counted(reason: Reason) -> u64 {
    COUNTS[reason as usize].load(Ordering::Relaxed)
}
