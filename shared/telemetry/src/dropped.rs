//! Counts of dropped log lines, by reason.
//!
//! The counts are process-wide, like the subscriber. The metrics therefore need no handle to the
//! log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Reason for dropping a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The queue was full: the reader of the log is too slow or does not read.
    QueueFull,
    /// The write failed.
    WriteFailed,
    /// The line exceeded the limit of its kind.
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

/// Returns the number of lines that this process dropped for a reason.
pub(crate) fn counted(reason: Reason) -> u64 {
    COUNTS[reason as usize].load(Ordering::Relaxed)
}
